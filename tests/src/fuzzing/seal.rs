//! Makes the checksums of a mutated checkpoint right again, so that a fuzzer comes past them to what they protect.
//!
//! By `docs/checkpoint-format.md`, section *Header* and *Frame*. What a mutation has shifted is brought back as well:
//! lengths, tags, numbers of frames, the copies of an index. Everything else stays as wrong as it was made.
//!
//! Invariants: it accepts any bytes, and bytes that are sound stay what they are.

use std::ops::Range;

use shared::{checkpoint::pad8, msgpack};

pub(super) const MAGIC: [u8; 8] = *b"\x89MNP\r\n\x1a\n";
const MARKER: &[u8; 4] = b"MNPF";
const START: usize = 24;
const FIXED: usize = 40;
const ENTRY: usize = 12;
const OFFSET: usize = 8;
/// The most bytes that a body gets because its lengths ask for them.
const MOST_ADDED: usize = 64 << 10;

/// A frame that was put out: where it was, where it is, and where its body begins from there.
struct Moved {
    from: usize,
    to: usize,
    body: usize,
}

/// The file with right checksums.
#[must_use]
pub fn seal(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 256);
    let (mut at, tag) = header(bytes, &mut out);
    let mut moved: Vec<Moved> = Vec::new();
    while at < bytes.len() {
        let chunk = &bytes[at..at + chunk_len(&bytes[at..])];
        let to = out.len();
        if chunk.starts_with(MARKER) && chunk.len() >= FIXED {
            let body = frame(chunk, moved.len() as u64, tag, &moved, &mut out);
            moved.push(Moved { from: at, to, body });
        } else {
            out.extend_from_slice(chunk);
        }
        at += chunk.len();
    }
    out
}

/// Puts out the header; how long it was, and its tag.
fn header(bytes: &[u8], out: &mut Vec<u8>) -> (usize, [u8; 4]) {
    if bytes.len() < START || !bytes.starts_with(&MAGIC) {
        return (0, [0; 4]);
    }
    let told = START.saturating_add(pad8(u32_at(bytes, 12).into()) as usize);
    let first = find(&bytes[START..]).map_or(bytes.len(), |skip| START + skip);
    let end = if told <= first { told } else { first };
    out.extend_from_slice(&bytes[..end]);
    let len = msgpack::value_len(&bytes[START..end]).unwrap_or(end - START);
    out.resize(START + pad8(len as u64) as usize, 0);
    out[START + len..].fill(0);
    // The tag is that of the id, wherever a mutation has moved it.
    let id = field(&out[START..], "id").and_then(|range| bin(&out[START..][range]));
    let tag = id.and_then(|id| id.first_chunk().copied()).unwrap_or([0; 4]);
    out[12..16].copy_from_slice(&(len as u32).to_le_bytes());
    out[16..20].copy_from_slice(&tag);
    let crc = crc([&out[..20], &out[START..]]);
    out[20..START].copy_from_slice(&crc.to_le_bytes());
    (end, tag)
}

/// How much of the bytes is the frame at their start, or what lies before the next.
fn chunk_len(bytes: &[u8]) -> usize {
    if bytes.starts_with(MARKER) && bytes.len() >= FIXED {
        let head = pad8(u32_at(bytes, 4).into());
        let told = (FIXED as u64 + head).saturating_add(u64_at(bytes, 8));
        if let Ok(told) = usize::try_from(told)
            && (told == bytes.len() || bytes.get(told..).is_some_and(|rest| rest.starts_with(MARKER)))
        {
            return told;
        }
    }
    find(bytes.get(MARKER.len()..).unwrap_or_default()).map_or(bytes.len(), |skip| MARKER.len() + skip)
}

fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(MARKER.len()).position(|window| window == MARKER)
}

/// Puts out a frame; where its body begins from its own start.
fn frame(chunk: &[u8], least: u64, tag: [u8; 4], moved: &[Moved], out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let rest = &chunk[FIXED..];
    let told = (u32_at(chunk, 4) as usize).min(rest.len());
    let len = msgpack::value_len(rest).unwrap_or(told);
    let mut head = rest[..len].to_vec();
    head.resize(pad8(len as u64) as usize, 0);
    let body_at = (pad8(told as u64) as usize).min(rest.len());
    let mut body = rest[body_at..].to_vec();
    if field(&head, "kind").is_some_and(|range| head[range].ends_with(b"index")) {
        copies(&mut body, moved, out, tag);
    }
    blobs(&mut head, &mut body);
    let sequence = u64_at(chunk, 16);
    let sequence = if (least..least + 3).contains(&sequence) { sequence } else { least };
    out.extend_from_slice(&chunk[..FIXED]);
    out[start + 4..start + 8].copy_from_slice(&(len as u32).to_le_bytes());
    out[start + 8..start + 16].copy_from_slice(&(body.len() as u64).to_le_bytes());
    out[start + 16..start + 24].copy_from_slice(&sequence.to_le_bytes());
    out[start + 32..start + 36].copy_from_slice(&tag);
    out.extend_from_slice(&head);
    let crc = crc([&out[start..start + 36], &head]);
    out[start + 36..start + FIXED].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&body);
    FIXED + head.len()
}

/// Makes the body as long as the table of blobs says, and their checksums right.
fn blobs(head: &mut [u8], body: &mut Vec<u8>) {
    let Some(value) = field(head, "blobs") else { return };
    let Some(table) = bin(&head[value.clone()]).map(<[u8]>::len) else { return };
    let table = &mut head[value.end - table..value.end];
    let lens = table.chunks_exact(ENTRY).map(|entry| pad8(u64_at(entry, 0)));
    let sum = lens.fold(0u64, u64::saturating_add);
    if sum <= (body.len() + MOST_ADDED) as u64 {
        body.resize(sum as usize, 0);
    }
    let mut at = 0usize;
    for entry in table.chunks_exact_mut(ENTRY) {
        let end = at.saturating_add(usize::try_from(pad8(u64_at(entry, 0))).unwrap_or(usize::MAX));
        let Some(blob) = body.get(at..end) else { return };
        entry[8..].copy_from_slice(&crc32fast::hash(blob).to_le_bytes());
        at = end;
    }
}

/// Makes the copies of an index those of the frames that were put out, or at least credible.
fn copies(body: &mut [u8], moved: &[Moved], out: &[u8], tag: [u8; 4]) {
    let mut at = 0;
    while body.get(at + OFFSET..).is_some_and(|rest| rest.starts_with(MARKER) && rest.len() >= FIXED) {
        let copy = at + OFFSET;
        let len = FIXED as u64 + pad8(u32_at(body, copy + 4).into());
        let Some(end) = usize::try_from(len).ok().and_then(|len| copy.checked_add(len)) else { return };
        if end > body.len() {
            return;
        }
        let offset = u64_at(body, at);
        match moved.iter().find(|frame| frame.from as u64 == offset && frame.body as u64 == len) {
            Some(frame) => {
                body[at..copy].copy_from_slice(&(frame.to as u64).to_le_bytes());
                body[copy..end].copy_from_slice(&out[frame.to..][..frame.body]);
            }
            None => {
                body[copy + 32..copy + 36].copy_from_slice(&tag);
                let crc = crc([&body[copy..copy + 36], &body[copy + FIXED..end]]);
                body[copy + 36..copy + FIXED].copy_from_slice(&crc.to_le_bytes());
            }
        }
        at = end;
    }
}

/// Where the value of a map's field lies.
fn field(map: &[u8], name: &str) -> Option<Range<usize>> {
    let (mut at, entries) = msgpack::map_header(map)?;
    for _ in 0..entries {
        let key = at..at + msgpack::value_len(&map[at..]).ok()?;
        let value = key.end..key.end + msgpack::value_len(&map[key.end..]).ok()?;
        if msgpack::text(&map[key]) == Some(name.as_bytes()) {
            return Some(value);
        }
        at = value.end;
    }
    None
}

/// The bytes of a MessagePack `bin`.
fn bin(value: &[u8]) -> Option<&[u8]> {
    let head = match value.first()? {
        0xc4 => 2,
        0xc5 => 3,
        0xc6 => 5,
        _ => return None,
    };
    value.get(head..)
}

fn crc(parts: [&[u8]; 2]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
