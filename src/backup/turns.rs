//! Whose turn it is. The leader decides, from what all members that take backups report to it again and again.
//!
//! A member that has not reported for a while is away, and another takes over; a backup that it has taken still counts. A
//! new leader first waits for reports: another member may be at it, or have a recent backup.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::MemberId;

/// What a member reports to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The member.
    pub member: MemberId,
    /// Milliseconds between two backups.
    pub every_ms: u64,
    /// Milliseconds since its newest backup was taken; `None` if it has none.
    pub age_ms: Option<u64>,
    /// What it does.
    pub state: State,
}

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It could take a backup.
    Idle,
    /// It takes one.
    Busy,
    /// It has failed lately.
    Failed,
}

/// The leader's answer. New variants go at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// No backup is due, or it is another member's turn.
    Wait,
    /// A backup is due, but the leader does not know all members yet.
    Soon,
    /// Take one.
    Take,
}

/// The pause between two reports of a member that takes backups so often.
pub fn pause(every: Duration) -> Duration {
    (every / 20).clamp(Duration::from_millis(100), Duration::from_secs(10))
}

/// How long a member may be silent before it counts as away. A busy machine is no reason for a second backup.
fn patience(every: Duration) -> Duration {
    (5 * pause(every)).max(Duration::from_secs(10))
}

/// What the leader has heard in its term.
#[derive(Default)]
pub struct Turns {
    term: u64,
    since: Duration,
    heard: BTreeMap<MemberId, Heard>,
}

struct Heard {
    at: Duration,
    report: Report,
}

impl Heard {
    fn every(&self) -> Duration {
        Duration::from_millis(self.report.every_ms)
    }

    fn is_present(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) <= patience(self.every())
    }

    fn age(&self, now: Duration) -> Option<Duration> {
        let age = Duration::from_millis(self.report.age_ms?);
        Some(age.saturating_add(now.saturating_sub(self.at)))
    }
}

impl Turns {
    /// The answer to a report. `leader` is this member, which leads in `term`; `members` are those of the cluster; `now`
    /// is the monotonic time here.
    pub fn decide(
        &mut self,
        report: Report,
        (leader, term): (MemberId, u64),
        members: &[MemberId],
        now: Duration,
    ) -> Verdict {
        if self.term != term {
            *self = Self { term, since: now, heard: BTreeMap::new() };
        }
        self.heard.retain(|member, _| members.contains(member));
        self.heard.insert(report.member, Heard { at: now, report });
        let present = || self.heard.values().filter(|heard| heard.is_present(now));
        let every = present().map(Heard::every).min().unwrap_or_default();
        let age = self.heard.values().filter_map(|heard| heard.age(now)).min();
        let is_busy = present().any(|heard| heard.report.state == State::Busy);
        if is_busy || age.is_some_and(|age| age < every) {
            return Verdict::Wait;
        }
        let knows_all = members.iter().all(|member| self.heard.contains_key(member));
        if !knows_all && now.saturating_sub(self.since) < 3 * pause(every) {
            return Verdict::Soon;
        }
        let able = present().map(|heard| heard.report).filter(|report| report.state == State::Idle);
        let chosen = able.map(|report| report.member).min_by_key(|member| (*member == leader, *member));
        if chosen != Some(report.member) {
            return Verdict::Wait;
        }
        // From now on, until it says something else.
        self.heard.insert(report.member, Heard { at: now, report: Report { state: State::Busy, ..report } });
        Verdict::Take
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(3600);
    const ALL: [MemberId; 3] = [MemberId(1), MemberId(2), MemberId(3)];
    const SECOND: Duration = Duration::from_secs(1);

    fn report(member: u64, age: Option<Duration>, state: State) -> Report {
        let age_ms = age.map(|age| age.as_millis() as u64);
        Report { member: MemberId(member), every_ms: EVERY.as_millis() as u64, age_ms, state }
    }

    /// Member 1 leads.
    struct Leader(Turns, u64);

    impl Leader {
        fn new(term: u64) -> Self {
            Self(Turns::default(), term)
        }

        fn hear(&mut self, at: Duration, report: Report) -> Verdict {
            self.0.decide(report, (MemberId(1), self.1), &ALL, at)
        }
    }

    #[test]
    fn the_first_member_that_does_not_lead_takes_it_and_nobody_else() {
        let mut leader = Leader::new(1);
        assert_eq!(leader.hear(SECOND, report(1, None, State::Idle)), Verdict::Soon);
        assert_eq!(leader.hear(SECOND, report(3, None, State::Idle)), Verdict::Soon);
        // Now all are known.
        assert_eq!(leader.hear(SECOND, report(2, None, State::Idle)), Verdict::Take);
        for at in 2..8 {
            for member in [1, 3] {
                assert_eq!(leader.hear(at * SECOND, report(member, None, State::Idle)), Verdict::Wait);
            }
            assert_eq!(leader.hear(at * SECOND, report(2, None, State::Busy)), Verdict::Wait);
        }
        // It has taken one, so none is due for an hour.
        let done = 8 * SECOND;
        for at in (0..EVERY.as_secs()).step_by(10).map(Duration::from_secs) {
            for member in [1, 3] {
                assert_eq!(leader.hear(done + at, report(member, None, State::Idle)), Verdict::Wait);
            }
            assert_eq!(leader.hear(done + at, report(2, Some(at), State::Idle)), Verdict::Wait);
        }
        assert_eq!(leader.hear(done + EVERY, report(3, None, State::Idle)), Verdict::Wait);
        assert_eq!(leader.hear(done + EVERY, report(2, Some(EVERY), State::Idle)), Verdict::Take);
    }

    #[test]
    fn another_takes_over_from_a_member_that_is_away_and_what_it_has_taken_counts() {
        let mut leader = Leader::new(1);
        for member in [1, 3] {
            leader.hear(SECOND, report(member, None, State::Idle));
        }
        assert_eq!(leader.hear(SECOND, report(2, None, State::Idle)), Verdict::Take);
        let mut hear = |at: u64| leader.hear(Duration::from_secs(at), report(3, None, State::Idle));
        let away = 1 + patience(EVERY).as_secs();
        assert!((2..=away).step_by(10).all(|at| hear(at) == Verdict::Wait), "it may be at it");
        assert_eq!(hear(away + 1), Verdict::Take);
        // Another one has a backup and goes away: it still counts.
        let mut leader = Leader::new(1);
        leader.hear(SECOND, report(1, None, State::Idle));
        leader.hear(SECOND, report(2, Some(SECOND), State::Idle));
        let mut hear = |at: u64| leader.hear(Duration::from_secs(at), report(3, None, State::Idle));
        assert!((2..3600).step_by(10).all(|at| hear(at) == Verdict::Wait));
        assert_eq!(hear(3602), Verdict::Take);
    }

    #[test]
    fn the_leader_takes_it_if_no_other_member_can() {
        let mut leader = Leader::new(1);
        leader.hear(SECOND, report(2, None, State::Failed));
        leader.hear(SECOND, report(3, None, State::Failed));
        assert_eq!(leader.hear(SECOND, report(1, None, State::Failed)), Verdict::Wait);
        assert_eq!(leader.hear(SECOND, report(1, None, State::Idle)), Verdict::Take);
        // Alone, it waits until others had time to report.
        let mut leader = Leader::new(1);
        let mut hear = |at: u64| leader.hear(Duration::from_secs(at), report(1, None, State::Idle));
        assert_eq!(hear(1), Verdict::Soon);
        assert_eq!(hear(30), Verdict::Soon);
        assert_eq!(hear(31), Verdict::Take);
    }

    #[test]
    fn a_new_leader_asks_first_and_the_shortest_interval_counts() {
        let mut leader = Leader::new(1);
        for member in [1, 3] {
            leader.hear(SECOND, report(member, None, State::Idle));
        }
        assert_eq!(leader.hear(SECOND, report(2, None, State::Idle)), Verdict::Take);
        // A new term: what was heard before is void.
        leader.1 = 2;
        assert_eq!(leader.hear(2 * SECOND, report(3, None, State::Idle)), Verdict::Soon);
        assert_eq!(leader.hear(2 * SECOND, report(2, None, State::Busy)), Verdict::Wait);
        assert_eq!(leader.hear(2 * SECOND, report(1, None, State::Idle)), Verdict::Wait);
        let often = Report { every_ms: 60_000, ..report(3, None, State::Idle) };
        let old = Some(Duration::from_secs(100));
        let mut leader = Leader::new(1);
        leader.hear(SECOND, report(1, old, State::Idle));
        assert_eq!(leader.hear(SECOND, report(2, old, State::Idle)), Verdict::Wait, "an hour");
        leader.hear(SECOND, often);
        assert_eq!(leader.hear(SECOND, report(2, old, State::Idle)), Verdict::Take, "a minute");
    }
}
