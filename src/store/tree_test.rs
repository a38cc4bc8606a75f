//! v2's tree in the store: what is durable, what a snapshot carries, what counts as space, and who may change it.

use std::sync::Arc;

use super::Options;
use super::tests::{Bench, manual};
use crate::model::{
    Alarm, AlarmKind, AuthChange, Budget, Caller, Command, MemberId, Proposal, Refusal, Reply, Stamp,
    TreeCommand, TreeListing, TreeReply, Ttl,
};

fn set(path: &str, value: &str, seconds: Option<u64>) -> Command {
    let ttl = Ttl { seconds, refresh: false };
    Command::Tree(TreeCommand::Set { path: path.into(), dir: false, value: value.into(), ttl })
}

fn delete(path: &str) -> Command {
    Command::Tree(TreeCommand::Delete { path: path.into(), dir: false, recursive: true })
}

impl Bench {
    fn tree(&self) -> (u64, TreeListing) {
        let tree = self.store.tree();
        let (found, _) = tree.list("/", true, 0, &Budget::new(1 << 30)).unwrap();
        (tree.index(), found.unwrap())
    }

    /// The indexes of the changes that the history has.
    fn changes(&self) -> Vec<u64> {
        let tree = self.store.tree();
        let last = tree.index();
        let found = (4..=last).filter_map(|index| tree.since("/", true, index).ok().flatten());
        let mut found: Vec<u64> = found.map(|event| event.index()).collect();
        found.dedup();
        found
    }
}

/// A tree with everything that it can have.
fn filled(options: Options) -> Bench {
    let mut bench = Bench::new(options);
    for command in [
        set("/a/b", "1", None),
        set("/a/b", &"large".repeat(50_000), None),
        set("/t", "ends", Some(1000)),
        set("/_h/x", "hidden", None),
        set("/gone/x", "y", None),
        delete("/gone"),
        set("/last", "", Some(2000)),
    ] {
        assert!(matches!(bench.run(command), Reply::Tree(TreeReply::Done(_))));
    }
    bench
}

#[test]
fn a_checkpoint_keeps_the_tree_and_its_history() {
    let mut bench = filled(manual());
    bench.store.checkpoint().unwrap();
    let (tree, changes, sizes) = (bench.tree(), bench.changes(), bench.store.sizes());
    assert_eq!((tree.0, changes.len(), bench.store.tree().next_due()), (10, 7, Some(1_003_000)));
    bench.run(set("/a/c", "is lost", None));
    let mut bench = bench.crash(manual());
    assert_eq!((bench.tree(), bench.changes(), bench.store.sizes()), (tree, changes, sizes));
    assert_eq!(bench.store.tree().next_due(), Some(1_003_000));
    // It goes on where it was.
    bench.run(set("/n", "v", None));
    assert_eq!(bench.store.tree().index(), 11);
    // The key space of v3 knows nothing of it.
    assert_eq!(bench.store.revision(), 1);
}

#[test]
fn what_has_left_the_history_has_left_the_disk() {
    let mut bench = Bench::new(manual());
    for number in 0..1500 {
        bench.run(set(&format!("/n/{}", number % 7), "v", None));
        if number % 400 == 0 {
            bench.store.checkpoint().unwrap();
        }
    }
    bench.store.checkpoint().unwrap();
    let rows = |bench: &Bench, name: &str| {
        let figures = bench.store.table_figures().unwrap();
        figures.iter().find(|table| table.name == name).map(|table| table.rows)
    };
    assert_eq!((rows(&bench, "tree-events"), rows(&bench, "tree")), (Some(1000), Some(8)));
    bench.run(delete("/n"));
    bench.store.checkpoint().unwrap();
    assert_eq!((rows(&bench, "tree-events"), rows(&bench, "tree")), (Some(1000), Some(0)));
    let bench = bench.crash(manual());
    assert_eq!(bench.store.tree().index(), 1504);
    assert!(
        bench.store.tree().since("/", true, 504).is_err() && bench.store.tree().since("/", true, 505).is_ok()
    );
}

#[test]
fn a_snapshot_carries_the_tree() {
    let bench = filled(manual());
    bench.store.checkpoint().unwrap();
    let other = Bench::new(manual());
    other.store.restore(bench.store.snapshot().unwrap()).unwrap();
    assert_eq!((other.tree(), other.changes()), (bench.tree(), bench.changes()));
    assert_eq!(other.store.hash().unwrap(), bench.store.hash().unwrap());
    assert!(other.store.digest().is_some() && other.store.digest() == bench.store.digest());
    assert_eq!(other.store.tree().next_due(), bench.store.tree().next_due());
}

#[test]
fn its_nodes_and_its_history_take_space_and_deleting_gives_it_back() {
    let mut bench = Bench::new(manual());
    let before = bench.store.sizes().in_use;
    bench.run(set("/large", &"x".repeat(100_000), None));
    let with = bench.store.sizes().in_use;
    assert!(with > before + 200_000, "{before} {with}");
    bench.run(delete("/large"));
    assert!(bench.store.sizes().in_use > before + 200_000, "its history has the value still");
    for _ in 0..1000 {
        bench.run(set("/small", "", None));
    }
    let after = bench.store.sizes().in_use;
    assert!(after < before + 1_000_000, "{before} {after}");
    let alarm = Alarm { member: MemberId(1), kind: AlarmKind::NoSpace };
    bench.run(Command::AlarmRaise(alarm));
    assert_eq!(bench.run(set("/small", "", None)), Reply::Refused(Refusal::NoSpace));
    assert!(matches!(bench.run(delete("/small")), Reply::Tree(TreeReply::Done(_))));
    let alarm = Alarm { member: MemberId(1), kind: AlarmKind::Corrupt };
    bench.run(Command::AlarmRaise(alarm));
    assert_eq!(bench.run(Command::Tree(TreeCommand::Expire)), Reply::Refused(Refusal::Corrupt));
}

#[test]
fn while_there_are_users_it_is_for_root_and_the_system() {
    let mut bench = Bench::new(manual());
    let user = |name: &str| AuthChange::UserAdd { name: name.into(), hash: None };
    let changes = [
        user("root"),
        user("ann"),
        AuthChange::RoleAdd { name: "root".into() },
        AuthChange::UserGrantRole { user: "root".into(), role: "root".into() },
        AuthChange::Enable,
    ];
    for change in changes {
        bench.run(Command::Auth(change));
    }
    let revision = bench.store.users().revision();
    let named = |name: &str| Caller::user(name, revision);
    let mut run = |caller: Caller| {
        bench.index += 1;
        let proposal = Proposal { stamp: Stamp::default(), caller, command: set("/a", "v", None) };
        let reply = bench.store.apply(bench.position(), &[proposal]).unwrap().pop().unwrap();
        reply.refusal().cloned()
    };
    assert_eq!(run(Caller::Anonymous), Some(Refusal::UserEmpty));
    assert_eq!(run(named("ann")), Some(Refusal::PermissionDenied));
    assert_eq!(run(named("root")), None);
    assert_eq!(run(Caller::System), None);
}

#[test]
fn a_reader_keeps_the_tree_of_its_moment() {
    let mut bench = filled(manual());
    let (tree, answers) = (bench.store.tree(), Arc::clone(bench.store.answers()));
    bench.run(delete("/a"));
    let (found, _) = tree.list("/a/b", false, 0, &answers).unwrap();
    assert_eq!(found.unwrap().node.created, 5);
    let (found, _) = bench.store.tree().list("/a/b", false, 0, &answers).unwrap();
    assert!(found.is_err());
}
