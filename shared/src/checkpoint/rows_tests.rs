//! Rows of any kind through a frame and back, byte for byte; and which of them become columns.

use proptest::{collection::vec, prelude::*, sample::Index};
use rmp::encode as put;

use super::*;
use crate::id::Attempt;

const PLACE: Place = Place { tag: 7, sequence: 0, durable: 0, at: 5 };

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn float(bits: u64) -> Vec<u8> {
    [&[0xcb][..], &bits.to_be_bytes()].concat()
}

fn int(number: i64) -> Vec<u8> {
    written(|out| {
        put::write_sint(out, number).expect("memory");
    })
}

fn text(text: &str) -> Vec<u8> {
    written(|out| put::write_str(out, text).expect("memory"))
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = written(|out| {
        put::write_array_len(out, items.len() as u32).expect("memory");
    });
    items.iter().for_each(|item| out.extend(item));
    out
}

fn dict(items: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = written(|out| {
        put::write_map_len(out, items.len() as u32).expect("memory");
    });
    items.iter().for_each(|(name, value)| out.extend([&name[..], value].concat()));
    out
}

fn extension(kind: i8, data: &[u8]) -> Vec<u8> {
    let mut out = written(|out| {
        put::write_ext_meta(out, data.len() as u32, kind).expect("memory");
    });
    out.extend(data);
    out
}

fn array(dtype: &str, numbers: &[u64]) -> Vec<u8> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let bytes = written(|out| put::write_bin(out, &bytes).expect("memory"));
    extension(4, &list(&[text(dtype), list(&[int(numbers.len() as i64)]), bytes]))
}

fn series(name: Vec<u8>, labels: &[String], dtype: &str, numbers: &[u64]) -> Vec<u8> {
    let labels: Vec<_> = labels.iter().map(|label| text(label)).collect();
    extension(5, &list(&[name, list(&labels), array(dtype, numbers)]))
}

fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just((-0.0f64).to_bits()),
        Just(0x7ff8_0000_0000_0001),
        Just(0xfff0_0000_dead_beef),
        Just(0x7ff0_0000_0000_0001),
        any::<u64>(),
    ]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![Just(i64::MIN), Just(i64::MAX), -200i64..70_000, any::<i64>()]
}

/// A value that is often not written the shortest way.
fn leaf() -> impl Strategy<Value = Vec<u8>> {
    let longer = prop_oneof![
        any::<u8>().prop_map(|number| vec![0xcc, number]),
        any::<[u8; 2]>().prop_map(|number| [&[0xd1][..], &number].concat()),
        any::<[u8; 4]>().prop_map(|number| [&[0xce][..], &number].concat()),
        any::<u32>().prop_map(|number| [&[0xcf][..], &u64::from(number).to_be_bytes()].concat()),
        any::<u64>().prop_map(|number| [&[0xcf][..], &number.to_be_bytes()].concat()),
        "[a-c]{0,3}".prop_map(|text| [&[0xda, 0, text.len() as u8][..], text.as_bytes()].concat()),
        Just(vec![0xa2, 0xff, 0xfe]),
        vec(any::<u8>(), 1..3).prop_map(|data| [&[0xc7, data.len() as u8, 1][..], &data].concat()),
    ];
    prop_oneof![
        prop_oneof![Just(vec![0xc0]), Just(vec![0xc2]), Just(vec![0xc3])],
        number().prop_map(int),
        bits().prop_map(float),
        any::<[u8; 4]>().prop_map(|bits| [&[0xca][..], &bits].concat()),
        "[a-c]{0,2}|.{0,40}".prop_map(|string| text(&string)),
        vec(any::<u8>(), 0..20).prop_map(|data| written(|out| put::write_bin(out, &data).expect("memory"))),
        (any::<i8>(), vec(any::<u8>(), 0..20)).prop_map(|(kind, data)| extension(kind, &data)),
        longer,
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    leaf().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| list(&items)),
            vec(inner.clone(), 0..4).prop_map(|items| extension(1, &list(&items))),
            vec((leaf(), inner.clone()), 0..4).prop_map(|items| dict(&items)),
            vec(inner, 1..4).prop_map(|items| [&[0xdc, 0, items.len() as u8][..], &items.concat()].concat()),
        ]
    })
}

/// `rows` items that are of one type, or of any.
fn column(rows: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![
        vec(bits().prop_map(float), rows),
        vec(number().prop_map(int), rows),
        vec("[ab]{0,2}".prop_map(|string| text(&string)), rows),
        vec(value(), rows),
    ]
}

/// Rows of one kind, and which.
fn table() -> impl Strategy<Value = (RowKind, Vec<Vec<u8>>)> {
    (1usize..24, 1usize..6, any::<bool>()).prop_flat_map(|(rows, width, floats)| {
        let dtype = if floats { "<f8" } else { "<i8" };
        let labels: Vec<String> = (0..width).map(|number| format!("field {number}")).collect();
        let by_row = move |columns: &[Vec<Vec<u8>>], row: usize| -> Vec<Vec<u8>> {
            columns.iter().map(|column| column[row].clone()).collect()
        };
        let rows_of = move |make: &dyn Fn(usize) -> Vec<u8>| (0..rows).map(make).collect::<Vec<_>>();
        let named = labels.clone();
        let tables = vec(column(rows), width).prop_flat_map(move |columns| {
            let dicts = |row| {
                let names = named.iter().map(|name| text(name));
                dict(&names.zip(by_row(&columns, row)).collect::<Vec<_>>())
            };
            prop::sample::select(vec![
                (RowKind::List, rows_of(&|row| list(&by_row(&columns, row)))),
                (RowKind::Tuple, rows_of(&|row| extension(1, &list(&by_row(&columns, row))))),
                (RowKind::Dict, rows_of(&dicts)),
            ])
        });
        let arrays = (vec(vec(bits(), width), rows), column(rows)).prop_flat_map(move |(numbers, names)| {
            let one = |row: usize| series(names[row].clone(), &labels, dtype, &numbers[row]);
            prop::sample::select(vec![
                (RowKind::Array, rows_of(&|row| array(dtype, &numbers[row]))),
                (RowKind::Series, rows_of(&one)),
            ])
        });
        prop_oneof![3 => tables, 2 => arrays]
    })
}

/// One frame, and what is read of it: keys, values, head.
fn through(keys: &[u8], values: &[u8], count: u32, options: Options) -> (Rows, Head) {
    let mut out = vec![1, 2, 3, 4, 5, 6, 7, 8];
    encode_values(PLACE, keys, values, count, &[(0, Attempt(2))], options, &mut out);
    assert_eq!(out.len() % 8, 0);
    let (frame, head) = frame_of(&out[8..]);
    (Rows::read(&out[8..], &frame, &head).expect("sound").expect("values"), head)
}

fn frame_of(bytes: &[u8]) -> (FrameAt, Head) {
    let mut scanner = Scanner::new(bytes, 0, bytes.len() as u64, None);
    let Some(Step::Frame(frame)) = scanner.step().expect("memory") else { panic!("no frame") };
    let head = scanner.head(&frame).expect("memory").expect("a head");
    assert_eq!(scanner.step().expect("memory"), None);
    (frame, head)
}

const ALL_OPTIONS: [Options; 4] = [
    Options { compress: Compress::None, folds: None, plain: false },
    Options { compress: Compress::Zstd, folds: Some([3; 16]), plain: false },
    Options { compress: Compress::None, folds: Some([3; 16]), plain: true },
    Options { compress: Compress::Zstd, folds: None, plain: true },
];

fn assert_same(keys: &[Vec<u8>], values: &[Vec<u8>]) {
    let count = keys.len() as u32;
    for options in ALL_OPTIONS {
        let expected = Rows { keys: keys.concat(), values: values.concat(), count };
        let (rows, head) = through(&expected.keys, &expected.values, count, options);
        assert!(rows == expected, "{options:?}: {rows:02x?} is not {expected:02x?}");
        assert_eq!(head.folds(), options.folds);
    }
}

proptest! {
    #[test]
    fn tables_come_back_byte_for_byte((kind, rows) in table()) {
        assert_same(&rows, &rows);
        let (_, head) = through(&rows.concat(), &rows.concat(), rows.len() as u32, Options::default());
        let (keys, values) = head.layouts().expect("rows");
        prop_assert_eq!(keys, values);
        prop_assert_eq!(keys.schema.as_ref().map(|schema| schema.row), Some(kind));
    }

    #[test]
    fn any_rows_come_back_byte_for_byte(rows in vec(prop_oneof![leaf(), value()], 1..12)) {
        let keys: Vec<_> = rows.iter().rev().cloned().collect();
        assert_same(&keys, &rows);
    }

    #[test]
    fn a_stray_row_or_byte_in_a_table_comes_back_too(
        (_, mut rows) in table(), at: Index, put_in in value(), flip: Index, bit in 0u8..8,
    ) {
        let row = at.index(rows.len());
        let mut flipped = rows[row].clone();
        let place = flip.index(flipped.len());
        flipped[place] ^= 1 << bit;
        if crate::msgpack::value_len(&flipped) == Ok(flipped.len()) {
            let mut rows = rows.clone();
            rows[row] = flipped;
            assert_same(&rows, &rows);
        }
        rows[row] = put_in;
        assert_same(&rows, &rows);
    }

    #[test]
    fn arbitrary_bytes_are_no_plan_or_a_true_one(rows in vec(any::<u8>(), 0..60), count in 1u32..5) {
        if let Some(plan) = plan::Plan::new(&rows, count) {
            prop_assert!(read::are_values(&rows, count));
            let mut blobs = Vec::new();
            plan.put(&mut blobs);
        }
    }

    #[test]
    fn some_columns_are_what_they_are_among_all((_, rows) in table(), wanted in vec(any::<Index>(), 0..4)) {
        for compress in [Compress::None, Compress::Zstd] {
            let (count, rows) = (rows.len() as u32, rows.concat());
            let mut out = Vec::new();
            encode_values(PLACE, &rows, &rows, count, &[], Options { compress, ..Options::default() }, &mut out);
            let (frame, head) = frame_of(&out);
            let contents = Contents::new(&out[..], &frame, &head);
            for side in [Side::Keys, Side::Outcomes] {
                let Some(Block::Columns(all)) = contents.block(side).expect("sound") else { panic!("columns") };
                let wanted: Vec<usize> = wanted.iter().map(|one| one.index(all.columns.len())).collect();
                let some = contents.columns(side, &wanted).expect("sound").expect("columns");
                let expected: Vec<_> = wanted.iter().map(|&column| all.columns[column].clone()).collect();
                prop_assert_eq!(format!("{some:?}"), format!("{expected:?}"));
            }
        }
    }
}

/// The schema of rows, as `row:types:names`.
fn schema_of(rows: &[Vec<u8>]) -> String {
    let (_, head) = through(&rows.concat(), &rows.concat(), rows.len() as u32, Options::default());
    let Some(schema) = &head.layouts().expect("rows").1.schema else { return "msgpack".into() };
    let types: String = schema.types.iter().map(|kind| kind.letter()).collect();
    format!("{}:{types}:{}", schema.row.word(), schema.names.join(","))
}

#[test]
fn each_kind_of_row_has_its_columns() {
    let half = |row: usize| text(["a", "b"][row / 2]);
    let four = |make: &dyn Fn(usize) -> Vec<u8>| (0..4).map(make).collect::<Vec<_>>();
    let labels = ["x".to_owned(), "y".to_owned()];
    let pair = |row: usize| [(text("x"), int(row as i64)), (text("y"), float(9))];
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("scalar:f:", four(&|row| float(row as u64))),
        ("scalar:i:", four(&|row| int(row as i64 - 2))),
        ("scalar:t:", four(&half)),
        ("msgpack", four(&|row| text(&row.to_string()))),
        ("msgpack", four(&|_| vec![0xc3])),
        ("msgpack", four(&|row| if row == 3 { int(1) } else { float(1) })),
        ("list:ift:", four(&|row| list(&[int(1), float(2), half(row)]))),
        ("list:mm:", four(&|row| list(&[text(&row.to_string()), vec![0xc0]]))),
        ("list:m:", four(&|row| list(&[if row == 3 { int(1) } else { float(1) }]))),
        ("list:m:", four(&|_| list(&[vec![0xcf, 255, 255, 255, 255, 255, 255, 255, 255]]))),
        ("list:m:", four(&|_| list(&[vec![0xcc, 1]]))),
        ("msgpack", four(&|_| list(&[]))),
        ("msgpack", four(&|row| list(&vec![int(1); 1 + row / 3]))),
        ("msgpack", four(&|row| if row == 3 { vec![0xdc, 0, 1, 1] } else { vec![0x91, 1] })),
        ("tuple:it:", four(&|row| extension(1, &list(&[int(20240102), half(row)])))),
        ("msgpack", four(&|_| [&[0xc9, 0, 0, 0, 2, 1][..], &list(&[int(1)])].concat())),
        ("msgpack", four(&|_| extension(1, &[list(&[int(1)]), int(2)].concat()))),
        ("dict:if:x,y", four(&|row| dict(&pair(row)))),
        ("msgpack", four(&|_| dict(&[(text("x"), int(1)), (text("x"), int(1))]))),
        ("msgpack", four(&|row| dict(&[(text(&row.to_string()), int(1))]))),
        ("msgpack", four(&|_| dict(&[(int(1), int(1))]))),
        ("msgpack", four(&|_| dict(&[]))),
        ("array:ff:", four(&|row| array("<f8", &[row as u64, 7]))),
        ("array:ii:", four(&|row| array("<i8", &[row as u64, 7]))),
        ("msgpack", four(&|row| array("<i4", &[row as u64, 7]))),
        ("msgpack", four(&|row| array(if row == 3 { "<i8" } else { "<f8" }, &[1]))),
        ("msgpack", four(&|_| array("<f8", &[]))),
        ("series:tff:x,y", four(&|row| series(half(row), &labels, "<f8", &[row as u64, 7]))),
        ("series:mii:x,y", four(&|row| series(vec![0xc0], &labels, "<i8", &[row as u64, 7]))),
        ("series:fff:x,y", four(&|row| series(float(1), &labels, "<f8", &[row as u64, 7]))),
        ("msgpack", four(&|_| series(vec![0xc0], &["x".to_owned(), "x".to_owned()], "<i8", &[1, 7]))),
    ];
    for (number, (expected, rows)) in cases.iter().enumerate() {
        assert_eq!(schema_of(rows), *expected, "case {number}");
        assert_same(rows, rows);
    }
}

#[test]
fn wide_rows_and_many_rows_come_back() {
    for (width, rows) in [(60_000u32, 3), (65_536, 2), (65_537, 2), (300, 33), (1, 70_000), (2, 8), (2, 9)] {
        let floats = (0..rows).map(|row| {
            let items = (0..width).map(|column| float(u64::from(row * 7919 + column)));
            list(&items.collect::<Vec<_>>())
        });
        let floats: Vec<_> = floats.collect();
        let keys: Vec<_> = (0..rows).map(|row| int(row.into())).collect();
        let (read, head) = through(&keys.concat(), &floats.concat(), rows, Options::default());
        assert!(read.values == floats.concat() && read.keys == keys.concat(), "{width} x {rows}");
        assert_eq!(head.layouts().expect("rows").1.schema.is_some(), width <= 65_536);
    }
}

#[test]
fn a_hostile_width_is_no_plan() {
    assert!(plan::Plan::new(&[0xdd, 0xff, 0xff, 0xff, 0xff, 1, 2], u32::MAX).is_none());
    assert!(plan::Plan::new(&[1, 2, 3], u32::MAX).is_none());
    assert!(plan::Plan::new(&[], 1).is_none());
}
