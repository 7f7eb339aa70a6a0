//! A file of fifty frames of every layout: cut at every byte, and with a bit flipped at every byte.

use super::{
    tests::{contents, failure, header, place},
    *,
};

const FRAMES: u64 = 50;

/// Two rows of each kind that there is.
fn rows(kind: u64) -> Vec<u8> {
    let float = |row: u8| [&[0xcb][..], &(f64::from(row) * 0.1).to_be_bytes()].concat();
    let array = |row: u8| [&[0x93, 0xa3, b'<', b'f', b'8', 0x91, 1, 0xc4, 8], &[row; 8][..]].concat();
    let one = |row: u8| match kind {
        0 => float(row),
        1 => vec![0x20 + row],
        2 => vec![0xa1, b'a'],
        3 => [&[0x93][..], &float(row), &[row, 0xa1, b'a']].concat(),
        4 => vec![0xc7, 3, 1, 0x92, row, 0xc2],
        5 => [&[0x82, 0xa1, b'x'][..], &float(row), &[0xa1, b'y', 0xc0]].concat(),
        6 => [&[0xc7, 17, 4][..], &array(row)].concat(),
        7 => {
            [&[0xc7, 26, 5, 0x93, 0xa1, b'a' + row, 0x91, 0xa1, b'x', 0xc7, 17, 4][..], &array(row)].concat()
        }
        _ => [&[0x80 + row][..], &[1, 0xa4, b'M', b'N', b'P', b'F'][..usize::from(row) * 6]].concat(),
    };
    (0..2).flat_map(one).collect()
}

/// The file, and where each frame begins; each says that all before it is durable.
fn file() -> (Vec<u8>, Vec<u64>) {
    let mut out = header().encode();
    let (mut starts, mut listed) = (Vec::new(), Vec::new());
    for sequence in 0..FRAMES {
        let start = out.len() as u64;
        let place = place(sequence, start);
        let compress = if sequence < 9 { Compress::Zstd } else { Compress::None };
        let options = Options { compress, folds: None, plain: sequence % 11 == 10 };
        match sequence {
            48 => encode_index(place, None, &std::mem::take(&mut listed), &mut out),
            49 => {
                let totals = Totals { values: 90, failures: 6, failed: Some(6), frames: 49 };
                encode_close(place, totals, None, Some(starts[48]), &mut out);
            }
            15 | 29 | 44 => {
                let mut stories = Vec::new();
                (0..2).for_each(|_| story::encode(&failure(), &mut stories));
                encode_failures(place, &rows(sequence % 9), &stories, 2, options, &mut out);
            }
            _ => {
                let (keys, values) = (rows(sequence / 9), rows(sequence % 9));
                encode_values(place, &keys, &values, 2, &[], options, &mut out);
            }
        }
        starts.push(start);
        if sequence < 48 {
            index::list(start, &out[start as usize..], &mut listed);
        }
    }
    (out, starts)
}

#[test]
fn the_fifty_frames_are_of_every_layout() {
    let (bytes, starts) = file();
    let mut seen = std::collections::BTreeSet::new();
    let (found, read) = contents(&bytes, Depth::All);
    assert_eq!((read.len(), found.totals.frames, found.closed), (48, FRAMES, true));
    inspect(&bytes[..], Depth::All, &mut |visit| {
        let Some((keys, outcomes)) = visit.head.layouts() else { return };
        for layout in [keys, outcomes] {
            let kind = layout.schema.as_ref().map_or("msgpack", |schema| schema.row.word());
            let types = layout.schema.iter().flat_map(|schema| &schema.types).map(|kind| kind.letter());
            seen.extend(types.map(String::from).chain([format!("{kind} {:?}", layout.compress)]));
        }
    })
    .expect("memory");
    let kinds = ["msgpack", "scalar", "list", "tuple", "dict", "array", "series"];
    for kind in kinds {
        assert!(
            seen.contains(&format!("{kind} None")) && seen.contains(&format!("{kind} Zstd")),
            "{kind}: {seen:?}"
        );
    }
    assert!(["f", "i", "t", "m"].iter().all(|letter| seen.contains(*letter)), "{seen:?}");
    let (frame, head) = {
        let mut scanner = Scanner::new(&bytes[..], starts[48], bytes.len() as u64, None);
        let mut frame = None;
        while frame.is_none() {
            if let Some(Step::Frame(found)) = scanner.step().expect("memory") {
                frame = Some(found);
            }
        }
        let frame = frame.expect("it was found");
        (frame, scanner.head(&frame).expect("memory").expect("a head"))
    };
    let listed = Contents::new(&bytes[..], &frame, &head).listed().expect("sound").expect("an index");
    assert_eq!(listed.iter().map(|(frame, _)| frame.offset).collect::<Vec<_>>(), starts[..48]);
    assert!(listed.iter().all(|(_, head)| head.rows() == 2));
}

/// What is found of a file, and which frames were shown.
fn inspected(file: &[u8], depth: Depth) -> (Inspection, Vec<u64>) {
    let mut shown = Vec::new();
    let found = inspect(file, depth, &mut |visit| shown.push(visit.frame.offset)).expect("memory");
    (found, shown)
}

#[test]
fn a_file_cut_at_any_byte_keeps_its_exact_prefix() {
    let (bytes, starts) = file();
    for len in starts[0] as usize..bytes.len() {
        let (found, shown) = inspected(&bytes[..len], Depth::Heads);
        let whole = starts.iter().filter(|&&start| start <= len as u64).count() - 1;
        assert_eq!(shown, starts[..whole], "cut at {len}");
        assert!(found.damages.is_empty(), "cut at {len}: {:?}", found.damages);
        assert_eq!(found.end, starts[whole]);
        let tail = (starts[whole] != len as u64).then_some(starts[whole]..len as u64);
        assert_eq!(found.tail(), tail);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_contained() {
    let (bytes, starts) = file();
    let mut frames = Vec::new();
    inspect(&bytes[..], Depth::Heads, &mut |visit| frames.push((visit.frame, visit.head.clone())))
        .expect("memory");
    let mut flipped = bytes.clone();
    for at in starts[0] as usize..bytes.len() {
        flipped[at] ^= 1 << (at % 8);
        let hit = starts.iter().rposition(|&start| start <= at as u64).expect("within a frame");
        let (found, shown) = inspected(&flipped, Depth::All);
        assert!(shown.iter().eq(starts.iter().filter(|&&start| start != starts[hit])), "byte {at}");
        let (frame, head) = &frames[hit];
        if at as u64 >= frame.offset + frame.header.body_at() && head.rows() > 0 {
            let rows = Rows::read(&flipped[..], frame, head).map(|rows| rows.is_some());
            let failures = Failures::read(&flipped[..], frame, head).map(|failures| failures.is_some());
            assert!(!matches!((rows, failures), (Ok(true), _) | (_, Ok(true))), "byte {at} is believed");
        }
        flipped[at] = bytes[at];
        if hit as u64 == FRAMES - 1 {
            assert_eq!(found.tail(), Some(starts[hit]..bytes.len() as u64), "byte {at}");
            continue;
        }
        let [damage] = &found.damages[..] else { panic!("byte {at}: {:?}", found.damages) };
        let whole = starts[hit]..starts[hit + 1];
        assert_eq!(damage.frame, whole.start, "byte {at}");
        let padded = damage.range.start..pad8(damage.range.end);
        assert!(padded.contains(&(at as u64)), "byte {at} is not in {damage:?}");
        assert!(whole.start <= damage.range.start && damage.range.end <= whole.end, "byte {at}");
        if let What::Keys(rows) | What::Outcomes(rows, _) = damage.what {
            assert_eq!(rows, 2, "byte {at}");
        }
    }
}
