//! Checks a whole environment.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::file::{PageFile, Progress};
use super::layout::{Meta, Tree, u64_at};
use super::walk::{Finding, Kind, Lost, Used, Visitor, Walk};
use crate::store::format;
use crate::store::format::meta::Meta as StoreMeta;
use crate::store::sealed;
use crate::store::tables::{Id, TABLES};

/// Findings that are kept; further ones are counted.
const KEPT: usize = 1000;

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Reading {
    /// The names of tables, the free pages, the tables that are in memory, and of the others the roots.
    Roots,
    /// The names of tables, the free pages, and all branches.
    Branches,
    /// All pages but those of large values, which are verified whenever they are read.
    Pages,
    /// Everything.
    Everything,
}

/// What was found.
#[derive(Debug, Default)]
pub(in crate::store) struct Report {
    pub rows: u64,
    pub bytes: u64,
    /// The first ones.
    pub findings: Vec<Finding>,
    /// Their number.
    pub found: u64,
    /// The end was not reached, because whoever asked has ended it.
    pub is_cut: bool,
}

impl Report {
    /// The first finding and the number of all, for operators; `None` if everything is as it was written.
    pub fn complaint(&self) -> Option<String> {
        let first = self.findings.first()?;
        Some(match self.found {
            1 => first.to_string(),
            found => format!("{first} (the first of {found} findings)"),
        })
    }

    /// True if all rows are there, whatever else was found.
    pub fn has_all_rows(&self) -> bool {
        self.found == self.findings.len() as u64
            && self.findings.iter().all(|finding| finding.lost == Lost::Nothing)
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.found += 1;
        if self.findings.len() < KEPT {
            self.findings.push(finding);
        }
    }

    pub(super) fn of_file(&mut self, page: u64, what: impl Into<String>) {
        self.add(Finding { page, table: None, what: what.into(), lost: Lost::Nothing });
    }
}

/// Checks the environment in `dir` at its last commit: nobody may write to it twice in the meantime unless a read
/// transaction is open that was begun after the last commit. `goes_on` is called with the number of bytes that are read,
/// and ends the check by returning false.
///
/// # Errors
/// If the file cannot be opened.
pub(in crate::store) fn check(
    dir: &Path,
    reading: Reading,
    goes_on: &mut dyn FnMut(usize) -> bool,
) -> io::Result<Report> {
    let mut report = Report::default();
    match opened(&dir.join("data.mdb"))? {
        Ok((file, [first, second])) => match newest(&first, &second) {
            Some(meta) => checked(&file, meta, reading, goes_on, &mut report),
            None => {
                let of = [first.transaction, second.transaction];
                report.of_file(0, format!("the meta pages are of transactions {} and {}", of[0], of[1]));
            }
        },
        Err((page, what)) => report.of_file(page, what),
    }
    Ok(report)
}

/// Checks an environment, with the file read ahead.
fn checked(
    file: &PageFile,
    meta: &Meta,
    reading: Reading,
    goes_on: &mut dyn FnMut(usize) -> bool,
    report: &mut Report,
) {
    if reading == Reading::Roots {
        return environment(file, meta, reading, goes_on, report);
    }
    let progress = Progress::default();
    std::thread::scope(|scope| {
        // Without such a thread all is slower.
        let _ = std::thread::Builder::new().spawn_scoped(scope, || file.read_ahead(&progress));
        let mut goes_on = |bytes: usize| {
            progress.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            goes_on(bytes)
        };
        environment(file, meta, reading, &mut goes_on, report);
        progress.is_ended.store(true, Ordering::Relaxed);
    });
}

/// A file with its two meta pages, or which of them is wrong, and why.
type Opened = Result<(PageFile, [Meta; 2]), (u64, &'static str)>;

fn opened(path: &Path) -> io::Result<Opened> {
    let (file, first) = match PageFile::open(path)? {
        Ok(opened) => opened,
        Err(what) => return Ok(Err((0, what))),
    };
    let second = match file.read(1, Meta::LEN) {
        Ok(bytes) => Meta::parse(&bytes, 1),
        Err(_) => Err("it cannot be read"),
    };
    Ok(match second {
        Ok(second) if second.page_size == first.page_size => Ok((file, [first, second])),
        Ok(_) => Err((1, "the size of a page is not that of page 0")),
        Err(what) => Err((1, what)),
    })
}

/// The one that counts. Page 0 has even transactions and page 1 odd ones, one after the other, but in a new file.
fn newest<'m>(first: &'m Meta, second: &'m Meta) -> Option<&'m Meta> {
    match (first.transaction, second.transaction) {
        (0, 0) => Some(first),
        (even, odd) if even % 2 == 0 && odd == even + 1 => Some(second),
        (even, odd) if even % 2 == 0 && odd.checked_add(1) == Some(even) => Some(first),
        _ => None,
    }
}

fn environment(
    file: &PageFile,
    meta: &Meta,
    reading: Reading,
    goes_on: &mut dyn FnMut(usize) -> bool,
    report: &mut Report,
) {
    /// Pages behind the end of the file at most: a commit does not write pages that it has taken and freed again.
    const BEHIND: u64 = 1 << 20;
    if meta.last >= file.pages() + BEHIND {
        return report.of_file(0, format!("the last page is {}, of {} in the file", meta.last, file.pages()));
    }
    let is_sealed = is_sealed(file, meta);
    let mut checker = Checker { report, goes_on, is_sealed, tables: Vec::new(), free: Vec::new() };
    let reads_values = reading == Reading::Everything;
    let mut used = Used::default();
    let mut is_ended = false;
    let mut tree = |kind, tree: &Tree, checker: &mut Checker<'_>| {
        if is_ended {
            return;
        }
        let (last, visitor) = (meta.last, checker as &mut dyn Visitor);
        let taken = std::mem::take(&mut used);
        let is_shallow = reading == Reading::Roots && matches!(kind, Kind::Rows(id) if is_large(id));
        let is_skeleton = reading == Reading::Branches && matches!(kind, Kind::Rows(_));
        let new = Walk::new(file, last, visitor);
        let mut walk = Walk { used: taken, reads_values, is_shallow, is_skeleton, is_ended, ..new };
        walk.tree(kind, tree);
        is_ended = walk.is_ended;
        used = std::mem::take(&mut walk.used);
    };
    tree(Kind::Main, &meta.main, &mut checker);
    let mut unread = 0;
    for (id, rows) in std::mem::take(&mut checker.tables) {
        unread += if reading == Reading::Branches { rows.overflows } else { 0 };
        tree(Kind::Rows(id), &rows, &mut checker);
    }
    tree(Kind::Free, &meta.free, &mut checker);
    for page in std::mem::take(&mut checker.free) {
        if !(2..=meta.last).contains(&page) || !used.mark(page) {
            checker.report.of_file(page, "it is in the list of free pages, and in use or not in the file");
        }
    }
    // Behind a damaged page others have no use that is known.
    let count = used.count + unread + 2;
    if report.found == 0 && !is_ended && reading != Reading::Roots && count != meta.last + 1 {
        report.of_file(meta.last, format!("{count} of {} pages have a use", meta.last + 1));
    }
    report.is_cut = is_ended;
}

/// Checks what no part of an environment shows by itself, at the commit of a transaction that is still open for reading:
/// that each page has one use. Leaves are not read, for the branches above name them, and values that have pages of their
/// own are counted as their tables note them: a part would find one with a second use, because its rows have checksums.
/// `None` if the file has no such commit any more.
///
/// # Errors
/// If the file cannot be opened.
pub(in crate::store) fn skeleton(
    dir: &Path,
    transaction: u64,
    goes_on: &mut dyn FnMut(usize) -> bool,
) -> io::Result<Option<Report>> {
    let mut report = Report::default();
    match opened(&dir.join("data.mdb"))? {
        Ok((file, metas)) => match metas.iter().find(|meta| meta.transaction == transaction) {
            Some(meta) => environment(&file, meta, Reading::Branches, goes_on, &mut report),
            None => return Ok(None),
        },
        Err((page, what)) => report.of_file(page, what),
    }
    Ok(Some(report))
}

/// The transaction of the last commit; `None` if it cannot be told.
///
/// # Errors
/// If the file cannot be opened.
pub(in crate::store) fn last_commit(dir: &Path) -> io::Result<Option<u64>> {
    let opened = opened(&dir.join("data.mdb"))?;
    Ok(opened.ok().and_then(|(_, [first, second])| newest(&first, &second).map(|meta| meta.transaction)))
}

/// Has the system read the file in `dir` ahead of `work`, which counts the bytes that it reads.
pub(in crate::store) fn beside_reading_ahead<T>(dir: &Path, work: impl FnOnce(&AtomicU64) -> T) -> T {
    let progress = Progress::default();
    std::thread::scope(|scope| {
        // Without such a thread all is slower.
        if let Ok(Ok((file, _))) = opened(&dir.join("data.mdb")) {
            let progress = &progress;
            let _ = std::thread::Builder::new().spawn_scoped(scope, move || file.read_ahead(progress));
        }
        let done = work(&progress.bytes);
        progress.is_ended.store(true, Ordering::Relaxed);
        done
    })
}

/// True for the tables that grow with the keys; a start reads all others.
fn is_large(id: Id) -> bool {
    matches!(id, Id::Current | Id::Old | Id::History | Id::Chunks | Id::Leases | Id::Attached)
}

/// Checks rows.
struct Checker<'c> {
    report: &'c mut Report,
    goes_on: &'c mut dyn FnMut(usize) -> bool,
    /// `None` if it is not known whether rows have checksums.
    is_sealed: Option<bool>,
    tables: Vec<(Id, Tree)>,
    free: Vec<u64>,
}

/// A table by its name, with its record.
pub(super) fn table(name: &[u8], record: &[u8]) -> Option<(Id, Tree)> {
    let row = TABLES.iter().find(|row| row.name.as_bytes() == name)?;
    Some((row.id, Tree::of_table(record)?))
}

/// A list of free pages: their number, and the pages, descending.
pub(super) fn free_list(list: &[u8]) -> Option<Vec<u64>> {
    let count = usize::try_from(u64_at(list, 0)?).ok()?;
    let pages = list.get(8..8 + count.checked_mul(8)?)?;
    let pages: Vec<u64> = (0..count).filter_map(|index| u64_at(pages, index * 8)).collect();
    pages.windows(2).all(|pair| pair[0] > pair[1]).then_some(pages)
}

impl Visitor for Checker<'_> {
    fn row(&mut self, kind: Kind, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        // A large value that was not to be read.
        let Some(value) = value else { return Ok(()) };
        let is_good = match (kind, self.is_sealed) {
            (Kind::Main, _) => table(key, value).map(|table| self.tables.push(table)).is_some(),
            (Kind::Free, _) => free_list(value).map(|pages| self.free.extend(pages)).is_some(),
            (Kind::Leftover, _) => true,
            (Kind::Rows(Id::Meta), _) if key == format::FORMAT => {
                self.is_sealed.is_some() && format::decode_version(value).is_some()
            }
            (Kind::Rows(id), Some(true)) => sealed::open(id, key, value).is_some(),
            (Kind::Rows(Id::Meta), _) => true,
            (Kind::Rows(id), Some(false)) => TABLES[id as usize].reads(key, value),
            (Kind::Rows(_), None) => true,
        };
        self.report.rows += 1;
        if is_good { Ok(()) } else { Err("a row is not as it was written".into()) }
    }

    fn damage(&mut self, finding: Finding) {
        self.report.add(finding);
    }

    fn goes_on(&mut self, bytes: usize) -> bool {
        self.report.bytes += bytes as u64;
        (self.goes_on)(bytes)
    }
}

/// How a part is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Part {
    /// Past the system's cache.
    FromTheDisk,
    /// None of its pages may be in the list of free pages.
    WithFreePages,
}

/// Where a check in parts continues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Place {
    /// The table, by its index.
    table: usize,
    /// Its first key; `None` is the beginning.
    key: Option<Vec<u8>>,
}

/// Checks about so many bytes of the environment in `dir` from a place on, at the commit of a transaction that is still
/// open for reading; moves the place on. `None` if the file has no such commit any more. The list of free pages is
/// checked at the beginning. That each page has one use only is not.
///
/// # Errors
/// If the file cannot be opened.
pub(in crate::store) fn part(
    dir: &Path,
    transaction: u64,
    place: &mut Place,
    bytes: u64,
    how: Part,
) -> io::Result<Option<Report>> {
    let mut report = Report::default();
    let path = dir.join("data.mdb");
    let (mut file, metas) = match opened(&path)? {
        Ok(opened) => opened,
        Err((page, what)) => {
            report.of_file(page, what);
            return Ok(Some(report));
        }
    };
    let Some(meta) = metas.iter().find(|meta| meta.transaction == transaction) else { return Ok(None) };
    if how == Part::FromTheDisk {
        file.past_the_cache(&path);
    }
    let is_sealed = is_sealed(&file, meta);
    // The names and the free pages do not count.
    let (read, counts) = (Cell::new(0), Cell::new(false));
    let mut goes_on = |more: usize| {
        read.set(read.get() + if counts.get() { more as u64 } else { 0 });
        read.get() <= bytes
    };
    let mut checker = Checker {
        report: &mut report,
        goes_on: &mut goes_on,
        is_sealed,
        tables: Vec::new(),
        free: Vec::new(),
    };
    let walk = |kind, tree: &Tree, from: Option<Vec<u8>>, checker: &mut Checker<'_>| {
        let mut walk = Walk { from, ..Walk::new(&file, meta.last, checker) };
        walk.tree(kind, tree);
        let (is_ended, reached, used) = (walk.is_ended && !walk.is_at_end, walk.reached, walk.used);
        for page in checker.free.iter().filter(|page| used.is_marked(**page)) {
            checker.report.of_file(*page, "it is in the list of free pages, and in use");
        }
        (is_ended, reached)
    };
    walk(Kind::Main, &meta.main, None, &mut checker);
    let tables = std::mem::take(&mut checker.tables);
    if how == Part::WithFreePages || *place == Place::default() {
        walk(Kind::Free, &meta.free, None, &mut checker);
    }
    counts.set(true);
    while place.table < TABLES.len() {
        let tree = tables.iter().find(|(id, _)| *id as usize == place.table);
        if let Some((id, tree)) = tree {
            let (is_ended, reached) = walk(Kind::Rows(*id), tree, place.key.clone(), &mut checker);
            if is_ended {
                // Without progress the next part would be the same.
                place.key = reached.or(place.key.take());
                break;
            }
        }
        *place = Place { table: place.table + 1, key: None };
    }
    report.is_cut = place.table < TABLES.len();
    if !report.is_cut {
        *place = Place::default();
    }
    Ok(Some(report))
}

/// Whether rows have checksums; `None` if that cannot be told, because the rows that say it are damaged.
fn is_sealed(file: &PageFile, meta: &Meta) -> Option<bool> {
    record(file, meta).1
}

/// The meta record, if it is whole, and whether rows have checksums, if that can be told.
pub(super) fn record(file: &PageFile, meta: &Meta) -> (Option<StoreMeta>, Option<bool>) {
    let mut finder = Finder::default();
    finder.walk(file, meta, Kind::Main, &meta.main);
    if let Some((id, tree)) = finder.tables.iter().find(|(id, _)| *id == Id::Meta).copied() {
        finder.walk(file, meta, Kind::Rows(id), &tree);
    }
    let stored = finder.state.as_deref();
    let state = stored.and_then(|stored| sealed::open(Id::Meta, format::STATE, stored));
    let is_sealed = match finder.version {
        // A new environment.
        None => Some(true),
        Some(version) if version >= format::SEALED => Some(true),
        Some(format::FIRST) if state.is_none() => Some(false),
        Some(_) => None,
    };
    let bare = stored.filter(|_| is_sealed == Some(false));
    (state.or(bare).and_then(|state| postcard::from_bytes(state).ok()), is_sealed)
}

/// A file and its commits that can still be read, the last one first, and whether one is missing. LMDB does not use the
/// pages of the last but one for something else before the next commit.
///
/// # Errors
/// If the file cannot be opened.
pub(super) fn commits(path: &Path) -> io::Result<Option<(PageFile, Vec<Meta>, bool)>> {
    let Some((file, mut metas)) = PageFile::open_any(path)? else { return Ok(None) };
    let is_whole = matches!(&metas[..], [first, second] if newest(first, second).is_some());
    metas.sort_by_key(|meta| std::cmp::Reverse(meta.transaction));
    Ok(Some((file, metas, is_whole)))
}

/// Looks for the version of the format, the meta record, and rows with their checksums.
#[derive(Default)]
struct Finder {
    tables: Vec<(Id, Tree)>,
    version: Option<u32>,
    /// With its checksum.
    state: Option<Vec<u8>>,
    rows: Vec<(Id, Vec<u8>, Vec<u8>)>,
    /// Tables with damage.
    damaged: Vec<Id>,
}

impl Finder {
    fn walk(&mut self, file: &PageFile, meta: &Meta, kind: Kind, tree: &Tree) {
        let mut walk = Walk::new(file, meta.last, self);
        walk.tree(kind, tree);
    }
}

impl Visitor for Finder {
    fn row(&mut self, kind: Kind, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        let Some(value) = value else { return Ok(()) };
        match (kind, key) {
            (Kind::Main, name) => {
                let row = TABLES.iter().find(|row| row.name.as_bytes() == name);
                self.tables.extend(row.and_then(|row| Some((row.id, Tree::of_table(value)?))));
            }
            (Kind::Rows(Id::Meta), format::FORMAT) => {
                self.version = Some(format::decode_version(value).unwrap_or(0));
            }
            (Kind::Rows(Id::Meta), format::STATE) => self.state = Some(value.to_vec()),
            (Kind::Rows(id), key) => match sealed::open(id, key, value) {
                Some(value) => self.rows.push((id, key.to_vec(), value.to_vec())),
                None => self.damaged.push(id),
            },
            (Kind::Free | Kind::Leftover, _) => {}
        }
        Ok(())
    }

    fn damage(&mut self, finding: Finding) {
        self.damaged.extend(finding.table);
    }

    fn goes_on(&mut self, _: usize) -> bool {
        true
    }
}

/// What is left of a damaged state: its meta record, and the rows of tables that are kept in memory.
pub(in crate::store) struct Remains {
    pub meta: StoreMeta,
    pub rows: Vec<(Id, Vec<u8>, Vec<u8>)>,
    /// Whether `auth` is not known to be whole.
    pub auth_is_lost: bool,
}

/// What is left of the environment in `dir`; `None` without its meta record, and if it has no checksums.
///
/// # Errors
/// If the file cannot be opened.
pub(in crate::store) fn remains(dir: &Path) -> io::Result<Option<Remains>> {
    let Some((file, metas, _)) = commits(&dir.join("data.mdb"))? else { return Ok(None) };
    let Some(meta) = metas.iter().find(|meta| record(&file, meta).0.is_some()) else { return Ok(None) };
    let mut finder = Finder::default();
    finder.walk(&file, meta, Kind::Main, &meta.main);
    let tables = std::mem::take(&mut finder.tables);
    let has_auth = tables.iter().any(|(id, _)| *id == Id::Auth);
    for (id, tree) in tables {
        if id == Id::Meta || TABLES[id as usize].is_whole() {
            finder.walk(&file, meta, Kind::Rows(id), &tree);
        }
    }
    let state = finder.state.as_deref().and_then(|state| sealed::open(Id::Meta, format::STATE, state));
    let Some(meta) = state.and_then(|state| postcard::from_bytes(state).ok()) else { return Ok(None) };
    let auth_is_lost = !has_auth || finder.damaged.contains(&Id::Auth);
    Ok(Some(Remains { meta, rows: finder.rows, auth_is_lost }))
}

/// The pages of each table, of their names, of the list of free pages, and the meta pages.
#[cfg(test)]
pub(in crate::store) fn pages_of(dir: &Path) -> Vec<(&'static str, Vec<u64>)> {
    let (file, [first, second]) = opened(&dir.join("data.mdb")).unwrap().unwrap();
    let meta = newest(&first, &second).unwrap();
    let mut report = Report::default();
    let mut goes_on = |_| true;
    let (tables, free) = (Vec::new(), Vec::new());
    let mut checker =
        Checker { report: &mut report, goes_on: &mut goes_on, is_sealed: Some(true), tables, free };
    let mut pages = vec![("meta pages", vec![0, 1])];
    let mut walk = |name, kind, tree: &Tree, checker: &mut Checker<'_>| {
        let mut walk = Walk::new(&file, meta.last, checker);
        walk.tree(kind, tree);
        let numbers: Vec<u64> = (2..=meta.last).filter(|page| !walk.used.mark(*page)).collect();
        if !numbers.is_empty() {
            pages.push((name, numbers));
        }
    };
    walk("names", Kind::Main, &meta.main, &mut checker);
    for (id, tree) in std::mem::take(&mut checker.tables) {
        walk(TABLES[id as usize].name, Kind::Rows(id), &tree, &mut checker);
    }
    walk("free", Kind::Free, &meta.free, &mut checker);
    pages
}

/// The roots of all tables.
#[cfg(test)]
pub(in crate::store) fn roots_of(dir: &Path) -> Vec<u64> {
    let (file, [first, second]) = opened(&dir.join("data.mdb")).unwrap().unwrap();
    let meta = newest(&first, &second).unwrap();
    let mut finder = Finder::default();
    finder.walk(&file, meta, Kind::Main, &meta.main);
    finder.tables.iter().map(|(_, tree)| tree.root).collect()
}
