//! LMDB's file, read without LMDB.
//!
//! LMDB believes what is on the disk: a damaged page makes keys disappear, or ends the process by a signal. This reads the
//! same file by ordinary reads, believes nothing, and says what is wrong, page by page:
//! - `layout`: the bytes of meta pages and of the nodes of a page; pure
//! - `file`: the pages of a file
//! - `walk`: the trees of tables: each page is what its place in the tree wants, its nodes fill it without a gap, keys
//!   ascend within the bounds that the pages above give them, rows have their checksums, and the sizes that LMDB notes
//!   of a table are right
//! - `check`: the whole environment: both meta pages, all tables, the list of free pages; each page of the file has
//!   exactly one use. Or parts of it, while others write
//! - `salvage`: whatever can be read of one that is damaged
//!
//! What it cannot see is a page that is an older one of the same table, at the same place, with the same number of rows
//! and pages around it: a write that a disk has acknowledged and lost. The digests and hashes of members find that.

mod check;
mod file;
mod layout;
mod salvage;
mod walk;

pub(super) use check::{
    Part, Place, Reading, Remains, Report, beside_reading_ahead, check, last_commit, part, remains, skeleton,
};
#[cfg(test)]
pub(super) use check::{pages_of, roots_of};
pub(super) use salvage::{Salvage, salvage};
