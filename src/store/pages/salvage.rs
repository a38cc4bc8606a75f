//! Whatever can be read of a damaged environment, row by row.
//!
//! Trees are walked as far as they go. Each page has exactly one use, so leaves without one, that are not free either, are
//! those behind a damaged page: the checksums of their rows say of which table they are. Of a damaged leaf the nodes are
//! read that are where its header says, each by itself.

use std::io;
use std::path::Path;

use super::check::{self, Report};
use super::layout::Tree;
use super::walk::{Finding, Kind, Used, Visitor, Walk};
use crate::store::format;
use crate::store::format::meta::Meta as StoreMeta;
use crate::store::sealed;
use crate::store::tables::{Id, TABLES};

/// Takes a row; false ends the salvage.
pub(in crate::store) type Take<'t> = dyn FnMut(Id, &[u8], &[u8]) -> bool + 't;

/// What was found.
pub(in crate::store) struct Salvage {
    /// The meta record, if it is whole.
    pub meta: Option<StoreMeta>,
    /// Damage.
    pub report: Report,
    /// False if rows have no checksums: what was taken may be wrong.
    pub is_sealed: bool,
    /// Whether what is known about authentication may not be all that was there.
    pub auth_is_lost: bool,
}

/// Passes all rows to `take` that are as they were written; some may come twice. `None` if no meta page is left.
///
/// # Errors
/// If the file cannot be opened.
pub(in crate::store) fn salvage(dir: &Path, take: &mut Take<'_>) -> io::Result<Option<Salvage>> {
    let Some((file, metas, is_whole)) = check::commits(&dir.join("data.mdb"))? else { return Ok(None) };
    let Some(meta) = metas.first() else { return Ok(None) };
    let (state, is_sealed) = check::record(&file, meta);
    let is_sealed = is_sealed != Some(false);
    let (report, tables, free) = (Report::default(), Vec::new(), Vec::new());
    let auth = Auth::default();
    let mut saver = Saver { take, is_sealed, report, meta: state, tables, free, auth, goes_on: true };
    if !is_whole {
        saver.report.of_file(0, "one of the two meta pages is lost, perhaps with what was committed last");
    }
    let last = meta.last.min(file.pages().saturating_sub(1));
    let mut used = Used::default();
    let mut walk = |kind, tree: &Tree, saver: &mut Saver<'_, '_>| {
        let taken = std::mem::take(&mut used);
        let mut walk = Walk { used: taken, saves: true, ..Walk::new(&file, last, saver) };
        walk.tree(kind, tree);
        used = std::mem::take(&mut walk.used);
    };
    walk(Kind::Main, &meta.main, &mut saver);
    for (id, rows) in std::mem::take(&mut saver.tables) {
        saver.auth.is_found |= id == Id::Auth;
        walk(Kind::Rows(id), &rows, &mut saver);
    }
    let before = saver.report.found;
    walk(Kind::Free, &meta.free, &mut saver);
    // Pages that are free have rows of former times.
    if saver.report.found == before && is_sealed {
        for page in std::mem::take(&mut saver.free).into_iter().filter(|page| *page <= last) {
            used.mark(page);
        }
        let mut walk = Walk { used, saves: true, ..Walk::new(&file, last, &mut saver) };
        (2..=last).for_each(|page| walk.leftover(page));
    }
    let auth_is_lost = saver.auth.is_damaged || !saver.auth.is_found;
    Ok(Some(Salvage { meta: saver.meta, report: saver.report, is_sealed, auth_is_lost }))
}

/// What was seen of the table `auth`.
#[derive(Default)]
struct Auth {
    /// The table, or its row where the name of the table is lost.
    is_found: bool,
    is_damaged: bool,
}

/// Takes rows.
struct Saver<'s, 't> {
    take: &'s mut Take<'t>,
    is_sealed: bool,
    report: Report,
    meta: Option<StoreMeta>,
    tables: Vec<(Id, Tree)>,
    free: Vec<u64>,
    auth: Auth,
    goes_on: bool,
}

impl Saver<'_, '_> {
    /// Takes the meta record, if this is it.
    fn is_meta(&mut self, key: &[u8], stored: &[u8]) -> bool {
        let value = sealed::open(Id::Meta, format::STATE, stored).filter(|_| key == format::STATE);
        let meta = value.and_then(|value| postcard::from_bytes(value).ok());
        let is_meta = meta.is_some();
        self.meta = self.meta.take().or(meta);
        is_meta
    }

    /// Takes a row if it is one of this table.
    fn taken(&mut self, id: Id, key: &[u8], stored: &[u8]) -> Option<()> {
        let value = if self.is_sealed { sealed::open(id, key, stored)? } else { stored };
        if !TABLES[id as usize].reads(key, value) {
            return None;
        }
        self.auth.is_found |= id == Id::Auth;
        self.goes_on &= (self.take)(id, key, value);
        self.report.rows += 1;
        Some(())
    }
}

impl Visitor for Saver<'_, '_> {
    fn row(&mut self, kind: Kind, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        let Some(value) = value else { return Ok(()) };
        let is_good = match kind {
            Kind::Main => check::table(key, value).map(|table| self.tables.push(table)),
            Kind::Free => check::free_list(value).map(|pages| self.free.extend(pages)),
            // It is read separately.
            Kind::Rows(Id::Meta) => Some(()),
            Kind::Rows(id) => self.taken(id, key, value),
            Kind::Leftover if self.is_meta(key, value) => Some(()),
            Kind::Leftover => TABLES.iter().find_map(|row| self.taken(row.id, key, value)),
        };
        is_good.ok_or_else(|| "a row is not as it was written".to_string())
    }

    fn damage(&mut self, finding: Finding) {
        self.auth.is_damaged |= finding.table == Some(Id::Auth);
        self.report.add(finding);
    }

    fn goes_on(&mut self, bytes: usize) -> bool {
        self.report.bytes += bytes as u64;
        self.goes_on
    }
}
