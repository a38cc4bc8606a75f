//! What must hold at every moment; it is checked regularly.

use std::collections::BTreeMap;
use std::time::Duration;

use kvd::model::StateDigest;
use tokio::sync::watch as signal;
use tokio::time::Instant;

use super::world::{ELECTION, Process, World};

/// Interval of the checks.
const LOOK: Duration = Duration::from_millis(50);

/// After this time without the other voters a leader must know that it no longer leads: two election timeouts, the
/// longest of which is 1.3 s, and some time for messages on their way.
const PATIENCE: Duration = ELECTION.saturating_mul(3);

/// A read takes no longer, unless something real delays it.
const READ: Duration = Duration::from_millis(1000);

/// Checks until it is stopped.
pub async fn run(world: World, stop: signal::Receiver<bool>) {
    let mut alone: BTreeMap<(u64, u64), Instant> = BTreeMap::new();
    let mut terms = BTreeMap::new();
    let mut digests = BTreeMap::new();
    while !*stop.borrow() {
        tokio::time::sleep(LOOK).await;
        let mut seen = BTreeMap::new();
        for process in world.running() {
            no_leader_without_quorum(&world, &process, &alone, &mut seen);
            if !world.is_altered(process.id) {
                one_state(&world, &process, &mut digests);
            }
            if world.is_calm() {
                no_election(&world, &process, &mut terms);
            }
        }
        alone = seen;
    }
}

/// Only that all members have the same state, until it is stopped.
pub async fn states(world: World, stop: signal::Receiver<bool>) {
    let mut digests = BTreeMap::new();
    while !*stop.borrow() {
        tokio::time::sleep(LOOK).await;
        for process in world.serving() {
            one_state(&world, &process, &mut digests);
        }
    }
}

/// After the same entry all members have the same state, whenever and by whatever way they come to it.
fn one_state(world: &World, process: &Process, digests: &mut BTreeMap<u64, (u64, StateDigest)>) {
    let Some(digest) = process.store.digest() else { return };
    let (other, first) = *digests.entry(digest.index).or_insert((process.id, digest));
    if first != digest {
        let what = format!("the states of members {other} and {} differ: {first:?}, {digest:?}", process.id);
        world.journal().note(&what);
        world.journal().broken(what);
    }
}

/// A member that reaches no quorum for long does not consider itself the leader.
fn no_leader_without_quorum(
    world: &World,
    process: &Process,
    before: &BTreeMap<(u64, u64), Instant>,
    now: &mut BTreeMap<(u64, u64), Instant>,
) {
    let status = process.node.status();
    let claims = status.is_leader || process.lessor.is_primary();
    let (there, voters) = process.node.reachable();
    if !claims || 2 * there > voters || process.is_paused() {
        return;
    }
    let key = (process.id, status.term);
    let since = before.get(&key).copied().unwrap_or_else(Instant::now);
    now.insert(key, since);
    if since.elapsed() > PATIENCE && since.elapsed() <= PATIENCE + LOOK {
        let what = format!(
            "member {} leads in term {}, and reaches {there} of {voters} voters since {PATIENCE:?}",
            process.id, status.term
        );
        world.journal().note(&what);
        world.journal().broken(what);
    }
}

/// In a calm seed the first leader stays.
fn no_election(world: &World, process: &Process, terms: &mut BTreeMap<u64, u64>) {
    let status = process.node.status();
    let led = status.leader.is_some() || terms.contains_key(&process.id);
    if !led {
        return;
    }
    let first = *terms.entry(process.id).or_insert(status.term);
    if status.term != first || status.leader.is_none() {
        let what = format!("member {}: term {first}, then {status:?}, for no reason", process.id);
        if status.term != first {
            terms.insert(process.id, status.term);
        }
        world.journal().note(&what);
        world.journal().broken(what);
    }
}

/// In a calm seed in which no command is slow to apply, a read takes no longer than its messages.
pub async fn reads(world: World, stop: signal::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::time::sleep(4 * LOOK).await;
        for process in world.running() {
            let Some(leader) = process.node.leader() else { continue };
            let asked = Instant::now();
            let read = process.unless_it_crashes(process.node.read_index()).await;
            if matches!(read, Some(Ok(()))) && asked.elapsed() > READ {
                let what = format!("a read at {} took {:?}, leader {leader}", process.id, asked.elapsed());
                world.journal().note(&what);
                world.journal().broken(what);
            }
        }
    }
}
