//! Callers that write what they append.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Appends an entry on this thread; true if it was on disk before the call returned.
fn append_here(log: &Log, entry: Entry) -> bool {
    let (tx, rx) = channel();
    let before = Arc::new(AtomicBool::new(true));
    let within = before.clone();
    let done = move |result: Result<(), LogError>| drop(tx.send((result, within.load(Ordering::SeqCst))));
    log.append_here(vec![entry], Box::new(done)).unwrap();
    before.store(false, Ordering::SeqCst);
    let (result, within) = rx.recv_timeout(PATIENCE).expect("the callback is always called");
    result.unwrap();
    within
}

#[test]
fn what_a_caller_writes_is_on_disk_when_the_call_returns() {
    let (sim, disk) = sim(1);
    let log = Log::open(disk, options(Mode::Thread)).unwrap();
    // The thread may be at it now and then.
    let here = (0..200).filter(|index| append_here(&log, entry(1, *index, 100))).count();
    assert!(here > 0, "never");
    assert!(!log.writes_here());
    let entries = all(&log);
    assert_eq!(entries.len(), 200);
    let found = Log::open(Arc::new(sim.after_power_failure()), options(Mode::Inline)).unwrap();
    assert_eq!(all(&found), entries);
}

#[test]
fn callers_and_the_thread_write_in_the_order_of_the_appends() {
    let (sim, disk) = sim(1);
    let log = Log::open(disk, options(Mode::Thread)).unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let voting = std::thread::spawn({
        let log = log.clone();
        move || (1..100).for_each(|term| vote(&log, Vote { term, voted_for: 1, committed: false }).unwrap())
    });
    for index in 0..2000 {
        let told = told.clone();
        let done = Box::new(move |result: Result<(), LogError>| {
            result.unwrap();
            assert_eq!(told.swap(index + 1, Ordering::SeqCst), index, "in order");
        });
        let entries = vec![entry(1, index, 20)];
        match index % 3 {
            0 => log.append(entries, done).unwrap(),
            _ => log.append_here(entries, done).unwrap(),
        }
    }
    voting.join().unwrap();
    let begun = Instant::now();
    while told.load(Ordering::SeqCst) < 2000 {
        assert!(begun.elapsed() < PATIENCE, "{}", told.load(Ordering::SeqCst));
        std::thread::yield_now();
    }
    let entries = all(&log);
    drop(log);
    let found = Log::open(Arc::new(sim.after_power_failure()), options(Mode::Inline)).unwrap();
    assert_eq!((all(&found), found.vote().map(|vote| vote.term)), (entries, Some(99)));
}

/// The thread flushes the seal of a frame that it has not written, so that damage to it is never taken for a torn write.
#[test]
fn the_seal_of_a_callers_frame_reaches_the_disk() {
    let (sim, disk) = sim(1);
    let log = Log::open(disk, options(Mode::Thread)).unwrap();
    let begun = Instant::now();
    let mut index = 0;
    // Both before and after the thread has seen a quiet moment.
    for _ in 0..2 {
        while !append_here(&log, entry(1, index, 100)) {
            assert!(begun.elapsed() < PATIENCE, "never here");
            index += 1;
        }
        index += 1;
        while !is_proven(&sim.flushed()) {
            assert!(begun.elapsed() < PATIENCE, "the seal is not flushed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// True if damage in the last frame is found, because its seal is there.
fn is_proven(disk: &SimDisk) -> bool {
    let mut names = disk.list().unwrap();
    names.sort_unstable();
    let last = |bytes: &mut Vec<u8>| bytes.windows(4).rposition(|part| part == b"vvvv");
    let damaged = names
        .iter()
        .rev()
        .any(|name| disk.with_file(name, |bytes| last(bytes).map(|at| bytes[at] ^= 1)).flatten().is_some());
    assert!(damaged, "no value");
    matches!(Log::open(Arc::new(disk.clone()), options(Mode::Inline)), Err(LogError::Damaged { .. }))
}

#[test]
fn a_callers_failure_ends_the_log() {
    let (sim, disk) = sim(1);
    let (tx, failures) = channel();
    let told = Arc::new(move |error: &LogError| drop(tx.send(error.to_string())));
    let log = Log::open(disk, Options { on_failure: told, ..options(Mode::Thread) }).unwrap();
    assert!((0..).take(100).any(|index| append_here(&log, entry(1, index, 10))), "never here");
    sim.fail_in(1);
    let (tx, rx) = channel();
    let next = log.bounds().next;
    let _ = log.append_here(vec![entry(1, next, 10)], Box::new(move |result| drop(tx.send(result))));
    assert!(matches!(rx.recv_timeout(PATIENCE).unwrap(), Err(LogError::Io { .. })));
    assert!(matches!(append(&log, vec![entry(1, next + 1, 10)]), Err(LogError::Io { .. })));
    assert!(!log.writes_here());
    drop(log);
    assert_eq!(failures.iter().count(), 1);
}
