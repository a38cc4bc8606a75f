//! A member's machine, which stays, and the processes that start and end on it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use kvd::lease::Lessor;
use kvd::log::{Log, Mode, Options, SimDisk};
use kvd::member::{Checks, Member, RaftOn, Seams, States};
use kvd::model::{self, Caller, Clock, ClusterId, Entropy, LogPosition, MemberId, Observer};
use kvd::peer::Transport;
use kvd::raft::{self as signal, Node, NodeOptions, Processor, Standing, found};
use kvd::store::{self, CheckpointPolicy, Store, StoreError};
use kvd::watch::Hub;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::dice::Dice;
use super::promises::Promises;
use super::switches::Settings;

pub const ELECTION: Duration = Duration::from_millis(1000);
pub const HEARTBEAT: Duration = Duration::from_millis(100);
pub const CLUSTER: ClusterId = ClusterId(77);

/// How long a log waits before it looks for room again.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Number of changes in the head of a store from which on applying waits for its disk.
const HEAD: usize = 150;

/// What outlives a member's process.
pub struct Machine {
    pub log: SimDisk,
    pub store: PathBuf,
    pub store_disk: Arc<StoreDisk>,
    /// What was in `store` when power failed before.
    pub older: Option<PathBuf>,
    /// Where its identity is written.
    pub identity: PathBuf,
    /// The initial cluster that it is configured with.
    pub founders: Vec<model::Member>,
    pub settings: Settings,
    pub clock: Arc<SimClock>,
    pub running: Option<Process>,
    /// A process is being started.
    pub starting: bool,
    /// Its member was removed: it is not started again.
    pub retired: bool,
    /// A position that its log must not have lost: it was there after a start, and was not truncated since.
    pub kept: Option<LogPosition>,
}

/// The wall clock of a machine.
pub struct SimClock {
    started: Instant,
    ahead_ms: AtomicI64,
    /// How long the machine has been running when the run begins.
    up: Duration,
}

impl SimClock {
    pub fn new(started: Instant, ahead_ms: i64, up: Duration) -> Arc<Self> {
        Arc::new(Self { started, ahead_ms: AtomicI64::new(ahead_ms), up })
    }

    /// An operator sets the clock.
    pub fn step(&self, by_ms: i64) {
        self.ahead_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> i64 {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        1_700_000_000_000 + ahead + self.started.elapsed().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        self.up + self.started.elapsed()
    }
}

/// What is wrong with the disk of a machine's store.
#[derive(Default)]
pub struct StoreDisk {
    full_until: Mutex<Option<Instant>>,
    fails: AtomicBool,
}

impl StoreDisk {
    /// It has no room for this long.
    pub fn fill(&self, time: Duration) {
        *self.full_until.lock() = Some(Instant::now() + time);
    }

    /// The next commit fails.
    pub fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }

    /// Nothing is wrong with it any more.
    pub fn recover(&self) {
        *self.full_until.lock() = None;
        self.fail_no_more();
    }

    /// It does not fail, after all: the process that was to see it is gone.
    pub fn fail_no_more(&self) {
        self.fails.store(false, Ordering::Relaxed);
    }

    fn commits(&self) -> io::Result<()> {
        if self.fails.swap(false, Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        match *self.full_until.lock() {
            Some(until) if Instant::now() < until => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            _ => Ok(()),
        }
    }
}

/// How slow a machine's disks are at present, and how much the store's has yet to take.
#[derive(Default)]
pub struct Pace {
    log_until: Mutex<Option<Instant>>,
    store_until: Mutex<Option<Instant>>,
    /// True if the store's head was full after the last command.
    full: AtomicBool,
}

impl Pace {
    /// The log's disk does nothing for this long.
    pub fn stall_log(&self, time: Duration) {
        *self.log_until.lock() = Some(Instant::now() + time);
    }

    /// The same for the store's disk.
    pub fn stall_store(&self, time: Duration) {
        *self.store_until.lock() = Some(Instant::now() + time);
    }

    /// Both disks have their normal speed again.
    pub fn recover(&self) {
        (*self.log_until.lock(), *self.store_until.lock()) = (None, None);
    }

    /// A command was applied, and the store's head `is_full` now: how long that had to wait for the store's disk. The
    /// command that fills the head does not wait, the next one does.
    pub fn waited(&self, is_full: bool) -> Duration {
        let was_full = self.full.swap(is_full, Ordering::Relaxed);
        let until = self.store_until.lock().filter(|_| was_full);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    async fn log_is_free(&self) {
        loop {
            let until = self.log_until.lock().filter(|until| *until > Instant::now());
            let Some(until) = until else { return };
            tokio::time::sleep_until(until.min(Instant::now() + Duration::from_millis(50))).await;
        }
    }

    async fn store_is_free(&self) {
        loop {
            let until = self.store_until.lock().filter(|until| *until > Instant::now());
            let Some(until) = until else { return };
            tokio::time::sleep_until(until.min(Instant::now() + Duration::from_millis(50))).await;
        }
    }
}

/// A member's process.
#[derive(Clone)]
pub struct Process {
    pub id: u64,
    pub node: Node,
    pub store: Store,
    pub hub: Arc<Hub>,
    pub lessor: Arc<Lessor>,
    pub log: Log,
    pub promises: Arc<Promises>,
    /// True once it has crashed.
    pub crashed: signal::Sender<bool>,
    /// Raft's thread, and one for all other threads.
    pub threads: [Processor; 2],
    pub pace: Arc<Pace>,
    /// Its comparisons with the others.
    pub states: Arc<States>,
    /// One of its disks is about to fail: that it ends is no fault.
    pub doomed: Arc<AtomicBool>,
    pub tasks: Arc<Mutex<JoinSet<()>>>,
    pub flusher: Arc<JoinHandle<()>>,
}

impl Process {
    /// Whoever may do everything, as this member would authenticate it now.
    pub fn root(&self) -> Caller {
        let users = self.store.users();
        match users.is_enabled() {
            true => Caller::user("root", users.revision()),
            false => Caller::Anonymous,
        }
    }

    /// The result of `work` on the thread of this process's clients, or `None` if it crashes in the meantime.
    pub async fn unless_it_crashes<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut crashed = self.crashed.subscribe();
        tokio::select! {
            biased;
            _ = crashed.wait_for(|crashed| *crashed) => None,
            done = self.threads[1].run(work) => Some(done),
        }
    }

    /// Stops it for this long, as a signal does.
    pub fn pause(&self, time: Duration) {
        self.threads.iter().for_each(|thread| thread.stop_for(time));
    }

    pub fn is_paused(&self) -> bool {
        self.threads.iter().any(Processor::is_stopped)
    }

    /// Ends its tasks, and everything it would still write.
    pub fn stop(&self) {
        self.crashed.send_replace(true);
        self.tasks.lock().abort_all();
        self.flusher.abort();
    }

    /// Waits for its end.
    pub async fn ended(self) {
        self.node.shutdown().await;
        // The observers hold the world, which must be dropped.
        self.store.set_observers(Vec::new());
    }
}

struct Salts(Mutex<Dice>);

impl Entropy for Salts {
    fn next(&self) -> u64 {
        self.0.lock().next()
    }
}

/// The options of a simulated log.
pub fn log_options(salts: Dice, segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        first_segment_bytes: segment_bytes / 2,
        mode: Mode::Inline,
        ..Options::new(Arc::new(Salts(Mutex::new(salts))))
    }
}

fn store_options(quota: Option<u64>, disk: Arc<StoreDisk>) -> store::Options {
    store::Options {
        quota,
        before_commit: Some(Arc::new(move || disk.commits())),
        map_size: 64 << 20,
        checkpoint: CheckpointPolicy::Stepped { operations: HEAD },
        ..store::Options::default()
    }
}

pub fn member(id: u64) -> model::Member {
    model::Member::founder(MemberId(id), vec![format!("http://10.0.0.{id}:2380")])
}

/// Everything a process is started with.
pub struct Boot {
    pub id: u64,
    pub log: SimDisk,
    pub store: PathBuf,
    pub store_disk: Arc<StoreDisk>,
    pub identity: PathBuf,
    pub founders: Vec<model::Member>,
    pub settings: Settings,
    pub clock: Arc<SimClock>,
    pub transport: Arc<dyn Transport>,
    pub dice: Dice,
    /// The space quota, which is raised later.
    pub quota: Option<u64>,
    /// Its state was altered: it must not lead before that is found.
    pub altered: bool,
}

/// Makes the observer of a process, given its pace.
pub type MakeObserver = Box<dyn FnOnce(Arc<Pace>) -> Arc<dyn Observer> + Send>;

/// Receives the reason why a process cannot continue; true if its disk was about to fail.
pub type OnFatal = Arc<dyn Fn(&str, bool) + Send + Sync>;

/// The callbacks of a process.
pub struct Ears {
    /// For what it applies, by its pace.
    pub observer: MakeObserver,
    /// For the reason why it cannot continue.
    pub on_fatal: OnFatal,
}

impl Boot {
    /// Makes log and identity of a new member, in the daemon's order: first the log gets what it begins with, then the
    /// identity is written. From then on an empty log means that its disk is missing.
    async fn found(&self, log: &Log, store: &Store) -> Result<(), String> {
        use kvd::join::identity::{Identity, create, load};
        let is_empty = Standing::of(log, store.applied()).is_log_empty();
        if load(&self.identity).expect("a readable identity").is_some() {
            return if is_empty { Err("the log is missing".to_string()) } else { Ok(()) };
        }
        found(log, &self.founders).await.map_err(|error| error.to_string())?;
        let identity = Identity { member: MemberId(self.id), cluster: CLUSTER, epoch: 0 };
        create(&self.identity, &identity).map_err(|error| error.to_string())
    }

    /// Starts a member's process.
    ///
    /// # Errors
    /// Why its log, its store or its node cannot be opened.
    pub async fn start(mut self, ears: Ears) -> Result<Process, String> {
        let mut fork = || Dice::new(self.dice.next());
        let (salts, mut saving, mut disk) = (fork(), fork(), fork());
        let (pace, queued) = (Arc::<Pace>::default(), Arc::new(Notify::new()));
        let (wake, slow) = (queued.clone(), pace.clone());
        let options = Options {
            mode: Mode::Stepped,
            on_queued: Arc::new(move || wake.notify_one()),
            ..log_options(salts, self.settings.segment_bytes)
        };
        let log = Log::open(Arc::new(self.log.clone()), options)
            .map_err(|error| format!("the log cannot be opened: {error}"))?;
        let flushed = log.clone();
        let flusher = tokio::spawn(async move {
            loop {
                // Like the log's own thread, it tries again if there was no room.
                let _ = tokio::time::timeout(TRY_AGAIN, queued.notified()).await;
                tokio::time::sleep(Duration::from_micros(disk.within(200, 4000) as u64)).await;
                slow.log_is_free().await;
                flushed.flush();
            }
        });
        let flusher = Arc::new(flusher);
        let ends = Ending(Some(flusher.clone()));
        let store = Store::open(&self.store, store_options(self.quota, self.store_disk.clone()))
            .map_err(|error| format!("the store cannot be opened: {error}"))?;
        self.found(&log, &store).await?;
        let threads = [Processor::default(), Processor::default()];
        let doomed = Arc::new(AtomicBool::new(false));
        let (dooms, on_fatal) = (doomed.clone(), ears.on_fatal);
        let (doom, on_store) = (doomed.clone(), on_fatal.clone());
        let (id, transport, clock) = (MemberId(self.id), self.transport, self.clock);
        let raft = NodeOptions {
            name: format!("m{}", self.id),
            client_urls: vec![format!("http://10.0.0.{}:2379", self.id)],
            heartbeat: HEARTBEAT,
            election: self.settings.election,
            snapshot_count: self.settings.snapshot_count,
            catchup_entries: self.settings.snapshot_count / 2,
            max_learners: self.settings.max_learners,
            on_fatal: Arc::new(move |why| on_fatal(why, dooms.load(Ordering::Relaxed))),
            ..NodeOptions::new(id, CLUSTER, log.clone(), store.clone(), transport, clock)
        };
        let observers = vec![(ears.observer)(pace.clone())];
        let checks = Checks { replaces: self.settings.replaces, ..Checks::default() };
        let seams = Seams { raft_on: RaftOn::Here, observers, checks, ..Seams::new(raft) };
        let member = threads[0].run(Member::start(seams)).await.map_err(|error| error.to_string())?;
        if self.altered {
            member.node.stand(false);
        }
        let mut tasks = JoinSet::new();
        // Not the alarm of the quota: a fault that fills a store ends without an operator who disarms it.
        tasks.spawn(threads[1].run(member.leaders_jobs()));
        tasks.spawn(threads[1].run(member.comparisons()));
        let (folded, slow, (least, most)) = (store.clone(), pace.clone(), self.settings.checkpoints);
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(saving.within(least, most) as u64)).await;
                slow.store_is_free().await;
                match folded.checkpoint().and_then(|()| folded.prune()) {
                    Ok(_) => slow.full.store(false, Ordering::Relaxed),
                    Err(StoreError::Full { .. }) => {}
                    Err(error) => {
                        on_store(&error.to_string(), doom.load(Ordering::Relaxed));
                        return;
                    }
                }
            }
        });
        ends.not_yet();
        let (tasks, crashed) = (Arc::new(Mutex::new(tasks)), signal::Sender::new(false));
        Ok(Process {
            id: self.id,
            node: member.node,
            store,
            hub: member.hub,
            lessor: member.lessor,
            log,
            promises: Arc::new(Promises::new(self.log)),
            crashed,
            threads,
            pace,
            states: member.states,
            doomed,
            tasks,
            flusher,
        })
    }
}

/// Ends the flusher of a start that does not finish.
struct Ending(Option<Arc<JoinHandle<()>>>);

impl Ending {
    fn not_yet(mut self) {
        self.0 = None;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(flusher) = self.0.take() {
            flusher.abort();
        }
    }
}

/// Copies a directory, except for the lock of the process that has it open.
pub fn copy_all(from: &Path, to: &Path) {
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
