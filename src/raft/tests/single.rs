//! A cluster of one.

use super::*;
use crate::model::{LogPosition, TreeCommand, Ttl, Version};
use crate::raft::log_store::LogStore;
use crate::raft::types::log_id;
use crate::store::Condemned;

#[tokio::test(start_paused = true)]
async fn it_leads_at_once_and_again_after_a_restart() {
    let mut cluster = Cluster::new(1).await;
    cluster.leader().await;
    let node = cluster.node(1);
    let Ok(Reply::Op(_)) = node.propose(Caller::Anonymous, put("a", "1")).await else { panic!("put") };
    node.read_index().await.unwrap();
    assert_eq!(value(&cluster.store(1), "a").as_deref(), Some("1"));
    until("the member is known", || cluster.store(1).members().iter().any(|member| member.name == "m1"))
        .await;
    until("the version is decided", || cluster.store(1).cluster_version().as_deref() == Some("3.7.0")).await;
    let before = node.status();
    assert!(before.is_leader && !before.is_learner && before.applied == before.committed, "{before:?}");
    drop(node);
    cluster.stop(1).await;

    let started = tokio::time::Instant::now();
    cluster.start(1, Vec::new()).await;
    cluster.leader().await;
    assert!(
        started.elapsed() < Duration::from_millis(100),
        "it does not wait for others: {:?}",
        started.elapsed()
    );
    cluster.node(1).read_index().await.unwrap();
    assert_eq!(value(&cluster.store(1), "a").as_deref(), Some("1"));
    assert!(cluster.node(1).status().term > before.term);
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_applies_too_slowly_takes_no_more_writes() {
    let cluster = Cluster::new(1).await;
    cluster.leader().await;
    let node = cluster.node(1);
    let write = async |key: &str| node.propose(Caller::Anonymous, put(key, "1")).await.map(drop);
    assert_eq!(write("a").await, Ok(()));
    let shared = &node.0.shared;
    let applied = shared.applied();
    // As if that much were committed already; positions count from 0.
    let committed =
        |count: u64| shared.set_committed(Some(LogPosition { index: count - 1, ..LogPosition::default() }));
    committed(applied + 5001);
    assert_eq!(write("b").await, Err(Refusal::TooManyRequests));
    committed(applied + 5000);
    assert_eq!(write("c").await, Ok(()));
    cluster.shut_down().await;
}

/// Not even for a job of its own, such as the one that revokes leases.
#[tokio::test(start_paused = true)]
async fn a_leader_whose_state_is_wrong_proposes_nothing() {
    let cluster = Cluster::new(1).await;
    cluster.leader().await;
    let node = cluster.node(1);
    assert!(node.propose(Caller::System, put("a", "1")).await.is_ok());
    let wrong = Condemned { why: "a test".into(), replace: false, told: false };
    cluster.store(1).condemn(&wrong).expect("marked");
    assert!(node.propose(Caller::System, put("a", "2")).await.is_err());
    assert_eq!(value(&cluster.store(1), "a").as_deref(), Some("1"));
    cluster.shut_down().await;
}

/// v2's tree is what the version before does not know.
#[tokio::test(start_paused = true)]
async fn a_command_that_an_older_member_would_not_know_is_refused_until_the_version_allows_it() {
    let mut cluster = Cluster::new(1).await;
    cluster.leader().await;
    let node = cluster.node(1);
    let run = async |command| node.propose(Caller::Anonymous, command).await;
    let set = || {
        let (path, value) = ("/a".into(), "v".into());
        Command::Tree(TreeCommand::Set { path, dir: false, value, ttl: Ttl::default() })
    };
    let before = Version::OWN.before();
    until("the version is decided", || cluster.store(1).cluster_version().is_some()).await;
    let much_older = before.and_then(Version::before);
    assert_eq!(run(Command::Downgrade(much_older)).await, Err(Refusal::InvalidDowngradeTarget));
    assert!(run(Command::Downgrade(before)).await.is_ok());
    assert_eq!(run(Command::Downgrade(before)).await, Err(Refusal::DowngradeInProgress));
    let applied = cluster.store(1).applied();
    assert_eq!(run(set()).await, Err(Refusal::NotCapable));
    assert_eq!(cluster.store(1).applied(), applied, "it does not come into the log");
    assert!(run(put("a", "1")).await.is_ok(), "all know puts");
    drop(node);

    // The downgrade outlives a restart, after which a leader first applies what is in its log.
    cluster.stop(1).await;
    cluster.start(1, Vec::new()).await;
    cluster.leader().await;
    let node = cluster.node(1);
    let run = async |command| node.propose(Caller::Anonymous, command).await;
    assert_eq!(run(set()).await, Err(Refusal::NotCapable));
    assert_eq!(cluster.store(1).downgrade(), before);
    assert!(run(Command::Downgrade(None)).await.is_ok());
    assert!(run(set()).await.is_ok());
    let lost = run(Command::Downgrade(before)).await.expect_err("the tree would be lost");
    assert!(matches!(&lost, Refusal::NotSupported(why) if why.contains("v2 API")), "{lost}");
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn many_proposals_share_entries_and_keep_their_replies() {
    let cluster = Cluster::new(1).await;
    cluster.leader().await;
    let node = cluster.node(1);
    let before = node.status().last_log;
    let all = (0..2000).map(|n| {
        let node = node.clone();
        async move { (n, node.propose(Caller::Anonymous, put(&format!("k{n}"), &n.to_string())).await) }
    });
    let mut revisions = Vec::new();
    for (n, reply) in futures_util::future::join_all(all).await {
        let Ok(Reply::Op(crate::model::OpReply::Put { revision, .. })) = reply else {
            panic!("{n}: {reply:?}")
        };
        revisions.push(revision);
    }
    assert!(revisions.is_sorted(), "in the order they were made");
    assert!(node.status().last_log - before < 20, "{} entries", node.status().last_log - before);
    assert_eq!(value(&cluster.store(1), "k1234").as_deref(), Some("1234"));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_state_come_back_as_such() {
    let cluster = Cluster::new(1).await;
    cluster.leader().await;
    let refused = cluster.node(1).propose(Caller::Anonymous, Command::LeaseRevoke { id: 4711 }).await;
    assert_eq!(refused, Err(Refusal::LeaseNotFound));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_is_shortened_behind_the_checkpoint() {
    let mut cluster = Cluster::with(1, |options| {
        options.snapshot_count = 100;
        options.catchup_entries = 10;
    })
    .await;
    cluster.leader().await;
    for n in 0..300 {
        cluster.node(1).propose(Caller::Anonymous, put("k", &n.to_string())).await.unwrap();
    }
    let first = |cluster: &Cluster| cluster.node(1).0.options.log.bounds().first;
    assert_eq!(first(&cluster), 0, "nothing is on disk but the log");
    cluster.store(1).checkpoint().unwrap();
    for n in 0..150 {
        cluster.node(1).propose(Caller::Anonymous, put("k", &n.to_string())).await.unwrap();
    }
    until("the log is shortened", || first(&cluster) > 200).await;
    cluster.stop(1).await;
    cluster.start(1, Vec::new()).await;
    cluster.leader().await;
    assert_eq!(value(&cluster.store(1), "k").as_deref(), Some("149"));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_power_failure_what_was_acknowledged_is_there() {
    let mut cluster = Cluster::new(1).await;
    cluster.leader().await;
    for n in 0..50 {
        cluster.node(1).propose(Caller::Anonymous, put(&format!("k{n}"), "v")).await.unwrap();
    }
    let failed = cluster.machines[&1].disk.after_power_failure();
    cluster.stop(1).await;
    cluster.machines.get_mut(&1).unwrap().disk = failed;
    // The only checkpoint of the store was the one of its orderly end; a crash would have left an empty directory.
    cluster.machines.get_mut(&1).unwrap().dir = tempfile::tempdir().unwrap();
    cluster.start(1, Vec::new()).await;
    cluster.leader().await;
    for n in 0..50 {
        assert_eq!(value(&cluster.store(1), &format!("k{n}")).as_deref(), Some("v"), "k{n}");
    }
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_state_that_was_removed_is_not_begun_anew() {
    let mut cluster = Cluster::with(1, |options| {
        options.snapshot_count = 20;
        options.catchup_entries = 1;
    })
    .await;
    cluster.leader().await;
    for round in 0..2 {
        for _ in 0..50 {
            cluster.node(1).propose(Caller::Anonymous, put("k", "v")).await.unwrap();
        }
        cluster.store(1).checkpoint().unwrap();
        assert!(round == 0 || cluster.node(1).0.options.log.bounds().first > 0);
    }
    let mut options = cluster.node(1).0.options.clone();
    cluster.stop(1).await;
    let empty = tempfile::tempdir().unwrap();
    options.store = open_store(&empty);
    options.log = open_log(&cluster.machines[&1].disk);
    let refused = Node::start(options).await.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("the store was removed"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_ends_the_member() {
    let cluster = Cluster::with(1, |options| options.on_fatal = Arc::new(|_| {})).await;
    cluster.leader().await;
    cluster.node(1).propose(Caller::Anonymous, put("a", "1")).await.unwrap();
    cluster.machines[&1].disk.fail_in(0);
    assert!(cluster.node(1).propose(Caller::Anonymous, put("a", "2")).await.is_err());
    until("it does not lead any more", || cluster.node(1).status().leader.is_none()).await;
    assert!(cluster.node(1).propose(Caller::Anonymous, put("a", "3")).await.is_err());
}

/// Purging what is not durable in the state, and truncating what is applied, would lose entries: the log ends first.
#[tokio::test(start_paused = true)]
async fn what_the_state_relies_on_is_not_removed_from_the_log() {
    use openraft::storage::RaftLogStorage;
    let cluster = Cluster::with(1, |options| options.on_fatal = Arc::new(|_| {})).await;
    cluster.leader().await;
    let node = cluster.node(1);
    node.propose(Caller::Anonymous, put("a", "1")).await.unwrap();
    let last = node.0.options.log.bounds().last.unwrap();
    let mut log = LogStore::new(node.0.options.log.clone(), node.0.shared.clone(), Arc::new(|| None));
    let before = LogPosition { index: last.index - 1, ..last };
    log.truncate_after(Some(log_id(last))).await.unwrap();
    let error = log.truncate_after(Some(log_id(before))).await.unwrap_err().to_string();
    let (kept, applied) = (last.index, last.index + 1);
    let words =
        format!("the log contradicts itself: {kept} entries are to be kept, while {applied} are applied");
    assert_eq!(error, words);
    assert_eq!(node.0.options.log.bounds().last, Some(last));
    let error = log.purge(log_id(before)).await.unwrap_err().to_string();
    assert!(error.contains(&format!("index: {}", before.index)) && error.contains("None"), "{error}");
    until("it does not go on", || cluster.node(1).status().leader.is_none()).await;
    assert!(node.propose(Caller::Anonymous, put("a", "2")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_log_without_room_holds_up_writes_and_nothing_else() {
    let mut cluster = Cluster::new(1).await;
    cluster.leader().await;
    let node = cluster.node(1);
    node.propose(Caller::Anonymous, put("a", "1")).await.unwrap();
    let disk = cluster.machines[&1].disk.clone();
    disk.set_room(Some(0));
    let large = "v".repeat(10_000);
    let mut written = 0;
    let late = loop {
        match node.propose(Caller::Anonymous, put(&format!("k{written}"), &large)).await {
            Ok(_) => written += 1,
            Err(refusal) => break refusal,
        }
        assert!(written < 100, "the disk is full");
    };
    assert_eq!(late, Refusal::Timeout, "it was proposed: it will be written once there is room");
    // Later commands are not proposed, and are refused at once.
    let begun = tokio::time::Instant::now();
    for command in [put("late", "v"), Command::Compact { revision: 1 }] {
        assert_eq!(node.propose(Caller::Anonymous, command).await, Err(Refusal::NoSpace));
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let log = node.0.options.log.clone();
    assert!(matches!(log.space(), crate::log::Space::Full { needed, .. } if needed >= 64 << 10));
    let term = node.status().term;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(node.status().is_leader && node.status().term == term, "it waits, and leads");
    assert_eq!(value(&cluster.store(1), "a").as_deref(), Some("1"));
    disk.set_room(None);
    log.flush();
    assert_eq!(log.space(), crate::log::Space::Enough);
    node.propose(Caller::Anonymous, put("a", "2")).await.unwrap();
    assert_eq!(value(&cluster.store(1), &format!("k{written}")), Some(large), "what had waited is written");
    assert_eq!(value(&cluster.store(1), "late"), None, "what was refused is not");
    drop((node, log));
    cluster.stop(1).await;
    cluster.start(1, Vec::new()).await;
    cluster.leader().await;
    assert_eq!(value(&cluster.store(1), "a").as_deref(), Some("2"));
    cluster.shut_down().await;
}
