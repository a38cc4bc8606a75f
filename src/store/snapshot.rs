//! Snapshots as streams.
//!
//! # The stream (snapshot version 1)
//! ```text
//! "kvd-snapshot"  u16 snapshot version  u32 store format (the feature version: what the rows mean)
//! blocks: u32 length  u32 chained CRC32C  payload
//!   first block: postcard Header (with the meta record)
//!   then rows:   u8 table  varint key length  key  varint value length  value, in the order of tables and keys;
//!                a row may go on in the next block
//!   last block:  empty
//! ```
//! Numbers are big-endian. Each block's checksum is over its payload, beginning with the checksum of the block before,
//! so a missing, repeated or exchanged block is detected. The empty block distinguishes a complete stream from an
//! incomplete one.
//!
//! A snapshot is the state at the last checkpoint. It holds one read transaction of LMDB until it is dropped. Pages
//! that are freed in the meantime are not reused, and nothing else waits for it.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::condemned::Mark;
use super::core::Inner;
use super::format::meta::Meta;
use super::format::{self, varint};
use super::lmdb::{ReadTxn, Tables};
use super::tables::{Id, Row, TABLES};
use crate::model::{Histogram, LogPosition, Planted, is_planted};

pub(super) const MAGIC: &[u8; 12] = b"kvd-snapshot";
/// The version of the stream's own layout.
pub(super) const SNAPSHOT_VERSION: u16 = 1;
/// Largest payload of a block; the last row of a block is cut there.
pub(super) const BLOCK: usize = 64 << 10;
/// Length and checksum before the payload of a block.
pub(super) const BLOCK_HEAD: usize = 8;
const FULL: usize = BLOCK_HEAD + BLOCK;

/// The header of a snapshot stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The last log entry it contains.
    pub position: Option<LogPosition>,
    /// Raft's configuration at that point, opaque here, with its position.
    pub raft_membership: Option<(LogPosition, Bytes)>,
    /// The current revision.
    pub revision: i64,
    /// The compacted revision, -1 for none.
    pub compacted: i64,
    /// The cluster's version.
    pub cluster_version: Option<String>,
}

impl SnapshotHeader {
    pub(super) fn of(meta: &Meta) -> Self {
        Self {
            position: meta.applied,
            raft_membership: meta.raft_membership.clone(),
            revision: meta.revision,
            compacted: meta.compacted,
            cluster_version: meta.cluster_version.clone(),
        }
    }
}

/// The first block.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub meta: Meta,
}

/// A snapshot as a stream of bytes, in pieces of about one block. It needs memory for one block.
pub struct SnapshotReader {
    store: Weak<Inner>,
    txn: ReadTxn,
    tables: Arc<Tables>,
    header: SnapshotHeader,
    meta: Meta,
    place: Place,
    /// The rest of a row that did not fit into the previous block.
    rest: BytesMut,
    crc: u32,
    begun: Instant,
    took: Arc<Histogram>,
    condemned: Arc<Mark>,
}

/// The position in the stream.
enum Place {
    /// Before everything.
    Start,
    /// In a table, after a key.
    Rows { table: usize, after: Option<Vec<u8>> },
    /// After everything.
    End,
}

/// The tables of a stream with their numbers there, in its order.
pub(super) fn contents() -> impl Iterator<Item = (u8, &'static Row)> {
    TABLES.iter().filter_map(|table| Some((table.snapshot?, table)))
}

impl Inner {
    /// See [`super::Store::snapshot`].
    pub fn snapshot(self: &Arc<Self>) -> Result<SnapshotReader, StoreError> {
        self.health()?;
        let tables = self.shared.read().tables.clone();
        let txn = tables.read()?;
        let meta = tables.meta(&txn)?;
        // A checkpoint is on the disk a moment before this process counts it: a snapshot that is ahead would let raft purge
        // entries which the durable state seems to lack.
        let index = |meta: &Meta| meta.applied.map(|applied| applied.index);
        let is_ahead = || index(&self.shared.read().meta) < index(&meta);
        self.signal.wait_while(is_ahead, || self.health().is_err());
        self.health()?;
        Ok(SnapshotReader {
            store: Arc::downgrade(self),
            header: SnapshotHeader::of(&meta),
            txn,
            tables,
            meta,
            place: Place::Start,
            rest: BytesMut::new(),
            crc: 0,
            begun: Instant::now(),
            took: self.figures.snapshot.clone(),
            condemned: self.condemned.clone(),
        })
    }
}

impl SnapshotReader {
    /// The first bytes of every stream.
    pub const MAGIC: &[u8] = MAGIC;

    /// The content of the stream.
    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    fn header_block(&self) -> Result<Vec<u8>, StoreError> {
        let encode = |error| StoreError::Snapshot(format!("encoding the header: {error}"));
        postcard::to_stdvec(&Header { meta: self.meta.clone() }).map_err(encode)
    }

    /// # Errors
    /// Also if the state is found wrong meanwhile: nobody takes over a stream without its end.
    fn next_piece(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.condemned.is_set() {
            return Err(StoreError::Snapshot("the state is wrong, and is not passed on".into()));
        }
        match self.place {
            Place::Start => {
                let header = self.header_block()?;
                let mut piece = BytesMut::new();
                piece.put_slice(MAGIC);
                piece.put_u16(SNAPSHOT_VERSION);
                piece.put_u32(format::STREAMED);
                let mut block = BytesMut::zeroed(BLOCK_HEAD);
                block.put_slice(&header);
                piece.put_slice(&self.seal(block));
                self.place = Place::Rows { table: 0, after: None };
                Ok(Some(piece.freeze()))
            }
            Place::Rows { .. } => {
                let mut block = BytesMut::with_capacity(FULL);
                block.put_bytes(0, BLOCK_HEAD);
                let rest = std::mem::take(&mut self.rest);
                add(&mut block, &mut self.rest, &rest);
                while block.len() < FULL && self.take_rows(&mut block)? {}
                if block.len() == BLOCK_HEAD {
                    self.place = Place::End;
                    self.took.observe_time(self.begun.elapsed());
                }
                Ok(Some(self.seal(block)))
            }
            Place::End => Ok(None),
        }
    }

    /// Fills in the head of a block.
    fn seal(&mut self, mut block: BytesMut) -> Bytes {
        let (mut head, payload) = block.split_at_mut(BLOCK_HEAD);
        self.crc = crc32c::crc32c_append(self.crc, payload);
        head.put_u32(payload.len() as u32);
        head.put_u32(self.crc);
        block.freeze()
    }

    /// Adds rows of the present table, until the block is full; false at the end of the last one.
    fn take_rows(&mut self, block: &mut BytesMut) -> Result<bool, StoreError> {
        let failed = StoreError::lmdb("reading for a snapshot");
        let Place::Rows { table: at, after } = &mut self.place else { return Ok(false) };
        let Some((number, table)) = contents().nth(*at) else { return Ok(false) };
        if is_planted(Planted::SnapshotsWithoutLeases) && table.id == Id::Leases {
            self.place = Place::Rows { table: *at + 1, after: None };
            return Ok(true);
        }
        let from = match after {
            Some(key) => Bound::Excluded(key.as_slice()),
            None => Bound::Unbounded,
        };
        let (mut last, mut head) = (None, Vec::new());
        for row in self.tables[table.id].range(&self.txn, &(from, Bound::Unbounded)).map_err(&failed)? {
            let (key, value) = row.map_err(&failed)?;
            head.clear();
            head.put_u8(number);
            varint::put(&mut head, key.len() as u64);
            head.put_slice(key);
            varint::put(&mut head, value.len() as u64);
            add(block, &mut self.rest, &head);
            add(block, &mut self.rest, value);
            last = Some(key);
            if block.len() == FULL {
                break;
            }
        }
        match last {
            Some(key) => *after = Some(key.to_vec()),
            None => (*at, *after) = (*at + 1, None),
        }
        Ok(true)
    }
}

/// Adds as much to a block as there is room for; the rest goes to the next one.
fn add(block: &mut BytesMut, rest: &mut BytesMut, bytes: &[u8]) {
    let (now, later) = bytes.split_at(bytes.len().min(FULL - block.len()));
    block.put_slice(now);
    rest.put_slice(later);
}

/// The pieces of the stream. Nothing follows an error.
impl Iterator for SnapshotReader {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        let piece = self.next_piece();
        if let Err(error) = &piece {
            self.place = Place::End;
            self.store.upgrade().inspect(|store| _ = store.condemns(error));
        }
        piece.map_err(io::Error::other).transpose()
    }
}
