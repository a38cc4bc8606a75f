//! What a member acknowledges to another one must be on its disk at that moment: nobody asks again.

use std::ops::Range;

use kvd::log::format::{FRAME_HEADER, segment_name, sequence_of};
use kvd::log::{Log, LogError, SimDisk, Space, Vote};
use kvd::model::LogPosition;
use kvd::raft::wire::{Answer, Request};
use parking_lot::Mutex;

use super::machine::Process;
use super::trials;

/// The log says where on the disk an entry is, and the disk whether that was flushed. One of so many entries is looked
/// for in what a start after a power failure reads, which takes long; of eight times as many if the disk lacks room.
const OFTEN: u64 = 256;

/// What is on the disk of a process's log.
pub struct Promises {
    disk: SimDisk,
    seen: Mutex<Seen>,
}

/// The disk as it was seen last.
#[derive(Default)]
struct Seen {
    /// Answers to entries that were checked.
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
        if self.seen.lock().last.is_some_and(same_term) || !process.log.holds(at) {
            return None;
        }
        let checkpointed = process.store.checkpointed();
        if checkpointed.is_some_and(|folded| folded.index >= at.index) {
            return None;
        }
        let is_read = {
            let mut seen = self.seen.lock();
            seen.answers += 1;
            seen.answers.is_multiple_of(if process.log.space() == Space::Enough { OFTEN } else { OFTEN / 8 })
        };
        if !is_read && self.is_flushed(process, at.index) {
            self.seen.lock().last = Some(at);
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

    /// True if the entry was flushed with all that was written before it.
    fn is_flushed(&self, process: &Process, index: u64) -> bool {
        let Some((current, end)) = process.log.end_on_disk(index) else { return false };
        // A seal is not waited for.
        let waits = |part: &Range<u64>| part.end - part.start > FRAME_HEADER as u64;
        let is_there = |name: &str, upto: u64| {
            let unflushed = self.disk.unflushed(name);
            unflushed.is_some_and(|parts| !parts.iter().any(|part| part.start < upto && waits(part)))
        };
        let names = self.disk.names();
        let mut earlier = names.iter().filter(|name| sequence_of(name).is_some_and(|other| other < current));
        is_there(&segment_name(current), end) && earlier.all(|name| is_there(name, u64::MAX))
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
