//! What a scanner reads of files that are made to take long, and the checksums that it has of their parts.

use std::{cell::Cell, io};

use super::{
    frame::{FIXED, FrameHeader},
    sums::{STRIDE, Sums},
    tests::{header, place},
    *,
};

/// A file, and how many bytes of it were read.
struct Counted {
    bytes: Vec<u8>,
    read: Cell<usize>,
}

impl ReadAt for Counted {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes[..].read_at(at, into)?;
        self.read.set(self.read.get() + read);
        Ok(read)
    }
}

/// So many false heads, one after the other, each as long as all their fixed parts; and `behind` after the last.
fn false_heads(count: usize, behind: &[u8]) -> Counted {
    let mut bytes = header().encode();
    let (head_len, tag) = ((count * FIXED) as u32, header().tag());
    let mut fixed = FrameHeader { head_len, body_len: 0, sequence: 0, durable: 0, tag }.encode(&[]);
    fixed[36] ^= 1;
    bytes.extend_from_slice(&fixed.repeat(count));
    bytes.resize(bytes.len() + count * FIXED, 0);
    bytes.extend_from_slice(behind);
    Counted { bytes, read: Cell::new(0) }
}

#[test]
fn reproduces_false_heads_within_each_other_that_took_the_square_of_their_number() {
    let mut frame = vec![];
    encode::encode_values(place(3, 1 << 20), &[1], &[2], 1, &[], encode::Options::default(), &mut frame);
    for count in [2_000, 20_000] {
        let file = false_heads(count, &frame);
        let mut keys = vec![];
        inspect(&file, Depth::All, &mut |visit| keys.extend_from_slice(visit.keys)).expect("memory");
        assert_eq!(keys, [1], "what lies behind them is found");
        // Two passes, each with two strides for each head at most, and twice the file.
        let per_head = file.read.get() / count;
        assert!(per_head < 5 * STRIDE as usize, "{per_head} bytes for each of {count} heads");
    }
}

#[test]
fn checksums_of_runs_within_each_other_are_told_from_what_was_read_once() {
    let file = Counted { bytes: vec![1; 1 << 20], read: Cell::new(0) };
    let (runs, mut sums) = (5_000, Sums::new(&file));
    for start in 0..runs {
        sums.of(start..1 << 20).expect("memory").expect("so long it is");
    }
    assert!(file.read.get() <= (1 << 20) + 2 * (runs * STRIDE) as usize, "{} bytes", file.read.get());
}

#[test]
fn the_checksum_of_any_run_is_that_of_its_bytes() {
    let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    let mut sums = Sums::new(&bytes[..]);
    let stride = STRIDE as usize;
    for start in [0, 1, 40, stride, stride + 1, 77_777, 77_777 + stride, 150_000, 3, 199_999] {
        for len in [0, 1, stride - 1, stride, stride + 1, 50_000, 123_456] {
            let run = bytes.get(start..start + len).map(crc32fast::hash);
            assert_eq!(sums.of(start as u64..(start + len) as u64).expect("memory"), run, "{start} + {len}");
        }
    }
}

#[test]
fn a_long_head_is_believed_like_a_short_one() {
    let names: Vec<u8> =
        (0..3_000_u32).flat_map(|at| [&[0xa5][..], format!("{at:05}").as_bytes()].concat()).collect();
    let mut value = vec![0xde, 0x0b, 0xb8];
    names.chunks(6).for_each(|name| value.extend_from_slice(&[name, &[1]].concat()));
    let mut bytes = header().encode();
    let start = bytes.len();
    encode::encode_values(place(0, 0), &[1], &value, 1, &[], encode::Options::default(), &mut bytes);
    let frame = FrameHeader::peek(&bytes[start..]).expect("a frame");
    assert!(frame.body_at() > 8 * STRIDE, "a head of {}", frame.head_len);
    let read = |bytes: &[u8]| inspect(bytes, Depth::All, &mut |_| {}).expect("memory").totals.values;
    assert_eq!(read(&bytes), 1);
    for at in (start..start + frame.body_at() as usize).step_by(997) {
        bytes[at] ^= 1;
        assert_eq!(read(&bytes), 0, "a bit of byte {at}");
        bytes[at] ^= 1;
    }
}
