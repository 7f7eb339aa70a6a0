//! Files of frames: read back whole, damaged in ways of their own, and hostile ones.

use super::*;
use crate::{
    id::Attempt,
    outcome::{Cause, Failure},
};

const AT: u64 = 1_700_000_000_000;
const TOTALS: Totals = Totals { values: 7, failures: 1, failed: Some(1), frames: 4 };

pub(super) fn header() -> FileHeader {
    FileHeader {
        identity: "function a:b".into(),
        created: AT,
        software: "test".into(),
        id: *b"fedcba9876543210",
        columns: vec![],
        key_columns: vec![],
        journal: None,
    }
}

pub(super) fn place(sequence: u64, durable: u64) -> Place {
    Place { tag: header().tag(), sequence, durable, at: AT + sequence }
}

pub(super) fn failure() -> Failure {
    Failure {
        cause: Cause::Signal(11),
        message: "m".into(),
        traceback: String::new(),
        stdout: String::new(),
        stderr: String::new(),
        host: "h".into(),
        pid: 1,
        attempt: Attempt(4),
    }
}

/// A file, and where each of its frames begins; each frame says that all before it is durable.
fn file(closed: bool) -> (Vec<u8>, Vec<u64>) {
    let mut out = header().encode();
    let mut starts = Vec::new();
    let floats = |n: u8| (0..n).flat_map(|i| [&[0xcb][..], &f64::from(i).to_be_bytes()].concat()).collect();
    let frames: Vec<(Vec<u8>, Vec<u8>, u32)> = vec![
        (vec![1, 2, 3], floats(3), 3),
        (vec![4, 5], vec![0x92, 7, 0x20, 0x92, 8, 0x21], 2),
        (vec![0x92, 6, 0xa1, b'k', 7], vec![0xc0, 0xa3, b'M', b'N', b'P'], 2),
    ];
    for (sequence, (keys, values, count)) in frames.iter().enumerate() {
        starts.push(out.len() as u64);
        let attempts = if sequence == 1 { &[(1, Attempt(3))][..] } else { &[] };
        encode_values(
            place(sequence as u64, out.len() as u64),
            keys,
            values,
            *count,
            attempts,
            Options::default(),
            &mut out,
        );
    }
    starts.push(out.len() as u64);
    let mut story = Vec::new();
    story::encode(&failure(), &mut story);
    encode_failures(place(3, out.len() as u64), &[0x7f], &story, 1, Options::default(), &mut out);
    if closed {
        starts.push(out.len() as u64);
        let totals = TOTALS;
        encode_close(place(4, out.len() as u64), totals, None, None, &mut out);
    }
    (out, starts)
}

/// What is read of a frame: its values, or its stories.
#[derive(Debug, PartialEq)]
pub(super) enum Outcomes {
    Values(Vec<u8>),
    Stories(Vec<Failure>),
}

/// All that can be read: keys and outcomes of each frame.
pub(super) fn contents(file: &[u8], depth: Depth) -> (Inspection, Vec<(Vec<u8>, Outcomes)>) {
    let mut read = Vec::new();
    let inspection = inspect(file, depth, &mut |visit| {
        let outcomes = match visit.head.kind {
            Kind::Values { .. } => {
                let rows = Rows::read(file, &visit.frame, visit.head).expect("a visited frame is readable");
                Outcomes::Values(rows.expect("values").values)
            }
            Kind::Failures { .. } => {
                let failures = Failures::read(file, &visit.frame, visit.head).expect("readable");
                Outcomes::Stories(failures.expect("failures").stories)
            }
            Kind::Index { .. } | Kind::Close(_) | Kind::Optional => return,
        };
        read.push((visit.keys.to_vec(), outcomes));
    })
    .expect("memory is readable");
    (inspection, read)
}

#[test]
fn a_file_is_read_back() {
    let (bytes, _) = file(true);
    let (inspection, read) = contents(&bytes, Depth::All);
    assert_eq!(inspection.header, Ok(header()));
    assert_eq!(inspection.totals, Totals { frames: 5, failed: None, ..TOTALS });
    assert_eq!((inspection.end, inspection.next_sequence), (bytes.len() as u64, 5));
    assert!(inspection.closed && inspection.damages.is_empty() && inspection.tail().is_none());
    assert_eq!(inspection.last_at, Some(AT + 4));
    assert_eq!(read[1], (vec![4, 5], Outcomes::Values(vec![0x92, 7, 0x20, 0x92, 8, 0x21])));
    assert_eq!(read[3], (vec![0x7f], Outcomes::Stories(vec![failure()])));
    assert_eq!(bytes.len() % 8, 0);
}

#[test]
fn attempts_and_columns_are_told() {
    let (bytes, _) = file(false);
    let mut kinds = Vec::new();
    inspect(&bytes[..], Depth::Heads, &mut |visit| kinds.push(visit.head.kind.clone())).expect("memory");
    let Kind::Values { values: Layout { schema: Some(schema), .. }, attempts, rows: 2, .. } = &kinds[1]
    else {
        panic!("{:?}", kinds[1])
    };
    assert_eq!(schema.types, [ColumnType::Int64; 2]);
    assert_eq!((schema.row, &attempts[..]), (RowKind::List, &[(1, Attempt(3))][..]));
}

#[test]
fn damage_names_its_tasks() {
    let (mut bytes, starts) = file(true);
    let last_of_second = starts[2] as usize - 1;
    bytes[last_of_second] ^= 1;
    let (inspection, _) = contents(&bytes, Depth::All);
    assert_eq!(inspection.damages[0].what, What::Outcomes(2, vec!["4".into(), "5".into()]));
    assert_eq!(inspection.affected(), (2, false));
    assert!(inspection.damages[0].to_string().ends_with("outcomes of 2 tasks (4, 5)"));
}

#[test]
fn the_last_interval_is_checked_wholly_even_if_only_keys_are_asked_for() {
    let (mut bytes, starts) = file(false);
    bytes[starts[3] as usize - 1] ^= 1;
    let mut frames = 0;
    let inspection = inspect(&bytes[..], Depth::Heads, &mut |_| frames += 1).expect("memory");
    assert_eq!(frames, 4, "the third frame is witnessed by the fourth, its body is not read");
    assert!(inspection.damages.is_empty());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let mut frames = 0;
    let inspection = inspect(&bytes[..], Depth::Heads, &mut |_| frames += 1).expect("memory");
    assert_eq!((frames, inspection.tail()), (3, Some(starts[3]..bytes.len() as u64)));
}

#[test]
fn a_damaged_header_leaves_the_frames_readable() {
    let (mut bytes, starts) = file(true);
    let (_, all) = contents(&bytes, Depth::All);
    bytes[30] ^= 1;
    let (inspection, read) = contents(&bytes, Depth::All);
    assert_eq!((inspection.header, read), (Err(HeaderError::Damaged), all));
    assert_eq!(inspection.damages[0].range, 0..starts[0]);
}

#[test]
fn missing_and_repeated_frames_are_found() {
    let (bytes, starts) = file(true);
    let cut =
        |from: usize, to: usize| [&bytes[..starts[from] as usize], &bytes[starts[to] as usize..]].concat();
    let (inspection, read) = contents(&cut(1, 2), Depth::All);
    assert_eq!(read.len(), 3);
    assert_eq!(inspection.damages[0].what, What::Gap(1));
    let twice = [&bytes[..starts[2] as usize], &bytes[starts[1] as usize..]].concat();
    let (inspection, read) = contents(&twice, Depth::All);
    assert_eq!(read.len(), 4, "the second copy is not read");
    assert_eq!(inspection.damages[0].range, starts[2]..starts[2] + (starts[2] - starts[1]));
}

#[test]
fn a_frame_stored_as_a_value_is_not_taken_for_one() {
    let (inner, starts) = file(true);
    let mut value = Vec::new();
    rmp::encode::write_bin(&mut value, &inner[starts[0] as usize..]).expect("memory");
    let mut bytes = inner.clone();
    let start = bytes.len();
    encode_values(place(5, start as u64), &[9], &value, 1, &[], Options::default(), &mut bytes);
    let end = bytes.len() as u64;
    encode_values(place(6, end), &[10], &[1], 1, &[], Options::default(), &mut bytes);
    bytes[start] ^= 1;
    let (inspection, read) = contents(&bytes, Depth::All);
    assert_eq!(read.len(), 5);
    assert_eq!(inspection.damages.len(), 1);
    assert_eq!(inspection.damages[0].what, What::NoFrame(Some(1)));
    assert_eq!(inspection.damages[0].range, start as u64..end);
}

#[test]
fn info_is_read_from_the_close_frame_alone() {
    let (mut bytes, _) = file(true);
    let info = Info::read(&Pair::alone(&bytes[..])).expect("memory").expect("a checkpoint");
    assert_eq!(info.totals, TOTALS);
    assert!(info.closed && info.tail.is_none());
    bytes.truncate(bytes.len() - 1);
    let info = Info::read(&Pair::alone(&bytes[..])).expect("memory").expect("a checkpoint");
    assert_eq!(info.totals, TOTALS);
    assert!(!info.closed && info.tail.is_some());
}

#[test]
fn reproduces_rows_that_two_writers_put_between_an_index_and_its_close_frame() {
    let (mut bytes, _) = file(false);
    let index = bytes.len() as u64;
    encode_index(place(4, index), None, &[], &mut bytes);
    let closed = |mut bytes: Vec<u8>, sequence| {
        let at = bytes.len() as u64;
        encode_close(place(sequence, at), TOTALS, None, Some(index), &mut bytes);
        Info::read(&Pair::alone(&bytes[..])).expect("memory").expect("a checkpoint")
    };
    let info = closed(bytes.clone(), 5);
    assert_eq!((info.closed, info.totals), (true, TOTALS));
    // Longer than what is read for a close frame.
    let mut value = vec![];
    rmp::encode::write_bin(&mut value, &[0; 100_000]).expect("memory");
    encode_values(place(5, index), &[9], &value, 1, &[], Options::default(), &mut bytes);
    for (sequence, is_closed) in [(5, false), (6, true)] {
        let info = closed(bytes.clone(), sequence);
        assert_eq!((info.closed, info.totals.values), (is_closed, 8), "number {sequence}");
    }
}

#[test]
fn reproduces_a_close_frame_without_an_index_that_tells_less_than_the_file_has() {
    let (mut bytes, starts) = file(false);
    let end = bytes.len() as u64;
    encode_close(place(4, end), Totals { failed: Some(0), ..Totals::default() }, None, None, &mut bytes);
    let told = |bytes: &[u8]| {
        let info = Info::read(&Pair::alone(bytes)).expect("memory").expect("a checkpoint");
        (info.closed, info.totals, info.damages.len())
    };
    assert_eq!(told(&bytes), (true, TOTALS, 0));
    let first = [&bytes[..starts[0] as usize], &bytes[end as usize..]].concat();
    assert_eq!(told(&first).2, 1, "frames are missing before it");
}

#[test]
fn a_task_that_failed_first_is_not_one_that_has_failed() {
    let mut story = Vec::new();
    story::encode(&failure(), &mut story);
    let (mut bytes, _) = file(false);
    let told = |bytes: &[u8]| {
        let info = Info::read(&Pair::alone(bytes)).expect("memory").expect("a checkpoint");
        (info.totals.values, info.totals.failed)
    };
    let options = Options::default();
    assert_eq!(told(&bytes), (7, Some(1)));
    encode_failures(place(4, bytes.len() as u64), &[0x7f, 0x7e], &story.repeat(2), 2, options, &mut bytes);
    assert_eq!(told(&bytes), (7, Some(2)), "one failed again");
    encode_values(place(5, bytes.len() as u64), &[0x7f], &[1], 1, &[], options, &mut bytes);
    assert_eq!(told(&bytes), (8, Some(1)));
    // As the first version closed its files.
    let totals = Totals { values: 8, failures: 3, failed: None, frames: 6 };
    encode_close(place(6, bytes.len() as u64), totals, None, None, &mut bytes);
    assert_eq!(told(&bytes), (8, Some(1)));
}

#[test]
fn what_a_newer_version_wrote_is_not_guessed() {
    let (bytes, _) = file(false);
    let newer = |fields: &[(&str, &str)], optional: bool| {
        let mut head = Vec::new();
        rmp::encode::write_map_len(&mut head, 3 + fields.len() as u32).expect("memory");
        for (name, value) in fields {
            rmp::encode::write_str(&mut head, name).expect("memory");
            rmp::encode::write_str(&mut head, value).expect("memory");
        }
        rmp::encode::write_str(&mut head, "at").expect("memory");
        rmp::encode::write_uint(&mut head, 5).expect("memory");
        rmp::encode::write_str(&mut head, "blobs").expect("memory");
        rmp::encode::write_bin(&mut head, &[]).expect("memory");
        rmp::encode::write_str(&mut head, "optional").expect("memory");
        rmp::encode::write_bool(&mut head, optional).expect("memory");
        let head_len = head.len() as u32;
        pad(&mut head, 0);
        let tag = header().tag();
        let fixed = frame::FrameHeader { head_len, body_len: 0, sequence: 4, durable: 0, tag }.encode(&head);
        [&bytes[..], &fixed, &head].concat()
    };
    let whats =
        |file: &[u8]| contents(file, Depth::Keys).0.damages.into_iter().map(|d| d.what).collect::<Vec<_>>();
    assert_eq!(whats(&newer(&[("kind", "weather")], true)), []);
    assert_eq!(whats(&newer(&[("kind", "schema")], false)), [What::Newer]);
    assert_eq!(whats(&newer(&[("kind", "failures"), ("keys", "rows")], false)), [What::Newer]);
    assert_eq!(whats(&newer(&[("kind", "close")], false)), [What::Malformed]);
}

#[test]
fn hostile_lengths_are_compared_before_they_are_believed() {
    let (bytes, starts) = file(false);
    for (field, width) in [(4, 4), (8, 8)] {
        let mut hostile = bytes.clone();
        let start = starts[1] as usize;
        hostile[start + field..start + field + width].fill(0xff);
        let (inspection, read) = contents(&hostile, Depth::All);
        assert_eq!((read.len(), inspection.damages.len()), (3, 1));
    }
    // A sound frame with a body longer than the file, and one whose blobs do not fit its body.
    let mut huge = Vec::new();
    encode_values(place(4, 0), &[1], &[1], 1, &[], Options::default(), &mut huge);
    let mut fixed = frame::FrameHeader::peek(&huge).expect("a frame");
    let body_at = fixed.body_at() as usize;
    for body_len in [u64::MAX, u64::MAX - 7, 24, 8, 0] {
        fixed.body_len = body_len;
        let lying = [&bytes[..], &fixed.encode(&huge[frame::FIXED..body_at]), &huge[frame::FIXED..]].concat();
        let (inspection, read) = contents(&lying, Depth::Keys);
        assert_eq!(read.len(), 4);
        assert!(inspection.tail().is_some() || !inspection.damages.is_empty());
    }
}

#[test]
fn arbitrary_bytes_are_survived() {
    use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
    let (bytes, starts) = file(true);
    let (_, all) = contents(&bytes, Depth::All);
    let splice = (any::<proptest::sample::Index>(), vec(any::<u8>(), 0..50), 0usize..50);
    TestRunner::default()
        .run(&splice, |(at, put, cut)| {
            let at = starts[0] as usize + at.index(bytes.len() - starts[0] as usize);
            let end = (at + cut).min(bytes.len());
            let spliced = [&bytes[..at], &put, &bytes[end..]].concat();
            let (_, read) = contents(&spliced, Depth::All);
            prop_assert!(read.iter().all(|row| all.contains(row)), "a foreign row");
            Ok(())
        })
        .expect("no foreign row");
}
