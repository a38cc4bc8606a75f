//! One command on the tree, by the rules of etcd's v2 store. Nothing here depends on anything but the tree, the command
//! and the time of its stamp.

use std::sync::Arc;

use super::path::{Path, is_after, is_below, is_from_below, steps};
use super::state::{HISTORY, HISTORY_BYTES, Node, Tree, event_bytes, node_bytes};
use crate::model::{
    Expected, TreeAction, TreeChange, TreeCode, TreeCommand, TreeError, TreeEvent, TreeNode, TreeReply, Ttl,
};

/// Bytes of all nodes. They are in memory, beside what is read for clients.
const TREE_BYTES: u64 = 64 << 20;

/// The longest path, in bytes: the longest key of a table.
const LONGEST_PATH: usize = 1800;

/// The deepest path, in names: listing and encoding go down name by name.
const DEEPEST_PATH: usize = 256;

/// Nodes that one command ends at most: more are left to the next one.
const EXPIRED_AT_ONCE: usize = 1000;

/// What commands have changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Nodes that were written, or (`None`) removed.
    pub nodes: Vec<(Path, Option<Node>)>,
    /// Events that have left the history, by index.
    pub forgotten: Vec<u64>,
    /// The changes, in order.
    pub made: Vec<TreeChange>,
}

/// Runs a command at the time of its stamp.
pub fn apply(tree: &mut Tree, command: &TreeCommand, now_ms: i64, changes: &mut Changes) -> TreeReply {
    let mut run = Run { tree, now_ms, changes };
    let done = match command {
        TreeCommand::Set { path, dir, value, ttl } => run.set(path, *dir, value, ttl),
        TreeCommand::Create { path, dir, value, in_order: false, ttl } => run.create(path, *dir, value, ttl),
        TreeCommand::Create { path, dir, value, in_order: true, ttl } => {
            let dir_path: &str = if &**path == "/" { "" } else { path };
            let path = format!("{dir_path}/{:020}", run.next());
            run.create(&path, *dir, value, ttl)
        }
        TreeCommand::Update { path, value, ttl } => run.update(path, value, ttl),
        TreeCommand::CompareAndSwap { path, expected, value, ttl } => run.swap(path, expected, value, ttl),
        TreeCommand::Delete { path, dir, recursive } => run.delete(path, *dir, *recursive),
        TreeCommand::CompareAndDelete { path, expected } => run.compare_and_delete(path, expected),
        TreeCommand::Expire => return TreeReply::Expired(run.expire()),
    };
    match done {
        Ok(event) => TreeReply::Done(event),
        Err(error) => TreeReply::Refused(error),
    }
}

type Done = Result<Arc<TreeEvent>, TreeError>;

struct Run<'t> {
    tree: &'t mut Tree,
    now_ms: i64,
    changes: &'t mut Changes,
}

impl Run<'_> {
    /// The index of the present change.
    fn next(&self) -> u64 {
        self.tree.index() + 1
    }

    fn set(&mut self, path: &str, dir: bool, value: &Arc<str>, ttl: &Ttl) -> Done {
        let before = match self.tree.find(path) {
            Ok(node) => Some(node),
            Err(error) if error.code == TreeCode::NotFound && !ttl.refresh => None,
            Err(error) => return Err(error),
        };
        self.check_root(path)?;
        if before.as_ref().is_some_and(Node::is_dir) {
            return Err(self.tree.refused(TreeCode::NotAFile, path));
        }
        let kept = before.as_ref().and_then(|node| node.value.clone()).filter(|_| ttl.refresh);
        self.write_new(TreeAction::Set, path, dir, kept.as_ref().unwrap_or(value), ttl, before, ttl.refresh)
    }

    fn create(&mut self, path: &str, dir: bool, value: &Arc<str>, ttl: &Ttl) -> Done {
        self.check_root(path)?;
        match self.tree.find(path) {
            Ok(_) => Err(self.tree.refused(TreeCode::Exists, path)),
            Err(error) if error.code != TreeCode::NotFound => Err(error),
            // As in etcd, where a refresh is not known of here.
            Err(_) => self.write_new(TreeAction::Create, path, dir, value, ttl, None, false),
        }
    }

    /// Writes a node in the place of none or of a file, with the directories above it.
    #[allow(
        clippy::too_many_arguments,
        reason = "one place creates nodes; each of them is a property of a node"
    )]
    fn write_new(
        &mut self,
        action: TreeAction,
        path: &str,
        dir: bool,
        value: &Arc<str>,
        ttl: &Ttl,
        before: Option<Node>,
        refresh: bool,
    ) -> Done {
        let index = self.next();
        let value = (!dir).then(|| value.clone());
        let node = Node { value, expires_ms: self.expires(ttl), modified: index, created: index };
        self.check_space(path, &node, before.as_ref())?;
        let missing = |step: &&str| *step != path && self.tree.nodes.get(&Path::new(step)).is_none();
        let parents: Vec<Path> = steps(path).filter(missing).map(Path::new).collect();
        for parent in parents {
            let dir = Node { value: None, expires_ms: None, modified: index, created: index };
            self.put(parent, dir);
        }
        let prev = before.map(|node| node.shown(path, self.now_ms));
        let shown = node.shown(path, self.now_ms);
        self.put(Path::new(path), node);
        Ok(self.made(TreeEvent { action, node: shown, prev, refresh }, Vec::new()))
    }

    fn update(&mut self, path: &str, value: &Arc<str>, ttl: &Ttl) -> Done {
        self.check_root(path)?;
        let before = self.tree.find(path)?;
        if before.is_dir() && !value.is_empty() {
            return Err(self.tree.refused(TreeCode::NotAFile, path));
        }
        self.rewrite(TreeAction::Update, path, before, value, ttl)
    }

    fn swap(&mut self, path: &str, expected: &Expected, value: &Arc<str>, ttl: &Ttl) -> Done {
        self.check_root(path)?;
        let before = self.file(path)?;
        self.compare(&before, expected)?;
        self.rewrite(TreeAction::CompareAndSwap, path, before, value, ttl)
    }

    /// Changes an existing node, which keeps the index of its creation.
    fn rewrite(&mut self, action: TreeAction, path: &str, before: Node, value: &Arc<str>, ttl: &Ttl) -> Done {
        let index = self.next();
        let mut node = Node { expires_ms: self.expires(ttl), ..before.clone() };
        if !before.is_dir() {
            node.modified = index;
            if !ttl.refresh {
                node.value = Some(value.clone());
            }
        }
        self.check_space(path, &node, Some(&before))?;
        // As in etcd a directory keeps its index, while the event has its own.
        let shown = TreeNode { modified: index, ..node.shown(path, self.now_ms) };
        let prev = Some(before.shown(path, self.now_ms));
        self.put(Path::new(path), node);
        Ok(self.made(TreeEvent { action, node: shown, prev, refresh: ttl.refresh }, Vec::new()))
    }

    fn delete(&mut self, path: &str, dir: bool, recursive: bool) -> Done {
        self.check_root(path)?;
        let before = self.tree.find(path)?;
        if before.is_dir() && !dir && !recursive {
            return Err(self.tree.refused(TreeCode::NotAFile, path));
        }
        if before.is_dir() && !recursive && self.tree.has_nodes(path) {
            return Err(self.tree.refused(TreeCode::NotEmpty, path));
        }
        Ok(self.remove(TreeAction::Delete, path, &before))
    }

    fn compare_and_delete(&mut self, path: &str, expected: &Expected) -> Done {
        let before = self.file(path)?;
        self.compare(&before, expected)?;
        Ok(self.remove(TreeAction::CompareAndDelete, path, &before))
    }

    fn expire(&mut self) -> u64 {
        let mut expired = 0;
        while expired < EXPIRED_AT_ONCE as u64
            && let Some(((at, path), ())) = self.tree.due.first()
            && *at <= self.now_ms
        {
            let path = path.clone();
            let Some(before) = self.tree.nodes.get(&path).cloned() else { break };
            self.remove(TreeAction::Expire, &path.0, &before);
            expired += 1;
        }
        expired
    }

    /// Removes a node with everything below it.
    fn remove(&mut self, action: TreeAction, path: &str, before: &Node) -> Arc<TreeEvent> {
        let prev = Some(before.shown(path, self.now_ms));
        let (dir, created) = (before.is_dir(), before.created);
        let key = Path::new(path);
        let mut paths = if dir { self.take_out_below(path) } else { Vec::new() };
        paths.push(key.clone());
        self.forget(&key, before);
        self.tree.nodes = self.tree.nodes.without(&key);
        let modified = self.next();
        let node = TreeNode { key: key.0, value: None, dir, expires_ms: None, ttl: 0, modified, created };
        let removed = paths.into_iter().map(|path| path.0).collect();
        self.made(TreeEvent { action, node, prev, refresh: false }, removed)
    }

    /// Takes out everything below a directory; the paths, the last one first.
    fn take_out_below(&mut self, dir: &str) -> Vec<Path> {
        let nodes = self.tree.nodes.clone();
        let below = nodes.from(|path| is_from_below(&path.0, dir));
        let below = below.take_while(|(path, _)| is_below(&path.0, dir));
        let mut below: Vec<(&Path, &Node)> = below.collect();
        below.reverse();
        for (path, node) in &below {
            self.forget(path, node);
        }
        // At once: one by one they would take ten times as long, and nothing else is applied meanwhile.
        self.tree.nodes =
            nodes.without_range(|path| is_from_below(&path.0, dir), |path| is_after(&path.0, dir));
        below.into_iter().map(|(path, _)| path.clone()).collect()
    }

    /// Takes a node out of everything but the nodes.
    fn forget(&mut self, path: &Path, node: &Node) {
        self.tree.node_bytes -= node.bytes(&path.0);
        if let Some(expires) = node.expires_ms {
            self.tree.due = self.tree.due.without(&(expires, path.clone()));
        }
        self.changes.nodes.push((path.clone(), None));
    }

    fn put(&mut self, path: Path, node: Node) {
        self.tree.insert(path.clone(), node.clone());
        self.changes.nodes.push((path, Some(node)));
    }

    /// The present change is made: it goes into the history.
    fn made(&mut self, event: TreeEvent, removed: Vec<Arc<str>>) -> Arc<TreeEvent> {
        let event = Arc::new(event);
        self.tree.remember(event.clone());
        while let Some((index, oldest)) = self.tree.events.first()
            && (*index + HISTORY <= self.tree.last
                || self.tree.event_bytes > HISTORY_BYTES && *index < self.tree.last)
        {
            let index = *index;
            self.tree.event_bytes -= event_bytes(oldest);
            self.tree.events = self.tree.events.without(&index);
            self.changes.forgotten.push(index);
        }
        self.changes.made.push(TreeChange { event: event.clone(), removed });
        event
    }

    fn expires(&self, ttl: &Ttl) -> Option<i64> {
        let ms = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        ttl.seconds.map(|seconds| self.now_ms.saturating_add(ms(seconds)))
    }

    fn check_root(&self, path: &str) -> Result<(), TreeError> {
        if path == "/" { Err(self.tree.refused(TreeCode::RootReadOnly, "/")) } else { Ok(()) }
    }

    fn file(&self, path: &str) -> Result<Node, TreeError> {
        let node = self.tree.find(path)?;
        // The root has no name in etcd's errors.
        let name = if path == "/" { "" } else { path };
        if node.is_dir() { Err(self.tree.refused(TreeCode::NotAFile, name)) } else { Ok(node) }
    }

    fn compare(&self, node: &Node, expected: &Expected) -> Result<(), TreeError> {
        let value = node.value.as_deref().unwrap_or_default();
        let values = (!expected.value.is_empty() && *expected.value != *value)
            .then(|| format!("[{} != {value}]", expected.value));
        let indexes = (expected.index != 0 && expected.index != node.modified)
            .then(|| format!("[{} != {}]", expected.index, node.modified));
        let cause = match (values, indexes) {
            (None, None) => return Ok(()),
            (Some(one), Some(other)) => format!("{one} {other}"),
            (one, other) => one.or(other).unwrap_or_default(),
        };
        Err(self.tree.refused(TreeCode::CompareFailed, cause))
    }

    fn check_space(&self, path: &str, node: &Node, before: Option<&Node>) -> Result<(), TreeError> {
        if path.len() > LONGEST_PATH {
            return Err(self.tree.refused(TreeCode::TooLong, format!("longer than {LONGEST_PATH} bytes")));
        }
        if steps(path).count() > DEEPEST_PATH {
            return Err(self.tree.refused(TreeCode::TooLong, format!("deeper than {DEEPEST_PATH} names")));
        }
        let above: u64 = steps(path).map(|step| node_bytes(step, "")).sum();
        let after = self.tree.node_bytes + above + node.bytes(path);
        let grows = before.is_none_or(|before| node.bytes(path) > before.bytes(path));
        if grows && after > TREE_BYTES {
            return Err(self.tree.refused(TreeCode::NoSpace, ""));
        }
        Ok(())
    }
}
