//! Who leads, as far as a member may claim.

use super::*;
use crate::store::Condemned;

/// Longer than any unconfirmed claim counts.
const LONG: Duration = Duration::from_millis(1500);

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_knows_no_leader() {
    let cluster = Cluster::new(3).await;
    let old = cluster.leader().await;
    let node = cluster.node(old);
    cluster.network.isolate(MemberId(old), true);
    tokio::time::sleep(LONG).await;
    let status = node.status();
    assert_eq!((status.leader, status.is_leader, node.leader()), (None, false, None));
    let term = status.term;
    assert!(!node.leads(term));
    until("those who wait for changes are told", || node.leadership().borrow().leader.is_none()).await;
    assert_eq!(node.transfer(MemberId(old % 3 + 1)).await, Err(Refusal::NotLeader));
    cluster.network.isolate(MemberId(old), false);
    until("it follows", || node.leader().is_some_and(|leader| leader != MemberId(old))).await;
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_heals_before_anybody_else_is_elected_gives_the_leader_back() {
    // Without the others nobody can be elected; it is as if both followers were stopped.
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let node = cluster.node(leader);
    let changes = node.figures().leader_changes.load(std::sync::atomic::Ordering::Relaxed);
    for id in 1..=3 {
        cluster.network.isolate(MemberId(id), true);
    }
    tokio::time::sleep(LONG).await;
    for id in 1..=3 {
        assert_eq!(cluster.node(id).leader(), None, "member {id} hears nobody");
    }
    let asked = tokio::spawn({
        let node = node.clone();
        async move { node.propose(Caller::Anonymous, put("a", "1")).await }
    });
    for id in 1..=3 {
        cluster.network.isolate(MemberId(id), false);
    }
    let now = cluster.leader().await;
    assert!(asked.await.unwrap().is_ok(), "what waits for a leader finds one");
    until("the change is counted", || {
        let figures = cluster.node(now).figures().leader_changes.load(std::sync::atomic::Ordering::Relaxed);
        figures > 0 && (now != leader || figures > changes)
    })
    .await;
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_is_cut_off_knows_no_leader() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let follower = leader % 3 + 1;
    until("it follows", || cluster.node(follower).leader() == Some(MemberId(leader))).await;
    cluster.network.isolate(MemberId(follower), true);
    tokio::time::sleep(LONG).await;
    assert_eq!(cluster.node(follower).status().leader, None);
    assert_eq!(cluster.node(leader).status().leader, Some(MemberId(leader)), "the others go on");
    cluster.network.isolate(MemberId(follower), false);
    until("it follows again", || cluster.node(follower).leader().is_some()).await;
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_comes_back_alone_claims_no_leader() {
    let mut cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    cluster.node(leader).propose(Caller::Anonymous, put("a", "1")).await.unwrap();
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    for id in 1..=3 {
        // Its log still names the leader that it followed, or that it led.
        cluster.start(id, Vec::new()).await;
        for _ in 0..20 {
            assert_eq!(cluster.node(id).leader(), None, "member {id}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        cluster.stop(id).await;
    }
    for id in 1..=3 {
        cluster.start(id, Vec::new()).await;
    }
    cluster.leader().await;
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_is_added_while_one_of_three_is_down() {
    let mut cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    until("all are known", || cluster.store(leader).members().iter().all(Member::is_started)).await;
    let down = leader % 3 + 1;
    cluster.stop(down).await;
    let add = MemberChange::Add(Member { pending: true, ..member(4) });
    cluster.node(leader).propose(Caller::Anonymous, Command::Member(add)).await.unwrap();
    cluster.start(4, Vec::new()).await;
    until("it votes", || cluster.store(leader).members().iter().any(|m| m.id == MemberId(4) && !m.pending))
        .await;
    cluster.node(leader).propose(Caller::Anonymous, put("a", "1")).await.unwrap();
    until("it is known", || cluster.store(leader).members().iter().all(Member::is_started)).await;
    // Three of four are up: a voter that is up must stay, the one that is down may be removed.
    let spared = (1..=3).find(|id| *id != leader && *id != down).unwrap();
    let remove = |id| Command::Member(MemberChange::Remove(MemberId(id)));
    cluster.node(leader).propose(Caller::Anonymous, remove(down)).await.unwrap();
    cluster.node(leader).propose(Caller::Anonymous, remove(spared)).await.unwrap();
    assert_eq!(cluster.store(leader).members().len(), 2);
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_state_is_wrong_makes_nobody_a_voter() {
    let mut cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    until("all are known", || cluster.store(leader).members().iter().all(Member::is_started)).await;
    let add = MemberChange::Add(Member { pending: true, ..member(4) });
    cluster.node(leader).propose(Caller::Anonymous, Command::Member(add)).await.unwrap();
    let store = cluster.store(leader).clone();
    store.condemn(&Condemned { why: "a test".into(), replace: false, told: false }).unwrap();
    cluster.start(4, Vec::new()).await;
    let is_pending = || store.members().iter().any(|m| m.id == MemberId(4) && m.pending);
    until("it has caught up", || cluster.store(4).applied() >= store.applied()).await;
    tokio::time::sleep(LONG).await;
    assert!(is_pending());
    store.absolve().unwrap();
    until("it votes", || !is_pending()).await;
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn who_has_caught_up_and_is_gone_is_not_made_a_voter() {
    let mut cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    until("all are known", || cluster.store(leader).members().iter().all(Member::is_started)).await;
    let down = leader % 3 + 1;
    cluster.stop(down).await;
    let add = MemberChange::Add(Member { learner: true, ..member(4) });
    cluster.node(leader).propose(Caller::Anonymous, Command::Member(add)).await.unwrap();
    cluster.start(4, Vec::new()).await;
    for n in 0..100 {
        cluster.node(leader).propose(Caller::Anonymous, put("b", &n.to_string())).await.unwrap();
    }
    cluster.node(leader).propose(Caller::Anonymous, put("a", "1")).await.unwrap();
    until("it has caught up", || value(&cluster.store(4), "a").is_some()).await;
    cluster.stop(4).await;
    let promote = Command::Member(MemberChange::Promote(MemberId(4)));
    assert_eq!(cluster.node(leader).propose(Caller::Anonymous, promote).await, Err(Refusal::Unhealthy));
    cluster.node(leader).propose(Caller::Anonymous, put("a", "2")).await.unwrap();
    cluster.shut_down().await;
}

/// Members differ in how many learners they allow; the leader's limit counts, and all end with the same state.
#[tokio::test(start_paused = true)]
async fn the_leader_decides_how_many_learners_there_may_be() {
    let cluster = Cluster::with(3, |options| options.max_learners = options.id.0 as usize).await;
    let leader = cluster.leader().await;
    until("all are known", || cluster.store(leader).members().iter().all(Member::is_started)).await;
    for added in 0..3 {
        let add = MemberChange::Add(Member { learner: true, ..member(10 + added) });
        let outcome = cluster.node(leader).propose(Caller::Anonymous, Command::Member(add)).await;
        assert_eq!(outcome.is_ok(), added < leader, "{outcome:?}");
    }
    let members = cluster.store(leader).members();
    assert_eq!(members.len() as u64, 3 + leader);
    for id in 1..=3 {
        until("all have the same members", || cluster.store(id).members() == members).await;
    }
    cluster.shut_down().await;
}
