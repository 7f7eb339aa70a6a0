//! The manifest: which files there are, and of which segments each one consists. Pure, but for JSON.
//!
//! It is a text of its own beside what is worked with, since others read it by its document
//! (`docs/checkpoint-format.md`). Invariant: what [`Manifest::decode`] accepts has names that cannot lead out of the
//! checkpoint's own folder, and lengths that add up.

use std::{collections::BTreeMap, io};

use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;

/// A run of bytes of a file, which lies in an object of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The last part of the object's name.
    pub name: String,
    /// How long it is; never 0.
    pub len: u64,
    /// Its CRC-32.
    pub crc: u32,
}

/// A file: its number, which no other one ever has, and its segments in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileEntry {
    pub id: u64,
    pub segments: Vec<Segment>,
}

impl FileEntry {
    pub fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

/// All files of a checkpoint, by what their names have behind the checkpoint's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// How often the checkpoint has been taken by a writer.
    pub epoch: u64,
    /// The last one: 16 random bytes.
    pub writer: String,
    /// How often the manifest was replaced: so no content comes twice.
    pub generation: u64,
    /// The number of the next new file.
    pub next_file: u64,
    pub files: BTreeMap<String, FileEntry>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    format: u32,
    epoch: u64,
    writer: String,
    generation: u64,
    next_file: u64,
    files: BTreeMap<String, FileText>,
}

#[derive(Serialize, Deserialize)]
struct FileText {
    id: u64,
    segments: Vec<(String, u64, u32)>,
}

impl Manifest {
    /// The names of all segments.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.files.values().flat_map(|file| &file.segments).map(|segment| segment.name.as_str())
    }

    pub fn encode(&self) -> Vec<u8> {
        let file = |file: &FileEntry| FileText {
            id: file.id,
            segments: file.segments.iter().map(|s| (s.name.clone(), s.len, s.crc)).collect(),
        };
        let text = Text {
            format: FORMAT,
            epoch: self.epoch,
            writer: self.writer.clone(),
            generation: self.generation,
            next_file: self.next_file,
            files: self.files.iter().map(|(name, entry)| (name.clone(), file(entry))).collect(),
        };
        serde_json::to_vec(&text).expect("texts and numbers")
    }

    pub fn decode(bytes: &[u8]) -> io::Result<Manifest> {
        let damaged = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        check_format(bytes, "manifest")?;
        let text: Text = serde_json::from_slice(bytes)
            .map_err(|error| damaged(format!("its manifest is damaged: {error}")))?;
        let mut files = BTreeMap::new();
        for (suffix, file) in text.files {
            let segments: Vec<Segment> =
                file.segments.into_iter().map(|(name, len, crc)| Segment { name, len, crc }).collect();
            let sum = segments.iter().try_fold(0u64, |sum, segment| sum.checked_add(segment.len));
            let sound = segments.iter().all(|segment| is_name(&segment.name) && segment.len > 0);
            if !sound || sum.is_none() {
                return Err(damaged(format!("its manifest is damaged: the segments of `{suffix}`")));
            }
            files.insert(suffix, FileEntry { id: file.id, segments });
        }
        let Text { epoch, writer, generation, next_file, .. } = text;
        Ok(Manifest { epoch, writer, generation, next_file, files })
    }
}

/// Refuses the text of a newer version, whatever else is in it.
pub fn check_format(bytes: &[u8], what: &str) -> io::Result<()> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    match serde_json::from_slice(bytes) {
        Ok(Format { format: FORMAT }) => Ok(()),
        Ok(Format { format }) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "its {what} has format {format}, which this version does not know: install a newer maniple"
            ),
        )),
        Err(error) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("its {what} is damaged: {error}")))
        }
    }
}

/// The name of a new segment.
pub fn segment_name(epoch: u64, number: u64, random: u64) -> String {
    format!("{epoch:08}-{number:08}-{random:016x}")
}

/// In which epoch a segment was written; `None` if it is none.
pub fn epoch_of(name: &str) -> Option<u64> {
    is_name(name).then(|| name.split('-').next()?.parse().ok())?
}

fn is_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    parts.len() == 3
        && parts.iter().all(|part| (8..=20).contains(&part.len()))
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let segment = Segment { name: segment_name(3, 1, 0xabc), len: 5, crc: 7 };
        let files = BTreeMap::from([
            (String::new(), FileEntry { id: 1, segments: vec![segment] }),
            (".wal".to_owned(), FileEntry { id: 2, segments: Vec::new() }),
        ]);
        Manifest { epoch: 3, writer: "w".into(), generation: 9, next_file: 3, files }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let text = manifest().encode();
        assert_eq!(Manifest::decode(&text).expect("sound"), manifest());
        assert_eq!(
            String::from_utf8(text).expect("text"),
            r#"{"format":1,"epoch":3,"writer":"w","generation":9,"next_file":3,"files":{"":{"id":1,"segments":[["00000003-00000001-0000000000000abc",5,7]]},".wal":{"id":2,"segments":[]}}}"#
        );
        assert_eq!(epoch_of("00000003-00000001-0000000000000abc"), Some(3));
        assert_eq!(epoch_of("manifest"), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = String::from_utf8(manifest().encode()).expect("text");
        for (bad, why) in [
            (text.replace("\"format\":1", "\"format\":2"), "newer maniple"),
            (text.replace("00000003-00000001-0000000000000abc", "../../x"), "segments of ``"),
            (text.replace(",5,7", ",0,7"), "segments of ``"),
            (text[..text.len() - 1].to_owned(), "damaged"),
        ] {
            let error = Manifest::decode(bad.as_bytes()).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
