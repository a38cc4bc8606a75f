//! The mark of a state that is known to be wrong: nothing of it is served, by this process and by later ones.
//!
//! It is a file beside the data of the environment that it condemns, so it ends with it: as soon as another state is in
//! use, there is no mark any more, whenever a crash comes. Entries are applied to a condemned state as to any other,
//! because its position belongs to the log, which is right.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::StoreError;
use crate::files;

/// The name of the file.
const MARK: &str = "CONDEMNED";
/// Its first line if the state is to be replaced, and if it is to be kept for an examination.
const REPLACE: &str = "replace";
const KEEP: &str = "keep";

/// Why a state is not served, and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condemned {
    /// What was found, for operators.
    pub why: String,
    /// Whether it is to be replaced by the leader's.
    pub replace: bool,
}

/// The mark of the state in use.
#[derive(Default)]
pub(super) struct Mark {
    is_set: AtomicBool,
    what: Mutex<Option<Condemned>>,
}

impl Mark {
    /// The mark beside the data in `dir`.
    pub fn load(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(MARK);
        let what = match fs::read_to_string(&path) {
            Ok(text) => Some(parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io(format!("reading {}", path.display()), error)),
        };
        Ok(Self { is_set: AtomicBool::new(what.is_some()), what: Mutex::new(what) })
    }

    /// True if the state is condemned. Cheap.
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// The mark.
    pub fn get(&self) -> Option<Condemned> {
        self.what.lock().clone()
    }

    /// Condemns the state whose data are in `dir`: in this process at once, and durably.
    pub fn set(&self, dir: &Path, what: &Condemned) -> Result<(), StoreError> {
        let first = if what.replace { REPLACE } else { KEEP };
        *self.what.lock() = Some(what.clone());
        self.is_set.store(true, Ordering::Release);
        let path = dir.join(MARK);
        files::replace(&path, format!("{first}\n{}\n", what.why).as_bytes())
            .map_err(|error| StoreError::io(format!("writing {}", path.display()), error))
    }

    /// The state in use is another one.
    pub fn clear(&self) {
        *self.what.lock() = None;
        self.is_set.store(false, Ordering::Release);
    }
}

/// A first line that is not known, of a file that a crash has cut off, keeps the state.
fn parse(text: &str) -> Condemned {
    let (first, why) = text.split_once('\n').unwrap_or((text, ""));
    Condemned { why: why.trim_end().to_string(), replace: first == REPLACE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CheckpointPolicy, Options, Store};

    fn open(dir: &Path) -> Store {
        let options = Options { checkpoint: CheckpointPolicy::Manual, ..Options::default() };
        Store::open(dir, options).expect("a store")
    }

    #[test]
    fn a_mark_outlasts_the_process_and_ends_with_the_state() {
        let (dir, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
        let store = open(dir.path());
        assert!(!store.is_condemned() && store.condemned().is_none());
        let what = Condemned { why: "it differs\nafter entry 7".into(), replace: true };
        store.condemn(&what).expect("marked");
        store.close().expect("closed");
        drop(store);
        let store = open(dir.path());
        assert!(store.is_condemned());
        assert_eq!(store.condemned(), Some(what));
        let source = open(other.path());
        source.checkpoint().expect("durable");
        let prepared = store.prepare(source.snapshot().expect("a snapshot"), |_| true).expect("loaded");
        assert!(store.is_condemned(), "the old state is still in use");
        store.adopt(prepared).expect("adopted");
        assert!(!store.is_condemned() && store.condemned().is_none());
        store.close().expect("closed");
        drop(store);
        assert!(!open(dir.path()).is_condemned());
    }

    #[test]
    fn a_damaged_mark_condemns_and_keeps() {
        for text in ["", "rep", "keep\nwhy\n", "nonsense\nwhy\n"] {
            assert!(!parse(text).replace, "{text:?}");
        }
        assert_eq!(parse("replace\nwhy\n"), Condemned { why: "why".into(), replace: true });
    }
}
