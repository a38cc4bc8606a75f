//! What happened to a key.

use super::{KeyValue, LogPosition};

/// The kind of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The key was created or changed.
    Put,
    /// The key was deleted.
    Delete,
}

/// One change of one key, as watchers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The state after the change. For a deletion only `key` and `mod_revision` are set.
    pub kv: KeyValue,
    /// The state before the change: `None` if the key did not exist (or, when replayed from history, if that version
    /// has been compacted).
    pub prev_kv: Option<KeyValue>,
}

/// All events of one revision, in sub-revision order. Never empty.
#[derive(Clone, Debug)]
pub struct RevisionEvents {
    /// The main revision of all of them.
    pub revision: i64,
    /// The position of the change in the raft log.
    pub position: LogPosition,
    /// The events; the index is the sub revision.
    pub events: Vec<Event>,
    /// True if states before the events lack their values, since there would be too much of them: whoever wants those
    /// reads the events from the history.
    pub is_bare: bool,
}
