//! One item of a row on its way into a column: a float, an integer or a text that its column gives back as the same
//! bytes, or something else.

use crate::msgpack::{self, FLOAT64};

/// What an item is to a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Item<'a> {
    /// A float 64.
    Float,
    /// An integer within int64, written the shortest way; from 0 on that is an unsigned one.
    Int(i64),
    /// UTF-8, its length written the shortest way.
    Text(&'a str),
    /// Anything else.
    Other,
}

/// The first item of `bytes`, and its length.
#[inline]
pub(super) fn item(bytes: &[u8]) -> Option<(Item<'_>, usize)> {
    let other = |bytes| msgpack::value_len(bytes).ok().map(|len| (Item::Other, len));
    match *bytes.first()? {
        FLOAT64 if bytes.len() >= 9 => Some((Item::Float, 9)),
        0x00..=0x7f | 0xe0..=0xff | 0xcc..=0xd3 => match integer(bytes)? {
            (Some(number), len) => Some((Item::Int(number), len)),
            (None, len) => Some((Item::Other, len)),
        },
        marker @ 0xa0..=0xbf => {
            let len = 1 + usize::from(marker & 0x1f);
            let text = std::str::from_utf8(bytes.get(1..len)?);
            Some((text.map_or(Item::Other, Item::Text), len))
        }
        0xd9..=0xdb => {
            let len = msgpack::value_len(bytes).ok()?;
            let text = msgpack::text(&bytes[..len])?;
            let shortest = len - text.len() == text_head(text.len());
            let text = std::str::from_utf8(text).ok().filter(|_| shortest);
            Some((text.map_or(Item::Other, Item::Text), len))
        }
        _ => other(bytes),
    }
}

/// Length of the shortest marker of a text of `len` bytes.
fn text_head(len: usize) -> usize {
    match len {
        0..=31 => 1,
        32..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}

/// An integer that is written the shortest way, and its length.
#[inline]
pub(super) fn integer(bytes: &[u8]) -> Option<(Option<i64>, usize)> {
    #[inline]
    fn wide<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.get(1..=N)?.try_into().ok()
    }
    let within = |number: i64, shortest: bool| shortest.then_some(number);
    Some(match *bytes.first()? {
        marker @ 0x00..=0x7f => (Some(marker.into()), 1),
        marker @ 0xe0..=0xff => (Some((marker as i8).into()), 1),
        0xcc => {
            let number = u8::from_be_bytes(wide(bytes)?);
            (within(number.into(), number > 0x7f), 2)
        }
        0xcd => {
            let number = u16::from_be_bytes(wide(bytes)?);
            (within(number.into(), number > u8::MAX.into()), 3)
        }
        0xce => {
            let number = u32::from_be_bytes(wide(bytes)?);
            (within(number.into(), number > u16::MAX.into()), 5)
        }
        0xcf => {
            let number = u64::from_be_bytes(wide(bytes)?);
            (i64::try_from(number).ok().filter(|_| number > u32::MAX.into()), 9)
        }
        0xd0 => {
            let number = i8::from_be_bytes(wide(bytes)?);
            (within(number.into(), number < -32), 2)
        }
        0xd1 => {
            let number = i16::from_be_bytes(wide(bytes)?);
            (within(number.into(), number < i8::MIN.into()), 3)
        }
        0xd2 => {
            let number = i32::from_be_bytes(wide(bytes)?);
            (within(number.into(), number < i16::MIN.into()), 5)
        }
        0xd3 => {
            let number = i64::from_be_bytes(wide(bytes)?);
            (within(number, number < i32::MIN.into()), 9)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shortest_integers_and_texts_are_taken() {
        for number in (0..64).flat_map(|bit| [(1i64 << bit).wrapping_sub(1), 1 << bit]) {
            for number in [number, number.wrapping_neg()] {
                let mut bytes = Vec::new();
                rmp::encode::write_sint(&mut bytes, number).expect("memory");
                assert_eq!(item(&bytes), Some((Item::Int(number), bytes.len())));
            }
        }
        let longer: [&[u8]; 8] = [
            &[0xcc, 0x7f],
            &[0xcd, 0, 0xff],
            &[0xd1, 1, 0],
            &[0xd0, 0xe0],
            &[0xd2, 0xff, 0xff, 0x80, 0],
            &[0xd3, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0xcf, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in longer.into_iter().chain([&[0xd9, 1, b'x'][..], &[0xa1, 0xff], &[0xca, 0, 0, 0, 0]]) {
            assert_eq!(item(bytes), Some((Item::Other, bytes.len())), "{bytes:02x?}");
            assert_eq!(item(&bytes[..bytes.len() - 1]), None, "{bytes:02x?} cut");
        }
    }
}
