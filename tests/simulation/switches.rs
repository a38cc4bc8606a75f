//! The kinds of faults of a seed, and the settings of its members: the first draws of its dice, and the first line of
//! its journal.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::dice::Dice;

/// A kind of fault. Each is on or off for the whole of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Links are cut for moments.
    Cuts,
    /// Messages are delayed and lost.
    Weather,
    /// Power fails.
    Crashes,
    /// Members are added and removed.
    Members,
    /// Leadership is transferred.
    Transfers,
    /// A leader is cut off for longer than leases and elections take.
    CutOffLeaders,
    /// Processes are stopped for moments, and continue.
    Pauses,
    /// Wall clocks differ by hours, and are set.
    Clocks,
    /// Members have different settings.
    Unlike,
    /// Power fails in the first moments of a member, and while it receives a snapshot.
    EarlyCrashes,
    /// The log's disk is missing at a start.
    LostDisks,
    /// A flush fails: the process ends and is restarted.
    FailedFlushes,
    /// A bit of the log flips while the machine is off.
    Flips,
    /// Writes to the store's disk take seconds.
    SlowStores,
    /// Writes to the log's disk take seconds.
    SlowLogs,
    /// Single commands take seconds to apply.
    Costly,
    /// Commands in which much is not a value.
    Large,
    /// Answers that are not raft's take seconds.
    SlowAnswers,
    /// The space quota is small and is then raised.
    Quota,
    /// The log's disk is full for seconds.
    FullLogs,
    /// The store's disk is full for seconds.
    FullStores,
    /// A commit of the store fails: the process ends and is started again.
    FailedCommits,
}

use Kind::{
    Clocks, Costly, Crashes, CutOffLeaders, Cuts, EarlyCrashes, FailedCommits, FailedFlushes, Flips,
    FullLogs, FullStores, Large, LostDisks, Members, Pauses, Quota, SlowAnswers, SlowLogs, SlowStores,
    Transfers, Unlike, Weather,
};

/// What may cost a healthy cluster its leader. All else must not.
const ROUGH: [Kind; 10] = [
    Cuts,
    Weather,
    Crashes,
    Members,
    Transfers,
    CutOffLeaders,
    Pauses,
    FailedFlushes,
    FailedCommits,
    EarlyCrashes,
];

const GENTLE: [Kind; 7] = [Clocks, Unlike, SlowStores, Costly, Large, SlowAnswers, Quota];

/// What costs a cluster its leader only if it meets the leader.
const OF_LEADERS: [Kind; 3] = [SlowLogs, FullLogs, FullStores];

/// Kinds that together meet what a mixture of everything seldom leaves time for.
const THEMES: [&[Kind]; 5] = [
    &[Cuts, CutOffLeaders],
    &[Crashes, FailedFlushes, Flips],
    &[Cuts, Weather, SlowAnswers],
    &[Cuts, Crashes, CutOffLeaders],
    &[Cuts, CutOffLeaders, Pauses],
];

/// The faults of a seed.
#[derive(Clone)]
pub struct Switches(BTreeSet<Kind>);

impl Switches {
    /// Every other seed has a theme. Of the rest one in four is calm: it has no reason for an election, and none may take
    /// place. The others have most of the basic kinds and some of the rest.
    ///
    /// `KVD_FAULTS` names the kinds instead, to search for one.
    pub fn of(seed: u64, dice: &mut Dice) -> Self {
        if let Ok(named) = std::env::var("KVD_FAULTS") {
            let named: Vec<&str> = named.split(',').collect();
            let all = ROUGH.into_iter().chain(GENTLE).chain(OF_LEADERS).chain([LostDisks, Flips]);
            return Self(all.filter(|kind| named.contains(&format!("{kind:?}").as_str())).collect());
        }
        if seed % 2 == 1 {
            return Self::only(THEMES[(seed / 2) as usize % THEMES.len()]);
        }
        let mut on = BTreeSet::new();
        if dice.one_in(4) {
            on.extend(GENTLE.into_iter().filter(|_| dice.one_in(2)));
            return Self(on);
        }
        on.extend([Cuts, Weather, Crashes, Members, Transfers].into_iter().filter(|_| !dice.one_in(4)));
        let rare = [CutOffLeaders, Pauses, EarlyCrashes, LostDisks, FailedFlushes, FailedCommits, Flips];
        on.extend(rare.into_iter().chain(GENTLE).chain(OF_LEADERS).filter(|_| dice.one_in(3)));
        Self(on)
    }

    /// The kinds that are on.
    pub fn kinds(&self) -> Vec<Kind> {
        self.0.iter().copied().collect()
    }

    /// Their names, as `KVD_FAULTS` takes them.
    pub fn names(&self) -> String {
        self.0.iter().map(|kind| format!("{kind:?}")).collect::<Vec<_>>().join(",")
    }

    /// The same without one kind.
    pub fn without(&self, kind: Kind) -> Self {
        Self(self.0.iter().copied().filter(|other| *other != kind).collect())
    }

    /// No faults.
    pub fn none() -> Self {
        Self::only(&[])
    }

    /// These, and no others.
    pub fn only(kinds: &[Kind]) -> Self {
        Self(kinds.iter().copied().collect())
    }

    pub fn has(&self, kind: Kind) -> bool {
        self.0.contains(&kind)
    }

    /// True if nothing is a reason for an election.
    pub fn is_calm(&self) -> bool {
        !ROUGH.iter().chain(&OF_LEADERS).any(|kind| self.has(*kind))
    }
}

impl fmt::Display for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|kind| format!("{kind:?}")).collect();
        write!(f, "faults: {}", if names.is_empty() { "none".to_string() } else { names.join(", ") })
    }
}

/// The settings of a member, for all its life.
#[derive(Clone, Debug)]
pub struct Settings {
    pub snapshot_count: u64,
    pub max_learners: usize,
    pub election: Duration,
    /// Milliseconds between checkpoints, at least and at most.
    pub checkpoints: (i64, i64),
    /// Length of the log's segments.
    pub segment_bytes: u64,
    /// A state that is wrong is replaced without an operator.
    pub replaces: bool,
}

impl Settings {
    /// The settings that all members share. Few entries are kept, so that a member that was away for long needs a
    /// snapshot; so few after a leader was cut off that its snapshot can end within entries that it alone has.
    pub fn common(switches: &Switches, dice: &mut Dice) -> Self {
        let counts = if switches.has(CutOffLeaders) { [8, 8, 400] } else { [40, 400, 10_000] };
        Self {
            snapshot_count: dice.pick(&counts),
            max_learners: 1,
            election: super::world::ELECTION,
            checkpoints: (200, 2000),
            segment_bytes: dice.pick(&[16 << 10, 64 << 10]),
            replaces: true,
        }
    }

    /// The same with differences.
    pub fn differing(self, dice: &mut Dice) -> Self {
        Self {
            snapshot_count: dice.pick(&[30, 300, 5000]),
            max_learners: dice.pick(&[1, 2, 3]),
            election: self.election + Duration::from_millis(dice.within(0, 3) as u64 * 100),
            checkpoints: dice.pick(&[(50, 500), (200, 2000), (1000, 4000)]),
            segment_bytes: dice.pick(&[16 << 10, 32 << 10, 64 << 10]),
            ..self
        }
    }
}
