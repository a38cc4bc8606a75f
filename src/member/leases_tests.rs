//! Leases across changes of the leader, with members whose clocks are hours apart and step.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::log::{self, Mode};
use crate::member::{RaftOn, Seams, lab};
use crate::model::{self, Caller, Clock, MemberId};
use crate::raft::{Loopback, NodeOptions};
use crate::store::{self, CheckpointPolicy, Store};

const ELECTION: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_millis(100);
const HOUR_MS: i64 = 3_600_000;

/// A member's clocks: the wall clock is off and can be stepped, the monotonic one began some time ago.
struct Clocks {
    started: Instant,
    off_ms: AtomicI64,
    up: Duration,
}

impl Clock for Clocks {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + self.off_ms.load(Ordering::Relaxed) + self.started.elapsed().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        self.up + self.started.elapsed()
    }
}

struct Running {
    member: Member,
    clock: Arc<Clocks>,
    _dir: TempDir,
}

struct Three {
    network: Loopback,
    members: Vec<Running>,
}

fn founder(id: u64) -> model::Member {
    model::Member::founder(MemberId(id), vec![format!("http://10.0.0.{id}:2380")])
}

impl Three {
    /// Three members whose wall clocks are five hours apart.
    async fn start() -> Self {
        let mut three = Self { network: Loopback::default(), members: Vec::new() };
        for (id, hours) in [(1, -2), (2, 0), (3, 3)] {
            let running = three.member(id, hours).await;
            three.network.attach(MemberId(id), running.member.node.clone());
            three.members.push(running);
        }
        three
    }

    async fn member(&self, id: u64, hours: i64) -> Running {
        let dir = TempDir::new().unwrap();
        let options = store::Options {
            map_size: 64 << 20,
            checkpoint: CheckpointPolicy::Manual,
            ..store::Options::default()
        };
        let store = Store::open(dir.path(), options).unwrap();
        let off_ms = AtomicI64::new(hours * HOUR_MS);
        let up = Duration::from_secs(7777 * (4 - id));
        let clock = Arc::new(Clocks { started: Instant::now(), off_ms, up });
        let log_options = log::Options {
            segment_bytes: 64 << 10,
            first_segment_bytes: 32 << 10,
            mode: Mode::Inline,
            ..lab::log_options()
        };
        let founders: Vec<_> = (1..=3).map(founder).collect();
        let (data, transport) = ((log_options, store), self.network.from(MemberId(id)));
        let raft = NodeOptions {
            name: format!("m{id}"),
            heartbeat: HEARTBEAT,
            election: ELECTION,
            ..lab::founder(MemberId(id), &founders, data, transport, clock.clone()).await
        };
        let member = Member::start(Seams { raft_on: RaftOn::Here, ..Seams::new(raft) }).await.unwrap();
        tokio::spawn(member.leaders_jobs());
        Running { member, clock, _dir: dir }
    }

    /// The primary lessor among the members in `among`.
    async fn primary(&self, among: &[usize]) -> usize {
        for _ in 0..10_000 {
            if let Some(found) = among.iter().find(|at| self.members[**at].member.lessor.is_primary()) {
                return *found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("nobody counts for leases");
    }

    async fn grant(&self, at: usize, id: LeaseId, ttl: i64) {
        self.members[at]
            .member
            .node
            .propose(Caller::Anonymous, Command::LeaseGrant { id, ttl })
            .await
            .unwrap();
    }

    /// The moment at which a member no longer has the lease.
    async fn gone(&self, at: usize, id: LeaseId) -> Instant {
        while self.members[at].member.store.lease(id).unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Instant::now()
    }

    fn step_clocks(&self, hours: i64) {
        for member in &self.members {
            member.clock.off_ms.fetch_add(hours * HOUR_MS, Ordering::Relaxed);
        }
    }

    async fn end(self) {
        for running in &self.members {
            running.member.node.shutdown().await;
            running.member.store.set_observers(Vec::new());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_its_leader_whatever_the_clocks_say() {
    let three = Three::start().await;
    let mut id = 0;
    for (to, step) in [(2, 0), (0, 5), (1, -5)] {
        let from = three.primary(&[0, 1, 2]).await;
        id += 1;
        let granted = Instant::now();
        three.grant(from, id, 30).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        three.step_clocks(step);
        if from != to {
            three.members[from].member.node.transfer(MemberId(to as u64 + 1)).await.unwrap();
        }
        let now = three.primary(&[to]).await;
        let time = three.members[now].member.lessor.time_to_live(id).unwrap().unwrap();
        assert!((28..=31).contains(&time.remaining), "{time:?}");
        three.step_clocks(step);
        let lived = three.gone(now, id).await - granted;
        assert!(lived >= Duration::from_secs(30), "it ended after {lived:?}");
        assert!(lived < Duration::from_secs(40), "it ended after {lived:?}");
    }
    three.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_remains_of_a_long_lease_outlives_its_leader() {
    let three = Three::start().await;
    let from = three.primary(&[0, 1, 2]).await;
    let granted = Instant::now();
    three.grant(from, 9, 3600).await;
    three.step_clocks(-1);
    // Recorded every five minutes.
    tokio::time::sleep(Duration::from_secs(310)).await;
    let to = (from + 1) % 3;
    three.members[from].member.node.transfer(MemberId(to as u64 + 1)).await.unwrap();
    three.step_clocks(2);
    three.primary(&[to]).await;
    let left = three.members[to].member.lessor.time_to_live(9).unwrap().unwrap().remaining;
    let passed = granted.elapsed().as_secs() as i64;
    assert!(left >= 3600 - passed && left <= 3600 - passed + 310, "{left} s left after {passed} s");
    three.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_promises_nothing() {
    let three = Three::start().await;
    let old = three.primary(&[0, 1, 2]).await;
    let others: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    three.grant(old, 7, 5).await;
    three.network.isolate(MemberId(old as u64 + 1), true);
    let cut = Instant::now();
    // It may make promises as long as it can still claim to lead.
    let mut promised = cut;
    while cut.elapsed() < Duration::from_secs(4) {
        match three.members[old].member.lessor.renew(7) {
            Renewal::Renewed(5) => promised = Instant::now(),
            Renewal::NotPrimary => {}
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(promised - cut <= ELECTION, "it renewed {:?} after it was cut off", promised - cut);
    let alone = &three.members[old].member;
    assert_eq!((alone.node.leader(), alone.node.status().is_leader), (None, false));
    assert!(!alone.lessor.is_primary() && alone.lessor.time_to_live(7).is_err());
    let new = three.primary(&others).await;
    let gone = three.gone(new, 7).await;
    assert!(
        gone >= promised + Duration::from_secs(5),
        "it lived {:?} after the last promise",
        gone - promised
    );
    // After it is reconnected, it asks the leader.
    three.network.isolate(MemberId(old as u64 + 1), false);
    three.grant(new, 8, 60).await;
    while three.members[old].member.node.leader().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(LeaderLessor(three.members[old].member.node.clone()).renew(8).await, Ok(Some(60)));
    three.end().await;
}
