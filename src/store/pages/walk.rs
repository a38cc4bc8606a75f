//! Walks through the trees of tables, and checks whatever it sees on the way.

use std::fmt;

use super::file::PageFile;
use super::layout::{BIG, NONE, Node, Nodes, OVERFLOW, PAGE_HEAD, SUB, Tree, pieces, u16_at, u32_at, u64_at};
use crate::store::sealed::shown;
use crate::store::tables::{Id, TABLES};

/// What is lost with something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// One row.
    Row(Vec<u8>),
    /// All rows from the first key on and before the second one; `None` is the beginning, or the end, of the table.
    Between(Option<Vec<u8>>, Option<Vec<u8>>),
    /// No row of a table.
    Nothing,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub page: u64,
    /// The table, if it is one of kvd's.
    pub table: Option<Id>,
    pub what: String,
    pub lost: Lost,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {}", self.page)?;
        let Some(table) = self.table else { return write!(f, ": {}", self.what) };
        write!(f, " of table {}: {}", TABLES[table as usize].name, self.what)?;
        let named = |key: &Option<Vec<u8>>, none: &str| match key {
            Some(key) => shown(table, key),
            None => none.to_string(),
        };
        match &self.lost {
            Lost::Row(key) => write!(f, "; lost is {}", shown(table, key)),
            Lost::Between(from, to) => {
                write!(
                    f,
                    "; lost is what is from {} to {}",
                    named(from, "the first key"),
                    named(to, "the last key")
                )
            }
            Lost::Nothing => Ok(()),
        }
    }
}

/// The tables that a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The names of the others.
    Main,
    /// The free pages.
    Free,
    /// One of kvd's.
    Rows(Id),
    /// Not known: whatever led there is damaged.
    Leftover,
}

impl Kind {
    fn id(self) -> Option<Id> {
        match self {
            Self::Rows(id) => Some(id),
            _ => None,
        }
    }

    /// The order of keys: those of free pages are numbers.
    fn is_before(self, key: &[u8], other: &[u8]) -> bool {
        match self {
            Self::Free => u64_at(key, 0) < u64_at(other, 0),
            _ => key < other,
        }
    }
}

/// Whoever walks.
pub trait Visitor {
    /// A row. The value is `None` if it has pages of its own that were not to be read. What is returned is wrong with it.
    fn row(&mut self, kind: Kind, key: &[u8], value: Option<&[u8]>) -> Result<(), String>;

    /// Something is not as it was written. The walk continues beside it.
    fn damage(&mut self, finding: Finding);

    /// So many bytes were read. False ends the walk.
    fn goes_on(&mut self, bytes: usize) -> bool;
}

/// Which pages have a use.
#[derive(Default)]
pub struct Used {
    words: Vec<u64>,
    pub count: u64,
}

impl Used {
    /// True if the page has a use.
    pub fn is_marked(&self, page: u64) -> bool {
        self.words.get((page / 64) as usize).is_some_and(|word| word & 1 << (page % 64) != 0)
    }

    /// False if the page had a use before.
    pub fn mark(&mut self, page: u64) -> bool {
        let (word, bit) = ((page / 64) as usize, 1 << (page % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u64::from(is_new);
        is_new
    }
}

/// See the module.
pub struct Walk<'w> {
    pub file: &'w PageFile,
    /// The last page.
    pub last: u64,
    pub used: Used,
    /// Whether values that have pages of their own are read.
    pub reads_values: bool,
    /// Whether only the roots of tables are read.
    pub is_shallow: bool,
    /// Whether leaves are not read: the branches above name them.
    pub is_skeleton: bool,
    /// Whether the nodes of a damaged leaf are visited.
    pub saves: bool,
    pub visitor: &'w mut dyn Visitor,
    /// Findings so far.
    pub found: u64,
    /// The visitor has ended the walk.
    pub is_ended: bool,
    /// A walk through a part of a table begins at the leaf with this key.
    pub from: Option<Vec<u8>>,
    /// The key up to which leaves were visited; `None` is the end of the table.
    pub reached: Option<Vec<u8>>,
    /// The last leaf of the table was visited.
    pub is_at_end: bool,
}

/// Where a page is in a tree.
#[derive(Clone, Copy)]
struct At<'k> {
    page: u64,
    /// Levels from here down, itself included.
    levels: u16,
    from: Option<&'k [u8]>,
    to: Option<&'k [u8]>,
}

impl<'w> Walk<'w> {
    /// A walk through whole trees of `file` that has seen nothing yet, values included.
    pub fn new(file: &'w PageFile, last: u64, visitor: &'w mut dyn Visitor) -> Self {
        Self {
            file,
            last,
            used: Used::default(),
            reads_values: true,
            is_shallow: false,
            is_skeleton: false,
            saves: false,
            visitor,
            found: 0,
            is_ended: false,
            from: None,
            reached: None,
            is_at_end: false,
        }
    }

    /// Walks through a table.
    pub fn tree(&mut self, kind: Kind, tree: &Tree) {
        if tree.root == NONE {
            return;
        }
        let mut seen = Tree { depth: tree.depth, root: tree.root, ..Tree::default() };
        let before = self.found;
        let at = At { page: tree.root, levels: tree.depth, from: None, to: None };
        self.page(kind, at, &mut seen);
        let is_cut = self.is_ended || self.is_shallow && tree.depth > 1;
        let is_whole = !is_cut && self.from.is_none();
        if self.is_skeleton {
            (seen.rows, seen.overflows) = (tree.rows, tree.overflows);
        }
        if self.found == before && is_whole && seen != *tree {
            let what = format!("the table has {}, and {} are noted", sizes(&seen), sizes(tree));
            // A page with its older content is right by all its checksums: which rows are missing cannot be told.
            let lost = if seen.rows == tree.rows { Lost::Nothing } else { Lost::Between(None, None) };
            self.report(kind, tree.root, what, lost);
        }
    }

    fn report(&mut self, kind: Kind, page: u64, what: String, lost: Lost) {
        self.found += 1;
        self.visitor.damage(Finding { page, table: kind.id(), what, lost });
    }

    /// Takes pages for one use.
    pub fn take(&mut self, first: u64, count: u64) -> Result<(), String> {
        let end = first.checked_add(count).filter(|end| first >= 2 && *end <= self.last + 1);
        let end = end.filter(|end| *end <= self.file.pages());
        let end = end.ok_or_else(|| format!("the pages from {first} on, {count}, are not in the file"))?;
        for page in first..end {
            if !self.used.mark(page) {
                return Err(format!("page {page} has a second use"));
            }
        }
        Ok(())
    }

    fn read(&mut self, first: u64, length: usize) -> Result<Vec<u8>, String> {
        self.is_ended |= !self.visitor.goes_on(length);
        self.file.read(first, length).map_err(|error| format!("page {first} cannot be read: {error}"))
    }

    fn page(&mut self, kind: Kind, at: At<'_>, seen: &mut Tree) {
        let lost = || Lost::Between(at.from.map(<[u8]>::to_vec), at.to.map(<[u8]>::to_vec));
        if self.is_skeleton && at.levels == 1 {
            seen.leaves += 1;
            return match self.take(at.page, 1) {
                Ok(()) => {}
                Err(what) => self.report(kind, at.page, what, lost()),
            };
        }
        let page = match self.take(at.page, 1).and_then(|()| self.read(at.page, self.file.page_size())) {
            Ok(page) => page,
            Err(what) => return self.report(kind, at.page, what, lost()),
        };
        let least = if at.levels == 1 || kind == Kind::Free { 1 } else { 2 };
        let nodes = Nodes::parse(&page, at.page, at.levels == 1).and_then(|nodes| match nodes.count() {
            count if count < least => Err(format!("it has {count} nodes")),
            _ => in_order(kind, at, &nodes).map(|()| nodes),
        });
        match nodes {
            Err(what) => {
                if self.saves && at.levels == 1 {
                    self.pieces(kind, at.page, &page);
                }
                self.report(kind, at.page, what, lost());
            }
            Ok(_) if self.is_ended => {}
            Ok(nodes) if at.levels == 1 => {
                self.leaf(kind, at.page, nodes, seen);
                self.reached = at.to.map(<[u8]>::to_vec);
                self.is_at_end = at.to.is_none();
            }
            Ok(nodes) => self.branch(kind, at, nodes, seen),
        }
    }

    fn branch(&mut self, kind: Kind, at: At<'_>, nodes: Nodes<'_>, seen: &mut Tree) {
        seen.branches += 1;
        if self.is_shallow {
            return;
        }
        for index in 0..nodes.count() {
            let Some(node) = nodes.get(index).filter(|_| !self.is_ended) else { return };
            let below = At {
                page: node.child,
                levels: at.levels - 1,
                from: if index == 0 { at.from } else { Some(node.key) },
                to: nodes
                    .get(index + 1)
                    .filter(|_| index + 1 < nodes.count())
                    .map_or(at.to, |next| Some(next.key)),
            };
            // Before the part that is wanted.
            let is_before = self.from.as_ref().zip(below.to).is_some_and(|(from, to)| to <= from.as_slice());
            if !is_before {
                self.page(kind, below, seen);
            }
        }
    }

    fn leaf(&mut self, kind: Kind, page: u64, nodes: Nodes<'_>, seen: &mut Tree) {
        seen.leaves += 1;
        for index in 0..nodes.count() {
            let Some(node) = nodes.get(index) else { return };
            seen.rows += 1;
            if let Err(what) = self.row(kind, node, seen) {
                self.report(kind, page, what, Lost::Row(node.key.to_vec()));
            }
        }
    }

    /// Visits the nodes of a leaf that no tree leads to, if this is one.
    pub fn leftover(&mut self, number: u64) {
        // It may as well be a part of a value, which counts as used when its row is found.
        if !self.is_ended
            && !self.used.is_marked(number)
            && let Ok(page) = self.read(number, self.file.page_size())
        {
            self.pieces(Kind::Leftover, number, &page);
        }
    }

    /// Visits the nodes of a leaf that may be damaged, each by itself.
    fn pieces(&mut self, kind: Kind, number: u64, page: &[u8]) {
        for node in pieces(page, number) {
            // What is wrong there is known.
            let _ = self.row(kind, node, &mut Tree::default());
        }
    }

    fn row(&mut self, kind: Kind, node: Node<'_>, seen: &mut Tree) -> Result<(), String> {
        let wanted = if kind == Kind::Main { [SUB, SUB] } else { [0, BIG] };
        if !wanted.contains(&node.flags) {
            return Err(format!("its node is of kind {:#x}", node.flags));
        }
        if node.flags != BIG {
            return self.visitor.row(kind, node.key, Some(node.data));
        }
        let first = u64_at(node.data, 0).ok_or("it has no value")?;
        let value = self.overflow(first, node.length, self.reads_values || kind == Kind::Free, seen)?;
        self.visitor.row(kind, node.key, value.as_deref())
    }

    /// The value in pages of its own.
    fn overflow(
        &mut self,
        first: u64,
        length: usize,
        reads: bool,
        seen: &mut Tree,
    ) -> Result<Option<Vec<u8>>, String> {
        if first < 2 || first > self.last {
            return Err(format!("its value is on page {first}, which is not in the file"));
        }
        let head = self.read(first, PAGE_HEAD)?;
        let count = u64::from(u32_at(&head, 12).unwrap_or(0));
        if u64_at(&head, 0) != Some(first) || u16_at(&head, 10) != Some(OVERFLOW) {
            return Err(format!("page {first} is not the first one of a value"));
        }
        if (PAGE_HEAD + length).div_ceil(self.file.page_size()) as u64 > count {
            return Err(format!("the value on page {first} has {count} pages for {length} bytes"));
        }
        self.take(first, count)?;
        seen.overflows += count;
        if !reads {
            return Ok(None);
        }
        let mut value = self.read(first, PAGE_HEAD + length)?;
        value.drain(..PAGE_HEAD);
        Ok(Some(value))
    }
}

fn sizes(tree: &Tree) -> String {
    let Tree { branches, leaves, overflows, rows, .. } = tree;
    format!("{rows} rows on {branches}, {leaves} and {overflows} pages")
}

/// Checks that keys ascend, within the bounds that the pages above give them. The first key of a branch is not used.
fn in_order(kind: Kind, at: At<'_>, nodes: &Nodes<'_>) -> Result<(), String> {
    let is_leaf = at.levels == 1;
    let mut before: Option<&[u8]> = None;
    for index in usize::from(!is_leaf)..nodes.count() {
        let key = nodes.get(index).map(|node| node.key).unwrap_or_default();
        let is_key = if kind == Kind::Free { key.len() == size_of::<u64>() } else { !key.is_empty() };
        let after_start = at.from.is_none_or(|from| !kind.is_before(key, from));
        let before_end = at.to.is_none_or(|to| kind.is_before(key, to));
        let ascends = before.is_none_or(|before| kind.is_before(before, key));
        if !(is_key && after_start && before_end && ascends) {
            return Err(format!("its key {index} is not in order"));
        }
        before = Some(key);
    }
    Ok(())
}
