//! Scripts of events under a virtual clock. What is to be done is compared as lines of text, see `show`.

mod ahead;
mod asks;
mod commands;
mod deaths;
mod jobs;
mod limits;
mod memory;
mod objects;
mod preload;
mod random;
mod recall;
mod runs;
mod show;
mod weigh;
mod world;

use std::{num::NonZeroU32, sync::Arc, time::Duration, time::Instant};

use bytes::Bytes;
use shared::{
    id::{Attempt, BatchId, Epoch, JobId, TaskIndex, TaskRange, WorkerId},
    job::{Attended, CommandSpec, FunctionSpec, JobSpec, Limits, Work},
    wire::{
        child::{Raised, RaisedKind},
        worker::Batch,
    },
};

use super::{
    Core, Effect, Effects, Event, Life, ProcessEvent, Settings,
    command::Captured,
    event::{Ending, How, Memory, Ran, Reading, Toll},
};

const LEASE: Duration = Duration::from_secs(15);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn batch_id(number: u32) -> BatchId {
    BatchId { epoch: Epoch(1), number }
}

fn function_job(job: u64) -> JobSpec {
    let function = FunctionSpec { module: "m".into(), function: "f".into(), ..FunctionSpec::default() };
    JobSpec::new(JobId(job), Work::Function(function))
}

fn command_job(job: u64) -> JobSpec {
    let command = CommandSpec {
        argv: vec!["true".into()],
        fields: Vec::new(),
        cwd: "/".into(),
        ..CommandSpec::default()
    };
    JobSpec { work: Work::Command(command), ..function_job(job) }
}

fn raised(ordinal: u64) -> Raised {
    Raised {
        ordinal,
        kind: RaisedKind::Exception,
        type_name: "ValueError".into(),
        message: "no".into(),
        traceback: "Traceback".into(),
    }
}

fn captured(text: &str) -> Captured {
    Captured { head: text.as_bytes().to_vec(), ..Captured::default() }
}

/// A node under test.
struct Script {
    core: Core,
    start: Instant,
    now: Instant,
    out: Effects,
    toll: Toll,
}

/// A connected node with a pool.
fn script(slots: u16) -> Script {
    let settings = Settings { worker: WorkerId(1), host: "host".into(), slots, lease: LEASE };
    let now = Instant::now();
    let mut script =
        Script { core: Core::new(settings), start: now, now, out: Vec::new(), toll: Toll::default() };
    script.on(Event::PoolStarted).on(Event::Connected).expect(&["join"]);
    script
}

impl Script {
    fn on(&mut self, event: Event) -> &mut Script {
        self.core.on(event, self.now, &mut self.out);
        self.core.check_invariants();
        self
    }

    /// What is to be done since the last time that this was asked.
    #[track_caller]
    fn expect(&mut self, effects: &[&str]) -> &mut Script {
        let shown: Vec<String> = self.out.drain(..).map(|effect| show::effect(&effect)).collect();
        assert_eq!(shown, effects);
        self
    }

    /// What the user was told since the last time that this or [`Self::expect`] was asked.
    fn said(&mut self) -> Vec<String> {
        let told = |effect| if let Effect::Say(notice) = effect { Some(notice.to_string()) } else { None };
        self.out.drain(..).filter_map(told).collect()
    }

    /// Time passes without anything happening.
    fn pass(&mut self, time: Duration) -> &mut Script {
        self.now += time;
        self
    }

    /// Sleeps until the core wants to be woken, and wakes it.
    #[track_caller]
    fn wake(&mut self) -> &mut Script {
        let at = self.core.wake_at(self.now).expect("the core waits for something");
        self.now = self.now.max(at);
        self.on(Event::Woken)
    }

    fn job(&mut self, spec: JobSpec) -> &mut Script {
        self.on(Event::JobDescribed(Arc::new(spec)))
    }

    fn grant(&mut self, batch: u32, job: u64, start: u32, end: u32) -> &mut Script {
        let tasks = vec![TaskRange::new(start, end)];
        let attempts = vec![(TaskIndex(start), Attempt(2))];
        self.on(Event::Granted(Batch { id: batch_id(batch), job: JobId(job), tasks, attempts }))
    }

    fn life(&self, slot: u16) -> Life {
        self.core.places[usize::from(slot)].life
    }

    fn process(&mut self, slot: u16, event: ProcessEvent) -> &mut Script {
        let life = self.life(slot);
        self.on(Event::Process(life, event))
    }

    /// A child exists and has loaded its function.
    fn ready(&mut self, slot: u16) -> &mut Script {
        let pid = 100 + u32::from(slot);
        self.process(slot, ProcessEvent::Spawned { pid }).process(slot, ProcessEvent::Ready)
    }

    fn ran(&mut self, slot: u16, first: u64, count: u32, failures: &[u64]) -> &mut Script {
        let failures: Vec<Raised> = failures.iter().map(|ordinal| raised(*ordinal)).collect();
        let values = Bytes::from(vec![7; count as usize - failures.len()]);
        let (stdout, stderr) = ("out".to_owned(), "err".to_owned());
        self.process(
            slot,
            ProcessEvent::Ran(Ran { first, count, busy_us: 10, failures, values, stdout, stderr }),
        )
    }

    fn stopped(&mut self, slot: u16, at: u64) -> &mut Script {
        self.process(slot, ProcessEvent::Stopped { at })
    }

    fn died(&mut self, slot: u16, how: How, running: u64) -> &mut Script {
        let stderr = captured("noise\nFatal Python error: Segmentation fault\n  File f.py");
        self.process(
            slot,
            ProcessEvent::Ended(Ending { how, running, stdout: captured("out"), stderr, toll: self.toll }),
        )
    }

    /// What the ends that follow have taken.
    fn taking(&mut self, peak: u64, oom_kills: Option<u64>) -> &mut Script {
        self.toll = Toll { peak, oom_kills };
        self
    }

    fn exited(&mut self, slot: u16, code: i32, stdout: &str) -> &mut Script {
        let ending = Ending {
            how: How::Exited(code),
            running: 0,
            stdout: captured(stdout),
            stderr: captured("last words"),
            toll: self.toll,
        };
        self.process(slot, ProcessEvent::Ended(ending))
    }

    fn sample(&mut self, slot: u16, running: u64, committed: u64, memory: Option<u64>) -> &mut Script {
        let readings = vec![Reading { life: self.life(slot), running, committed, memory }];
        self.on(Event::Sampled { at: self.now, readings })
    }
}
