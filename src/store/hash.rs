//! The hash of all stored data.

use super::StoreError;
use super::core::Inner;
use super::tables::TABLES;

impl Inner {
    /// CRC32C of the rows of all hashed tables, each table's preceded by its number in a snapshot.
    pub fn hash(&self) -> Result<u32, StoreError> {
        self.checkpoint()?;
        let reader = self.reader()?;
        let failed = StoreError::lmdb("hashing");
        let mut crc = 0;
        for table in TABLES.iter().filter(|table| table.hashed) {
            crc = crc32c::crc32c_append(crc, table.snapshot.as_slice());
            for row in reader.tables[table.id].iter(&reader.disk().txn).map_err(&failed)? {
                let (key, value) = row.map_err(&failed)?;
                crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, key), value);
            }
        }
        Ok(crc)
    }
}
