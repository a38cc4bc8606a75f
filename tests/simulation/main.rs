//! Clusters in one process: real nodes, logs, stores, watchers and leases on a network, on disks and in a time that are
//! simulated, under faults that a seed chooses.
//!
//! | module | content |
//! |---|---|
//! | `repair` | a state that is altered while its machine is off: it is found, and replaced by the leader's |
//! | `stalled` | the disk of the leader's log stands still: another one leads, for good |
//! | `switches` | the kinds of faults of a seed, and its members' settings |
//! | `machine` | a member's machine: disks, clock and threads that stay, and the processes on it |
//! | `world` | the members: started, crashed with the loss of what was not flushed, started again |
//! | `trials` | tests with the disks of a machine that is off: flipped bits, a missing log |
//! | `network` | messages that are late, lost, too long, or whose answers are lost or slow; cut links |
//! | `faults` | the faults of a cluster: cuts, crashes, disks and clocks, changes of members and leaders, compactions |
//! | `clients` | puts, linearizable gets, swaps and deletions at any member, and their record |
//! | `heavy` | large or expensive commands |
//! | `leases` | leases that are kept alive and others that are not, and the promises about them |
//! | `trees` | changes of v2's tree at any member, with nodes that end soon |
//! | `users` | roles that are given and taken while their users act, at any member |
//! | `watchers` | clients that follow all events, on a thread of their own, and move to another member when theirs dies |
//! | `live` | streams that are read slowly |
//! | `monitor` | what must hold at every moment: no leader without a quorum, and no election for no reason |
//! | `promises` | what must hold at every answer between members: what it acknowledges is on disk |
//! | `planted` | faults of the program that are planted on purpose: the checks find each of them |
//! | `verify` | what must hold in the end |
//! | `journal` | everything that happened, in order |
//! | `scratch` | where the members' stores are |
//!
//! At the end of a seed the history is linearizable, nothing acknowledged is lost, all members have applied the same
//! events and have equal hashes and the same users, every watcher has seen every event once and in order, a lease that was kept alive is
//! there and one that was not is gone.
//!
//! A seed makes the same run every time: time is tokio's paused clock, all of a cluster runs on one thread, and every
//! random number comes from the seed. What is not simulated: LMDB's own durability (see `suite/crash`), several threads,
//! and QUIC.
//!
//! ```text
//! cargo test --test simulation                                    the seeds of every run
//! KVD_SEED=17 cargo test --test simulation                        one seed, with its journal if it fails
//! tests/simulation/run --hours 8 --jobs 2                         new seeds for that long; failures are kept
//! KVD_SEEDS=5000 cargo test --test simulation -- --nocapture      that many new seeds, each printed
//! KVD_FAULTS=Cuts,Clocks cargo test --test simulation             with these kinds of faults and no others
//! ```

mod clients;
#[path = "../suite/harness/dice.rs"]
mod dice;
mod faults;
mod heavy;
mod journal;
mod leases;
#[path = "../linearizability/mod.rs"]
mod linearizability;
mod live;
mod machine;
mod monitor;
mod network;
#[cfg(feature = "planted-faults")]
mod planted;
mod promises;
mod repair;
mod run;
mod scratch;
mod stalled;
mod succession;
mod switches;
mod trees;
mod trials;
mod users;
mod verify;
mod watchers;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seeds of every run, per size of cluster.
const SEEDS: u64 = 100;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// How many seeds run at the same time: one on each core, if nobody says otherwise.
fn jobs() -> u64 {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    number("KVD_JOBS").unwrap_or_else(cores)
}

/// The seeds to run.
fn seeds() -> Vec<u64> {
    match (number("KVD_SEED"), number("KVD_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
            let first = number("KVD_FIRST_SEED").unwrap_or(now * 1_000_000);
            (first..first + count).collect()
        }
        (None, None) => (0..SEEDS).collect(),
    }
}

/// Runs all seeds, beside each other, until one fails.
fn run_all(members: u64) {
    let (seeds, next) = (seeds(), AtomicUsize::new(0));
    let failed = std::thread::scope(|scope| {
        let (ended, outcomes) = mpsc::channel();
        for _ in 0..jobs() {
            let (seeds, next, ended) = (&seeds, &next, ended.clone());
            scope.spawn(move || {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Nobody receives it once a seed has failed.
                    let _ = ended.send(run::run(*seed, members, None));
                }
            });
        }
        drop(ended);
        let failed = judge(members, seeds.len(), outcomes);
        next.store(seeds.len(), Ordering::Relaxed);
        failed
    });
    if let Some(failed) = failed {
        failed.shrunk().expect_good();
    }
}

/// Prints the outcome of each seed as it ends, up to the first one that failed, which is returned.
fn judge(members: u64, seeds: usize, outcomes: mpsc::Receiver<run::Outcome>) -> Option<run::Outcome> {
    // What users were seen to do, with their role and without it.
    let mut acts = [("role true: Some(Ok(()))", false), ("role false: Some(Err(PermissionDenied))", false)];
    for outcome in outcomes {
        let (seed, seconds, hash) = (outcome.seed, outcome.simulated.as_secs_f64(), outcome.hash());
        println!("{members} members, seed {seed}: {seconds:.1} s simulated, journal {hash:016x}");
        if !outcome.faults.is_empty() {
            println!("{}", outcome.command());
            return Some(outcome);
        }
        for (what, seen) in &mut acts {
            *seen |= outcome.journal.iter().any(|line| line.contains(*what));
        }
    }
    assert!(seeds == 1 || acts.iter().all(|(_, seen)| *seen), "not all of {acts:?} was seen");
    None
}

#[test]
fn three_members() {
    run_all(3);
}

#[test]
fn five_members() {
    run_all(5);
}

/// One seed, twice: both journals are equal, to the millisecond.
#[test]
fn a_seed_is_one_run() {
    for members in [3, 5] {
        let seed = 1_000 + members;
        let (first, second) = (run::run(seed, members, None), run::run(seed, members, None));
        let lines = |run: &run::Outcome| run.journal.clone();
        let (first, second) = (lines(&first), lines(&second));
        let differs = first.iter().zip(&second).position(|(one, other)| one != other);
        if let Some(at) = differs {
            let context = &first[at.saturating_sub(10)..=at];
            panic!("line {at} differs:\n{}\n-- and --\n{}", context.join("\n"), second[at]);
        }
        assert_eq!(first.len(), second.len());
        assert!(first.len() > 200, "{} lines are no run", first.len());
    }
}
