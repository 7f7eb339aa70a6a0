//! Tasks that are lines of JSON, written as MessagePack while they are parsed: no tree of values in between.
//!
//! An array, an object or a scalar a line; blank lines are no tasks. Integers are those of 64 bits, signed or not: a
//! larger one is refused rather than narrowed to a float. So is an object that names a field twice. Fields of an
//! object keep their order. Floats are exact.

use std::fmt;

use rmp::encode as put;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{
    Room,
    error::Fault,
    lines::{Lines, Next},
};

/// Up to here names are compared one by one; beyond, they are sorted.
const FEW_FIELDS: usize = 16;
/// Integers from here on are floats to the parser: 2^63, below which none is.
const MAYBE_INTEGER: f64 = 9_223_372_036_854_775_808.0;

/// Reads tasks that are lines of JSON.
#[derive(Debug)]
pub(super) struct JsonLines {
    lines: Lines,
    /// Where the names of the objects that are open start and end in the output.
    names: Vec<(usize, usize)>,
}

impl JsonLines {
    pub(super) fn new(lines: Lines) -> JsonLines {
        JsonLines { lines, names: Vec::new() }
    }

    pub(super) fn read(&mut self, keys: &mut Vec<u8>, room: Room) -> Result<u32, Fault> {
        let mut count = 0;
        while room.is_left(count, keys) {
            match self.lines.next(count == 0)? {
                Next::Line(line) if line.iter().all(u8::is_ascii_whitespace) => {}
                Next::Line(line) => {
                    let start = keys.len();
                    let encoded = encode(line, keys, &mut self.names);
                    let checked = encoded.and_then(|()| room.check_key(keys, start));
                    checked.map_err(|what| Fault::Line(self.lines.number(), what))?;
                    count += 1;
                }
                Next::Dry | Next::End => break,
            }
        }
        Ok(count)
    }
}

/// Appends the MessagePack of one line of JSON, or says what is wrong with the line.
pub(super) fn encode(line: &[u8], out: &mut Vec<u8>, names: &mut Vec<(usize, usize)>) -> Result<(), String> {
    let start = out.len();
    names.clear();
    let mut parser = serde_json::Deserializer::from_slice(line);
    let mut encoder = Encoder { out, names, doubtful: false };
    let parsed = (&mut encoder).deserialize(&mut parser).and_then(|()| parser.end());
    let doubtful = encoder.doubtful;
    parsed.map_err(|error| describe(&error, line))?;
    if doubtful && let Some(mended) = check_integers(line)? {
        out.truncate(start);
        return encode(&mended, out, names);
    }
    Ok(())
}

/// The parser turns integers beyond 64 bits, and `-0`, into floats. Looks at the line itself: the former are refused, the
/// latter becomes `0` in a copy of the line.
#[cold]
fn check_integers(line: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut mended = None;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'"' => {
                at += 1;
                while line.get(at).is_some_and(|&byte| byte != b'"') {
                    at += if line[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let rest = &line[at..];
                let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
                let number = std::str::from_utf8(&rest[..length]).expect("digits and signs are ASCII");
                if number == "-0" {
                    mended.get_or_insert_with(|| line.to_vec())[at] = b' ';
                } else if !number.contains(['.', 'e', 'E'])
                    && number.parse::<i64>().is_err()
                    && number.parse::<u64>().is_err()
                {
                    return Err(format!(
                        "{number} at column {} does not fit in 64 bits; make it a string",
                        at + 1
                    ));
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    Ok(mended)
}

/// The parser's words without its "line 1", which is always 1 here.
fn describe(error: &serde_json::Error, line: &[u8]) -> String {
    let text = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    let text = match text.strip_suffix(&suffix).unwrap_or(&text) {
        "expected ident" => "expected value".to_owned(),
        text => text.replace('`', "'"),
    };
    let before = &line[..error.column().min(line.len())];
    let column = String::from_utf8_lossy(before).chars().count().max(1);
    let rest = &line[before.len().saturating_sub(1)..];
    if let Some(what) = text.strip_prefix("EOF while parsing ") {
        return format!("the line ends within {what}");
    }
    let is_no_number = rest.starts_with(b"NaN") || rest.starts_with(b"Infinity");
    let hint = if is_no_number { " (JSON has no NaN and no Infinity; a .msgpack file has)" } else { "" };
    format!("{text} at column {column}{hint}")
}

struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    names: &'a mut Vec<(usize, usize)>,
    /// Whether there is a float that may have been an integer in the text.
    doubtful: bool,
}

impl Encoder<'_> {
    /// Writes the head of an array or a map where one byte was kept free for it.
    #[inline]
    fn put_head(&mut self, at: usize, count: usize, few: u8, wide: u8) {
        match count {
            0..=15 => self.out[at] = few | count as u8,
            16..=0xffff => {
                let [high, low] = (count as u16).to_be_bytes();
                self.out.splice(at..=at, [wide, high, low]);
            }
            _ => {
                let [a, b, c, d] = (count as u32).to_be_bytes();
                self.out.splice(at..=at, [wide + 1, a, b, c, d]);
            }
        }
    }

    /// A name that occurs twice among those from `first` on.
    fn repeated(&mut self, first: usize) -> Option<String> {
        let Encoder { out, names, .. } = self;
        let name = |&(start, end): &(usize, usize)| &out[start..end];
        let names = &mut names[first..];
        let twice = if names.len() <= FEW_FIELDS {
            (1..names.len()).find(|&i| names[..i].iter().any(|other| name(other) == name(&names[i])))
        } else {
            names.sort_unstable_by(|a, b| name(a).cmp(name(b)));
            (1..names.len()).find(|&i| name(&names[i - 1]) == name(&names[i]))
        };
        twice.map(|i| String::from_utf8_lossy(name(&names[i])).into_owned())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Encoder<'_> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Encoder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    #[inline]
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        put::write_nil(self.out).map_err(E::custom)
    }

    #[inline]
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        put::write_bool(self.out, value).map_err(E::custom)
    }

    #[inline]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        put::write_sint(self.out, value).map(|_| ()).map_err(E::custom)
    }

    #[inline]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        put::write_uint(self.out, value).map(|_| ()).map_err(E::custom)
    }

    #[inline]
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.doubtful |= value.abs() >= MAYBE_INTEGER || (value == 0.0 && value.is_sign_negative());
        put::write_f64(self.out, value).map_err(E::custom)
    }

    #[inline]
    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        put::write_str(self.out, value).map_err(E::custom)
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let at = self.out.len();
        self.out.push(0);
        let mut count = 0;
        while items.next_element_seed(&mut *self)?.is_some() {
            count += 1;
        }
        self.put_head(at, count, 0x90, 0xdc);
        Ok(())
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let (at, first) = (self.out.len(), self.names.len());
        self.out.push(0);
        loop {
            let Some(name) = fields.next_key_seed(Name { out: self.out })? else { break };
            self.names.push(name);
            fields.next_value_seed(&mut *self)?;
        }
        if let Some(name) = self.repeated(first) {
            return Err(de::Error::custom(format!("field {name:?} is given twice")));
        }
        let count = self.names.len() - first;
        self.names.truncate(first);
        self.put_head(at, count, 0x80, 0xde);
        Ok(())
    }
}

/// The name of a field; its value is where the text starts and ends in the output.
struct Name<'a> {
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = (usize, usize);

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = (usize, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        put::write_str(self.out, name).map_err(E::custom)?;
        Ok((self.out.len() - name.len(), self.out.len()))
    }
}
