//! bbolt, the file format of etcd's backend: reading and writing, pure.
//!
//! - `layout`: pages, elements and meta records, byte by byte
//! - `reader`: a file's buckets and their rows, in order; every byte that leads to another one is checked
//! - `writer`: a file from sorted rows in one pass, with memory for one node
//! - `extent`: the pages that such a file needs at most, computed from the sizes of its rows alone
//!
//! # The format
//! ```text
//! page 0, 1    meta records: page size, root of the tree of buckets, number of pages, transaction; the valid one with
//!              the highest transaction counts
//! other pages  u64 id  u16 kind  u16 count  u32 further pages of the same node
//!              leaf: elements u32 flags  u32 position  u32 key length  u32 value length, then keys and values
//!              branch: elements u32 position  u32 key length  u64 page, then keys
//!              freelist: page ids. Id 2^64 - 1 in the meta record: there is none, and free is what nothing refers to
//! ```
//! Numbers are little-endian; a position counts from its own element. A bucket is a leaf element with flag 1: its value
//! is u64 root page, u64 sequence and, if the root is 0, a page that holds all of it. etcd's buckets are all at the top.
//!
//! # Rules
//! - Nothing here opens a file: a reader gets `Read + Seek`, a writer `Write`.
//! - No input makes a reader panic, loop, or use more memory than the file's length. An error names the page.

mod extent;
mod layout;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use extent::Extent;
pub use layout::PAGE;
pub use reader::{Bucket, File, FileError, KeyValue, Rows};
pub use writer::Writer;
