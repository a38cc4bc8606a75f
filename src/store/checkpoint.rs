//! Checkpoints: folding the head into LMDB.
//!
//! A checkpoint freezes the active layer, writes it in one durable transaction together with the position of the last
//! log entry in it, and drops it. It writes the rows in their order, so that neighbours share pages.

use std::sync::Arc;

use heed::RwTxn;

use super::StoreError;
use super::core::{Folding, Inner};
use super::figures::timed;
use super::format::meta::Meta;
use super::head::Layer;
use super::lmdb::Tables;
use super::mvcc::fold::fold_versions;
use super::registry::Registry;
use super::seams::{self, Point};
use super::space;
use super::tables::{Kept, TABLES};
use crate::model::{Histogram, Planted, is_planted};

impl Inner {
    /// Folds everything applied so far into LMDB and returns when it is durable.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let _writing = self.writing.lock();
        self.checkpoint_while_writing()
    }

    /// The same for a caller that holds `writing`.
    pub fn checkpoint_while_writing(&self) -> Result<(), StoreError> {
        self.health()?;
        // A checkpoint that found no room the last time comes first.
        let unfinished = self.unfinished.lock().take();
        if let Some(folding) = unfinished {
            self.finish(folding)?;
        }
        let folding = self.freeze().map_err(|error| self.fail(error))?;
        folding.map_or(Ok(()), |folding| self.finish(folding))
    }

    fn finish(&self, folding: Folding) -> Result<(), StoreError> {
        let meta = {
            let shared = self.shared.read();
            let meta = folding.meta(&shared.meta);
            seams::checkpoint(Point::of(&shared.meta), Point::of(&meta), shared.point()).map(|()| meta)
        };
        let meta = meta.map_err(|error| self.fail(error))?;
        let needed = space::needed(&folding.layer.read());
        self.hold_room(&folding.tables, needed);
        let folded = self.pace.commit(|| fold(&folding, &meta, &self.figures.commit));
        if let Err(error) = folded {
            let error = self.not_written(&folding.tables, error);
            *self.unfinished.lock() = Some(folding);
            return Err(error);
        }
        self.space.found();
        // Before the layer is dropped: its bytes are gone from the disk, and must be counted in one place or the other.
        if self.measures_room() {
            self.look_at_space();
        }
        let (idle, frozen) = {
            let mut shared = self.shared.write();
            shared.meta = meta;
            shared.durable_registry = folding.registry.clone();
            let idle = self.next_generation(&mut shared);
            (idle, shared.frozen.take())
        };
        drop((idle, frozen, folding));
        self.signal.progressed();
        Ok(())
    }

    /// Freezes the active layer; `None` if there is nothing to write.
    fn freeze(&self) -> Result<Option<Folding>, StoreError> {
        let _applying = self.applying.lock();
        let mut shared = self.shared.write();
        if !shared.is_dirty() {
            return Ok(None);
        }
        if shared.frozen.is_some() {
            return Err(StoreError::Broken("a checkpoint begins before the last one has ended".into()));
        }
        let layer = std::mem::take(&mut shared.active);
        layer.write().keys.end = Some(shared.revision);
        shared.frozen = Some(layer.clone());
        Ok(Some(Folding {
            tables: shared.tables.clone(),
            layer,
            applied: shared.applied,
            digest: shared.digest(),
            revision: shared.revision,
            compacted: shared.compacted,
            allocated: shared.allocated,
            registry: shared.registry.clone(),
            registry_changed: !Arc::ptr_eq(&shared.registry, &shared.durable_registry),
        }))
    }
}

impl Folding {
    /// The meta record that replaces `before`; a slice of a compaction may have changed `before` since the layer was
    /// frozen.
    fn meta(&self, before: &Meta) -> Meta {
        Meta {
            applied: if is_planted(Planted::LatePositions) { before.applied } else { self.applied },
            raft_membership: self.registry.raft_membership.clone(),
            revision: self.revision,
            compacted: self.compacted,
            in_use: before.in_use + self.layer.read().keys.growth,
            allocated: self.allocated,
            epoch: self.registry.epoch,
            cluster_version: self.registry.cluster_version.clone(),
            digest: self.digest,
            ..before.clone()
        }
    }
}

fn fold(folding: &Folding, meta: &Meta, time: &Histogram) -> Result<(), StoreError> {
    let (tables, layer) = (&*folding.tables, folding.layer.read());
    let mut txn = tables.write()?;
    fold_versions(tables, &mut txn, &layer.keys)?;
    fold_rows(tables, &mut txn, &layer)?;
    if folding.registry_changed {
        fold_registry(tables, &mut txn, &folding.registry)?;
    }
    tables.put_meta(&mut txn, meta)?;
    timed(time, || tables.commit(txn, "committing a checkpoint"))
}

/// Writes the head's rows of tables that are kept row by row.
fn fold_rows(tables: &Tables, txn: &mut RwTxn<'_>, layer: &Layer) -> Result<(), StoreError> {
    let write = StoreError::lmdb("writing a row");
    for (table, key, value) in layer.rows() {
        match value {
            Some(value) => tables[table].put(txn, key, value).map_err(&write)?,
            None => _ = tables[table].delete(txn, key).map_err(&write)?,
        }
    }
    Ok(())
}

/// Rewrites the tables that are kept in memory.
pub(super) fn fold_registry(
    tables: &Tables,
    txn: &mut RwTxn<'_>,
    registry: &Registry,
) -> Result<(), StoreError> {
    let write = StoreError::lmdb("writing a table that is kept in memory");
    for row in &TABLES {
        let Kept::Whole { give, .. } = row.kept else { continue };
        tables[row.id].clear(txn).map_err(&write)?;
        give(registry, &mut |key, value| tables[row.id].put(txn, key, value).map_err(&write))?;
    }
    Ok(())
}
