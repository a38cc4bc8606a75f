//! What reads a client's bytes and the server's, on any bytes: the entry point for fuzzing.

use std::sync::Arc;

use super::floods::Floods;
use super::frames::Frames;
use super::pings::{Activity, Policy};
use super::written::Written;
use crate::api::client::Peer;

/// Reads `bytes` as a client's, whole and in pieces, and as the server's.
///
/// # Panics
/// If what passes depends on how the bytes are cut. No input may cause that.
pub fn probe(bytes: &[u8]) {
    let whole = through(&[bytes]);
    for size in [1, 7, 64] {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        assert!(through(&pieces) == whole, "in pieces of {size} something else passes");
    }
    let mut written = Written::new(Arc::default(), Arc::default(), Peer::Unknown);
    bytes.chunks(11).for_each(|piece| written.wrote(piece));
}

/// What passes if the bytes arrive in these pieces.
fn through(pieces: &[&[u8]]) -> Vec<u8> {
    let activity = Arc::<Activity>::default();
    let policy = Policy::new(std::time::Duration::from_secs(5), activity.clone());
    let mut frames = Frames::new(Some(policy), Floods::new(activity));
    let mut out = Vec::new();
    for piece in pieces {
        let mut changed = Vec::new();
        let passed = frames.arrived(piece, &mut changed);
        out.extend_from_slice(&piece[..passed]);
        out.append(&mut changed);
    }
    frames.ended(&mut out);
    out
}
