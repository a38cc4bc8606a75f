//! How many pages a file needs at most.
//!
//! A stream announces its length first, and the meta records, which name the root and the number of pages, come before
//! everything. So the length has to be known before the rows are read in their order. [`Extent`] computes a bound from
//! the rows' sizes in any order; what the file does not need of it is left free before its last page. Nodes are large, so
//! that this is at most a thirtieth.

use super::layout::{ELEMENT, HEAD, PAGE};

/// A node is closed when it has so many bytes.
pub const NODE: usize = 64 << 10;

/// The pages of a file, as a bound.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pages: u64,
    /// Bytes of the rows of the present bucket, with their elements.
    bytes: u64,
    /// The longest key of the present bucket.
    longest: u64,
}

impl Default for Extent {
    fn default() -> Self {
        // Two meta records and the root.
        Self { pages: 3, bytes: 0, longest: 0 }
    }
}

impl Extent {
    /// Counts rows of the present bucket: their number, bytes of keys and values, and the longest key.
    pub fn add(&mut self, rows: u64, bytes: u64, longest: usize) {
        self.bytes += rows * ELEMENT as u64 + bytes;
        self.longest = self.longest.max(longest as u64);
    }

    /// Ends a bucket.
    pub fn end_bucket(&mut self) {
        let element = ELEMENT as u64 + self.longest;
        let mut bytes = std::mem::take(&mut self.bytes);
        self.longest = 0;
        loop {
            let nodes = nodes(bytes);
            // A node wastes less than a page at its end.
            self.pages += (bytes + nodes * (HEAD + PAGE - 1) as u64) / PAGE as u64;
            if nodes == 1 {
                return;
            }
            bytes = nodes * element;
        }
    }

    /// The pages of the whole file.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        self.pages * PAGE as u64
    }
}

/// The nodes that so many bytes of elements, keys and values fill at most.
fn nodes(bytes: u64) -> u64 {
    bytes / (NODE - HEAD) as u64 + 1
}
