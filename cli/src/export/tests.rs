//! What a table and a line of JSON make of each kind of item.

use arrow_array::{Array, cast::AsArray, types::Float64Type};
use rmp::encode as put;
use shared::checkpoint::Column;

use super::{
    array::array,
    cell::{Cell, Seen, Type},
    filter::Where,
    json,
    row::{Row, Shape},
};

fn made(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

fn float(number: f64) -> Vec<u8> {
    made(|out| put::write_f64(out, number).expect("memory"))
}

fn extension(kind: i8, data: &[u8]) -> Vec<u8> {
    made(|out| {
        put::write_ext_meta(out, data.len() as u32, kind).expect("memory");
        out.extend_from_slice(data);
    })
}

/// Extension 4: a one-dimensional array.
fn numbers(dtype: &str, numbers: &[[u8; 8]]) -> Vec<u8> {
    let data = made(|out| {
        put::write_array_len(out, 3).expect("memory");
        put::write_str(out, dtype).expect("memory");
        put::write_array_len(out, 1).expect("memory");
        put::write_uint(out, numbers.len() as u64).expect("memory");
        put::write_bin(out, numbers.as_flattened()).expect("memory");
    });
    extension(4, &data)
}

fn named(names: &[&str]) -> Shape {
    Shape::Named(names.iter().map(|&name| name.to_owned()).collect())
}

#[test]
fn json_loses_nothing_that_it_has_a_word_for() {
    let tuple = extension(1, &[0x92, 1, 0xc0]);
    let beyond = extension(2, &[0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let u64_max = made(|out| {
        put::write_uint(out, u64::MAX).expect("memory");
    });
    for (value, expected) in [
        (float(0.1), "0.1"),
        (float(-0.0), "-0.0"),
        (float(1e300), "1e300"),
        (float(f64::NAN), r#"{"$float":"nan"}"#),
        (float(f64::NEG_INFINITY), r#"{"$float":"-inf"}"#),
        (u64_max, "18446744073709551615"),
        (beyond, "18446744073709551616"),
        (tuple, "[1,null]"),
        (vec![0x81, 0xa1, b'"', 0xc3], r#"{"\"":true}"#),
        (vec![0x80], "{}"),
        (vec![0x81, 1, 0x90], r#"{"$map":[[1,[]]]}"#),
        (vec![0xc4, 2, 0, 0xff], r#"{"$bytes":"AP8="}"#),
        (vec![0xa1, 0xff], r#"{"$bytes":"/w=="}"#),
        (extension(3, b"x"), r#"{"$pickle":"eA=="}"#),
        (extension(9, b"x"), r#"{"$type":9,"$bytes":"eA=="}"#),
        (numbers("<i8", &[7i64.to_le_bytes()]), "[7]"),
    ] {
        assert_eq!(json::text(&value), expected);
        let _parsed: serde_json::Value = serde_json::from_str(expected).expect("it is JSON");
    }
}

#[test]
fn rows_are_taken_apart_as_columns_are() {
    let array = numbers("<f8", &[0.5f64.to_le_bytes(), f64::NAN.to_le_bytes()]);
    let row = Row::of(&array);
    assert_eq!((row.shape, row.items[0].to_vec()), (Shape::Many(2), float(0.5)));
    let series = made(|out| {
        out.extend([0x93, 0xc0, 0x92, 0xa1, b'a', 0xa1, b'b']);
        out.extend(&array);
    });
    assert_eq!(Row::of(&extension(5, &series)).shape, named(&["a", "b"]));
    assert_eq!(Row::of(&[0x81, 1, 2]).shape, Shape::One, "names are texts");
    assert_eq!(Row::of(&numbers("<c8", &[[0; 8]])).shape, Shape::One);
    assert_eq!(Row::of(&[0xc0]).shape, Shape::One);
}

#[test]
fn names_may_come_in_any_order() {
    let (ours, theirs) = (named(&["a", "b", "c"]), named(&["c", "a", "b"]));
    assert!(ours.is_like(&theirs) && !ours.is_like(&named(&["a", "b", "d"])));
    assert_eq!(ours.places(&theirs, &[0, 2]), [1, 0]);
}

#[test]
fn a_column_has_the_narrowest_type_that_holds_it() {
    let kind = |cells: &[Cell<'_>]| {
        let mut seen = Seen::default();
        cells.iter().all(|&cell| seen.add(cell)).then(|| seen.kind())
    };
    assert_eq!(kind(&[Cell::Null]), Some(Type::Float64));
    assert_eq!(kind(&[Cell::Null, Cell::Bool(true)]), Some(Type::Bool));
    assert_eq!(kind(&[Cell::Int(1), Cell::Null, Cell::Float(0.5), Cell::Int(2)]), Some(Type::Float64));
    assert_eq!(kind(&[Cell::Text("x"), Cell::Text("")]), Some(Type::Text));
    assert_eq!(kind(&[Cell::Int(1), Cell::Text("1")]), None);
    assert_eq!(kind(&[Cell::Int(1), Cell::Bool(true)]), None, "true is not 1");
    assert_eq!(kind(&[Cell::Other]), None);
}

#[test]
fn an_integer_among_floats_is_exact_or_refused() {
    let exact = array(Column::Int64(vec![1, 1 << 53, i64::MIN]), Type::Float64, 3).expect("exact");
    let exact = exact.as_primitive::<Float64Type>();
    assert_eq!(exact.values()[..], [1.0, 9_007_199_254_740_992.0, i64::MIN as f64]);
    for odd in [(1 << 53) + 1, i64::MAX] {
        let misfit = array(Column::Int64(vec![0, odd]), Type::Float64, 2).expect_err("not exact");
        assert!(misfit.row == 1 && misfit.why.starts_with(&odd.to_string()), "{misfit:?}");
    }
}

#[test]
fn a_column_of_json_has_nulls_too() {
    let column = Column::Packed(vec![0xc0, 0x91, 1]);
    let texts = array(column, Type::Json, 2).expect("texts");
    assert!(texts.is_null(0));
    assert_eq!(texts.as_string::<i32>().value(1), "[1]");
}

#[test]
fn a_condition_names_a_column_and_its_values() {
    for text in ["", "date", "date=", "=1", "date=.."] {
        assert!(text.parse::<Where>().is_err(), "{text}");
    }
    for text in ["date=1..", "date=..1", "date=1..2", "date=1,2", "code=a=b"] {
        assert!(text.parse::<Where>().is_ok(), "{text}");
    }
}
