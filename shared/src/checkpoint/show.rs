//! A key as people read it: `[20240102, "000001"]`. For messages only; nothing reads it back.

use std::fmt::Write;

use crate::msgpack::{array_header, value_len};

/// Longest text that is made of one key.
const TEXT_LIMIT: usize = 80;

/// The text of one MessagePack value.
#[must_use]
pub fn key(bytes: &[u8]) -> String {
    let mut text = String::new();
    if put(bytes, &mut text).is_none() {
        text.push_str("(unreadable)");
    }
    if text.chars().count() > TEXT_LIMIT {
        text = text.chars().take(TEXT_LIMIT).chain("..".chars()).collect();
    }
    text
}

fn put(bytes: &[u8], text: &mut String) -> Option<()> {
    use rmp::decode as take;
    if let Some((head, count)) = array_header(bytes) {
        let mut rest = bytes.get(head..)?;
        text.push('[');
        for index in 0..count {
            if text.len() > TEXT_LIMIT {
                break;
            }
            if index > 0 {
                text.push_str(", ");
            }
            let len = value_len(rest).ok()?;
            match array_header(rest) {
                Some(_) => text.push_str("[..]"),
                None => put(&rest[..len], text)?,
            }
            rest = &rest[len..];
        }
        text.push(']');
        return Some(());
    }
    let written = match *bytes.first()? {
        0xc0 => write!(text, "null"),
        0xc2 => write!(text, "false"),
        0xc3 => write!(text, "true"),
        0xca => write!(text, "{:?}", take::read_f32(&mut &*bytes).ok()?),
        0xcb => write!(text, "{:?}", take::read_f64(&mut &*bytes).ok()?),
        0xcf => write!(text, "{}", take::read_u64(&mut &*bytes).ok()?),
        0x00..=0x7f | 0xe0..=0xff | 0xcc..=0xce | 0xd0..=0xd3 => {
            write!(text, "{}", take::read_int::<i64, _>(&mut &*bytes).ok()?)
        }
        0xa0..=0xbf | 0xd9..=0xdb => write!(text, "{:?}", take::read_str_from_slice(bytes).ok()?.0),
        _ => write!(text, "({} bytes)", bytes.len()),
    };
    written.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_as_people_write_them() {
        let mut bytes = vec![0x96, 0xc0, 0xc3, 0xd0, 0x85, 0x91, 0x01];
        rmp::encode::write_str(&mut bytes, "000001").expect("memory");
        rmp::encode::write_f64(&mut bytes, 1.0).expect("memory");
        assert_eq!(key(&bytes), r#"[null, true, -123, [..], "000001", 1.0]"#);
        assert_eq!(key(&[0xc4, 2, 1, 2]), "(4 bytes)");
        assert_eq!(key(&[0xa5, b'x']), "(unreadable)");
        let mut long = Vec::new();
        rmp::encode::write_str(&mut long, &"é".repeat(500)).expect("memory");
        assert!(key(&long).chars().count() <= TEXT_LIMIT + 2);
    }
}
