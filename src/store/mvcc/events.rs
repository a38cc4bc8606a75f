//! Past events, for watches that begin in the past or fall behind: from the ring, or from `history` and the layers.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::damaged;
use super::records::{ChangeKind, decode_history};
use super::revision::Revision;
use super::ring::events_bytes;
use super::written::{Change, Version};
use crate::model::{Event, EventKind, KeyRange, KeyValue, LogPosition, Refusal, RevisionEvents};
use crate::store::StoreError;
use crate::store::core::{Inner, Reader};
use crate::store::tables::Id;

/// Rows of history that one call visits, at most approximately: a watch on a quiet key must not occupy a thread for the
/// whole history.
const ROWS: usize = 16_384;

/// A request for past events.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'q> {
    /// Of these keys.
    pub range: &'q KeyRange,
    /// The first revision.
    pub from: i64,
    /// The last revision.
    pub to: i64,
    /// At most about this many revisions.
    pub max_revisions: usize,
    /// At most about this many bytes of keys and values.
    pub max_bytes: usize,
    /// With what the keys held before.
    pub prev_kv: bool,
}

impl<'q> Wanted<'q> {
    /// All events of `range` from revision `from` on.
    pub fn since(range: &'q KeyRange, from: i64) -> Self {
        let to = i64::MAX - 1;
        Self { range, from, to, max_revisions: usize::MAX, max_bytes: usize::MAX, prev_kv: true }
    }
}

/// The events found, and the revision at which to continue.
type Page = (Vec<RevisionEvents>, i64);

impl Inner {
    /// See [`crate::store::Store::events`].
    pub fn events(&self, wanted: &Wanted<'_>) -> Result<Page, Refusal> {
        let (reader, batches, compacted) = {
            let shared = self.shared.read();
            if wanted.from < shared.compacted {
                return Err(Refusal::Compacted { compacted: shared.compacted });
            }
            if wanted.from > wanted.to.min(shared.revision) {
                return Ok((Vec::new(), wanted.from));
            }
            match shared.ring.from(wanted.from) {
                Some(batches) => (None, batches, shared.compacted),
                None => (Some(self.reader_of(&shared)?), Vec::new(), shared.compacted),
            }
        };
        match reader {
            None => Ok(from_ring(&batches, wanted, compacted)),
            Some(reader) => Ok(from_history(&reader, wanted).map_err(|error| self.fail_reading(error))?),
        }
    }
}

fn from_ring(batches: &[Arc<Vec<RevisionEvents>>], wanted: &Wanted<'_>, compacted: i64) -> Page {
    let mut page = Pager { wanted, found: Vec::new(), bytes: 0 };
    let mut next = wanted.from;
    let revisions = batches.iter().flat_map(|batch| batch.iter());
    for revision in revisions.skip_while(|revision| revision.revision < wanted.from) {
        if revision.revision > wanted.to || page.is_full() {
            break;
        }
        next = revision.revision + 1;
        let matching = revision.events.iter().filter(|event| wanted.range.contains(&event.kv.key));
        let events = matching.cloned().map(|mut event| {
            // The ring still has states that are compacted; they are hidden here as everywhere else.
            if !wanted.prev_kv || revision.revision <= compacted {
                event.prev_kv = None;
            }
            event
        });
        page.add(RevisionEvents { events: events.collect(), ..*revision });
    }
    (page.found, next)
}

/// Collects revisions up to the bounds.
struct Pager<'w, 'q> {
    wanted: &'w Wanted<'q>,
    found: Vec<RevisionEvents>,
    bytes: usize,
}

impl Pager<'_, '_> {
    fn is_full(&self) -> bool {
        let full = self.found.len() >= self.wanted.max_revisions || self.bytes >= self.wanted.max_bytes;
        full && !self.found.is_empty()
    }

    fn add(&mut self, revision: RevisionEvents) {
        if !revision.events.is_empty() {
            self.bytes += events_bytes(&revision);
            self.found.push(revision);
        }
    }
}

fn from_history(reader: &Reader<'_>, wanted: &Wanted<'_>) -> Result<Page, StoreError> {
    let to = wanted.to.min(reader.revision);
    let (changes, end) = changes(reader, wanted.from, to)?;
    let mut page = Pager { wanted, found: Vec::new(), bytes: 0 };
    for same in changes.chunk_by(|a, b| a.at.main == b.at.main) {
        let Some(first) = same.first() else { continue };
        if page.is_full() {
            return Ok((page.found, first.at.main));
        }
        let mut events = Vec::new();
        for change in same.iter().filter(|change| wanted.range.contains(&change.key)) {
            events.push(event(reader, change, wanted.prev_kv)?);
        }
        // The log position of past events is not stored.
        page.add(RevisionEvents {
            revision: first.at.main,
            position: LogPosition::default(),
            events,
            is_bare: false,
        });
    }
    Ok((page.found, end))
}

/// The changes from main revision `from` on, whole revisions, and the first revision after them.
fn changes(reader: &Reader<'_>, from: i64, to: i64) -> Result<(Vec<Change>, i64), StoreError> {
    let mut changes: Vec<Change> = Vec::new();
    // True if the change is accepted: there is room, or it belongs to a revision that has begun.
    let room = |changes: &[Change], main: i64| {
        changes.len() < ROWS || changes.last().is_some_and(|last| last.at.main == main)
    };
    let disk = reader.disk();
    let read = StoreError::lmdb("reading history");
    let first = Revision { main: from, sub: 0 }.to_bytes();
    let last = Revision::last_of(to).to_bytes();
    for row in reader.tables[Id::History]
        .range(&disk.txn, &(Bound::Included(first.as_slice()), Bound::Included(last.as_slice())))
        .map_err(&read)?
    {
        let (at, row) = row.map_err(&read)?;
        let at = Revision::from_bytes(at).ok_or_else(|| damaged("history"))?;
        if !room(&changes, at.main) {
            return Ok((changes, at.main));
        }
        let (kind, key) = decode_history(row).ok_or_else(|| damaged("history"))?;
        changes.push(Change { at, kind, key: Bytes::copy_from_slice(key) });
    }
    let mut begin = from.max(disk.revision + 1);
    for layer in reader.frozen.iter().chain([&reader.active]) {
        let layer = layer.read();
        for change in layer.keys.changes_from(begin).iter().take_while(|change| change.at.main <= to) {
            if !room(&changes, change.at.main) {
                return Ok((changes, change.at.main));
            }
            changes.push(change.clone());
        }
        if let Some(end) = layer.keys.end {
            begin = begin.max(end + 1);
        }
    }
    Ok((changes, to + 1))
}

fn event(reader: &Reader<'_>, change: &Change, prev_kv: bool) -> Result<Event, StoreError> {
    let deleted = change.kind == ChangeKind::Delete;
    let kv = if deleted {
        KeyValue { key: change.key.clone(), mod_revision: change.at.main, ..KeyValue::default() }
    } else {
        let missing = || StoreError::Damaged(format!("a version of revision {} is missing", change.at.main));
        let version = exact(reader, change)?.ok_or_else(missing)?;
        version.to_kv(change.key.clone()).ok_or_else(missing)?
    };
    // The previous state is that of the previous revision, as long as that one is not compacted. A created key has
    // none, even if the same revision deleted it first.
    let before = change.at.main - 1;
    let created = !deleted && kv.create_revision == change.at.main;
    let prev = if prev_kv && !created && before >= reader.compacted {
        reader
            .get(&change.key, Revision::last_of(before))?
            .and_then(|version| version.to_kv(change.key.clone()))
    } else {
        None
    };
    let kind = if deleted { EventKind::Delete } else { EventKind::Put };
    Ok(Event { kind, kv, prev_kv: prev })
}

/// The version that a change wrote. Its key may have been written since, so the floor finds it only by its revision.
fn exact(reader: &Reader<'_>, change: &Change) -> Result<Option<Version>, StoreError> {
    let version = reader.floor(&change.key, change.at)?;
    Ok(version.filter(|version| version.at == change.at))
}
