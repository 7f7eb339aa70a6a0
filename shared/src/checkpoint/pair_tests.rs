//! A checkpoint with a journal in each state that the two can be in, and what is read of both.

use super::*;

const MAIN: [u8; 16] = *b"main main main m";
const JOURNAL: [u8; 16] = *b"journal journal ";

/// A file that grows.
#[derive(Clone)]
struct Grown {
    bytes: Vec<u8>,
    tag: u32,
    sequence: u64,
    durable: u64,
}

impl Grown {
    fn new(id: [u8; 16], journal: Option<JournalOf>) -> Grown {
        let header = FileHeader {
            identity: "function a:b".into(),
            created: 1,
            software: "test".into(),
            id,
            columns: vec![],
            key_columns: vec![],
            journal,
        };
        let bytes = header.encode();
        Grown { durable: bytes.len() as u64, bytes, tag: header.tag(), sequence: 0 }
    }

    fn journal(main: &Grown) -> Grown {
        Grown::new(JOURNAL, Some(JournalOf { of: MAIN, end: main.end() }))
    }

    fn end(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn place(&mut self) -> Place {
        self.sequence += 1;
        Place { tag: self.tag, sequence: self.sequence - 1, durable: self.durable, at: 10 + self.sequence }
    }

    fn values(mut self, keys: &[u8], folds: Option<[u8; 16]>) -> Grown {
        let place = self.place();
        let options = Options { folds, ..Options::default() };
        encode_values(place, keys, keys, keys.len() as u32, &[], options, &mut self.bytes);
        self
    }

    fn failures(mut self, keys: &[u8]) -> Grown {
        let mut stories = Vec::new();
        keys.iter().for_each(|_| story::encode(&tests::failure(), &mut stories));
        let place = self.place();
        encode_failures(place, keys, &stories, keys.len() as u32, Options::default(), &mut self.bytes);
        self
    }

    fn synced(mut self) -> Grown {
        self.durable = self.end();
        self
    }

    fn flip(mut self, at: u64) -> Grown {
        self.bytes[at as usize] ^= 1;
        self
    }

    fn cut(mut self, len: u64) -> Grown {
        self.bytes.truncate(len as usize);
        self
    }
}

/// What is shown of the two, by both ways to see it, and what they are.
fn read(main: &Grown, journal: Option<&Grown>) -> (Vec<u8>, Judgement) {
    let pair = Pair { main: &main.bytes[..], journal: journal.map(|journal| &journal.bytes[..]) };
    let mut shown = Vec::new();
    let mut by_part = Vec::new();
    let found = pair
        .inspect(Depth::All, &mut |part, source, seen| {
            by_part.push((part, seen.frame));
            let rows = Rows::read(source, &seen.frame, seen.head).expect("sound");
            shown.extend(rows.into_iter().flat_map(|rows| rows.values));
        })
        .expect("memory");
    if !found.is_corrupt() {
        let frames = pair.frames(&found).map(|listed| listed.expect("memory"));
        assert_eq!(frames.map(|listed| (listed.part, listed.frame)).collect::<Vec<_>>(), by_part);
    }
    (shown, found)
}

fn main_file() -> Grown {
    Grown::new(MAIN, None).values(&[1, 2], None).synced().failures(&[3]).synced()
}

#[test]
fn rows_of_a_journal_count_until_they_are_folded() {
    let main = main_file();
    let journal = Grown::journal(&main).values(&[4], None).synced().values(&[3, 5], None);
    let (shown, found) = read(&main, Some(&journal));
    assert_eq!(shown, [1, 2, 4, 3, 5]);
    assert!(!found.is_corrupt() && matches!(found.journal, Some(Journal::Counts(_))), "{found:?}");
    assert_eq!(found.totals(), Totals { values: 5, failures: 1, failed: None, frames: 4 });

    let half = main.clone().values(&[4], None);
    for unfinished in [half.clone(), half.clone().cut(half.end() - 3), half.clone().flip(half.end() - 70)] {
        let (shown, found) = read(&unfinished, Some(&journal));
        assert_eq!(shown, [1, 2, 4, 3, 5], "a fold that was not finished does not count");
        assert!(!found.is_corrupt() && found.main.end == main.end() && found.main.tail().is_none());
        assert_eq!(found.main.next_sequence, 2);
    }

    let folded = half.clone().values(&[3, 5], Some(JOURNAL));
    for folded in [folded.clone(), folded.clone().synced().values(&[6], None)] {
        let (shown, found) = read(&folded, Some(&journal));
        assert_eq!(shown[..5], [1, 2, 4, 3, 5]);
        assert_eq!(found.main.end, folded.end());
        assert!(!found.is_corrupt() && matches!(found.journal, Some(Journal::Folded)), "{found:?}");
    }
    let torn_before = folded.clone().flip(half.end() - 1);
    let (shown, found) = read(&torn_before, Some(&journal));
    assert_eq!(shown, [1, 2, 4, 3, 5], "the fold's last frame is there, an earlier one is torn");
    assert!(!found.is_corrupt() && matches!(found.journal, Some(Journal::Counts(_))), "{found:?}");
    let other = main.clone().values(&[4, 3, 5], Some([9; 16]));
    assert!(matches!(read(&other, Some(&journal)).1.journal, Some(Journal::Counts(_))));
}

#[test]
fn a_journal_left_behind_hides_nothing_that_came_later() {
    let main = main_file();
    let journal = Grown::journal(&main).values(&[4], None);
    let folded = main.clone().values(&[4], Some(JOURNAL)).synced();
    let later = folded.clone().values(&[5], None).synced().values(&[6], None);
    let (shown, found) = read(&later.clone().flip(folded.end() - 1), Some(&journal));
    assert!(found.is_corrupt() && matches!(found.journal, Some(Journal::Folded)), "{found:?}");
    assert_eq!(shown, [1, 2, 5, 6]);
    assert_eq!(found.damages().count(), 1);
    let (shown, found) = read(&later.clone().flip(main.end() + 20), Some(&journal));
    assert_eq!((shown, found.is_corrupt()), (vec![1, 2, 5, 6], true), "its head is lost too");
}

#[test]
fn what_is_wrong_with_a_journal_is_told() {
    let main = main_file();
    let journal = Grown::journal(&main).values(&[4], None).synced().values(&[5], None);
    let fault = |main: &Grown, journal: &Grown| {
        let (shown, found) = read(main, Some(journal));
        assert!(found.is_corrupt(), "{found:?}");
        (shown, found.journal.expect("a journal").fault().unwrap_or_default())
    };
    let stranger = Grown::new(JOURNAL, Some(JournalOf { of: [5; 16], end: 100 })).values(&[4], None);
    assert_eq!(fault(&main, &stranger), (vec![1, 2], "the journal belongs to another checkpoint".into()));
    assert_eq!(fault(&main, &main).1, "what lies where the journal belongs is none");
    assert_eq!(fault(&main, &journal.clone().flip(30)).1, "the journal: damaged header");
    assert_eq!(fault(&main, &journal.clone().cut(0)).1, "the journal: not a checkpoint");
    let short = main_file().cut(main.end() - 8);
    let (shown, text) = fault(&short, &journal);
    assert_eq!(shown, [1, 2, 4, 5], "all that is left is shown");
    assert!(text.contains(&format!("{} bytes long", main.end())), "{text}");

    let first = Grown::journal(&main).values(&[4], None).end();
    let (shown, found) = read(&main, Some(&journal.clone().flip(first - 1)));
    assert_eq!((shown, found.is_corrupt()), (vec![1, 2, 5], true), "damage that was durable");
    let (shown, found) = read(&main, Some(&journal.clone().flip(journal.end() - 1)));
    assert_eq!((shown, found.is_corrupt()), (vec![1, 2, 4], false), "the trace of a crash");
    let folded = main.clone().values(&[4, 5], Some(JOURNAL));
    let (_, found) = read(&folded, Some(&journal.flip(first - 1)));
    assert!(!found.is_corrupt(), "a journal without meaning may be anything");
}

#[test]
fn reproduces_a_journal_that_was_begun_within_the_header() {
    let main = main_file();
    let journal = Grown::new(JOURNAL, Some(JournalOf { of: MAIN, end: 10 })).values(&[4], None);
    let (shown, found) = read(&main, Some(&journal));
    assert_eq!((shown, found.main.header.is_ok()), (vec![4], true), "a sound header is not called damaged");
    assert_eq!((found.main.end, found.main.len), (found.main.start, found.main.start));
}

#[test]
fn a_journal_witnesses_the_checkpoint_that_it_was_begun_for() {
    let main = Grown::new(MAIN, None).values(&[1, 2], None).synced();
    let journal = Grown::journal(&main).values(&[4], None);
    let damaged = main.clone().flip(main.end() - 1);
    let (shown, found) = read(&damaged, Some(&journal));
    assert_eq!((shown, found.is_corrupt()), (vec![4], true));
    let (_, found) = read(&damaged, None);
    assert!(!found.is_corrupt() && found.main.tail().is_some(), "without it nobody knows");
}

#[test]
fn reproduces_a_broken_frame_behind_the_end_that_a_journal_names() {
    let main = main_file();
    let journal = Grown::journal(&main).values(&[4], None);
    let behind = main.clone().values(&[4], None);
    let later = behind.clone().synced().values(&[5], None);
    assert_eq!(read(&later, Some(&journal)).0, [1, 2, 4], "nothing there is a fold");
    let broken = later.flip(behind.end() - 1);
    let pair = Pair { main: &broken.bytes[..], journal: Some(&journal.bytes[..]) };
    for depth in [Depth::Heads, Depth::Keys, Depth::All] {
        let found = pair.inspect(depth, &mut |_, _, _| {}).expect("memory");
        assert!(matches!(found.journal, Some(Journal::Folded)), "{found:?}");
        assert_eq!((found.is_corrupt(), found.damages().count()), (true, 1), "what told is lost");
    }
}

#[test]
fn a_pair_damaged_anywhere_shows_no_other_value_and_none_twice() {
    let main = main_file();
    let journal = Grown::journal(&main).values(&[4], None).synced().values(&[5, 6], None).synced();
    let folded = main.clone().values(&[4], None).values(&[5, 6], Some(JOURNAL));
    for main in [main, folded] {
        let whole = [1, 2, 4, 5, 6];
        let check = |shown: Vec<u8>, what: &str| {
            assert!(shown.iter().all(|key| whole.contains(key)), "{what}: {shown:?}");
            assert!((1..shown.len()).all(|at| !shown[..at].contains(&shown[at])), "{what}: {shown:?}");
        };
        for at in 0..main.end() {
            check(read(&main.clone().flip(at), Some(&journal)).0, "a bit of the checkpoint");
            check(read(&main.clone().cut(at), Some(&journal)).0, "a checkpoint cut");
        }
        for at in 0..journal.end() {
            check(read(&main, Some(&journal.clone().flip(at))).0, "a bit of the journal");
            check(read(&main, Some(&journal.clone().cut(at))).0, "a journal cut");
        }
    }
}

#[test]
fn info_is_of_both() {
    let main = main_file().values(&[7], None).failures(&[7]);
    let journal = Grown::journal(&main).failures(&[3, 8]).values(&[9], None);
    let pair = Pair { main: &main.bytes[..], journal: Some(&journal.bytes[..]) };
    let info = Info::read(&pair).expect("memory").expect("a checkpoint");
    assert_eq!(info.totals, Totals { values: 4, failures: 4, failed: Some(2), frames: 6 });
    assert_eq!(info.shape, Some(Shape { row: RowKind::Scalar, width: 1, names: vec![] }));
    assert_eq!((info.journal_bytes, info.journal_rows, info.closed), (Some(journal.end()), 3, false));
    assert_eq!(info.last_at, Some(12));
    let stranger = Grown::new(JOURNAL, None);
    let pair = Pair { main: &main.bytes[..], journal: Some(&stranger.bytes[..]) };
    let info = Info::read(&pair).expect("memory").expect("a checkpoint");
    assert_eq!((info.damages.len(), info.totals.values), (1, 3));
}
