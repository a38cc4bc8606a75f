//! Compares members' states. A difference is a fault of a program, a disk or a memory, and it never goes away by itself:
//! a member outside of the majority is told so, and `repair.rs` does the rest.
//!
//! - Each member compares its digest with the leader's at least every ten seconds (`repair.rs` says when), after the same log entry. If they
//!   differ, it asks the leader for a round.
//! - In a round the leader asks all members for the same thing, the digest after an entry or etcd's hash of the key space
//!   at a revision, and judges the answers ([`super::verdict`]). The hash also finds damage of the store; it reads
//!   everything, so it is compared only as etcd's options ask for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;

use super::questions::{Outcome, Question, Subject, Told, Value, hex, list, name};
use super::scrubs::Scrubs;
use super::seams::Checks;
use super::verdict::{Verdict, judge};
use crate::api::metrics::{Page, Source};
use crate::model::{Alarm, AlarmKind, Caller, Command, MemberId, Refusal, StateDigest};
use crate::raft::topics::{decode, encode};
use crate::raft::{Handler, Node, Pending, Topic, TopicTaken, offload};
use crate::store::{Condemned, Store};

/// How often a leader is asked that does not know the digest after the entry, and the pause between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);
/// Rounds without a majority, while not all voters answer, before an alarm says so.
const OPEN_ROUNDS: u32 = 3;
/// How long a member waits for the comparison before it admits clients: about etcd's request timeout.
const FIRST: Duration = Duration::from_secs(10);
/// If a state is found wrong this soon after it was replaced, the cause is not the state.
const SETTLED: Duration = Duration::from_secs(60);

/// See the module.
pub struct States {
    pub(super) node: Node,
    pub(super) store: Store,
    pub(super) checks: Checks,
    compared: AtomicU64,
    /// The last comparison found a difference.
    differs: AtomicBool,
    /// States that were replaced by the leader's.
    pub(super) replaced: AtomicU64,
    /// Rounds in a row without a majority.
    open: AtomicU32,
    /// One round at a time, and what the last one of hashes compared: the compacted revision.
    rounds: Mutex<i64>,
    /// Something is to be done at once.
    pub(super) wake: Notify,
    /// True while the state is not served.
    pub(super) out: watch::Sender<bool>,
    /// The members that are known to agree with the majority.
    pub(super) right: parking_lot::Mutex<Vec<MemberId>>,
    /// The alarm was raised: an operator who disarms it is not contradicted.
    told: AtomicBool,
    /// What scrubs have read and found.
    pub(super) scrubs: Scrubs,
    /// When the state was replaced.
    replaced_at: parking_lot::Mutex<Option<Instant>>,
    /// The number of the state that was compared last.
    shown: AtomicU64,
    /// Since when an alarm that names this member is to be cleared, if there is one.
    withdraws: parking_lot::Mutex<Option<Instant>>,
}

impl States {
    /// The comparisons of a member, which also answers the others' questions from now on.
    ///
    /// # Errors
    /// [`TopicTaken`].
    pub(super) fn new(node: &Node, store: &Store, checks: Checks) -> Result<Arc<Self>, TopicTaken> {
        node.register(Topic::STATES, Arc::new(StateHandler { node: node.clone(), store: store.clone() }))?;
        let is_condemned = store.is_condemned();
        if let Some(condemned) = store.condemned().filter(|condemned| checks.replaces && !condemned.replace) {
            tracing::info!("on-divergence is rebuild now: the state, which is wrong, is to be replaced");
            let replace = Condemned { replace: true, ..condemned };
            if let Err(error) = store.condemn(&replace) {
                tracing::warn!(%error, "a later start would not know that");
            }
        }
        node.stand(!is_condemned);
        let states = Arc::new(Self {
            node: node.clone(),
            store: store.clone(),
            checks,
            compared: AtomicU64::new(0),
            differs: AtomicBool::new(false),
            replaced: AtomicU64::new(0),
            open: AtomicU32::new(0),
            rounds: Mutex::new(-1),
            wake: Notify::new(),
            out: watch::Sender::new(is_condemned),
            right: parking_lot::Mutex::default(),
            told: AtomicBool::new(store.condemned().is_some_and(|condemned| condemned.told)),
            scrubs: Scrubs::default(),
            replaced_at: parking_lot::Mutex::default(),
            shown: AtomicU64::new(store.state_number()),
            // An earlier process may have ended before the alarm was cleared.
            withdraws: parking_lot::Mutex::new(store.has_replaced().then(Instant::now)),
        });
        node.register(Topic::CHECKS, Arc::new(CheckHandler(states.clone())))?;
        Ok(states)
    }

    /// True if this member's state is known to differ from the others'.
    pub fn differs(&self) -> bool {
        self.differs.load(Ordering::Relaxed) || self.store.is_condemned()
    }

    /// How often this member's state was replaced by the leader's because it was wrong.
    pub fn replacements(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Changes to true when nothing of the state is served any more, and back.
    pub fn out(&self) -> watch::Receiver<bool> {
        self.out.subscribe()
    }

    /// Has the state replaced by the leader's, for an operator. A leader hands leadership over first: without a leader
    /// there is no state to be taken over, and one that is not served any more is no help to anybody.
    ///
    /// # Errors
    /// Why that is impossible; nothing has changed then.
    pub async fn rebuild(&self) -> Result<(), String> {
        let status = self.node.status();
        if self.node.voters().len() < 2 && !status.is_learner {
            return Err(
                "this is the only member that votes: there is no other state; restore a backup".into()
            );
        }
        let number = self.store.state_number();
        let why = match self.store.condemned() {
            Some(condemned) => condemned.why,
            None => {
                if status.is_leader {
                    self.step_aside().await?;
                }
                match self.node.leader() {
                    Some(leader) if leader != status.id => {}
                    _ => return Err("there is no leader whose state this member could take".into()),
                }
                Condemned::wish().why
            }
        };
        self.condemn(number, why, true);
        Ok(())
    }

    /// Hands leadership to a member whose state is right, as far as that is known.
    ///
    /// # Errors
    /// If no other voter can take it.
    pub(super) async fn step_aside(&self) -> Result<(), String> {
        let (own, right) = (self.node.status().id, self.right.lock().clone());
        let is_candidate = |id: &MemberId| *id != own && (right.is_empty() || right.contains(id));
        for target in self.node.voters().into_iter().filter(is_candidate) {
            match self.node.transfer(target).await {
                Ok(()) => {
                    tracing::info!(%target, "leadership was handed over, because this member's state is wrong");
                    return Ok(());
                }
                Err(error) => tracing::warn!(%target, %error, "leadership could not be handed over"),
            }
        }
        Err("this member leads, and no other one can lead in its place".into())
    }

    /// Before clients are admitted: has all states compared, the hashes, too, if `initial-corrupt-check` asks for it. A
    /// member that differs knows it when this returns; one that cannot ask goes on, as etcd does.
    pub async fn check_first(&self) {
        if !self.checks.initial || self.store.is_condemned() {
            return;
        }
        let (begun, own) = (Instant::now(), self.node.status().id);
        let mut last = Refusal::NoLeader;
        while begun.elapsed() < FIRST {
            match self.ask_round(true).await {
                Ok(outcome) if outcome.compared.contains(&own) => {
                    self.heed(&outcome, own);
                    tracing::info!("the initial check of the data has ended");
                    return;
                }
                Ok(_) => {}
                Err(refusal) => last = refusal,
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::warn!(%last, "the data could not be compared before clients are admitted");
    }

    /// What a round says of this member counts even if the leader's own message of it was lost.
    fn heed(&self, outcome: &Outcome, own: MemberId) {
        if outcome.odd.contains(&own) && !self.store.is_condemned() {
            self.found_wrong("this member's state is not that of the majority".to_string());
        }
    }

    /// Has the leader, which may be this member, compare all states now.
    async fn ask_round(&self, with_hashes: bool) -> Result<Outcome, Refusal> {
        decode(&self.node.ask_leader(Topic::CHECKS, encode(&Question::Round(with_hashes))?).await?)
    }

    /// Compares this member's digest with the leader's.
    pub(super) async fn compare(&self) {
        if self.node.status().is_leader {
            return;
        }
        if let Err(refusal) = self.compare_with_leader().await {
            tracing::debug!(%refusal, "the state was not compared with the leader's");
        }
    }

    async fn compare_with_leader(&self) -> Result<(), Refusal> {
        let Some(mut own) = self.store.digest() else { return Ok(()) };
        for _ in 0..TRIES {
            let answer = self.node.ask_leader(Topic::STATES, encode(&own.index)?).await?;
            match decode(&answer)? {
                Told::At(Some(leaders)) if leaders.index == own.index && leaders.scheme == own.scheme => {
                    self.judge(own, leaders);
                    if self.differs.load(Ordering::Relaxed) {
                        let outcome = self.ask_round(false).await?;
                        let own = self.node.status().id;
                        self.heed(&outcome, own);
                        let Outcome { compared, odd, is_unknown } = outcome;
                        // It may be the leader that differs.
                        let is_right = compared.contains(&own) && !odd.contains(&own) && !is_unknown;
                        self.differs.store(!is_right, Ordering::Relaxed);
                    }
                    return Ok(());
                }
                Told::At(Some(_)) => return Ok(()),
                // To a busy leader the entry is too long ago: a later one may not be.
                Told::At(None) => own = self.store.digest().unwrap_or(own),
                Told::NotYet => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    fn judge(&self, own: StateDigest, leaders: StateDigest) {
        self.compared.fetch_add(1, Ordering::Relaxed);
        let differs = own.value != leaders.value;
        let differed = self.differs.swap(differs, Ordering::Relaxed);
        if differs && !differed {
            tracing::error!(
                index = own.index,
                digest = hex(&own),
                leaders = hex(&leaders),
                "after the same log entry the state of this member is not the leader's: one of the two must be \
                 replaced, the leader if all others report the same"
            );
        }
    }

    /// A round of digests, as the leader.
    async fn round_of_digests(&self) -> Outcome {
        let _one = self.rounds.lock().await;
        match self.store.digest() {
            Some(own) => self.round(Subject::Digest(own.index)).await,
            None => Outcome::default(),
        }
    }

    /// A round of hashes at the present revision, as the leader.
    pub(super) async fn round_of_hashes(&self) -> Outcome {
        let _one = self.rounds.lock().await;
        self.round(Subject::Hash(self.store.revision())).await
    }

    /// The same at the last compaction, once.
    pub(super) async fn round_of_compaction(&self) {
        let compacted = self.store.compacted_revision();
        if compacted < 1 || !self.node.status().is_leader {
            return;
        }
        let mut checked = self.rounds.lock().await;
        if *checked < compacted
            && self.round(Subject::Hash(compacted)).await.is_good(self.store.members().len())
        {
            *checked = compacted;
        }
    }

    /// Asks all members, and has those know it that differ; nothing unless this member leads.
    async fn round(&self, subject: Subject) -> Outcome {
        let status = self.node.status();
        if !status.is_leader {
            return Outcome::default();
        }
        let Ok(own) = self.what(subject).await else { return Outcome::default() };
        let others: Vec<MemberId> =
            self.store.members().iter().map(|member| member.id).filter(|id| *id != status.id).collect();
        let asked = others.iter().map(|id| async { (*id, self.ask(*id, subject).await) });
        let mut said = BTreeMap::from([(status.id, own.clone())]);
        for (id, answer) in futures_util::future::join_all(asked).await {
            match answer {
                Ok(value) if own.compares_with(&value) => _ = said.insert(id, value),
                Ok(_) => tracing::debug!(member = %id, "a member's state cannot be compared"),
                Err(refusal) => {
                    tracing::debug!(member = %id, %refusal, "a member's state was not compared")
                }
            }
        }
        let verdict = judge(&self.node.voters(), &said);
        let (odd, is_unknown) = match &verdict {
            Verdict::Agree => (Vec::new(), false),
            Verdict::Odd { odd, .. } => (odd.clone(), false),
            Verdict::Unknown { .. } => (Vec::new(), true),
        };
        self.act(status.term, subject, verdict).await;
        Outcome { compared: said.into_keys().collect(), odd, is_unknown }
    }

    async fn ask(&self, member: MemberId, subject: Subject) -> Result<Value, Refusal> {
        let asked = encode(&Question::What(subject))?;
        decode(&self.node.ask_member(member, Topic::CHECKS, asked).await?)
    }

    async fn act(&self, term: u64, subject: Subject, verdict: Verdict) {
        match verdict {
            Verdict::Agree => self.open.store(0, Ordering::Relaxed),
            Verdict::Odd { odd, right } => {
                self.open.store(0, Ordering::Relaxed);
                let why = format!(
                    "{} of this member is not that of the majority (members {})",
                    name(subject),
                    list(&right)
                );
                *self.right.lock() = right;
                for member in odd {
                    tracing::error!(%member, ?subject, "the state of a member is not the majority's");
                    self.tell(member, term, &why).await;
                }
            }
            Verdict::Unknown { groups, is_open } => {
                let rounds = self.open.fetch_add(1, Ordering::Relaxed) + 1;
                let groups: Vec<String> = groups.iter().map(|group| list(group)).collect();
                let groups = groups.join(" | ");
                tracing::error!(groups, ?subject, "members' states differ, and no majority of them agrees");
                if !is_open || rounds >= OPEN_ROUNDS {
                    // As in etcd: 0 stands for the cluster.
                    self.raise(MemberId(0)).await;
                }
            }
        }
    }

    /// Has a member know that its state is wrong.
    async fn tell(&self, member: MemberId, term: u64, why: &str) {
        if member == self.node.status().id {
            return self.found_wrong(why.to_string());
        }
        let told = match encode(&Question::Differs(term, why.to_string())) {
            Ok(asked) => self.node.ask_member(member, Topic::CHECKS, asked).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = told {
            tracing::warn!(%member, %refusal, "a member does not know yet that its state is wrong");
        }
    }

    /// The state that was compared last is not that of the majority.
    fn found_wrong(&self, why: String) {
        self.condemn(self.shown.load(Ordering::Relaxed), why, self.replaces());
    }

    /// Whether a state that is wrong is to be replaced. One that was replaced just now is not: it would not help.
    fn replaces(&self) -> bool {
        let just_now = self.replaced_at.lock().is_some_and(|at| at.elapsed() < SETTLED);
        self.checks.replaces && !just_now
    }

    /// Writes the mark of a state that is wrong again, if there was no room for it.
    pub(super) fn remember(&self, number: u64, condemned: &Condemned) {
        if !self.store.is_mark_durable()
            && let Err(error) = self.store.condemn_state(number, condemned)
        {
            tracing::debug!(%error, "a later start would still not know that this member's state is wrong");
        }
    }

    /// True if the alarm was raised.
    pub(super) fn is_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    /// The alarm was raised; a later process knows it, too.
    pub(super) fn set_told(&self, number: u64, condemned: &Condemned) {
        self.told.store(true, Ordering::Relaxed);
        let told = Condemned { told: true, ..condemned.clone() };
        if let Err(error) = self.store.condemn_state(number, &told) {
            tracing::warn!(%error, "a later start would raise the alarm of this member again");
        }
    }

    /// Clears the alarm of this member, whose state is right again. One whose outcome was not known when it was raised may
    /// come later.
    pub(super) async fn withdraw(&self) {
        let Some(since) = *self.withdraws.lock() else { return };
        let alarm = Alarm { member: self.node.status().id, kind: AlarmKind::Corrupt };
        if !self.store.alarms().contains(&alarm) {
            if since.elapsed() >= SETTLED {
                *self.withdraws.lock() = None;
                self.store.settle_replaced();
            }
            return;
        }
        if let Err(error) = self.node.propose(Caller::System, Command::AlarmClear(alarm)).await {
            tracing::warn!(%error, "the alarm of this member, whose state is right again, was not cleared yet");
        }
    }

    /// The state was replaced.
    pub(super) fn served_again(&self) {
        let now = Some(Instant::now());
        (*self.replaced_at.lock(), *self.withdraws.lock()) = (now, now);
        self.differs.store(false, Ordering::Relaxed);
        self.told.store(false, Ordering::Relaxed);
        self.node.stand(true);
        self.out.send_replace(false);
    }

    /// From now on nothing of this member's state is served, if it is the one with this number. The verdict on one that
    /// was replaced in the meantime says nothing of the next one.
    fn condemn(&self, number: u64, why: String, replace: bool) {
        let before = self.store.condemned();
        if before.as_ref().is_none_or(|before| !before.replace && replace) {
            match self.store.condemn_state(number, &Condemned { why: why.clone(), replace, told: false }) {
                Ok(false) => {
                    tracing::info!(why, "that was said of a state that was replaced since");
                    return;
                }
                Ok(true) => {}
                Err(error) => {
                    tracing::error!(%error, "a later start would not know yet that this member's state is wrong");
                }
            }
            tracing::error!(why, replace, "nothing of this member's state is served any more");
        }
        self.take_out();
        self.wake.notify_one();
    }

    /// Ends what is served of a condemned state.
    pub(super) fn take_out(&self) {
        if !self.out.send_replace(true) {
            self.node.stand(false);
        }
    }

    /// Raises the alarm CORRUPT of a member, if it is not raised. True if it is.
    pub(super) async fn raise(&self, member: MemberId) -> bool {
        let alarm = Alarm { member, kind: AlarmKind::Corrupt };
        if self.store.alarms().contains(&alarm) {
            return true;
        }
        let raised = self.node.propose(Caller::System, Command::AlarmRaise(alarm)).await;
        raised.inspect_err(|error| tracing::warn!(%error, "the alarm CORRUPT could not be raised")).is_ok()
    }

    async fn what(&self, subject: Subject) -> Result<Value, Refusal> {
        let number = self.store.state_number();
        let value = self.value(subject).await?;
        // Of a state that was replaced meanwhile the value may be of either.
        if self.store.state_number() != number {
            return Err(Refusal::Corrupt);
        }
        self.shown.store(number, Ordering::Relaxed);
        Ok(value)
    }

    async fn value(&self, subject: Subject) -> Result<Value, Refusal> {
        match subject {
            Subject::Digest(index) => {
                self.node.applied(index).await?;
                let digest = self.store.digest_at(index).ok_or(Refusal::FutureRevision)?;
                Ok(Value::Digest(digest.scheme, digest.value))
            }
            Subject::Hash(revision) => {
                // What the leader has applied comes here soon.
                for _ in 0..TRIES {
                    if self.store.revision() >= revision {
                        break;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                let store = self.store.clone();
                let hashed = offload(move || store.hash_kv(revision)).await;
                let hashed = hashed.map_err(|error| Refusal::Internal(error.to_string()))??;
                Ok(Value::Hash(hashed.compact_revision, hashed.hash))
            }
        }
    }

    async fn answer(&self, question: &[u8]) -> Result<Bytes, Refusal> {
        match decode(question)? {
            Question::Round(with_hashes) => {
                if !self.node.status().is_leader {
                    return Err(Refusal::NotLeader);
                }
                let mut outcome = self.round_of_digests().await;
                if with_hashes {
                    outcome = outcome.and(self.round_of_hashes().await);
                }
                return encode(&outcome);
            }
            Question::What(subject) => return encode(&self.what(subject).await?),
            Question::Differs(term, why) => {
                if self.node.term() != term {
                    return Err(Refusal::NotLeader);
                }
                self.found_wrong(why);
            }
        }
        Ok(Bytes::new())
    }
}

impl Source for States {
    fn write(&self, page: &mut Page) {
        let help = "Comparisons of this member's state with the leader's.";
        page.counter("kvd_state_comparisons_total", help, self.compared.load(Ordering::Relaxed));
        let help = "Whether this member's state is not the others': 1 means that nothing of it is served.";
        page.gauge("kvd_state_differs", help, u64::from(self.differs()));
        let help = "How often this member's state was replaced by the leader's because it was wrong.";
        page.counter("kvd_state_replacements_total", help, self.replaced.load(Ordering::Relaxed));
        self.scrubs.write(page);
    }
}

/// Answers other members while this one leads.
struct StateHandler {
    node: Node,
    store: Store,
}

impl StateHandler {
    fn tell(&self, question: &[u8]) -> Result<Bytes, Refusal> {
        let index = decode(question)?;
        if !self.node.status().is_leader {
            return Err(Refusal::NotLeader);
        }
        let is_applied = self.store.applied().is_some_and(|applied| applied.index >= index);
        encode(&if is_applied { Told::At(self.store.digest_at(index)) } else { Told::NotYet })
    }
}

impl Handler for StateHandler {
    fn answer(&self, question: Bytes) -> Pending<Result<Bytes, Refusal>> {
        let told = self.tell(&question);
        Box::pin(async move { told })
    }
}

/// Answers questions of any member.
struct CheckHandler(Arc<States>);

impl Handler for CheckHandler {
    fn answer(&self, question: Bytes) -> Pending<Result<Bytes, Refusal>> {
        let states = self.0.clone();
        Box::pin(async move { states.answer(&question).await })
    }
}
