//! Nodes in one process, on simulated disks, with a network that can be cut, and a clock that stands still until all
//! tasks wait.

mod claims;
mod cluster;
mod conformance;
mod hostile;
mod installing;
mod single;
mod stalls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;
use crate::log::{Log, Mode, Options, SimDisk};
use crate::model::{
    Caller, Clock, ClusterId, Command, Entropy, KeyRange, Member, MemberChange, MemberId, Put, RangeQuery,
    Refusal, Reply,
};
use crate::store::{self, CheckpointPolicy, Store};

/// A wall clock that follows tokio's.
struct TestClock(tokio::time::Instant);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + self.0.elapsed().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

struct Numbers(Mutex<u64>);

impl Entropy for Numbers {
    fn next(&self) -> u64 {
        let mut last = self.0.lock();
        *last = last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *last
    }
}

fn log_options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        first_segment_bytes: 32 << 10,
        mode: Mode::Inline,
        ..Options::new(Arc::new(Numbers(Mutex::new(1))))
    }
}

fn store_options() -> store::Options {
    store::Options { map_size: 64 << 20, checkpoint: CheckpointPolicy::Manual, ..store::Options::default() }
}

fn open_log(disk: &SimDisk) -> Log {
    Log::open(Arc::new(disk.clone()), log_options()).unwrap()
}

fn open_store(dir: &TempDir) -> Store {
    Store::open(dir.path(), store_options()).unwrap()
}

fn member(id: u64) -> Member {
    Member::founder(MemberId(id), vec![format!("http://10.0.0.{id}:2380")])
}

/// The parts of a member that outlive its process.
struct Machine {
    disk: SimDisk,
    dir: TempDir,
    running: Option<(Node, Store)>,
}

struct Cluster {
    network: Loopback,
    machines: BTreeMap<u64, Machine>,
    /// Changed by some tests before members start.
    settings: fn(&mut NodeOptions),
    /// The options of the stores.
    stores: store::Options,
}

impl Cluster {
    /// A cluster that begins with members 1 to `size`.
    async fn new(size: u64) -> Self {
        Self::with(size, |_| {}).await
    }

    async fn with(size: u64, settings: fn(&mut NodeOptions)) -> Self {
        Self::of(size, settings, store_options()).await
    }

    async fn of(size: u64, settings: fn(&mut NodeOptions), stores: store::Options) -> Self {
        let mut cluster = Self { network: Loopback::default(), machines: BTreeMap::new(), settings, stores };
        let members: Vec<Member> = (1..=size).map(member).collect();
        for id in 1..=size {
            cluster.start(id, members.clone()).await;
        }
        cluster
    }

    /// Starts a member, for the first time or again.
    async fn start(&mut self, id: u64, founders: Vec<Member>) {
        let machine = self.machines.entry(id).or_insert_with(|| Machine {
            disk: SimDisk::new(id),
            dir: tempfile::tempdir().unwrap(),
            running: None,
        });
        // The last process's tasks end a little after it.
        let mut opened = None;
        until("the store is free", || {
            opened = Store::open(machine.dir.path(), self.stores.clone()).ok();
            opened.is_some()
        })
        .await;
        let store = opened.unwrap();
        let log = open_log(&machine.disk);
        if Standing::of(&log, store.applied()).is_log_empty() {
            found(&log, &founders).await.unwrap();
        }
        let clock = Arc::new(TestClock(tokio::time::Instant::now()));
        let transport = self.network.from(MemberId(id));
        let mut options = NodeOptions {
            name: format!("m{id}"),
            client_urls: vec![format!("http://10.0.0.{id}:2379")],
            ..NodeOptions::new(MemberId(id), ClusterId(77), log, store.clone(), transport, clock)
        };
        (self.settings)(&mut options);
        let node = Node::start(options).await.unwrap();
        self.network.attach(MemberId(id), node.clone());
        machine.running = Some((node, store));
    }

    async fn stop(&mut self, id: u64) {
        self.network.detach(MemberId(id));
        let (node, store) = self.machines.get_mut(&id).unwrap().running.take().unwrap();
        node.shutdown().await;
        store.close().unwrap();
    }

    fn node(&self, id: u64) -> Node {
        self.machines[&id].running.as_ref().unwrap().0.clone()
    }

    fn store(&self, id: u64) -> Store {
        self.machines[&id].running.as_ref().unwrap().1.clone()
    }

    fn running(&self) -> Vec<u64> {
        self.machines.iter().filter(|(_, machine)| machine.running.is_some()).map(|(id, _)| *id).collect()
    }

    /// Waits until one of the members leads and is up to date.
    async fn leader(&self) -> u64 {
        self.leader_among(&self.running()).await
    }

    async fn leader_among(&self, ids: &[u64]) -> u64 {
        let mut leader = 0;
        until("a leader", || {
            leader = ids.iter().copied().find(|id| self.node(*id).leadership().borrow().leading).unwrap_or(0);
            leader != 0
        })
        .await;
        leader
    }

    async fn shut_down(mut self) {
        for id in self.running() {
            self.stop(id).await;
        }
    }
}

/// Waits for a condition, on a clock that runs as fast as it can.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: it never happened");
}

fn put(key: &str, value: &str) -> Command {
    Command::Put(Put { key: key.to_string().into(), value: value.to_string().into(), ..Put::default() })
}

fn value(store: &Store, key: &str) -> Option<String> {
    let query = RangeQuery::current(KeyRange::single(key.to_string()));
    let found = store.range(&query).unwrap().kvs.pop()?;
    Some(String::from_utf8_lossy(&found.value).into_owned())
}
