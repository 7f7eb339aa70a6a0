//! Puts a frame together in place: room for the fixed part, the head, the blobs; then what is only known at the end.
//!
//! It knows nothing of what the blobs hold.

use super::{
    encode::Place,
    frame::{FIXED, FrameHeader},
    head::BLOB_ENTRY,
    layout::Compress,
    pad, pad8,
};

const MEMORY: &str = "memory can be written to";
/// Zstandard's own default is twice as slow for a few percent.
const LEVEL: i32 = 1;

/// A map that becomes a head: fields in any order, then the table of blobs.
pub(super) struct Fields {
    bytes: Vec<u8>,
    count: u32,
}

impl Fields {
    pub fn new(kind: &str, place: Place) -> Fields {
        let mut fields = Fields { bytes: Vec::with_capacity(256), count: 0 };
        fields.text("kind", kind);
        fields.integer("at", place.at);
        fields
    }

    /// A field, whose value is what `put` appends.
    pub fn field(&mut self, name: &str, put: impl FnOnce(&mut Vec<u8>)) {
        self.count += 1;
        rmp::encode::write_str(&mut self.bytes, name).expect(MEMORY);
        put(&mut self.bytes);
    }

    pub fn text(&mut self, name: &str, value: &str) {
        self.field(name, |out| rmp::encode::write_str(out, value).expect(MEMORY));
    }

    pub fn integer(&mut self, name: &str, value: u64) {
        self.field(name, |out| {
            rmp::encode::write_uint(out, value).expect(MEMORY);
        });
    }

    pub fn bytes(&mut self, name: &str, value: &[u8]) {
        self.field(name, |out| rmp::encode::write_bin(out, value).expect(MEMORY));
    }
}

/// A frame under construction, at the end of `out`.
pub(super) struct Frame<'a> {
    out: &'a mut Vec<u8>,
    place: Place,
    start: usize,
    head_len: usize,
    /// Where the entry of the next blob goes.
    entry: usize,
    /// Made for the first blob that is packed, and used for all.
    packer: Option<zstd::bulk::Compressor<'static>>,
}

impl<'a> Frame<'a> {
    /// Begins a frame of so many blobs.
    pub fn begin(place: Place, fields: &Fields, blobs: usize, out: &'a mut Vec<u8>) -> Frame<'a> {
        let start = out.len();
        out.resize(start + FIXED, 0);
        rmp::encode::write_map_len(out, fields.count + 1).expect(MEMORY);
        out.extend_from_slice(&fields.bytes);
        rmp::encode::write_str(out, "blobs").expect(MEMORY);
        rmp::encode::write_bin_len(out, (blobs * BLOB_ENTRY) as u32).expect(MEMORY);
        let entry = out.len();
        out.resize(entry + blobs * BLOB_ENTRY, 0);
        let head_len = out.len() - start - FIXED;
        pad(out, start);
        Frame { out, place, start, head_len, entry, packer: None }
    }

    /// Appends blobs of these lengths, which `put` appends, each padded.
    pub fn put(&mut self, lens: &[usize], put: impl FnOnce(&mut Vec<u8>)) {
        let mut at = self.out.len();
        put(self.out);
        for &len in lens {
            let padded = len.next_multiple_of(8);
            let crc = crc32fast::hash(&self.out[at..at + padded]);
            self.enter(len, crc);
            at += padded;
        }
        debug_assert_eq!(at, self.out.len(), "the blobs are as long as was said");
    }

    /// Appends one blob that is stored as it is, or packed.
    pub fn blob(&mut self, blob: &[u8], compress: Compress) {
        let start = self.out.len();
        match compress {
            Compress::None => self.out.extend_from_slice(blob),
            Compress::Zstd => {
                let packer = self.packer.get_or_insert_with(|| {
                    zstd::bulk::Compressor::new(LEVEL).expect("the level is one that there is")
                });
                let packed = packer.compress(blob).expect("memory can be compressed");
                self.out.extend_from_slice(&packed);
            }
        }
        let len = self.out.len() - start;
        pad(self.out, start);
        let crc = crc32fast::hash(&self.out[start..]);
        self.enter(len, crc);
    }

    fn enter(&mut self, len: usize, crc: u32) {
        let entry = &mut self.out[self.entry..self.entry + BLOB_ENTRY];
        entry[..8].copy_from_slice(&(len as u64).to_le_bytes());
        entry[8..].copy_from_slice(&crc.to_le_bytes());
        self.entry += BLOB_ENTRY;
    }

    /// Completes the fixed part.
    pub fn finish(self) {
        let Frame { out, place, start, head_len, .. } = self;
        let body_at = start + FIXED + pad8(head_len as u64) as usize;
        let header = FrameHeader {
            head_len: head_len as u32,
            body_len: (out.len() - body_at) as u64,
            sequence: place.sequence,
            durable: place.durable,
            tag: place.tag,
        };
        let fixed = header.encode(&out[start + FIXED..body_at]);
        out[start..start + FIXED].copy_from_slice(&fixed);
    }
}
