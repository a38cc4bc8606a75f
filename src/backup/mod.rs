//! Scheduled backups: one member of the cluster saves the state as a file, as often as the configuration says.
//!
//! | file | holds |
//! |---|---|
//! | `name.rs` | the name of a backup: cluster (and host, if it has none to itself), time, revision |
//! | `folder.rs` | the directory: what may use it, its backups, its room, which of them are kept |
//! | `copy.rs` | one backup: written, verified, named |
//! | `turns.rs` | which member takes the next one, pure |
//! | `schedule.rs` | the job of a member; asking the leader |
//! | `report.rs` | the status line and the metrics |
//! | `error.rs` | why there is no backup |
//!
//! # Rules
//! - A file has its final name only when it is whole, flushed, and was read again as a restore reads it.
//! - Only files whose names and types are those of kvd's own backups of this cluster are removed, and only after a newer
//!   one is there.
//! - The leader decides whose turn it is, by what the members report; it takes a backup itself if no other member can.
//!   Ages are measured by the clock of the member that has the backup, so that no two clocks are compared.

mod copy;
mod error;
mod folder;
mod name;
mod report;
mod schedule;
#[cfg(test)]
mod tests;
mod turns;

pub use copy::Made;
pub use error::BackupError;
pub use folder::{Entry, Folder};
pub use name::{Name, Source};
pub use schedule::{Backups, Options, Outcome, Progress, answer};
