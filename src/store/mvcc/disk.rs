//! Versions of keys in LMDB.

use std::cmp::Ordering;

use bytes::Bytes;
use heed::RoTxn;

use super::keys::{self, CurrentShape, OldShape};
use super::records::{Live, Record, Value, split_current};
use super::revision::Revision;
use super::scan::{Row, Walk};
use super::written;
use crate::model::MAX_COMMAND_BYTES;
use crate::store::StoreError;
use crate::store::lmdb::Tables;
use crate::store::tables::Id;

/// A version in its form in LMDB.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct DiskVersion<'t> {
    pub at: Revision,
    pub record: Record<'t>,
}

/// An error for stored bytes that cannot be read.
pub(in crate::store) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(format!("a record of {what}"))
}

impl Tables {
    /// The version in `current`.
    pub fn current_of<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        key: &[u8],
    ) -> Result<Option<DiskVersion<'t>>, StoreError> {
        let row =
            self[Id::Current].get(txn, &keys::current_key(key)).map_err(StoreError::lmdb("reading a key"))?;
        row.map(decode_current).transpose()
    }

    /// The version in `old` that was written at exactly `at`.
    pub fn old_at<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        key: &[u8],
        at: Revision,
    ) -> Result<Option<DiskVersion<'t>>, StoreError> {
        let row =
            self[Id::Old].get(txn, &keys::old_key(key, at)).map_err(StoreError::lmdb("reading a version"))?;
        row.map(|row| decode_old(at, row)).transpose()
    }

    /// The newest version in `old` that is not above `at`.
    pub fn old_floor<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        key: &[u8],
        at: Revision,
    ) -> Result<Option<DiskVersion<'t>>, StoreError> {
        let prefix = keys::old_prefix(key);
        let mut last = prefix.clone();
        last.extend_from_slice(&at.to_bytes());
        let row = self[Id::Old]
            .get_lower_than_or_equal_to(txn, &last)
            .map_err(StoreError::lmdb("reading a version"))?;
        old_row(row, &prefix)
    }

    /// The oldest version in `old` that is above `at`.
    pub fn old_after<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        key: &[u8],
        at: Revision,
    ) -> Result<Option<DiskVersion<'t>>, StoreError> {
        let prefix = keys::old_prefix(key);
        let mut first = prefix.clone();
        first.extend_from_slice(&at.to_bytes());
        let row =
            self[Id::Old].get_greater_than(txn, &first).map_err(StoreError::lmdb("reading a version"))?;
        old_row(row, &prefix)
    }

    /// The newest version that is not above `at`.
    pub fn floor<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        key: &[u8],
        at: Revision,
    ) -> Result<Option<DiskVersion<'t>>, StoreError> {
        match self.current_of(txn, key)? {
            Some(version) if version.at <= at => Ok(Some(version)),
            _ => self.old_floor(txn, key, at),
        }
    }

    /// The version that was written at exactly `at`.
    pub fn exact<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        key: &[u8],
        at: Revision,
    ) -> Result<Option<DiskVersion<'t>>, StoreError> {
        match self.current_of(txn, key)? {
            Some(version) if version.at == at => Ok(Some(version)),
            _ => self.old_at(txn, key, at),
        }
    }

    /// A copy of the value of the version written at `at`.
    pub fn value(&self, txn: &RoTxn<'_>, at: Revision, value: Value<'_>) -> Result<Bytes, StoreError> {
        let len = match value {
            Value::Inline(value) => return Ok(Bytes::copy_from_slice(value)),
            Value::Chunked { len } => len,
        };
        let missing = || StoreError::Damaged(format!("the value of revision {} is incomplete", at.main));
        // Exactly so much: what is read is counted by its length, and a buffer that grows takes up to twice as much.
        let mut whole = Vec::with_capacity(usize::try_from(len).unwrap_or(usize::MAX).min(MAX_COMMAND_BYTES));
        for n in 0.. {
            if whole.len() as u64 >= len {
                break;
            }
            let chunk = self[Id::Chunks]
                .get(txn, &keys::chunk_key(at, n))
                .map_err(StoreError::lmdb("reading a value"))?;
            let chunk = chunk.filter(|chunk| !chunk.is_empty()).ok_or_else(missing)?;
            whole.extend_from_slice(chunk);
        }
        if whole.len() as u64 == len { Ok(whole.into()) } else { Err(missing()) }
    }

    /// An owned copy of a version.
    pub fn own(&self, txn: &RoTxn<'_>, version: DiskVersion<'_>) -> Result<written::Version, StoreError> {
        let live = match version.record {
            Record::Tombstone => None,
            Record::Live(live) => Some(written::Live {
                create: live.create,
                version: live.version,
                lease: live.lease,
                value: self.value(txn, version.at, live.value)?,
            }),
        };
        Ok(written::Version { at: version.at, live })
    }
}

fn decode_current(row: &[u8]) -> Result<DiskVersion<'_>, StoreError> {
    let (at, record) = split_current(row).ok_or_else(|| damaged("current"))?;
    decode_old(at, record)
}

fn decode_old(at: Revision, row: &[u8]) -> Result<DiskVersion<'_>, StoreError> {
    let record = Record::decode(row).ok_or_else(|| damaged("old"))?;
    Ok(DiskVersion { at, record })
}

fn old_row<'t>(row: Option<(&[u8], &'t [u8])>, prefix: &[u8]) -> Result<Option<DiskVersion<'t>>, StoreError> {
    let Some((key, value)) = row else { return Ok(None) };
    let Some(at) = key.strip_prefix(prefix).and_then(Revision::from_bytes) else { return Ok(None) };
    decode_old(at, value).map(Some)
}

/// The live keys of LMDB at a revision, in key order.
pub(in crate::store) struct DiskScan<'t> {
    tables: &'t Tables,
    txn: &'t RoTxn<'t>,
    at: Revision,
    current: Walk<'t, CurrentShape>,
    current_row: Option<Row<'t>>,
    /// `None` if nothing in LMDB is newer than `at`, so that `current` is enough.
    old: Option<(Walk<'t, OldShape>, Option<Row<'t>>)>,
    /// The key that was found, if it is not the one of `current`.
    old_key: Vec<u8>,
    found: Option<(Source, DiskVersion<'t>)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Source {
    Current,
    Old,
}

/// Rows of one key in `old` that are visited before the next key is looked up directly.
const WALK_OVER: usize = 16;

impl<'t> DiskScan<'t> {
    /// Begins at `start`; `newest` is the greatest revision that this transaction can see.
    pub fn new(
        tables: &'t Tables,
        txn: &'t RoTxn<'t>,
        start: &[u8],
        at: Revision,
        newest: i64,
    ) -> Result<Self, StoreError> {
        let mut current = Walk::from(tables[Id::Current], txn, start)?;
        let current_row = current.next()?;
        let old = if at.main >= newest {
            None
        } else {
            let mut walk = Walk::from(tables[Id::Old], txn, start)?;
            let row = walk.next()?;
            Some((walk, row))
        };
        let mut scan = Self { tables, txn, at, current, current_row, old, old_key: Vec::new(), found: None };
        scan.find()?;
        Ok(scan)
    }

    /// The present key of the scan.
    pub fn key(&self) -> Option<&[u8]> {
        match self.found.as_ref()?.0 {
            Source::Current => Some(self.current.key()),
            Source::Old => Some(&self.old_key),
        }
    }

    /// Its version.
    pub fn live(&self) -> Option<(Revision, Live<'t>)> {
        match self.found.as_ref()?.1 {
            DiskVersion { at, record: Record::Live(live) } => Some((at, live)),
            DiskVersion { record: Record::Tombstone, .. } => None,
        }
    }

    /// Moves to the next key.
    pub fn advance(&mut self) -> Result<(), StoreError> {
        if matches!(self.found, Some((Source::Current, _))) {
            self.current_row = self.current.next()?;
        }
        self.find()
    }

    /// Moves to the next live key from the present position of the walks.
    fn find(&mut self) -> Result<(), StoreError> {
        loop {
            self.found = None;
            let version = self.current_row.as_ref().map(|row| decode_current(row.value)).transpose()?;
            let Some((old, old_row)) = &mut self.old else {
                self.found = version.map(|version| (Source::Current, version));
                return Ok(());
            };
            let order = match (&self.current_row, &old_row) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), Some(_)) => self.current.key().cmp(old.key()),
            };
            match (order, version) {
                (Ordering::Less, Some(version)) => {
                    if version.at <= self.at {
                        self.found = Some((Source::Current, version));
                        return Ok(());
                    }
                    self.current_row = self.current.next()?;
                }
                (order, version) => {
                    let floor = self.pass_old_key()?;
                    if order == Ordering::Equal {
                        if let Some(version) = version.filter(|version| version.at <= self.at) {
                            self.found = Some((Source::Current, version));
                            return Ok(());
                        }
                        self.current_row = self.current.next()?;
                    }
                    if let Some(version) = floor.filter(|version| matches!(version.record, Record::Live(_))) {
                        self.found = Some((Source::Old, version));
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Walks over all rows of the present key of `old`, copies the key to `old_key`, and returns its newest version
    /// that is not above `at`.
    fn pass_old_key(&mut self) -> Result<Option<DiskVersion<'t>>, StoreError> {
        let Some((old, row)) = &mut self.old else { return Ok(None) };
        self.old_key.clear();
        self.old_key.extend_from_slice(old.key());
        let mut floor = None;
        let mut passed = 0;
        while let Some(found) = row {
            if old.key() != self.old_key {
                return Ok(floor);
            }
            let at = found.at.ok_or_else(|| damaged("old"))?;
            if at <= self.at {
                floor = Some(decode_old(at, found.value)?);
            }
            passed += 1;
            if passed == WALK_OVER {
                floor = self.tables.old_floor(self.txn, &self.old_key, self.at)?;
                let next = [self.old_key.as_slice(), &[0]].concat();
                *old = Walk::from(self.tables[Id::Old], self.txn, &next)?;
            }
            *row = old.next()?;
        }
        Ok(floor)
    }
}
