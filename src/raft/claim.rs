//! Who leads, as far as this member may claim. Raft keeps its leader until it learns of another one, however long ago
//! it received the last message; a member that is cut off would believe in a leader, perhaps itself, for ever. So a
//! leader counts only while it is confirmed: a follower receives its leader's messages, and a leader a quorum's
//! answers, within the election timeout by this member's monotonic clock (etcd's check-quorum). Pure: the caller passes
//! the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{MemberId, Planted, is_planted};

/// The support of a leader by a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// This member alone is a quorum.
    Alone,
    /// The send time of the last message that a quorum has answered; `None`: no answers yet.
    Heard(Option<Instant>),
}

/// What raft believes, and when it was confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    own: MemberId,
    /// How long a confirmation counts.
    patience: Duration,
    term: u64,
    leader: Option<MemberId>,
    /// When this member was elected, or stopped being a quorum by itself.
    elected: Instant,
    /// The newest leader whose messages arrived: term, id, time of the last one.
    heard: Option<(u64, MemberId, Instant)>,
}

impl Claim {
    /// The claim of a member that knows nothing yet; a confirmation counts for `patience`.
    pub fn new(own: MemberId, patience: Duration, now: Instant) -> Self {
        Self { own, patience, term: 0, leader: None, elected: now, heard: None }
    }

    /// Sets what raft believes from now on. It names this member only if a quorum has elected it in this process.
    pub fn believe(&mut self, term: u64, leader: Option<MemberId>, now: Instant) {
        let changed = (self.term, self.leader) != (term, leader);
        (self.term, self.leader) = (term, leader);
        if changed && leader == Some(self.own) {
            self.elected = now;
        }
    }

    /// Raft's present term.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// A message from a leader has arrived.
    pub fn hear(&mut self, term: u64, leader: MemberId, now: Instant) {
        if self.heard.is_none_or(|(newest, ..)| newest <= term) {
            self.heard = Some((term, leader, now));
        }
    }

    /// The leader that raft believes in, if it is another member, and when its last message in its term arrived.
    pub fn heard_leader(&self) -> Option<(MemberId, Instant)> {
        let leader = self.leader.filter(|leader| *leader != self.own)?;
        Some((leader, self.confirmed(leader, Quorum::Heard(None), self.elected)?))
    }

    /// From now on this member needs others for a quorum: as after an election, they have some time to answer.
    pub fn needs_others(&mut self, now: Instant) {
        self.elected = now;
    }

    /// The leader, unless it is unconfirmed.
    pub fn leader(&self, quorum: Quorum, now: Instant) -> Option<MemberId> {
        let leader = self.leader?;
        let holds = match self.confirmed(leader, quorum, now) {
            Some(at) => now < at + self.patience || is_planted(Planted::UnconfirmedLeaders),
            None => false,
        };
        holds.then_some(leader)
    }

    /// When to check again: by then the leader will be unconfirmed if nothing arrives, or, if it is unconfirmed now,
    /// may be confirmed. `None`: nothing changes by itself.
    pub fn look_again(&self, quorum: Quorum, now: Instant, pause: Duration) -> Option<Instant> {
        let leader = self.leader?;
        if leader == self.own && quorum == Quorum::Alone {
            return None;
        }
        let end = self.confirmed(leader, quorum, now).map(|at| at + self.patience);
        Some(end.filter(|end| *end > now).unwrap_or(now + pause))
    }

    fn confirmed(&self, leader: MemberId, quorum: Quorum, now: Instant) -> Option<Instant> {
        if leader != self.own {
            let heard = self.heard.filter(|(term, from, _)| (*term, *from) == (self.term, leader));
            return heard.map(|(.., at)| at);
        }
        match quorum {
            Quorum::Alone => Some(now),
            Quorum::Heard(at) => Some(at.map_or(self.elected, |at| at.max(self.elected))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: MemberId = MemberId(1);
    const OTHER: MemberId = MemberId(2);
    const PATIENCE: Duration = Duration::from_millis(1000);

    /// A claim, and its clock in milliseconds.
    fn claim() -> (Claim, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (Claim::new(OWN, PATIENCE, start), move |ms| start + Duration::from_millis(ms))
    }

    #[test]
    fn a_leader_counts_while_a_quorum_answers() {
        let (mut claim, at) = claim();
        let heard = |ms| Quorum::Heard(Some(at(ms)));
        claim.believe(3, Some(OWN), at(100));
        assert_eq!(claim.leader(Quorum::Heard(None), at(1099)), Some(OWN), "elected by a quorum just now");
        assert_eq!(claim.leader(Quorum::Heard(None), at(1100)), None);
        assert_eq!(claim.leader(heard(900), at(1899)), Some(OWN));
        assert_eq!(claim.leader(heard(900), at(1900)), None);
        // As after SIGSTOP: the clock continued, and nobody has answered since.
        assert_eq!(claim.leader(heard(900), at(3_600_000)), None);
        assert_eq!(claim.leader(heard(3_600_000), at(3_600_001)), Some(OWN));
        assert_eq!(claim.leader(Quorum::Alone, at(9_999_999)), Some(OWN));
        // The same belief again is not a new election.
        claim.believe(3, Some(OWN), at(5000));
        assert_eq!(claim.leader(heard(900), at(5000)), None);
    }

    #[test]
    fn one_that_was_alone_gives_others_a_while() {
        let (mut claim, at) = claim();
        claim.believe(1, Some(OWN), at(0));
        claim.needs_others(at(60_000));
        assert_eq!(claim.leader(Quorum::Heard(None), at(60_999)), Some(OWN));
        assert_eq!(claim.leader(Quorum::Heard(None), at(61_000)), None);
    }

    #[test]
    fn a_follower_knows_the_leader_it_hears() {
        let (mut claim, at) = claim();
        let quorum = Quorum::Heard(None);
        // A leader named in the log of an earlier process has sent nothing to this one.
        claim.believe(4, Some(OTHER), at(0));
        assert_eq!(claim.leader(quorum, at(0)), None);
        claim.hear(3, OTHER, at(10));
        assert_eq!(claim.leader(quorum, at(10)), None, "the word of an earlier term");
        claim.hear(4, OTHER, at(20));
        claim.hear(3, OTHER, at(900));
        assert_eq!(claim.leader(quorum, at(1019)), Some(OTHER));
        assert_eq!(claim.leader(quorum, at(1020)), None);
        // Its message arrives before raft has decided.
        claim.hear(5, MemberId(3), at(1100));
        assert_eq!(claim.leader(quorum, at(1100)), None);
        claim.believe(5, Some(MemberId(3)), at(1101));
        assert_eq!(claim.leader(quorum, at(1101)), Some(MemberId(3)));
        claim.believe(6, None, at(1102));
        assert_eq!(claim.leader(quorum, at(1102)), None);
    }

    #[test]
    fn it_says_when_to_look_again() {
        let (mut claim, at) = claim();
        let pause = Duration::from_millis(100);
        let quorum = Quorum::Heard(Some(at(50)));
        assert_eq!(claim.look_again(quorum, at(50), pause), None, "no leader: raft says when there is one");
        claim.believe(1, Some(OWN), at(0));
        assert_eq!(claim.look_again(Quorum::Alone, at(50), pause), None);
        assert_eq!(claim.look_again(quorum, at(60), pause), Some(at(1050)));
        assert_eq!(claim.look_again(quorum, at(1050), pause), Some(at(1150)));
    }
}
