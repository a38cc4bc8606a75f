//! Raft does not wait for what applying waits for: a slow command, or a store's disk that does not respond.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::FutureExt;

use super::*;
use crate::model::{LeaseChange, Observer};

/// Several election timeouts, and less than a command's deadline.
const STALL: Duration = Duration::from_secs(3);

/// After this a test hangs: much more than any wait in it.
const DEADLINE: Duration = Duration::from_secs(180);

/// Runs a test on its own thread, with a clock that stands still until all tasks wait. A failure may block that thread,
/// or one that the end of its runtime waits for; then nothing on it could end the test.
fn within<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let (ended, end) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ended: std::sync::mpsc::Sender<()> = ended;
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap().block_on(test());
    });
    // Nothing is ever sent: the other end is dropped after the runtime.
    if end.recv_timeout(DEADLINE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        panic!("it hangs");
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A barrier that blocks threads. A thread that is blocked for very long must be raft's own, without which nobody opens
/// the barrier; that is a failure.
#[derive(Clone, Default)]
struct Barrier(Arc<AtomicBool>);

impl Barrier {
    fn close(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn pass(&self) {
        let begun = Instant::now();
        while self.0.load(Ordering::SeqCst) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the thread that is held is raft's");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Makes applying a revocation slow.
struct SlowRevoke(Barrier);

impl Observer for SlowRevoke {
    fn on_leases(&self, changes: &[LeaseChange]) {
        if changes.iter().any(|change| matches!(change, LeaseChange::Revoked { .. })) {
            self.0.pass();
        }
    }

    fn on_restored(&self, _: i64) {}
}

/// Lets this much time pass in steps, between which all tasks do their work.
async fn pass(time: Duration) {
    const STEP: Duration = Duration::from_millis(20);
    for _ in 0..time.as_millis() / STEP.as_millis() {
        tokio::time::advance(STEP).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

/// As [`until`], for a condition that depends on threads: hardly any time passes for raft.
async fn until_threads(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: it never happened");
        std::thread::sleep(Duration::from_millis(1));
        tokio::time::advance(Duration::from_millis(1)).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

fn terms(cluster: &Cluster) -> Vec<(u64, Option<MemberId>)> {
    let status = cluster.running().into_iter().map(|id| cluster.node(id).status());
    status.map(|status| (status.term, status.leader)).collect()
}

#[test]
fn a_command_that_takes_long_holds_back_no_heartbeat() {
    within(|| async {
        let cluster = Cluster::new(3).await;
        let leader = cluster.leader().await;
        let node = cluster.node(leader);
        node.propose(Caller::Anonymous, Command::LeaseGrant { id: 7, ttl: 60 }).await.unwrap();
        until("all know the leader", || {
            cluster.running().iter().all(|id| cluster.node(*id).leader().is_some())
        })
        .await;
        let before = terms(&cluster);
        let barrier = Barrier::default();
        barrier.close();
        for id in cluster.running() {
            cluster.store(id).set_observers(vec![Arc::new(SlowRevoke(barrier.clone()))]);
        }
        let revoke = tokio::spawn({
            let node = node.clone();
            async move { node.propose(Caller::Anonymous, Command::LeaseRevoke { id: 7 }).await }
        });
        pass(STALL).await;
        assert!(!revoke.is_finished());
        assert_eq!(terms(&cluster), before);
        barrier.open();
        until_threads("the revocation ends", || revoke.is_finished()).await;
        revoke.await.unwrap().unwrap();
        assert_eq!(terms(&cluster), before);
        cluster.shut_down().await;
    });
}

#[test]
fn a_store_whose_disk_stands_still_holds_back_no_heartbeat() {
    within(|| async {
        let barrier = Barrier::default();
        let disk = barrier.clone();
        let stores = store::Options {
            checkpoint: CheckpointPolicy::Background {
                interval: Duration::from_secs(3600),
                bytes: 32 << 20,
                operations: 2,
            },
            before_commit: Some(Arc::new(move || {
                disk.pass();
                Ok(())
            })),
            ..store_options()
        };
        let cluster = Cluster::of(3, |_| {}, stores).await;
        let leader = cluster.leader().await;
        write(&cluster, leader, "first", "1").await;
        until("all know the leader", || {
            cluster.running().iter().all(|id| cluster.node(*id).leader().is_some())
        })
        .await;
        let before = terms(&cluster);
        barrier.close();
        // More than the memory holds. Concurrent writes would be one entry, so they are sent one by one.
        let mut writes = Vec::new();
        until_threads("the memory is full", || {
            let (node, key) = (cluster.node(leader), format!("k{}", writes.len()));
            writes.push(tokio::spawn(async move { node.propose(Caller::Anonymous, put(&key, "v")).await }));
            cluster.store(leader).is_waiting()
        })
        .await;
        let pulse = tokio::spawn({
            let node = cluster.node(leader);
            async move { node.pulse().await }
        });
        pass(STALL).await;
        assert_eq!(terms(&cluster), before);
        assert!(pulse.is_finished(), "a disk that stands still is no reason to restart");
        barrier.open();
        until_threads("all is written", || writes.iter().all(tokio::task::JoinHandle::is_finished)).await;
        for write in writes {
            write.await.unwrap().unwrap();
        }
        assert_eq!(terms(&cluster), before);
        cluster.shut_down().await;
    });
}

/// A disk that is full as long as the flag is set; it has room again when the test ends, in any way.
struct FullDisk(Arc<AtomicBool>);

impl Drop for FullDisk {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// More is committed than the memory holds, and the store's disk is full: the member starts and serves what it has.
#[test]
fn a_member_starts_on_a_full_disk_with_more_than_its_memory_holds() {
    within(|| async {
        let full = Arc::new(AtomicBool::new(false));
        let seen = full.clone();
        let stores = store::Options {
            checkpoint: CheckpointPolicy::Background {
                interval: Duration::from_secs(3600),
                bytes: 32 << 20,
                operations: 2,
            },
            before_commit: Some(Arc::new(move || match seen.load(Ordering::SeqCst) {
                true => Err(std::io::Error::from_raw_os_error(libc::ENOSPC)),
                false => Ok(()),
            })),
            ..store_options()
        };
        let mut cluster = Cluster::of(1, |_| {}, stores).await;
        cluster.leader().await;
        let before = installing::copied(cluster.machines[&1].dir.path());
        for n in 0..200 {
            write(&cluster, 1, &format!("k{n}"), "v").await;
        }
        cluster.stop(1).await;
        // The directory after a crash before all checkpoints.
        cluster.machines.get_mut(&1).unwrap().dir = before;
        let disk = FullDisk(full);
        disk.0.store(true, Ordering::SeqCst);
        {
            let mut start = std::pin::pin!(cluster.start(1, vec![member(1)]));
            until_threads("the member starts", || start.as_mut().now_or_never().is_some()).await;
        }
        let store = cluster.store(1);
        assert_eq!(value(&store, "k0").as_deref(), Some("v"));
        until_threads("the disk is found full", || cluster.node(1).is_disk_full()).await;
        drop(disk);
        until_threads("all is applied", || value(&store, "k199").is_some()).await;
        cluster.shut_down().await;
    });
}

async fn write(cluster: &Cluster, through: u64, key: &str, text: &str) {
    cluster.node(through).propose(Caller::Anonymous, put(key, text)).await.unwrap();
}

/// Others may have written what a leader's own disk is still at, so that commands end without it: what it holds in memory
/// meanwhile has a bound.
#[tokio::test(start_paused = true)]
async fn a_leader_whose_disk_is_far_behind_lets_it_catch_up() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let behind = |bytes| cluster.node(leader).0.shared.pace.begin_entries(None, bytes);
    let writes = [behind(40 << 20), behind(40 << 20)];
    let put = |through| {
        let node = cluster.node(through).clone();
        tokio::spawn(async move { node.propose(Caller::Anonymous, put("k", "v")).await })
    };
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    let puts = [put(leader), put(follower)];
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(puts.iter().all(|put| !put.is_finished()));
    let [first, _second] = writes;
    drop(first);
    for put in puts {
        put.await.unwrap().unwrap();
    }
    cluster.shut_down().await;
}
