//! A node: the handle of raft for all other rooms.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::duties;
use super::found;
use super::log_store::LogStore;
use super::members;
use super::network::Network;
use super::options::{NodeOptions, StartError};
use super::processor::Processor;
use super::proposer::{self, Charge, Outcome, ReplyTo, Waiting, ask};
use super::reads::{self, Reader};
use super::replay::replay;
use super::room::Room;
use super::runtime::offload;
use super::settings::settings;
use super::shared::{Figures, Leadership, Shared, Status};
use super::signal::{Receiver, Sender};
use super::state_machine::StateMachine;
use super::topics::{Handler, Topic, TopicTaken, Topics};
use super::types::{Peer, Types};
use super::wire::{Answer, Request};
use crate::log::{Space, weight};
use crate::model::{
    Caller, Command, LogPosition, MAX_COMMAND_BYTES, Member, MemberChange, MemberId, Progress, Refusal, Reply,
};
use crate::peer::Lane;
use crate::store::quota;

/// openraft's handle with kvd's types.
pub type Raft = openraft::Raft<Types, StateMachine>;

/// A member's part in raft. Clones share it.
///
/// Its tasks run on the runtime on which it was started; best is one with a single thread that otherwise only runs the
/// transport ([`Node::start_on_thread`]). Its methods may be called from any runtime.
#[derive(Clone)]
pub struct Node(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) options: NodeOptions,
    pub(super) shared: Arc<Shared>,
    /// Held while members are changed: one change at a time.
    pub(super) members: Mutex<()>,
    /// The handlers of members' questions to their leader.
    pub(super) topics: Topics,
    raft: OnceLock<Raft>,
    runtime: tokio::runtime::Handle,
    /// In a simulation: the processor for the tasks.
    processor: Option<Processor>,
    tasks: parking_lot::Mutex<JoinSet<()>>,
    proposals: mpsc::UnboundedSender<Waiting>,
    readers: mpsc::UnboundedSender<Reader>,
    /// The room for snapshots.
    pub(super) room: Room,
    /// Bytes of commands whose outcome is not known yet.
    undecided: Arc<AtomicUsize>,
    /// Groups of commands that other members wait for.
    pub(super) for_others: Sender<usize>,
    /// The highest position that a leader has reported as committed.
    pub(super) said: parking_lot::Mutex<Option<LogPosition>>,
    /// A transfer of leadership was tried at the stop: it is not tried again.
    handed_over: AtomicBool,
    /// Set when the node must stop, and when it has stopped.
    stopped: Sender<bool>,
    ended: Sender<bool>,
}

/// Entries that may be committed but not applied before new commands are refused (etcd
/// `maxGapBetweenApplyAndCommitIndex`).
const MAX_BACKLOG: u64 = 5000;

/// Interval at which a stopping node checks whether there is still a quorum.
const LOOK: Duration = Duration::from_millis(10);

impl Node {
    /// Starts a node on the present runtime, on a log that [`super::found()`] or an earlier process of the node has
    /// written. With an empty log it waits for messages of its cluster. A member that is the only voter leads when this
    /// returns, or very soon after.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: NodeOptions) -> Result<Node, StartError> {
        let config = Arc::new(settings(&options)?);
        let only = found::begin(&options).await?;
        replay(&options).await?;
        let shared = Arc::new(Shared::new(options.id, options.cluster, options.election));
        if let Some(config) = &only {
            shared.set_config(config);
        }
        let log_store = LogStore::new(options.log.clone(), shared.clone());
        let machine = StateMachine::new(options.store.clone(), shared.clone());
        let network = Network::new(options.transport.clone(), shared.clone());
        let (proposals, proposal_queue) = mpsc::unbounded_channel();
        let (readers, reader_queue) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
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
            undecided: Arc::default(),
            for_others: Sender::new(0),
            said: parking_lot::Mutex::default(),
            handed_over: AtomicBool::new(false),
            stopped: Sender::new(false),
            ended: Sender::new(false),
        });
        let raft = Raft::build(inner.options.id.0, config, network, log_store, machine)
            .await
            .map_err(|error| StartError::Storage(error.to_string()))?;
        if let Some(config) = &only {
            inner.shared.set_config(config);
        }
        raft.run();
        // Set once, here.
        let _ = inner.raft.set(raft.clone());
        inner.spawn(duties::watch_leader(inner.clone()));
        inner.spawn(duties::lead(inner.clone()));
        inner.spawn(duties::publish(inner.clone()));
        inner.spawn(duties::bound_log(inner.clone()));
        inner.spawn(duties::leave_full_disk(inner.clone()));
        inner.spawn(proposer::run(inner.clone(), proposal_queue));
        inner.spawn(reads::run(inner.clone(), reader_queue));
        if inner.shared.is_only_voter() {
            // It is the only voter: no need to wait for an election timeout.
            let _ = raft.trigger().elect(false).await;
        }
        Ok(Node(inner))
    }

    /// Starts a node on its transport's thread, or on its own thread, which ends with [`Node::shutdown`].
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn start_on_thread(options: NodeOptions) -> Result<Node, StartError> {
        let gone = || std::io::Error::other("the raft thread ended before the node was started");
        if let Some(runtime) = options.transport.runtime() {
            return runtime.spawn(Node::start(options)).await.map_err(|_| gone())?;
        }
        let (sender, started) = oneshot::channel();
        let body = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(sender.send(Err(error.into()))),
            };
            runtime.block_on(async move {
                let node = Node::start(options).await;
                let ended = node.as_ref().ok().map(|node| node.0.ended.subscribe());
                if sender.send(node).is_ok()
                    && let Some(mut ended) = ended
                {
                    let _ = ended.wait_for(|ended| *ended).await;
                }
            });
        };
        std::thread::Builder::new().name("kvd-raft".into()).spawn(body)?;
        started.await.map_err(|_| gone())?
    }

    /// Proposes a command for `caller` and waits until it is applied here; a follower asks the leader to propose it.
    /// Ends at its own deadline (etcd's request timeout). Dropping the future stops waiting, but the command may still
    /// be applied.
    ///
    /// # Errors
    /// The refusal of the applied command, including [`Refusal::AuthOldRevision`]: then nothing was done, and the
    /// caller may be authenticated again and propose again; [`Refusal::TooManyRequests`] if too many commands wait to
    /// be applied; [`Refusal::Timeout`] and similar refusals if the outcome is unknown, or no leader was found in time;
    /// [`Refusal::Stopped`].
    pub async fn propose(&self, caller: Caller, command: Command) -> Result<Reply, Refusal> {
        let started = Instant::now();
        let figures = &self.0.shared.figures;
        let work = self.0.outcome(caller, command);
        let _pending = figures.pending();
        let outcome = match tokio::time::timeout(self.0.options.request_timeout(), work).await {
            Ok(Ok((Reply::Refused(refusal), _))) => return Err(refusal),
            // Clients expect this refusal only from a transfer of leadership.
            Ok(Err(Refusal::NotLeader)) if self.0.is_stopped() => Err(Refusal::Stopped),
            Ok(outcome) => outcome.map(|(reply, _)| reply),
            Err(_) => Err(self.0.why_late(started)),
        };
        outcome.inspect_err(|_| _ = figures.failed.fetch_add(1, Ordering::Relaxed))
    }

    /// Proposes a command of kvd itself, as [`Node::propose`] does, but only as the leader of `term`; it is never
    /// forwarded to another leader.
    ///
    /// # Errors
    /// As [`Node::propose`]; [`Refusal::NotLeader`] if this member does not lead in that term, and nothing was done.
    pub async fn propose_in_term(&self, term: u64, command: Command) -> Result<Reply, Refusal> {
        let started = Instant::now();
        let work = self.0.queued(Caller::System, command, Some(term));
        match tokio::time::timeout(self.0.options.request_timeout(), work).await {
            Ok(Ok((Reply::Refused(refusal), _))) => Err(refusal),
            Ok(outcome) => outcome.map(|(reply, _)| reply),
            Err(_) => Err(self.0.why_late(started)),
        }
    }

    /// Asks the leader's handler for a topic (see [`Node::register`]); this member may be the leader.
    ///
    /// # Errors
    /// [`Refusal::NoLeader`]; [`Refusal::Timeout`], also if the leader could not be reached; the handler's refusals.
    pub async fn ask_leader(&self, topic: Topic, question: Bytes) -> Result<Bytes, Refusal> {
        match self.0.shared.leader() {
            None => Err(Refusal::NoLeader),
            Some(leader) if leader == self.0.shared.id() => self.0.topics.answer(topic, question).await,
            Some(leader) => {
                match ask(&self.0, leader, Lane::Service, &Request::Service { topic, question }).await {
                    Ok(Answer::Service(answer)) => answer,
                    Ok(_) => Err(Refusal::NotLeader),
                    Err(_) => Err(Refusal::Timeout),
                }
            }
        }
    }

    /// Registers the handler for a topic's questions, of other members and of this one, while this member leads.
    ///
    /// # Errors
    /// [`TopicTaken`].
    pub fn register(&self, topic: Topic, handler: Arc<dyn Handler>) -> Result<(), TopicTaken> {
        self.0.topics.register(topic, handler)
    }

    /// Waits until everything that was acknowledged before the call, by any member, can be read from the local store.
    ///
    /// # Errors
    /// [`Refusal::LeaderChanged`] (try again), [`Refusal::Timeout`], [`Refusal::Stopped`].
    pub async fn read_index(&self) -> Result<(), Refusal> {
        if self.0.shared.is_sole_leader() {
            return Ok(());
        }
        let (sender, answer) = oneshot::channel();
        if self.0.readers.send(sender).is_err() {
            return Err(Refusal::Stopped);
        }
        let result = match tokio::time::timeout(self.0.options.request_timeout(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Refusal::Stopped),
            Err(_) => Err(Refusal::Timeout),
        };
        result.inspect_err(|_| _ = self.0.shared.figures.failed_reads.fetch_add(1, Ordering::Relaxed))
    }

    /// Passes once through raft's core and once through the queue of entries to apply: proof that both make progress.
    /// The queue is not required to while it waits for the store's disk.
    ///
    /// # Errors
    /// [`Refusal::Stopped`] if one of them has ended.
    pub async fn pulse(&self) -> Result<(), Refusal> {
        let raft = self.0.raft().ok_or(Refusal::Stopped)?;
        raft.with_raft_state(|_| ()).await.map_err(|_| Refusal::Stopped)?;
        let store = &self.0.options.store;
        let waiting = async {
            while !store.is_waiting() {
                tokio::time::sleep(self.0.options.heartbeat).await;
            }
        };
        tokio::select! {
            applied = raft.with_state_machine(|_| Box::pin(async {})) => applied.map_err(|_| Refusal::Stopped),
            () = waiting => Ok(()),
        }
    }

    /// The state of the node. Cheap, never waits.
    pub fn status(&self) -> Status {
        Status { is_learner: self.is_learner(), ..self.0.shared.status() }
    }

    /// True if the disk of the store, or of the log, is full: reads are served, and commands that need space are
    /// refused or wait.
    pub fn is_disk_full(&self) -> bool {
        self.0.is_disk_full()
    }

    /// The wall clock with which this member stamps commands as the leader: milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.0.options.clock.now_ms()
    }

    /// Counters.
    pub fn figures(&self) -> &Figures {
        &self.0.shared.figures
    }

    /// The term, without the rest of [`Node::status`].
    pub fn term(&self) -> u64 {
        self.0.shared.term()
    }

    /// The leader, if one is known and was confirmed within the election timeout.
    pub fn leader(&self) -> Option<MemberId> {
        self.0.shared.leader()
    }

    /// True if this member leads in that term and a quorum has confirmed it within the election timeout. Cheap, and
    /// correct at this very moment, even after the process was stopped for a while.
    pub fn leads(&self, term: u64) -> bool {
        self.0.shared.leads(term)
    }

    /// The members that are known here, ascending by id.
    pub fn members(&self) -> Vec<Member> {
        self.0.options.store.members()
    }

    /// The removed members that are known here.
    pub fn removed(&self) -> Vec<MemberId> {
        self.0.options.store.removed()
    }

    /// True if the member is known to be removed.
    pub fn was_removed(&self, member: MemberId) -> bool {
        self.removed().contains(&member)
    }

    /// The end of this member's log, or of its state if that is further.
    pub fn progress(&self) -> Progress {
        let (log, applied) = (&self.0.options.log, self.0.options.store.applied());
        let bounds = log.bounds();
        let ends = [bounds.last, bounds.purged, applied].into_iter().flatten();
        let last = ends.max_by_key(|at| (at.term, at.index));
        Progress { term: log.vote().map_or(0, |vote| vote.term), last }
    }

    /// The highest position that a member has acknowledged to this one, as its leader since the start.
    pub fn acknowledged(&self, by: MemberId) -> Option<Progress> {
        self.0.shared.replicas.progress(by)
    }

    /// The peer URLs of a member in this member's log; none if it is not known here.
    pub fn peer_urls(&self, of: MemberId) -> Vec<String> {
        self.0.peer(of).map(|peer| peer.urls).unwrap_or_default()
    }

    /// How many voters can be reached, including this member, and how many there are.
    pub fn reachable(&self) -> (usize, usize) {
        // Raft's own view: a new cluster has voters before it has applied anything.
        let voters = self.voters();
        let own = self.0.shared.id();
        let there = |id: &&MemberId| **id == own || self.0.connected(**id, Duration::ZERO);
        (voters.iter().filter(there).count(), voters.len())
    }

    /// The voters in this member's log.
    pub fn voters(&self) -> Vec<MemberId> {
        self.0.raft().map(|raft| raft.voter_ids().map(MemberId).collect()).unwrap_or_default()
    }

    /// True if this member is a learner for clients. A voter that is still catching up has no vote either, but clients
    /// need not know that.
    pub fn is_learner(&self) -> bool {
        let id = self.0.shared.id();
        self.0.shared.is_learner() && !self.members().iter().any(|member| member.id == id && !member.learner)
    }

    /// If this member leads: the members that entries do not reach, for a lasting reason.
    pub fn replication_faults(&self) -> Vec<(MemberId, String)> {
        if !self.0.shared.is_leader() {
            return Vec::new();
        }
        // Messages to a member may fail after it was removed.
        let mut faults = self.0.shared.replicas.faults();
        faults.retain(|(id, _)| self.0.peer(*id).is_some());
        faults
    }

    /// True if this member can be part of a quorum now: it leads and reaches one, or it reaches its leader.
    pub fn has_quorum(&self) -> bool {
        self.0.has_quorum()
    }

    /// The leader, and its changes.
    pub fn leadership(&self) -> Receiver<Leadership> {
        self.0.shared.leadership()
    }

    /// Transfers leadership to `target`; only the leader can.
    ///
    /// # Errors
    /// [`Refusal::NotLeader`]; [`Refusal::BadLeaderTransferee`] if it is not a voter, has sent nothing lately or lags
    /// behind; [`Refusal::TransferTimedOut`].
    pub async fn transfer(&self, target: MemberId) -> Result<(), Refusal> {
        members::transfer(&self.0, target).await
    }

    /// Before the stop: transfers leadership if this member leads and another can take it; does not wait longer than an
    /// election would take. Clients are still served. Tried once.
    pub async fn hand_over(&self) {
        let inner = &self.0;
        let tried = inner.handed_over.swap(true, Ordering::Relaxed);
        if !tried && inner.shared.is_leader() && !inner.shared.is_only_voter() {
            // If the transfer takes too long, an election decides.
            let _ = tokio::time::timeout(inner.options.election, members::hand_over(inner)).await;
        }
    }

    /// Stops: transfers leadership if another member can take it; then accepts nothing more, refuses waiting callers,
    /// flushes the log and closes it. Calls after the first one wait for its end.
    pub async fn shutdown(&self) {
        let inner = &self.0;
        if inner.stopped.send_replace(true) {
            let _ = inner.ended.subscribe().wait_for(|ended| *ended).await;
            return;
        }
        self.hand_over().await;
        // Clients of other members do not notice that this one stops: their commands in progress here are finished
        // first.
        let answered = async { inner.for_others.subscribe().wait_for(|count| *count == 0).await };
        let decided = async {
            tokio::select! {
                biased;
                _ = answered => {}
                () = inner.quorum_lost() => {}
            }
        };
        let _ = tokio::time::timeout(inner.options.election, decided).await;
        inner.options.store.stop_waiting();
        if let Some(raft) = inner.raft() {
            // It is joined, whatever its result.
            let _ = raft.shutdown().await;
        }
        inner.tasks.lock().abort_all();
        let log = inner.options.log.clone();
        let _ = offload(move || log.close()).await;
        inner.ended.send_replace(true);
    }
}

impl Inner {
    /// See [`Node::is_disk_full`].
    pub(super) fn is_disk_full(&self) -> bool {
        let log_is_full = || matches!(self.options.log.space(), Space::Full { .. });
        self.options.store.is_disk_full() || log_is_full() || self.room.is_short()
    }

    /// Raft, once it is running.
    pub(super) fn raft(&self) -> Option<&Raft> {
        self.raft.get()
    }

    /// Runs a task until the node stops.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
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
    pub(super) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Queues a command.
    pub(super) fn enqueue(&self, waiting: Waiting) {
        // If the queue is closed, dropping the command notifies the waiting caller.
        let _ = self.proposals.send(waiting);
    }

    /// The outcome of a command, without a deadline.
    pub(super) async fn outcome(self: &Arc<Self>, caller: Caller, command: Command) -> Outcome {
        if self.is_stopped() {
            return Err(Refusal::Stopped);
        }
        match command {
            Command::Member(change) if !matches!(change, MemberChange::Publish { .. }) => {
                members::change(self, caller, change).await.map(|reply| (reply, 0))
            }
            command => self.queued(caller, command, None).await,
        }
    }

    /// As [`Inner::outcome`], for a command that changes no members; bound to a term if one is given.
    async fn queued(&self, caller: Caller, command: Command, term: Option<u64>) -> Outcome {
        if self.is_stopped() {
            return Err(Refusal::Stopped);
        }
        let weight = weight(&caller, &command);
        if weight > MAX_COMMAND_BYTES {
            return Err(Refusal::RequestTooLarge);
        }
        if self.lacks_room(&command, weight) {
            return Err(Refusal::NoSpace);
        }
        if self.shared.backlog() > MAX_BACKLOG {
            return Err(Refusal::TooManyRequests);
        }
        let charge = Charge::new(&self.undecided, weight).ok_or(Refusal::TooManyRequests)?;
        let (sender, outcome) = oneshot::channel();
        let reply = ReplyTo { sender, term };
        self.enqueue(Waiting { caller, command, weight, reply, charge });
        outcome.await.unwrap_or(Err(Refusal::Stopped))
    }

    /// True if the disk of the store, or of the log, has no room for a command of that weight. Only checked before it
    /// is proposed: an entry that was given to raft may be committed as soon as there is room, and the caller waits for
    /// it.
    fn lacks_room(&self, command: &Command, weight: usize) -> bool {
        let cost = quota::cost(command);
        if cost > 0 && self.options.store.lacks_room(cost) {
            return true;
        }
        let ahead = self.undecided.load(Ordering::Relaxed);
        self.options.log.space().lacks(ahead.saturating_add(weight) as u64, cost == 0)
    }

    /// The addresses of a member in raft's configuration.
    pub(super) fn peer(&self, id: MemberId) -> Option<Peer> {
        let config = self.raft()?.server_metrics().borrow_watched().membership_config.clone();
        config.membership().get_node(&id.0).cloned()
    }

    /// The refusal for a command that was not done in time, by etcd's distinctions.
    fn why_late(&self, started: Instant) -> Refusal {
        let since = self.shared.leader_since();
        let lost = since.and_then(|since| since.checked_sub(2 * self.options.election));
        if let (Some(since), Some(lost)) = (since, lost)
            && started > lost
            && started < since
        {
            return Refusal::TimeoutLeaderFailed;
        }
        match self.shared.leader() {
            Some(leader) if leader != self.shared.id() && !self.connected(leader, started.elapsed()) => {
                Refusal::TimeoutConnectionLost
            }
            Some(leader) if leader == self.shared.id() && !self.quorum_connected(started.elapsed()) => {
                Refusal::TimeoutConnectionLost
            }
            _ => Refusal::Timeout,
        }
    }

    /// True if the member has been connected for this long.
    pub(super) fn connected(&self, id: MemberId, long: Duration) -> bool {
        self.options.transport.connected_for(id).is_some_and(|connected| connected >= long)
    }

    /// True if this member can be part of a quorum now: it leads and reaches one, or it reaches its leader.
    pub(super) fn has_quorum(&self) -> bool {
        match self.shared.leader() {
            None => false,
            Some(leader) if leader == self.shared.id() => self.quorum_connected(Duration::ZERO),
            Some(leader) => self.connected(leader, Duration::ZERO),
        }
    }

    /// Returns when a member that has led reaches no quorum, whoever leads in the meantime.
    pub(super) async fn quorum_lost(&self) {
        while self.quorum_connected(Duration::ZERO) {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn quorum_connected(&self, long: Duration) -> bool {
        let Some(raft) = self.raft() else { return false };
        let voters: Vec<u64> = raft.voter_ids().collect();
        let own = self.shared.id().0;
        let near = voters.iter().filter(|id| **id == own || self.connected(MemberId(**id), long)).count();
        near > voters.len() / 2
    }
}
