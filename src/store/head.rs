//! The in-memory head: the changes since the last checkpoint.
//!
//! A [`Layer`] is written by the applying thread only. A checkpoint freezes it, which makes it immutable, and folds it
//! into LMDB. Versions of a revision that is not published yet (`Shared::revision`) may already be in the active layer;
//! readers never read above the published one.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::mvcc::written::Written;
use super::tables::Id;

/// A layer, shared between the applying thread, readers and a checkpoint. Nothing writes it once it is frozen.
pub(super) type LayerRef = Arc<RwLock<Layer>>;

/// Changes since a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// Versions of keys.
    pub keys: Written,
    /// Rows of other tables by their keys, written or (`None`) removed. A key takes no more memory than its length, since a
    /// lease may have a million.
    rows: BTreeMap<Id, BTreeMap<Bytes, Option<Bytes>>>,
    /// Bytes of these.
    row_bytes: usize,
}

impl Layer {
    /// Writes a row, or removes it.
    pub fn put_row(&mut self, table: Id, key: Bytes, value: Option<Bytes>) {
        let size = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let length = key.len();
        self.row_bytes += size(&value);
        match self.rows.entry(table).or_default().insert(key, value) {
            Some(before) => self.row_bytes -= size(&before),
            None => self.row_bytes += length,
        }
    }

    /// The layer's content for a row; `None` if it has none.
    pub fn row(&self, table: Id, key: &[u8]) -> Option<&Option<Bytes>> {
        self.rows.get(&table)?.get(key)
    }

    /// All rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = (Id, &Bytes, &Option<Bytes>)> {
        self.rows.iter().flat_map(|(table, rows)| rows.iter().map(|(key, value)| (*table, key, value)))
    }

    /// The rows of a table whose keys begin with `prefix`, ascending.
    pub fn rows_at(&self, table: Id, prefix: &[u8]) -> impl Iterator<Item = (&Bytes, &Option<Bytes>)> {
        let rows = self.rows.get(&table).into_iter();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        rows.flat_map(move |rows| rows.range::<[u8], _>(from))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Bytes of keys and values without a checkpoint.
    pub fn bytes(&self) -> usize {
        self.keys.bytes + self.row_bytes
    }

    /// The number of changes without a checkpoint.
    pub fn operations(&self) -> usize {
        self.keys.changes.len() + self.rows.values().map(BTreeMap::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_table_and_prefix_and_counted_once() {
        let mut layer = Layer::default();
        layer.put_row(Id::Leases, Bytes::from_static(b"ab"), Some(Bytes::from_static(b"1")));
        layer.put_row(Id::Attached, Bytes::from_static(b"ab"), Some(Bytes::new()));
        layer.put_row(Id::Attached, Bytes::from_static(b"ac"), Some(Bytes::from_static(b"22")));
        layer.put_row(Id::Attached, Bytes::from_static(b"ac"), None);
        layer.put_row(Id::Attached, Bytes::from_static(b"b"), Some(Bytes::new()));
        let found: Vec<_> = layer.rows_at(Id::Attached, b"a").map(|(key, value)| (&key[..], value)).collect();
        assert_eq!(found, [(b"ab".as_slice(), &Some(Bytes::new())), (b"ac".as_slice(), &None)]);
        assert_eq!(layer.row(Id::Leases, b"ac"), None);
        assert_eq!((layer.operations(), layer.bytes()), (4, 2 + 1 + 2 + 2 + 1));
    }
}
