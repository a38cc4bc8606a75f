//! The state at the last checkpoint as a bbolt file, in pieces.
//!
//! The length comes before the content, so all rows are visited twice: first each table in its own order, for the sizes
//! alone; then the history in the order of revisions, with the version of each change. One read transaction of LMDB is
//! held, like that of a snapshot for members.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;

use super::schema::{self, KEY, LEASE, Row};
use crate::bbolt::{Extent, Writer};
use crate::model::Histogram;
use crate::store::StoreError;
use crate::store::core::{Inner, load_registry};
use crate::store::format::leases;
use crate::store::lmdb::{ReadTxn, Tables};
use crate::store::mvcc::disk::damaged;
use crate::store::mvcc::records::{Record, decode_history, split_current};
use crate::store::mvcc::revision::Revision;
use crate::store::mvcc::stored;
use crate::store::tables::Id;

/// Bytes of a piece, at least, but for the last one.
const PIECE: usize = 256 << 10;
/// Bytes of a key of `lease`.
const LEASE_KEY: usize = 8;
/// Bytes of the longest key of `key`.
const REVISION_KEY: usize = 18;

/// The state at a checkpoint as a bbolt file, in pieces. It needs memory for a few of them.
pub struct BackupReader {
    store: Weak<Inner>,
    txn: ReadTxn,
    tables: Arc<Tables>,
    bytes: u64,
    /// `None` after everything.
    writer: Option<Writer<Vec<u8>>>,
    place: Place,
    begun: Instant,
    took: Arc<Histogram>,
}

/// The position in the file.
enum Place {
    /// Before everything.
    Small(Vec<(&'static str, Vec<Row>)>),
    /// In the leases, after one.
    Leases(Option<Vec<u8>>),
    /// In the history, at a change.
    Changes(Revision),
    /// After the last row.
    Free,
}

impl Inner {
    /// See [`crate::store::Store::backup`].
    pub fn backup(self: &Arc<Self>) -> Result<BackupReader, StoreError> {
        self.health()?;
        let begun = Instant::now();
        let tables = self.shared.read().tables.clone();
        let txn = tables.read()?;
        let meta = tables.meta(&txn)?;
        let registry = load_registry(&tables, &txn, &meta)?;
        let small = schema::small_buckets(&registry, &meta)?;
        let mut extent = Extent::default();
        for (_, rows) in &small {
            for (key, value) in rows {
                extent.add(1, (key.len() + value.len()) as u64, key.len());
            }
            extent.end_bucket();
        }
        let (rows, bytes) = leases_len(&tables, &txn)?;
        extent.add(rows, bytes, LEASE_KEY);
        extent.end_bucket();
        let (rows, bytes) = changes_len(&tables, &txn)?;
        extent.add(rows, bytes, REVISION_KEY);
        extent.end_bucket();
        let writer = Some(Writer::begin(Vec::new(), &extent).map_err(unplanned)?);
        let (bytes, place, took) = (extent.bytes(), Place::Small(small), self.figures.snapshot.clone());
        Ok(BackupReader { store: Arc::downgrade(self), txn, tables, bytes, writer, place, begun, took })
    }
}

/// The number of leases and the bytes of their rows.
fn leases_len(tables: &Tables, txn: &ReadTxn) -> Result<(u64, u64), StoreError> {
    let failed = StoreError::lmdb("measuring the leases");
    let (mut rows, mut bytes) = (0, 0);
    for row in tables[Id::Leases].iter(txn).map_err(&failed)? {
        let (key, value) = row.map_err(&failed)?;
        let lease = leases::decode(value).ok_or_else(|| damaged("leases"))?;
        rows += 1;
        bytes += (key.len() + schema::lease_row(&lease).len()) as u64;
    }
    Ok((rows, bytes))
}

/// The number of changes and the bytes of their rows. Each has a version in one of two tables.
fn changes_len(tables: &Tables, txn: &ReadTxn) -> Result<(u64, u64), StoreError> {
    let failed = StoreError::lmdb("measuring the history");
    let (mut rows, mut bytes) = (0, 0);
    for row in tables[Id::History].iter(txn).map_err(&failed)? {
        let (at, change) = row.map_err(&failed)?;
        let at = Revision::from_bytes(at).ok_or_else(|| damaged("history"))?;
        let (kind, key) = decode_history(change).ok_or_else(|| damaged("history"))?;
        rows += 1;
        bytes += stored::change_len(at, kind, key.len());
    }
    for (table, name) in [(Id::Current, "current"), (Id::Old, "old")] {
        for row in tables[table].iter(txn).map_err(&failed)? {
            let (_, mut record) = row.map_err(&failed)?;
            // A marker on the way to long keys.
            if record.is_empty() {
                continue;
            }
            if table == Id::Current {
                (_, record) = split_current(record).ok_or_else(|| damaged(name))?;
            }
            if let Record::Live(live) = Record::decode(record).ok_or_else(|| damaged(name))? {
                bytes += stored::version_len(&live);
            }
        }
    }
    Ok((rows, bytes))
}

impl BackupReader {
    /// The exact length of the file, in bytes: whole pages.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn next_piece(&mut self) -> Result<Option<Bytes>, StoreError> {
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        while writer.out().len() < PIECE {
            match &self.place {
                Place::Small(buckets) => {
                    for (name, rows) in buckets {
                        rows.iter().try_for_each(|(key, value)| writer.row(key, value)).map_err(unplanned)?;
                        writer.end_bucket(name).map_err(unplanned)?;
                    }
                    self.place = Place::Leases(None);
                }
                Place::Leases(after) => self.place = self.leases(&mut writer, after.as_deref())?,
                Place::Changes(from) => self.place = self.changes(&mut writer, *from)?,
                Place::Free if writer.fill().map_err(unplanned)? => {}
                Place::Free => {
                    self.took.observe_time(self.begun.elapsed());
                    return Ok(Some(writer.finish().map_err(unplanned)?.into()));
                }
            }
        }
        let piece = std::mem::take(writer.out());
        self.writer = Some(writer);
        Ok(Some(piece.into()))
    }

    /// Writes leases until a piece is full; returns the next position.
    fn leases(&self, writer: &mut Writer<Vec<u8>>, after: Option<&[u8]>) -> Result<Place, StoreError> {
        let failed = StoreError::lmdb("reading the leases");
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for row in self.tables[Id::Leases].range(&self.txn, &(from, Bound::Unbounded)).map_err(&failed)? {
            let (key, value) = row.map_err(&failed)?;
            let lease = leases::decode(value).ok_or_else(|| damaged("leases"))?;
            writer.row(key, &schema::lease_row(&lease)).map_err(unplanned)?;
            if writer.out().len() >= PIECE {
                return Ok(Place::Leases(Some(key.to_vec())));
            }
        }
        writer.end_bucket(LEASE).map_err(unplanned)?;
        Ok(Place::Changes(Revision::default()))
    }

    /// Writes changes until a piece is full; returns the next position.
    fn changes(&self, writer: &mut Writer<Vec<u8>>, from: Revision) -> Result<Place, StoreError> {
        let failed = StoreError::lmdb("reading the history");
        let first = from.to_bytes();
        let bounds = (Bound::Included(first.as_slice()), Bound::Unbounded);
        let mut row = Vec::new();
        for change in self.tables[Id::History].range(&self.txn, &bounds).map_err(&failed)? {
            let (at, change) = change.map_err(&failed)?;
            let at = Revision::from_bytes(at).ok_or_else(|| damaged("history"))?;
            if writer.out().len() >= PIECE {
                return Ok(Place::Changes(at));
            }
            let (kind, key) = decode_history(change).ok_or_else(|| damaged("history"))?;
            row.clear();
            let length = stored::put_row(&self.tables, &self.txn, (at, kind), key, &mut row)?;
            let (key, value) = row.split_at(length);
            writer.row(key, value).map_err(unplanned)?;
        }
        writer.end_bucket(KEY).map_err(unplanned)?;
        Ok(Place::Free)
    }
}

/// The only error of writing to memory.
fn unplanned(error: io::Error) -> StoreError {
    StoreError::Snapshot(format!("the tables do not agree about the history: {error}"))
}

/// The pieces of the file. Nothing follows an error.
impl Iterator for BackupReader {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        let piece = self.next_piece();
        if let Err(error) = &piece {
            self.store.upgrade().inspect(|store| _ = store.condemns(error));
        }
        piece.map_err(io::Error::other).transpose()
    }
}
