//! What tasks ask the coordinator for while they run: each answer finds its process, or each question an end.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::wire::kv::{Answer, Request};

use super::{
    Core, Life,
    event::{Effect, Effects},
};

/// Questions without an answer.
#[derive(Debug, Default)]
pub struct Asks {
    last: u64,
    waiting: BTreeMap<u64, Life>,
}

impl Core {
    pub(super) fn asked(&mut self, life: Life, request: Request, payload: Bytes, out: &mut Effects) {
        if !self.connected {
            return out.push(Effect::Answer(life, Answer::Lost, Bytes::new()));
        }
        self.asks.last += 1;
        self.asks.waiting.insert(self.asks.last, life);
        out.push(Effect::Ask(self.asks.last, request, payload));
    }

    pub(super) fn answered(&mut self, ask: u64, answer: Answer, payload: Bytes, out: &mut Effects) {
        // Of a process that is gone nobody is told.
        out.extend(self.asks.waiting.remove(&ask).map(|life| Effect::Answer(life, answer, payload)));
    }

    /// Nobody will answer any more.
    pub(super) fn drop_asks(&mut self, out: &mut Effects) {
        let waiting = std::mem::take(&mut self.asks.waiting);
        out.extend(waiting.into_values().map(|life| Effect::Answer(life, Answer::Lost, Bytes::new())));
    }
}
