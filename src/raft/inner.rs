//! What all parts of a node share: its options, raft's handle and status, the queues, its tasks. No code here proposes,
//! reads or changes members: the parts that do so use this one, and it knows nothing of the node that contains them.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::options::NodeOptions;
use super::pace::STALLED;
use super::processor::Processor;
use super::queue::{Reader, Waiting};
use super::room::Room;
use super::shared::Shared;
use super::signal::Sender;
use super::state_machine::StateMachine;
use super::topics::Topics;
use super::types::{Peer, Types};
use crate::log::Space;
use crate::model::{LogPosition, MemberId, Refusal};

/// openraft's handle with kvd's types.
pub type Raft = openraft::Raft<Types, StateMachine>;

/// A reason not to stand for election.
#[derive(Clone, Copy)]
pub enum Doubt {
    /// The state is wrong.
    State = 1,
    /// The log's disk stands still: a vote for this member itself could not be written either.
    Disk = 2,
}

/// What all parts of a node share.
pub struct Inner {
    /// The options that the node was started with.
    pub options: NodeOptions,
    /// Raft's status, readable without a request to the raft thread.
    pub shared: Arc<Shared>,
    /// Held while members are changed: one change at a time.
    pub members: Mutex<()>,
    /// The handlers of members' questions to their leader.
    pub topics: Topics,
    raft: OnceLock<Raft>,
    runtime: tokio::runtime::Handle,
    /// In a simulation: the processor for the tasks.
    processor: Option<Processor>,
    tasks: parking_lot::Mutex<JoinSet<()>>,
    proposals: mpsc::UnboundedSender<Waiting>,
    readers: mpsc::UnboundedSender<Reader>,
    /// The room for snapshots.
    pub room: Room,
    /// The members that this one, as their leader, sends its state to at present.
    pub states_sent: parking_lot::Mutex<BTreeSet<MemberId>>,
    /// Bytes of commands whose outcome is not known yet.
    pub undecided: Arc<AtomicUsize>,
    /// Why this member does not stand for election: a bit for each [`Doubt`].
    doubts: AtomicU8,
    /// Groups of commands that other members wait for.
    pub for_others: Sender<usize>,
    /// The highest position that a leader has reported as committed.
    pub said: parking_lot::Mutex<Option<LogPosition>>,
    /// The stopping node has tried to transfer leadership: it does not try again.
    pub handed_over: AtomicBool,
    /// Set when the node is to stop.
    pub stopped: Sender<bool>,
    /// Set when the node has stopped.
    pub ended: Sender<bool>,
}

/// The receiving ends of a node's queues.
pub struct Queues {
    /// Commands to be proposed.
    pub proposals: mpsc::UnboundedReceiver<Waiting>,
    /// Reads that wait for the read index.
    pub readers: mpsc::UnboundedReceiver<Reader>,
}

/// Interval at which a stopping node checks whether there is still a quorum.
const LOOK: Duration = Duration::from_millis(10);

impl Inner {
    /// The shared part of a node that runs on the current runtime, before raft has been started.
    pub fn new(options: NodeOptions, shared: Arc<Shared>) -> (Arc<Self>, Queues) {
        let (proposals, proposal_queue) = mpsc::unbounded_channel();
        let (readers, reader_queue) = mpsc::unbounded_channel();
        let inner = Arc::new(Self {
            options,
            shared,
            members: Mutex::new(()),
            topics: Topics::default(),
            raft: OnceLock::new(),
            runtime: tokio::runtime::Handle::current(),
            processor: Processor::here(),
            tasks: parking_lot::Mutex::new(JoinSet::new()),
            proposals,
            readers,
            room: Room::default(),
            states_sent: parking_lot::Mutex::default(),
            undecided: Arc::default(),
            doubts: AtomicU8::new(0),
            for_others: Sender::new(0),
            said: parking_lot::Mutex::default(),
            handed_over: AtomicBool::new(false),
            stopped: Sender::new(false),
            ended: Sender::new(false),
        });
        (inner, Queues { proposals: proposal_queue, readers: reader_queue })
    }

    /// Raft is running. To be called once, at the start.
    pub fn set_raft(&self, raft: Raft) {
        // A second call changes nothing.
        let _ = self.raft.set(raft);
    }

    /// Ends all tasks.
    pub fn abort_tasks(&self) {
        self.tasks.lock().abort_all();
    }

    /// Whether there is a reason for this member not to stand for election; it votes all the same.
    pub fn doubt(&self, doubt: Doubt, is_there: bool) {
        let bit = doubt as u8;
        let before = match is_there {
            true => self.doubts.fetch_or(bit, Ordering::SeqCst),
            false => self.doubts.fetch_and(!bit, Ordering::SeqCst),
        };
        let now = if is_there { before | bit } else { before & !bit };
        if let Some(raft) = self.raft().filter(|_| now != before) {
            raft.runtime_config().elect(now == 0);
        }
    }

    /// True if there is a reason not to stand for election.
    pub fn has_doubts(&self) -> bool {
        self.doubts.load(Ordering::SeqCst) != 0
    }

    /// For how long the log's disk has stood still. One that is full does not: votes are still written.
    pub fn log_stalled_for(&self) -> Option<Duration> {
        let oldest = self.shared.pace.oldest().filter(|oldest| *oldest >= STALLED)?;
        matches!(self.options.log.space(), Space::Enough).then_some(oldest)
    }

    /// See [`super::Node::is_disk_full`].
    pub fn is_disk_full(&self) -> bool {
        let log_is_full = || matches!(self.options.log.space(), Space::Full { .. });
        self.options.store.is_disk_full() || log_is_full() || self.room.is_short()
    }

    /// Raft, once it is running.
    pub fn raft(&self) -> Option<&Raft> {
        self.raft.get()
    }

    /// Runs a task until the node stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        if !*self.stopped.borrow() {
            match &self.processor {
                None => tasks.spawn_on(task, &self.runtime),
                Some(processor) => tasks.spawn_on(processor.run(task), &self.runtime),
            };
        }
    }

    /// True if the node must stop.
    pub fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Queues a command.
    pub fn enqueue(&self, waiting: Waiting) {
        // If the receiver is gone, the command is dropped, which reports to the waiting caller.
        let _ = self.proposals.send(waiting);
    }

    /// Queues a read.
    ///
    /// # Errors
    /// [`Refusal::Stopped`].
    pub fn enqueue_read(&self, reader: Reader) -> Result<(), Refusal> {
        self.readers.send(reader).map_err(|_| Refusal::Stopped)
    }

    /// The addresses of a member in raft's configuration.
    pub fn peer(&self, id: MemberId) -> Option<Peer> {
        let config = self.raft()?.server_metrics().borrow_watched().membership_config.clone();
        config.membership().get_node(&id.0).cloned()
    }

    /// True if the member has been connected for this long.
    pub fn connected(&self, id: MemberId, long: Duration) -> bool {
        self.options.transport.connected_for(id).is_some_and(|connected| connected >= long)
    }

    /// True if this member can be part of a quorum now: it leads and reaches one, or it reaches its leader.
    pub fn has_quorum(&self) -> bool {
        match self.shared.leader() {
            None => false,
            Some(leader) if leader == self.shared.id() => self.quorum_connected(Duration::ZERO),
            Some(leader) => self.connected(leader, Duration::ZERO),
        }
    }

    /// Returns when a member that has led reaches no quorum, whoever leads in the meantime.
    pub async fn quorum_lost(&self) {
        while self.quorum_connected(Duration::ZERO) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// True if the others go on without the disk of this leader's log: enough of them for a quorum have written what it
    /// has been writing for longest, and were quicker by far than a disk that stands still. Otherwise their disks
    /// are no better, and leadership would only pass from one to the next.
    pub fn can_go_without(&self) -> bool {
        let (Some(raft), Some(entry)) = (self.raft(), self.shared.pace.oldest_entry()) else { return false };
        let metrics = raft.data_metrics().borrow_watched().clone();
        let matched = |id: &u64| metrics.replication.as_ref().and_then(|all| all.get(id).copied().flatten());
        let voters: Vec<u64> = raft.voter_ids().collect();
        let others = voters.iter().filter(|id| {
            let member = MemberId(**id);
            member != self.shared.id()
                && self.connected(member, Duration::ZERO)
                && matched(id).is_some_and(|matched| matched.index >= entry)
                && self.shared.replicas.was_quick(member, STALLED / 2)
        });
        others.count() > voters.len() / 2
    }

    /// True if a quorum, including this member, has been connected for this long.
    pub fn quorum_connected(&self, long: Duration) -> bool {
        let Some(raft) = self.raft() else { return false };
        let voters: Vec<u64> = raft.voter_ids().collect();
        let own = self.shared.id().0;
        let near = voters.iter().filter(|id| **id == own || self.connected(MemberId(**id), long)).count();
        near > voters.len() / 2
    }
}
