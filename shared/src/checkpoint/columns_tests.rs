//! Rows of numbers there and back, and rows that are none.

use proptest::prelude::*;
use rmp::encode as put;

use super::*;

/// One number, as a row's element.
#[derive(Debug, Clone, Copy)]
enum Number {
    Float(u64),
    Integer(i64),
}

fn write(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Float(bits) => {
            out.push(0xcb);
            out.extend(bits.to_be_bytes());
        }
        Number::Integer(number) => {
            put::write_sint(out, number).expect("memory");
        }
    }
}

fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just((-0.0f64).to_bits()),
        Just(f64::INFINITY.to_bits()),
        Just(0x7ff8_0000_0000_0001),
        Just(0xfff0_0000_dead_beef),
        Just(0x7ff0_0000_0000_0001),
        any::<u64>(),
    ]
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![Just(i64::MIN), Just(i64::MAX), -200i64..70_000, any::<i64>()]
}

fn number(float: bool) -> BoxedStrategy<Number> {
    if float { bits().prop_map(Number::Float).boxed() } else { int().prop_map(Number::Integer).boxed() }
}

/// Rows with each column of one type.
fn table() -> impl Strategy<Value = Vec<Vec<Number>>> {
    proptest::collection::vec(any::<bool>(), 1..6).prop_flat_map(|types| {
        let row: Vec<_> = types.into_iter().map(number).collect();
        proptest::collection::vec(row, 1..20)
    })
}

fn encode(table: &[Vec<Number>], shape: RowKind) -> Vec<u8> {
    let mut out = Vec::new();
    for row in table {
        if shape == RowKind::List {
            put::write_array_len(&mut out, row.len() as u32).expect("memory");
        }
        row.iter().for_each(|number| write(*number, &mut out));
    }
    out
}

fn back(schema: &Schema, bytes: &[u8], count: u32) -> Vec<u8> {
    use crate::checkpoint::{Column, Table};
    let blobs = bytes.chunks_exact(count as usize * 8).zip(&schema.types);
    let columns =
        blobs.map(|(blob, kind)| Column::decode(*kind, &[blob], count).expect("a column")).collect();
    let mut out = Vec::new();
    Table { row: schema.row, names: schema.names.clone(), count, columns }.put_rows(&mut out);
    out
}

proptest! {
    #[test]
    fn numbers_come_back_bit_for_bit(table in table()) {
        let shapes = [RowKind::List, RowKind::Scalar];
        let usable = if table[0].len() == 1 { &shapes[..] } else { &shapes[..1] };
        for &shape in usable {
            let values = encode(&table, shape);
            let count = table.len() as u32;
            let mut bytes = vec![7; 3];
            let schema = transpose(&values, count, &mut bytes).expect("columns");
            prop_assert_eq!(schema.row, shape);
            prop_assert_eq!(back(&schema, &bytes[3..], count), values);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_leave_nothing(
        values in proptest::collection::vec(any::<u8>(), 0..60), count in 1u32..5,
    ) {
        let mut bytes = Vec::new();
        if transpose(&values, count, &mut bytes).is_none() {
            prop_assert!(bytes.is_empty());
        }
    }

    #[test]
    fn every_width_of_integer_is_read(number in any::<u32>()) {
        let wide: [Vec<u8>; 2] = [
            [&[0xd3][..], &i64::from(number).to_be_bytes()].concat(),
            [&[0xcf][..], &u64::from(number).to_be_bytes()].concat(),
        ];
        for values in wide {
            let mut bytes = Vec::new();
            transpose(&values, 1, &mut bytes).expect("a column");
            prop_assert_eq!(bytes, i64::from(number).to_le_bytes());
        }
    }
}

#[test]
fn what_is_no_table_of_numbers_stays_as_it_is() {
    let float = |bits: f64| [&[0xcb][..], &bits.to_be_bytes()].concat();
    let refused: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("an integer among floats", vec![float(1.0), vec![1]]),
        ("a float among integers", vec![vec![1], float(1.0)]),
        ("nil", vec![float(1.0), vec![0xc0]]),
        ("a boolean", vec![vec![0xc3], vec![0xc2]]),
        ("float32", vec![vec![0xca, 0, 0, 0, 0], vec![0xca, 0, 0, 0, 0]]),
        ("beyond int64", vec![vec![0xcf, 255, 255, 255, 255, 255, 255, 255, 255], vec![1]]),
        ("text", vec![vec![0xa1, b'x'], vec![0xa1, b'x']]),
        ("empty lists", vec![vec![0x90], vec![0x90]]),
        ("another width", vec![vec![0x92, 1, 2], vec![0x91, 1]]),
        ("a bare number among lists", vec![vec![0x91, 1], vec![1]]),
        ("nested lists", vec![vec![0x91, 0x91, 1], vec![0x91, 0x91, 1]]),
        ("a list of one float behind a bare one", vec![float(1.0), [vec![0x91], float(1.0)].concat()]),
        ("a cut number", vec![float(1.0), float(1.0)[..8].to_vec()]),
        ("a row too many", vec![vec![1], vec![2], vec![3]]),
    ];
    for (name, rows) in refused {
        let mut bytes = Vec::new();
        assert_eq!(transpose(&rows.concat(), 2, &mut bytes), None, "{name}");
        assert!(bytes.is_empty(), "{name}");
    }
}

#[test]
fn a_hostile_width_allocates_nothing() {
    let mut bytes = Vec::new();
    assert_eq!(transpose(&[0xdd, 0xff, 0xff, 0xff, 0xff, 1, 2], u32::MAX, &mut bytes), None);
    assert_eq!(transpose(&[1, 2, 3], u32::MAX, &mut bytes), None);
    assert_eq!(bytes.capacity(), 0);
}
