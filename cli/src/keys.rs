//! A task's key for people: MessagePack as text that looks like JSON, cut where it gets long.
//!
//! It is for messages only; nothing reads it back. Binary is `b"..."`, an extension type `ext(5, b"...")`.

use std::fmt::{self, Write};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Longest text, in characters.
const LONGEST: usize = 80;
/// Longest key, in bytes, that is given to programs as it is.
const LONGEST_JSON: usize = 4096;
const CUT: &str = "...";
/// The extension type of a tuple, see docs/values.md.
const TUPLE: i8 = 1;

/// The key in at most 80 characters.
pub fn text(key: &[u8]) -> String {
    let mut out = Text { text: String::new(), room: LONGEST };
    let mut parser = rmp_serde::Deserializer::from_read_ref(key);
    match (Writer { out: &mut out }).deserialize(&mut parser) {
        Ok(()) => out.text,
        Err(_) if out.room == 0 => {
            let keep = LONGEST - CUT.len();
            let end = out.text.char_indices().nth(keep).map_or(out.text.len(), |(at, _)| at);
            out.text.truncate(end);
            out.text + CUT
        }
        Err(_) => "(malformed key)".to_owned(),
    }
}

/// A key or value as a whole, as JSON where JSON has a word for it.
pub fn whole(value: &[u8]) -> String {
    let mut out = Text { text: String::new(), room: usize::MAX };
    let mut parser = rmp_serde::Deserializer::from_read_ref(value);
    match (Writer { out: &mut out }).deserialize(&mut parser) {
        Ok(()) => out.text,
        Err(_) => "\"(malformed value)\"".to_owned(),
    }
}

/// The key as JSON, for programs; as [`text`] where JSON has no word for it or the key is long.
pub fn json(key: &[u8]) -> serde_json::Value {
    let value = if key.len() <= LONGEST_JSON { rmp_serde::from_slice(key).ok() } else { None };
    value.unwrap_or_else(|| serde_json::Value::String(text(key)))
}

/// A text that takes no more than `room` further characters, and fails beyond.
struct Text {
    text: String,
    room: usize,
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for c in more.chars() {
            if self.room == 0 {
                return Err(fmt::Error);
            }
            self.text.push(c);
            self.room -= 1;
        }
        Ok(())
    }
}

struct Writer<'a> {
    out: &'a mut Text,
}

impl Writer<'_> {
    fn put<E: de::Error>(self, text: fmt::Arguments<'_>) -> Result<(), E> {
        self.out.write_fmt(text).map_err(E::custom)
    }

    fn again(&mut self) -> Writer<'_> {
        Writer { out: self.out }
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MessagePack value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.put(format_args!("null"))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.put(format_args!("{value}"))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.put(format_args!("{value}"))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.put(format_args!("{value}"))
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<(), E> {
        self.put(format_args!("{value:?}"))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.put(format_args!("{value:?}"))
    }

    fn visit_str<E: de::Error>(mut self, value: &str) -> Result<(), E> {
        self.again().put(format_args!("\""))?;
        for c in value.chars() {
            match c {
                '"' => self.again().put(format_args!("\\\""))?,
                '\\' => self.again().put(format_args!("\\\\"))?,
                '\n' => self.again().put(format_args!("\\n"))?,
                '\r' => self.again().put(format_args!("\\r"))?,
                '\t' => self.again().put(format_args!("\\t"))?,
                // Nothing that a task is called may move the cursor of a terminal.
                c if c.is_control() => self.again().put(format_args!("\\u{:04x}", u32::from(c)))?,
                c => self.again().put(format_args!("{c}"))?,
            }
        }
        self.put(format_args!("\""))
    }

    fn visit_bytes<E: de::Error>(mut self, value: &[u8]) -> Result<(), E> {
        self.again().put(format_args!("b\""))?;
        for &byte in value {
            match byte {
                b'"' | b'\\' => self.again().put(format_args!("\\{}", byte as char))?,
                0x20..=0x7e => self.again().put(format_args!("{}", byte as char))?,
                _ => self.again().put(format_args!("\\x{byte:02x}"))?,
            }
        }
        self.put(format_args!("\""))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(mut self, parser: D) -> Result<(), D::Error> {
        let (kind, data) = <(i8, &[u8])>::deserialize(parser)?;
        if kind == TUPLE {
            let mut items = rmp_serde::Deserializer::from_read_ref(data);
            return self.again().deserialize(&mut items).map_err(de::Error::custom);
        }
        self.again().put(format_args!("ext({kind}, "))?;
        self.again().visit_bytes(data)?;
        self.put(format_args!(")"))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let mut before = "";
        self.again().put(format_args!("["))?;
        while items.next_element_seed(Item { before, out: self.out })?.is_some() {
            before = ",";
        }
        self.put(format_args!("]"))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let mut before = "";
        self.again().put(format_args!("{{"))?;
        while fields.next_key_seed(Item { before, out: self.out })?.is_some() {
            fields.next_value_seed(Item { before: ":", out: self.out })?;
            before = ",";
        }
        self.put(format_args!("}}"))
    }
}

/// An element, with what stands before it.
struct Item<'a> {
    before: &'static str,
    out: &'a mut Text,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        let mut writer = Writer { out: self.out };
        writer.again().put(format_args!("{}", self.before))?;
        writer.deserialize(parser)
    }
}

#[cfg(test)]
mod tests {
    use rmp::encode as put;
    use serde_json::json;

    use super::{json, text, whole};

    #[test]
    fn keys_look_like_json() {
        for value in
            [json!([20240102, "000001"]), json!({"a": [1.5, null], "b": {}}), json!(-7), json!("é\n\"\\")]
        {
            let key = rmp_serde::to_vec(&value).expect("any value");
            assert_eq!(text(&key), value.to_string());
            assert_eq!(json(&key), value);
        }
        assert_eq!(text(&rmp_serde::to_vec(&[1.0, f64::NAN, 1e300]).expect("floats")), "[1.0,NaN,1e300]");
        assert_eq!(text(&rmp_serde::to_vec("\u{1b}[2J\u{7f}").expect("text")), "\"\\u001b[2J\\u007f\"");
    }

    #[test]
    fn what_json_has_no_word_for_is_shown() {
        assert_eq!(text(&[0xc4, 4, 0, 0xff, b'a', b'"']), r#"b"\x00\xffa\"""#);
        assert_eq!(text(&[0xd5, 5, b'h', b'i']), r#"ext(5, b"hi")"#);
        assert_eq!(text(&[0xa2, 0xff, b'a']), r#"b"\xffa""#, "a text that is no UTF-8");
        assert_eq!(text(&[0x81, 0x01, 0xc3]), "{1:true}");
        assert_eq!(json(&[0xd5, 5, b'h', b'i']), json!(r#"ext(5, b"hi")"#));
        for malformed in [&[0x92, 1][..], &[0xc1], &[]] {
            assert_eq!(text(malformed), "(malformed key)");
        }
    }

    #[test]
    fn a_long_key_is_cut() {
        let long = rmp_serde::to_vec(&"x".repeat(5_000)).expect("memory");
        assert_eq!(whole(&long).len(), 5_002, "but not where it is a result");
        assert_eq!(whole(&[0xc7, 3, 1, 0x92, 1, 2]), "[1,2]", "a tuple");
        let mut key = Vec::new();
        put::write_str(&mut key, &"é".repeat(78)).expect("memory");
        assert_eq!(text(&key), format!("\"{}\"", "é".repeat(78)));
        key.clear();
        put::write_str(&mut key, &"é".repeat(79)).expect("memory");
        assert_eq!(text(&key), format!("\"{}...", "é".repeat(76)));
        let list = rmp_serde::to_vec(&vec![1234; 100_000]).expect("a list");
        assert_eq!(text(&list).len(), 80);
        assert_eq!(json(&list), json!(text(&list)));
        assert_eq!(text(&vec![0x91; 100_000]), format!("{}...", "[".repeat(77)));
    }
}
