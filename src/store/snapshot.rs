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
//! Numbers are big-endian. Each block's checksum is over its payload, beginning with the checksum of the block before, so a missing,
//! doubled or exchanged block shows. The empty block tells a whole stream from a cut one.
//!
//! A snapshot is the state at the last checkpoint. It holds one read transaction of LMDB until it is dropped, which
//! keeps pages that are freed meanwhile from being used again, and nothing else waits for it.

use std::io::{self, Read};
use std::ops::Bound;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::core::Inner;
use super::format::records::Meta;
use super::format::{self, varint};
use super::tables::{ReadTxn, Tables};
use crate::model::LogPosition;

pub(super) const MAGIC: &[u8; 12] = b"kvd-snapshot";
/// The version of the stream's own layout.
pub(super) const SNAPSHOT_VERSION: u16 = 1;
/// Payload of a block, at most; the last row of a block is cut there.
pub(super) const BLOCK: usize = 64 << 10;

/// What a snapshot stream begins with.
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

/// A snapshot as a stream of bytes. Reading it takes about a block of memory.
pub struct SnapshotReader {
    txn: ReadTxn,
    tables: Arc<Tables>,
    header: SnapshotHeader,
    meta: Meta,
    place: Place,
    /// Rows that are not in a block yet.
    rows: BytesMut,
    /// Bytes of the stream that are ready.
    ready: BytesMut,
    crc: u32,
    ended: bool,
}

/// Where the walk through the tables stands.
#[derive(Clone, Default)]
struct Place {
    table: usize,
    /// The last key that was taken.
    after: Option<Vec<u8>>,
}

impl Inner {
    /// See [`super::Store::snapshot`].
    pub fn snapshot(&self) -> Result<SnapshotReader, StoreError> {
        self.health()?;
        let tables = self.shared.read().tables.clone();
        let txn = tables.read()?;
        let meta = tables.meta(&txn)?;
        SnapshotReader::new(txn, tables, meta)
    }
}

impl SnapshotReader {
    fn new(txn: ReadTxn, tables: Arc<Tables>, meta: Meta) -> Result<Self, StoreError> {
        let mut reader = Self {
            header: SnapshotHeader::of(&meta),
            txn,
            tables,
            meta,
            place: Place::default(),
            rows: BytesMut::new(),
            ready: BytesMut::new(),
            crc: 0,
            ended: false,
        };
        reader.begin()?;
        Ok(reader)
    }

    /// What the stream holds.
    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// The exact length of the whole stream, in bytes. Goes through all rows.
    pub fn total_size(&self) -> Result<u64, StoreError> {
        let failed = StoreError::lmdb("measuring a snapshot");
        let mut rows = 0u64;
        for (_, table) in self.tables.contents() {
            for row in table.iter(&self.txn).map_err(&failed)? {
                let (key, value) = row.map_err(&failed)?;
                rows += row_len(key.len(), value.len());
            }
        }
        let blocks = rows.div_ceil(BLOCK as u64) + 2;
        Ok((MAGIC.len() + 2 + 4) as u64 + 8 * blocks + self.header_block()?.len() as u64 + rows)
    }

    fn header_block(&self) -> Result<Vec<u8>, StoreError> {
        let encode = |error| StoreError::Snapshot(format!("encoding the header: {error}"));
        postcard::to_stdvec(&Header { meta: self.meta.clone() }).map_err(encode)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.ready.put_slice(MAGIC);
        self.ready.put_u16(SNAPSHOT_VERSION);
        self.ready.put_u32(format::VERSION);
        let header = self.header_block()?;
        self.block(&header);
        Ok(())
    }

    fn block(&mut self, payload: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, payload);
        self.ready.put_u32(payload.len() as u32);
        self.ready.put_u32(self.crc);
        self.ready.put_slice(payload);
    }

    /// Makes the next blocks ready.
    fn fill(&mut self) -> Result<(), StoreError> {
        while self.rows.len() < BLOCK && self.take_rows()? {}
        let len = self.rows.len().min(BLOCK);
        let payload = self.rows.split_to(len);
        self.ended = payload.is_empty();
        self.block(&payload);
        Ok(())
    }

    /// Takes rows of the present table; false at the end of the last one.
    fn take_rows(&mut self) -> Result<bool, StoreError> {
        let failed = StoreError::lmdb("reading for a snapshot");
        let contents = self.tables.contents();
        let Some((number, table)) = contents.get(self.place.table) else { return Ok(false) };
        let from = match &self.place.after {
            Some(key) => Bound::Excluded(key.as_slice()),
            None => Bound::Unbounded,
        };
        let (mut last, mut head) = (None, Vec::new());
        for row in table.range(&self.txn, &(from, Bound::Unbounded)).map_err(&failed)? {
            let (key, value) = row.map_err(&failed)?;
            head.clear();
            head.push(*number);
            varint::put(&mut head, key.len() as u64);
            self.rows.put_slice(&head);
            self.rows.put_slice(key);
            head.clear();
            varint::put(&mut head, value.len() as u64);
            self.rows.put_slice(&head);
            self.rows.put_slice(value);
            last = Some(key);
            if self.rows.len() >= BLOCK {
                break;
            }
        }
        match last {
            Some(key) => self.place.after = Some(key.to_vec()),
            None => self.place = Place { table: self.place.table + 1, after: None },
        }
        Ok(true)
    }
}

fn row_len(key: usize, value: usize) -> u64 {
    let varint = |number: usize| (usize::BITS - number.max(1).leading_zeros()).div_ceil(7) as usize;
    (1 + varint(key) + key + varint(value) + value) as u64
}

impl Read for SnapshotReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() && !self.ended {
            self.fill().map_err(io::Error::other)?;
        }
        let length = buffer.len().min(self.ready.len());
        self.ready.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
