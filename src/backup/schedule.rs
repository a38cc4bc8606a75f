//! The job of a member: it reports to the leader again and again, and takes a backup when the leader says so.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::copy::Order;
use super::folder::Folder;
use super::name::{Source, host};
use super::turns::{Report, State, Turns, Verdict, pause};
use super::{BackupError, Made};
use crate::model::{Clock, Histogram, MemberId, Refusal};
use crate::raft::topics::{decode, encode};
use crate::raft::{Handler, Node, Pending, Topic, TopicTaken};
use crate::store::Store;

/// The thread yields to everything else.
const NICE: i32 = 10;

/// Pause after which a leader that does not know all members yet is asked again.
const SOON: Duration = Duration::from_millis(500);

/// What is backed up, how often and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory.
    pub directory: PathBuf,
    /// The time from one backup to the next.
    pub every: Duration,
    /// How many are kept.
    pub keep: usize,
    /// They are compressed with gzip.
    pub compress: bool,
}

/// Why there is a backup, or why there is none. It is called for each one that was begun, when it has ended.
pub type Outcome = dyn Fn(&Result<Made, BackupError>) + Send + Sync;

/// The backups of a member. Cheap to clone.
#[derive(Clone)]
pub struct Backups(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub options: Options,
    node: Node,
    store: Store,
    clock: Arc<dyn Clock>,
    pub ledger: Mutex<Ledger>,
    pub figures: Figures,
    /// Wakes what takes backups.
    begin: Notify,
    /// Wakes what reports.
    ended: Notify,
    on_end: Box<Outcome>,
}

/// What this member has taken so far.
#[derive(Default)]
pub(super) struct Ledger {
    /// One was begun and has not ended.
    pub busy: bool,
    /// How many have ended.
    pub ended: u64,
    /// The last one that was taken, in this process or before.
    pub made: Option<Made>,
    /// When it was taken, as the age at a monotonic time.
    age: Option<(Duration, Duration)>,
    /// Why the last one failed, and the monotonic time; `None` after one that was taken.
    pub failed: Option<(String, Duration)>,
}

/// Counters for metrics.
pub(super) struct Figures {
    pub successes: AtomicU64,
    pub failures: AtomicU64,
    pub written: Arc<AtomicU64>,
    pub took: Histogram,
}

/// The state of the backups, for whoever has asked for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// One is under way.
    pub busy: bool,
    /// How many have ended since the start.
    pub ended: u64,
    /// The file of the last one, if it did not fail.
    pub last: Option<PathBuf>,
    /// Why the last one failed.
    pub failed: Option<String>,
}

impl Backups {
    /// The backups of a member that takes some.
    pub fn new(
        options: Options,
        node: Node,
        store: Store,
        clock: Arc<dyn Clock>,
        on_end: Box<Outcome>,
    ) -> Self {
        let figures = Figures {
            successes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            written: Arc::default(),
            took: Histogram::doubling(0.125, 16),
        };
        let (begin, ended, ledger) = (Notify::new(), Notify::new(), Mutex::default());
        Self(Arc::new(Inner { options, node, store, clock, ledger, figures, begin, ended, on_end }))
    }

    /// Reports to the leader and takes backups for as long as it is polled. Whether the directory can be used is found
    /// out at once, not when a backup is due.
    pub async fn run(&self) {
        let inner = self.0.clone();
        // A network file system may be slow.
        let found = tokio::task::spawn_blocking(move || inner.find()).await;
        if let Err(error) = found.unwrap_or(Err(BackupError::Stopped)) {
            self.0.end(Err(error), self.0.clock.monotonic());
        }
        tokio::join!(self.0.ask_again_and_again(), self.0.take_what_was_begun());
    }

    /// Begins a backup now, or joins the one that is under way; returns how many will have ended with it.
    pub fn begin(&self) -> u64 {
        self.0.begin()
    }

    /// The present state.
    pub fn progress(&self) -> Progress {
        let ledger = self.0.ledger.lock();
        Progress {
            busy: ledger.busy,
            ended: ledger.ended,
            last: ledger.made.as_ref().filter(|_| ledger.failed.is_none()).map(|made| made.path.clone()),
            failed: ledger.failed.as_ref().map(|(why, _)| why.clone()),
        }
    }
}

impl Inner {
    /// The directory; which files in it are this cluster's depends on its members.
    fn folder(&self) -> Folder {
        let status = self.node.status();
        let source = Source::of(status.cluster, &self.store.members(), host());
        Folder::new(self.options.directory.clone(), source, status.id)
    }

    /// Finds out when the last backup was taken, and whether the next one can be.
    fn find(&self) -> Result<(), BackupError> {
        let folder = self.folder();
        folder.prepare()?;
        let now_ms = self.clock.now_ms();
        let is_past = |at: i64| at.saturating_mul(1000) <= now_ms;
        // A name of the future comes from a clock that was wrong.
        let newest = folder.own()?.into_iter().rev().find(|entry| is_past(entry.name.at));
        if let Some(entry) = newest {
            let age = u64::try_from(now_ms.saturating_sub(entry.name.at.saturating_mul(1000))).unwrap_or(0);
            let mut ledger = self.ledger.lock();
            ledger.age = Some((Duration::from_millis(age), self.clock.monotonic()));
            let super::Entry { path, name, bytes } = entry;
            ledger.made = Some(Made { path, name, bytes, removed: 0 });
        }
        Ok(())
    }

    fn begin(&self) -> u64 {
        let mut ledger = self.ledger.lock();
        if !std::mem::replace(&mut ledger.busy, true) {
            self.begin.notify_one();
        }
        ledger.ended + 1
    }

    async fn ask_again_and_again(&self) {
        let usual = pause(self.options.every);
        loop {
            let wait = match self.ask().await {
                Ok(Verdict::Take) => {
                    self.begin();
                    usual
                }
                Ok(Verdict::Soon) => SOON.min(usual),
                Ok(Verdict::Wait) => usual,
                Err(error) => {
                    tracing::debug!(%error, "the leader does not say whose turn it is to take a backup");
                    SOON.max(usual)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.ended.notified() => {}
            }
        }
    }

    async fn ask(&self) -> Result<Verdict, Refusal> {
        let report = self.report(self.node.status().id);
        let answer = self.node.ask_leader(Topic::BACKUPS, encode(&report)?).await?;
        decode(&answer)
    }

    fn report(&self, member: MemberId) -> Report {
        let (ledger, now) = (self.ledger.lock(), self.clock.monotonic());
        let age = ledger.age.map(|(age, at)| age.saturating_add(now.saturating_sub(at)));
        // A member that has failed lets the others try first.
        let rest = (self.options.every / 4).clamp(Duration::from_secs(1), Duration::from_secs(300));
        let failed = ledger.failed.as_ref().is_some_and(|(_, at)| now.saturating_sub(*at) < rest);
        let state = match () {
            () if ledger.busy => State::Busy,
            () if failed => State::Failed,
            () => State::Idle,
        };
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Report { member, every_ms: ms(self.options.every), age_ms: age.map(ms), state }
    }

    async fn take_what_was_begun(self: &Arc<Self>) {
        loop {
            self.begin.notified().await;
            let begun = self.clock.monotonic();
            let outcome = self.take().await;
            self.end(outcome, begun);
        }
    }

    async fn take(self: &Arc<Self>) -> Result<Made, BackupError> {
        // What any member has acknowledged until now belongs into it.
        self.node.read_index().await.map_err(BackupError::Behind)?;
        let stopped = StopOnDrop(Arc::default());
        let (sender, outcome) = oneshot::channel();
        let (inner, flag) = (self.clone(), stopped.0.clone());
        let run = move || {
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::debug!(%error, "a backup is taken with normal priority");
            }
            // Nobody waits for it if the member stops.
            let _ = sender.send(inner.copy(&flag));
        };
        let thread = std::thread::Builder::new().name("kvd-backup".into()).spawn(run);
        thread.map_err(BackupError::io(&self.options.directory))?;
        outcome.await.unwrap_or(Err(BackupError::Stopped))
    }

    fn copy(&self, stopped: &AtomicBool) -> Result<Made, BackupError> {
        self.figures.written.store(0, Ordering::Relaxed);
        let order = Order {
            store: &self.store,
            folder: &self.folder(),
            now: self.clock.now_ms().div_euclid(1000),
            compress: self.options.compress,
            keep: self.options.keep,
            written: &self.figures.written,
            stopped,
        };
        order.take()
    }

    fn end(&self, outcome: Result<Made, BackupError>, begun: Duration) {
        (self.on_end)(&outcome);
        let now = self.clock.monotonic();
        let mut ledger = self.ledger.lock();
        ledger.busy = false;
        ledger.ended += 1;
        match outcome {
            Ok(made) => {
                self.figures.successes.fetch_add(1, Ordering::Relaxed);
                self.figures.took.observe_time(now.saturating_sub(begun));
                ledger.age = Some((now.saturating_sub(begun), now));
                ledger.made = Some(made);
                ledger.failed = None;
            }
            Err(error) => {
                self.figures.failures.fetch_add(1, Ordering::Relaxed);
                ledger.failed = Some((error.to_string(), now));
            }
        }
        drop(ledger);
        self.ended.notify_one();
    }
}

/// Stops the thread if nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Registers the leader's answers. Every member has them, also one that takes no backups: it may lead those that do.
///
/// # Errors
/// [`TopicTaken`].
pub fn answer(node: &Node, clock: Arc<dyn Clock>) -> Result<(), TopicTaken> {
    node.register(Topic::BACKUPS, Arc::new(Leader { node: node.clone(), clock, turns: Mutex::default() }))
}

struct Leader {
    node: Node,
    clock: Arc<dyn Clock>,
    turns: Mutex<Turns>,
}

impl Handler for Leader {
    fn answer(&self, question: Bytes) -> Pending<Result<Bytes, Refusal>> {
        let decided = self.decide(&question);
        Box::pin(async move { decided })
    }
}

impl Leader {
    fn decide(&self, question: &[u8]) -> Result<Bytes, Refusal> {
        let report: Report = decode(question)?;
        let status = self.node.status();
        if !status.is_leader {
            return Err(Refusal::NotLeader);
        }
        let members: Vec<MemberId> = self.node.members().iter().map(|member| member.id).collect();
        let now = self.clock.monotonic();
        encode(&self.turns.lock().decide(report, (status.id, status.term), &members, now))
    }
}
