//! The header of a checkpoint: magic, version, and what the file is about.
//!
//! It is written once and never changed. Its first 24 bytes mean the same in every version.

use serde::Deserialize;

use super::{HEAD_LIMIT, pad, pad8, u32_at};

const MAGIC: [u8; 8] = [0x89, b'M', b'N', b'P', b'\r', b'\n', 0x1a, b'\n'];
const FIXED: usize = 24;
/// The format version that is written here.
pub const MAJOR: u16 = 1;
/// What was added to it since.
pub const MINOR: u16 = 1;

/// What a checkpoint says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHeader {
    /// What the values are of, from [`Work::identity`](crate::job::Work::identity).
    pub identity: String,
    /// Unix time in milliseconds.
    pub created: u64,
    /// What wrote it, for people.
    pub software: String,
    /// Drawn at random.
    pub id: [u8; 16],
    /// Names of the values' columns.
    pub columns: Vec<String>,
    /// Names of the keys' fields.
    pub key_columns: Vec<String>,
    /// Where it belongs, if it is a journal.
    pub journal: Option<JournalOf>,
}

/// What the header of a journal says of its checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOf {
    /// The checkpoint's id.
    pub of: [u8; 16],
    /// The checkpoint's length when the journal was begun.
    pub end: u64,
}

/// Why a header cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Nothing like it.
    #[error("not a checkpoint")]
    NotACheckpoint,
    /// The magic says so.
    #[error("line endings were changed: it was copied in text mode")]
    TextMode,
    /// It ends within the header, or its checksum is wrong.
    #[error("damaged header")]
    Damaged,
    /// Another major version.
    #[error("format {0}.{1} is newer than {MAJOR}.{MINOR}")]
    Newer(u16, u16),
}

#[derive(Deserialize)]
struct Map {
    identity: String,
    created: u64,
    software: String,
    id: Id,
    columns: Vec<String>,
    #[serde(default)]
    key_columns: Vec<String>,
    #[serde(default)]
    of: Option<Id>,
    #[serde(default)]
    end: Option<u64>,
}

/// 16 bytes of MessagePack `bin`.
struct Id([u8; 16]);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Id, D::Error> {
        let bytes = bytes::Bytes::deserialize(from)?;
        let id = bytes[..].try_into().map_err(|_| serde::de::Error::custom("an id has 16 bytes"))?;
        Ok(Id(id))
    }
}

impl FileHeader {
    /// What each frame of the file repeats.
    #[must_use]
    pub fn tag(&self) -> u32 {
        u32_at(&self.id, 0)
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        use rmp::encode as put;
        const MEMORY: &str = "memory can be written to";
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&MAJOR.to_le_bytes());
        out.extend_from_slice(&MINOR.to_le_bytes());
        out.resize(FIXED, 0);
        put::write_map_len(&mut out, if self.journal.is_some() { 8 } else { 6 }).expect(MEMORY);
        put::write_str(&mut out, "identity").expect(MEMORY);
        put::write_str(&mut out, &self.identity).expect(MEMORY);
        put::write_str(&mut out, "created").expect(MEMORY);
        put::write_uint(&mut out, self.created).expect(MEMORY);
        put::write_str(&mut out, "software").expect(MEMORY);
        put::write_str(&mut out, &self.software).expect(MEMORY);
        put::write_str(&mut out, "id").expect(MEMORY);
        put::write_bin(&mut out, &self.id).expect(MEMORY);
        for (field, names) in [("columns", &self.columns), ("key_columns", &self.key_columns)] {
            put::write_str(&mut out, field).expect(MEMORY);
            put::write_array_len(&mut out, names.len() as u32).expect(MEMORY);
            for name in names {
                put::write_str(&mut out, name).expect(MEMORY);
            }
        }
        if let Some(JournalOf { of, end }) = &self.journal {
            put::write_str(&mut out, "of").expect(MEMORY);
            put::write_bin(&mut out, of).expect(MEMORY);
            put::write_str(&mut out, "end").expect(MEMORY);
            put::write_uint(&mut out, *end).expect(MEMORY);
        }
        let head_len = (out.len() - FIXED) as u32;
        pad(&mut out, 0);
        out[12..16].copy_from_slice(&head_len.to_le_bytes());
        out[16..20].copy_from_slice(&self.id[..4]);
        let crc = checksum(&out);
        out[20..24].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// How many bytes of the file have to be read for [`decode`](FileHeader::decode), from its first 24.
    pub fn len_from(start: &[u8]) -> Result<u64, HeaderError> {
        if start.len() < MAGIC.len() || start[..MAGIC.len()] != MAGIC {
            return Err(wrong_magic(start));
        }
        if start.len() < FIXED {
            return Err(HeaderError::Damaged);
        }
        let head_len = u32_at(start, 12);
        if head_len > HEAD_LIMIT {
            return Err(HeaderError::Damaged);
        }
        Ok(FIXED as u64 + pad8(head_len.into()))
    }

    /// Reads a header and how long it is; `bytes` may go on behind it.
    pub fn decode(bytes: &[u8]) -> Result<(FileHeader, u64), HeaderError> {
        let len = FileHeader::len_from(bytes)?;
        let header = bytes.get(..len as usize).ok_or(HeaderError::Damaged)?;
        if checksum(header) != u32_at(header, 20) {
            return Err(HeaderError::Damaged);
        }
        let version = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        if version(8) != MAJOR {
            return Err(HeaderError::Newer(version(8), version(10)));
        }
        let map: Map = rmp_serde::from_slice(&header[FIXED..]).map_err(|_| HeaderError::Damaged)?;
        let Map { identity, created, software, id: Id(id), columns, key_columns, of, end } = map;
        let journal = match (of, end) {
            (Some(Id(of)), Some(end)) => Some(JournalOf { of, end }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(HeaderError::Damaged),
        };
        Ok((FileHeader { identity, created, software, id, columns, key_columns, journal }, len))
    }
}

fn checksum(header: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..20]);
    crc.update(&header[FIXED..]);
    crc.finalize()
}

fn wrong_magic(start: &[u8]) -> HeaderError {
    let same = start.iter().zip(MAGIC).filter(|(byte, magic)| *byte == magic).count();
    let stripped = start.len() >= 4 && start[0] & 0x7f == 0x09 && start[1..4] == *b"MNP";
    let line_ends = [&b"\n\x1a\n"[..], b"\r\r\n\x1a", b"\r\n\x1a\r\n"];
    if stripped && (start[0] == 0x09 || line_ends.iter().any(|end| start[4..].starts_with(end))) {
        HeaderError::TextMode
    } else if (start.len() >= 8 && same >= 5) || (!start.is_empty() && MAGIC.starts_with(start)) {
        HeaderError::Damaged
    } else {
        HeaderError::NotACheckpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader {
            identity: "function a:b".into(),
            created: 1_700_000_000_000,
            software: "maniple 0.1.0".into(),
            id: *b"0123456789abcdef",
            columns: vec!["open".into(), "close".into()],
            key_columns: vec!["date".into(), "code".into()],
            journal: None,
        }
    }

    #[test]
    fn a_header_is_read_back() {
        let journal = Some(JournalOf { of: [9; 16], end: 1 << 40 });
        for header in [header(), FileHeader { journal, ..header() }] {
            let bytes = header.encode();
            assert_eq!(bytes.len() % 8, 0);
            assert_eq!(FileHeader::decode(&bytes), Ok((header, bytes.len() as u64)));
        }
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        let bytes = header().encode();
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let error = FileHeader::decode(&flipped).expect_err("a flipped bit");
            let stripped = at == 7;
            assert_eq!(
                error,
                if stripped { HeaderError::TextMode } else { HeaderError::Damaged },
                "bit {at}"
            );
        }
        for len in 1..bytes.len() {
            assert_eq!(FileHeader::decode(&bytes[..len]), Err(HeaderError::Damaged), "cut at {len}");
        }
    }

    #[test]
    fn text_mode_and_strangers_are_told_apart() {
        let bytes = header().encode();
        let to_unix: Vec<u8> = bytes.iter().enumerate().filter(|(at, _)| *at != 4).map(|(_, b)| *b).collect();
        assert_eq!(FileHeader::decode(&to_unix), Err(HeaderError::TextMode));
        let to_dos: Vec<u8> =
            bytes.iter().flat_map(|&b| if b == b'\n' { vec![b'\r', b'\n'] } else { vec![b] }).collect();
        assert_eq!(FileHeader::decode(&to_dos), Err(HeaderError::TextMode));
        assert_eq!(FileHeader::decode(b"date,code\n20240102,000001\n"), Err(HeaderError::NotACheckpoint));
        assert_eq!(FileHeader::decode(b""), Err(HeaderError::NotACheckpoint));
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = header().encode();
        bytes[8..12].copy_from_slice(&[2, 0, 3, 0]);
        let crc = checksum(&bytes);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(FileHeader::decode(&bytes), Err(HeaderError::Newer(2, 3)));
    }
}
