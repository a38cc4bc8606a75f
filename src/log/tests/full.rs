//! A log whose disk is full.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use super::*;

fn queue(log: &Log, entries: Vec<Entry>) -> Receiver<Result<(), LogError>> {
    let (tx, rx) = channel();
    log.append(entries, Box::new(move |result| drop(tx.send(result)))).unwrap();
    rx
}

/// Appends until an entry has to wait, on a disk without room; returns its receiver.
fn fill(log: &Log, size: usize) -> Receiver<Result<(), LogError>> {
    loop {
        let rx = queue(log, vec![entry(1, log.bounds().next, size)]);
        match rx.try_recv() {
            Ok(result) => result.unwrap(),
            Err(TryRecvError::Empty) => return rx,
            Err(error) => panic!("{error}"),
        }
    }
}

fn reopened(disk: &SimDisk) -> (Vec<Entry>, Option<Vote>, Option<LogPosition>) {
    let log = Log::open(Arc::new(disk.clone()), options(Mode::Inline)).unwrap();
    (all(&log), log.vote(), log.bounds().purged)
}

#[test]
fn what_finds_no_room_waits_for_it() {
    let (sim, disk) = sim(5);
    let log = Log::open(disk, options(Mode::Inline)).unwrap();
    sim.set_room(Some(0));
    assert_eq!(log.space(), Space::Enough, "nobody has asked for a segment");
    let waits = fill(&log, 700);
    assert!(
        matches!(log.space(), Space::Full { needed: 16384, available: 0, reserve: 2048 }),
        "{:?}",
        log.space()
    );
    let later: Vec<_> = (0..20).map(|_| queue(&log, vec![entry(1, log.bounds().next, 300)])).collect();
    let all_entries = all(&log);
    // Votes do not wait; they are there even after a power failure.
    vote(&log, Vote { term: 8, voted_for: 2, committed: false }).unwrap();
    let acknowledged = all_entries.len() - 21;
    for disk in [sim.after_kill(), sim.after_power_failure()] {
        let (entries, vote, _) = reopened(&disk);
        assert_eq!(entries, all_entries[..acknowledged]);
        assert_eq!(vote, Some(Vote { term: 8, voted_for: 2, committed: false }));
    }
    assert!(waits.try_recv().is_err() && later.iter().all(|later| later.try_recv().is_err()));
    assert!(log.failure().is_none());
    sim.set_room(None);
    log.flush();
    assert_eq!(log.space(), Space::Enough);
    assert!(waits.try_recv().unwrap().is_ok() && later.iter().all(|later| later.try_recv().unwrap().is_ok()));
    append(&log, vec![entry(2, log.bounds().next, 10)]).unwrap();
    for disk in [sim.after_kill(), sim.after_power_failure()] {
        let (entries, vote, _) = reopened(&disk);
        assert_eq!(entries, all(&log));
        assert_eq!(vote.unwrap().term, 8);
    }
}

/// With segments to reuse, and without.
#[test]
fn what_finds_no_descriptor_waits_for_one() {
    for purges in [false, true] {
        let (sim, disk) = sim(5);
        let log = Log::open(disk, options(Mode::Inline)).unwrap();
        if purges {
            (0..60).for_each(|_| append(&log, vec![entry(1, log.bounds().next, 700)]).unwrap());
            purge(&log, at(1, 55)).unwrap();
        }
        sim.set_descriptors(false);
        let spares = || sim.list().unwrap().iter().filter(|name| name.ends_with(".old")).count();
        let before = spares();
        let waits = fill(&log, 700);
        assert!(matches!(log.space(), Space::Full { .. }), "{:?}", log.space());
        vote(&log, Vote { term: 8, voted_for: 2, committed: false }).unwrap();
        assert!(waits.try_recv().is_err() && log.failure().is_none());
        sim.set_descriptors(true);
        log.flush();
        assert!(waits.try_recv().unwrap().is_ok());
        assert_eq!((log.space(), spares()), (Space::Enough, before.saturating_sub(1)), "one is reused");
        assert_eq!(before > 0, purges);
        append(&log, vec![entry(2, log.bounds().next, 10)]).unwrap();
        let (entries, _, _) = reopened(&sim.after_power_failure());
        assert_eq!(entries, all(&log));
    }
}

/// A vote that is queued behind an entry in the same group does not wait for it, and an older vote does not come back.
#[test]
fn a_group_with_a_vote_is_taken_apart() {
    let (sim, disk) = sim(5);
    let log = Log::open(disk, Options { mode: Mode::Stepped, ..options(Mode::Inline) }).unwrap();
    sim.set_room(Some(0));
    let (tx, votes) = channel();
    let ask = |term| {
        let tx = tx.clone();
        let vote = Vote { term, voted_for: 1, committed: false };
        log.save_vote(vote, Box::new(move |result| tx.send((term, result.is_ok())).unwrap())).unwrap();
    };
    let waits: Vec<_> = (0..40)
        .map(|n| {
            let waits = queue(&log, vec![entry(1, n, 700)]);
            if n == 35 {
                ask(2);
            }
            waits
        })
        .collect();
    log.flush();
    assert_eq!(votes.try_recv(), Ok((2, true)));
    assert!(waits[30].try_recv().is_err());
    ask(3);
    log.flush();
    assert_eq!(votes.try_recv(), Ok((3, true)));
    sim.set_room(None);
    log.flush();
    assert!(waits.iter().all(|waits| waits.try_recv().unwrap().is_ok()));
    let (entries, vote, _) = reopened(&sim.after_power_failure());
    assert_eq!((entries.len(), vote.map(|vote| vote.term)), (40, Some(3)));
}

/// Purging makes room: on a disk that stays full the log continues in the segments it has.
#[test]
fn what_is_purged_makes_room() {
    let (sim, disk) = sim(5);
    let (tx, spaces) = channel();
    let told: OnSpace = Arc::new(move |space| tx.send(space).unwrap_or_default());
    let log = Log::open(disk, Options { on_space: told, ..options(Mode::Thread) }).unwrap();
    sim.set_room(Some(40 << 10));
    let written = Arc::new(AtomicU64::new(0));
    for index in 0..200 {
        let written = written.clone();
        let done = move |result: Result<(), LogError>| {
            result.unwrap();
            written.store(index + 1, Ordering::SeqCst);
        };
        log.append(vec![entry(1, index, 700)], Box::new(done)).unwrap();
    }
    let patience = Duration::from_secs(60);
    assert!(matches!(spaces.recv_timeout(patience), Ok(Space::Full { needed: 16384, .. })));
    let begun = Instant::now();
    while written.load(Ordering::SeqCst) < 200 {
        assert!(begun.elapsed() < patience, "{:?} {:?}", log.space(), log.bounds());
        // Raft purges what is applied and checkpointed; here, all entries but the last one written.
        if let Some(upto) = written.load(Ordering::SeqCst).checked_sub(2) {
            purge(&log, at(1, upto)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(log.failure().is_none());
    let expected = (all(&log), log.vote(), log.bounds().purged);
    drop(log);
    assert_eq!(reopened(&sim.after_power_failure()), expected);
    assert!(spaces.iter().any(|space| space == Space::Enough));
}

/// Entries are purged while they wait for room, as a snapshot does.
#[test]
fn what_is_purged_while_it_waits_does_not_come_back() {
    let (sim, disk) = sim(5);
    let log = Log::open(disk, options(Mode::Inline)).unwrap();
    sim.set_room(Some(0));
    let waits = fill(&log, 700);
    let later = queue(&log, (0..10).map(|n| entry(1, log.bounds().next + n, 300)).collect());
    let next = log.bounds().next;
    purge(&log, at(3, next + 100)).unwrap();
    let after = queue(&log, vec![entry(3, next + 101, 300)]);
    assert_eq!(reopened(&sim.after_power_failure()).2, Some(at(3, next + 100)));
    sim.set_room(None);
    log.flush();
    for waits in [waits, later, after] {
        assert!(waits.try_recv().unwrap().is_ok());
    }
    let expected = (vec![entry(3, next + 101, 300)], None, Some(at(3, next + 100)));
    assert_eq!(reopened(&sim.after_kill()), expected);
}

/// A leader's entries replace others, and are applied and purged while they wait for room.
#[test]
fn what_was_replaced_while_it_waits_does_not_come_back() {
    let (sim, disk) = sim(5);
    let log = Log::open(disk, options(Mode::Inline)).unwrap();
    sim.set_room(Some(0));
    let waits = fill(&log, 300);
    assert!(log.bounds().next > 10);
    log.truncate_after(Some(at(1, 4))).unwrap();
    let other = queue(&log, (5..9).map(|index| entry(2, index, 300)).collect());
    purge(&log, at(2, 6)).unwrap();
    for disk in [sim.after_kill(), sim.after_power_failure()] {
        // Behind a purged position of a later term they would not be a valid log.
        assert_eq!(reopened(&disk), (vec![], None, Some(at(2, 6))));
    }
    sim.set_room(None);
    log.flush();
    assert!(waits.try_recv().unwrap().is_ok() && other.try_recv().unwrap().is_ok());
    let expected = (vec![entry(2, 7, 300), entry(2, 8, 300)], None, Some(at(2, 6)));
    assert_eq!(reopened(&sim.after_power_failure()), expected);
}

#[test]
fn whoever_waits_for_entries_that_are_purged_is_told() {
    let (sim, disk) = sim(5);
    let log = Log::open(disk, options(Mode::Inline)).unwrap();
    sim.set_room(Some(0));
    fill(&log, 700);
    let next = log.bounds().next;
    let waits = queue(&log, vec![entry(1, next, 300)]);
    purge(&log, at(3, next + 100)).unwrap();
    sim.set_room(None);
    log.flush();
    assert!(waits.try_recv().unwrap().is_ok());
}

#[test]
fn a_log_opens_on_a_full_disk_and_is_read() {
    for mode in [Mode::Inline, Mode::Thread] {
        let (sim, disk) = sim(5);
        let log = Log::open(disk, options(mode)).unwrap();
        let entries: Vec<Entry> = (0..30).map(|index| entry(1, index, 400)).collect();
        for entry in &entries {
            append(&log, vec![entry.clone()]).unwrap();
        }
        drop(log);
        sim.set_room(Some(0));
        let log = Log::open(Arc::new(sim.clone()), options(mode)).unwrap();
        assert_eq!(all(&log), entries);
        append(&log, vec![entry(1, 30, 10)]).unwrap();
        let waits = queue(&log, (31..90).map(|index| entry(1, index, 700)).collect());
        drop(log);
        assert!(matches!(waits.recv().unwrap(), Err(LogError::Closed)), "it ends without having found room");
        assert_eq!(reopened(&sim).0[..31], [&entries[..], &[entry(1, 30, 10)]].concat());
    }
}

/// Somebody who needs `beside` bytes, and twice the entries that it is asked about.
#[derive(Default)]
struct Other {
    beside: u64,
    applied: Option<LogPosition>,
    asked: Mutex<Vec<u64>>,
    lost: AtomicU64,
}

impl Neighbour for Other {
    fn applied(&self) -> Option<LogPosition> {
        self.applied
    }

    fn needs(&self, entries: u64) -> u64 {
        self.asked.lock().push(entries);
        self.beside + 2 * entries
    }

    fn lost(&self, bytes: u64) {
        self.lost.fetch_add(bytes, Ordering::SeqCst);
    }
}

const SEGMENT: u64 = 16 << 10;

/// A log of three entries, which `other` has applied, on a disk with so much room besides the first segment.
fn beside(other: Other, room: u64) -> (SimDisk, Arc<Other>, Log) {
    let (sim, disk) = sim(5);
    let other = Arc::new(Other { applied: Some(at(1, 2)), ..other });
    let log = Log::open(disk, Options { neighbour: Some(other.clone()), ..options(Mode::Inline) }).unwrap();
    assert!(other.asked.lock().is_empty(), "the first segment is needed in any case");
    sim.set_room(Some(room));
    for index in 0..3 {
        append(&log, vec![entry(1, index, 700)]).unwrap();
    }
    (sim, other, log)
}

#[test]
fn a_segment_leaves_the_room_that_somebody_else_needs() {
    let fill_up = |room| {
        let (sim, other, log) = beside(Other { beside: 5000, ..Other::default() }, room);
        let waits = fill_while_enough(&log);
        (sim, other, log, waits)
    };
    let (_, other, log, waits) = fill_up(0);
    // The entry that needs the segment is in the log already.
    let held: u64 = all(&log)[3..].iter().map(|entry| entry.payload.weight() as u64).sum();
    assert_eq!(*other.asked.lock(), [held + SEGMENT], "all that was not applied, and a segment full");
    assert!(waits.is_some() && matches!(log.space(), Space::Full { .. }));
    let enough = SEGMENT + 5000 + 2 * (held + SEGMENT);
    let (sim, other, log, waits) = fill_up(enough - 1);
    assert!(waits.is_some() && matches!(log.space(), Space::Full { .. }), "a byte is missing");
    assert_eq!(other.lost.load(Ordering::SeqCst), 0);
    sim.set_room(Some(enough));
    log.flush();
    assert!(waits.unwrap().try_recv().unwrap().is_ok());
    assert_eq!((log.space(), other.lost.load(Ordering::SeqCst)), (Space::Enough, SEGMENT));
}

/// Appends until an entry waits; `None` if there is room for three segments.
fn fill_while_enough(log: &Log) -> Option<Receiver<Result<(), LogError>>> {
    for _ in 0..40 {
        let rx = queue(log, vec![entry(1, log.bounds().next, 700)]);
        match rx.try_recv() {
            Ok(result) => result.unwrap(),
            Err(_) => return Some(rx),
        }
    }
    None
}

/// A segment that is used again takes nothing from anybody.
#[test]
fn a_segment_that_is_used_again_needs_no_room() {
    let (sim, other, log) = beside(Other::default(), 1 << 30);
    assert!(fill_while_enough(&log).is_none());
    let lost = other.lost.load(Ordering::SeqCst);
    assert!(lost > 0 && lost % SEGMENT == 0, "{lost}");
    sim.set_room(Some(0));
    for _ in 0..200 {
        let next = log.bounds().next;
        purge(&log, at(1, next - 1)).unwrap();
        append(&log, vec![entry(1, next, 700)]).unwrap();
    }
    assert_eq!((log.space(), other.lost.load(Ordering::SeqCst)), (Space::Enough, lost));
}
