//! What tasks ask the coordinator for.

use bytes::Bytes;
use shared::wire::kv::{Answer, Request};

use super::*;

fn asked() -> ProcessEvent {
    ProcessEvent::Asked(Request::Get("k".into()), Bytes::new())
}

fn answered(ask: u64) -> Event {
    Event::Answered { ask, answer: Answer::Missing, payload: Bytes::new() }
}

/// The questions and answers among what is to be done.
fn told(script: &mut Script) -> Vec<String> {
    let about = |effect: &Effect| matches!(effect, Effect::Ask(..) | Effect::Answer(..));
    script.out.drain(..).filter(about).map(|effect| show::effect(&effect)).collect()
}

#[test]
fn an_answer_finds_the_process_that_asked() {
    let mut script = script(2);
    script.job(function_job(1)).grant(1, 1, 0, 1).grant(2, 1, 1, 2).ready(0).ready(1);
    script.process(1, asked()).process(0, asked());
    assert_eq!(told(&mut script), ["ask 1: Get(\"k\")", "ask 2: Get(\"k\")"]);
    script.on(answered(2)).on(answered(1)).on(answered(1));
    assert_eq!(told(&mut script), ["answer 0: Missing", "answer 1: Missing"]);
}

#[test]
fn without_a_coordinator_every_question_ends() {
    let mut script = script(1);
    script.job(function_job(1)).grant(1, 1, 0, 1).ready(0).process(0, asked()).on(Event::Disconnected);
    assert_eq!(told(&mut script), ["ask 1: Get(\"k\")", "answer 0: Lost"]);
    script.process(0, asked()).on(Event::Connected).on(answered(1));
    assert_eq!(told(&mut script), ["answer 0: Lost"]);
}
