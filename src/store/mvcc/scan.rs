//! Walks through a table in the order of user keys, across the namespaces of long keys (see [`crate::store::format`]).

use std::marker::PhantomData;
use std::ops::Bound;

use heed::RoTxn;
use sha2::{Digest, Sha256};

use super::keys::{Entry, KeyBuf, Namespace, SEGMENT, Shape};
use super::revision::Revision;
use crate::store::StoreError;
use crate::store::sealed::{Rows, Table};

/// A row of a walk through a table; its user key is in [`Walk::key`].
pub(in crate::store) struct Row<'t> {
    /// The revision, if the table's keys contain it.
    pub at: Option<Revision>,
    /// The value.
    pub value: &'t [u8],
}

struct Level<'t> {
    namespace: Namespace,
    /// Hash of the part of the user key that was consumed above this level, which has this length.
    hash: Sha256,
    prefix: usize,
    rows: Rows<'t>,
}

/// Rows in the order of user keys, from a first key on.
pub(in crate::store) struct Walk<'t, S> {
    table: Table,
    txn: &'t RoTxn<'t>,
    levels: Vec<Level<'t>>,
    key: Vec<u8>,
    shape: PhantomData<S>,
}

impl<'t, S: Shape> Walk<'t, S> {
    /// Begins at the first row whose user key is at least `start`.
    pub fn from(table: Table, txn: &'t RoTxn<'t>, start: &[u8]) -> Result<Self, StoreError> {
        let mut walk = Self { table, txn, levels: Vec::new(), key: Vec::new(), shape: PhantomData };
        // If `start` is long, the walk begins in its own namespace and returns through the namespaces above, after the
        // markers by which it left them.
        let mut hash = Sha256::new();
        let mut rest = start;
        while rest.len() > SEGMENT {
            let (segment, tail) = rest.split_at(SEGMENT);
            let namespace = Namespace::of_hash(&hash, walk.key.len());
            let marker = S::marker(namespace, segment);
            walk.enter(namespace, hash.clone(), Bound::Excluded(&marker))?;
            hash.update(segment);
            walk.key.extend_from_slice(segment);
            rest = tail;
        }
        let namespace = Namespace::of_hash(&hash, walk.key.len());
        let first = S::first(namespace, rest);
        walk.enter(namespace, hash, Bound::Included(&first))?;
        Ok(walk)
    }

    /// The user key of the row that [`Walk::next`] returned last.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Descends into the namespace of the bytes after `self.key`.
    fn enter(&mut self, namespace: Namespace, hash: Sha256, from: Bound<&[u8]>) -> Result<(), StoreError> {
        let bounds = (from, Bound::Unbounded);
        let rows = self.table.range(self.txn, &bounds).map_err(StoreError::lmdb("scanning"))?;
        self.levels.push(Level { namespace, hash, prefix: self.key.len(), rows });
        Ok(())
    }

    /// The next row.
    pub fn next(&mut self) -> Result<Option<Row<'t>>, StoreError> {
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let row = level.rows.next().transpose().map_err(StoreError::lmdb("scanning"))?;
            let inside = row.and_then(|(key, value)| Some((level.namespace.strip(key)?, value)));
            let Some((rest, value)) = inside else {
                self.levels.pop();
                continue;
            };
            self.key.truncate(level.prefix);
            match S::parse(rest).ok_or_else(|| StoreError::Damaged("a key of a table".into()))? {
                Entry::Leaf(segment, at) => {
                    self.key.extend_from_slice(&segment);
                    return Ok(Some(Row { at, value }));
                }
                Entry::Marker(segment) => {
                    self.key.extend_from_slice(&segment);
                    let hash = level.hash.clone().chain_update(&segment);
                    let below = Namespace::of_hash(&hash, self.key.len());
                    let mut from = KeyBuf::new();
                    below.write(&mut from);
                    self.enter(below, hash, Bound::Included(&from))?;
                }
            }
        }
    }
}
