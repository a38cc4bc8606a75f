//! Runs the stories in `tests/golden/{store,txn,lease,users}`: each is a sequence of commands with the store's answers.
//!
//! A line that begins with `>` is a command; the lines after it, up to an empty one or the next command, are the
//! answer; `#` begins a comment. `UPDATE_GOLDEN=1 cargo test --lib store::golden` rewrites the answers; review the
//! difference then. The commands are those of `golden/parse.rs` and:
//! ```text
//! checkpoint | prune | crash | move        fold; remove; lose what was not folded and apply the log again;
//!                                          take over a snapshot in a fresh store
//! keys-of LEASE | leases | alarms | members | size | hash REVISION
//! events RANGE from=N [to=N] [prev]
//! users | may read|write RANGE
//! as NAME[@N] ...                          the same, as a user that was authenticated at the present revision of users, or
//!                                          at N; without it nobody asks, and `as system` is kvd itself
//! ```

mod parse;
mod print;

use std::fs;
use std::path::{Path, PathBuf};

use self::parse::{Line, Parser};
use super::tests::manual;
use super::*;
use crate::auth::Need;
use crate::model::{Caller, LogPosition, Proposal, Reply, Stamp};

struct Story {
    dir: tempfile::TempDir,
    store: Option<Store>,
    log: Vec<Proposal>,
}

impl Story {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(Store::open(dir.path(), manual()).unwrap());
        Self { dir, store, log: Vec::new() }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn apply(&self, index: usize) -> Reply {
        let position = LogPosition { term: 1, leader: 1, index: index as u64 };
        self.store().apply(position, std::slice::from_ref(&self.log[index])).unwrap().pop().unwrap()
    }

    fn apply_rest(&self) {
        let from = self.store().applied().map_or(0, |position| position.index as usize + 1);
        for index in from..self.log.len() {
            self.apply(index);
        }
    }

    fn run(&mut self, line: &str) -> String {
        let (caller, line) = match line.strip_prefix("as ") {
            Some(rest) => {
                let (name, line) = rest.split_once(' ').expect("as NAME COMMAND");
                (self.caller(name), line)
            }
            None => (Caller::Anonymous, line),
        };
        if let Some(asked) = line.strip_prefix("may ") {
            return self.may(&caller, asked);
        }
        match Parser::new(line).line() {
            Line::Command(command) => {
                self.log.push(Proposal { stamp: Stamp::at(1000 * self.log.len() as i64), caller, command });
                print::reply(&self.apply(self.log.len() - 1))
            }
            Line::Range(query) => {
                print::or_refused(self.store().range(&query).map(|found| print::range(&found)))
            }
            Line::ReadTxn(txn) => {
                print::or_refused(self.store().read_txn(&txn).map(|reply| print::op(&reply, 0)))
            }
            Line::Events { range, from, to, prev } => {
                let found = self.store().events(&Wanted { to, prev_kv: prev, ..Wanted::since(&range, from) });
                print::or_refused(found.map(|(revisions, next)| print::events(&revisions, next)))
            }
            Line::Word(word, number) => self.word(&word, number),
        }
    }

    fn caller(&self, text: &str) -> Caller {
        if text == "system" {
            return Caller::System;
        }
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, revision.parse().unwrap()),
            None => (text, self.store().users().revision()),
        };
        Caller::user(name, revision)
    }

    fn may(&self, caller: &Caller, asked: &str) -> String {
        let (kind, range) = asked.split_once(' ').expect("may read|write RANGE");
        let range = parse::range(range);
        let need = if kind == "read" { Need::Read(&range) } else { Need::Write(&range) };
        print::or_refused(self.store().check(caller, need).map(|()| "yes\n".to_string()))
    }

    fn word(&mut self, word: &str, number: i64) -> String {
        match word {
            "checkpoint" => self.store().checkpoint().unwrap(),
            "prune" => self.store().prune().unwrap(),
            "crash" => {
                self.store = None;
                self.store = Some(Store::open(self.dir.path(), manual()).unwrap());
                let revision = self.store().revision();
                self.apply_rest();
                return format!("came back at revision {revision}\n");
            }
            "move" => {
                let snapshot = self.store().snapshot().unwrap();
                let dir = tempfile::tempdir().unwrap();
                let fresh = Store::open(dir.path(), manual()).unwrap();
                let header = fresh.restore(snapshot).unwrap();
                self.store = Some(fresh);
                self.dir = dir;
                self.apply_rest();
                return format!("took over revision {}, compacted {}\n", header.revision, header.compacted);
            }
            "leases" => return print::leases(&self.store().leases().unwrap()),
            "keys-of" => return print::keys(&self.store().lease_keys(number).unwrap()),
            "users" => return print::users(&self.store().users()),
            "alarms" => return format!("{:?}\n", self.store().alarms()),
            "members" => return print::members(&self.store().members(), &self.store().removed()),
            "size" => {
                let sizes = self.store().sizes();
                return format!("allocated {}, in use {}\n", sizes.allocated, sizes.in_use);
            }
            "hash" => {
                let hash = self.store().hash_kv(number);
                return print::or_refused(hash.map(|found| {
                    format!(
                        "{} at {}, compacted {}\n",
                        found.hash, found.hash_revision, found.compact_revision
                    )
                }));
            }
            other => panic!("no command {other:?}"),
        }
        String::new()
    }
}

/// The story with the actual answers.
fn retell(text: &str) -> String {
    let mut story = Story::new();
    let mut out = String::new();
    let mut answer = false;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            out += &format!("> {command}\n{}", story.run(command));
            answer = true;
        } else if line.is_empty() || line.starts_with('#') {
            out += &format!("{line}\n");
            answer = false;
        } else {
            assert!(answer, "neither a command nor an answer: {line:?}");
        }
    }
    out
}

fn stories() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths = Vec::new();
    for folder in ["store", "txn", "lease", "users"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            paths.push(entry.unwrap().path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}

#[test]
fn stories_go_as_they_are_told() {
    let mut wrong = Vec::new();
    let stories = stories();
    assert!(!stories.is_empty());
    for path in stories {
        let told = fs::read_to_string(&path).unwrap();
        let goes = retell(&told);
        if told == goes {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, goes).unwrap();
            continue;
        }
        let first = told.lines().zip(goes.lines()).position(|(told, goes)| told != goes);
        let line = first.unwrap_or(told.lines().count().min(goes.lines().count()));
        let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_string();
        wrong.push(format!("{}:{}\n told: {}\n goes: {}", path.display(), line + 1, at(&told), at(&goes)));
    }
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1 writes them anew\n{}", wrong.join("\n"));
}
