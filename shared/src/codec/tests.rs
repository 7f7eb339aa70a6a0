//! What the codec promises: frames come out as they went in however the stream is cut, and no bytes of a stranger
//! make it panic or reserve memory beyond the limits.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use tokio::io::{AsyncWriteExt, duplex};

use super::{
    CodecError, Frame, FrameReader, FrameWriter, Limits, MAX_DEPTH, PREFIX, Part, decode, decode_head,
    encode_head, writer::GATHER,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Message {
    name: String,
    number: u64,
}

fn message(number: u64) -> Message {
    Message { name: "batch".into(), number }
}

fn frame(number: u64, payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    encode_head(&message(number), payload.len(), Limits::DATA, &mut out).unwrap();
    out.extend_from_slice(payload);
    out
}

fn prefix(head: u32, payload: u32) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u32_le(head);
    out.put_u32_le(payload);
    out
}

#[test]
fn the_layout_is_two_lengths_head_and_payload() {
    let expected = b"\x14\0\0\0\x03\0\0\0\x82\xa4name\xa5batch\xa6number\x07abc";
    assert_eq!(frame(7, b"abc"), expected[..]);
}

#[test]
fn payload_is_not_copied() {
    let mut buf = frame(1, &[9; 100]);
    let there = buf[buf.len() - 100..].as_ptr();
    let (_, payload) = decode(&mut buf, Limits::DATA).unwrap().unwrap();
    assert_eq!(payload.as_ptr(), there);
}

#[test]
fn oversized_lengths_are_refused_before_memory_is_reserved() {
    let cases = [
        (prefix(u32::MAX, 0), Limits::HELLO, Part::Head),
        (prefix(4097, 0), Limits::HELLO, Part::Head),
        (prefix(10, 1), Limits::HELLO, Part::Payload),
        (prefix((1 << 20) + 1, 0), Limits::DATA, Part::Head),
        (prefix(0, u32::MAX), Limits::DATA, Part::Payload),
        (prefix(u32::MAX, u32::MAX), Limits::DATA, Part::Head),
        (prefix(1, (64 << 20) + 1), Limits::DATA, Part::Payload),
        (prefix(1, (1 << 30) + (1 << 20) + 1), Limits::LOCAL, Part::Payload),
    ];
    for (mut buf, limits, part) in cases {
        let before = buf.capacity();
        match decode(&mut buf, limits) {
            Err(CodecError::Oversized { what, .. }) => assert_eq!(what, part),
            other => panic!("expected an oversized {part}, got {other:?}"),
        }
        assert_eq!(buf.capacity(), before);
    }
}

#[test]
fn lengths_at_the_limit_are_taken_and_get_their_room() {
    let mut buf = prefix(1 << 20, 0);
    assert!(decode(&mut buf, Limits::DATA).unwrap().is_none());
    assert!(buf.capacity() >= PREFIX + (1 << 20));
}

#[test]
fn sender_refuses_what_the_receiver_would_refuse() {
    let mut out = BytesMut::from(&b"before"[..]);
    let long = "x".repeat(Limits::DATA.head);
    let error = encode_head(&long, 0, Limits::DATA, &mut out).unwrap_err();
    assert!(matches!(error, CodecError::Oversized { what: Part::Head, .. }), "{error}");
    let error = encode_head(&1, Limits::DATA.payload + 1, Limits::DATA, &mut out).unwrap_err();
    assert!(matches!(error, CodecError::Oversized { what: Part::Payload, .. }), "{error}");
    assert_eq!(out, b"before"[..]);
}

#[test]
fn foreign_heads_are_malformed() {
    let good = rmp_serde::to_vec_named(&message(1)).unwrap();
    let mut longer = good.clone();
    longer.push(0xc0);
    let cases: [&[u8]; 5] = [b"", b"\xc1", &good[..good.len() - 1], &longer, b"\xdf\xff\xff\xff\xff"];
    for head in cases {
        let outcome = decode_head::<Message>(head);
        assert!(matches!(outcome, Err(CodecError::Malformed(_))), "{head:?} gave {outcome:?}");
    }
    assert_eq!(decode_head::<Message>(&good).unwrap(), message(1));
}

#[test]
fn an_array_that_claims_four_billion_elements_is_malformed() {
    let outcome = decode_head::<Vec<u64>>(b"\xdd\xff\xff\xff\xff\x01");
    assert!(matches!(outcome, Err(CodecError::Malformed(_))), "{outcome:?}");
}

#[test]
fn nesting_beyond_the_limit_is_malformed() {
    let nested = |depth: usize| {
        let mut head = vec![0x91; depth];
        head.push(0xc0);
        head
    };
    assert!(decode_head::<IgnoredAny>(&nested(MAX_DEPTH - 1)).is_ok());
    let outcome = decode_head::<IgnoredAny>(&nested(MAX_DEPTH));
    assert!(matches!(outcome, Err(CodecError::Malformed(_))));
    assert!(decode_head::<IgnoredAny>(&nested(1 << 20)).is_err());
}

#[test]
fn an_unknown_field_is_passed_over() {
    #[derive(Serialize)]
    struct Newer {
        name: &'static str,
        extra: Vec<u8>,
        number: u64,
    }
    let head = rmp_serde::to_vec_named(&Newer { name: "batch", extra: vec![1, 2], number: 3 }).unwrap();
    assert_eq!(decode_head::<Message>(&head).unwrap(), message(3));
}

#[tokio::test]
async fn frames_come_out_byte_by_byte() {
    let (mut ours, theirs) = duplex(1);
    let payload = vec![5; 3 * GATHER];
    let mut bytes = frame(1, b"");
    bytes.unsplit(frame(2, &payload));
    let sender = tokio::spawn(async move { ours.write_all(&bytes).await });
    let mut reader = FrameReader::new(theirs, Limits::DATA);
    let first = reader.next().await.unwrap().unwrap();
    assert_eq!((first.message::<Message>().unwrap(), first.payload.len()), (message(1), 0));
    let second = reader.next().await.unwrap().unwrap();
    assert_eq!((second.message::<Message>().unwrap(), &second.payload[..]), (message(2), &payload[..]));
    sender.await.unwrap().unwrap();
    assert_eq!(reader.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_frame_is_truncated() {
    let whole = frame(1, b"payload");
    for end in 1..whole.len() {
        let mut reader = FrameReader::new(&whole[..end], Limits::DATA);
        let outcome = reader.next().await;
        assert!(matches!(outcome, Err(CodecError::Truncated)), "cut at {end}: {outcome:?}");
    }
}

#[tokio::test]
async fn next_can_be_cancelled_at_every_byte() {
    let (mut ours, theirs) = duplex(1 << 10);
    let mut reader = FrameReader::new(theirs, Limits::DATA);
    let bytes = frame(1, b"payload");
    for byte in &bytes[..bytes.len() - 1] {
        ours.write_u8(*byte).await.unwrap();
        tokio::select! {
            biased;
            frame = reader.next() => panic!("a frame too early: {frame:?}"),
            () = std::future::ready(()) => {}
        }
    }
    ours.write_u8(bytes[bytes.len() - 1]).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().payload, b"payload"[..]);
}

#[tokio::test]
async fn limits_of_the_hello_give_way_to_those_of_data() {
    let mut bytes = frame(1, b"");
    bytes.unsplit(frame(2, b"payload"));
    let mut reader = FrameReader::new(&bytes[..], Limits::HELLO);
    reader.next().await.unwrap().unwrap();
    assert!(matches!(reader.next().await, Err(CodecError::Oversized { what: Part::Payload, .. })));
    reader.set_limits(Limits::DATA);
    assert_eq!(reader.next().await.unwrap().unwrap().payload, b"payload"[..]);
}

#[tokio::test]
async fn a_large_buffer_goes_with_its_frame() {
    let mut bytes = frame(1, &vec![0; 4 << 20]);
    bytes.unsplit(frame(2, b""));
    let mut reader = FrameReader::new(&bytes[..], Limits::DATA);
    drop(reader.next().await.unwrap());
    assert_eq!(reader.next().await.unwrap().unwrap().message::<Message>().unwrap(), message(2));
    reader.buf.reserve(1);
    assert!(reader.buf.capacity() <= super::reader::KEEP, "{}", reader.buf.capacity());
}

#[tokio::test]
async fn large_payloads_are_queued_and_small_ones_gathered() {
    let mut writer = FrameWriter::new(Vec::new());
    let large = Bytes::from(vec![1; GATHER + 1]);
    for number in 0..3 {
        writer.feed(&message(number), Bytes::from_static(b"small")).await.unwrap();
    }
    writer.feed(&message(3), large.clone()).await.unwrap();
    assert_eq!(writer.pieces(), 2, "all small frames and the head in one piece, the payload in the other");
    assert!(!large.is_unique(), "the payload is shared and not copied");
    writer.flush().await.unwrap();
    assert_eq!(writer.waiting(), 0);
    assert!(large.is_unique(), "what was written is not kept");
}

#[tokio::test]
async fn a_refused_frame_leaves_the_stream_intact() {
    let mut out = Vec::new();
    let mut writer = FrameWriter::new(&mut out);
    writer.feed(&message(1), Bytes::new()).await.unwrap();
    assert!(writer.feed(&"x".repeat(2 << 20), Bytes::new()).await.is_err());
    writer.feed(&message(2), Bytes::new()).await.unwrap();
    writer.shutdown().await.unwrap();
    let mut expected = frame(1, b"");
    expected.unsplit(frame(2, b""));
    assert_eq!(out, expected);
}

#[tokio::test]
async fn unread_output_is_bounded_and_feed_can_be_cancelled() {
    let (ours, theirs) = duplex(1 << 10);
    let mut writer = FrameWriter::new(ours);
    let payload = Bytes::from(vec![7; 10_000]);
    let mut fed = 0;
    loop {
        let head = message(fed);
        tokio::select! {
            biased;
            outcome = writer.feed(&head, payload.clone()) => outcome.unwrap(),
            () = std::future::ready(()) => break,
        }
        fed += 1;
    }
    assert!(writer.waiting() < super::writer::HIGH_WATER + (20 << 10), "{}", writer.waiting());
    let drained = tokio::spawn(async move { writer.shutdown().await });
    let mut reader = FrameReader::new(theirs, Limits::DATA);
    for number in 0..fed {
        let frame = reader.next().await.unwrap().unwrap();
        assert_eq!((frame.message::<Message>().unwrap(), frame.payload), (message(number), payload.clone()));
    }
    assert_eq!(reader.next().await.unwrap(), None);
    drained.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_long_frame_may_take_longer_than_silence_is_waited_for() {
    const LIMIT: Duration = Duration::from_secs(10);
    let (ours, theirs) = duplex(1 << 10);
    let (mut writer, mut reader) = (FrameWriter::new(ours), FrameReader::new(theirs, Limits::DATA));
    let payload = Bytes::from(vec![7; 20 << 10]);
    writer.feed(&message(1), payload.clone()).await.unwrap();
    let writing = tokio::spawn(async move {
        let flushed = writer.flush_unless_stuck(LIMIT).await;
        (flushed, writer)
    });
    // 1 KiB comes every 9 s.
    let mut all = Vec::new();
    while all.len() < payload.len() {
        tokio::time::sleep(LIMIT * 9 / 10).await;
        let mut piece = [0; 1 << 10];
        let read = tokio::io::AsyncReadExt::read(&mut reader.inner, &mut piece).await.unwrap();
        all.extend_from_slice(&piece[..read]);
    }
    let (flushed, mut writer) = writing.await.unwrap();
    flushed.expect("it was never stuck").unwrap();
    writer.feed(&message(2), payload.clone()).await.unwrap();
    assert!(writer.flush_unless_stuck(LIMIT).await.is_err(), "nobody reads");

    let (ours, theirs) = duplex(1 << 20);
    let mut reader = FrameReader::new(theirs, Limits::DATA);
    let slowly = tokio::spawn(async move {
        let mut ours = ours;
        for piece in frame(1, &[7; 20 << 10]).chunks(1 << 10) {
            tokio::time::sleep(LIMIT * 9 / 10).await;
            ours.write_all(piece).await.unwrap();
        }
        ours
    });
    let came = reader.next_within(LIMIT).await.expect("it was never silent").unwrap().unwrap();
    assert_eq!(came.payload, payload);
    let _open = slowly.await.unwrap();
    assert!(reader.next_within(LIMIT).await.is_none(), "nothing more comes");
}

proptest! {
    #[test]
    fn frames_survive_every_cut(
        sizes in prop::collection::vec(prop_oneof![0..200_usize, Just(GATHER), Just(GATHER + 1)], 0..8),
        cuts in prop::collection::vec(1..40_000_usize, 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let frames: Vec<(Message, Bytes)> =
            (0..).zip(&sizes).map(|(n, size)| (message(n), Bytes::from(vec![n as u8; *size]))).collect();
        let mut stream = Vec::new();
        runtime.block_on(async {
            let mut writer = FrameWriter::new(&mut stream);
            for (head, payload) in &frames {
                writer.feed(head, payload.clone()).await.unwrap();
            }
            writer.flush().await.unwrap();
        });
        let mut buf = BytesMut::new();
        let mut seen = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            buf.extend_from_slice(now);
            rest = later;
            while let Some((head, payload)) = decode(&mut buf, Limits::DATA).unwrap() {
                seen.push((Frame { head, payload: Bytes::new() }.message::<Message>().unwrap(), payload));
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(buf.is_empty());
        prop_assert_eq!(seen, frames);
    }

    #[test]
    fn soup_never_panics_nor_reserves_beyond_the_limit(
        lens in (prop_oneof![0..64_u32, any::<u32>()], prop_oneof![0..64_u32, any::<u32>()]),
        soup in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let limits = Limits { head: 4 << 10, payload: 4 << 10 };
        let mut buf = prefix(lens.0, lens.1);
        buf.extend_from_slice(&soup);
        while let Ok(Some((head, _))) = decode(&mut buf, limits) {
            let _ = decode_head::<Message>(&head);
            let _ = decode_head::<Vec<Vec<String>>>(&head);
        }
        prop_assert!(buf.capacity() <= 2 * (PREFIX + limits.head + limits.payload) + 1024);
    }
}
