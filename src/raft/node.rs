//! A node: the handle of raft for all other rooms.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ask::ask;
use super::clock;
use super::commands;
use super::duties;
use super::found;
use super::inner::{Doubt, Inner, Raft};
use super::log_store::LogStore;
use super::members;
use super::network::Network;
use super::options::{NodeOptions, StartError};
use super::proposer;
use super::reads;
use super::replay::replay;
use super::replicas::Exchange;
use super::runtime::offload;
use super::settings::settings;
use super::shared::{Figures, Leadership, Shared, Status};
use super::signal::Receiver;
use super::state_machine::StateMachine;
use super::takeover;
use super::topics::{Handler, Topic, TopicTaken};
use super::wire::{Answer, Request};
use crate::model::{Caller, Command, Member, MemberId, Progress, Refusal, Reply, Version};
use crate::peer::Channel;

/// A member's part in raft. Clones share it.
///
/// Its tasks run on the runtime on which it was started; best is one with a single thread that otherwise only runs the
/// transport ([`Node::start_on_thread`]). Its methods may be called from any runtime.
#[derive(Clone)]
pub struct Node(pub(super) Arc<Inner>);

impl Node {
    /// Starts a node on the present runtime, on a log that [`super::found()`] or an earlier process of the node has
    /// written. With an empty log it waits for messages of its cluster. A member that is the only voter leads when this
    /// returns, or very soon after.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: NodeOptions) -> Result<Node, StartError> {
        let config = Arc::new(settings(&options)?);
        let beginning = found::begin(&options).await?;
        let options = NodeOptions { epoch: beginning.epoch, ..options };
        replay(&options).await?;
        let shared = Arc::new(Shared::new(options.id, options.cluster, options.election));
        if let Some(config) = &beginning.config {
            shared.set_config(config);
        }
        let store = options.store.clone();
        let durable = Arc::new(move || store.checkpointed());
        let log_store = LogStore::new(options.log.clone(), shared.clone(), durable);
        let machine = StateMachine::new(options.store.clone(), shared.clone());
        let network = Network::new(options.transport.clone(), shared.clone());
        let (inner, queues) = Inner::new(options, shared);
        let raft = Raft::build(inner.options.id.0, config, network, log_store, machine)
            .await
            .map_err(|error| StartError::Storage(error.to_string()))?;
        if let Some(config) = &beginning.config {
            inner.shared.set_config(config);
        }
        raft.run();
        inner.set_raft(raft.clone());
        inner.spawn(duties::watch_leader(inner.clone()));
        inner.spawn(clock::run(inner.clone()));
        inner.spawn(duties::lead(inner.clone()));
        inner.spawn(duties::publish(inner.clone()));
        inner.spawn(duties::bound_log(inner.clone()));
        inner.spawn(duties::leave_full_disk(inner.clone()));
        inner.spawn(duties::leave_stalled_disk(inner.clone()));
        inner.spawn(proposer::run(inner.clone(), queues.proposals));
        inner.spawn(reads::run(inner.clone(), queues.readers));
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
        let work = commands::outcome(&self.0, caller, command);
        let _pending = figures.pending();
        let outcome = match tokio::time::timeout(self.0.options.request_timeout(), work).await {
            Ok(Ok((Reply::Refused(refusal), _))) => return Err(refusal),
            // Clients expect this refusal only from a transfer of leadership.
            Ok(Err(Refusal::NotLeader)) if self.0.is_stopped() => Err(Refusal::Stopped),
            Ok(outcome) => outcome.map(|(reply, _)| reply),
            Err(_) => Err(commands::why_late(&self.0, started)),
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
        let work = commands::queued(&self.0, Caller::System, command, Some(term));
        match tokio::time::timeout(self.0.options.request_timeout(), work).await {
            Ok(Ok((Reply::Refused(refusal), _))) => Err(refusal),
            Ok(outcome) => outcome.map(|(reply, _)| reply),
            Err(_) => Err(commands::why_late(&self.0, started)),
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
            Some(leader) => self.ask_member(leader, topic, question).await,
        }
    }

    /// Asks another member's handler for a topic, whoever leads.
    ///
    /// # Errors
    /// As [`Node::ask_leader`].
    pub async fn ask_member(
        &self,
        member: MemberId,
        topic: Topic,
        question: Bytes,
    ) -> Result<Bytes, Refusal> {
        match ask(&self.0, member, Channel::Service, &Request::Service { topic, question }).await {
            Ok(Answer::Service(answer)) => answer,
            Ok(_) => Err(Refusal::NotLeader),
            Err(_) => Err(Refusal::Timeout),
        }
    }

    /// Waits until the entry with this index is applied here, within a request's time.
    ///
    /// # Errors
    /// [`Refusal::Timeout`].
    pub async fn applied(&self, index: u64) -> Result<(), Refusal> {
        let applied = self.0.shared.wait_applied(index);
        tokio::time::timeout(self.0.options.request_timeout(), applied).await.map_err(|_| Refusal::Timeout)
    }

    /// Whether this member stands for election. If not it votes all the same.
    pub fn stand(&self, stands: bool) {
        self.0.doubt(Doubt::State, !stands);
    }

    /// For how long the disk of this member's log has stood still, if it does.
    pub fn log_stalled_for(&self) -> Option<Duration> {
        self.0.log_stalled_for()
    }

    /// The indexes of the entries that the disk of this member's log does not have yet; it has acknowledged none of them.
    pub fn unflushed(&self) -> Option<RangeInclusive<u64>> {
        self.0.options.log.unwritten()
    }

    /// Logs that the disk of this member's log stands still, while it does; on any thread but raft's. Never returns.
    pub async fn tell_stalled_disk(&self) {
        duties::tell_stalled_disk(&self.0).await;
    }

    /// If this member leads: the members that take long to acknowledge entries, and how long they take.
    pub fn slow_members(&self) -> Vec<(MemberId, Duration)> {
        if !self.0.shared.is_leader() {
            return Vec::new();
        }
        let mut slow = self.0.shared.replicas.slow(2 * self.0.options.heartbeat);
        slow.retain(|(id, _)| self.0.peer(*id).is_some());
        slow
    }

    /// Takes the leader's state in the place of this member's own; see `takeover`.
    ///
    /// # Errors
    /// Why that was not possible; the state is the one before.
    pub async fn take_over_state(&self) -> Result<(), String> {
        takeover::take_over(&self.0).await
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
        self.0.enqueue_read(sender)?;
        let result = match tokio::time::timeout(self.0.options.request_timeout(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Refusal::Stopped),
            Err(_) => Err(Refusal::Timeout),
        };
        result.inspect_err(|_| _ = self.0.shared.figures.failed_reads.fetch_add(1, Ordering::Relaxed))
    }

    /// Passes once through raft's core and once through the queue of entries to apply: proof that both make progress.
    /// They are not required to while they wait for a disk: the log's, which votes wait for, and the store's.
    ///
    /// # Errors
    /// [`Refusal::Stopped`] if one of them has ended.
    pub async fn pulse(&self) -> Result<(), Refusal> {
        let raft = self.0.raft().ok_or(Refusal::Stopped)?;
        let (store, log, pause) = (&self.0.options.store, &self.0.options.log, self.0.options.heartbeat);
        let writing = async {
            while !log.writes_here() && self.0.log_stalled_for().is_none() {
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            passed = raft.with_raft_state(|_| ()) => passed.map_err(|_| Refusal::Stopped)?,
            () = writing => return Ok(()),
        }
        let waiting = async {
            while !store.is_waiting() && !self.0.shared.gate.is_held() {
                tokio::time::sleep(pause).await;
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

    /// The version of this member's program.
    pub fn version(&self) -> Version {
        self.0.options.version
    }

    /// The version of its cluster, `"X.Y.0"`, as far as it is known here.
    pub fn cluster_version(&self) -> Option<String> {
        self.0.options.store.cluster_version()
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

    /// Which life of the cluster this is: it begins at 0, and `--force-new-cluster` or a restore raises it.
    pub fn epoch(&self) -> u64 {
        self.0.options.epoch.max(self.0.options.store.epoch())
    }

    /// The highest position that a member has acknowledged to this one, as its leader since the start.
    pub fn acknowledged(&self, by: MemberId) -> Option<Progress> {
        self.0.shared.replicas.progress(by)
    }

    /// For how long the present leader has been known here.
    pub fn leader_for(&self) -> Option<Duration> {
        self.0.shared.leader_since().map(|since| since.elapsed())
    }

    /// What this member has exchanged with another one as its leader, since the start.
    pub fn exchange(&self, with: MemberId) -> Exchange {
        self.0.shared.replicas.exchange(with)
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
        inner.shared.gate.release();
        if let Some(raft) = inner.raft() {
            // Raft's core has ended, whatever this returns.
            let _ = raft.shutdown().await;
        }
        inner.abort_tasks();
        let log = inner.options.log.clone();
        // What it still writes may find a disk that stands still.
        let _write = inner.shared.pace.begin();
        let _ = offload(move || log.close()).await;
        inner.ended.send_replace(true);
    }
}
