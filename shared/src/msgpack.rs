//! Walking over encoded MessagePack without decoding it: where does this value end?
//!
//! Keys and values travel as bytes (promise P9); the few who must tell one from the next use this. It allocates
//! nothing but for nesting, never recurses, and never reads outside its slice, whatever the bytes say.

/// Deepest nesting that is followed; anything deeper is refused as malformed.
pub const DEPTH_LIMIT: usize = 512;

/// The marker of a float 64.
pub const FLOAT64: u8 = 0xcb;

/// The bytes are not whole MessagePack values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed or cut MessagePack")]
pub struct Malformed;

/// Length in bytes of the first value in `bytes`.
#[inline]
pub fn value_len(bytes: &[u8]) -> Result<usize, Malformed> {
    let (head, children) = step(bytes)?;
    let mut at = head;
    for _ in 0..children {
        let (len, grandchildren) = step(&bytes[at..])?;
        if grandchildren > 0 {
            return nested_len(bytes, head, children);
        }
        at += len;
    }
    Ok(at)
}

/// The same for what has more than one level, which needs memory.
fn nested_len(bytes: &[u8], head: usize, children: u64) -> Result<usize, Malformed> {
    let mut at = head;
    let mut open = vec![children];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let (len, children) = step(&bytes[at..])?;
        at += len;
        if children > 0 {
            if open.len() == DEPTH_LIMIT {
                return Err(Malformed);
            }
            open.push(children);
        }
    }
    Ok(at)
}

/// Of each marker that says it alone: bytes of the value without its children, and how many children. (0, 0) for the
/// others. A table, because this is asked several times for every key and every value that passes.
static HEADS: [(u8, u8); 256] = heads();

const fn heads() -> [(u8, u8); 256] {
    let mut heads = [(0, 0); 256];
    let mut marker = 0;
    while marker < 256 {
        heads[marker] = match marker as u8 {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (1, 0),
            map @ 0x80..=0x8f => (1, 2 * (map & 0x0f)),
            array @ 0x90..=0x9f => (1, array & 0x0f),
            text @ 0xa0..=0xbf => (1 + (text & 0x1f), 0),
            0xcc | 0xd0 => (2, 0),
            0xcd | 0xd1 | 0xd4 => (3, 0),
            0xd5 => (4, 0),
            0xca | 0xce | 0xd2 => (5, 0),
            0xd6 => (6, 0),
            0xcb | 0xcf | 0xd3 => (9, 0),
            0xd7 => (10, 0),
            0xd8 => (18, 0),
            0xc1 | 0xc4..=0xc9 | 0xd9..=0xdf => (0, 0),
        };
        marker += 1;
    }
    heads
}

/// (bytes of the first value without its children, number of children)
#[inline]
fn step(bytes: &[u8]) -> Result<(usize, u64), Malformed> {
    let &marker = bytes.first().ok_or(Malformed)?;
    let (len, children) = match HEADS[usize::from(marker)] {
        (0, _) => sized(bytes, marker)?,
        (len, children) => (usize::from(len), u64::from(children)),
    };
    if len > bytes.len() { Err(Malformed) } else { Ok((len, children)) }
}

/// The same for markers with a length or a count behind them.
fn sized(bytes: &[u8], marker: u8) -> Result<(usize, u64), Malformed> {
    Ok(match marker {
        0xc4 | 0xd9 => (2 + be(bytes, 1)? as usize, 0),
        0xc5 | 0xda => (3 + be(bytes, 2)? as usize, 0),
        0xc6 | 0xdb => (5 + be(bytes, 4)? as usize, 0),
        0xc7 => (3 + be(bytes, 1)? as usize, 0),
        0xc8 => (4 + be(bytes, 2)? as usize, 0),
        0xc9 => (6 + be(bytes, 4)? as usize, 0),
        0xdc => (3, be(bytes, 2)?),
        0xdd => (5, be(bytes, 4)?),
        0xde => (3, 2 * be(bytes, 2)?),
        0xdf => (5, 2 * be(bytes, 4)?),
        _ => return Err(Malformed),
    })
}

/// The big-endian number of `width` bytes behind the marker.
#[inline]
fn be(bytes: &[u8], width: usize) -> Result<u64, Malformed> {
    let field = bytes.get(1..=width).ok_or(Malformed)?;
    Ok(field.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// The values that lie one behind the other in `bytes`; ends after the first malformed one.
pub fn values(bytes: &[u8]) -> Values<'_> {
    Values { rest: bytes }
}

/// Iterator over concatenated values, see [`values`].
#[derive(Debug, Clone)]
pub struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<&'a [u8], Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match value_len(self.rest) {
            Ok(len) => {
                let (value, rest) = self.rest.split_at(len);
                self.rest = rest;
                Some(Ok(value))
            }
            Err(malformed) => {
                self.rest = &[];
                Some(Err(malformed))
            }
        }
    }
}

/// The bytes of a text, if `value` is one.
#[must_use]
pub fn text(value: &[u8]) -> Option<&[u8]> {
    let head = match *value.first()? {
        0xa0..=0xbf => 1,
        0xd9 => 2,
        0xda => 3,
        0xdb => 5,
        _ => return None,
    };
    value.get(head..)
}

/// Type of an extension at the start of `bytes`, if one is there, length of its marker, and of its data.
#[must_use]
pub fn extension_header(bytes: &[u8]) -> Option<(i8, usize, usize)> {
    let (width, len) = match *bytes.first()? {
        marker @ 0xd4..=0xd8 => (0, 1 << (marker - 0xd4)),
        marker @ 0xc7..=0xc9 => {
            let width = 1 << (marker - 0xc7);
            (width, usize::try_from(be(bytes, width).ok()?).ok()?)
        }
        _ => return None,
    };
    Some((*bytes.get(1 + width)? as i8, 2 + width, len))
}

/// Length and entry count of a map's marker at the start of `bytes`, if one is there.
#[must_use]
pub fn map_header(bytes: &[u8]) -> Option<(usize, u64)> {
    match *bytes.first()? {
        marker @ 0x80..=0x8f => Some((1, u64::from(marker & 0x0f))),
        0xde => Some((3, be(bytes, 2).ok()?)),
        0xdf => Some((5, be(bytes, 4).ok()?)),
        _ => None,
    }
}

/// Length and element count of an array's marker at the start of `bytes`, if one is there.
#[must_use]
pub fn array_header(bytes: &[u8]) -> Option<(usize, u64)> {
    match *bytes.first()? {
        marker @ 0x90..=0x9f => Some((1, u64::from(marker & 0x0f))),
        0xdc => Some((3, be(bytes, 2).ok()?)),
        0xdd => Some((5, be(bytes, 4).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_measured() {
        use rmp::encode as put;
        let mut all: Vec<Vec<u8>> = Vec::new();
        let mut add = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = Vec::new();
            write(&mut bytes);
            all.push(bytes);
        };
        for number in [0i64, 127, 128, -1, -32, -33, 255, 256, 65_536, i64::MIN, i64::MAX] {
            add(&|b| {
                put::write_sint(b, number).expect("memory");
            });
        }
        for len in [0usize, 1, 31, 32, 255, 256, 65_535, 65_536] {
            add(&|b| put::write_str(b, &"x".repeat(len)).expect("memory"));
            add(&|b| put::write_bin(b, &vec![7; len]).expect("memory"));
            add(&|b| {
                put::write_ext_meta(b, len as u32, 5).expect("memory");
                b.extend(vec![1; len]);
            });
            add(&|b| {
                put::write_array_len(b, len as u32).expect("memory");
                (0..len).for_each(|_| put::write_nil(b).expect("memory"));
            });
            add(&|b| {
                put::write_map_len(b, len as u32).expect("memory");
                (0..len * 2).for_each(|_| put::write_f64(b, 0.5).expect("memory"));
            });
        }
        let joined: Vec<u8> = all.concat();
        let split: Vec<&[u8]> = values(&joined).collect::<Result<_, _>>().expect("well formed");
        assert_eq!(split, all);
        for bytes in &all {
            assert_eq!(value_len(bytes), Ok(bytes.len()));
            assert_eq!(value_len(&bytes[..bytes.len() - 1]), Err(Malformed), "a cut value is refused");
        }
    }

    #[test]
    fn hostile_bytes_end_as_an_error() {
        assert_eq!(value_len(&[0xdd, 0xff, 0xff, 0xff, 0xff]), Err(Malformed));
        assert_eq!(value_len(&[0xc1]), Err(Malformed));
        assert_eq!(value_len(&vec![0x91; 2_000_000]), Err(Malformed));
        assert_eq!(value_len(&[]), Err(Malformed));
    }
}
