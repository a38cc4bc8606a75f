//! The members: what their processes are made of, what a crash leaves of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kvd::api::leases;
use kvd::lease::{self, Lessor};
use kvd::log::{Log, Mode, Options, SimDisk};
use kvd::model::{
    Clock, ClusterId, Entropy, Event, EventKind, LeaseChange, Member, MemberId, Observer, RevisionEvents,
};
use kvd::raft::{self as signal, Node, NodeOptions, Standing, found};
use kvd::store::{self, CheckpointPolicy, Store};
use kvd::watch::{self, Hub};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::dice::Dice;
use super::journal::Journal;
use super::network::Network;

pub const ELECTION: Duration = Duration::from_millis(1000);
pub const HEARTBEAT: Duration = Duration::from_millis(100);

/// An event as it is compared: kind, key, value.
pub type Seen = (EventKind, Vec<u8>, Vec<u8>);

/// One event of a revision.
pub fn seen(event: &Event) -> Seen {
    (event.kind, event.kv.key.to_vec(), event.kv.value.to_vec())
}

/// All members, and what they agree on. Clones share it.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    journal: Journal,
    network: Network,
    dir: TempDir,
    state: Mutex<State>,
    /// What each revision did, as the first member that applied it said.
    truth: Mutex<BTreeMap<i64, Vec<Seen>>>,
    /// What is left of crashed processes, until it has ended.
    remains: Mutex<Vec<JoinHandle<()>>>,
    started: Instant,
}

struct State {
    dice: Dice,
    machines: BTreeMap<u64, Machine>,
    dirs: u64,
    snapshot_count: u64,
}

/// What a member keeps when its process ends.
struct Machine {
    disk: SimDisk,
    dir: PathBuf,
    running: Option<Process>,
    /// Its member was removed: it is not started again.
    retired: bool,
    skew_ms: i64,
}

/// A member's process.
#[derive(Clone)]
pub struct Process {
    pub id: u64,
    pub node: Node,
    pub store: Store,
    pub hub: Arc<Hub>,
    pub lessor: Arc<Lessor>,
    /// True once it has crashed.
    pub crashed: signal::Sender<bool>,
    log: Log,
    tasks: Arc<Mutex<JoinSet<()>>>,
    flusher: Arc<JoinHandle<()>>,
}

impl Process {
    /// What `work` comes to, or nothing where the process crashes meanwhile.
    pub async fn unless_it_crashes<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut crashed = self.crashed.subscribe();
        tokio::select! {
            biased;
            _ = crashed.wait_for(|crashed| *crashed) => None,
            done = work => Some(done),
        }
    }
}

/// A member's clocks: its wall clock is off, and its monotonic clock began some time ago.
struct SimClock {
    started: Instant,
    skew_ms: i64,
    up: Duration,
}

impl Clock for SimClock {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + self.skew_ms + self.started.elapsed().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        self.up + self.started.elapsed()
    }
}

struct Salts(Mutex<Dice>);

impl Entropy for Salts {
    fn next(&self) -> u64 {
        self.0.lock().next()
    }
}

/// Compares what a member applies with what the others applied.
struct Comparing {
    world: World,
    member: u64,
}

impl Observer for Comparing {
    fn on_events(&self, revisions: &[RevisionEvents]) {
        let mut truth = self.world.0.truth.lock();
        for revision in revisions {
            let events: Vec<Seen> = revision.events.iter().map(seen).collect();
            let known = truth.entry(revision.revision).or_insert_with(|| events.clone());
            if *known != events {
                let what = format!(
                    "member {} applied {events:?} at revision {}, another one {known:?}",
                    self.member, revision.revision
                );
                self.world.0.journal.broken(what);
            }
        }
    }

    fn on_leases(&self, _: &[LeaseChange]) {}

    fn on_compacted(&self, _: i64) {}

    fn on_restored(&self, _: i64) {}
}

pub fn member(id: u64) -> Member {
    Member {
        id: MemberId(id),
        name: String::new(),
        peer_urls: vec![format!("http://10.0.0.{id}:2380")],
        client_urls: Vec::new(),
        learner: false,
        pending: false,
    }
}

fn store_options() -> store::Options {
    store::Options { map_size: 64 << 20, checkpoint: CheckpointPolicy::Manual, ..store::Options::default() }
}

/// Where files go that need not outlive the run: memory, where the system has a place for that.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let builder = || tempfile::Builder::new();
    let in_memory = memory.is_dir().then(|| builder().prefix("kvd-simulation-").tempdir_in(memory).ok());
    in_memory.flatten().unwrap_or_else(|| builder().prefix("kvd-simulation-").tempdir().expect("a directory"))
}

impl World {
    /// A world without members.
    pub fn new(dice: Dice, network: Network, journal: Journal, snapshot_count: u64) -> Self {
        let state = State { dice, machines: BTreeMap::new(), dirs: 0, snapshot_count };
        Self(Arc::new(Inner {
            journal,
            network,
            dir: scratch(),
            state: Mutex::new(state),
            truth: Mutex::default(),
            remains: Mutex::default(),
            started: Instant::now(),
        }))
    }

    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub fn network(&self) -> &Network {
        &self.0.network
    }

    /// What each revision did.
    pub fn truth(&self) -> BTreeMap<i64, Vec<Seen>> {
        self.0.truth.lock().clone()
    }

    /// The processes that run, by member id.
    pub fn running(&self) -> Vec<Process> {
        self.0.state.lock().machines.values().filter_map(|machine| machine.running.clone()).collect()
    }

    /// The process of a member, where it runs.
    pub fn process(&self, id: u64) -> Option<Process> {
        self.0.state.lock().machines.get(&id)?.running.clone()
    }

    /// The members whose machines are off but could be switched on.
    pub fn down(&self) -> Vec<u64> {
        let state = self.0.state.lock();
        let down = |machine: &Machine| machine.running.is_none() && !machine.retired;
        state.machines.iter().filter(|(_, machine)| down(machine)).map(|(id, _)| *id).collect()
    }

    /// Whether there is a machine for the member.
    pub fn is_known(&self, id: u64) -> bool {
        self.0.state.lock().machines.contains_key(&id)
    }

    /// The process that leads and is up to date, with the newest term.
    pub fn leader(&self) -> Option<Process> {
        let leading = |process: &Process| {
            let now = *process.node.leadership().borrow();
            now.leading.then_some(now.term)
        };
        self.running()
            .into_iter()
            .filter_map(|p| Some((leading(&p)?, p)))
            .max_by_key(|(term, _)| *term)
            .map(|(_, p)| p)
    }

    fn fresh_dir(&self, state: &mut State) -> PathBuf {
        state.dirs += 1;
        let dir = self.0.dir.path().join(state.dirs.to_string());
        std::fs::create_dir(&dir).expect("a directory in the scratch directory");
        dir
    }

    /// Starts a member, for the first time or again.
    pub async fn start(&self, id: u64, founders: Vec<Member>) {
        let (disk, dir, skew_ms, salts, mut house_dice, mut disk_dice, snapshot_count) = {
            let mut state = self.0.state.lock();
            let mut fork = || Dice::new(state.dice.next());
            let (mut first, salts, house, flush) = (fork(), fork(), fork(), fork());
            if !state.machines.contains_key(&id) {
                let dir = self.fresh_dir(&mut state);
                let skew_ms = first.within(-7_200_000, 7_200_000);
                let disk = SimDisk::new(first.next());
                state.machines.insert(id, Machine { disk, dir, running: None, retired: false, skew_ms });
            }
            let machine = &state.machines[&id];
            let parts = (machine.disk.clone(), machine.dir.clone(), machine.skew_ms);
            (parts.0, parts.1, parts.2, salts, house, flush, state.snapshot_count)
        };
        self.0.journal.note(format!("member {id} starts"));
        let queued = Arc::new(Notify::new());
        let wake = queued.clone();
        let log = Log::open(
            Arc::new(disk),
            Options {
                segment_bytes: 64 << 10,
                first_segment_bytes: 32 << 10,
                mode: Mode::Stepped,
                on_queued: Arc::new(move || wake.notify_one()),
                ..Options::new(Arc::new(Salts(Mutex::new(salts))))
            },
        );
        let log = log.unwrap_or_else(|error| panic!("the log of member {id} cannot be opened: {error}"));
        let flushed = log.clone();
        let flusher = tokio::spawn(async move {
            loop {
                queued.notified().await;
                tokio::time::sleep(Duration::from_micros(disk_dice.within(200, 4000) as u64)).await;
                flushed.flush();
            }
        });
        let store = Store::open(&dir, store_options());
        let store =
            store.unwrap_or_else(|error| panic!("the store of member {id} cannot be opened: {error}"));
        let up = Duration::from_secs(house_dice.within(0, 1_000_000) as u64);
        let clock = Arc::new(SimClock { started: self.0.started, skew_ms, up });
        let hub = Hub::new(Arc::new(store.clone()), watch::Options::default());
        let source = store.clone();
        let lessor = Lessor::new(
            Arc::new(move || source.leases()),
            clock.clone(),
            MemberId(id),
            lease::Options { election_timeout: ELECTION, heartbeat: HEARTBEAT },
        );
        let comparing = Arc::new(Comparing { world: self.clone(), member: id });
        store.set_observers(vec![comparing, hub.clone(), lessor.clone()]);
        let (crashed, journal) = (signal::Sender::new(false), self.0.journal.clone());
        let over = crashed.clone();
        if Standing::of(&log, store.applied()).is_log_empty() {
            found(&log, &founders).await.expect("a log that can be written");
        }
        let node = Node::start(NodeOptions {
            id: MemberId(id),
            cluster: ClusterId(77),
            name: format!("m{id}"),
            client_urls: vec![format!("http://10.0.0.{id}:2379")],
            force_new_cluster: false,
            log: log.clone(),
            store: store.clone(),
            transport: self.0.network.exit(MemberId(id)),
            clock,
            heartbeat: HEARTBEAT,
            election: ELECTION,
            snapshot_count,
            catchup_entries: snapshot_count / 2,
            strict_reconfig: true,
            max_learners: 1,
            pre_vote: true,
            on_fatal: Arc::new(move |why| {
                if !*over.borrow() {
                    journal.broken(format!("member {id} cannot go on: {why}"));
                }
            }),
        });
        let node = node.await.unwrap_or_else(|error| panic!("member {id} does not start: {error}"));
        self.0.network.attach(MemberId(id), node.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(leases::run(node.clone(), lessor.clone()));
        let folded = store.clone();
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(house_dice.within(200, 2000) as u64)).await;
                folded.checkpoint().expect("a checkpoint in memory");
                folded.prune().expect("old versions are removed");
            }
        });
        let (tasks, flusher) = (Arc::new(Mutex::new(tasks)), Arc::new(flusher));
        let process = Process { id, node, store, hub, lessor, crashed, log, tasks, flusher };
        if let Some(machine) = self.0.state.lock().machines.get_mut(&id) {
            machine.running = Some(process);
        }
    }

    /// Power fails at a member: of what its log had not flushed any part may be there, of its store what was folded.
    pub fn crash(&self, id: u64) {
        let mut state = self.0.state.lock();
        let state = &mut *state;
        let Some(process) = state.machines.get_mut(&id).and_then(|machine| machine.running.take()) else {
            return;
        };
        self.0.journal.note(format!("member {id} crashes"));
        self.0.network.detach(MemberId(id));
        process.crashed.send_replace(true);
        process.tasks.lock().abort_all();
        let dir = self.fresh_dir(state);
        let Some(machine) = state.machines.get_mut(&id) else { return };
        if state.dice.one_in(2) {
            // In the middle of writing what is queued.
            machine.disk.fail_in(state.dice.below(4) as u64);
            process.log.flush();
        }
        machine.disk = machine.disk.after_power_failure();
        copy_all(&machine.dir, &dir);
        machine.dir = dir;
        let remains = tokio::spawn(async move {
            process.node.shutdown().await;
            process.flusher.abort();
            // The observers know the world, which must be able to go.
            process.store.set_observers(Vec::new());
        });
        self.0.remains.lock().push(remains);
    }

    /// A member that was removed for ever is switched off.
    pub fn retire(&self, id: u64) {
        self.crash(id);
        if let Some(machine) = self.0.state.lock().machines.get_mut(&id) {
            machine.retired = true;
        }
    }

    /// The members that were retired.
    pub fn is_retired(&self, id: u64) -> bool {
        self.0.state.lock().machines.get(&id).is_some_and(|machine| machine.retired)
    }

    /// Ends everything.
    pub async fn end(&self) {
        for process in self.running() {
            self.crash(process.id);
        }
        let remains = std::mem::take(&mut *self.0.remains.lock());
        for remains in remains {
            if let Err(error) = remains.await {
                self.0.journal.broken(format!("a process ended badly: {error}"));
            }
        }
        // Whoever still holds a part of the world must not keep its files.
        std::fs::remove_dir_all(self.0.dir.path()).expect("the scratch directory can be removed");
    }
}

/// Copies a directory, but not who has it open.
fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("the store's directory") {
        let entry = entry.expect("an entry of the store's directory");
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            std::fs::create_dir(to.join(&name)).expect("a directory");
            copy_all(&path, &to.join(&name));
        } else if name != "lock.mdb" {
            std::fs::copy(&path, to.join(&name)).expect("a copy");
        }
    }
}
