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
use super::error::DAMAGED;
use crate::files;

/// The name of the file.
const MARK: &str = "CONDEMNED";
/// The file beside the data of a state that took the place of a condemned one: an alarm may be left of that.
const REPLACED: &str = "REPLACED";
/// What the text of a wish begins with.
const WISH: &str = "an operator has it replaced";
/// Its first line if the state is to be replaced, and if it is to be kept for an examination.
const REPLACE: &str = "replace";
const KEEP: &str = "keep";
/// Behind it if others were told.
const TOLD: &str = " told";

/// Why a state is not served, and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condemned {
    /// What was found, for operators.
    pub why: String,
    /// Whether it is to be replaced by the leader's.
    pub replace: bool,
    /// Whether the alarm of this member was raised.
    pub told: bool,
}

impl Condemned {
    /// The mark of a state against which nothing is known: an operator wants it to be replaced.
    pub fn wish() -> Self {
        Self { why: WISH.to_string(), replace: true, told: false }
    }

    /// True if nothing is known against the state.
    pub fn is_wish(&self) -> bool {
        self.why == WISH
    }

    /// True if the data on the disk are damaged.
    pub fn is_damage(&self) -> bool {
        self.why.starts_with(DAMAGED)
    }
}

/// The mark of the state in use.
#[derive(Default)]
pub(super) struct Mark {
    is_set: AtomicBool,
    /// The file says so, too, or there is nothing to say.
    is_durable: AtomicBool,
    what: Mutex<Option<Condemned>>,
}

impl Mark {
    /// The mark beside the data in `dir`.
    pub fn load(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(MARK);
        let what = match fs::read(&path) {
            Ok(bytes) => Some(parse(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io(format!("reading {}", path.display()), error)),
        };
        let (is_set, is_durable) = (AtomicBool::new(what.is_some()), AtomicBool::new(true));
        Ok(Self { is_set, is_durable, what: Mutex::new(what) })
    }

    /// True if the state is condemned. Cheap.
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// The mark.
    pub fn get(&self) -> Option<Condemned> {
        self.what.lock().clone()
    }

    /// True if a later process will know it, too.
    pub fn is_durable(&self) -> bool {
        self.is_durable.load(Ordering::Acquire)
    }

    /// Condemns the state in use, in this process.
    pub fn set(&self, what: &Condemned) {
        *self.what.lock() = Some(what.clone());
        self.is_durable.store(false, Ordering::Release);
        self.is_set.store(true, Ordering::Release);
    }

    /// The same for later processes: a file beside the data, which are in `dir`.
    pub fn write(&self, dir: &Path, what: &Condemned) -> Result<(), StoreError> {
        let first = if what.replace { REPLACE } else { KEEP };
        let told = if what.told { TOLD } else { "" };
        let path = dir.join(MARK);
        files::replace(&path, format!("{first}{told}\n{}\n", what.why).as_bytes())
            .map_err(|error| StoreError::io(format!("writing {}", path.display()), error))?;
        self.is_durable.store(true, Ordering::Release);
        Ok(())
    }

    /// Takes the mark away from the data in `dir`: there is nothing better.
    pub fn lift(&self, dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(MARK);
        match fs::remove_file(&path).and_then(|()| files::sync_names(dir)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(format!("removing {}", path.display()), error));
            }
            _ => self.clear(),
        }
        Ok(())
    }

    /// The state in use is another one.
    pub fn clear(&self) {
        *self.what.lock() = None;
        self.is_set.store(false, Ordering::Release);
        self.is_durable.store(true, Ordering::Release);
    }
}

/// Notes beside the data in `dir` that they replace a condemned state.
pub(super) fn note_replaced(dir: &Path) -> io::Result<()> {
    files::replace(&dir.join(REPLACED), b"")
}

/// True if the data in `dir` replace a condemned state, and what that one has left may not be settled.
pub(super) fn has_replaced(dir: &Path) -> bool {
    dir.join(REPLACED).exists()
}

/// Nothing is left of the state that was replaced; a failure means that a later start looks once more.
pub(super) fn settle_replaced(dir: &Path) {
    let _ = fs::remove_file(dir.join(REPLACED));
}

/// True if the state whose data are in `dir` is condemned.
pub(super) fn is_marked(dir: &Path) -> bool {
    dir.join(MARK).exists()
}

/// A first line that is not known, of a file that a crash has cut off, keeps the state.
fn parse(text: &str) -> Condemned {
    let (first, why) = text.split_once('\n').unwrap_or((text, ""));
    let (first, told) = first.strip_suffix(TOLD).map_or((first, false), |first| (first, true));
    Condemned { why: why.trim_end().to_string(), replace: first == REPLACE, told }
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
        let what = Condemned { why: "it differs\nafter entry 7".into(), replace: true, told: false };
        store.condemn(&what).expect("marked");
        store.close().expect("closed");
        drop(store);
        let store = open(dir.path());
        assert!(store.is_condemned());
        assert_eq!(store.condemned(), Some(what.clone()));
        let what = Condemned { told: true, ..what };
        store.condemn(&what).expect("marked");
        assert_eq!(Mark::load(&dir.path().join("state-1")).expect("a mark").get(), Some(what));
        let source = open(other.path());
        source.checkpoint().expect("durable");
        let prepared = store.prepare(source.snapshot().expect("a snapshot"), |_| true).expect("loaded");
        assert!(store.is_condemned(), "the old state is still in use");
        assert!(!store.has_replaced());
        store.adopt(prepared).expect("adopted");
        assert!(!store.is_condemned() && store.condemned().is_none());
        store.close().expect("closed");
        drop(store);
        let store = open(dir.path());
        assert!(!store.is_condemned());
        assert!(store.has_replaced(), "its alarm may not be cleared yet");
        store.settle_replaced();
        assert!(!store.has_replaced());
        // One that was right leaves nothing behind.
        let prepared = store.prepare(source.snapshot().expect("a snapshot"), |_| true).expect("loaded");
        store.adopt(prepared).expect("adopted");
        assert!(!store.has_replaced());
    }

    #[test]
    fn a_mark_that_could_not_be_written_is_written_later() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        let what = Condemned { why: "it differs".into(), replace: true, told: false };
        // As on a full disk: there is no room for the file.
        let path = dir.path().join("state-1").join(MARK);
        fs::create_dir_all(path.join("in its place")).expect("made");
        assert!(store.condemn(&what).is_err());
        assert!(store.is_condemned() && !store.is_mark_durable(), "it counts in this process");
        fs::remove_dir_all(&path).expect("removed");
        store.condemn(&what).expect("marked");
        assert!(store.is_mark_durable());
        store.close().expect("closed");
        drop(store);
        fs::write(&path, b"keep\n\xff\n").expect("damaged");
        assert!(open(dir.path()).is_condemned(), "whatever the file says");
    }

    #[test]
    fn a_verdict_on_a_state_that_was_replaced_is_none_on_the_next_one() {
        let (dir, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
        let (store, source) = (open(dir.path()), open(other.path()));
        let (what, before) =
            (Condemned { why: "it differs".into(), replace: true, told: false }, store.state_number());
        source.checkpoint().expect("durable");
        let prepared = store.prepare(source.snapshot().expect("a snapshot"), |_| true).expect("loaded");
        store.adopt(prepared).expect("adopted");
        assert!(!store.condemn_state(before, &what).expect("nothing to write"));
        assert!(!store.is_condemned());
        assert!(store.condemn_state(store.state_number(), &what).expect("marked"));
        assert!(store.is_condemned());
    }

    #[test]
    fn a_wrong_state_does_not_spread() {
        let (dir, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
        let (store, source) = (open(dir.path()), open(other.path()));
        source.checkpoint().expect("durable");
        let what = Condemned { why: "it differs".into(), replace: true, told: false };
        // Found before it is sent, and while it is.
        let under_way = source.snapshot().expect("a snapshot");
        let mut pieces = source.snapshot().expect("a snapshot");
        let first = pieces.next().expect("a piece");
        source.condemn(&what).expect("marked");
        assert!(store.prepare(under_way, |_| true).is_err());
        assert!(store.prepare(std::iter::once(first).chain(pieces), |_| true).is_err());
    }

    #[test]
    fn a_damaged_mark_condemns_and_keeps() {
        for text in ["", "rep", "keep\nwhy\n", "nonsense\nwhy\n"] {
            assert!(!parse(text).replace, "{text:?}");
        }
        let parsed = |replace, told| Condemned { why: "why".into(), replace, told };
        assert_eq!(parse("replace\nwhy\n"), parsed(true, false));
        assert_eq!(parse("replace told\nwhy\n"), parsed(true, true));
        assert_eq!(parse("keep told\nwhy\n"), parsed(false, true));
    }
}
