//! Objects as scripts of events.

use super::*;

const JOB: JobId = JobId(1);
const NEXT: JobId = JobId(2);
const OBJECT: ObjectId = ObjectId(7);
const STEP: u64 = PIECE as u64;

fn spec(id: ObjectId, size: u64) -> ObjectSpec {
    ObjectSpec { id, size, purpose: shared::object::Purpose::Shared, place: None, crc: Some(5) }
}

fn needed(job: JobId, objects: &[ObjectSpec]) -> Event {
    Event::Needed { job, objects: objects.to_vec(), kept: BTreeSet::new() }
}

fn on(objects: &mut Objects, event: Event) -> Vec<Effect> {
    let mut out = Vec::new();
    objects.on(event, &mut out);
    assert!(objects.under_way.len() <= WAYS);
    out
}

fn ask(job: JobId, at: u64) -> Effect {
    Effect::Ask { job, object: OBJECT, at, most: PIECE }
}

fn came(at: u64, len: u64) -> Event {
    Event::Came { job: JOB, object: OBJECT, at, len }
}

fn wish(worker: u64, at: u64) -> Event {
    Event::Asked { worker: WorkerId(worker), object: OBJECT, at, most: PIECE }
}

fn send(worker: u64, at: u64, len: u64) -> Effect {
    Effect::Send { worker: WorkerId(worker), object: OBJECT, at, len: len as u32 }
}

/// A job whose object of this size is here.
fn whole(size: u64) -> Objects {
    let mut objects = Objects::default();
    let kept = [OBJECT].into();
    on(&mut objects, Event::Needed { job: JOB, objects: vec![spec(OBJECT, size)], kept });
    assert!(!objects.lacks(JOB));
    objects
}

#[test]
fn an_object_is_fetched_piece_by_piece_and_then_its_job_is_ready() {
    let mut objects = Objects::default();
    assert_eq!(on(&mut objects, needed(JOB, &[spec(OBJECT, STEP + 9)])), []);
    assert!(objects.lacks(JOB));
    assert_eq!(on(&mut objects, Event::ClientHere(JOB)), [ask(JOB, 0)]);
    assert_eq!(on(&mut objects, came(0, STEP)), [Effect::Write { object: OBJECT, at: 0 }]);
    assert_eq!(on(&mut objects, Event::Written { object: OBJECT, upto: STEP }), [ask(JOB, STEP)]);
    assert_eq!(on(&mut objects, came(STEP, 9)), [Effect::Write { object: OBJECT, at: STEP }]);
    let seal = Effect::Seal { object: OBJECT, crc: Some(5) };
    assert_eq!(on(&mut objects, Event::Written { object: OBJECT, upto: STEP + 9 }), [seal]);
    assert!(objects.lacks(JOB));
    assert_eq!(on(&mut objects, Event::Sealed(OBJECT)), [Effect::Ready(JOB)]);
    assert!(!objects.lacks(JOB));
    assert_eq!(on(&mut objects, Event::JobEnded(JOB)), [Effect::Drop(OBJECT)]);
}

#[test]
fn whoever_promises_a_million_gigabytes_is_asked_for_a_piece() {
    let mut objects = Objects::default();
    on(&mut objects, needed(JOB, &[spec(OBJECT, 1_000_000_000_000_000)]));
    assert_eq!(on(&mut objects, Event::ClientHere(JOB)), [ask(JOB, 0)]);
}

#[test]
fn a_client_that_comes_back_is_asked_again_for_what_has_not_come() {
    let mut objects = Objects::default();
    on(&mut objects, needed(JOB, &[spec(OBJECT, 3 * STEP)]));
    on(&mut objects, Event::ClientHere(JOB));
    on(&mut objects, came(0, STEP));
    assert_eq!(on(&mut objects, Event::ClientGone(JOB)), []);
    assert_eq!(on(&mut objects, Event::Written { object: OBJECT, upto: STEP }), []);
    assert_eq!(on(&mut objects, Event::ClientHere(JOB)), [ask(JOB, STEP)]);
    assert_eq!(on(&mut objects, Event::ClientHere(JOB)), [ask(JOB, STEP)]);
}

#[test]
fn jobs_that_share_an_object_fetch_it_once_and_it_stays_for_the_last() {
    let mut objects = Objects::default();
    on(&mut objects, needed(JOB, &[spec(OBJECT, STEP)]));
    assert_eq!(on(&mut objects, Event::ClientHere(JOB)), [ask(JOB, 0)]);
    on(&mut objects, needed(NEXT, &[spec(OBJECT, STEP)]));
    assert_eq!(on(&mut objects, Event::ClientHere(NEXT)), []);
    assert_eq!(on(&mut objects, Event::JobEnded(JOB)), [ask(NEXT, 0)]);
    let came = Event::Came { job: NEXT, object: OBJECT, at: 0, len: STEP };
    assert_eq!(on(&mut objects, came), [Effect::Write { object: OBJECT, at: 0 }]);
    assert_eq!(on(&mut objects, Event::JobEnded(NEXT)), [Effect::Drop(OBJECT)]);
    assert_eq!(on(&mut objects, Event::Written { object: OBJECT, upto: STEP }), []);
}

#[test]
fn a_job_of_many_objects_has_one_piece_on_its_way() {
    let mut objects = Objects::default();
    let specs: Vec<_> = (0..1000).map(|number| spec(ObjectId(number), STEP)).collect();
    on(&mut objects, needed(JOB, &specs));
    let mut asked = on(&mut objects, Event::ClientHere(JOB));
    for number in 0..1000 {
        let object = ObjectId(number);
        assert_eq!(asked, [Effect::Ask { job: JOB, object, at: 0, most: PIECE }]);
        let out = on(&mut objects, Event::Came { job: JOB, object, at: 0, len: STEP });
        assert_eq!(out, [Effect::Write { object, at: 0 }]);
        assert_eq!(on(&mut objects, Event::ClientHere(JOB)), []);
        asked = on(&mut objects, Event::Written { object, upto: STEP });
        assert_eq!(asked.remove(0), Effect::Seal { object, crc: Some(5) });
        let ready = on(&mut objects, Event::Sealed(object));
        assert_eq!(ready, if number == 999 { vec![Effect::Ready(JOB)] } else { vec![] });
    }
}

#[test]
fn a_piece_that_was_not_asked_for_stops_its_job() {
    for (at, len) in [(1, STEP), (0, STEP + 1), (0, 0), (0, 3 * STEP)] {
        let mut objects = Objects::default();
        on(&mut objects, needed(JOB, &[spec(OBJECT, 2 * STEP)]));
        on(&mut objects, Event::ClientHere(JOB));
        let out = on(&mut objects, came(at, len));
        assert!(matches!(&out[..], [Effect::Stop(JOB, _)]), "{out:?}");
    }
}

#[test]
fn an_object_that_is_two_things_stops_the_second_job() {
    let mut objects = whole(8);
    let out = on(&mut objects, needed(NEXT, &[spec(OBJECT, 9)]));
    assert!(matches!(&out[..], [Effect::Stop(NEXT, _)]), "{out:?}");
}

#[test]
fn what_cannot_be_kept_stops_all_its_jobs_once() {
    let mut objects = Objects::default();
    on(&mut objects, needed(JOB, &[spec(OBJECT, STEP)]));
    on(&mut objects, needed(NEXT, &[spec(OBJECT, STEP)]));
    on(&mut objects, Event::ClientHere(JOB));
    on(&mut objects, came(0, STEP));
    let stopped = Stopped { why: StopCause::Storage, message: "full".to_owned() };
    let out = on(&mut objects, Event::Failed { object: OBJECT, stopped: stopped.clone() });
    assert_eq!(out, [Effect::Stop(JOB, stopped.clone()), Effect::Stop(NEXT, stopped)]);
    assert_eq!(on(&mut objects, Event::ClientHere(NEXT)), []);
}

#[test]
fn reproduces_a_job_that_waited_for_ever_for_what_could_not_be_kept_for_the_one_before() {
    let mut objects = whole(STEP);
    let stopped = Stopped { why: StopCause::Storage, message: "a fault of the disk".to_owned() };
    on(&mut objects, Event::Failed { object: OBJECT, stopped });
    on(&mut objects, needed(NEXT, &[spec(OBJECT, STEP)]));
    assert_eq!(on(&mut objects, Event::ClientHere(NEXT)), [ask(NEXT, 0)]);
    assert_eq!(on(&mut objects, Event::JobEnded(JOB)), []);
    assert!(objects.lacks(NEXT));
}

#[test]
fn a_worker_gets_piece_after_piece_and_waits_for_what_is_not_here_yet() {
    let mut objects = whole(STEP + 1);
    assert_eq!(on(&mut objects, wish(1, 0)), [send(1, 0, STEP)]);
    assert_eq!(on(&mut objects, wish(1, STEP)), [send(1, STEP, 1)]);
    assert_eq!(on(&mut objects, wish(1, STEP + 1)), []);
    assert!(objects.under_way.is_empty());
    on(&mut objects, wish(2, 0));
    on(&mut objects, Event::WorkerGone(WorkerId(2)));
    assert!(objects.under_way.is_empty());

    let mut objects = Objects::default();
    on(&mut objects, needed(JOB, &[spec(OBJECT, STEP)]));
    on(&mut objects, Event::ClientHere(JOB));
    assert_eq!(on(&mut objects, wish(1, 0)), []);
    on(&mut objects, came(0, STEP));
    on(&mut objects, Event::Written { object: OBJECT, upto: STEP });
    assert_eq!(on(&mut objects, Event::Sealed(OBJECT)), [Effect::Ready(JOB), send(1, 0, STEP)]);
}

#[test]
fn many_workers_take_turns_and_little_is_on_its_way() {
    let mut objects = whole(2 * STEP);
    let ways = WAYS as u64;
    for worker in 0..ways {
        assert_eq!(on(&mut objects, wish(worker, 0)), [send(worker, 0, STEP)]);
    }
    assert_eq!(on(&mut objects, wish(ways, 0)), []);
    assert_eq!(on(&mut objects, wish(0, STEP)), [send(ways, 0, STEP)]);
    assert_eq!(on(&mut objects, Event::WorkerGone(WorkerId(1))), [send(0, STEP, STEP)]);
    assert_eq!(on(&mut objects, Event::JobEnded(JOB)), [Effect::Drop(OBJECT)]);
    assert!(objects.under_way.is_empty() && objects.wishes.is_empty());
}

/// Two jobs of three objects, clients and workers that come and go, a disk that answers when it likes.
#[derive(Default)]
struct World {
    objects: Objects,
    /// Pieces that clients were asked for, and how often each client has come.
    asked: Vec<(JobId, u32, ObjectId, u64)>,
    comings: BTreeMap<JobId, u32>,
    disk: VecDeque<Event>,
    sent: Vec<(WorkerId, ObjectId, u64, u64)>,
    has: BTreeMap<(u64, ObjectId), u64>,
    ready: BTreeSet<JobId>,
}

const SIZE: u64 = 2 * STEP + 5;
const ALL: [ObjectId; 3] = [ObjectId(1), ObjectId(2), ObjectId(3)];

impl World {
    fn new() -> World {
        let mut world = World::default();
        world.on(needed(JOB, &[spec(ALL[0], SIZE), spec(ALL[1], SIZE)]));
        world.on(needed(NEXT, &[spec(ALL[1], SIZE), spec(ALL[2], SIZE)]));
        world
    }

    fn on(&mut self, event: Event) {
        for effect in on(&mut self.objects, event) {
            match effect {
                Effect::Ask { job, object, at, .. } => {
                    let busy = self.asked.iter().any(|(other, coming, ..)| {
                        (*other, *coming) == (job, self.comings.get(&job).copied().unwrap_or(0))
                    });
                    assert!(!busy, "{job} is asked for two pieces");
                    self.asked.push((job, self.comings[&job], object, at));
                }
                Effect::Write { object, at } => {
                    let upto = SIZE.min(at + STEP);
                    self.disk.push_back(Event::Written { object, upto });
                }
                Effect::Seal { object, .. } => self.disk.push_back(Event::Sealed(object)),
                Effect::Ready(job) => assert!(self.ready.insert(job), "{job} is ready twice"),
                Effect::Send { worker, object, at, len } => {
                    self.sent.push((worker, object, at, u64::from(len)));
                }
                Effect::Stop(..) | Effect::Drop(_) => panic!("{effect:?}"),
            }
        }
    }

    fn come(&mut self, job: JobId) {
        *self.comings.entry(job).or_default() += 1;
        self.on(Event::ClientHere(job));
    }

    /// A client answers what it was asked for by its last connection; other answers never arrive.
    fn answer(&mut self) {
        let Some((job, coming, object, at)) = self.asked.pop() else { return };
        if self.comings[&job] == coming && self.objects.clients.contains(&job) {
            self.on(Event::Came { job, object, at, len: STEP.min(SIZE - at) });
        }
    }

    fn fetch(&mut self, worker: u64) {
        for object in ALL {
            let at = *self.has.entry((worker, object)).or_default();
            self.on(Event::Asked { worker: WorkerId(worker), object, at, most: PIECE });
        }
    }

    fn arrive(&mut self) {
        let Some((worker, object, at, len)) = self.sent.pop() else { return };
        let has = self.has.entry((worker.0, object)).or_default();
        if *has == at {
            *has += len;
        }
        let at = *has;
        self.on(Event::Asked { worker, object, at, most: PIECE });
    }

    fn step(&mut self, choice: u8) {
        let (job, worker) = (JobId(1 + u64::from(choice / 8 % 2)), u64::from(choice / 16 % 3));
        match choice % 8 {
            0 => self.come(job),
            1 => {
                self.on(Event::ClientGone(job));
                self.asked.retain(|(other, ..)| *other != job);
            }
            2 | 3 => self.answer(),
            4 => {
                if let Some(event) = self.disk.pop_front() {
                    self.on(event);
                }
            }
            5 => self.fetch(worker),
            6 => self.arrive(),
            _ => {
                self.on(Event::WorkerGone(WorkerId(worker)));
                self.sent.retain(|(other, ..)| other.0 != worker);
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn whatever_comes_and_goes_everybody_gets_all_in_the_end(choices in proptest::collection::vec(0..=255_u8, 0..200)) {
        let mut world = World::new();
        for choice in choices {
            world.step(choice);
        }
        [JOB, NEXT].into_iter().for_each(|job| world.come(job));
        (0..3).for_each(|worker| world.fetch(worker));
        while !(world.asked.is_empty() && world.disk.is_empty() && world.sent.is_empty()) {
            world.answer();
            world.step(4);
            world.arrive();
        }
        assert_eq!(world.ready, [JOB, NEXT].into());
        assert_eq!(world.has.len(), 9);
        assert!(world.has.values().all(|has| *has == SIZE), "{:?}", world.has);
        assert!(world.objects.under_way.is_empty());
    }
}
