//! State that any thread may read without going through raft's thread. Only this module says who leads: raft's belief
//! counts only while it is confirmed (see [`Claim`]), so nothing but the claim is accessible.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openraft::Instant as _;
use openraft::metrics::RaftDataMetrics;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::claim::{Claim, Quorum};
use super::gate::Gate;
use super::pace::Pace;
use super::replicas::Replicas;
use super::signal::{Receiver, Sender};
use super::types::{Config, Types};
use crate::model::{ClusterId, LogPosition, MemberChange, MemberId, Refusal};

/// The state of a node at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The leader, if one is known and was confirmed within the election timeout.
    pub leader: Option<MemberId>,
    /// The term.
    pub term: u64,
    /// Number of entries known to be committed: the index of the last one, counted from 1 as in etcd; 0 for none.
    pub committed: u64,
    /// Number of entries applied.
    pub applied: u64,
    /// Number of entries in the log, including purged ones.
    pub last_log: u64,
    /// True if this member leads.
    pub is_leader: bool,
    /// True if this member has no vote.
    pub is_learner: bool,
}

/// Who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The term.
    pub term: u64,
    /// The leader, if one is known and was confirmed within the election timeout.
    pub leader: Option<MemberId>,
    /// This member leads and has applied an entry of its own term: its state is up to date, it may act as leader.
    pub leading: bool,
}

/// The shared state; each part is updated by the task that it comes from.
pub struct Shared {
    id: MemberId,
    cluster: ClusterId,
    last_log: AtomicU64,
    committed: AtomicU64,
    applied: Sender<u64>,
    /// The leader in raft's belief, and its confirmations.
    claim: Mutex<Claim>,
    /// Raft's metrics, for the time of a quorum's last answer.
    acknowledged: OnceLock<Receiver<RaftDataMetrics<Types>>>,
    learner: AtomicBool,
    /// The term in which this member is leader by its own vote; 0 if it is not.
    leading_term: AtomicU64,
    /// The last of its own terms of which it has applied an entry.
    settled_term: AtomicU64,
    /// True if this member is the only voter in the configuration at the end of the log.
    only_voter: AtomicBool,
    /// True if this member decides alone: reads need to ask nobody.
    sole_leader: AtomicBool,
    /// True if no other member, voting or not, is in the configuration at the end of the log.
    alone: AtomicBool,
    leadership: Sender<Leadership>,
    /// When the present leader was first seen, and whether there was another before.
    leader_since: Mutex<Option<Instant>>,
    /// Counters.
    pub figures: Figures,
    /// The logs of the others, as a leader knows them.
    pub replicas: Replicas,
    /// Whether entries may be applied.
    pub gate: Gate,
    /// Writes to the log that are under way.
    pub pace: Arc<Pace>,
}

/// Counters since the start, except for the numbers of pending and running actions.
#[derive(Debug, Default)]
pub struct Figures {
    /// Leaders seen, including the first one.
    pub leader_changes: AtomicU64,
    /// Commands that wait for their outcome.
    pub pending: AtomicU64,
    /// Commands without an outcome in time.
    pub failed: AtomicU64,
    /// Linearizable reads that failed.
    pub failed_reads: AtomicU64,
    /// Rounds for the read index that had to be repeated.
    pub repeated_reads: AtomicU64,
    /// Messages with entries that this leader has sent.
    pub sent_appends: AtomicU64,
    /// Messages with entries that this member has received and found valid.
    pub received_appends: AtomicU64,
    /// Heartbeats of this leader that were not sent, or not answered in time.
    pub failed_heartbeats: AtomicU64,
    /// Snapshots that are being installed.
    pub installing: AtomicU64,
    /// Learners that this leader has promoted.
    pub promoted: AtomicU64,
    /// Promotions that this leader refused: one refusal of each kind, and how many there were.
    refused_promotions: Mutex<Vec<(Refusal, u64)>>,
}

/// Counts a command as pending until this is dropped.
pub struct Pending<'f>(&'f Figures);

impl Figures {
    /// Counts the result of a membership change, if it is a promotion.
    pub fn changed(&self, change: &MemberChange, refusal: Option<&Refusal>) {
        if !matches!(change, MemberChange::Promote(_)) {
            return;
        }
        let Some(refusal) = refusal else {
            self.promoted.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let mut refused = self.refused_promotions.lock();
        let is_of_kind = |known: &Refusal| std::mem::discriminant(known) == std::mem::discriminant(refusal);
        match refused.iter_mut().find(|(known, _)| is_of_kind(known)) {
            Some((_, count)) => *count += 1,
            None => refused.push((refusal.clone(), 1)),
        }
    }

    /// One refusal of each kind for promotions, and how many there were.
    pub fn refused_promotions(&self) -> Vec<(Refusal, u64)> {
        self.refused_promotions.lock().clone()
    }

    /// Counts a pending command.
    pub fn pending(&self) -> Pending<'_> {
        self.pending.fetch_add(1, Ordering::Relaxed);
        Pending(self)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An index as a count: 0 means none.
fn count(position: Option<LogPosition>) -> u64 {
    position.map_or(0, |position| position.index + 1)
}

impl Shared {
    /// The state of a node before its start. `election`: how long a leader counts without being confirmed.
    pub fn new(id: MemberId, cluster: ClusterId, election: Duration) -> Self {
        Self {
            id,
            cluster,
            last_log: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            applied: Sender::new(0),
            claim: Mutex::new(Claim::new(id, election, Instant::now())),
            acknowledged: OnceLock::new(),
            learner: AtomicBool::new(false),
            leading_term: AtomicU64::new(0),
            settled_term: AtomicU64::new(0),
            only_voter: AtomicBool::new(false),
            sole_leader: AtomicBool::new(false),
            alone: AtomicBool::new(false),
            leadership: Sender::new(Leadership::default()),
            leader_since: Mutex::new(None),
            figures: Figures::default(),
            replicas: Replicas::default(),
            gate: Gate::default(),
            pace: Arc::default(),
        }
    }

    /// This member.
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// Its cluster.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Sets the end of the log.
    pub fn set_last_log(&self, last: Option<LogPosition>) {
        self.last_log.store(count(last), Ordering::Relaxed);
    }

    /// Sets the committed position.
    pub fn set_committed(&self, committed: Option<LogPosition>) {
        self.committed.store(count(committed), Ordering::Relaxed);
    }

    /// Sets the configuration at the end of the log, as soon as it is appended and before any other task can see it.
    pub fn set_config(&self, config: &Config) {
        let only = match config.get_joint_config().as_slice() {
            [voters] => voters.len() == 1 && voters.contains(&self.id.0),
            _ => false,
        };
        if !only {
            self.sole_leader.store(false, Ordering::SeqCst);
        }
        if self.only_voter.swap(only, Ordering::SeqCst) && !only {
            self.claim.lock().needs_others(Instant::now());
        }
        self.alone.store(only && config.nodes().count() == 1, Ordering::SeqCst);
        self.replicas.keep(|id| config.get_node(&id.0).is_some());
        self.learner.store(!config.voter_ids().any(|voter| voter == self.id.0), Ordering::Relaxed);
    }

    /// The end of the log was truncated, perhaps with a configuration in it.
    pub fn forget_config(&self) {
        self.alone.store(false, Ordering::SeqCst);
        self.only_voter.store(false, Ordering::SeqCst);
        self.sole_leader.store(false, Ordering::SeqCst);
    }

    /// This member votes: for itself as leader of a term, or otherwise.
    pub fn set_leading_term(&self, term: Option<u64>) {
        let term = term.unwrap_or(0);
        if self.leading_term.swap(term, Ordering::SeqCst) != term {
            self.sole_leader.store(false, Ordering::SeqCst);
        }
    }

    /// An entry was applied and can be read, or, `by_snapshot`, the state was replaced by a snapshot up to there.
    pub fn set_applied(&self, applied: LogPosition, by_snapshot: bool) {
        self.applied.send_replace(applied.index + 1);
        let leading = self.leading_term.load(Ordering::SeqCst);
        // Term 0 is nobody's: its entries founded the cluster, and are applied again by a start before any election.
        if by_snapshot || leading == 0 || leading != applied.term {
            return;
        }
        if self.only_voter.load(Ordering::SeqCst) && !self.sole_leader.load(Ordering::Relaxed) {
            self.sole_leader.store(true, Ordering::SeqCst);
            // A configuration with another voter may just have been appended.
            let still =
                self.only_voter.load(Ordering::SeqCst) && self.leading_term.load(Ordering::SeqCst) == leading;
            self.sole_leader.store(still, Ordering::SeqCst);
        }
        if self.settled_term.swap(applied.term, Ordering::SeqCst) != applied.term {
            self.publish();
        }
    }

    /// Sets raft's metrics, which have the time of a quorum's last answer. Called once, at the start.
    pub fn set_acknowledged(&self, metrics: Receiver<RaftDataMetrics<Types>>) {
        // A second call changes nothing.
        let _ = self.acknowledged.set(metrics);
    }

    /// Sets raft's belief about the leader; it names this member only while it leads. Must also be called if nothing
    /// but time has changed.
    pub fn set_leader(&self, term: u64, leader: Option<MemberId>) {
        self.claim.lock().believe(term, leader, Instant::now());
        self.publish();
    }

    /// A message of a leader has arrived, whether raft accepts it or not.
    pub fn hear(&self, term: u64, leader: MemberId) {
        let (quorum, now) = (self.quorum(), Instant::now());
        let found = {
            let mut claim = self.claim.lock();
            let before = claim.leader(quorum, now);
            claim.hear(term, leader, now);
            before != claim.leader(quorum, now)
        };
        if found {
            self.publish();
        }
    }

    /// The leader that raft believes in, and when its last message in its term arrived; `None` if there is none, or it is
    /// this member.
    pub fn heard_leader(&self) -> Option<(MemberId, Instant)> {
        self.claim.lock().heard_leader()
    }

    /// When [`Shared::set_leader`] must be called again, if raft reports nothing new until then.
    pub fn look_again(&self, pause: Duration) -> Option<Instant> {
        let quorum = self.quorum();
        self.claim.lock().look_again(quorum, Instant::now(), pause)
    }

    /// This member's support by a quorum, in case it leads.
    fn quorum(&self) -> Quorum {
        if self.only_voter.load(Ordering::SeqCst) {
            return Quorum::Alone;
        }
        let acknowledged = self.acknowledged.get().and_then(|metrics| metrics.borrow().last_quorum_acked);
        let heard = acknowledged.map(|at| at.into_inner().elapsed());
        Quorum::Heard(heard.and_then(|age| Instant::now().checked_sub(age)))
    }

    /// The term, and who leads in it as far as this member may claim.
    fn claimed(&self) -> (u64, Option<MemberId>) {
        let quorum = self.quorum();
        let claim = self.claim.lock();
        (claim.term(), claim.leader(quorum, Instant::now()))
    }

    fn publish(&self) {
        self.leadership.send_if_modified(|before| {
            let (term, leader) = self.claimed();
            let settled = self.settled_term.load(Ordering::SeqCst) == term;
            let now = Leadership { term, leader, leading: leader == Some(self.id) && settled && term != 0 };
            if leader.is_some() && leader != before.leader {
                *self.leader_since.lock() = Some(Instant::now());
                self.figures.leader_changes.fetch_add(1, Ordering::Relaxed);
            }
            std::mem::replace(before, now) != now
        });
    }

    /// True if reads need to ask nobody: this member leads, is the only voter, and is up to date.
    pub fn is_sole_leader(&self) -> bool {
        self.sole_leader.load(Ordering::SeqCst)
    }

    /// The leader, if one is known and was confirmed within the election timeout.
    pub fn leader(&self) -> Option<MemberId> {
        self.claimed().1
    }

    /// The term.
    pub fn term(&self) -> u64 {
        self.claim.lock().term()
    }

    /// True if this member leads in that term and a quorum has confirmed it within the election timeout.
    pub fn leads(&self, term: u64) -> bool {
        self.claimed() == (term, Some(self.id))
    }

    /// True if this member has no vote.
    pub fn is_learner(&self) -> bool {
        self.learner.load(Ordering::Relaxed)
    }

    /// True if this member leads, whether or not it has applied an entry of its term.
    pub fn is_leader(&self) -> bool {
        self.leader() == Some(self.id)
    }

    /// True if this member is the only voter.
    pub fn is_only_voter(&self) -> bool {
        self.only_voter.load(Ordering::Relaxed)
    }

    /// When the present leader was first seen.
    pub fn leader_since(&self) -> Option<Instant> {
        *self.leader_since.lock()
    }

    /// True if there is no other member, voting or not, that could wait for this one.
    pub fn is_alone(&self) -> bool {
        self.alone.load(Ordering::SeqCst)
    }

    /// Changes of leadership.
    pub fn leadership(&self) -> Receiver<Leadership> {
        self.leadership.subscribe()
    }

    /// Number of entries applied.
    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Entries committed but not applied.
    pub fn backlog(&self) -> u64 {
        self.committed.load(Ordering::Relaxed).saturating_sub(self.applied())
    }

    /// Returns when the entry with this index (counted from 0) is applied.
    pub async fn wait_applied(&self, index: u64) {
        let mut applied = self.applied.subscribe();
        // The sender lives as long as `self`.
        let _ = applied.wait_for(|count| *count > index).await;
    }

    /// The state of the node.
    pub fn status(&self) -> Status {
        let (term, leader) = self.claimed();
        Status {
            id: self.id,
            cluster: self.cluster,
            leader,
            term,
            committed: self.committed.load(Ordering::Relaxed),
            applied: *self.applied.borrow(),
            last_log: self.last_log.load(Ordering::Relaxed),
            is_leader: leader == Some(self.id),
            is_learner: self.learner.load(Ordering::Relaxed),
        }
    }
}
