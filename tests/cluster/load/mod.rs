//! Clusters under load while faults happen.
//!
//! - `members`: the processes of a cluster, and an operator's actions
//! - `clients`: clients on a host of their own that write, read and watch; their record
//! - `users`, `locks`, `trees`: users whose permissions change; leases, and a counter under a lock; the v2 API
//! - `faults`: the faults, chosen by a seed
//! - `verify`: what must hold in the end

mod clients;
mod faults;
mod locks;
mod members;
mod trees;
mod users;
mod verify;

use std::time::Duration;

use parking_lot::Mutex;

use super::dice::Dice;
use super::program::subject;
use clients::Clients;
use faults::Fault;
pub use faults::{FAULTS, OF_MACHINES};
use members::Cluster;

/// Duration of the faults, without the time for recovery; `KVD_CLUSTER_SECONDS` extends it.
fn lasting() -> Duration {
    let seconds = std::env::var("KVD_CLUSTER_SECONDS").ok().map(|text| text.parse().expect("a number"));
    Duration::from_secs(seconds.unwrap_or(25))
}

/// The seed of a run, printed with the command that repeats it.
fn seed(test: &str) -> u64 {
    let seed = match std::env::var("KVD_SEED") {
        Ok(text) => text.parse().expect("KVD_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().map_or(1, |now| now.as_micros() as u64),
    };
    let seconds = lasting().as_secs();
    eprintln!(
        "KVD_SEED={seed} KVD_CLUSTER_SECONDS={seconds} cargo test --test cluster {test} -- --nocapture"
    );
    seed
}

/// Clusters under load run one at a time: each needs the whole machine.
static TURN: Mutex<()> = Mutex::new(());

/// A cluster of some members, with these faults in an order that the seed draws.
pub fn under_faults(test: &str, members: usize, faults: &[Fault]) {
    let _turn = TURN.lock();
    let mut dice = Dice::new(seed(test));
    let mut cluster = Cluster::new(members, members, subject());
    let mut faults = faults.to_vec();
    if faults.iter().any(|fault| fault.is_of_machines()) && !cluster.equip(test) {
        faults.retain(|fault| !fault.is_of_machines());
    }
    // An etcd of Go is no client of the C library.
    faults.retain(|fault| subject().is_kvd() || !fault.needs_preload());
    if let Ok(wanted) = std::env::var("KVD_FAULTS") {
        faults.retain(|fault| wanted.split(',').any(|name| name == format!("{fault:?}")));
    }
    assert!(!faults.is_empty(), "no kind of fault has a name of KVD_FAULTS");
    cluster.bootstrap();
    let clients = Clients::start(&cluster, dice.next());
    let begun = std::time::Instant::now();
    let mut round = faults.clone();
    let mut happened = std::collections::BTreeMap::<String, usize>::new();
    while begun.elapsed() < lasting() || !round.is_empty() {
        if round.is_empty() {
            round = faults.clone();
        }
        let fault = round.swap_remove(dice.below(round.len()));
        let name = format!("{fault:?}");
        clients.mark(&name);
        *happened.entry(name).or_default() += 1;
        fault.happen(&mut cluster, &mut dice);
        cluster.heal();
        clients.until_served(&mut cluster);
    }
    verify::all(test, &mut cluster, clients);
    let list: Vec<String> = happened.iter().map(|(name, times)| format!("{times} {name}")).collect();
    eprintln!("{test}: faults: {}", list.join(", "));
}

/// A single member grows to three and to five members and shrinks again; the leader is removed, too.
pub fn growing_and_shrinking(test: &str) {
    let _turn = TURN.lock();
    let mut dice = Dice::new(seed(test));
    let mut cluster = Cluster::new(5, 1, subject());
    cluster.bootstrap();
    let clients = Clients::start(&cluster, dice.next());
    for member in 1..5 {
        clients.mark(&format!("member {member} is added"));
        cluster.grow(member);
        clients.until_served(&mut cluster);
    }
    for left in (2..5).rev() {
        let gone = cluster.any_member(&mut dice, left == 3);
        clients.mark(&format!("member {gone} is removed"));
        cluster.shrink(gone);
        clients.until_served(&mut cluster);
    }
    verify::all(test, &mut cluster, clients);
}
