//! What a member acknowledges to another one must be on its disk at that moment: nobody asks again.

use kvd::log::{Log, LogError, SimDisk, Space, Vote};
use kvd::model::LogPosition;
use kvd::raft::wire::{Answer, Request};
use parking_lot::Mutex;

use super::machine::Process;
use super::trials;

/// Reading a log takes long, so as long as its disk has room, one answer of so many is checked.
const OFTEN: u64 = 16;

/// What is on the disk of a process's log.
pub struct Promises {
    disk: SimDisk,
    seen: Mutex<Seen>,
}

/// The disk as it was seen last.
#[derive(Default)]
struct Seen {
    /// Answers to entries, checked or not.
    answers: u64,
    /// How often files had been flushed.
    flushes: u64,
    /// The log on it.
    log: Option<Log>,
    /// The last position that was found on it.
    last: Option<LogPosition>,
}

impl Promises {
    /// Those of a process whose log is on `disk`.
    pub fn new(disk: SimDisk) -> Self {
        Self { disk, seen: Mutex::default() }
    }

    /// What is wrong with an answer of the process.
    pub fn broken_by(&self, process: &Process, request: &Request, answer: &Answer) -> Option<String> {
        match (request, answer) {
            (Request::Append { previous, entries, .. }, Answer::Appended) => {
                let last = entries.last().map(|(at, _)| *at).or(*previous)?;
                self.lacks(process, last).map(|what| format!("accepted entries up to {last:?}, {what}"))
            }
            (Request::Snapshot { vote, position, .. }, Answer::Installed(stands)) if vote == stands => {
                let what = self.lacks(process, *position)?;
                Some(format!("accepted a snapshot up to {position:?}, {what}"))
            }
            (Request::Vote(ballot), Answer::Voted { granted: true, .. }) => {
                let held = self.with_log(|log| log.vote());
                (!held.as_ref().is_ok_and(|held| reaches(*held, ballot.vote)))
                    .then(|| format!("gave {:?}, its disk has {held:?}", ballot.vote))
            }
            _ => None,
        }
    }

    /// What the disks of a member have instead of this position; `None` if they have it, or if the member has been asked
    /// in the meantime to replace it.
    fn lacks(&self, process: &Process, at: LogPosition) -> Option<String> {
        let same_term = |last: LogPosition| last.term == at.term && last.index >= at.index;
        let is_due = {
            let mut seen = self.seen.lock();
            seen.answers += 1;
            let is_due = process.log.space() != Space::Enough || seen.answers.is_multiple_of(OFTEN);
            is_due && !seen.last.is_some_and(same_term)
        };
        if !is_due || !process.log.holds(at) {
            return None;
        }
        let checkpointed = process.store.checkpointed();
        if checkpointed.is_some_and(|folded| folded.index >= at.index) {
            return None;
        }
        let (held, bounds) = match self.with_log(|log| (log.holds(at), log.bounds())) {
            Ok(found) => found,
            Err(error) => return Some(format!("its disk has a log that cannot be opened: {error}")),
        };
        if held {
            self.seen.lock().last = Some(at);
            return None;
        }
        Some(format!("its disks have a log of {bounds:?} and a store up to {checkpointed:?}"))
    }

    /// The log as it is after a power failure of which nothing survives that was not flushed.
    fn with_log<T>(&self, ask: impl FnOnce(&Log) -> T) -> Result<T, LogError> {
        let mut seen = self.seen.lock();
        let flushes = self.disk.flushes();
        if seen.flushes != flushes {
            *seen = Seen { answers: seen.answers, flushes, ..Seen::default() };
        }
        if seen.log.is_none() {
            seen.log = Some(trials::open(self.disk.flushed())?);
        }
        Ok(ask(seen.log.as_ref().expect("it was opened just now")))
    }
}

fn reaches(held: Option<Vote>, given: Vote) -> bool {
    held.is_some_and(|held| {
        held.term > given.term || (held.term == given.term && held.voted_for == given.voted_for)
    })
}
