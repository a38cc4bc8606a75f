//! Checks of other members' messages, before raft receives them: raft trusts its peers, and ends the process if their
//! messages are inconsistent.

use crate::log::{Log, Vote};
use crate::model::{LogPosition, MemberId};

/// No cluster gets this far: higher terms and indexes are false, and would overflow.
const MOST: u64 = 1 << 62;
/// Terms that a member can have missed: one per millisecond for years.
const MISSED_TERMS: u64 = 1 << 40;

/// Why a message cannot be true.
pub type Untrue = String;

fn ensure(holds: bool, what: impl FnOnce() -> Untrue) -> Result<(), Untrue> {
    if holds { Ok(()) } else { Err(what()) }
}

/// A position that the owner of `vote` may name.
fn place(at: LogPosition, vote: Vote) -> Result<(), Untrue> {
    ensure(at.index < MOST, || format!("there is no index {}", at.index))?;
    ensure(at.term <= vote.term, || format!("an entry of term {} in term {}", at.term, vote.term))
}

fn is_same(one: LogPosition, other: LogPosition) -> bool {
    (one.term, one.index) == (other.term, other.index)
}

/// A vote for `candidate`; the reader's own term is `term`.
fn vote(vote: Vote, candidate: MemberId, committed: bool, term: u64) -> Result<(), Untrue> {
    ensure(vote.voted_for == candidate.0, || format!("a vote for {}", MemberId(vote.voted_for)))?;
    ensure(vote.committed == committed, || "a vote of the wrong kind".into())?;
    // Term 0 founded the cluster; it has no leader.
    ensure(vote.term > 0 && vote.term < MOST && vote.term <= term.saturating_add(MISSED_TERMS), || {
        format!("term {} is out of reach from {term}", vote.term)
    })
}

/// Entries from a leader, in its log's order.
pub struct Append<'e> {
    /// The leader.
    pub from: MemberId,
    /// Its vote.
    pub vote: Vote,
    /// The position before the first entry.
    pub previous: Option<LogPosition>,
    /// The positions of the entries.
    pub entries: &'e [LogPosition],
    /// The last entry that is committed according to the leader.
    pub committed: Option<LogPosition>,
}

impl Append<'_> {
    /// Checks a leader's message for consistency, also with this member's log. Returns the last committed entry of the
    /// leader that this member's log certainly holds.
    ///
    /// # Errors
    /// If it cannot be true.
    pub fn check(&self, log: &Log) -> Result<Option<LogPosition>, Untrue> {
        let own_term = log.vote().map_or(0, |vote| vote.term);
        vote(self.vote, self.from, true, own_term)?;
        let mut last = self.previous;
        for at in self.previous.iter().chain(self.entries) {
            place(*at, self.vote)?;
        }
        for at in self.entries {
            let (term, index) = last.map_or((0, 0), |last| (last.term, last.index + 1));
            ensure(at.index == index && at.term >= term, || format!("{at:?} after {last:?}"))?;
            last = Some(*at);
        }
        let agreed = self.agrees(log)?;
        let Some(committed) = self.committed else { return Ok(None) };
        place(committed, self.vote)?;
        let Some(last) = last else { return Ok(None) };
        if committed.index >= last.index {
            let order = if committed.index == last.index {
                committed.term == last.term
            } else {
                committed.term >= last.term
            };
            ensure(order, || format!("{committed:?} is committed, but {last:?} is there"))?;
            return Ok(Some(last).filter(|_| agreed));
        }
        ensure(committed.term <= last.term, || format!("{committed:?} before {last:?}"))?;
        let first = self.entries.first().map_or(u64::MAX, |first| first.index);
        let sent = committed.index.checked_sub(first).and_then(|at| self.entries.get(at as usize));
        if let Some(sent) = sent {
            ensure(is_same(*sent, committed), || format!("{committed:?} is committed, {sent:?} was sent"))?;
            return Ok(Some(committed).filter(|_| agreed));
        }
        // It is among entries that were sent before and may still be on their way into the log: the leader will repeat
        // it.
        let own = log.position_at(committed.index);
        Ok(Some(committed).filter(|_| agreed && own.is_some_and(|own| is_same(own, committed))))
    }

    /// True if this member's log holds the position before the entries. Entries that are committed here are committed
    /// for ever.
    fn agrees(&self, log: &Log) -> Result<bool, Untrue> {
        let purged = log.bounds().purged;
        let settled = log.committed().into_iter().chain(purged).map(|at| at.index + 1);
        let committed = settled.max().unwrap_or(0);
        for at in self.previous.iter().chain(self.entries).take_while(|at| at.index < committed) {
            let own = log.position_at(at.index);
            let agrees = match own {
                Some(own) => is_same(own, *at),
                None => purged.is_some_and(|purged| at.term <= purged.term),
            };
            ensure(agrees, || format!("{at:?} is committed here as {own:?}"))?;
        }
        let Some(previous) = self.previous else { return Ok(true) };
        let is_old = purged.is_some_and(|purged| previous.index <= purged.index);
        Ok(is_old || log.position_at(previous.index).is_some_and(|own| is_same(own, previous)))
    }
}

/// Checks a candidate's request for a vote.
///
/// # Errors
/// If it cannot be true.
pub fn ballot(from: MemberId, asked: Vote, last: Option<LogPosition>, log: &Log) -> Result<(), Untrue> {
    vote(asked, from, false, log.vote().map_or(0, |vote| vote.term))?;
    last.map_or(Ok(()), |last| place(last, asked))
}

/// Checks a leader's message about its successor.
///
/// # Errors
/// If it cannot be true.
pub fn transfer(from: MemberId, leader: Vote, last: Option<LogPosition>, log: &Log) -> Result<(), Untrue> {
    vote(leader, from, true, log.vote().map_or(0, |vote| vote.term))?;
    last.map_or(Ok(()), |last| place(last, leader))
}

/// Checks the header of a leader's snapshot: its last position and the position of its configuration.
///
/// # Errors
/// If it cannot be true.
pub fn snapshot(
    from: MemberId,
    leader: Vote,
    last: LogPosition,
    config: Option<LogPosition>,
    log: &Log,
) -> Result<(), Untrue> {
    vote(leader, from, true, log.vote().map_or(0, |vote| vote.term))?;
    place(last, leader)?;
    if let Some(config) = config {
        let fits = config.index <= last.index && config.term <= last.term;
        ensure(fits, || format!("a configuration of {config:?} in a snapshot up to {last:?}"))?;
    }
    let end = log.bounds().last;
    let follows = end.is_none_or(|end| last.index <= end.index || last.term >= end.term);
    ensure(follows, || format!("a snapshot up to {last:?} after {end:?}"))
}

/// Checks a vote that is reported to be higher than `asked`, which is this member's.
///
/// # Errors
/// If it cannot be true. A member never learns from others that it was elected.
pub fn higher_vote(own: MemberId, asked: Vote, higher: Vote) -> Result<Vote, Untrue> {
    ensure(higher.term > asked.term && higher.voted_for != own.0, || {
        format!("{higher:?} against {asked:?}")
    })?;
    vote(higher, MemberId(higher.voted_for), higher.committed, asked.term).map(|()| higher)
}

/// Checks the answer to a candidate, which is this member.
///
/// # Errors
/// If it cannot be true.
pub fn voted(own: MemberId, asked: Vote, stands: Vote, last: Option<LogPosition>) -> Result<(), Untrue> {
    if stands.term > asked.term {
        higher_vote(own, asked, stands)?;
    }
    last.map_or(Ok(()), |last| place(last, Vote { term: stands.term.max(asked.term), ..stands }))
}

/// Checks the vote in the answer to a snapshot: the sender's, or a higher one.
///
/// # Errors
/// If it cannot be true.
pub fn installed(own: MemberId, sent: Vote, stands: Vote) -> Result<Vote, Untrue> {
    if stands == sent { Ok(stands) } else { higher_vote(own, sent, stands) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_by_others_that_it_leads() {
        let own = MemberId(1);
        let asked = Vote { term: 5, voted_for: 1, committed: true };
        let vote = |term, voted_for| Vote { term, voted_for, committed: true };
        assert_eq!(higher_vote(own, asked, vote(6, 2)), Ok(vote(6, 2)));
        for lie in [vote(6, 1), vote(5, 2), vote(4, 2), vote(u64::MAX, 2), vote(5 + 2 * MISSED_TERMS, 2)] {
            assert!(higher_vote(own, asked, lie).is_err(), "{lie:?}");
            assert!(installed(own, asked, lie).is_err(), "{lie:?}");
        }
        assert_eq!(installed(own, asked, asked), Ok(asked));
        let last = |term, index| Some(LogPosition { term, leader: 0, index });
        assert_eq!(voted(own, asked, vote(4, 2), last(4, 9)), Ok(()));
        for (stands, last) in [(vote(6, 1), None), (vote(4, 2), last(6, 9)), (vote(4, 2), last(4, u64::MAX))]
        {
            assert!(voted(own, asked, stands, last).is_err(), "{stands:?} {last:?}");
        }
    }
}
