//! Which membership changes leave a cluster that works (etcd's strict reconfiguration checks). Pure.
//!
//! An added member votes only after it has caught up, so an addition costs no quorum: the present voters must have a
//! quorum. A promotion and a removal must leave a quorum among the voters after the change.

use crate::model::{MemberId, Refusal};

/// A member for these rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its id.
    pub id: MemberId,
    /// It has a vote in raft.
    pub votes: bool,
    /// It was added as a learner; a member that neither votes nor learns is a voter that is still catching up.
    pub learner: bool,
    /// It has published its name at some time.
    pub started: bool,
    /// It can be reached now.
    pub active: bool,
}

/// True if `there` of `of` members are a quorum.
fn suffice(there: usize, of: usize) -> bool {
    there > of / 2
}

/// True if the reachable ones are a quorum of `voters`.
fn works<'s>(voters: impl Iterator<Item = &'s Seat> + Clone) -> bool {
    suffice(voters.clone().filter(|seat| seat.active).count(), voters.count())
}

/// Whether a member may be added.
///
/// # Errors
/// [`Refusal::NotEnoughStarted`] for a voter, if the members that have ever started would not be a quorum with it
/// counted (a second member may always be added to one); [`Refusal::Unhealthy`] if the reachable voters are not a
/// quorum.
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

/// True if the reachable voters are a quorum after the member votes, too.
pub fn keeps_quorum(seats: &[Seat], id: MemberId) -> bool {
    works(seats.iter().filter(|seat| seat.votes || seat.id == id))
}

/// Whether a member may be removed. A member without a vote always may.
///
/// # Errors
/// [`Refusal::NotEnoughStarted`] if those of the remaining voters that have ever started are not a quorum;
/// [`Refusal::Unhealthy`] if the reachable ones are not.
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

/// etcd's check before a vote is added: future voters count, whether they have caught up or not.
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

    /// Members 1, 2, ... by a letter each: `V` votes, `d` votes and is down, `u` votes and has never started, `P`
    /// catches up to become a voter, `p` likewise and has never started, `q` likewise, has started and is down, `L`
    /// learns, `l` learns and is down.
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
        // Members, the member to promote, whether it may be if a client asks, whether a quorum is left.
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
            // A member without a vote yet is not part of the remaining quorum.
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
