//! Breaks each condition once: the log fails, names the values and writes nothing more.

use std::sync::Arc;
use std::sync::mpsc::channel;

use parking_lot::Mutex;

use super::tests::{append, at, entry, options, sim, vote};
use super::*;

/// A log with the entries 0 to 4 of term 3 and the vote for its leader, and the reported reasons of its end.
fn log(mode: Mode) -> (Log, SimDisk, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    let on_failure = Arc::new(move |error: &LogError| heard.lock().push(error.to_string()));
    let (sim, disk) = sim(1);
    let log = Log::open(disk, Options { on_failure, ..options(mode) }).unwrap();
    vote(&log, Vote { term: 3, voted_for: 7, committed: true }).unwrap();
    append(&log, (0..5).map(|index| entry(3, index, 10)).collect()).unwrap();
    (log, sim, said)
}

/// The log has failed with an error that contains all these words, has reported it once, and keeps what it had.
fn assert_failed(
    (log, disk, said): (Log, SimDisk, Arc<Mutex<Vec<String>>>),
    done: Result<(), LogError>,
    words: &[&str],
) {
    let Err(error @ LogError::Broken(_)) = done else { panic!("{words:?}: {done:?}") };
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert_eq!(*said.lock(), std::slice::from_ref(&text));
    assert_eq!(log.failure().map(|error| error.to_string()), Some(text));
    let next = log.bounds().next;
    assert!(matches!(append(&log, vec![entry(9, next, 10)]), Err(LogError::Broken(_))));
    assert!(matches!(vote(&log, Vote { term: 9, ..Vote::default() }), Err(LogError::Broken(_))));
    drop(log);
    let log = Log::open(Arc::new(disk.after_power_failure()), options(Mode::Inline)).unwrap();
    assert_eq!((log.bounds().first, log.bounds().last), (0, Some(at(3, 4))));
    assert_eq!(log.vote(), Some(Vote { term: 3, voted_for: 7, committed: true }));
}

#[test]
fn an_entry_that_does_not_follow_ends_the_log() {
    for mode in [Mode::Inline, Mode::Thread] {
        for (term, index) in [(3, 6), (3, 4), (2, 5)] {
            let log = log(mode);
            let done = append(&log.0, vec![entry(term, index, 10)]);
            let words = [&format!("term: {term}"), &format!("index: {index}"), "term: 3", "index: 4"];
            assert_failed(log, done, &words.map(|word| word as &str));
        }
        // Not the good ones among them either.
        let log = log(mode);
        let done = append(&log.0, vec![entry(3, 5, 10), entry(3, 7, 10)]);
        assert_failed(log, done, &["index: 7", "index: 5"]);
    }
}

#[test]
fn a_vote_that_goes_back_ends_the_log() {
    let votes = |term, voted_for, committed| Vote { term, voted_for, committed };
    for broken in [votes(2, 7, true), votes(3, 7, false), votes(3, 8, false), votes(3, 8, true)] {
        for mode in [Mode::Inline, Mode::Thread] {
            let log = log(mode);
            let done = vote(&log.0, broken);
            let words = [&format!("voted_for: {}", broken.voted_for), "term: 3, voted_for: 7"];
            assert_failed(log, done, &words.map(|word| word as &str));
        }
    }
}

/// A member that voted in vain finds out who leads in this term; it does not vote for another one.
#[test]
fn votes_go_on() {
    let votes = |term, voted_for, committed| Vote { term, voted_for, committed };
    let follows = |held: Vote, vote: Vote| super::seams::voted(Some(held), vote).is_ok();
    let held = votes(3, 7, false);
    for next in [held, votes(3, 7, true), votes(3, 8, true), votes(4, 8, false), votes(9, 8, true)] {
        assert!(follows(held, next), "{next:?}");
    }
    assert!(!follows(held, votes(3, 8, false)));
    assert!(!follows(votes(3, 8, true), held));
}

#[test]
fn a_purge_beyond_the_durable_state_ends_the_log() {
    for (durable, words) in [(None, "None"), (Some(at(3, 1)), "index: 1")] {
        for mode in [Mode::Inline, Mode::Thread] {
            let log = log(mode);
            let done = log.0.purge(at(3, 2), durable);
            assert_failed(log, done, &["index: 2", words]);
        }
    }
    let (log, ..) = log(Mode::Inline);
    log.purge(at(3, 2), Some(at(3, 2))).unwrap();
    // It is purged already: nothing is removed.
    log.purge(at(3, 1), None).unwrap();
    assert_eq!(log.bounds().first, 3);
}

#[test]
fn segments_and_frames_lie_where_they_belong() {
    super::seams::segment(4, 5).unwrap();
    super::seams::frame(4, 8192, 8192).unwrap();
    let gap = super::seams::segment(4, 6).unwrap_err().to_string();
    assert!(gap.contains("0000000000000006 comes after 0000000000000004"), "{gap}");
    assert!(super::seams::segment(4, 4).is_err());
    let outside = super::seams::frame(4, 8193, 8192).unwrap_err().to_string();
    assert!(outside.contains("8193") && outside.contains("8192"), "{outside}");
}

/// Whoever waits for a write is notified of its end, and of nothing wrong.
#[test]
fn whoever_waits_is_notified_of_the_end() {
    let (_, disk) = sim(1);
    let log = Log::open(disk, Options { mode: Mode::Stepped, ..options(Mode::Inline) }).unwrap();
    let (tx, waits) = channel();
    log.append(vec![entry(1, 0, 10)], Box::new(move |result| tx.send(result).unwrap())).unwrap();
    assert!(log.append(vec![entry(1, 2, 10)], Box::new(|_| ())).is_err());
    assert!(matches!(waits.try_recv(), Ok(Err(LogError::Broken(_)))));
    log.flush();
    drop(log);
}
