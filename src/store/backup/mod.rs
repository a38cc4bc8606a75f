//! The whole state in the form of etcd's backend: a bbolt file with etcd's buckets.
//!
//! - `schema`: the buckets and their rows, pure
//! - `export`: the state at the last checkpoint as such a file, in pieces
//! - `import`: a state from such a file
//!
//! # The buckets
//! | bucket | key | value |
//! |---|---|---|
//! | `key` | revision, see [`super::mvcc::stored`] | `mvccpb.KeyValue` |
//! | `lease` | u64 id | `leasepb.Lease` |
//! | `auth` | `authEnabled`, `authRevision` | one byte; u64 |
//! | `authUsers`, `authRoles` | name | `authpb.User`, `authpb.Role` |
//! | `alarm` | `etcdserverpb.AlarmMember` | empty |
//! | `members` | id in hexadecimal | JSON |
//! | `members_removed` | id in hexadecimal | `removed` |
//! | `cluster` | `clusterVersion` | text |
//! | `meta` | `consistent_index`, `term` | u64 |
//! | | `confState` | JSON |
//! | | `storageVersion` | text |
//! | | `scheduledCompactRev`, `finishedCompactRev` | revision |
//!
//! (etcd `server/storage/schema`, `server/storage/mvcc/revision.go`.) The keys that sign tokens are not part of it.
//! Members exchange the store's own snapshots instead ([`super::snapshot`]), which are faster to load.

mod export;
mod import;
mod schema;
#[cfg(test)]
mod tests;

pub use export::BackupReader;
pub use import::Imported;
