//! The tables: one row per table, with everything that checkpoint, snapshot, restore, hash, figures and fuzzing need to
//! know about it.
//!
//! A new table is an [`Id`], a row of [`TABLES`] and the code that writes and reads it:
//! - large data are [`Kept::Rows`]: `apply` puts rows into the head ([`Reader::put_row`]), readers find them by
//!   [`Reader::row`] and [`Reader::each_row`], and a checkpoint writes them;
//! - small data are [`Kept::Whole`]: a field of the [`Registry`], with the conversion to rows and back.
//!
//! Nothing else has to be changed. Numbers in keys are big-endian; the words in capitals are explained in
//! [`super::format`].
//!
//! [`Reader::put_row`]: super::core::Reader::put_row
//! [`Reader::row`]: super::core::Reader::row
//! [`Reader::each_row`]: super::core::Reader::each_row

use super::StoreError;
use super::format::leases::{is_attached, is_lease};
use super::mvcc::rows::{is_change, is_chunk, is_current, is_old};
use super::registry::{self, Registry, Rows};
use super::tree;

/// A table, by its index in [`TABLES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Id {
    /// The newest version of each live key.
    Current,
    /// Every other version.
    Old,
    /// The changes, in the order of revisions; append-only.
    History,
    /// Large values, in pieces of 64 KiB at most.
    Chunks,
    /// The leases.
    Leases,
    /// The keys of each lease. A key that is too long is stored as the value, under its hash.
    Attached,
    /// The members.
    Members,
    /// The ids of members that were removed.
    Removed,
    /// The alarms that are raised.
    Alarms,
    /// The roles. They come before the users, who get their rights from them.
    Roles,
    /// The users.
    Users,
    /// Everything else about authentication.
    Auth,
    /// The nodes of v2's tree.
    Tree,
    /// The last changes of that tree.
    TreeEvents,
    /// The version that the cluster goes back to.
    Downgrade,
    /// The format's version and the meta record.
    Meta,
}

/// The description of a table.
pub(super) struct Row {
    /// Which one it is.
    pub id: Id,
    /// Its name in LMDB and in figures.
    pub name: &'static str,
    /// The form of its keys.
    pub key: &'static str,
    /// The form of its values.
    pub value: &'static str,
    /// Where its changes are between two checkpoints, and which rows are valid.
    pub kept: Kept,
    /// Its number in snapshot streams, which have the tables in this order; `None` if it is not part of them.
    pub snapshot: Option<u8>,
    /// True if the hash of everything includes it.
    pub hashed: bool,
}

/// Where a table's rows are before they are in LMDB.
pub(super) enum Kept {
    /// In the head, as versions of keys: [`super::mvcc::fold`] writes them.
    Versions(IsRow),
    /// In the head, row by row.
    Rows(IsRow),
    /// In memory as a whole. It is read at the start, and completely rewritten after a change.
    Whole {
        /// Adds a row that was read; `None` if it is not valid.
        take: fn(&mut Registry, key: &[u8], value: &[u8]) -> Option<()>,
        /// Produces all rows.
        give: fn(&Registry, rows: &mut Rows<'_>) -> Result<(), StoreError>,
    },
    /// The meta record, which is written together with what it describes.
    Meta,
}

/// True for a key and a value that a kvd of this format can have written.
pub(super) type IsRow = fn(key: &[u8], value: &[u8]) -> bool;

/// All tables.
pub(super) static TABLES: [Row; 16] = [
    Row {
        id: Id::Current,
        name: "current",
        key: "PLACE",
        value: "varint main, varint sub, RECORD",
        kept: Kept::Versions(is_current),
        snapshot: Some(1),
        hashed: true,
    },
    Row {
        id: Id::Old,
        name: "old",
        key: "PLACE escaped, REVISION",
        value: "RECORD",
        kept: Kept::Versions(is_old),
        snapshot: Some(2),
        hashed: true,
    },
    Row {
        id: Id::History,
        name: "history",
        key: "REVISION",
        value: "KIND, user key",
        kept: Kept::Versions(is_change),
        snapshot: Some(3),
        hashed: true,
    },
    Row {
        id: Id::Chunks,
        name: "chunks",
        key: "REVISION, u32 n",
        value: "at most 64 KiB of a large value",
        kept: Kept::Versions(is_chunk),
        snapshot: Some(4),
        hashed: true,
    },
    Row {
        id: Id::Leases,
        name: "leases",
        key: "u64 id",
        value: "postcard model::Lease",
        kept: Kept::Rows(is_lease),
        snapshot: Some(5),
        hashed: true,
    },
    Row {
        id: Id::Attached,
        name: "attached",
        key: "u64 id, 0, user key | u64 id, 1, SHA-256",
        value: "empty | the long user key",
        kept: Kept::Rows(is_attached),
        snapshot: Some(6),
        hashed: true,
    },
    Row {
        id: Id::Members,
        name: "members",
        key: "u64 id",
        value: "postcard model::Member",
        kept: Kept::Whole { take: registry::take_member, give: registry::give_members },
        snapshot: Some(7),
        hashed: true,
    },
    Row {
        id: Id::Removed,
        name: "removed",
        key: "u64 id",
        value: "empty",
        kept: Kept::Whole { take: registry::take_removed, give: registry::give_removed },
        snapshot: Some(8),
        hashed: true,
    },
    Row {
        id: Id::Alarms,
        name: "alarms",
        key: "u64 member, u8 kind",
        value: "empty",
        kept: Kept::Whole { take: registry::take_alarm, give: registry::give_alarms },
        snapshot: Some(9),
        hashed: true,
    },
    Row {
        id: Id::Roles,
        name: "roles",
        key: "u32 n",
        value: "postcard name, auth::Role",
        kept: Kept::Whole { take: registry::take_role, give: registry::give_roles },
        snapshot: Some(10),
        hashed: true,
    },
    Row {
        id: Id::Users,
        name: "users",
        key: "u32 n",
        value: "postcard name, auth::User",
        kept: Kept::Whole { take: registry::take_user, give: registry::give_users },
        snapshot: Some(11),
        hashed: true,
    },
    Row {
        id: Id::Auth,
        name: "auth",
        key: "\"auth\"",
        value: "postcard auth::State",
        kept: Kept::Whole { take: registry::take_auth, give: registry::give_auth },
        snapshot: Some(12),
        hashed: true,
    },
    Row {
        id: Id::Tree,
        name: "tree",
        key: "path",
        value: "postcard tree::Node",
        kept: Kept::Rows(tree::is_node),
        snapshot: Some(13),
        hashed: true,
    },
    Row {
        id: Id::TreeEvents,
        name: "tree-events",
        key: "u64 index",
        value: "postcard model::TreeEvent",
        kept: Kept::Rows(tree::is_event),
        snapshot: Some(14),
        hashed: true,
    },
    Row {
        id: Id::Downgrade,
        name: "downgrade",
        key: "\"target\"",
        value: "postcard model::Version, which the cluster goes back to",
        kept: Kept::Whole { take: registry::take_downgrade, give: registry::give_downgrade },
        snapshot: Some(15),
        hashed: true,
    },
    Row {
        id: Id::Meta,
        name: "meta",
        key: "\"format\" | \"state\"",
        value: "\"kvd-store\" u32 | postcard Meta",
        kept: Kept::Meta,
        // It is in a stream's header.
        snapshot: None,
        hashed: false,
    },
];

/// The rows are in the order of their ids.
const _: () = {
    let mut place = 0;
    while place < TABLES.len() {
        assert!(TABLES[place].id as usize == place);
        place += 1;
    }
};

impl Row {
    /// True if it is kept in memory as a whole.
    pub fn is_whole(&self) -> bool {
        matches!(self.kept, Kept::Whole { .. })
    }

    /// True for a key and a value that are a valid row of it.
    pub fn reads(&self, key: &[u8], value: &[u8]) -> bool {
        match self.kept {
            Kept::Versions(is_row) | Kept::Rows(is_row) => is_row(key, value),
            Kept::Whole { take, .. } => take(&mut Registry::default(), key, value).is_some(),
            Kept::Meta => false,
        }
    }

    /// The error text for an invalid row.
    pub fn complaint(&self) -> String {
        format!("a row of {} is not {} -> {}", self.name, self.key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_numbers_are_used_once_and_numbers_ascend() {
        let names: BTreeSet<_> = TABLES.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), TABLES.len());
        let numbers: Vec<_> = TABLES.iter().filter_map(|row| row.snapshot).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }
}
