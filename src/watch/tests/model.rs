//! The naive model of a history, and a store in memory made of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::model::{Event, EventKind, KeyRange, KeyValue, LogPosition, Observer, Refusal, RevisionEvents};
use crate::store::Wanted;
use crate::watch::History;

/// One change of a transaction.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Put(Bytes, Bytes),
    Delete(KeyRange),
}

pub(super) fn put(key: &str) -> Change {
    Change::Put(Bytes::copy_from_slice(key.as_bytes()), Bytes::from_static(b"v"))
}

pub(super) fn delete(key: &str) -> Change {
    Change::Delete(KeyRange::single(Bytes::copy_from_slice(key.as_bytes())))
}

/// Everything that ever happened.
pub(super) struct Model {
    kvs: BTreeMap<Bytes, KeyValue>,
    pub(super) log: Vec<RevisionEvents>,
    pub(super) revision: i64,
}

impl Default for Model {
    fn default() -> Self {
        Self { kvs: BTreeMap::new(), log: Vec::new(), revision: 1 }
    }
}

impl Model {
    /// Executes a transaction; returns its events, if there were any.
    pub(super) fn change(&mut self, changes: &[Change]) -> Option<RevisionEvents> {
        let revision = self.revision + 1;
        let mut events = Vec::new();
        for change in changes {
            match change {
                Change::Put(key, value) => events.push(self.put(revision, key, value)),
                Change::Delete(range) => {
                    let keys: Vec<Bytes> =
                        self.kvs.keys().filter(|key| range.contains(key)).cloned().collect();
                    for key in keys {
                        let prev_kv = self.kvs.remove(&key);
                        let kv = KeyValue { key, mod_revision: revision, ..KeyValue::default() };
                        events.push(Event { kind: EventKind::Delete, kv, prev_kv });
                    }
                }
            }
        }
        if events.is_empty() {
            return None;
        }
        self.revision = revision;
        let events = RevisionEvents { revision, position: LogPosition::default(), events, is_bare: false };
        self.log.push(events.clone());
        Some(events)
    }

    fn put(&mut self, revision: i64, key: &Bytes, value: &Bytes) -> Event {
        let prev_kv = self.kvs.get(key).cloned();
        let kv = KeyValue {
            key: key.clone(),
            value: value.clone(),
            create_revision: prev_kv.as_ref().map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: prev_kv.as_ref().map_or(1, |kv| kv.version + 1),
            lease: 0,
        };
        self.kvs.insert(key.clone(), kv.clone());
        Event { kind: EventKind::Put, kv, prev_kv }
    }
}

/// A store in memory.
pub(super) struct Fake {
    state: Mutex<State>,
}

struct State {
    model: Model,
    compacted: i64,
    observer: Option<Arc<dyn Observer>>,
}

impl Fake {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { model: Model::default(), compacted: -1, observer: None }) })
    }

    pub(super) fn observe(&self, observer: Arc<dyn Observer>) {
        self.state.lock().observer = Some(observer);
    }

    /// Applies transactions as one batch.
    pub(super) fn apply(&self, transactions: &[Vec<Change>]) -> i64 {
        let mut state = self.state.lock();
        let events: Vec<RevisionEvents> =
            transactions.iter().filter_map(|changes| state.model.change(changes)).collect();
        let (observer, revision) = (state.observer.clone(), state.model.revision);
        drop(state);
        if let Some(observer) = observer {
            observer.on_events(&events);
        }
        revision
    }

    /// Applies without calling the observer, as a snapshot does.
    pub(super) fn apply_unheard(&self, transactions: &[Vec<Change>]) -> i64 {
        let observer = self.state.lock().observer.take();
        let revision = self.apply(transactions);
        self.state.lock().observer = observer;
        revision
    }

    pub(super) fn compact(&self, revision: i64) {
        let mut state = self.state.lock();
        state.compacted = revision;
        let observer = state.observer.clone();
        drop(state);
        if let Some(observer) = observer {
            observer.on_compacted(revision);
        }
    }
}

impl History for Fake {
    fn revision(&self) -> i64 {
        self.state.lock().model.revision
    }

    fn compacted_revision(&self) -> i64 {
        self.state.lock().compacted
    }

    fn events(&self, wanted: &Wanted<'_>) -> Result<(Vec<RevisionEvents>, i64), Refusal> {
        let Wanted { range, from, to, max_revisions, max_bytes, prev_kv } = *wanted;
        let state = self.state.lock();
        if from < state.compacted {
            return Err(Refusal::Compacted { compacted: state.compacted });
        }
        let (mut found, mut bytes) = (Vec::new(), 0);
        for whole in state.model.log.iter().filter(|whole| (from..=to).contains(&whole.revision)) {
            if found.len() >= max_revisions || bytes > max_bytes {
                return Ok((found, whole.revision));
            }
            let mut events: Vec<Event> =
                whole.events.iter().filter(|event| range.contains(&event.kv.key)).cloned().collect();
            for event in &mut events {
                let kept = |kv: &KeyValue| prev_kv && kv.mod_revision >= state.compacted;
                event.prev_kv = event.prev_kv.take().filter(kept);
                bytes += event.kv.value.len();
            }
            if !events.is_empty() {
                found.push(RevisionEvents { events, ..whole.clone() });
            }
        }
        Ok((found, to + 1))
    }
}
