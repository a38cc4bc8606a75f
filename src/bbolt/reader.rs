//! Reads a file: its buckets, and the rows of each in order.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::layout::{
    BRANCH, BUCKET, ELEMENT, FREELIST, HEAD, Head, IS_BUCKET, LEAF, META, Meta, NO_FREELIST, u32_at, u64_at,
};

/// Page sizes that bbolt can have been given, as powers of two.
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 9..=24;
/// Levels of a tree, at most: each multiplies its rows at least by two.
const DEPTH: usize = 64;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system's error.
    #[error("reading at byte {at}: {source}")]
    Io {
        /// The offset in bytes.
        at: u64,
        /// The error.
        source: io::Error,
    },
    /// It was not written by bbolt, or its beginning is damaged.
    #[error("this is no bbolt file: {0}")]
    NotBbolt(String),
    /// It ends too early.
    #[error("the file is cut: it has {length} bytes, and its {pages} pages of {page_size} bytes need {}", .pages * u64::from(*.page_size))]
    Cut {
        /// The file's length in bytes.
        length: u64,
        /// The pages it should have.
        pages: u64,
        /// Bytes of each.
        page_size: u32,
    },
    /// A page contradicts itself or another one.
    #[error("page {page} is damaged: {what}")]
    Damaged {
        /// The page's id.
        page: u64,
        /// What is wrong.
        what: String,
    },
}

fn damaged(page: u64, what: impl Into<String>) -> FileError {
    FileError::Damaged { page, what: what.into() }
}

/// An open file. Reading a bucket marks its pages, and a page that is reached twice is damage: each bucket can be read
/// once.
pub struct File<R> {
    source: R,
    meta: Meta,
    /// One bit for each page that was reached.
    reached: Vec<u64>,
}

/// A bucket of the top level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: Vec<u8>,
    root: Root,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Root {
    Page(u64),
    /// The page that lies in the bucket's own value, on this page.
    Inline(u64, Vec<u8>),
}

impl<R: Read + Seek> File<R> {
    /// Opens a file of `length` bytes; what follows them does not belong to it.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn open(mut source: R, length: u64) -> Result<Self, FileError> {
        let meta = find_meta(&mut source, length)?;
        if meta.pages.checked_mul(u64::from(meta.page_size)).is_none_or(|bytes| bytes > length) {
            return Err(FileError::Cut { length, pages: meta.pages, page_size: meta.page_size });
        }
        // The file's length bounds it: a bit for each page.
        let reached = vec![0; (meta.pages / 64 + 1) as usize];
        let mut file = Self { source, meta, reached };
        file.reach(0, 2)?;
        file.check_freelist()?;
        Ok(file)
    }

    /// The length that the file has according to itself, in bytes.
    pub fn bytes(&self) -> u64 {
        self.meta.pages * u64::from(self.meta.page_size)
    }

    /// The buckets, ascending by name.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn buckets(&mut self) -> Result<Vec<Bucket>, FileError> {
        let mut buckets = Vec::new();
        let mut rows = self.walk(Root::Page(self.meta.root))?;
        while let Some(row) = rows.step()? {
            let Row { page, flags, key, value } = row;
            if flags != IS_BUCKET {
                return Err(damaged(page, "a row beside the buckets"));
            }
            let root = u64_at(value, 0).filter(|_| value.len() >= BUCKET);
            let root = match root.ok_or_else(|| damaged(page, "the entry of a bucket is too short"))? {
                0 => Root::Inline(page, value[BUCKET..].to_vec()),
                root => Root::Page(root),
            };
            buckets.push(Bucket { name: key.to_vec(), root });
        }
        Ok(buckets)
    }

    /// The rows of a bucket, ascending by key.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn rows(&mut self, bucket: &Bucket) -> Result<Rows<'_, R>, FileError> {
        self.walk(bucket.root.clone())
    }

    fn walk(&mut self, root: Root) -> Result<Rows<'_, R>, FileError> {
        let node = match root {
            Root::Page(page) => self.node(page)?,
            Root::Inline(page, bytes) => Node::parse(page, bytes, true)?,
        };
        Ok(Rows { file: self, stack: vec![Level { node, next: 0, end: None }], last: None })
    }

    /// Reads a node with all its pages, and marks them.
    fn node(&mut self, page: u64) -> Result<Node, FileError> {
        if !(2..self.meta.pages).contains(&page) {
            return Err(damaged(page, format!("it is not one of the file's {} pages", self.meta.pages)));
        }
        let bytes = self.read_pages(page)?;
        Node::parse(page, bytes, false)
    }

    /// All pages of what begins at `page`.
    fn read_pages(&mut self, page: u64) -> Result<Vec<u8>, FileError> {
        let size = u64::from(self.meta.page_size);
        let mut bytes = vec![0; size as usize];
        read_at(&mut self.source, page * size, &mut bytes)?;
        let head = Head::read(&bytes).ok_or_else(|| damaged(page, "it has no header"))?;
        if head.id != page {
            return Err(damaged(page, format!("it says that it is page {}", head.id)));
        }
        let pages = u64::from(head.overflow) + 1;
        if page.checked_add(pages).is_none_or(|end| end > self.meta.pages) {
            return Err(damaged(page, format!("{} pages follow it, beyond the file's end", head.overflow)));
        }
        self.reach(page, pages)?;
        if pages > 1 {
            bytes.resize((pages * size) as usize, 0);
            read_at(&mut self.source, (page + 1) * size, &mut bytes[size as usize..])?;
        }
        Ok(bytes)
    }

    fn reach(&mut self, page: u64, pages: u64) -> Result<(), FileError> {
        for id in page..page + pages {
            let (word, bit) = ((id / 64) as usize, 1 << (id % 64));
            let word =
                self.reached.get_mut(word).ok_or_else(|| damaged(id, "it is beyond the file's end"))?;
            if *word & bit != 0 {
                return Err(damaged(id, "two places refer to it"));
            }
            *word |= bit;
        }
        Ok(())
    }

    /// Marks the free pages, so that nothing else refers to them.
    fn check_freelist(&mut self) -> Result<(), FileError> {
        let page = self.meta.freelist;
        if page == NO_FREELIST {
            return Ok(());
        }
        if !(2..self.meta.pages).contains(&page) {
            return Err(damaged(page, "the freelist is not one of the file's pages"));
        }
        let bytes = self.read_pages(page)?;
        let head = Head::read(&bytes).filter(|head| head.kind == FREELIST);
        let head = head.ok_or_else(|| damaged(page, "it is not the freelist"))?;
        let cut = || damaged(page, "the freelist is longer than its pages");
        let (count, first) = match head.count {
            0xffff => (u64_at(&bytes, HEAD).ok_or_else(cut)?, HEAD + 8),
            count => (u64::from(count), HEAD),
        };
        let ids = bytes.get(first..).unwrap_or_default();
        if count > ids.len() as u64 / 8 {
            return Err(cut());
        }
        let mut last = 1;
        for id in ids.chunks_exact(8).take(count as usize).filter_map(|id| u64_at(id, 0)) {
            if id <= last || id >= self.meta.pages {
                return Err(damaged(page, format!("the freelist has page {id} after page {last}")));
            }
            self.reach(id, 1)?;
            last = id;
        }
        Ok(())
    }
}

/// The valid meta record of the highest transaction.
fn find_meta(source: &mut (impl Read + Seek), length: u64) -> Result<Meta, FileError> {
    let mut read = |at: u64| -> Result<Result<Meta, String>, FileError> {
        let mut page = [0; HEAD + META];
        if at.saturating_add(page.len() as u64) > length {
            return Ok(Err("it is cut".into()));
        }
        read_at(source, at, &mut page)?;
        let read = Meta::read(&page[HEAD..]);
        Ok(read.and_then(|meta| {
            let is_size = meta.page_size.is_power_of_two() && PAGE_SIZES.contains(&meta.page_size.ilog2());
            is_size.then_some(meta).ok_or_else(|| format!("its pages have {} bytes", meta.page_size))
        }))
    };
    let first = read(0)?;
    // If the first record is damaged, the second one tells its own place.
    let sizes = match &first {
        Ok(meta) => vec![meta.page_size],
        Err(_) => PAGE_SIZES.map(|power| 1 << power).collect(),
    };
    let mut second = Err("there is none".to_string());
    for size in sizes {
        let found = read(u64::from(size))?;
        if found.as_ref().is_ok_and(|meta| meta.page_size == size) || second.is_err() && size == 4096 {
            second = found;
        }
    }
    let newest = [&first, &second].into_iter().flatten().max_by_key(|meta| meta.transaction);
    match (newest, &first, &second) {
        (Some(meta), ..) => Ok(*meta),
        (None, Err(first), Err(second)) => {
            Err(FileError::NotBbolt(format!("its first meta record: {first}; its second one: {second}")))
        }
        (None, ..) => Err(FileError::NotBbolt("it has no meta record".into())),
    }
}

fn read_at(source: &mut (impl Read + Seek), at: u64, bytes: &mut [u8]) -> Result<(), FileError> {
    let read = source.seek(SeekFrom::Start(at)).and_then(|_| source.read_exact(bytes));
    read.map_err(|source| FileError::Io { at, source })
}

/// A node, whose elements are checked to lie in it.
struct Node {
    page: u64,
    is_leaf: bool,
    count: usize,
    bytes: Vec<u8>,
}

/// A row of a leaf.
struct Row<'n> {
    page: u64,
    flags: u32,
    key: &'n [u8],
    value: &'n [u8],
}

impl Node {
    fn parse(page: u64, bytes: Vec<u8>, inline: bool) -> Result<Self, FileError> {
        let head = Head::read(&bytes).ok_or_else(|| damaged(page, "it has no header"))?;
        let is_leaf = match head.kind {
            LEAF => true,
            BRANCH if !inline => false,
            kind => return Err(damaged(page, format!("it is neither a leaf nor a branch (kind {kind:#x})"))),
        };
        let node = Self { page, is_leaf, count: usize::from(head.count), bytes };
        if !is_leaf && node.count == 0 {
            return Err(damaged(page, "a branch without pages below"));
        }
        // Each is behind the one before: otherwise a small file could have many large rows.
        let mut end = HEAD + node.count * ELEMENT;
        for index in 0..node.count {
            let Some((_, key, value)) = node.places(index) else {
                return Err(damaged(page, format!("element {index} of {} lies outside", node.count)));
            };
            if key.start < end {
                return Err(damaged(page, format!("element {index} lies in the one before it")));
            }
            end = value.end;
        }
        Ok(node)
    }

    /// An element's flags or page, key and value; `None` if it is not inside the node.
    fn element(&self, index: usize) -> Option<(u64, &[u8], &[u8])> {
        let (first, key, value) = self.places(index)?;
        Some((first, self.bytes.get(key)?, self.bytes.get(value)?))
    }

    /// An element's flags or page, and where its key and value are; `None` if that is not inside the node.
    fn places(&self, index: usize) -> Option<(u64, Range<usize>, Range<usize>)> {
        let start = HEAD + index * ELEMENT;
        let number = |at| u32_at(&self.bytes, start + at);
        let (first, position, key, value) = match self.is_leaf {
            true => (u64::from(number(0)?), number(4)?, number(8)?, number(12)?),
            false => (u64_at(&self.bytes, start + 8)?, number(0)?, number(4)?, 0),
        };
        let key_at = start.checked_add(position as usize)?;
        let value_at = key_at.checked_add(key as usize)?;
        let end = value_at.checked_add(value as usize)?;
        (end <= self.bytes.len()).then_some((first, key_at..value_at, value_at..end))
    }
}

/// Key and value of a row.
pub type KeyValue<'r> = (&'r [u8], &'r [u8]);

/// A walk through the rows of a bucket.
pub struct Rows<'f, R> {
    file: &'f mut File<R>,
    stack: Vec<Level>,
    last: Option<Vec<u8>>,
}

struct Level {
    node: Node,
    next: usize,
    /// Keys of this node are less.
    end: Option<Vec<u8>>,
}

impl<R: Read + Seek> Rows<'_, R> {
    /// The next row.
    ///
    /// # Errors
    /// See [`FileError`]. Nothing can be read after one.
    #[allow(clippy::should_implement_trait, reason = "a row borrows from the walk")]
    pub fn next(&mut self) -> Result<Option<KeyValue<'_>>, FileError> {
        let Some(row) = self.step()? else { return Ok(None) };
        if row.flags != 0 {
            return Err(damaged(row.page, "a bucket within a bucket"));
        }
        Ok(Some((row.key, row.value)))
    }

    fn step(&mut self) -> Result<Option<Row<'_>>, FileError> {
        while let Some(level) = self.stack.last() {
            if level.next == level.node.count {
                self.stack.pop();
            } else if level.node.is_leaf {
                return self.take().map(Some);
            } else {
                self.descend()?;
            }
        }
        Ok(None)
    }

    /// Takes the next row of the leaf at the top.
    fn take(&mut self) -> Result<Row<'_>, FileError> {
        let level = self.stack.last_mut().ok_or_else(|| damaged(0, "there is no leaf"))?;
        let (page, index) = (level.node.page, level.next);
        level.next += 1;
        let (flags, key, value) = level.element(index)?;
        match &mut self.last {
            Some(last) if last.as_slice() >= key => {
                return Err(damaged(page, format!("the key of element {index} is not in order")));
            }
            Some(last) => {
                last.clear();
                last.extend_from_slice(key);
            }
            None => self.last = Some(key.to_vec()),
        }
        Ok(Row { page, flags: flags as u32, key, value })
    }

    /// Goes down to the next page below the branch at the top.
    fn descend(&mut self) -> Result<(), FileError> {
        let depth = self.stack.len();
        let level = self.stack.last_mut().ok_or_else(|| damaged(0, "there is no branch"))?;
        let (page, index) = (level.node.page, level.next);
        level.next += 1;
        let (child, key, _) = level.element(index)?;
        // All rows so far are before it.
        if self.last.as_deref().is_some_and(|last| last >= key) {
            return Err(damaged(page, format!("the key of element {index} is not in order")));
        }
        let end = match level.next < level.node.count {
            true => Some(level.element(level.next)?.1.to_vec()),
            false => level.end.clone(),
        };
        if end.as_deref().is_some_and(|end| end <= key) {
            return Err(damaged(page, format!("the key of element {} is not in order", index + 1)));
        }
        let first = key.to_vec();
        if depth == DEPTH {
            return Err(damaged(page, "the tree is too deep"));
        }
        let node = self.file.node(child)?;
        let level = Level { node, next: 0, end };
        if level.node.count > 0 && level.element(0)?.1 < first.as_slice() {
            return Err(damaged(child, "its first key belongs to an earlier page"));
        }
        self.stack.push(level);
        Ok(())
    }
}

impl Level {
    /// An element's flags or page, key and value.
    fn element(&self, index: usize) -> Result<(u64, &[u8], &[u8]), FileError> {
        let page = self.node.page;
        let element = self.node.element(index);
        let element = element.ok_or_else(|| damaged(page, format!("element {index} lies outside")))?;
        if self.end.as_deref().is_some_and(|end| element.1 >= end) {
            return Err(damaged(page, format!("the key of element {index} belongs to a later page")));
        }
        Ok(element)
    }
}
