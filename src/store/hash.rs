//! The hash of all stored data, the digest of the state, and the mark of a state that compares badly.

use super::core::Inner;
use super::tables::TABLES;
use super::{Condemned, Store, StoreError, condemned};
use crate::model::StateDigest;

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

impl Store {
    /// The digest of the present state, with the index of the last entry applied; `None` before the first entry, and if
    /// it is not known.
    pub fn digest(&self) -> Option<StateDigest> {
        self.0.shared.read().digest()
    }

    /// The digest after the entry at `index`, which has been applied; `None` if that is not known, or too long ago.
    pub fn digest_at(&self, index: u64) -> Option<StateDigest> {
        self.0.shared.read().digests.at(index)
    }

    /// From now on the state in use counts as wrong, also after a restart, until another one is adopted.
    ///
    /// # Errors
    /// If that cannot be made durable; it counts in this process all the same, and a later call tries again.
    pub fn condemn(&self, what: &Condemned) -> Result<(), StoreError> {
        self.condemn_state(self.state_number(), what).map(drop)
    }

    /// The same if the state in use is the one with this number; false if it is another one by now.
    ///
    /// # Errors
    /// As of [`Store::condemn`].
    pub fn condemn_state(&self, number: u64, what: &Condemned) -> Result<bool, StoreError> {
        let dir = {
            let shared = self.0.shared.read();
            if shared.number() != number {
                return Ok(false);
            }
            self.0.condemned.set(what);
            shared.tables.dir().to_path_buf()
        };
        self.0.condemned.write(&dir, what).map(|()| true)
    }

    /// The number of the state in use: another one after each that is adopted.
    pub fn state_number(&self) -> u64 {
        self.0.shared.read().number()
    }

    /// True if a later process will know, too, that the state is condemned, or if it is not.
    pub fn is_mark_durable(&self) -> bool {
        self.0.condemned.is_durable()
    }

    /// Has the state in use count as right, because there is no better one: for a new cluster of what is left.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn absolve(&self) -> Result<(), StoreError> {
        self.0.condemned.lift(self.0.shared.read().tables.dir())
    }

    /// True if the state in use took the place of a condemned one, in this process or an earlier one, and what that one
    /// may have left, its alarm, is not settled.
    pub fn has_replaced(&self) -> bool {
        condemned::has_replaced(self.0.shared.read().tables.dir())
    }

    /// Nothing is left of the state that was replaced.
    pub fn settle_replaced(&self) {
        condemned::settle_replaced(self.0.shared.read().tables.dir());
    }

    /// True if nothing of the state in use may be served. Cheap.
    pub fn is_condemned(&self) -> bool {
        self.0.condemned.is_set()
    }

    /// Why nothing of the state in use may be served.
    pub fn condemned(&self) -> Option<Condemned> {
        self.0.condemned.get()
    }
}
