//! `Snapshot`: the whole state as a stream of blobs, then its SHA-256.
//!
//! The bytes are the store's own snapshot format, filled up with zeros to a multiple of 512: etcd's clients know that
//! a hash is at the end by the size of the file being 32 above such a multiple.
//!
//! The store is read as the client reads, some blobs at a time: between them a stream holds a reader of LMDB and no
//! thread.

use std::collections::VecDeque;
use std::io;
use std::iter::{Chain, Once, once};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use sha2::{Digest, Sha256};
use tonic::Status;

use super::limited::{Limited, Place};
use crate::api::jobs::Job;
use crate::api::proto::etcdserverpb as pb;
use crate::api::services::{STORAGE_VERSION, Services};
use crate::model::Refusal;
use crate::store::{SnapshotReader, Store, StoreError};

/// The messages of the answer.
pub type Blobs = Pin<Box<dyn Stream<Item = Result<pb::SnapshotResponse, Status>> + Send>>;

/// Most bytes in a message, as in etcd.
const BLOB: usize = 32 * 1024;
/// Messages that are read together.
const TOGETHER: usize = 8;
/// The size of a snapshot without its hash is a multiple of this.
const SECTOR: u64 = 512;

/// Begins to read a snapshot.
pub fn open(services: Arc<Services>, place: Place) -> Blobs {
    let first = Some(Step::Open(services.store.clone()));
    let state = Reading { services, ready: VecDeque::new(), step: first };
    let blobs = stream::try_unfold(state, |mut state| async move {
        Ok(state.next().await?.map(|message| (message, state)))
    });
    Box::pin(Limited::new(Box::pin(blobs), place))
}

/// A stream.
struct Reading {
    services: Arc<Services>,
    /// Read, but not taken yet.
    ready: VecDeque<pb::SnapshotResponse>,
    step: Option<Step>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<pb::SnapshotResponse>, Refusal> {
        while self.ready.is_empty() {
            let Some(step) = self.step.take() else { return Ok(None) };
            let job = match &step {
                Step::Open(_) => Job::Whole,
                Step::Read(_) => Job::Read,
            };
            let done = self.services.jobs.run(job, move || step.run()).await;
            (self.ready, self.step) =
                done.inspect_err(|error| tracing::warn!(%error, "snapshot could not be read"))?;
        }
        Ok(self.ready.pop_front())
    }
}

/// What is to be read next.
enum Step {
    Open(Store),
    Read(Box<Rest>),
}

/// What is left of a snapshot.
struct Rest {
    pieces: Chain<SnapshotReader, Once<io::Result<Bytes>>>,
    /// What is left of a piece.
    piece: Bytes,
    /// Bytes to come, without the hash.
    remaining: u64,
    hash: Sha256,
}

impl Step {
    fn run(self) -> Result<(VecDeque<pb::SnapshotResponse>, Option<Step>), StoreError> {
        match self {
            Step::Open(store) => {
                // A snapshot shows the last checkpoint; the client wants everything that has been answered to anyone.
                store.checkpoint()?;
                let reader = store.snapshot()?;
                let size = reader.total_size()?;
                let remaining = size.next_multiple_of(SECTOR);
                let filling = Bytes::from(vec![0; (remaining - size) as usize]);
                let pieces = reader.chain(once(Ok(filling)));
                Rest { pieces, piece: Bytes::new(), remaining, hash: Sha256::new() }.read()
            }
            Step::Read(rest) => rest.read(),
        }
    }
}

impl Rest {
    fn read(mut self) -> Result<(VecDeque<pb::SnapshotResponse>, Option<Step>), StoreError> {
        let mut messages = VecDeque::with_capacity(TOGETHER);
        while messages.len() < TOGETHER {
            if self.piece.is_empty() {
                let Some(piece) = self.pieces.next() else {
                    messages.push_back(message(0, Bytes::copy_from_slice(&self.hash.finalize())));
                    return Ok((messages, None));
                };
                self.piece = piece.map_err(|error| StoreError::Snapshot(error.to_string()))?;
                continue;
            }
            let blob = self.piece.split_to(self.piece.len().min(BLOB));
            self.hash.update(&blob);
            self.remaining = self.remaining.saturating_sub(blob.len() as u64);
            messages.push_back(message(self.remaining, blob));
        }
        Ok((messages, Some(Step::Read(Box::new(self)))))
    }
}

fn message(remaining_bytes: u64, blob: Bytes) -> pb::SnapshotResponse {
    pb::SnapshotResponse { header: None, remaining_bytes, blob, version: STORAGE_VERSION.into() }
}
