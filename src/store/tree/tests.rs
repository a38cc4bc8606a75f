//! Stories of the tree; the random comparison with a real etcd is in the suite.

use std::sync::Arc;

use super::state::{FIRST_INDEX, HISTORY};
use super::{Changes, Tree, apply};
use crate::model::{
    Budget, Expected, Refusal, TreeAction, TreeCode, TreeCommand, TreeError, TreeEvent, TreeListing,
    TreeReply, Ttl,
};

/// A tree with a clock.
#[derive(Default)]
struct Garden {
    tree: Tree,
    now_ms: i64,
    changes: Changes,
}

impl Garden {
    fn run(&mut self, command: &TreeCommand) -> TreeReply {
        apply(&mut self.tree, command, self.now_ms, &mut self.changes)
    }

    fn done(&mut self, command: &TreeCommand) -> Arc<TreeEvent> {
        match self.run(command) {
            TreeReply::Done(event) => event,
            other => panic!("{command:?}: {other:?}"),
        }
    }

    fn refused(&mut self, command: &TreeCommand) -> (TreeCode, String) {
        match self.run(command) {
            TreeReply::Refused(TreeError { code, cause, .. }) => (code, cause),
            other => panic!("{command:?}: {other:?}"),
        }
    }

    fn list(&self, path: &str, most: usize) -> Result<TreeListing, Refusal> {
        let listed = self.tree.list(path, true, self.now_ms, &Budget::new(2 * most));
        listed.map(|(listing, _)| listing.expect("it exists"))
    }

    fn keys(&self, path: &str) -> Vec<String> {
        fn walk(listing: &TreeListing, into: &mut Vec<String>) {
            into.push(listing.node.key.to_string());
            listing.nodes.iter().for_each(|below| walk(below, into));
        }
        let listing = self.list(path, 1 << 20).expect("it fits");
        let mut keys = Vec::new();
        walk(&listing, &mut keys);
        keys
    }
}

fn ttl(seconds: Option<u64>) -> Ttl {
    Ttl { seconds, refresh: false }
}

fn set(path: &str, value: &str) -> TreeCommand {
    TreeCommand::Set { path: path.into(), dir: false, value: value.into(), ttl: ttl(None) }
}

fn set_for(path: &str, seconds: u64) -> TreeCommand {
    TreeCommand::Set { path: path.into(), dir: false, value: "v".into(), ttl: ttl(Some(seconds)) }
}

fn delete(path: &str, recursive: bool) -> TreeCommand {
    TreeCommand::Delete { path: path.into(), dir: false, recursive }
}

#[test]
fn nodes_are_made_with_their_directories_and_removed_with_what_is_below() {
    let mut garden = Garden::default();
    let event = garden.done(&set("/a/b/c", "1"));
    assert_eq!((event.index(), event.node.created), (FIRST_INDEX + 1, FIRST_INDEX + 1));
    garden.done(&set("/a/b-/d", "2"));
    garden.done(&set("/a/_hidden/e", "3"));
    assert_eq!(garden.keys("/"), ["/", "/a", "/a/b", "/a/b/c", "/a/b-", "/a/b-/d"]);
    assert_eq!(garden.refused(&set("/a/b/c/x/y", "4")), (TreeCode::NotADirectory, "/a/b/c".into()));
    assert_eq!(garden.refused(&set("/a", "4")), (TreeCode::NotAFile, "/a".into()));
    assert_eq!(garden.refused(&delete("/a/x/y", false)), (TreeCode::NotFound, "/a/x".into()));
    assert_eq!(garden.refused(&delete("/a", false)), (TreeCode::NotAFile, "/a".into()));
    let empty_only = TreeCommand::Delete { path: "/a".into(), dir: true, recursive: false };
    assert_eq!(garden.refused(&empty_only), (TreeCode::NotEmpty, "/a".into()));
    assert_eq!(garden.refused(&delete("/", true)), (TreeCode::RootReadOnly, "/".into()));
    garden.changes = Changes::default();
    let event = garden.done(&delete("/a", true));
    assert!(event.node.dir && event.prev.as_ref().is_some_and(|prev| prev.dir));
    let [change] = garden.changes.made.as_slice() else { panic!("one change") };
    let removed: Vec<&str> = change.removed.iter().map(|path| &**path).collect();
    assert_eq!(removed.last(), Some(&"/a"));
    assert_eq!(removed.len(), 7);
    assert!(
        removed.iter().position(|path| *path == "/a/b/c") < removed.iter().position(|path| *path == "/a/b")
    );
    assert_eq!((garden.keys("/"), garden.tree.node_bytes), (vec!["/".to_owned()], 0));
}

#[test]
fn conditions_name_what_is_different() {
    let mut garden = Garden::default();
    let index = garden.done(&set("/a", "1")).index();
    let swap = |value: &str, index| TreeCommand::CompareAndSwap {
        path: "/a".into(),
        expected: Expected { value: value.into(), index },
        value: "2".into(),
        ttl: Ttl::default(),
    };
    assert_eq!(garden.refused(&swap("9", 0)), (TreeCode::CompareFailed, "[9 != 1]".into()));
    let both = format!("[9 != 1] [7 != {index}]");
    assert_eq!(garden.refused(&swap("9", 7)), (TreeCode::CompareFailed, both));
    let event = garden.done(&swap("1", index));
    assert_eq!((event.node.created, event.index()), (index, index + 1));
    assert_eq!(event.prev.as_ref().and_then(|prev| prev.value.as_deref()), Some("1"));
    let delete = |value: &str| TreeCommand::CompareAndDelete {
        path: "/a".into(),
        expected: Expected { value: value.into(), index: 0 },
    };
    assert_eq!(garden.refused(&delete("1")), (TreeCode::CompareFailed, "[1 != 2]".into()));
    assert_eq!(garden.done(&delete("2")).action, TreeAction::CompareAndDelete);
    let update = TreeCommand::Update { path: "/a".into(), value: "3".into(), ttl: Ttl::default() };
    assert_eq!(garden.refused(&update), (TreeCode::NotFound, "/a".into()));
}

#[test]
fn names_in_order_are_the_indexes_of_their_changes() {
    let mut garden = Garden::default();
    for path in ["/", "/q"] {
        let create = TreeCommand::Create {
            path: path.into(),
            dir: false,
            value: "v".into(),
            in_order: true,
            ttl: Ttl::default(),
        };
        let event = garden.done(&create);
        let dir = if path == "/" { "" } else { path };
        assert_eq!(*event.node.key, format!("{dir}/{:020}", event.index()));
    }
}

#[test]
fn nodes_end_in_the_order_of_their_times_and_a_refresh_delays_that() {
    let mut garden = Garden { now_ms: 10_500, ..Garden::default() };
    assert_eq!(garden.done(&set_for("/b", 2)).node.ttl, 2);
    garden.done(&set_for("/a", 1));
    garden.done(&set_for("/c/d", 1));
    garden.done(&set("/c/e", "stays"));
    garden.now_ms += 500;
    let shown = garden.list("/a", 1000).unwrap().node;
    assert_eq!((shown.ttl, shown.expires_ms), (1, Some(11_500)));
    let refresh = TreeCommand::Update {
        path: "/a".into(),
        value: "".into(),
        ttl: Ttl { seconds: Some(100), refresh: true },
    };
    let event = garden.done(&refresh);
    assert_eq!((event.node.value.as_deref(), event.refresh), (Some("v"), true));
    assert_eq!(garden.tree.next_due(), Some(11_500));
    garden.now_ms = 12_500;
    garden.changes = Changes::default();
    assert_eq!(garden.run(&TreeCommand::Expire), TreeReply::Expired(2));
    let ended: Vec<&str> = garden.changes.made.iter().map(|change| &*change.event.node.key).collect();
    assert_eq!(ended, ["/c/d", "/b"]);
    assert_eq!(garden.keys("/"), ["/", "/a", "/c", "/c/e"]);
    assert_eq!(garden.run(&TreeCommand::Expire), TreeReply::Expired(0));
    // Written again without a time it stays.
    garden.done(&set("/a", "for ever"));
    assert_eq!(garden.tree.next_due(), None);
}

#[test]
fn the_history_holds_the_last_thousand_changes() {
    let mut garden = Garden::default();
    for number in 0..HISTORY + 10 {
        garden.done(&set(&format!("/n/{number}"), "v"));
    }
    let last = garden.tree.index();
    assert_eq!(last, FIRST_INDEX + HISTORY + 10);
    let oldest = last + 1 - HISTORY;
    let cleared = garden.tree.since("/n", true, oldest - 1).expect_err("it is gone");
    assert_eq!(cleared.cause, format!("the requested history has been cleared [{oldest}/{}]", oldest - 1));
    let found = garden.tree.since("/n", true, oldest).unwrap().expect("an event");
    assert_eq!(found.index(), oldest);
    assert_eq!(garden.tree.since("/n", false, oldest).unwrap(), None);
    assert_eq!(garden.tree.since("/n", true, last + 1).unwrap(), None);
    // Whoever watches a path below a directory that was removed is concerned, and a refresh concerns nobody.
    garden.done(&delete("/n", true));
    assert_eq!(
        garden.tree.since("/n/x/y", false, last + 1).unwrap().map(|event| event.index()),
        Some(last + 1)
    );
    garden.done(&set("/r", "v"));
    let refresh = TreeCommand::Update {
        path: "/r".into(),
        value: "".into(),
        ttl: Ttl { seconds: Some(9), refresh: true },
    };
    garden.done(&refresh);
    assert_eq!(garden.tree.since("/r", false, last + 3).unwrap(), None);
}

/// The leader's clock decides, whichever member leads by then: nothing ends earlier, or later, than the clocks differ.
#[test]
fn a_new_leaders_clock_moves_an_end_by_no_more_than_the_clocks_differ() {
    const TTL_MS: i64 = 60_000;
    for (before, after) in [(0, 0), (5_000, 0), (0, 5_000), (-5_000, 5_000), (5_000, -5_000)] {
        // `before` and `after` are the errors of the clocks of the old and the new leader.
        let written = 1_000_000;
        let mut garden = Garden { now_ms: written + before, ..Garden::default() };
        garden.done(&set_for("/a", TTL_MS as u64 / 1000));
        let mut ended = None;
        for now in (written..written + 2 * TTL_MS).step_by(500) {
            let error = if now < written + TTL_MS / 2 { before } else { after };
            garden.now_ms = now + error;
            if garden.run(&TreeCommand::Expire) == TreeReply::Expired(1) {
                ended = Some(now - written - TTL_MS);
                break;
            }
        }
        assert_eq!(ended, Some(before - after), "in milliseconds after its time");
        // A clock that is set back afterwards brings nothing back and ends nothing.
        garden.done(&set_for("/b", 60));
        garden.now_ms -= 3_600_000;
        assert_eq!(garden.run(&TreeCommand::Expire), TreeReply::Expired(0));
        assert_eq!(garden.keys("/"), ["/", "/b"]);
    }
}

#[test]
fn the_tree_its_history_and_a_listing_have_a_largest_size() {
    let mut garden = Garden::default();
    let value = "x".repeat(1 << 20);
    let mut stored = 0;
    let refusal = loop {
        match garden.run(&set(&format!("/v/{stored}"), &value)) {
            TreeReply::Done(_) => stored += 1,
            TreeReply::Refused(error) => break error.code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((refusal, stored), (TreeCode::NoSpace, 63));
    assert!(garden.tree.event_bytes < 17 << 20, "{}", garden.tree.event_bytes);
    let oldest = garden.tree.events.first().map(|(index, _)| *index).expect("some");
    assert!(
        garden.tree.since("/v", true, oldest - 1).is_err() && garden.tree.since("/v", true, oldest).is_ok()
    );
    assert!(matches!(garden.list("/v", 1 << 20), Err(Refusal::MessageTooLong(_))));
    assert!(garden.list("/v/1", 2 << 20).is_ok());
    // What takes less room than before is always possible.
    garden.done(&set("/v/0", "small"));
    let long = format!("/{}", "n".repeat(1800));
    assert_eq!(garden.refused(&set(&long, "v")).0, TreeCode::TooLong);
    assert_eq!(garden.refused(&set(&"/d".repeat(257), "v")).0, TreeCode::TooLong);
}
