//! Every decoder of this room on the same bytes: the entry point for fuzzing.

use bytes::Bytes;

use super::frames::Cutter;
use super::greeting::{Echo, Greeting, Kind, Probe, Reply, decode, encode, read_answer};
use super::tuning::MAX_GREETING;

/// Reads `bytes` as a stream of another member: its kind, its frames, and each frame as each message.
///
/// # Panics
/// If a message that was read is written as another one. No input may cause that.
pub fn probe(bytes: &[u8]) {
    if let Some(kind) = bytes.first().and_then(|byte| Kind::read(*byte)) {
        let _ = kind.priority();
    }
    message(bytes);
    for size in [bytes.len().max(1), 3] {
        let mut cutter = Cutter::new(MAX_GREETING);
        for piece in bytes.chunks(size) {
            cutter.add(Bytes::copy_from_slice(piece));
            loop {
                match cutter.take() {
                    Ok(Some(frame)) => message(&frame),
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
    }
}

fn message(bytes: &[u8]) {
    if let Ok(greeting) = Greeting::read(bytes) {
        assert_eq!(Greeting::read(&encode(&greeting)), Ok(greeting), "it is written as something else");
    }
    if let Ok(reply) = decode::<Reply>(bytes) {
        assert_eq!(decode(&encode(&reply)), Ok(reply), "it is written as something else");
    }
    let _ = (decode::<Probe>(bytes), decode::<Echo>(bytes));
    let _ = read_answer(Bytes::copy_from_slice(bytes));
}
