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

use super::mvcc::keys::KeyBuf;
use super::mvcc::written::Written;
use super::tables::Id;

/// A layer, shared between the applying thread, readers and a checkpoint. Nothing writes it once it is frozen.
pub(super) type LayerRef = Arc<RwLock<Layer>>;

/// The identity of a row: its table and its key there.
pub(super) type RowKey = (Id, KeyBuf);

/// Changes since a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// Versions of keys.
    pub keys: Written,
    /// Rows of other tables, written or (`None`) removed.
    rows: BTreeMap<RowKey, Option<Bytes>>,
    /// Bytes of these.
    row_bytes: usize,
}

impl Layer {
    /// Writes a row, or removes it.
    pub fn put_row(&mut self, at: RowKey, value: Option<Bytes>) {
        let size = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let key = at.1.len();
        self.row_bytes += size(&value);
        match self.rows.insert(at, value) {
            Some(before) => self.row_bytes -= size(&before),
            None => self.row_bytes += key,
        }
    }

    /// The layer's content for a row; `None` if it has none.
    pub fn row(&self, at: &RowKey) -> Option<&Option<Bytes>> {
        self.rows.get(at)
    }

    /// All rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = (&RowKey, &Option<Bytes>)> {
        self.rows.iter()
    }

    /// The rows of a table whose keys begin with `prefix`, ascending.
    pub fn rows_at(&self, table: Id, prefix: &[u8]) -> impl Iterator<Item = (&KeyBuf, &Option<Bytes>)> {
        let first = (table, KeyBuf::from_slice(prefix));
        let rows = self.rows.range((Bound::Included(&first), Bound::Unbounded));
        let is_one = move |(at, key): &RowKey| *at == table && key.starts_with(prefix);
        rows.take_while(move |(place, _)| is_one(place)).map(|((_, key), value)| (key, value))
    }

    /// Bytes of keys and values without a checkpoint.
    pub fn bytes(&self) -> usize {
        self.keys.bytes + self.row_bytes
    }

    /// The number of changes without a checkpoint.
    pub fn operations(&self) -> usize {
        self.keys.changes.len() + self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_table_and_prefix_and_counted_once() {
        let mut layer = Layer::default();
        let place = |table, key: &[u8]| (table, KeyBuf::from_slice(key));
        layer.put_row(place(Id::Leases, b"ab"), Some(Bytes::from_static(b"1")));
        layer.put_row(place(Id::Attached, b"ab"), Some(Bytes::new()));
        layer.put_row(place(Id::Attached, b"ac"), Some(Bytes::from_static(b"22")));
        layer.put_row(place(Id::Attached, b"ac"), None);
        layer.put_row(place(Id::Attached, b"b"), Some(Bytes::new()));
        let found: Vec<_> = layer.rows_at(Id::Attached, b"a").map(|(key, value)| (&key[..], value)).collect();
        assert_eq!(found, [(b"ab".as_slice(), &Some(Bytes::new())), (b"ac".as_slice(), &None)]);
        assert_eq!(layer.row(&place(Id::Leases, b"ac")), None);
        assert_eq!((layer.operations(), layer.bytes()), (4, 2 + 1 + 2 + 2 + 1));
    }
}
