//! Faults that are planted on purpose, to see whether the simulation finds them (`tests/simulation/planted.rs`). Only a
//! build with the feature `planted-faults` has them; in every other one [`is_planted`] is a constant `false`.

#[cfg(feature = "planted-faults")]
use std::sync::atomic::{AtomicUsize, Ordering};

/// A fault of the kind that clusters have had. The text says what the program then does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Entries are acknowledged before they are flushed.
    UnflushedEntries,
    /// A vote is given before it is flushed.
    UnflushedVotes,
    /// A flush that failed counts as done.
    FailedFlushes,
    /// What has a wrong checksum in the log, frame or item, is read like anything else.
    DamagedFrames,
    /// A leader answers linearizable reads without asking the others.
    UnconfirmedReads,
    /// A leader that nobody confirms counts as one for ever.
    UnconfirmedLeaders,
    /// Commands whose outcome is unknown are sent once more.
    RepeatedCommands,
    /// A checkpoint bears the position of the one before.
    LatePositions,
    /// A snapshot lacks the leases.
    SnapshotsWithoutLeases,
    /// A new leader gives each lease an election timeout instead of what it has left.
    ShortLeases,
    /// A watcher that catches up misses the first revision of each page.
    SkippedRevisions,
    /// What a user may do is not checked when a command is applied.
    UncheckedUsers,
}

impl Planted {
    /// All of them.
    pub const ALL: [Planted; 12] = [
        Planted::UnflushedEntries,
        Planted::UnflushedVotes,
        Planted::FailedFlushes,
        Planted::DamagedFrames,
        Planted::UnconfirmedReads,
        Planted::UnconfirmedLeaders,
        Planted::RepeatedCommands,
        Planted::LatePositions,
        Planted::SnapshotsWithoutLeases,
        Planted::ShortLeases,
        Planted::SkippedRevisions,
        Planted::UncheckedUsers,
    ];
}

/// One more than the number of the planted fault; 0: none.
#[cfg(feature = "planted-faults")]
static PLANTED: AtomicUsize = AtomicUsize::new(0);

/// Plants a fault in this process, in the place of the one before.
#[cfg(feature = "planted-faults")]
pub fn plant(fault: Option<Planted>) {
    PLANTED.store(fault.map_or(0, |fault| fault as usize + 1), Ordering::Relaxed);
}

/// True if this very fault is planted.
#[cfg(feature = "planted-faults")]
pub fn is_planted(fault: Planted) -> bool {
    PLANTED.load(Ordering::Relaxed) == fault as usize + 1
}

/// True if this very fault is planted: never in this build.
#[cfg(not(feature = "planted-faults"))]
pub const fn is_planted(_: Planted) -> bool {
    false
}
