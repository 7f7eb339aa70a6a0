//! What must hold of what a peer sends: frames are the same however they are cut, and a message that was decoded can
//! be sent on and decoded again.

use bytes::BytesMut;
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    codec::{CodecError, Limits, decode, decode_head, encode_head},
    wire::{
        Hello, Welcome,
        child::{FromChild, ToChild},
        client::{FromClient, ToClient},
        worker::{FromWorker, ToWorker},
    },
};

/// Takes bytes as a connection's.
///
/// # Panics
/// If the same bytes give other frames when they come in pieces, or a message cannot be sent on.
pub fn received(bytes: &[u8]) {
    for limits in [Limits::DATA, Limits::HELLO] {
        let at_once = frames([bytes].into_iter(), limits);
        assert_eq!(frames(bytes.chunks(3), limits), at_once, "in pieces");
        for (head, _) in at_once.0 {
            message::<Hello>(&head);
            message::<Welcome>(&head);
            message::<ToWorker>(&head);
            message::<FromWorker>(&head);
            message::<ToClient>(&head);
            message::<FromClient>(&head);
            message::<ToChild>(&head);
            message::<FromChild>(&head);
        }
    }
}

/// A head and a payload.
type Frame = (Vec<u8>, Vec<u8>);

/// The frames up to the first error, and whether there was one.
fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: Limits) -> (Vec<Frame>, bool) {
    let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decode(&mut buffer, limits) {
                Ok(Some((head, payload))) => found.push((head.to_vec(), payload.to_vec())),
                Ok(None) => break,
                Err(CodecError::Oversized { .. }) => return (found, true),
                Err(error) => panic!("no other error comes of bytes: {error}"),
            }
        }
    }
    (found, false)
}

fn message<T: Serialize + DeserializeOwned>(head: &[u8]) {
    let Ok(message) = decode_head::<T>(head) else { return };
    let encoded = |message: &T| {
        let mut out = BytesMut::new();
        encode_head(message, 0, Limits::DATA, &mut out).map(|()| out)
    };
    // A head within its limit may be longer when it is written with the names of its fields.
    let Ok(first) = encoded(&message) else { return };
    let head = decode(&mut first.clone(), Limits::DATA).expect("within limits").expect("whole").0;
    let second = encoded(&decode_head::<T>(&head).expect("it was just encoded")).expect("as before");
    assert_eq!(first, second);
}
