//! What a salvage makes of a state that is not damaged, and of the log's entries that it does not have yet.

use std::fs;

use bytes::Bytes;

use super::file::Backup;
use super::left_test::Left;
use super::meter::Meter;
use super::salvage::{Salvage, Saved, salvage};
use crate::log::{Entry, Payload};
use crate::model::LogPosition;

const RAISED: i64 = 1_000_000;

fn saved(left: &Left) -> Saved {
    let file = left.dir(9).with_extension("db");
    let _ = fs::remove_file(&file);
    salvage(&Salvage { source: left.source(0), file }).expect("saved")
}

/// Revisions are raised by restores and recoveries, and behind the last compaction nothing need be left.
#[tokio::test]
async fn entries_that_only_the_log_has_are_applied_at_the_revision_of_the_state() {
    let left = Left::new(1).await;
    left.log(0, 2, &["a"]);
    left.apply(0, false);
    let state = left.store(0);
    let revision = state.raise_revision(RAISED).expect("raised");
    state.close().expect("closed");
    drop(state);
    left.log(0, 2, &["b", "c"]);
    let found = saved(&left);
    assert!(found.is_complete() && found.applied == 2, "{found:?}");
    assert_eq!(
        (found.found.revision, found.found.former, found.found.changes),
        (revision + 2, Some(revision), 3)
    );
    // The same as on the member itself.
    left.apply(0, false);
    let member = left.store(0);
    let other = left.store(8);
    let backup = Backup::open(&left.dir(9).with_extension("db"), false, &Meter::default()).expect("a backup");
    backup.load(&other, 0).expect("restored");
    assert_eq!(other.revision(), member.revision());
    for key in ["a", "b", "c"] {
        assert_eq!(
            other.get(key.as_bytes()).expect("read"),
            member.get(key.as_bytes()).expect("read"),
            "{key}"
        );
    }
}

/// What cannot be applied costs the entries, and nothing of the state.
#[tokio::test]
async fn a_log_that_cannot_be_applied_is_named_and_the_state_is_saved_without_it() {
    let left = Left::new(1).await;
    left.log(0, 2, &["a"]);
    left.apply(0, false);
    left.log(0, 2, &["b"]);
    let log = left.open_log(0);
    let position = LogPosition { term: 2, leader: 0, index: log.bounds().next };
    let payload = Payload::Membership { raft: Bytes::from_static(b"\xffnone"), change: None };
    let entry = Entry { position, payload };
    log.append(vec![entry], Box::new(|done| done.expect("written"))).expect("appended");
    log.close();
    drop(log);
    let found = saved(&left);
    assert!(!found.is_complete() && found.hindrance.is_some(), "{found:?}");
    assert_eq!((found.applied, found.behind, found.found.changes), (0, Some(2), 1));
}
