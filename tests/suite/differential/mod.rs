//! Random requests, to kvd and to a real etcd side by side: every answer must be equal, including errors, their texts
//! and the revisions in headers, and every watcher must see the same.
//!
//! `KVD_SEED=N cargo test --test suite differential` replays a run, `KVD_OPS=N` makes runs longer. A run that fails is
//! shortened before it is shown.
//!
//! Allowed differences: ids of cluster, member and chosen leases (compared by role), raft terms, sizes and indexes in
//! status, the exact remaining time of a lease, the order of sets and of equal sort keys, and how watch events are
//! batched. Against an etcd older than 3.7 the generator leaves out what that version does differently: see `generate`.

mod answer;
mod gateway;
mod generate;
mod matrix;
mod op;
mod run;
mod shrink;
mod side;
mod tree;
mod users;
mod watches;

use crate::harness::{Dice, heavy, reference, seed, subject};

/// Steps of a run unless `KVD_OPS` says otherwise.
const STEPS: usize = 1000;
/// Runs of one test, each with fresh servers.
const RUNS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differential_random_requests_get_equal_answers() {
    let test = "differential_random_requests_get_equal_answers";
    let Some(reference) = reference(test) else { return };
    let _turn = heavy().await;
    let subject = subject();
    let level = subject.level().min(reference.level());
    let count = std::env::var("KVD_OPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS);
    let first = seed(test);
    let runs = if std::env::var_os("KVD_SEED").is_some() { 1 } else { RUNS };
    for seed in first..first + runs {
        eprintln!("run with KVD_SEED={seed}");
        let steps = generate::steps(Dice::new(seed), count, level);
        let pair = run::Pair { reference: reference.clone(), subject: subject.clone() };
        if let Err(difference) = pair.run(&steps).await {
            eprintln!("KVD_SEED={seed}: step {} of {} differs\n{difference}", difference.step, steps.len());
            let shorter = shrink::shrink(&pair, &steps[..=difference.step]).await;
            panic!("{subject} and {reference} differ (KVD_SEED={seed})\n{shorter}");
        }
    }
}
