//! Put and delete (etcd semantics sections 3 and 4).

use bytes::Bytes;

use super::{Applying, FORMER, Stop, unhindered};
use crate::model::{Delete, Event, EventKind, KeyRange, KeyValue, LeaseId, OpReply, Put, Refusal};
use crate::store::StoreError;
use crate::store::mvcc::keys::attached;
use crate::store::mvcc::range;
use crate::store::mvcc::read::Hold;
use crate::store::mvcc::written::{Live, Version};
use crate::store::tables::Id;

impl Applying<'_> {
    /// The conditions of a put: its lease exists, and so does its key if its value or lease is to be kept.
    pub(super) fn check_put(&self, put: &Put) -> Result<(), Stop> {
        if put.key.is_empty() {
            return Err(Refusal::EmptyKey.into());
        }
        if put.lease != 0 && self.reader.lease(put.lease)?.is_none() {
            return Err(Refusal::LeaseNotFound.into());
        }
        if (put.ignore_value || put.ignore_lease) && self.reader.get(&put.key, self.here())?.is_none() {
            return Err(Refusal::KeyNotFound.into());
        }
        Ok(())
    }

    /// Puts a key whose checks have passed.
    pub(super) fn put(&mut self, put: &Put) -> Result<OpReply, Stop> {
        self.work.puts += 1;
        self.work.ranges += u64::from(put.prev_kv || put.ignore_value || put.ignore_lease);
        self.work.put_bytes += (put.key.len() + put.value.len()) as u64;
        let before = self.reader.get(&put.key, self.here())?;
        let key = put.key.clone();
        let prev_kv = before.as_ref().and_then(|version| version.to_kv(key.clone()));
        let (value, lease) = match &prev_kv {
            Some(prev) => (
                if put.ignore_value { prev.value.clone() } else { put.value.clone() },
                if put.ignore_lease { prev.lease } else { put.lease },
            ),
            None => (put.value.clone(), put.lease),
        };
        let (create, version) = match &prev_kv {
            Some(prev) => (prev.create_revision, prev.version + 1),
            None => (self.next_main(), 1),
        };
        self.move_lease(&key, prev_kv.as_ref().map_or(0, |prev| prev.lease), lease);
        let asked = if put.prev_kv { prev_kv.clone() } else { None };
        let live = Live { create, version, lease, value };
        self.write(&key, Some(live), |version| Event {
            kind: EventKind::Put,
            kv: version.to_kv(key.clone()).unwrap_or_default(),
            prev_kv,
        })?;
        Ok(OpReply::Put { revision: self.now(), prev_kv: asked })
    }

    /// Deletes a range.
    pub(super) fn delete(&mut self, delete: &Delete) -> Result<OpReply, Stop> {
        self.work.deletes += 1;
        self.work.ranges += u64::from(delete.prev_kv);
        let before =
            if delete.prev_kv { self.live_in(&delete.range)? } else { self.deleted_by(&delete.range)? };
        let deleted = before.len() as i64;
        let prev_kvs = if delete.prev_kv { before.clone() } else { Vec::new() };
        for prev in before {
            self.delete_key(prev)?;
        }
        Ok(OpReply::Delete { revision: self.now(), deleted, prev_kvs })
    }

    /// Deletes one key; `prev` is its state.
    pub(super) fn delete_key(&mut self, prev: KeyValue) -> Result<(), StoreError> {
        let key = prev.key.clone();
        self.move_lease(&key, prev.lease, 0);
        self.write(&key, None, |version: &Version| Event {
            kind: EventKind::Delete,
            kv: KeyValue { key: key.clone(), mod_revision: version.at.main, ..KeyValue::default() },
            prev_kv: Some(prev),
        })
    }

    /// The live keys of a range, including the present command's own changes.
    pub(super) fn live_in(&mut self, range: &KeyRange) -> Result<Vec<KeyValue>, StoreError> {
        let at = self.here();
        let query = crate::model::RangeQuery::current(range.clone());
        match range::run(&mut self.reader, Hold::Whole, &query, at, at.main) {
            Ok(found) => Ok(found.kvs),
            Err(error) => Err(unhindered(error)),
        }
    }

    /// As [`Applying::live_in`], but without values if they are too large to be loaded together.
    fn deleted_by(&mut self, range: &KeyRange) -> Result<Vec<KeyValue>, StoreError> {
        let at = self.here();
        let query = crate::model::RangeQuery::current(range.clone());
        let loaded = range::page(&mut self.reader, Hold::Whole, &query, at, at.main, FORMER);
        let loaded = loaded.map_err(unhindered)?;
        if !loaded.more {
            return Ok(loaded.kvs);
        }
        self.is_bare = true;
        range::states(&mut self.reader, Hold::Whole, range, at).map_err(unhindered)
    }

    /// Updates the list of a lease's keys.
    fn move_lease(&mut self, key: &Bytes, from: LeaseId, to: LeaseId) {
        if from == to {
            return;
        }
        if from != 0 {
            let (row, _) = attached(from, key);
            self.put_row(Id::Attached, &row, None);
        }
        if to != 0 {
            let (row, value) = attached(to, key);
            // The value is empty or the key itself.
            let value = if value.is_empty() { Bytes::new() } else { key.clone() };
            self.put_row(Id::Attached, &row, Some(value));
        }
    }
}
