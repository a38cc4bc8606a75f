//! Checks the checks: each fault that is planted in the program ([`kvd::model::Planted`]) is found by a seed like those of
//! every run. The table that this prints stands in tests/PROOF.md.
//!
//! ```text
//! cargo test --features planted-faults --test simulation planted -- --nocapture
//! KVD_PLANTED=ShortLeases KVD_SEEDS=200 cargo test ...            one of them, with that many seeds
//! ```

use std::time::Instant;

use kvd::model::{Planted, plant};

use super::run::run;

/// Seeds that are tried, each with three and with five members.
const SEEDS: u64 = 30;

/// The first line of what is found, without what follows a line break.
fn first_line(faults: &[String]) -> String {
    faults[0].lines().next().unwrap_or_default().chars().take(110).collect()
}

#[test]
fn each_planted_fault_is_found() {
    let only = std::env::var("KVD_PLANTED").ok();
    let seeds = std::env::var("KVD_SEEDS").map_or(SEEDS, |count| count.parse().expect("a number"));
    let is_wanted = |fault: &Planted| only.as_ref().is_none_or(|only| *only == format!("{fault:?}"));
    let mut missed = Vec::new();
    for fault in Planted::ALL.into_iter().filter(is_wanted) {
        plant(Some(fault));
        let begun = Instant::now();
        let tried = (0..seeds).flat_map(|seed| [(seed, 3), (seed, 5)]).enumerate();
        let mut outcomes = tried.map(|(before, (seed, members))| (before + 1, run(seed, members, None)));
        let found = outcomes.find(|(_, outcome)| !outcome.faults.is_empty());
        let seconds = begun.elapsed().as_secs();
        match found {
            Some((count, found)) => println!(
                "| {fault:?} | seed {} of {} members, run {count} | {seconds} s | {} |",
                found.seed,
                found.members,
                first_line(&found.faults)
            ),
            None => {
                println!("| {fault:?} | not in {} runs | {seconds} s | |", 2 * seeds);
                missed.push(fault);
            }
        }
    }
    plant(None);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
