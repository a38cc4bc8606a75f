//! The tree of etcd's v2 API: what changes it, and what its events and answers show.
//!
//! A path is absolute and clean: `/` or `/a/b`, without a slash at its end. A node is a file, which has a value, or a
//! directory. Indexes count the changes of the tree alone; v3's revisions are independent of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// When a node ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ttl {
    /// Seconds from the time of the command's stamp; `None`: never.
    pub seconds: Option<u64>,
    /// Only the time is new: the value stays, and no watcher is notified.
    pub refresh: bool,
}

/// What a file must be for a command on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Its value; empty: any.
    pub value: Arc<str>,
    /// The index of its last change; 0: any.
    pub index: u64,
}

/// A change of the tree. New variants go at the end: the number of a variant is part of the log format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TreeCommand {
    /// Create a node, or replace a file.
    Set {
        /// Where.
        path: Arc<str>,
        /// A directory.
        dir: bool,
        /// The value of a file.
        value: Arc<str>,
        /// When it ends.
        ttl: Ttl,
    },
    /// Create a node that does not exist.
    Create {
        /// Where; with `in_order` the directory.
        path: Arc<str>,
        /// A directory.
        dir: bool,
        /// The value of a file.
        value: Arc<str>,
        /// Its name is the index of this change.
        in_order: bool,
        /// When it ends.
        ttl: Ttl,
    },
    /// Change a file's value, and when a node ends.
    Update {
        /// Which.
        path: Arc<str>,
        /// The new value; empty for a directory.
        value: Arc<str>,
        /// When it ends.
        ttl: Ttl,
    },
    /// Change a file if it is as expected.
    CompareAndSwap {
        /// Which.
        path: Arc<str>,
        /// What it must be.
        expected: Expected,
        /// The new value.
        value: Arc<str>,
        /// When it ends.
        ttl: Ttl,
    },
    /// Delete a node.
    Delete {
        /// Which.
        path: Arc<str>,
        /// It may be a directory, which must be empty.
        dir: bool,
        /// It may be a directory, with everything below.
        recursive: bool,
    },
    /// Delete a file if it is as expected.
    CompareAndDelete {
        /// Which.
        path: Arc<str>,
        /// What it must be.
        expected: Expected,
    },
    /// Delete nodes that have ended by the time of the command's stamp, the earliest first.
    Expire,
}

impl TreeCommand {
    /// The path that it is about; the root for the end of nodes.
    pub fn path(&self) -> Arc<str> {
        match self {
            Self::Set { path, .. }
            | Self::Create { path, .. }
            | Self::Update { path, .. }
            | Self::CompareAndSwap { path, .. }
            | Self::Delete { path, .. }
            | Self::CompareAndDelete { path, .. } => path.clone(),
            Self::Expire => "/".into(),
        }
    }
}

/// What happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TreeAction {
    /// See [`TreeCommand::Set`].
    Set,
    /// See [`TreeCommand::Create`].
    Create,
    /// See [`TreeCommand::Update`].
    Update,
    /// See [`TreeCommand::CompareAndSwap`].
    CompareAndSwap,
    /// See [`TreeCommand::Delete`].
    Delete,
    /// See [`TreeCommand::CompareAndDelete`].
    CompareAndDelete,
    /// See [`TreeCommand::Expire`].
    Expire,
}

/// A node as events show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeNode {
    /// Its path.
    pub key: Arc<str>,
    /// A file's value. The node that a deletion leaves has none.
    pub value: Option<Arc<str>>,
    /// A directory.
    pub dir: bool,
    /// When it ends, in milliseconds since the epoch.
    pub expires_ms: Option<i64>,
    /// Seconds until then, rounded up.
    pub ttl: i64,
    /// The index of its last change.
    pub modified: u64,
    /// The index of its creation.
    pub created: u64,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEvent {
    /// What happened.
    pub action: TreeAction,
    /// The node after it; `modified` is the index of the change.
    pub node: TreeNode,
    /// The node before it.
    pub prev: Option<TreeNode>,
    /// See [`Ttl::refresh`].
    pub refresh: bool,
}

impl TreeEvent {
    /// The index of the change.
    pub fn index(&self) -> u64 {
        self.node.modified
    }
}

/// Why a change was not made; the numbers are those of etcd's v2 API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TreeCode {
    /// There is no such node.
    NotFound,
    /// A file is not as expected.
    CompareFailed,
    /// It is a directory.
    NotAFile,
    /// A node above it is a file.
    NotADirectory,
    /// The node exists.
    Exists,
    /// The root cannot be changed.
    RootReadOnly,
    /// A directory has nodes.
    NotEmpty,
    /// The history does not reach back so far.
    Cleared,
    /// The tree has no space for it.
    NoSpace,
    /// The path is too long.
    TooLong,
}

/// A refusal by the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeError {
    /// Why.
    pub code: TreeCode,
    /// The path that it is about, or what was compared.
    pub cause: String,
    /// The tree's index.
    pub index: u64,
}

/// The answer to a [`TreeCommand`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TreeReply {
    /// The change was made.
    Done(Arc<TreeEvent>),
    /// It was not.
    Refused(TreeError),
    /// So many nodes have ended.
    Expired(u64),
}

/// A change as it is passed to watchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChange {
    /// What happened.
    pub event: Arc<TreeEvent>,
    /// The paths that it removed, those below a directory before it.
    pub removed: Vec<Arc<str>>,
}

/// A node with what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeListing {
    /// The node.
    pub node: TreeNode,
    /// The nodes in it, ascending by their names, without hidden ones.
    pub nodes: Vec<TreeListing>,
}
