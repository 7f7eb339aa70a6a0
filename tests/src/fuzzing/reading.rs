//! What must hold of whatever lies in a checkpoint and its journal: every way of reading the two agrees with the others.
//!
//! The bytes come from a fuzzer, so there is nothing to compare with but what another way reads of the same bytes.

use std::collections::HashMap;

use shared::{
    checkpoint::{
        BadRows, Block, Column, Contents, Damage, Depth, Failures, FrameAt, Head, Info, Judgement, Kind,
        Options, Pair, Part, Rows, Side, show,
    },
    msgpack,
};

use super::{rows::assert_come_back, seal::MAGIC};

/// Rows beyond so many bytes are not written once more, which would take long.
const MOST_REWRITTEN: usize = 1 << 20;

/// A frame that was shown, by its part and offset.
type Shown = Vec<(Part, FrameAt, Head)>;

/// Reads a checkpoint in every way that there is. A second magic begins the journal beside it.
///
/// # Panics
/// If two ways do not agree, or what was called sound cannot be read.
pub fn read(bytes: &[u8]) {
    let (main, journal) = parts(bytes);
    let pair = Pair { main, journal };
    let (all, found) = inspected(&pair, Depth::All, true);
    let (keys, found_by_keys) = inspected(&pair, Depth::Keys, true);
    let (heads, found_by_heads) = inspected(&pair, Depth::Heads, false);
    assert!(is_among(&all, &keys) && is_among(&keys, &heads), "deeper is stricter");
    for other in [&found_by_keys, &found_by_heads] {
        assert!(!other.is_corrupt() || found.is_corrupt(), "what is wrong with heads is wrong");
        assert_eq!(
            (found.main.len, found.main.witnessed, &found.main.header),
            (other.main.len, other.main.witnessed, &other.main.header)
        );
        if !found.is_corrupt() {
            assert_eq!((found.main.end, found.main.tail()), (other.main.end, other.main.tail()));
            assert_eq!(found.totals(), other.totals());
        }
    }
    let listed: Vec<_> = pair.frames(&found).map(|listed| listed.expect("memory")).collect();
    if !found.is_corrupt() {
        let again: Shown =
            listed.into_iter().map(|listed| (listed.part, listed.frame, listed.head)).collect();
        assert_eq!(again, all, "the frames that count are those that were shown");
    }
    info(&pair, &found_by_heads);
    let texts: Vec<String> = found.damages().map(|(_, damage): (Part, &Damage)| damage.to_string()).collect();
    assert!(texts.iter().all(|text| text.len() < 4096), "a line each");
    let _ = (found.main.affected(), found.journal.as_ref().and_then(|journal| journal.fault()));
    for (part, frame, head) in &all {
        let source = if *part == Part::Main { main } else { journal.expect("it was shown") };
        index(source, frame, head, &all, *part);
    }
}

/// The checkpoint, and its journal if there is one.
pub(super) fn parts(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let second = bytes.get(1..).and_then(|rest| rest.windows(MAGIC.len()).position(|window| window == MAGIC));
    match second {
        Some(skip) => (&bytes[..skip + 1], Some(&bytes[skip + 1..])),
        None => (bytes, None),
    }
}

/// The frames that are shown, each read wholly if asked for.
fn inspected(pair: &Pair<'_, [u8]>, depth: Depth, wholly: bool) -> (Shown, Judgement) {
    let mut shown = Shown::new();
    let found = pair.inspect(depth, &mut |part, source, seen| {
        if wholly {
            frame(source, &seen.frame, seen.head, seen.keys, depth);
        }
        shown.push((part, seen.frame, seen.head.clone()));
    });
    (shown, found.expect("memory"))
}

fn is_among(few: &Shown, many: &Shown) -> bool {
    let mut many = many.iter();
    few.iter().all(|one| many.any(|other| other == one))
}

/// One frame in every way; what was checked wholly has to be there.
fn frame(source: &[u8], at: &FrameAt, head: &Head, keys: &[u8], depth: Depth) {
    let contents = Contents::new(source, at, head);
    let sides = [Side::Keys, Side::Outcomes].map(|side| {
        let block = contents.block(side);
        assert!(!matches!(block, Err(BadRows::Read(_))), "memory");
        assert!(depth < Depth::All || block.is_ok(), "{side:?} of a frame that was checked: {block:?}");
        block.ok().flatten().map(|block| rows_of(&contents, side, block, head.rows()))
    });
    let [Some(of_keys), outcomes] = sides else {
        assert!(keys.is_empty() && (head.rows() == 0), "rows without keys");
        return;
    };
    assert!(of_keys == keys, "keys are shown as they are read");
    for key in msgpack::values(keys).take(100) {
        let _ = show::key(key.expect("whole"));
    }
    let rows = Rows::read(source, at, head);
    let failures = Failures::read(source, at, head);
    match (&head.kind, outcomes) {
        (Kind::Values { rows: count, .. }, Some(values)) => {
            let rows = rows.expect("sound").expect("values");
            assert!(rows.keys == keys && rows.values == values && rows.count == *count);
            again(&rows);
        }
        (Kind::Failures { rows, .. }, Some(_)) => match failures {
            Ok(failures) => assert_eq!(failures.expect("failures").stories.len(), *rows as usize),
            Err(error) => assert!(matches!(error, BadRows::Form(_)), "a story of a later version: {error}"),
        },
        (Kind::Values { .. } | Kind::Failures { .. }, None) => assert!(rows.is_err() || failures.is_err()),
        (Kind::Index { .. } | Kind::Close(_) | Kind::Optional, _) => unreachable!("it has rows"),
    }
}

/// The rows of one half, after its columns were read one by one, too.
fn rows_of(contents: &Contents<'_, [u8]>, side: Side, block: Block, count: u32) -> Vec<u8> {
    if let Block::Columns(table) = &block {
        let wanted: Vec<usize> = (0..table.columns.len()).collect();
        let together = contents.columns(side, &wanted).expect("sound").expect("columns");
        assert!(together.iter().zip(&table.columns).all(|(one, other)| is_same(one, other)));
        for column in wanted.into_iter().rev().take(3) {
            let alone = contents.columns(side, &[column]).expect("sound").expect("columns");
            assert!(is_same(&alone[0], &table.columns[column]), "one column alone");
        }
    }
    let rows = block.into_rows();
    let counted = msgpack::values(&rows).filter(|row| row.is_ok()).count();
    assert_eq!(counted, count as usize, "as many rows as the head says");
    rows
}

/// Whether two columns are the same, bit for bit.
fn is_same(one: &Column, other: &Column) -> bool {
    match (one, other) {
        (Column::Float64(one), Column::Float64(other)) => {
            one.iter().map(|number| number.to_bits()).eq(other.iter().map(|number| number.to_bits()))
        }
        _ => one == other,
    }
}

/// Rows that were read are written and read once more, byte for byte.
fn again(rows: &Rows) {
    if rows.keys.len() + rows.values.len() <= MOST_REWRITTEN {
        assert_come_back(rows, Options::default());
    }
}

/// What an index lists may be told of other places than the frames', but is read without harm.
fn index(source: &[u8], at: &FrameAt, head: &Head, all: &Shown, part: Part) {
    let Ok(Some(listed)) = Contents::new(source, at, head).listed() else { return };
    let shown: HashMap<u64, (&FrameAt, &Head)> = all
        .iter()
        .filter(|shown| shown.0 == part)
        .map(|(_, frame, head)| (frame.offset, (frame, head)))
        .collect();
    for (frame, head) in listed.iter().take(64) {
        let by_index = (Rows::read(source, frame, head), Failures::read(source, frame, head));
        if let Some((same, its)) = shown.get(&frame.offset)
            && (*same, *its) == (frame, head)
            && let Kind::Values { .. } = head.kind
        {
            let rows = Rows::read(source, same, its).expect("sound");
            assert!(by_index.0.is_ok_and(|by_index| by_index == rows), "with the index as without");
        }
    }
}

/// What `info` tells, at once or after a walk over heads.
fn info(pair: &Pair<'_, [u8]>, by_heads: &Judgement) {
    match Info::read(pair).expect("memory") {
        Err(error) => assert_eq!(by_heads.main.header.as_ref().err(), Some(&error)),
        Ok(info) if info.closed => {}
        Ok(info) => {
            let (told, totals) = (info.totals, by_heads.totals());
            assert_eq!((told.values, told.failures), (totals.values, totals.failures));
            assert!(told.failed.is_some_and(|failed| failed <= told.failures), "keys that have failed");
        }
    }
}
