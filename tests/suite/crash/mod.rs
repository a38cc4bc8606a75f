//! Every acknowledged write survives `kill -9` under load, at any moment, and watchers that resume see every event once
//! and in order; a torn end of the log is repaired, damage before it is refused.
//!
//! Several writers and one watcher work while the server is killed and restarted, `KVD_ROUNDS` (24) times. A writer
//! records what it is about to do, and the revision in the answer; the watcher resumes at the revision after the last
//! one it saw. At the end the watcher's whole history is compared with the record: see `ledger`.

mod damage;
mod ledger;
mod traffic;

use crate::harness::{Dice, PATIENCE, Server, heavy, seed, subject, until};
use ledger::Ledger;
use std::sync::Arc;
use std::time::{Duration, Instant};
use traffic::{Mix, Traffic};

const ROUNDS: usize = 24;

fn rounds() -> usize {
    std::env::var("KVD_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_keeps_every_acknowledged_put() {
    crash("crash_keeps_every_acknowledged_put", Mix::Puts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_keeps_transactions_leases_and_history_under_compaction() {
    crash("crash_keeps_transactions_leases_and_history_under_compaction", Mix::Everything).await;
}

async fn crash(test: &str, mix: Mix) {
    let _turn = heavy().await;
    let mut dice = Dice::new(seed(test));
    let mut server = Server::of(&subject()).await;
    let ledger = Arc::new(Ledger::default());
    let traffic = Traffic::start(server.url(), ledger.clone(), mix, dice.next());
    for round in 0..rounds() {
        let wanted = ledger.acknowledged() + 1 + dice.below(150);
        until("acknowledged writes under load", || ledger.acknowledged() >= wanted).await;
        server.kill();
        traffic.outage();
        if dice.one_in(4) {
            // Another crash, at some moment of the recovery.
            server.spawn();
            until("the first words of a start", || server.begun()).await;
            tokio::time::sleep(Duration::from_micros(dice.below(200_000) as u64)).await;
            server.kill();
        }
        let told = ledger.highest_revision();
        server.start().await;
        let revision = traffic::revision(&server.api()).await;
        assert!(revision >= told, "round {round}: at revision {revision} after {told} was acknowledged");
        traffic.resume();
    }
    let history = traffic.finish(&server.api()).await;
    let now = traffic::everything(&server.api()).await;
    ledger.verify(&history, &now);
}

/// Many keys, a crash, and the time until they are served again: printed, not judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_with_many_keys_restarts_promptly() {
    const KEYS: usize = 20_000;
    let _turn = heavy().await;
    let mut server = Server::of(&subject()).await;
    traffic::fill(&server.api(), KEYS).await;
    let revision = traffic::revision(&server.api()).await;
    server.kill();
    let start = Instant::now();
    server.start().await;
    let took = start.elapsed();
    assert_eq!(traffic::everything(&server.api()).await.len(), KEYS);
    assert_eq!(traffic::revision(&server.api()).await, revision);
    println!("{KEYS} keys served {took:?} after the start");
    assert!(took < PATIENCE);
}
