//! The tree: nodes, when they end, and the history of changes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::map::Map;
use super::path::{Path, is_after, is_below, is_from_below, is_hidden, steps};
use crate::model::{
    Budget, Held, Refusal, TreeAction, TreeCode, TreeError, TreeEvent, TreeListing, TreeNode,
};

/// Events in the history.
pub const HISTORY: u64 = 1000;

/// Bytes of events in the history; the oldest are dropped.
pub const HISTORY_BYTES: u64 = 16 << 20;

/// The index of a new tree: that of a lone etcd 3.4, which has spent it on its own member.
pub const FIRST_INDEX: u64 = 3;

/// Bytes that a node or an event takes in addition to what it says.
const OVERHEAD: u64 = 200;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// A file's value; `None` for a directory.
    pub value: Option<Arc<str>>,
    /// When it ends, in milliseconds since the epoch.
    pub expires_ms: Option<i64>,
    /// The index of its last change.
    pub modified: u64,
    /// The index of its creation.
    pub created: u64,
}

impl Node {
    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.value.is_none()
    }

    /// As it is shown at `now_ms`.
    pub fn shown(&self, key: &str, now_ms: i64) -> TreeNode {
        TreeNode {
            key: key.into(),
            value: self.value.clone(),
            dir: self.is_dir(),
            expires_ms: self.expires_ms,
            ttl: ttl(self.expires_ms, now_ms),
            modified: self.modified,
            created: self.created,
        }
    }

    /// What it takes at `path`, in bytes.
    pub fn bytes(&self, path: &str) -> u64 {
        node_bytes(path, self.value.as_deref().unwrap_or_default())
    }
}

/// What a node at `path` takes, in bytes.
pub fn node_bytes(path: &str, value: &str) -> u64 {
    (path.len() + value.len()) as u64 + OVERHEAD
}

/// The seconds that are left, rounded up; of what has passed, down.
pub fn ttl(expires_ms: Option<i64>, now_ms: i64) -> i64 {
    let left = expires_ms.map_or(0, |expires| expires.saturating_sub(now_ms));
    left / 1000 + i64::from(left > 0 && left % 1000 > 0)
}

/// See the module. Copying it is free.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// All nodes but the root.
    pub(super) nodes: Map<Path, Node>,
    /// The nodes that end.
    pub(super) due: Map<(i64, Path), ()>,
    /// The last changes.
    pub(super) events: Map<u64, Arc<TreeEvent>>,
    /// The index of the last change; 0: none yet.
    pub(super) last: u64,
    /// Bytes of the nodes.
    pub(super) node_bytes: u64,
    /// Bytes of the events.
    pub(super) event_bytes: u64,
}

impl Tree {
    /// The index of the last change.
    pub fn index(&self) -> u64 {
        self.last.max(FIRST_INDEX)
    }

    /// True if it was ever changed.
    pub fn is_used(&self) -> bool {
        self.last > 0
    }

    /// Bytes of everything in it.
    pub fn bytes(&self) -> u64 {
        self.node_bytes + self.event_bytes
    }

    /// When the next node ends, in milliseconds since the epoch.
    pub fn next_due(&self) -> Option<i64> {
        self.due.first().map(|((expires, _), ())| *expires)
    }

    /// True if the change with that index is in the history.
    pub fn remembers(&self, index: u64) -> bool {
        self.events.get(&index).is_some()
    }

    /// A refusal.
    pub(super) fn refused(&self, code: TreeCode, cause: impl Into<String>) -> TreeError {
        TreeError { code, cause: cause.into(), index: self.index() }
    }

    /// The node at a path.
    ///
    /// # Errors
    /// [`TreeCode::NotFound`] with the first path that is missing; [`TreeCode::NotADirectory`] with the file above it.
    pub(super) fn find(&self, path: &str) -> Result<Node, TreeError> {
        let mut found = Node { value: None, expires_ms: None, modified: 0, created: 0 };
        let mut above = "/";
        for step in steps(path) {
            if !found.is_dir() {
                return Err(self.refused(TreeCode::NotADirectory, above));
            }
            let node = self.nodes.get(&Path::new(step));
            found = node.ok_or_else(|| self.refused(TreeCode::NotFound, step))?.clone();
            above = step;
        }
        Ok(found)
    }

    /// A node with the nodes in it, and with `recursive` everything below, as it is shown at `now_ms`; with the room that it
    /// takes.
    ///
    /// # Errors
    /// As of [`Tree::find`]; beside them [`Refusal::MessageTooLong`] and [`Refusal::AnswersUnread`] if there is no room.
    pub fn list(
        &self,
        path: &str,
        recursive: bool,
        now_ms: i64,
        answers: &Arc<Budget>,
    ) -> Result<(Result<TreeListing, TreeError>, Held), Refusal> {
        let mut room = Room { budget: answers, held: answers.take_beyond(0), bytes: 0 };
        let node = match self.find(path) {
            Ok(node) => node,
            Err(error) => return Ok((Err(error), room.held)),
        };
        room.take(node.bytes(path))?;
        let nodes = if node.is_dir() { self.below(path, recursive, now_ms, &mut room)? } else { Vec::new() };
        Ok((Ok(TreeListing { node: node.shown(path, now_ms), nodes }), room.held))
    }

    fn below(
        &self,
        dir: &str,
        recursive: bool,
        now_ms: i64,
        room: &mut Room<'_>,
    ) -> Result<Vec<TreeListing>, Refusal> {
        let mut listed = Vec::new();
        let mut next = self.nodes.from(|path| is_from_below(&path.0, dir)).next();
        while let Some((path, node)) = next.filter(|(path, _)| is_below(&path.0, dir)) {
            if !is_hidden(&path.0) {
                room.take(node.bytes(&path.0))?;
                let nodes = match node.is_dir() && recursive {
                    true => self.below(&path.0, recursive, now_ms, room)?,
                    false => Vec::new(),
                };
                listed.push(TreeListing { node: node.shown(&path.0, now_ms), nodes });
            }
            next = self.nodes.from(|later| is_after(&later.0, &path.0)).next();
        }
        Ok(listed)
    }

    /// True if a directory has nodes, hidden ones, too.
    pub(super) fn has_nodes(&self, dir: &str) -> bool {
        let next = self.nodes.from(|path| is_from_below(&path.0, dir)).next();
        next.is_some_and(|(path, _)| is_below(&path.0, dir))
    }

    /// The first change in the history from the index `since` on that concerns a watcher of `path`.
    ///
    /// # Errors
    /// [`TreeCode::Cleared`] if the history does not reach back so far.
    pub fn since(
        &self,
        path: &str,
        recursive: bool,
        since: u64,
    ) -> Result<Option<Arc<TreeEvent>>, TreeError> {
        let oldest = self.oldest();
        if since < oldest {
            let cause = format!("the requested history has been cleared [{oldest}/{since}]");
            return Err(self.refused(TreeCode::Cleared, cause));
        }
        let concerns = |event: &TreeEvent| {
            let key = &*event.node.key;
            let removes = matches!(event.action, TreeAction::Delete | TreeAction::Expire);
            let above = || event.prev.as_ref().is_some_and(|prev| prev.dir && path.starts_with(&*prev.key));
            !event.refresh && (key == path || recursive && is_below(key, path) || removes && above())
        };
        let mut events = self.events.from(|index| *index >= since).map(|(_, event)| event);
        Ok(events.find(|event| concerns(event)).cloned())
    }

    /// Adds a node, or replaces it.
    pub(super) fn insert(&mut self, path: Path, node: Node) {
        if let Some(before) = self.nodes.get(&path) {
            self.node_bytes -= before.bytes(&path.0);
            if let Some(expires) = before.expires_ms {
                self.due = self.due.without(&(expires, path.clone()));
            }
        }
        self.node_bytes += node.bytes(&path.0);
        if let Some(expires) = node.expires_ms {
            self.due = self.due.with((expires, path.clone()), ());
        }
        self.nodes = self.nodes.with(path, node);
    }

    /// Adds the next event.
    pub(super) fn remember(&mut self, event: Arc<TreeEvent>) {
        self.last = event.index();
        self.event_bytes += event_bytes(&event);
        self.events = self.events.with(self.last, event);
    }

    /// The index of the oldest change in the history. A new tree counts its first ones as changes that nobody watches.
    fn oldest(&self) -> u64 {
        let by_number = (self.index() + 1).saturating_sub(HISTORY).max(1);
        match self.events.first() {
            Some((first, _)) if *first > FIRST_INDEX + 1 => by_number.max(*first),
            _ => by_number,
        }
    }
}

/// What an event takes, in bytes.
pub fn event_bytes(event: &TreeEvent) -> u64 {
    let of = |node: &TreeNode| node_bytes(&node.key, node.value.as_deref().unwrap_or_default());
    of(&event.node) + event.prev.as_ref().map_or(0, of)
}

/// The memory for a listing.
struct Room<'b> {
    budget: &'b Arc<Budget>,
    held: Held,
    bytes: u64,
}

impl Room<'_> {
    fn take(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.bytes += bytes;
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        self.budget.admit(bytes)?;
        self.held.grow_to(bytes)
    }
}
