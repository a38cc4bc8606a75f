//! The bytes of LMDB's pages (mdb.c, data version 1), in the byte order of the machine. Pure, and for any bytes.

/// Bytes of a page's header, of a node's, and of the record of a table.
pub const PAGE_HEAD: usize = 16;
const NODE_HEAD: usize = 8;
pub const TABLE_RECORD: usize = 48;

const MAGIC: u32 = 0xBEEF_C0DE;
const DATA_VERSION: u32 = 1;

/// Kinds of pages.
pub const BRANCH: u16 = 1;
pub const LEAF: u16 = 2;
pub const OVERFLOW: u16 = 4;
const META: u16 = 8;

/// Kinds of nodes: the value is on pages of its own, or the record of a table.
pub const BIG: u16 = 1;
pub const SUB: u16 = 2;

/// Flags of a table whose keys are numbers: the list of free pages alone.
const NUMBERS: u16 = 8;

/// No page.
pub const NONE: u64 = u64::MAX;

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_ne_bytes)
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_ne_bytes)
}

/// The record of a table: its tree, and how large it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub depth: u16,
    pub branches: u64,
    pub leaves: u64,
    pub overflows: u64,
    pub rows: u64,
    pub root: u64,
}

impl Tree {
    /// Reads a record whose flags and first field must be these.
    fn parse(bytes: &[u8], pad: u32, flags: u16) -> Option<Self> {
        let tree = Self {
            depth: u16_at(bytes, 6)?,
            branches: u64_at(bytes, 8)?,
            leaves: u64_at(bytes, 16)?,
            overflows: u64_at(bytes, 24)?,
            rows: u64_at(bytes, 32)?,
            root: u64_at(bytes, 40)?,
        };
        let is_empty = tree.root == NONE;
        let empty = Self { root: NONE, ..Self::default() };
        let fits = if is_empty { tree == empty } else { (1..=MAX_DEPTH).contains(&tree.depth) };
        (u32_at(bytes, 0)? == pad && u16_at(bytes, 4)? == flags && fits).then_some(tree)
    }

    /// The record of a table of kvd's.
    pub fn of_table(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == TABLE_RECORD).then(|| Self::parse(bytes, 0, 0))?
    }
}

/// LMDB's own limit.
const MAX_DEPTH: u16 = 32;

/// A meta page.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    pub page_size: usize,
    pub free: Tree,
    pub main: Tree,
    pub last: u64,
    pub transaction: u64,
}

impl Meta {
    /// Bytes of it.
    pub const LEN: usize = PAGE_HEAD + 24 + 2 * TABLE_RECORD + 16;

    /// Reads the meta page with this number; the error says what is wrong.
    pub fn parse(page: &[u8], number: u64) -> Result<Self, &'static str> {
        const CUT: &str = "it is cut off";
        let flags = u16_at(page, 10).ok_or(CUT)?;
        if u64_at(page, 0) != Some(number) || flags != META {
            return Err("its header is not that of a meta page");
        }
        let body = &page[PAGE_HEAD..];
        if u32_at(body, 0) != Some(MAGIC) || u32_at(body, 4) != Some(DATA_VERSION) {
            return Err("it is not one of LMDB");
        }
        let page_size = u32_at(body, 24).ok_or(CUT)?;
        if !page_size.is_power_of_two() || !(512..=65_536).contains(&page_size) {
            return Err("the size of a page is impossible");
        }
        let (free, main) = (body.get(24..72).ok_or(CUT)?, body.get(72..120).ok_or(CUT)?);
        const TREES: &str = "the record of a table is impossible";
        Ok(Self {
            page_size: page_size as usize,
            free: Tree::parse(free, page_size, NUMBERS).ok_or(TREES)?,
            main: Tree::parse(main, 0, 0).ok_or(TREES)?,
            last: u64_at(body, 120).ok_or(CUT)?,
            transaction: u64_at(body, 128).ok_or(CUT)?,
        })
    }
}

/// A node of a branch or leaf page.
#[derive(Clone, Copy, Debug)]
pub struct Node<'p> {
    pub key: &'p [u8],
    /// Of a leaf's node.
    pub flags: u16,
    /// The length of the value, which may be elsewhere.
    pub length: usize,
    /// What is in the page: the value, or for [`BIG`] the number of a page.
    pub data: &'p [u8],
    /// Of a branch's node.
    pub child: u64,
}

/// The nodes of a leaf that may be damaged: those that lie in it.
pub fn pieces(page: &[u8], number: u64) -> Vec<Node<'_>> {
    let is_leaf = u64_at(page, 0) == Some(number) && u16_at(page, 10) == Some(LEAF);
    let end = u16_at(page, 12).map_or(0, usize::from);
    if !is_leaf || !(PAGE_HEAD..=page.len()).contains(&end) {
        return Vec::new();
    }
    let nodes = Nodes { page, is_leaf, count: (end - PAGE_HEAD) / 2 };
    (0..nodes.count).filter(|index| nodes.place(*index) >= end).filter_map(|index| nodes.get(index)).collect()
}

/// The nodes of a branch or leaf page.
#[derive(Clone, Copy)]
pub struct Nodes<'p> {
    page: &'p [u8],
    is_leaf: bool,
    count: usize,
}

impl<'p> Nodes<'p> {
    /// Reads a page that must be the one with this number, and a leaf or a branch; the error says what is wrong.
    pub fn parse(page: &'p [u8], number: u64, is_leaf: bool) -> Result<Self, String> {
        const CUT: &str = "it is cut off";
        let found = u64_at(page, 0).ok_or(CUT)?;
        if found != number {
            return Err(format!("it says that it is page {found}"));
        }
        let (flags, wanted) = (u16_at(page, 10).ok_or(CUT)?, if is_leaf { LEAF } else { BRANCH });
        if flags != wanted {
            return Err(format!("it is of kind {flags:#x} in the place of {wanted:#x}"));
        }
        let lower = usize::from(u16_at(page, 12).ok_or(CUT)?);
        let upper = usize::from(u16_at(page, 14).ok_or(CUT)?);
        if lower < PAGE_HEAD || !lower.is_multiple_of(2) || lower > upper || upper > page.len() {
            return Err(format!("its free space is from {lower} to {upper}"));
        }
        let nodes = Self { page, is_leaf, count: (lower - PAGE_HEAD) / 2 };
        let mut used = 0;
        for index in 0..nodes.count {
            let at = nodes.place(index);
            let bad = || format!("its node {index} lies outside of it");
            let size =
                nodes.size(at).filter(|size| at >= upper && at.is_multiple_of(2) && at + size <= page.len());
            used += size.ok_or_else(bad)?;
        }
        match used == page.len() - upper {
            true => Ok(nodes),
            false => Err(format!("its nodes have {used} bytes in the place of {}", page.len() - upper)),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    fn place(&self, index: usize) -> usize {
        usize::from(u16_at(self.page, PAGE_HEAD + 2 * index).unwrap_or(0))
    }

    /// Bytes of the node at a place.
    fn size(&self, at: usize) -> Option<usize> {
        let size = NODE_HEAD + usize::from(u16_at(self.page, at + 6)?) + self.in_page(at)?;
        Some(size + size % 2)
    }

    /// Bytes of its value in the page.
    fn in_page(&self, at: usize) -> Option<usize> {
        if !self.is_leaf {
            return Some(0);
        }
        let flags = u16_at(self.page, at + 4)?;
        Some(if flags & BIG != 0 { size_of::<u64>() } else { u32_at(self.page, at)? as usize })
    }

    /// A node; they were checked at [`Nodes::parse`].
    pub fn get(&self, index: usize) -> Option<Node<'p>> {
        let at = self.place(index);
        let (low, flags) = (u32_at(self.page, at)?, u16_at(self.page, at + 4)?);
        let key_end = at + NODE_HEAD + usize::from(u16_at(self.page, at + 6)?);
        Some(Node {
            key: self.page.get(at + NODE_HEAD..key_end)?,
            flags,
            length: low as usize,
            data: self.page.get(key_end..key_end + self.in_page(at)?)?,
            child: u64::from(low) | u64::from(flags) << 32,
        })
    }
}
