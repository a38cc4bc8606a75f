//! The whole state as a sequence of blobs, then its SHA-256.
//!
//! The bytes are a file of etcd's backend: whole pages, which are multiples of 512 bytes. etcd's clients recognise that
//! there is a hash at the end if the size of the file is 32 above such a multiple.
//!
//! The store is read at the client's pace, some blobs at a time: between them a snapshot holds a reader of LMDB, but no
//! thread.

use std::collections::VecDeque;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::api::jobs::{Job, Jobs};
use crate::auth::Need;
use crate::model::{Caller, Refusal};
use crate::store::{BackupReader, Store, StoreError};

/// Most bytes in a blob, as in etcd.
const BLOB: usize = 32 * 1024;
/// Blobs that are read together.
const TOGETHER: usize = 8;

/// A piece of a snapshot.
#[derive(Debug)]
pub struct Blob {
    /// Bytes that follow, without the hash.
    pub remaining: u64,
    /// Its content; the last one contains the hash.
    pub bytes: Bytes,
}

/// A snapshot that is being read.
pub struct Snapshot {
    store: Store,
    jobs: Jobs,
    caller: Caller,
    /// Read, but not taken yet.
    ready: VecDeque<Blob>,
    step: Option<Step>,
}

impl Snapshot {
    /// Before the first read.
    pub(super) fn new(store: Store, jobs: Jobs, caller: Caller) -> Self {
        let step = Some(Step::Open(store.clone()));
        Self { store, jobs, caller, ready: VecDeque::new(), step }
    }

    /// The next blob; `None` after the last one.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`] as soon as the caller has lost its permission; internal ones, which are logged.
    pub async fn next(&mut self) -> Result<Option<Blob>, Refusal> {
        while self.ready.is_empty() {
            let Some(step) = self.step.take() else { return Ok(None) };
            self.store.check_now(&self.caller, Need::Root)?;
            let job = match &step {
                Step::Open(_) => Job::Whole,
                Step::Read(_) => Job::Read,
            };
            let done = self.jobs.run(job, move || step.run()).await;
            (self.ready, self.step) =
                done.inspect_err(|error| tracing::warn!(%error, "snapshot could not be read"))?;
        }
        Ok(self.ready.pop_front())
    }
}

/// The next step of reading.
enum Step {
    Open(Store),
    Read(Box<Rest>),
}

/// The rest of a snapshot.
struct Rest {
    pieces: BackupReader,
    /// The rest of a piece.
    piece: Bytes,
    /// Bytes that follow, without the hash.
    remaining: u64,
    hash: Sha256,
}

impl Step {
    fn run(self) -> Result<(VecDeque<Blob>, Option<Step>), StoreError> {
        match self {
            Step::Open(store) => {
                // A snapshot shows the last checkpoint, but the client expects everything that was acknowledged to any
                // client.
                store.checkpoint()?;
                let pieces = store.backup()?;
                let remaining = pieces.bytes();
                Rest { pieces, piece: Bytes::new(), remaining, hash: Sha256::new() }.read()
            }
            Step::Read(rest) => rest.read(),
        }
    }
}

impl Rest {
    fn read(mut self) -> Result<(VecDeque<Blob>, Option<Step>), StoreError> {
        let mut blobs = VecDeque::with_capacity(TOGETHER);
        while blobs.len() < TOGETHER {
            if self.piece.is_empty() {
                let Some(piece) = self.pieces.next() else {
                    let hash = Bytes::copy_from_slice(&self.hash.finalize());
                    blobs.push_back(Blob { remaining: 0, bytes: hash });
                    return Ok((blobs, None));
                };
                self.piece = piece.map_err(|error| StoreError::Snapshot(error.to_string()))?;
                continue;
            }
            let bytes = self.piece.split_to(self.piece.len().min(BLOB));
            self.hash.update(&bytes);
            self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
            blobs.push_back(Blob { remaining: self.remaining, bytes });
        }
        Ok((blobs, Some(Step::Read(Box::new(self)))))
    }
}
