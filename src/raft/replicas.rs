//! A leader's knowledge of the others' logs: how far they have acknowledged entries, and why entries do not reach a
//! member, if the reason is lasting.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::log::Vote;
use crate::model::{LogPosition, MemberId, Progress};

/// A problem that disappears within this time, as when a member is stopped, is not logged.
const LASTING: Duration = Duration::from_secs(1);
/// How long it counts that a member was slow.
const RECENT: Duration = Duration::from_secs(30);
/// Interval before another reason is logged.
const AGAIN: Duration = Duration::from_secs(60);

/// The others' logs, as far as they are known.
#[derive(Default)]
pub struct Replicas(Mutex<BTreeMap<MemberId, Replica>>);

#[derive(Default)]
struct Replica {
    /// The last acknowledged position, and the vote of the leader that received the acknowledgement.
    acknowledged: Option<(Vote, LogPosition)>,
    fault: Option<Fault>,
    exchange: Exchange,
    /// When it has acknowledged entries last, and how long that takes, the last times counting most.
    lately: Option<(Instant, Duration)>,
    /// How long that took the last time.
    last: Option<Duration>,
}

/// What a leader has sent to a member, and how long the answers took: counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Exchange {
    /// Messages that the member has acknowledged.
    pub done: u64,
    /// Messages that were not sent, not answered in time, or refused.
    pub failed: u64,
    /// The last one's time.
    pub last: Duration,
    /// The shortest one's time.
    pub shortest: Duration,
    /// The longest one's time.
    pub longest: Duration,
    /// The sum of the times, in seconds.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Exchange {
    fn add(&mut self, took: Duration) {
        self.shortest = if self.done == 0 { took } else { self.shortest.min(took) };
        self.longest = self.longest.max(took);
        self.last = took;
        self.done += 1;
        self.sum += took.as_secs_f64();
        self.squares += took.as_secs_f64().powi(2);
    }

    /// The mean time, in seconds.
    pub fn mean(&self) -> f64 {
        if self.done == 0 { 0.0 } else { self.sum / self.done as f64 }
    }

    /// The standard deviation of the times, in seconds.
    pub fn deviation(&self) -> f64 {
        if self.done == 0 {
            return 0.0;
        }
        (self.squares / self.done as f64 - self.mean().powi(2)).max(0.0).sqrt()
    }
}

struct Fault {
    /// The latest reason.
    reason: String,
    /// True if it only concerns messages without entries, such as heartbeats; it is over when one of them is answered.
    of_empty: bool,
    since: Instant,
    /// When it was logged last, and with what reason, if it is lasting.
    logged: Option<(Instant, String)>,
}

impl Replicas {
    /// A member reports to the leader with this vote that it has everything up to `last`. An `empty` message, such as a
    /// heartbeat, does not show whether entries reach it. `took`: the time of the message and its answer.
    pub fn acknowledged(
        &self,
        by: MemberId,
        to: Vote,
        last: Option<LogPosition>,
        empty: bool,
        took: Option<Duration>,
    ) {
        let mut replicas = self.0.lock();
        let replica = replicas.entry(by).or_default();
        if let Some(took) = took {
            replica.exchange.add(took);
            if !empty {
                // A single answer may be late for many reasons.
                let before = replica.lately.map_or(took, |(_, before)| before);
                replica.lately = Some((Instant::now(), (before * 7 + took) / 8));
                replica.last = Some(took);
            }
        }
        let fault = replica.fault.take_if(|fault| !empty || fault.of_empty);
        if fault.is_some_and(|fault| fault.logged.is_some()) {
            tracing::info!(remote_peer_id = %by, "entries reach the member again");
        }
        let before = replica.acknowledged.filter(|(vote, _)| *vote == to).map(|(_, last)| last);
        if let Some(last) = before.max(last) {
            replica.acknowledged = Some((to, last));
        }
    }

    /// The members that take at least this long to acknowledge entries, and how long they take.
    pub fn slow(&self, limit: Duration) -> Vec<(MemberId, Duration)> {
        let slow = |replica: &Replica| {
            let (at, takes) = replica.lately?;
            (takes >= limit && at.elapsed() < RECENT).then_some(takes)
        };
        let replicas = self.0.lock();
        replicas.iter().filter_map(|(id, replica)| Some((*id, slow(replica)?))).collect()
    }

    /// True if the member has acknowledged the last entries within this time.
    pub fn was_quick(&self, id: MemberId, limit: Duration) -> bool {
        self.0.lock().get(&id).and_then(|replica| replica.last).is_some_and(|took| took < limit)
    }

    /// How far a member has acknowledged entries to the leader with this vote.
    pub fn acknowledged_to(&self, by: MemberId, to: Vote) -> Option<LogPosition> {
        let replicas = self.0.lock();
        let (vote, last) = replicas.get(&by)?.acknowledged?;
        (vote == to).then_some(last)
    }

    /// The highest position that a member has acknowledged to this one, as the leader of any term. Its log cannot end
    /// before that.
    pub fn progress(&self, of: MemberId) -> Option<Progress> {
        let (vote, last) = self.0.lock().get(&of)?.acknowledged?;
        Some(Progress { term: vote.term, last: Some(last) })
    }

    /// Entries did not reach a member, because of the entries or of the member. Logged when it is lasting, and when the
    /// reason changes.
    pub fn failed(&self, to: MemberId, reason: String, empty: bool) {
        let mut replicas = self.0.lock();
        let replica = replicas.entry(to).or_default();
        replica.exchange.failed += 1;
        let now = Instant::now();
        let before = replica.fault.take();
        let mut fault =
            before.unwrap_or(Fault { reason: String::new(), of_empty: true, since: now, logged: None });
        fault.reason = reason;
        fault.of_empty &= empty;
        let is_news = match &fault.logged {
            None => now.duration_since(fault.since) >= LASTING,
            Some((at, said)) => *said != fault.reason && now.duration_since(*at) >= AGAIN,
        };
        if is_news {
            tracing::error!(remote_peer_id = %to, reason = fault.reason, "entries do not reach a member");
            fault.logged = Some((now, fault.reason.clone()));
        }
        replica.fault = Some(fault);
    }

    /// A message to a member was not sent, or not answered in time.
    pub fn lost(&self, to: MemberId) {
        self.0.lock().entry(to).or_default().exchange.failed += 1;
    }

    /// What was exchanged with a member.
    pub fn exchange(&self, with: MemberId) -> Exchange {
        self.0.lock().get(&with).map(|replica| replica.exchange).unwrap_or_default()
    }

    /// Drops all except these: a removed member needs no entries.
    pub fn keep(&self, is_member: impl Fn(MemberId) -> bool) {
        self.0.lock().retain(|id, _| is_member(*id));
    }

    /// The members that entries do not reach, with the reason.
    pub fn faults(&self) -> Vec<(MemberId, String)> {
        let replicas = self.0.lock();
        let lasting = |replica: &Replica| {
            replica.fault.as_ref().filter(|fault| fault.logged.is_some()).map(|fault| fault.reason.clone())
        };
        replicas.iter().filter_map(|(id, replica)| Some((*id, lasting(replica)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_to_another_leader_does_not_count() {
        let replicas = Replicas::default();
        let vote = |term| Vote { term, voted_for: 1, committed: true };
        let at = |index| Some(LogPosition { term: 1, leader: 0, index });
        let two = MemberId(2);
        replicas.acknowledged(two, vote(1), at(7), false, None);
        replicas.acknowledged(two, vote(1), at(5), true, None);
        assert_eq!(replicas.acknowledged_to(two, vote(1)), at(7));
        replicas.acknowledged(two, vote(2), at(3), false, None);
        assert_eq!(
            (replicas.acknowledged_to(two, vote(1)), replicas.acknowledged_to(two, vote(2))),
            (None, at(3))
        );
        assert_eq!(replicas.progress(two), Some(Progress { term: 2, last: at(3) }));
        assert_eq!(replicas.progress(MemberId(3)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_lasts_stands_until_entries_arrive() {
        let replicas = Replicas::default();
        let fail = |reason: &str| replicas.failed(MemberId(2), reason.into(), false);
        fail("it answers: stopped");
        assert!(replicas.faults().is_empty(), "it may pass");
        tokio::time::advance(LASTING).await;
        fail("too large");
        assert_eq!(replicas.faults(), [(MemberId(2), "too large".to_string())]);
        replicas.acknowledged(MemberId(3), Vote::default(), None, false, None);
        assert_eq!(replicas.faults().len(), 1);
        replicas.acknowledged(MemberId(2), Vote::default(), None, true, None);
        assert_eq!(replicas.faults().len(), 1, "a heartbeat carries no entries");
        replicas.acknowledged(MemberId(2), Vote::default(), None, false, None);
        assert!(replicas.faults().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_of_empty_ends_with_the_next_one() {
        let replicas = Replicas::default();
        for _ in 0..2 {
            replicas.failed(MemberId(2), "it answers: stopped".into(), true);
            tokio::time::advance(LASTING).await;
        }
        assert_eq!(replicas.faults().len(), 1);
        replicas.acknowledged(MemberId(2), Vote::default(), None, true, None);
        assert!(replicas.faults().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_is_slow_if_entries_take_long_more_than_once() {
        let (replicas, vote) = (Replicas::default(), Vote { term: 1, voted_for: 1, committed: true });
        let (quick, long, limit) =
            (Duration::from_millis(2), Duration::from_millis(900), Duration::from_millis(200));
        let tell = |empty, took| replicas.acknowledged(MemberId(2), vote, None, empty, Some(took));
        tell(false, quick);
        tell(false, long);
        assert!(!replicas.was_quick(MemberId(2), limit));
        tell(false, quick);
        tell(true, long);
        assert!(replicas.was_quick(MemberId(2), limit) && !replicas.was_quick(MemberId(3), limit));
        assert_eq!(replicas.slow(limit), [], "once, or for heartbeats");
        for _ in 0..8 {
            tell(false, long);
        }
        let slow = replicas.slow(limit);
        assert!(matches!(slow[..], [(MemberId(2), takes)] if takes > long / 2), "{slow:?}");
        tokio::time::advance(RECENT).await;
        assert_eq!(replicas.slow(limit), [], "that is long ago");
    }

    #[test]
    fn answers_are_counted_with_their_times() {
        let replicas = Replicas::default();
        assert_eq!(replicas.exchange(MemberId(2)), Exchange::default());
        for seconds in [2, 4, 3] {
            let took = Some(Duration::from_secs(seconds));
            replicas.acknowledged(MemberId(2), Vote::default(), None, true, took);
        }
        replicas.lost(MemberId(2));
        let exchange = replicas.exchange(MemberId(2));
        assert_eq!((exchange.done, exchange.failed, exchange.last.as_secs()), (3, 1, 3));
        assert_eq!((exchange.shortest.as_secs(), exchange.longest.as_secs()), (2, 4));
        assert!(
            (exchange.mean() - 3.0).abs() < 1e-9
                && (exchange.deviation() - (2.0_f64 / 3.0).sqrt()).abs() < 1e-9
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_no_member_is_forgotten() {
        let replicas = Replicas::default();
        for id in [2, 2, 3, 3] {
            replicas.failed(MemberId(id), "too large".into(), false);
            tokio::time::advance(LASTING).await;
        }
        assert_eq!(replicas.faults().len(), 2);
        replicas.keep(|id| id == MemberId(3));
        assert_eq!(replicas.faults(), [(MemberId(3), "too large".to_string())]);
    }
}
