//! Which changes of members leave a cluster that works (etcd's strict reconfiguration checks). Pure.
//!
//! An added member votes only once it has caught up, so an addition costs no quorum: what must hold is the quorum of
//! those who vote now. A promotion and a removal must leave a quorum of the voters that there are afterwards.

use crate::model::{MemberId, Refusal};

/// A member as the rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Who it is.
    pub id: MemberId,
    /// It has a vote in raft.
    pub votes: bool,
    /// It was added to learn only; one that neither votes nor learns is a voter that still catches up.
    pub learner: bool,
    /// It has made its name known at some time.
    pub started: bool,
    /// It can be reached now.
    pub active: bool,
}

/// Whether so many of so many are a quorum.
fn suffice(there: usize, of: usize) -> bool {
    there > of / 2
}

/// True if those who are reached are a quorum of `voters`.
fn works<'s>(voters: impl Iterator<Item = &'s Seat> + Clone) -> bool {
    suffice(voters.clone().filter(|seat| seat.active).count(), voters.count())
}

/// Whether a member may be added.
///
/// # Errors
/// [`Refusal::NotEnoughStarted`] for a voter, if those that have ever started would be no quorum with it counted (a
/// second member may always be added to one); [`Refusal::Unhealthy`] if the voters reached are no quorum.
pub fn may_add(seats: &[Seat], learner: bool) -> Result<(), Refusal> {
    if !learner {
        enough_started(seats)?;
    }
    if works(seats.iter().filter(|seat| seat.votes)) { Ok(()) } else { Err(Refusal::Unhealthy) }
}

/// Whether a learner may become a voter.
///
/// # Errors
/// As [`may_add`].
pub fn may_promote(seats: &[Seat], id: MemberId) -> Result<(), Refusal> {
    enough_started(seats)?;
    if keeps_quorum(seats, id) { Ok(()) } else { Err(Refusal::Unhealthy) }
}

/// True if the voters reached are a quorum once the member votes, too.
pub fn keeps_quorum(seats: &[Seat], id: MemberId) -> bool {
    works(seats.iter().filter(|seat| seat.votes || seat.id == id))
}

/// Whether a member may be removed. One without a vote always may.
///
/// # Errors
/// [`Refusal::NotEnoughStarted`] if of the voters left those that have ever started are no quorum;
/// [`Refusal::Unhealthy`] if those reached are none.
pub fn may_remove(seats: &[Seat], id: MemberId) -> Result<(), Refusal> {
    if !seats.iter().any(|seat| seat.id == id && seat.votes) {
        return Ok(());
    }
    let left = seats.iter().filter(|seat| seat.votes && seat.id != id);
    if !suffice(left.clone().filter(|seat| seat.started).count(), left.clone().count()) {
        return Err(Refusal::NotEnoughStarted);
    }
    if works(left) { Ok(()) } else { Err(Refusal::Unhealthy) }
}

/// etcd's check before a vote is added: members that are to vote count, whether they have caught up or not.
fn enough_started(seats: &[Seat]) -> Result<(), Refusal> {
    let all = seats.iter().filter(|seat| !seat.learner);
    let started = all.clone().filter(|seat| seat.started).count();
    let after = all.count() + 1;
    let second = started == 1 && after == 2;
    if second || suffice(started, after) { Ok(()) } else { Err(Refusal::NotEnoughStarted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members 1, 2, ... by a letter each: `V` votes, `d` votes and is down, `u` votes and has never started, `P` is to
    /// vote and catches up, `p` likewise and is not there, `q` has started, is to vote and is down, `L` learns, `l`
    /// likewise and is down.
    fn seats(letters: &str) -> Vec<Seat> {
        let seat = |(number, letter): (usize, char)| Seat {
            id: MemberId(1 + number as u64),
            votes: matches!(letter, 'V' | 'd' | 'u'),
            learner: matches!(letter, 'L' | 'l'),
            started: !matches!(letter, 'u' | 'p'),
            active: matches!(letter, 'V' | 'P' | 'L'),
        };
        letters.chars().enumerate().map(seat).collect()
    }

    const OK: Result<(), Refusal> = Ok(());
    const STARTED: Result<(), Refusal> = Err(Refusal::NotEnoughStarted);
    const UNHEALTHY: Result<(), Refusal> = Err(Refusal::Unhealthy);

    #[test]
    fn additions() {
        // Members, whether a voter may be added, whether a learner may.
        for (members, voter, learner) in [
            ("V", OK, OK),
            ("VV", OK, OK),
            ("Vd", UNHEALTHY, UNHEALTHY),
            ("VVV", OK, OK),
            ("VVd", OK, OK),
            ("Vdd", UNHEALTHY, UNHEALTHY),
            ("VVu", STARTED, OK),
            ("VVVV", OK, OK),
            ("VVVd", OK, OK),
            ("VVdd", UNHEALTHY, UNHEALTHY),
            ("VVVdd", OK, OK),
            ("VVddd", UNHEALTHY, UNHEALTHY),
            ("VVVVddd", OK, OK),
            ("Vp", STARTED, OK),
            ("VP", OK, OK),
            ("VVVp", OK, OK),
            ("VVdp", OK, OK),
            ("VVdpp", STARTED, OK),
            ("VVdL", OK, OK),
            ("VVdl", OK, OK),
        ] {
            assert_eq!(may_add(&seats(members), false), voter, "a voter to {members}");
            assert_eq!(may_add(&seats(members), true), learner, "a learner to {members}");
        }
    }

    #[test]
    fn promotions() {
        // Members, who is promoted, whether it may be if somebody asks, whether a quorum is left.
        for (members, id, may, keeps) in [
            ("VL", 2, OK, true),
            ("Vl", 2, UNHEALTHY, false),
            ("VVVL", 4, OK, true),
            ("VVVl", 4, OK, true),
            ("VVdL", 4, OK, true),
            ("VVdl", 4, UNHEALTHY, false),
            ("VVdP", 4, OK, true),
            ("VVdq", 4, UNHEALTHY, false),
            ("VVuL", 4, STARTED, true),
            ("VVVVL", 5, OK, true),
            ("VVVdl", 5, OK, true),
            ("VVVddl", 6, UNHEALTHY, false),
        ] {
            assert_eq!(may_promote(&seats(members), MemberId(id)), may, "member {id} of {members}");
            assert_eq!(keeps_quorum(&seats(members), MemberId(id)), keeps, "member {id} of {members}");
        }
    }

    #[test]
    fn removals() {
        for (members, id, may) in [
            ("VV", 2, OK),
            ("VVV", 3, OK),
            ("VVd", 3, OK),
            ("VVd", 2, UNHEALTHY),
            ("VVu", 3, OK),
            ("VVu", 2, STARTED),
            ("VVVd", 4, OK),
            ("VVVd", 3, OK),
            ("VVVdd", 1, UNHEALTHY),
            ("VVVdd", 4, OK),
            ("VVVVd", 1, OK),
            // Who does not vote yet is no part of the quorum that is left.
            ("VVdP", 2, UNHEALTHY),
            ("VVVp", 3, OK),
            ("Vp", 1, STARTED),
            ("Vp", 2, OK),
            ("VVdL", 4, OK),
            ("VVdl", 4, OK),
        ] {
            assert_eq!(may_remove(&seats(members), MemberId(id)), may, "member {id} of {members}");
        }
    }
}
