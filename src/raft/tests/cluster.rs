//! Clusters of several members.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::*;
use crate::log::Payload;
use crate::model::{
    Compare, CompareOp, CompareTarget, MAX_COMMAND_BYTES, MAX_REQUEST_BYTES, Op, Proposal, Txn,
};

async fn write(cluster: &Cluster, through: u64, key: &str, text: &str) {
    cluster.node(through).propose(Caller::Anonymous, put(key, text)).await.unwrap();
}

/// Waits until every running member has the value.
async fn everywhere(cluster: &Cluster, key: &str, text: &str) {
    for id in cluster.running() {
        until("replicated", || value(&cluster.store(id), key).as_deref() == Some(text)).await;
    }
}

fn other_than(leader: u64) -> u64 {
    leader % 3 + 1
}

#[tokio::test(start_paused = true)]
async fn three_members_elect_and_replicate() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let follower = other_than(leader);
    write(&cluster, leader, "a", "1").await;
    // Through a follower: there it can be read as soon as it is acknowledged.
    write(&cluster, follower, "b", "2").await;
    assert_eq!(value(&cluster.store(follower), "b").as_deref(), Some("2"));
    write(&cluster, leader, "c", "3").await;
    cluster.node(follower).read_index().await.unwrap();
    assert_eq!(value(&cluster.store(follower), "c").as_deref(), Some("3"));
    everywhere(&cluster, "c", "3").await;
    let names = |id| cluster.store(id).members().into_iter().map(|member| member.name).collect::<Vec<_>>();
    for id in 1..=3 {
        until("all are known", || names(id) == ["m1", "m2", "m3"]).await;
    }
    cluster.shut_down().await;
}

/// All proposals in a member's log.
fn proposals(cluster: &Cluster, id: u64) -> Vec<Proposal> {
    let log = cluster.node(id).0.options.log.clone();
    let entries = log.read(0..log.bounds().next, usize::MAX).unwrap();
    let of = |payload| match payload {
        Payload::Blank => Vec::new(),
        Payload::Group(group) => group.proposals.clone(),
        Payload::Membership { change, .. } => change.iter().map(|change| change.as_ref().clone()).collect(),
    };
    entries.into_iter().flat_map(|entry| of(entry.payload)).collect()
}

#[tokio::test(start_paused = true)]
async fn every_log_names_the_caller_of_each_command() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let (leads, follows) = (cluster.node(leader), cluster.node(other_than(leader)));
    let user = |name: &str| Caller::user(name, 7);
    leads.propose(user("a"), put("a", "1")).await.unwrap();
    follows.propose(user("b"), put("b", "1")).await.unwrap();
    let add = MemberChange::Add(Member { learner: true, ..member(4) });
    follows.propose(user("c"), Command::Member(add)).await.unwrap();
    leads.propose_in_term(leads.term(), Command::LeaseGrant { id: 7, ttl: 60 }).await.unwrap();
    follows.propose(Caller::Anonymous, put("z", "1")).await.unwrap();
    everywhere(&cluster, "z", "1").await;
    let caller_of = |command: &Command| match command {
        Command::Put(put) if put.key == "z" => Caller::Anonymous,
        Command::Put(put) => user(std::str::from_utf8(&put.key).unwrap()),
        Command::Member(MemberChange::Add(member)) if member.learner => user("c"),
        _ => Caller::System,
    };
    for id in 1..=3 {
        let all = proposals(&cluster, id);
        assert!(all.len() > 8, "founders, names, a version, and what was asked for: {all:?}");
        for proposal in all {
            assert_eq!(proposal.caller, caller_of(&proposal.command), "member {id}: {proposal:?}");
        }
    }
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_neither_writes_nor_reads() {
    let cluster = Cluster::new(3).await;
    let old = cluster.leader().await;
    write(&cluster, old, "a", "1").await;
    cluster.network.isolate(MemberId(old), true);
    let others: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    let new = cluster.leader_among(&others).await;
    write(&cluster, new, "a", "2").await;
    let read = cluster.node(old).read_index().await;
    assert!(matches!(read, Err(Refusal::Timeout | Refusal::LeaderChanged)), "{read:?}");
    let written = cluster.node(old).propose(Caller::Anonymous, put("a", "3")).await;
    let late = [Refusal::Timeout, Refusal::TimeoutConnectionLost, Refusal::TimeoutLeaderFailed];
    assert!(written.as_ref().is_err_and(|refusal| late.contains(refusal)), "{written:?}");
    cluster.network.isolate(MemberId(old), false);
    // It may first have to learn of the new leader.
    while let Err(refusal) = cluster.node(old).read_index().await {
        assert_eq!(refusal, Refusal::LeaderChanged);
    }
    everywhere(&cluster, "a", "2").await;
    cluster.shut_down().await;
}

/// Requests that a leader accepted and cannot answer any more wait for their deadline; later ones go to the next
/// leader.
#[tokio::test(start_paused = true)]
async fn what_is_lost_with_a_leader_holds_up_nobody() {
    let cluster = Cluster::new(3).await;
    let old = cluster.leader().await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    cluster.network.mute(MemberId(old), true);
    let mut sent = tokio::task::JoinSet::new();
    for n in 0..100 {
        for through in &others {
            let node = cluster.node(*through);
            sent.spawn(async move { node.propose(Caller::Anonymous, put("b", &n.to_string())).await });
        }
        // One message each, until the limit of messages in flight is reached.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    cluster.network.isolate(MemberId(old), true);
    let new = cluster.leader_among(&others).await;
    let follower = old ^ new; // The third of 1, 2 and 3.
    write(&cluster, follower, "a", "2").await;
    while let Some(outcome) = sent.try_join_next() {
        assert!(outcome.unwrap().is_ok(), "nothing has been given up yet");
    }
    let outcomes = sent.join_all().await;
    let lost = outcomes.iter().filter(|outcome| **outcome == Err(Refusal::TimeoutLeaderFailed)).count();
    let written = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(lost > 0, "something was lost with the old leader: {outcomes:?}");
    assert_eq!(lost + written, outcomes.len(), "{outcomes:?}");
    for id in others {
        until("replicated", || value(&cluster.store(id), "a").as_deref() == Some("2")).await;
    }
    cluster.shut_down().await;
}

/// Clients of a follower do not see that the leader stops.
#[tokio::test(start_paused = true)]
async fn writes_through_a_follower_survive_the_stop_of_the_leader() {
    let cluster = Cluster::new(3).await;
    let old = cluster.leader().await;
    let follower = other_than(old);
    // There is always a message on its way.
    cluster.network.slow_down(Duration::from_millis(5));
    let mut writers = tokio::task::JoinSet::new();
    let stopped = Arc::new(AtomicBool::new(false));
    for writer in 0..8 {
        let (node, stopped) = (cluster.node(follower), stopped.clone());
        writers.spawn(async move {
            let mut written = 0;
            let mut afterwards = 0;
            while afterwards < 20 {
                node.propose(Caller::Anonymous, put(&format!("w{writer}"), &written.to_string()))
                    .await
                    .unwrap();
                written += 1;
                afterwards += i32::from(stopped.load(Ordering::Relaxed));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            written
        });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    cluster.node(old).shutdown().await;
    stopped.store(true, Ordering::Relaxed);
    for written in writers.join_all().await {
        assert!(written > 20, "{written}");
    }
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn members_come_back_with_what_they_had() {
    let mut cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    write(&cluster, leader, "a", "1").await;
    cluster.stop(leader).await;
    let next = cluster.leader().await;
    write(&cluster, next, "a", "2").await;
    cluster.start(leader, Vec::new()).await;
    everywhere(&cluster, "a", "2").await;
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    for id in 1..=3 {
        cluster.start(id, Vec::new()).await;
    }
    let leader = cluster.leader().await;
    cluster.node(leader).read_index().await.unwrap();
    assert_eq!(value(&cluster.store(leader), "a").as_deref(), Some("2"));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn leadership_moves_to_those_who_can_have_it() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let target = other_than(leader);
    write(&cluster, leader, "a", "1").await;
    let transfer = |from: u64, to: u64| {
        let node = cluster.node(from);
        async move { node.transfer(MemberId(to)).await }
    };
    assert_eq!(transfer(target, leader).await, Err(Refusal::NotLeader));
    assert_eq!(transfer(leader, leader).await, Ok(()));
    assert_eq!(transfer(leader, 9).await, Err(Refusal::BadLeaderTransferee));
    until("followers are heard of", || {
        let node = cluster.node(leader);
        node.status().is_leader
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(transfer(leader, target).await, Ok(()));
    assert_eq!(cluster.leader().await, target);
    write(&cluster, leader, "a", "2").await;
    cluster.network.isolate(MemberId(leader), true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(transfer(target, leader).await, Err(Refusal::BadLeaderTransferee));
    cluster.shut_down().await;
}

/// A single member grows to three, and never waits for members that have not started.
#[tokio::test(start_paused = true)]
async fn a_single_member_grows_and_shrinks_again() {
    let mut cluster = Cluster::new(1).await;
    cluster.leader().await;
    until("it is known", || cluster.store(1).members().iter().any(|member| member.name == "m1")).await;
    for id in 2..=3 {
        let add = MemberChange::Add(Member { pending: true, ..member(id) });
        let reply = cluster.node(1).propose(Caller::Anonymous, Command::Member(add)).await.unwrap();
        let Reply::Members { members, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(members.len() as u64, id);
        // The new member is not running: writes and reads continue.
        write(&cluster, 1, "a", &id.to_string()).await;
        cluster.node(1).read_index().await.unwrap();
        cluster.start(id, Vec::new()).await;
        until("it votes", || cluster.store(1).members().iter().any(|m| m.id == MemberId(id) && !m.pending))
            .await;
        until("it has published", || cluster.store(1).members().iter().all(|m| m.is_started())).await;
        everywhere(&cluster, "a", &id.to_string()).await;
    }
    assert!(!cluster.node(1).0.shared.is_sole_leader());
    let twice = MemberChange::Add(Member { pending: true, ..member(2) });
    assert_eq!(
        cluster.node(2).propose(Caller::Anonymous, Command::Member(twice)).await,
        Err(Refusal::MemberExists)
    );
    // The leader is the second to last one to stop, after a transfer.
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster
        .node(1)
        .propose(Caller::Anonymous, Command::Member(MemberChange::Remove(MemberId(1))))
        .await
        .unwrap();
    let left = cluster.leader_among(&[2, 3]).await;
    until("two are left", || cluster.store(left).members().len() == 2).await;
    let again = MemberChange::Add(Member { pending: true, ..member(1) });
    assert_eq!(
        cluster.node(left).propose(Caller::Anonymous, Command::Member(again)).await,
        Err(Refusal::MemberNotFound)
    );
    write(&cluster, left, "a", "end").await;
    cluster.shut_down().await;
}

/// As with a write: whoever changes the members through a member that follows finds the change there.
#[tokio::test(start_paused = true)]
async fn a_change_that_a_member_has_passed_on_is_known_there() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let follower = other_than(leader);
    // Its answers come at once, and what is committed later.
    cluster.network.narrow(20_000);
    let change = async |change: MemberChange| {
        cluster.node(follower).propose(Caller::Anonymous, Command::Member(change)).await.unwrap();
        cluster.store(follower).members().into_iter().find(|member| member.id == MemberId(4))
    };
    let added = change(MemberChange::Add(Member { learner: true, ..member(4) })).await;
    assert!(added.is_some());
    let peer_urls = vec!["http://elsewhere:2380".to_string()];
    let updated = change(MemberChange::Update { id: MemberId(4), peer_urls: peer_urls.clone() }).await;
    assert_eq!(updated.map(|member| member.peer_urls), Some(peer_urls));
    assert_eq!(change(MemberChange::Remove(MemberId(4))).await, None);
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_learner_waits_to_be_promoted() {
    let mut cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    until("all are known", || cluster.store(leader).members().iter().all(Member::is_started)).await;
    let add = MemberChange::Add(Member { learner: true, ..member(4) });
    let propose = |id: u64, change: MemberChange| {
        let node = cluster.node(id);
        async move { node.propose(Caller::Anonymous, Command::Member(change)).await }
    };
    propose(leader, add).await.unwrap();
    let second = MemberChange::Add(Member { learner: true, ..member(5) });
    assert_eq!(propose(leader, second).await, Err(Refusal::TooManyLearners));
    assert_eq!(propose(leader, MemberChange::Promote(MemberId(4))).await, Err(Refusal::LearnerNotReady));
    assert_eq!(
        propose(leader, MemberChange::Promote(MemberId(leader))).await,
        Err(Refusal::MemberNotLearner)
    );
    assert_eq!(propose(leader, MemberChange::Promote(MemberId(9))).await, Err(Refusal::MemberNotFound));
    let update = MemberChange::Update { id: MemberId(4), peer_urls: vec!["http://elsewhere:2380".into()] };
    propose(other_than(leader), update).await.unwrap();
    let url = |store: Store| store.members().into_iter().find(|m| m.id == MemberId(4)).unwrap().peer_urls;
    assert_eq!(url(cluster.store(leader)), ["http://elsewhere:2380"]);
    cluster.start(4, Vec::new()).await;
    until("it follows", || cluster.node(4).status().leader.is_some() && cluster.node(4).status().applied > 5)
        .await;
    assert!(cluster.node(4).status().is_learner);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(cluster.node(4).status().is_learner);
    let promote = Command::Member(MemberChange::Promote(MemberId(4)));
    cluster.node(other_than(leader)).propose(Caller::Anonymous, promote).await.unwrap();
    until("it votes", || !cluster.node(4).status().is_learner).await;
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_far_behind_gets_a_snapshot() {
    let mut cluster = Cluster::with(3, |options| {
        options.snapshot_count = 50;
        options.catchup_entries = 5;
    })
    .await;
    let leader = cluster.leader().await;
    let behind = other_than(leader);
    cluster.stop(behind).await;
    for n in 0..200 {
        write(&cluster, leader, &format!("k{n}"), "v").await;
    }
    cluster.store(leader).checkpoint().unwrap();
    for n in 200..400 {
        write(&cluster, leader, &format!("k{n}"), "v").await;
    }
    let leader = cluster.leader().await;
    let first = || cluster.node(leader).0.options.log.bounds().first;
    until("the log is shortened", || first() > 100).await;
    cluster.start(behind, Vec::new()).await;
    everywhere(&cluster, "k399", "v").await;
    assert!(cluster.network.snapshots() > 0);
    assert_eq!(cluster.store(behind).members().len(), 3);
    write(&cluster, behind, "last", "v").await;
    everywhere(&cluster, "last", "v").await;
    let hash = |id: u64| cluster.store(id).hash_kv(0).unwrap();
    assert_eq!(hash(leader), hash(behind));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn one_member_that_is_left_becomes_a_cluster_of_its_own() {
    let mut cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    cluster
        .node(leader)
        .propose(Caller::Anonymous, Command::Member(MemberChange::Add(Member { learner: true, ..member(4) })))
        .await
        .unwrap();
    write(&cluster, leader, "a", "1").await;
    everywhere(&cluster, "a", "1").await;
    let survivor = other_than(leader);
    let revision = cluster.store(survivor).revision();
    for id in cluster.running() {
        cluster.stop(id).await;
    }
    cluster.settings = |options| options.force_new_cluster = true;
    cluster.start(survivor, Vec::new()).await;
    assert_eq!(cluster.leader().await, survivor);
    // Known from the start, not only once it is applied.
    assert_eq!(cluster.node(survivor).epoch(), 1);
    write(&cluster, survivor, "a", "2").await;
    let members = || cluster.store(survivor).members();
    assert_eq!(members().iter().map(|member| member.id.0).collect::<Vec<_>>(), [survivor]);
    assert_eq!(cluster.store(survivor).removed().len(), 3);
    assert_eq!(cluster.store(survivor).revision(), revision + 1);
    // Again, as if the option was left in the file: nothing changes any more.
    cluster.stop(survivor).await;
    cluster.start(survivor, Vec::new()).await;
    cluster.leader().await;
    assert_eq!(value(&cluster.store(survivor), "a").as_deref(), Some("2"));
    assert_eq!(cluster.node(survivor).epoch(), 1);
    // It grows again.
    cluster.stop(survivor).await;
    cluster.settings = |_| {};
    cluster.start(survivor, Vec::new()).await;
    cluster.leader().await;
    let added = Member { pending: true, ..member(5) };
    cluster
        .node(survivor)
        .propose(Caller::Anonymous, Command::Member(MemberChange::Add(added)))
        .await
        .unwrap();
    cluster.start(5, Vec::new()).await;
    everywhere(&cluster, "a", "2").await;
    until("it votes", || cluster.store(survivor).members().iter().all(|member| !member.pending)).await;
    assert_eq!(cluster.store(5).epoch(), 1);
    cluster.shut_down().await;
}

/// Values that transactions only compare with count towards the size of an append like those they write.
#[tokio::test(start_paused = true)]
async fn a_member_catches_up_whatever_its_entries_carry() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let away = other_than(leader);
    // The limit of an append is 4 MB, or one entry.
    cluster.network.limit(5 << 20);
    cluster.network.isolate(MemberId(away), true);
    write(&cluster, leader, "k", "first").await;
    let large = Bytes::from(vec![b'x'; 1_200_000]);
    for n in 0..12 {
        let compare = Compare {
            range: KeyRange::single("k"),
            op: CompareOp::NotEqual,
            target: CompareTarget::Value(large.clone()),
        };
        let Command::Put(put) = put("k", &n.to_string()) else { unreachable!() };
        let txn = Txn { compares: vec![compare], success: vec![Op::Put(put)], failure: Vec::new() };
        cluster.node(leader).propose(Caller::Anonymous, Command::Txn(txn)).await.unwrap();
    }
    cluster.network.isolate(MemberId(away), false);
    until("it has caught up", || value(&cluster.store(away), "k").as_deref() == Some("11")).await;
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_no_message_holds_is_refused() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let large = |size: usize| {
        Command::Put(Put { key: "k".into(), value: Bytes::from(vec![0; size]), ..Put::default() })
    };
    for through in [leader, other_than(leader)] {
        let refused = cluster.node(through).propose(Caller::Anonymous, large(MAX_COMMAND_BYTES)).await;
        assert_eq!(refused, Err(Refusal::RequestTooLarge));
    }
    // The largest command that a client can send arrives everywhere.
    cluster.node(other_than(leader)).propose(Caller::Anonymous, large(MAX_REQUEST_BYTES)).await.unwrap();
    for id in cluster.running() {
        let query = RangeQuery::current(KeyRange::single("k"));
        let store = cluster.store(id);
        until("replicated", || {
            store.range(&query).unwrap().kvs.iter().any(|kv| kv.value.len() == MAX_REQUEST_BYTES)
        })
        .await;
    }
    cluster.shut_down().await;
}

/// If they were sent again while they are on their way, they would never arrive.
#[tokio::test(start_paused = true)]
async fn large_entries_take_longer_than_a_heartbeat_and_reach_all() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let text = "x".repeat(500_000);
    cluster.network.narrow(4_000_000);
    tokio::join!(write(&cluster, leader, "a", &text), write(&cluster, leader, "b", &text));
    everywhere(&cluster, "a", &text).await;
    everywhere(&cluster, "b", &text).await;
    cluster.shut_down().await;
}
