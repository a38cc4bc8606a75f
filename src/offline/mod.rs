//! A member's data without a running member: restoring a backup, reading its status, moving from etcd.
//!
//! - `file`: a backup, opened and checked: an etcd's snapshot or database, or kvd's own snapshot; `compressed`: one that
//!   is compressed
//! - `meter`: how much of a file is read, for whoever waits
//! - `check`: whether a backup can be restored
//! - `contents`: the keys of a backup in their order
//! - `status`: hash, revision, keys and size of a backup, as etcdutl counts them
//! - `place`: the directories of a new member, which stay only if everything went well
//! - `restore`: a new member from a backup
//! - `recover`: a new cluster from what is left of one that has lost its majority; `left`: the data directories of which it
//!   is made
//! - `salvage`: a backup of what can be saved of a damaged member that has no others
//! - `scratch`: what commands make for their own use
//! - `wal`: the records of etcd's log, pure; `tail`: what its committed entries ask for
//! - `migrate`: a new member from the data directory of an etcd that is stopped
//!
//! # Rules
//! - A new member's directory `member` appears under its name when it is complete and durable, and not before.
//! - What is restored begins a new life of the cluster ([`crate::join::identity`]): its epoch is computed from the
//!   content, so that only members with the same content talk to each other.
//! - Damage is reported with its place. Nothing is guessed, and the source is never written.

mod check;
mod compressed;
mod contents;
mod error;
mod file;
mod left;
#[cfg(test)]
mod left_test;
mod meter;
mod migrate;
mod place;
mod recover;
mod restore;
mod salvage;
#[cfg(test)]
mod salvage_test;
mod scratch;
mod status;
mod tail;
mod wal;

pub use check::{Checked, check};
pub use contents::Contents;
pub use error::OfflineError;
pub use left::{Condition, Found, Source};
pub use meter::Meter;
pub use migrate::{Migrated, Migration, migrate};
pub use recover::{Kept, Plan, Recovered, Recovery, plan, recover};
pub use restore::{NewMember, Restore, Restored, restore};
pub use salvage::{Salvage, Saved, salvage};
pub use scratch::discard;
pub use status::{Status, status};
