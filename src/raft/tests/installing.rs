//! A member crashes while it installs a snapshot.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::log::{Entry, Payload};
use crate::model::LogPosition;

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy_all(&path, &to.join(name));
        } else if name != "lock.mdb" {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

pub(super) fn copied(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_all(from, to.path());
    to
}

/// Another running member leads from now on. A leader never forgets what it knows about a member's log; here, the
/// member is set back to a much earlier state.
async fn another_leads(cluster: &Cluster) {
    let leader = cluster.leader().await;
    let other = cluster.running().into_iter().find(|id| *id != leader).unwrap();
    while cluster.node(leader).transfer(MemberId(other)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until("the other one leads", || cluster.node(other).leadership().borrow().leading).await;
}

/// Every directory that a crash can leave of a store that went from `old` to `new`.
fn stores(old: &Path, new: &Path) -> Vec<TempDir> {
    let name = |dir: &Path| fs::read_to_string(dir.join("CURRENT")).unwrap().trim_end().to_string();
    let (before, after) = (name(old), name(new));
    let partly = copied(old);
    fs::create_dir(partly.path().join(&after)).unwrap();
    fs::write(partly.path().join(&after).join("data.mdb"), b"not yet").unwrap();
    let loaded = copied(old);
    copy_all(&new.join(&after), &loaded.path().join(&after));
    let named = copied(loaded.path());
    fs::write(named.path().join("CURRENT.new"), format!("{after}\n")).unwrap();
    let switched = copied(new);
    copy_all(&old.join(&before), &switched.path().join(&before));
    vec![copied(old), partly, loaded, named, switched, copied(new)]
}

/// A member's disk has no room for the snapshot that it needs. Its leader reports that, and does not send all of it
/// repeatedly.
#[tokio::test(start_paused = true)]
async fn a_member_without_room_for_a_snapshot_is_waited_for() {
    let mut cluster = Cluster::with(3, |options| {
        options.snapshot_count = 50;
        options.catchup_entries = 5;
    })
    .await;
    let leader = cluster.leader().await;
    let behind = leader % 3 + 1;
    cluster.stop(behind).await;
    for round in 0..2 {
        for n in 0..150 {
            cluster
                .node(leader)
                .propose(Caller::Anonymous, put(&format!("k{round}-{n}"), "v"))
                .await
                .unwrap();
        }
        cluster.running().iter().for_each(|id| cluster.store(*id).checkpoint().unwrap());
    }
    cluster.node(leader).propose(Caller::Anonymous, put("last", "v")).await.unwrap();
    let first = |id: u64| cluster.node(id).0.options.log.bounds().first;
    until("the leader's log is shortened", || first(leader) > 100).await;

    let full = Arc::new(AtomicBool::new(true));
    let seen = full.clone();
    cluster.stores.before_commit = Some(Arc::new(move || match seen.load(Ordering::SeqCst) {
        true => Err(std::io::Error::from_raw_os_error(libc::ENOSPC)),
        false => Ok(()),
    }));
    cluster.start(behind, Vec::new()).await;
    let faults = || cluster.running().into_iter().flat_map(|id| cluster.node(id).replication_faults());
    let is_named =
        || faults().any(|(id, why)| id == MemberId(behind) && why.contains("no room for a snapshot"));
    until("the leader says so", is_named).await;
    assert!(cluster.node(behind).is_disk_full(), "so does the member");
    let before = cluster.network.snapshots();
    tokio::time::sleep(Duration::from_secs(50)).await;
    let asked = cluster.network.snapshots() - before;
    assert!((1..20).contains(&asked), "asked {asked} times");
    until("the leader still says so", is_named).await;
    cluster.node(leader).pulse().await.unwrap();
    full.store(false, Ordering::SeqCst);
    until("it has caught up", || value(&cluster.store(behind), "last").is_some()).await;
    until("nothing is wrong any more", || faults().next().is_none()).await;
    assert!(!cluster.node(behind).is_disk_full());
    cluster.shut_down().await;
}

/// A deposed leader with a long tail of entries that no other member has gets a snapshot that ends in the middle of it.
/// For every state of the log and of the store at a power failure: the member starts and catches up.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_a_snapshot_is_survived() {
    let mut cluster = Cluster::with(3, |options| {
        options.snapshot_count = 50;
        options.catchup_entries = 5;
    })
    .await;
    let deposed = cluster.leader().await;
    cluster.node(deposed).propose(Caller::Anonymous, put("first", "v")).await.unwrap();
    cluster.store(deposed).checkpoint().unwrap();
    let term = cluster.node(deposed).status().term;
    cluster.stop(deposed).await;
    let disk = cluster.machines[&deposed].disk.clone();
    let log = open_log(&disk);
    let next = log.bounds().next;
    let blank =
        |index| Entry { position: LogPosition { term, leader: deposed, index }, payload: Payload::Blank };
    for first in (next..next + 900).step_by(10) {
        log.append((first..first + 10).map(blank).collect(), Box::new(|result| result.unwrap())).unwrap();
    }
    log.close();
    let leader = cluster.leader().await;
    let survivors = cluster.running();
    for round in 0..2 {
        for n in 0..150 {
            cluster
                .node(leader)
                .propose(Caller::Anonymous, put(&format!("k{round}-{n}"), "v"))
                .await
                .unwrap();
        }
        survivors.iter().for_each(|id| cluster.store(*id).checkpoint().unwrap());
    }
    for n in 0..60 {
        cluster.node(leader).propose(Caller::Anonymous, put(&format!("last-{n}"), "v")).await.unwrap();
    }
    let first = |id: u64| cluster.node(id).0.options.log.bounds().first;
    until("the logs are shortened", || survivors.iter().all(|id| first(*id) > 100)).await;

    // The states of the log, one for every call of the disk, while the snapshot is installed.
    let old = copied(cluster.machines[&deposed].dir.path());
    let logs = Arc::new(Mutex::new(Vec::new()));
    let (seen, watched) = (logs.clone(), disk.clone());
    disk.watch(Some(Arc::new(move || {
        // The copies are taken without the watcher: this does not call itself.
        let mut seen = seen.lock();
        seen.push(watched.after_power_failure());
        seen.push(watched.after_kill());
    })));
    cluster.start(deposed, Vec::new()).await;
    until("it has caught up", || value(&cluster.store(deposed), "last-59").is_some()).await;
    assert!(cluster.network.snapshots() > 0);
    disk.watch(None);
    cluster.stop(deposed).await;
    let new = copied(cluster.machines[&deposed].dir.path());
    let logs = std::mem::take(&mut *logs.lock());

    let mut contradictions = 0;
    let mut tried = std::collections::BTreeSet::new();
    for disk in logs {
        let log = open_log(&disk);
        let kind =
            (log.bounds().purged, log.bounds().next, log.bounds().last, log.vote().map(|vote| vote.term));
        drop(log);
        if !tried.insert(kind) {
            continue;
        }
        for dir in stores(old.path(), new.path()) {
            let log = open_log(&disk);
            let store = open_store(&dir);
            let applied = store.applied().unwrap();
            if Standing::of(&log, Some(applied)).check().is_err() {
                // The vote for the sender of a snapshot comes before it, and the log is truncated after the store has
                // switched.
                continue;
            }
            contradictions += usize::from(!log.holds(applied));
            drop((log, store));
            let machine = cluster.machines.get_mut(&deposed).unwrap();
            (machine.disk, machine.dir) = (disk.after_kill(), dir);
            another_leads(&cluster).await;
            cluster.start(deposed, Vec::new()).await;
            until("it has caught up", || value(&cluster.store(deposed), "last-59").is_some()).await;
            let hash = |id: u64| cluster.store(id).hash_kv(0).unwrap();
            assert_eq!(hash(survivors[0]), hash(deposed));
            cluster.stop(deposed).await;
        }
    }
    assert!(tried.len() > 2 && contradictions > 2, "{tried:?} {contradictions}");
    cluster.shut_down().await;
}
