//! What can be saved of a damaged state that no other member has.
//!
//! All rows that are as they were written go to a new environment. Then its tables are made to agree, so that a backup can
//! be made of it:
//! - A change of which the version is lost becomes a deletion: the key is missing from then on, and no older value is
//!   taken for the one that is lost. Older values can be read at their revisions.
//! - A version of which the change is lost says all about it, if its value is whole.
//! - If the last version of a key was replaced by one of which nothing is left, a deletion behind all revisions says so.

use std::collections::HashMap;
use std::path::Path;

use heed::RwTxn;

use super::core::{Inner, Shared};
use super::format::meta::Meta;
use super::lmdb::{ReadTxn, Tables};
use super::mvcc::keys::{self, CurrentShape, Entry, OldShape, Shape};
use super::mvcc::records::{ChangeKind, Record, Value, decode_history, encode_history, split_current};
use super::mvcc::revision::Revision;
use super::mvcc::scan::Walk;
use super::pages::{self, Salvage};
use super::sealed::shown;
use super::tables::Id;
use super::{Store, StoreError, registry, states};

/// Bytes, and rows, that are written in one transaction.
const COMMIT_BYTES: usize = 4 << 20;
const COMMIT_ROWS: usize = 10_000;

/// Keys that are named; further ones are counted.
const NAMED: usize = 10_000;

/// What was saved, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// What is damaged on the disk, with its places: the first ones.
    pub damage: Vec<String>,
    /// The number of these.
    pub damaged: u64,
    /// The keys that have lost versions, with the revisions of these: the first ones.
    pub lost: Vec<String>,
    /// The number of these.
    pub losses: u64,
    /// Changes that were saved.
    pub changes: u64,
    /// The revision of what was saved: that of the damaged state, if it is known, so that no revision is given twice.
    pub revision: i64,
    /// The revision of the last change that was saved, or 1. It can be less although nothing is lost: changes are
    /// compacted, and revisions are raised.
    pub last: i64,
    /// The revision of the damaged state, if it is known.
    pub former: Option<i64>,
    /// The last log entry in the damaged state, if it is known.
    pub applied: Option<u64>,
    /// Whether authentication was on is lost: it is on, with the users and roles that were saved.
    pub auth_is_lost: bool,
    /// There are data of v2's API, which a backup does not have.
    pub has_tree: bool,
    /// All rows are there, whatever else is damaged: entries lead to the same as on the member itself.
    pub is_whole: bool,
    /// Rows had no checksums: a value may be wrong all the same.
    pub is_unproven: bool,
}

impl Salvaged {
    /// True if nothing is damaged or lost.
    pub fn is_complete(&self) -> bool {
        self.damaged == 0 && self.losses == 0
    }

    fn lose(&mut self, key: &[u8], what: impl FnOnce() -> String) {
        self.is_whole = false;
        self.losses += 1;
        if self.lost.len() < NAMED {
            self.lost.push(format!("{} {}", shown(Id::History, key), what()));
        }
    }
}

impl Store {
    /// Replaces the state of this store, which is new, by what can be saved of the damaged one in the directory `from`,
    /// which nobody uses.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if nothing can be saved; those of the file system.
    pub fn salvage(&self, from: &Path) -> Result<Salvaged, StoreError> {
        self.0.salvage(from)
    }
}

impl Inner {
    fn salvage(&self, from: &Path) -> Result<Salvaged, StoreError> {
        let state = states::current(from)?;
        let mut salvaged = Salvaged::default();
        let prepared = self.prepare_by(|path| {
            let tables = Tables::open(path, &self.options)?;
            // Nothing refers to it yet, so it need not be consistent before it is complete.
            tables.wait_for_disk(false)?;
            let meta = copy(&state, &tables, &mut salvaged)?;
            let meta = agree(&tables, meta, &mut salvaged)?;
            let mut txn = tables.write()?;
            tables.put_meta(&mut txn, &meta)?;
            tables.commit(txn, "committing what was saved")?;
            tables.wait_for_disk(true)?;
            tables.sync()?;
            Shared::load(tables)
        })?;
        self.adopt(prepared)?;
        Ok(salvaged)
    }
}

/// Rows on their way into an environment.
struct Rows<'t> {
    tables: &'t Tables,
    txn: Option<RwTxn<'t>>,
    bytes: usize,
    rows: usize,
}

impl<'t> Rows<'t> {
    fn new(tables: &'t Tables) -> Self {
        Self { tables, txn: None, bytes: 0, rows: 0 }
    }

    /// Writes a row, or removes it.
    fn put(&mut self, id: Id, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let write = StoreError::lmdb("writing what was saved");
        let txn = match &mut self.txn {
            Some(txn) => txn,
            None => self.txn.insert(self.tables.write()?),
        };
        match value {
            Some(value) => self.tables[id].put(txn, key, value).map_err(&write)?,
            None => _ = self.tables[id].delete(txn, key).map_err(&write)?,
        }
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.rows += 1;
        if self.bytes >= COMMIT_BYTES || self.rows >= COMMIT_ROWS { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        (self.bytes, self.rows) = (0, 0);
        let Some(txn) = self.txn.take() else { return Ok(()) };
        self.tables.commit(txn, "committing what was saved")
    }
}

/// Copies all rows that are as they were written; returns the meta record, if there is one.
fn copy(from: &Path, tables: &Tables, salvaged: &mut Salvaged) -> Result<Option<Meta>, StoreError> {
    let data = from.join("data.mdb");
    let mut rows = Rows::new(tables);
    let mut failed = Ok(());
    let mut take = |id: Id, key: &[u8], value: &[u8]| {
        salvaged.has_tree |= id == Id::Tree;
        failed = rows.put(id, key, Some(value));
        failed.is_ok()
    };
    let found = pages::salvage(from, &mut take);
    failed?;
    rows.commit()?;
    let found = found.map_err(|error| StoreError::io(format!("reading {}", data.display()), error))?;
    let nothing =
        || StoreError::Damaged(format!("nothing is left in {}: both meta pages are lost", data.display()));
    let Salvage { meta, report, is_sealed, auth_is_lost } = found.ok_or_else(nothing)?;
    salvaged.auth_is_lost = auth_is_lost;
    if auth_is_lost {
        registry::give_lost_auth(&mut |key, value| rows.put(Id::Auth, key, Some(value)))?;
        rows.commit()?;
    }
    salvaged.damage = report.findings.iter().map(ToString::to_string).collect();
    salvaged.damaged = report.found;
    // A row without a checksum is right if nothing at all is damaged, as far as anybody can know.
    let is_proven = is_sealed || report.found == 0;
    salvaged.is_whole = report.has_all_rows() && is_proven && meta.is_some() && !auth_is_lost;
    salvaged.is_unproven = !is_sealed;
    salvaged.former = meta.as_ref().map(|meta| meta.revision);
    salvaged.applied = meta.as_ref().and_then(|meta| meta.applied).map(|applied| applied.index);
    Ok(meta)
}

/// Makes the tables agree; returns the meta record that belongs to them.
fn agree(tables: &Tables, meta: Option<Meta>, salvaged: &mut Salvaged) -> Result<Meta, StoreError> {
    let meta = meta.unwrap_or(Meta { compacted: -1, pruned: -1, ..Meta::default() });
    delete_lost_versions(tables, salvaged)?;
    let orphans = add_lost_changes(tables, salvaged)?;
    remove_strays(tables, salvaged)?;
    let read = tables.read()?;
    let last = last_change(tables, &read)?;
    drop(read);
    let end = meta.revision.max(last) + 1;
    end_orphans(tables, orphans, end, salvaged)?;
    let read = tables.read()?;
    let failed = StoreError::lmdb("reading history");
    salvaged.changes = tables[Id::History].len(&read).map_err(failed)?;
    salvaged.last = last_change(tables, &read)?;
    let revision = meta.revision.max(salvaged.last);
    salvaged.revision = revision;
    let compacted = meta.compacted.min(revision);
    Ok(Meta {
        revision,
        compacted,
        pruned: meta.pruned.min(compacted),
        prune_from: (meta.prune_from.0.min(revision), meta.prune_from.1),
        raft_membership: None,
        digest: None,
        ..meta
    })
}

/// The revision of the last change; 1 if there is none.
fn last_change(tables: &Tables, read: &ReadTxn) -> Result<i64, StoreError> {
    let last = tables[Id::History].last(read).map_err(StoreError::lmdb("reading history"))?;
    Ok(last.and_then(|(at, _)| Revision::from_bytes(at)).map_or(1, |at| at.main))
}

/// The changes, each with its kind and its key.
fn each_change(
    tables: &Tables,
    read: &ReadTxn,
    mut visit: impl FnMut(Revision, ChangeKind, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = StoreError::lmdb("reading history");
    for row in tables[Id::History].iter(read).map_err(&failed)? {
        let (at, change) = row.map_err(&failed)?;
        if let (Some(at), Some((kind, key))) = (Revision::from_bytes(at), decode_history(change)) {
            visit(at, kind, key)?;
        }
    }
    Ok(())
}

fn deletion(key: &[u8]) -> Vec<u8> {
    let mut change = Vec::with_capacity(1 + key.len());
    encode_history(ChangeKind::Delete, key, &mut change);
    change
}

/// A change without its version, or without a part of its value, becomes a deletion.
fn delete_lost_versions(tables: &Tables, salvaged: &mut Salvaged) -> Result<(), StoreError> {
    let read = tables.read()?;
    let mut rows = Rows::new(tables);
    each_change(tables, &read, |at, kind, key| {
        if kind == ChangeKind::Delete {
            return Ok(());
        }
        match tables.exact(&read, key, at)? {
            Some(version) if is_whole(tables, &read, at, &version.record) => Ok(()),
            version => lose_version(tables, &read, &mut rows, (key, at, version.is_some()), salvaged),
        }
    })?;
    rows.commit()
}

/// True for a version with all of its value.
fn is_whole(tables: &Tables, read: &ReadTxn, at: Revision, record: &Record<'_>) -> bool {
    match record {
        Record::Tombstone => false,
        Record::Live(live) => {
            matches!(live.value, Value::Inline(_)) || tables.value(read, at, live.value).is_ok()
        }
    }
}

/// A change becomes a deletion, and what is there of its version is removed.
fn lose_version(
    tables: &Tables,
    read: &ReadTxn,
    rows: &mut Rows<'_>,
    (key, at, is_there): (&[u8], Revision, bool),
    salvaged: &mut Salvaged,
) -> Result<(), StoreError> {
    let current = tables.current_of(read, key)?.map(|current| current.at);
    salvaged.lose(key, || match current.is_none_or(|current| current <= at) {
        true => format!("as it was put at revision {}", at.main),
        false => format!("as it was put at revision {}, which a later one has replaced", at.main),
    });
    rows.put(Id::History, &at.to_bytes(), Some(&deletion(key)))?;
    match is_there {
        true if current == Some(at) => rows.put(Id::Current, &keys::current_key(key), None),
        true => rows.put(Id::Old, &keys::old_key(key, at), None),
        false => Ok(()),
    }
}

/// Adds the changes that versions show; a version without all of its value is lost. Returns the keys whose last version was replaced by one of which nothing is left,
/// as far as versions show it, with its revision.
fn add_lost_changes(
    tables: &Tables,
    salvaged: &mut Salvaged,
) -> Result<HashMap<Vec<u8>, Revision>, StoreError> {
    let failed = StoreError::lmdb("reading history");
    let damaged = || StoreError::Damaged("a row that was just written".into());
    let read = tables.read()?;
    let mut rows = Rows::new(tables);
    // True if the version stays.
    let mut add = |at: Revision, key: &[u8], record: Record<'_>| {
        if tables[Id::History].get(&read, &at.to_bytes()).map_err(&failed)?.is_some() {
            return Ok(true);
        }
        let kind = match record {
            Record::Tombstone => ChangeKind::Delete,
            _ if !is_whole(tables, &read, at, &record) => {
                lose_version(tables, &read, &mut rows, (key, at, true), salvaged)?;
                return Ok(false);
            }
            Record::Live(live) if live.create == at.main && live.version == 1 => ChangeKind::Create,
            Record::Live(_) => ChangeKind::Update,
        };
        let mut change = Vec::new();
        encode_history(kind, key, &mut change);
        rows.put(Id::History, &at.to_bytes(), Some(&change))?;
        Ok(true)
    };
    let mut walk = Walk::<CurrentShape>::from(tables[Id::Current], &read, &[])?;
    while let Some(row) = walk.next()? {
        let (at, record) = split_current(row.value).ok_or_else(damaged)?;
        add(at, walk.key(), Record::decode(record).ok_or_else(damaged)?)?;
    }
    let mut orphans = HashMap::new();
    let mut walk = Walk::<OldShape>::from(tables[Id::Old], &read, &[])?;
    let mut last: Option<(Vec<u8>, Revision, bool)> = None;
    loop {
        let row = walk.next()?;
        if let Some((key, at, is_live)) = &last
            && (row.is_none() || key != walk.key())
            && *is_live
            && tables.current_of(&read, key)?.is_none()
        {
            orphans.insert(key.clone(), *at);
        }
        let Some(row) = row else { break };
        let (at, record) = (row.at.ok_or_else(damaged)?, Record::decode(row.value).ok_or_else(damaged)?);
        let is_live = add(at, walk.key(), record)? && matches!(record, Record::Live(_));
        last = Some((walk.key().to_vec(), at, is_live));
    }
    rows.commit()?;
    Ok(orphans)
}

/// Removes versions without a change: those of long keys of which a part is lost.
fn remove_strays(tables: &Tables, salvaged: &mut Salvaged) -> Result<(), StoreError> {
    let failed = StoreError::lmdb("reading versions");
    let read = tables.read()?;
    let mut rows = Rows::new(tables);
    for id in [Id::Current, Id::Old] {
        for row in tables[id].iter(&read).map_err(&failed)? {
            let (key, value) = row.map_err(&failed)?;
            let at = match id {
                Id::Current => split_current(value).map(|(at, _)| at),
                _ => match keys::rest(key).and_then(OldShape::parse) {
                    Some(Entry::Leaf(_, at)) => at,
                    _ => None,
                },
            };
            // Markers have none.
            let Some(at) = at else { continue };
            if tables[Id::History].get(&read, &at.to_bytes()).map_err(&failed)?.is_none() {
                let rest = keys::rest(key).unwrap_or(key);
                salvaged
                    .lose(rest, || format!("is the end of a long key that was put at revision {}", at.main));
                rows.put(id, key, None)?;
            }
        }
    }
    rows.commit()
}

/// Deletes keys at the end whose last version was replaced.
fn end_orphans(
    tables: &Tables,
    mut orphans: HashMap<Vec<u8>, Revision>,
    end: i64,
    salvaged: &mut Salvaged,
) -> Result<(), StoreError> {
    let read = tables.read()?;
    each_change(tables, &read, |at, _, key| {
        if orphans.get(key).is_some_and(|last| *last < at) {
            orphans.remove(key);
        }
        Ok(())
    })?;
    let mut orphans: Vec<_> = orphans.into_iter().collect();
    orphans.sort();
    let mut rows = Rows::new(tables);
    for ((key, last), sub) in orphans.into_iter().zip(0..) {
        salvaged.lose(&key, || format!("as it was after revision {}", last.main));
        rows.put(Id::History, &Revision { main: end, sub }.to_bytes(), Some(&deletion(&key)))?;
    }
    rows.commit()
}
