//! A value as JSON that loses nothing which JSON has a word for, and wraps the rest in an object whose name begins with
//! `$` (docs/cli.md).
//!
//! Invariant: what is written is JSON after RFC 8259, so no `NaN` stands in it.

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use num_bigint::BigInt;
use shared::msgpack;

use super::{
    cell::Cell,
    row::{Row, Shape},
};

const INTEGER: i8 = 2;
const OBJECT: i8 = 3;
const MEMORY: &str = "memory can be written to";

/// The text of one whole value.
pub fn text(value: &[u8]) -> String {
    let mut out = String::new();
    put(value, &mut out);
    out
}

/// Appends the text of one whole value.
pub fn put(value: &[u8], out: &mut String) {
    match Cell::of(value) {
        Cell::Null => out.push_str("null"),
        Cell::Bool(value) => write!(out, "{value}").expect(MEMORY),
        Cell::Int(value) => write!(out, "{value}").expect(MEMORY),
        Cell::Float(value) if value.is_finite() => write!(out, "{value:?}").expect(MEMORY),
        Cell::Float(value) if value.is_nan() => out.push_str(r#"{"$float":"nan"}"#),
        Cell::Float(value) => write!(out, r#"{{"$float":"{value:?}"}}"#).expect(MEMORY),
        Cell::Text(value) => put_text(value, out),
        Cell::Other => put_other(value, out),
    }
}

fn put_other(value: &[u8], out: &mut String) {
    if let Ok(number) = rmp::decode::read_int::<u64, _>(&mut &*value) {
        return write!(out, "{number}").expect(MEMORY);
    }
    let row = Row::of(value);
    match row.shape {
        Shape::Many(_) => put_items(row.items.iter().map(AsRef::as_ref), out),
        Shape::Named(names) => {
            let mut before = '{';
            for (name, item) in names.iter().zip(&row.items) {
                out.push(before);
                put_text(name, out);
                out.push(':');
                put(item, out);
                before = ',';
            }
            out.push_str(if before == '{' { "{}" } else { "}" });
        }
        Shape::One => match (msgpack::map_header(value), msgpack::extension_header(value)) {
            (Some((head, _)), _) => {
                let items: Vec<&[u8]> = msgpack::values(&value[head..]).flatten().collect();
                let mut before = r#"{"$map":["#;
                for pair in items.chunks(2) {
                    out.push_str(before);
                    put_items(pair.iter().copied(), out);
                    before = ",";
                }
                out.push_str("]}");
            }
            (_, Some((INTEGER, head, _))) => {
                write!(out, "{}", BigInt::from_signed_bytes_le(&value[head..])).expect(MEMORY);
            }
            (_, Some((OBJECT, head, _))) => put_bytes("$pickle", &value[head..], out),
            (_, Some((kind, head, _))) => {
                write!(out, r#"{{"$type":{kind},"$bytes":"{}"}}"#, BASE64_STANDARD.encode(&value[head..]))
                    .expect(MEMORY);
            }
            (None, None) => {
                let bytes = rmp::decode::read_bin_len(&mut &*value).map(|len| len as usize).ok();
                let text = msgpack::text(value).map(<[u8]>::len);
                let len = bytes.or(text).unwrap_or(value.len()).min(value.len());
                put_bytes("$bytes", &value[value.len() - len..], out);
            }
        },
    }
}

fn put_items<'a>(items: impl Iterator<Item = &'a [u8]>, out: &mut String) {
    out.push('[');
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push(',');
        }
        put(item, out);
    }
    out.push(']');
}

fn put_bytes(name: &str, bytes: &[u8], out: &mut String) {
    write!(out, r#"{{"{name}":"{}"}}"#, BASE64_STANDARD.encode(bytes)).expect(MEMORY);
}

fn put_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a text is JSON"));
}
