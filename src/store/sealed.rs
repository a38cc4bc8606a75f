//! A table whose rows carry checksums: LMDB has none, and serves whatever is on the disk.
//!
//! Behind each value are the four bytes of a CRC32C over the number of the table, the length of the key, the key and the
//! value (`SEAL`): a row that was changed on the disk, moved to another key or to another table is an error when it is
//! read, and never an answer. A table of an environment in format 1 has no checksums; its rows are read as they are.

use std::fmt;
use std::ops::Bound;

use heed::types::Bytes;
use heed::{Database, DatabaseStat, Error, PutFlags, Result, RoRange, RoTxn, RwTxn};
use smallvec::SmallVec;

use super::tables::{Id, TABLES};

/// Bytes of a checksum.
pub(super) const SEAL: usize = 4;

/// A row that is not as it was written.
#[derive(Debug)]
pub(super) struct DamagedRow {
    table: Id,
    key: Vec<u8>,
}

impl fmt::Display for DamagedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = TABLES[self.table as usize].name;
        write!(f, "the checksum of {} in table {name} is wrong", shown(self.table, &self.key))
    }
}

impl std::error::Error for DamagedRow {}

/// The key of a row, for operators: of a version of a short key, the user's key.
pub(super) fn shown(table: Id, key: &[u8]) -> String {
    /// Bytes of a key that are shown.
    const SHOWN: usize = 100;
    let place = match (table, key) {
        (Id::Current | Id::Old, [1, rest @ ..]) => rest,
        _ => key,
    };
    let dots = if place.len() > SHOWN { "..." } else { "" };
    format!("\"{}{dots}\"", place[..place.len().min(SHOWN)].escape_ascii())
}

/// The checksum of a row.
pub(super) fn checksum(table: Id, key: &[u8], value: &[u8]) -> [u8; SEAL] {
    // LMDB's keys are shorter than 64 KiB.
    let [high, low] = (key.len() as u16).to_be_bytes();
    let crc = crc32c::crc32c(&[table as u8, high, low]);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, key), value).to_be_bytes()
}

/// The value in what is stored under a key; `None` if it is not as it was written.
pub(super) fn open<'v>(table: Id, key: &[u8], stored: &'v [u8]) -> Option<&'v [u8]> {
    let (value, seal) = stored.split_last_chunk::<SEAL>()?;
    (checksum(table, key, value) == *seal).then_some(value)
}

/// Bytes to bytes.
#[derive(Clone, Copy)]
pub(super) struct Table {
    rows: Database<'static, Bytes, Bytes>,
    id: Id,
    is_sealed: bool,
}

/// A row that was found.
type Found<'t> = Option<(&'t [u8], &'t [u8])>;

impl Table {
    /// A table of an environment, with or without checksums.
    pub fn new(rows: Database<'static, Bytes, Bytes>, id: Id, is_sealed: bool) -> Self {
        Self { rows, id, is_sealed }
    }

    fn opened<'v>(&self, key: &[u8], stored: &'v [u8]) -> Result<&'v [u8]> {
        if !self.is_sealed {
            return Ok(stored);
        }
        open(self.id, key, stored)
            .ok_or_else(|| Error::Decoding(Box::new(DamagedRow { table: self.id, key: key.to_vec() })))
    }

    fn row<'t>(&self, found: Found<'t>) -> Result<Found<'t>> {
        let Some((key, stored)) = found else { return Ok(None) };
        Ok(Some((key, self.opened(key, stored)?)))
    }

    /// The value of a key.
    pub fn get<'t>(&self, txn: &'t RoTxn<'_>, key: &[u8]) -> Result<Option<&'t [u8]>> {
        self.rows.get(txn, key)?.map(|stored| self.opened(key, stored)).transpose()
    }

    /// The row with the greatest key up to this one.
    pub fn get_lower_than_or_equal_to<'t>(&self, txn: &'t RoTxn<'_>, key: &[u8]) -> Result<Found<'t>> {
        self.row(self.rows.get_lower_than_or_equal_to(txn, key)?)
    }

    /// The row with the least key above this one.
    pub fn get_greater_than<'t>(&self, txn: &'t RoTxn<'_>, key: &[u8]) -> Result<Found<'t>> {
        self.row(self.rows.get_greater_than(txn, key)?)
    }

    /// The row with the least key from this one on.
    pub fn get_greater_than_or_equal_to<'t>(&self, txn: &'t RoTxn<'_>, key: &[u8]) -> Result<Found<'t>> {
        self.row(self.rows.get_greater_than_or_equal_to(txn, key)?)
    }

    /// The row with the greatest key.
    pub fn last<'t>(&self, txn: &'t RoTxn<'_>) -> Result<Found<'t>> {
        self.row(self.rows.last(txn)?)
    }

    /// All rows.
    pub fn iter<'t>(&self, txn: &'t RoTxn<'_>) -> Result<Rows<'t>> {
        self.range(txn, &(Bound::Unbounded, Bound::Unbounded))
    }

    /// The rows between two keys.
    pub fn range<'t>(&self, txn: &'t RoTxn<'_>, bounds: &(Bound<&[u8]>, Bound<&[u8]>)) -> Result<Rows<'t>> {
        Ok(Rows { rows: self.rows.range(txn, bounds)?, table: *self })
    }

    /// The number of rows.
    pub fn len(&self, txn: &RoTxn<'_>) -> Result<u64> {
        self.rows.len(txn)
    }

    /// The size of the table.
    pub fn stat(&self, txn: &RoTxn<'_>) -> Result<DatabaseStat> {
        self.rows.stat(txn)
    }

    /// Writes a row.
    pub fn put(&self, txn: &mut RwTxn<'_>, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with_flags(txn, PutFlags::empty(), key, value)
    }

    /// Writes a row.
    pub fn put_with_flags(
        &self,
        txn: &mut RwTxn<'_>,
        flags: PutFlags,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        if !self.is_sealed {
            return self.rows.put_with_flags(txn, flags, key, value);
        }
        let mut stored = SmallVec::<[u8; 1024]>::with_capacity(value.len() + SEAL);
        stored.extend_from_slice(value);
        stored.extend_from_slice(&checksum(self.id, key, value));
        self.rows.put_with_flags(txn, flags, key, &stored)
    }

    /// The value of a key that has no checksum in any format.
    pub fn get_bare<'t>(&self, txn: &'t RoTxn<'_>, key: &[u8]) -> Result<Option<&'t [u8]>> {
        self.rows.get(txn, key)
    }

    /// Writes a row that has no checksum in any format.
    pub fn put_bare(&self, txn: &mut RwTxn<'_>, key: &[u8], value: &[u8]) -> Result<()> {
        self.rows.put(txn, key, value)
    }

    /// All rows with what is stored.
    #[cfg(test)]
    pub fn bare<'t>(&self, txn: &'t RoTxn<'_>) -> Result<RoRange<'t, Bytes, Bytes>> {
        self.rows.range(txn, &(Bound::<&[u8]>::Unbounded, Bound::<&[u8]>::Unbounded))
    }

    /// Removes a row; true if it existed.
    pub fn delete(&self, txn: &mut RwTxn<'_>, key: &[u8]) -> Result<bool> {
        self.rows.delete(txn, key)
    }

    /// Removes all rows.
    pub fn clear(&self, txn: &mut RwTxn<'_>) -> Result<()> {
        self.rows.clear(txn)
    }
}

/// Rows of a table, ascending.
pub(super) struct Rows<'t> {
    rows: RoRange<'t, Bytes, Bytes>,
    table: Table,
}

impl<'t> Iterator for Rows<'t> {
    type Item = Result<(&'t [u8], &'t [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(row.and_then(|(key, stored)| Ok((key, self.table.opened(key, stored)?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_belongs_to_a_table_a_key_and_a_value() {
        let seal = |table, key: &[u8], value: &[u8]| [value, &checksum(table, key, value)].concat();
        let stored = seal(Id::Old, b"key", b"value");
        assert_eq!(open(Id::Old, b"key", &stored), Some(&b"value"[..]));
        assert_eq!(open(Id::Current, b"key", &stored), None);
        assert_eq!(open(Id::Old, b"kez", &stored), None);
        assert_eq!(open(Id::Old, b"keyv", &stored[1..]), None, "the boundary of key and value counts");
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(Id::Old, b"key", &flipped), None, "bit {bit}");
        }
        for length in 0..stored.len() {
            assert_eq!(open(Id::Old, b"key", &stored[..length]), None, "{length} bytes of it");
        }
    }

    #[test]
    fn a_key_is_shown_as_its_user_knows_it() {
        assert_eq!(shown(Id::Current, b"\x01a/b\n"), "\"a/b\\n\"");
        assert_eq!(shown(Id::Members, &[0, 7]), "\"\\x00\\x07\"");
        assert_eq!(shown(Id::Chunks, &[b'x'; 101]).len(), 100 + 5);
    }
}
