//! What children map has to be here before they are started.

use shared::{
    id::ObjectId,
    object::{ObjectSpec, Purpose},
};

use super::*;

const SIZE: u64 = 5_000_000;

/// A job with an object that this machine does not have.
fn job_with_object(job: u64, object: u64) -> Event {
    let spec =
        ObjectSpec { id: ObjectId(object), size: SIZE, purpose: Purpose::Shared, place: None, crc: None };
    Event::JobDescribed(Arc::new(JobSpec { objects: vec![spec], ..function_job(job) }))
}

fn grew(object: u64, have: u64) -> Event {
    Event::ObjectGrew { object: ObjectId(object), have }
}

#[test]
fn a_child_is_started_when_its_objects_are_here() {
    let mut script = script(1);
    script.on(job_with_object(1, 7)).expect(&["fetch 7 at 0"]);
    script.grant(1, 1, 0, 4).expect(&[]);
    script.on(grew(7, 2_000_000)).expect(&["fetch 7 at 2000000"]);
    script.on(grew(7, SIZE)).expect(&["fetch 7 at 5000000", "start 0 for job 1"]);
}

#[test]
fn others_go_on_meanwhile() {
    let mut script = script(1);
    script.job(function_job(2)).expect(&[]);
    script.on(job_with_object(1, 7)).expect(&["fetch 7 at 0"]);
    script.grant(1, 1, 0, 4).expect(&[]);
    script.grant(2, 2, 0, 4).expect(&["start 0 for job 2"]);
}

#[test]
fn it_is_gone_on_with_after_a_lost_connection() {
    let mut script = script(1);
    script.on(job_with_object(1, 7)).expect(&["fetch 7 at 0"]);
    script.on(Event::Disconnected).expect(&[]);
    // It was on its way already.
    script.on(grew(7, 2_000_000)).expect(&[]);
    script.on(Event::Connected).expect(&["join", "fetch 7 at 2000000"]);
    script.on(grew(7, SIZE)).expect(&["fetch 7 at 5000000"]);
    script.on(Event::Disconnected).expect(&[]);
    script.on(Event::Connected).expect(&["join"]);
}

#[test]
fn it_goes_with_the_last_job_that_needs_it() {
    let mut script = script(1);
    script.on(job_with_object(1, 7)).expect(&["fetch 7 at 0"]);
    script.on(job_with_object(2, 7)).expect(&[]);
    script.on(grew(7, SIZE)).expect(&["fetch 7 at 5000000"]);
    script.on(Event::JobEnded(JobId(1))).expect(&[]);
    script.on(Event::JobEnded(JobId(2))).expect(&["drop object 7"]);
}

#[test]
fn without_room_for_it_the_job_cannot_be_run_here() {
    let mut script = script(1);
    script
        .on(Event::MemoryRead(Memory { used: 6_000_000, total: 9_000_000, ..Memory::default() }))
        .expect(&[]);
    let told = "unloadable: what the tasks share takes 5 MB, and host has 3 MB of memory left";
    let said = "say: job 0000000000000001 cannot be run on this machine: what the tasks share takes 5 MB, and host has 3 MB of memory left";
    script.on(job_with_object(1, 7)).expect(&["drop object 7", said, told]);
}

#[test]
fn an_object_that_cannot_be_had_ends_its_jobs_here() {
    let mut script = script(1);
    script.on(job_with_object(1, 7)).expect(&["fetch 7 at 0"]);
    script.grant(1, 1, 0, 4).expect(&[]);
    let failed = Event::ObjectFailed { object: ObjectId(7), message: "damaged".to_owned() };
    let said = "say: job 0000000000000001 cannot be run on this machine: damaged";
    script.on(failed).expect(&[
        "drop object 7",
        said,
        "unloadable: damaged",
        "returned b1 0..4",
        "forget b1",
    ]);
    script.on(grew(7, SIZE)).expect(&[]);
}

#[test]
fn other_versions_of_packages_are_told_once_a_job() {
    let difference = || shared::wire::child::Difference {
        package: "numpy".into(),
        caller: "2.1".into(),
        child: "1.26".into(),
    };
    let mut script = script(2);
    script.job(function_job(1)).grant(1, 1, 0, 1).grant(2, 1, 1, 2).out.clear();
    script.process(0, ProcessEvent::Differs(vec![difference()]));
    assert!(matches!(&script.out[..], [Effect::Send(_)]), "{:?}", script.out);
    script.out.clear();
    script.process(1, ProcessEvent::Differs(vec![difference()])).expect(&[]);
}
