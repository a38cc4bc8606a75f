//! The tree of etcd's v2 API: directories and files with times to live, and the last changes.
//!
//! It is kept in memory as a whole, as in etcd, in maps that share what did not change: applying writes a copy, and
//! whoever reads has the tree of one moment and keeps nobody waiting. Its rows go through the head to LMDB as all others.
//! It has no revision in v3's key space and is not part of a backup in etcd's form, as it is not part of etcd's own.
//!
//! - `map`: the ordered map whose copies are free
//! - `path`: the order of paths
//! - `state`: the [`Tree`]: finding and listing nodes, the history
//! - `change`: one command
//! - `rows`: the rows on disk
//! - `figures`: counters

mod change;
mod figures;
mod map;
mod path;
mod rows;
mod state;
#[cfg(test)]
mod tests;

pub(super) use change::{Changes, apply};
pub use figures::TreeFigures;
pub(super) use rows::{encode_event, encode_node, is_event, is_node, load};
pub use state::Tree;
