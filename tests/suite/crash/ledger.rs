//! The record of a crash test: what was tried, what was acknowledged, and what the history must therefore be.

use kvd::api::proto::mvccpb::{Event, KeyValue};
use prost::bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// The counter that all writers increase with compare and swap.
pub const COUNTER: &str = "counter";

/// An action of a writer in one request. Each key is used for one action only, except for deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Put this value to these keys, together.
    Put(Vec<Bytes>, Bytes),
    /// Delete these keys, together: one by its name, or all keys of a lease by its end.
    Delete(Vec<Bytes>),
    /// Increase the counter from one less to this value.
    Count(u64),
}

#[derive(Clone, Debug)]
struct Entry {
    deed: Deed,
    revision: Option<i64>,
}

/// All actions of all writers.
#[derive(Default)]
pub struct Ledger {
    entries: Mutex<Vec<Entry>>,
}

impl Ledger {
    /// Records an action before it is sent; the index is for [`Ledger::acknowledge`].
    pub fn attempt(&self, deed: Deed) -> usize {
        let mut entries = self.entries.lock().expect("no panic while held");
        entries.push(Entry { deed, revision: None });
        entries.len() - 1
    }

    /// The server acknowledged the action, at this revision.
    pub fn acknowledge(&self, index: usize, revision: i64) {
        self.entries.lock().expect("no panic while held")[index].revision = Some(revision);
    }

    /// The server refused the action.
    pub fn refused(&self, index: usize) {
        self.entries.lock().expect("no panic while held")[index].deed = Deed::Delete(Vec::new());
    }

    /// The number of acknowledged actions.
    pub fn acknowledged(&self) -> usize {
        let entries = self.entries.lock().expect("no panic while held");
        entries.iter().filter(|entry| entry.revision.is_some()).count()
    }

    /// The highest revision that any writer received.
    pub fn highest_revision(&self) -> i64 {
        let entries = self.entries.lock().expect("no panic while held");
        entries.iter().filter_map(|entry| entry.revision).max().unwrap_or(1)
    }

    /// Compares the watcher's history and the present state with the record.
    pub fn verify(&self, history: &[Event], now: &[KeyValue]) {
        check_revisions(history);
        check_state(history, now);
        let entries = self.entries.lock().expect("no panic while held");
        let (puts, deletes) = by_key(history);
        let mut told = BTreeSet::new();
        let mut tried = BTreeSet::new();
        for entry in entries.iter() {
            if let Some(revision) = entry.revision {
                assert!(told.insert(revision), "revision {revision} was given twice, to {entry:?} as well");
            }
            match &entry.deed {
                Deed::Put(keys, value) => {
                    check_deed(entry, keys, &puts, Some(value));
                    tried.extend(keys.iter().cloned());
                }
                Deed::Delete(keys) => check_deed(entry, keys, &deletes, None),
                Deed::Count(_) => {}
            }
        }
        check_counter(&entries, &puts);
        for key in puts.keys().chain(deletes.keys()) {
            assert!(tried.contains(key) || key == COUNTER.as_bytes(), "nobody wrote {key:?}");
        }
    }
}

type Occurrences = BTreeMap<Bytes, Vec<(i64, Bytes)>>;

fn by_key(history: &[Event]) -> (Occurrences, Occurrences) {
    let (mut puts, mut deletes) = (Occurrences::new(), Occurrences::new());
    for event in history {
        let kv = event.kv.clone().unwrap_or_default();
        let map = if event.r#type == 0 { &mut puts } else { &mut deletes };
        map.entry(kv.key).or_default().push((kv.mod_revision, kv.value));
    }
    (puts, deletes)
}

/// Every revision from the first write on, each once and in order.
fn check_revisions(history: &[Event]) {
    let mut last = 1;
    for event in history {
        let revision = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
        assert!(revision == last || revision == last + 1, "the watcher saw revision {revision} after {last}");
        last = revision;
    }
}

/// The events, applied from the beginning, give the present state with all its revisions.
fn check_state(history: &[Event], now: &[KeyValue]) {
    let mut state: BTreeMap<Bytes, KeyValue> = BTreeMap::new();
    for event in history {
        let kv = event.kv.clone().unwrap_or_default();
        if event.r#type == 0 {
            state.insert(kv.key.clone(), kv);
        } else {
            state.remove(&kv.key);
        }
    }
    let played: Vec<KeyValue> = state.into_values().collect();
    if let Some((played, kv)) = played.iter().zip(now).find(|(played, kv)| played != kv) {
        panic!("the history comes to {played:?}, the state is {kv:?}");
    }
    assert_eq!(played.len(), now.len(), "the history comes to as many keys as there are");
}

/// An acknowledged action happened once, at its revision; an unacknowledged one once or never; each one completely.
fn check_deed(entry: &Entry, keys: &[Bytes], found: &Occurrences, value: Option<&Bytes>) {
    let none = Vec::new();
    let mut revisions = BTreeSet::new();
    for key in keys {
        let occurrences = found.get(key).unwrap_or(&none);
        assert!(occurrences.len() <= 1, "{key:?} happened more than once: {occurrences:?}, {entry:?}");
        if let (Some(value), Some((_, got))) = (value, occurrences.first()) {
            assert!(got == value, "{key:?} is not what was written, {entry:?}");
        }
        revisions.insert(occurrences.first().map(|(revision, _)| *revision));
    }
    if keys.is_empty() {
        return;
    }
    assert_eq!(revisions.len(), 1, "only a part happened: {revisions:?}, {entry:?}");
    if entry.revision.is_some() {
        assert!(revisions.contains(&entry.revision), "acknowledged, but found at {revisions:?}: {entry:?}");
    }
}

/// The counter counts: no value is lost or repeated, and every acknowledged value is there at its revision.
fn check_counter(entries: &[Entry], puts: &Occurrences) {
    let none = Vec::new();
    let counted = puts.get(COUNTER.as_bytes()).unwrap_or(&none);
    for (index, (revision, value)) in counted.iter().enumerate() {
        assert_eq!(*value, (index as u64 + 1).to_string(), "the counter at revision {revision}");
    }
    for entry in entries {
        let (Deed::Count(value), Some(revision)) = (&entry.deed, entry.revision) else { continue };
        let found = counted.get(*value as usize - 1).map(|(revision, _)| *revision);
        assert_eq!(found, Some(revision), "the counter's {value} was acknowledged");
    }
}
