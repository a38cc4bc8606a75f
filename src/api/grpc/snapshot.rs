//! `Snapshot`: the whole state as a stream of blobs, then its SHA-256.
//!
//! The bytes are the store's own snapshot format, filled up with zeros to a multiple of 512: etcd's clients know that
//! a hash is at the end by the size of the file being 32 above such a multiple.

use std::iter;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::api::proto::etcdserverpb as pb;
use crate::api::services::STORAGE_VERSION;
use crate::store::{Store, StoreError};

/// The messages of the answer.
pub type Blobs = Pin<Box<dyn Stream<Item = Result<pb::SnapshotResponse, Status>> + Send>>;

/// Most bytes in a message, as in etcd.
const BLOB: usize = 32 * 1024;
/// Messages read ahead of the client.
const READ_AHEAD: usize = 4;
/// The size of a snapshot without its hash is a multiple of this.
const SECTOR: u64 = 512;

/// Begins to read a snapshot, on a thread of its own since reading blocks.
pub fn open(store: Store) -> Blobs {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send(&store, &sender) {
            tracing::warn!(%error, "snapshot could not be read");
            // An error here means that the client has gone.
            let _ = sender.blocking_send(Err(Status::internal(format!("snapshot: {error}"))));
        }
    });
    Box::pin(ReceiverStream::new(receiver))
}

type Sender = mpsc::Sender<Result<pb::SnapshotResponse, Status>>;

fn send(store: &Store, sender: &Sender) -> Result<(), StoreError> {
    // A snapshot shows the last checkpoint; the client wants everything that has been answered to anyone.
    store.checkpoint()?;
    let reader = store.snapshot()?;
    let size = reader.total_size()?;
    let mut remaining = size.next_multiple_of(SECTOR);
    let filling = Bytes::from(vec![0; (remaining - size) as usize]);
    let mut hash = Sha256::new();
    for piece in reader.chain(iter::once(Ok(filling))) {
        let mut piece = piece.map_err(|error| StoreError::Snapshot(error.to_string()))?;
        while !piece.is_empty() {
            let blob = piece.split_to(piece.len().min(BLOB));
            hash.update(&blob);
            remaining = remaining.saturating_sub(blob.len() as u64);
            if sender.blocking_send(Ok(message(remaining, blob))).is_err() {
                return Ok(());
            }
        }
    }
    let digest = Bytes::copy_from_slice(&hash.finalize());
    let _ = sender.blocking_send(Ok(message(0, digest)));
    Ok(())
}

fn message(remaining_bytes: u64, blob: Bytes) -> pb::SnapshotResponse {
    pb::SnapshotResponse { header: None, remaining_bytes, blob, version: STORAGE_VERSION.into() }
}
