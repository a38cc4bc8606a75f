//! Writes a file in one pass: buckets one after another, the rows of each in order.

use std::io::{self, Write};

use super::extent::{Extent, NODE};
use super::layout::{
    BRANCH, BUCKET, ELEMENT, HEAD, Head, IS_BUCKET, LEAF, META_PAGE, Meta, NO_FREELIST, PAGE,
};

/// A file in progress. It needs memory for one node of each level.
pub struct Writer<W> {
    out: W,
    /// The id of the next page.
    next: u64,
    /// The pages of the whole file; the last one is the root.
    pages: u64,
    /// Nodes must end before this page.
    end: u64,
    /// The nodes of the present bucket that are not closed, leaves first.
    levels: Vec<Node>,
    /// The buckets that are complete, with the pages of their roots.
    buckets: Vec<(Vec<u8>, u64)>,
    /// The node that is being written.
    page: Vec<u8>,
}

/// A node in progress.
#[derive(Default)]
struct Node {
    elements: Vec<Element>,
    /// Keys and values.
    data: Vec<u8>,
    /// The first key.
    first: Vec<u8>,
}

enum Element {
    Row { key: u32, value: u32 },
    Child { key: u32, page: u64 },
    Bucket { key: u32 },
}

impl Node {
    fn bytes(&self) -> usize {
        HEAD + self.elements.len() * ELEMENT + self.data.len()
    }

    fn push(&mut self, key: &[u8], value: &[u8], element: Element) {
        if self.elements.is_empty() {
            self.first.clear();
            self.first.extend_from_slice(key);
        }
        self.elements.push(element);
        self.data.extend_from_slice(key);
        self.data.extend_from_slice(value);
    }

    fn is_full(&self) -> bool {
        self.bytes() >= NODE
    }
}

impl<W: Write> Writer<W> {
    /// Begins a file of exactly the pages of `extent`.
    ///
    /// # Errors
    /// Those of `out`, here and below.
    pub fn begin(out: W, extent: &Extent) -> io::Result<Self> {
        let pages = extent.pages();
        let mut writer = Self {
            out,
            next: 2,
            pages,
            end: pages - 1,
            levels: Vec::new(),
            buckets: Vec::new(),
            page: Vec::new(),
        };
        for id in 0..2 {
            let head = Head { id, kind: META_PAGE, count: 0, overflow: 0 };
            let root = pages - 1;
            let meta =
                Meta { page_size: PAGE as u32, root, freelist: NO_FREELIST, pages, transaction: 2 - id };
            let mut page = Vec::with_capacity(PAGE);
            head.write(&mut page);
            meta.write(&mut page);
            page.resize(PAGE, 0);
            writer.out.write_all(&page)?;
        }
        Ok(writer)
    }

    /// What is written to.
    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Adds a row to the present bucket. Keys ascend.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for more bytes than a page can tell, or than the extent has.
    pub fn row(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let element = Element::Row { key: length(key)?, value: length(value)? };
        self.push(0, key, value, element)
    }

    /// Ends the present bucket, which may be empty.
    ///
    /// # Errors
    /// As [`Writer::row`].
    pub fn end_bucket(&mut self, name: &str) -> io::Result<()> {
        if self.levels.is_empty() {
            self.levels.push(Node::default());
        }
        let mut level = 0;
        // The only node of a level is the root.
        while level + 1 < self.levels.len() {
            if !self.levels[level].elements.is_empty() {
                self.close(level)?;
            }
            level += 1;
        }
        let root = self.write_node(level)?;
        self.levels.clear();
        self.buckets.push((name.as_bytes().to_vec(), root));
        Ok(())
    }

    /// Writes a free page after the last bucket; false if the extent has none left.
    ///
    /// # Errors
    /// Those of what is written to.
    pub fn fill(&mut self) -> io::Result<bool> {
        let is_free = self.next < self.pages - 1;
        if is_free {
            self.out.write_all(&[0; PAGE])?;
            self.next += 1;
        }
        Ok(is_free)
    }

    /// Writes the root, after as much free space as the extent has left.
    ///
    /// # Errors
    /// As [`Writer::row`].
    pub fn finish(mut self) -> io::Result<W> {
        while self.fill()? {}
        self.buckets.sort_unstable();
        let mut root = Node::default();
        for (name, page) in std::mem::take(&mut self.buckets) {
            let mut bucket = [0; BUCKET];
            bucket[..8].copy_from_slice(&page.to_le_bytes());
            root.push(&name, &bucket, Element::Bucket { key: length(&name)? });
        }
        (self.levels, self.end) = (vec![root], self.pages);
        self.write_node(0)?;
        Ok(self.out)
    }

    fn push(&mut self, level: usize, key: &[u8], value: &[u8], element: Element) -> io::Result<()> {
        if self.levels.len() == level {
            self.levels.push(Node::default());
        }
        self.levels[level].push(key, value, element);
        if self.levels[level].is_full() { self.close(level) } else { Ok(()) }
    }

    /// Writes a node and adds it to the level above.
    fn close(&mut self, level: usize) -> io::Result<()> {
        let page = self.write_node(level)?;
        let node = &mut self.levels[level];
        let first = std::mem::take(&mut node.first);
        let element = Element::Child { key: length(&first)?, page };
        self.push(level + 1, &first, &[], element)
    }

    /// Writes a node and empties it; returns its page.
    fn write_node(&mut self, level: usize) -> io::Result<u64> {
        let node = &mut self.levels[level];
        let pages = node.bytes().div_ceil(PAGE);
        let kind = if level == 0 { LEAF } else { BRANCH };
        let id = self.next;
        self.next += pages as u64;
        if self.next > self.end {
            return Err(too_much());
        }
        let overflow = u32::try_from(pages - 1).map_err(|_| too_much())?;
        let page = &mut self.page;
        page.clear();
        Head { id, kind, count: node.elements.len() as u16, overflow }.write(page);
        // Where the key of the next element begins, counted from that element.
        let mut position = (node.elements.len() * ELEMENT) as u64;
        for element in &node.elements {
            let (key, value) = match element {
                Element::Row { key, value } => (*key, *value),
                Element::Child { key, .. } => (*key, 0),
                Element::Bucket { key } => (*key, BUCKET as u32),
            };
            let at = u32::try_from(position).map_err(|_| too_much())?;
            match element {
                Element::Row { .. } => write(page, &[0, at, key, value]),
                Element::Bucket { .. } => write(page, &[IS_BUCKET, at, key, value]),
                Element::Child { page: child, .. } => {
                    write(page, &[at, key]);
                    page.extend_from_slice(&child.to_le_bytes());
                }
            }
            position = position + u64::from(key) + u64::from(value) - ELEMENT as u64;
        }
        page.extend_from_slice(&node.data);
        page.resize(pages * PAGE, 0);
        node.elements.clear();
        node.data.clear();
        self.out.write_all(page)?;
        // One huge value must not stay.
        page.shrink_to(2 * NODE);
        self.levels[level].data.shrink_to(2 * NODE);
        Ok(id)
    }
}

fn write(out: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| too_much())
}

fn too_much() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "more bytes than were planned for a bbolt file")
}
