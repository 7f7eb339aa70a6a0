//! Bounds of what is kept, and the pipe from quiet to flooded.

use std::fs::File;
use std::io::Write;

use proptest::prelude::*;

use super::*;

const SMALL: Limits = Limits { head: 4, tail: 3 };

fn text(captured: &Captured) -> (String, u64, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&captured.head), captured.cut, text(&captured.tail))
}

fn captured(pieces: &[&[u8]]) -> Captured {
    let mut capture = Capture::new(SMALL);
    pieces.iter().for_each(|piece| capture.push(piece));
    capture.finish()
}

#[test]
fn short_output_is_kept_whole() {
    assert_eq!(text(&captured(&[b"abcdefg"])), ("abcd".into(), 0, "efg".into()));
}

#[test]
fn the_middle_is_cut_and_counted() {
    assert_eq!(text(&captured(&[b"abcdefg", b"h"])), ("abcd".into(), 1, "fgh".into()));
    assert_eq!(text(&captured(&[b"ab", b"cdefghijklmnop", b"qr"])), ("abcd".into(), 11, "pqr".into()));
}

proptest! {
    #[test]
    fn both_ends_and_the_count_are_exact(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..12)) {
        let all = pieces.concat();
        let kept = captured(&pieces.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let rest = &all[all.len().min(SMALL.head)..];
        prop_assert_eq!(&kept.head[..], &all[..all.len().min(SMALL.head)]);
        prop_assert_eq!(&kept.tail[..], &rest[rest.len().saturating_sub(SMALL.tail)..]);
        prop_assert_eq!(kept.cut as usize, rest.len().saturating_sub(SMALL.tail));
    }
}

#[test]
fn take_does_not_wait_for_an_open_pipe_and_starts_anew() {
    let (mut pipe, writer) = OutputPipe::new(SMALL).unwrap();
    let mut writer = File::from(writer);
    writer.write_all(b"one").unwrap();
    assert_eq!(text(&pipe.take().unwrap()), ("one".into(), 0, String::new()));
    writer.write_all(b"two").unwrap();
    drop(writer);
    assert_eq!(text(&pipe.take().unwrap()), ("two".into(), 0, String::new()));
}

#[tokio::test]
async fn follow_reads_more_than_a_pipe_holds() {
    let (mut pipe, writer) = OutputPipe::new(SMALL).unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let ended = std::cell::Cell::new(false);
    // Both on one thread: the pipe is full whenever the reader's turn comes, and it leaves it empty.
    let flood = async {
        let (mut writer, mut left) = (File::from(writer), 300_000);
        while left > 0 {
            left -= writer.write(&vec![b'x'; left]).unwrap_or(0);
            assert!(!ended.get(), "follow ended although the pipe is open");
            tokio::task::yield_now().await;
        }
    };
    let follow = async {
        pipe.follow().await.unwrap();
        ended.set(true);
    };
    tokio::join!(follow, flood);
    assert_eq!(text(&pipe.take().unwrap()), ("xxxx".into(), 300_000 - 7, "xxx".into()));
}

#[tokio::test]
async fn follow_can_be_taken_up_again() {
    let (mut pipe, writer) = OutputPipe::new(SMALL).unwrap();
    tokio::select! {
        biased;
        end = pipe.follow() => panic!("the writer is open, yet {end:?}"),
        () = tokio::task::yield_now() => {}
    }
    drop(writer);
    pipe.follow().await.unwrap();
}
