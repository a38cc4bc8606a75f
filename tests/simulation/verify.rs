//! What must hold in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kvd::model::{Command, EventKind, KeyRange, Put, RangeQuery, Refusal, Reply};
use tokio::time::Instant;

use super::clients::{Record, Revised, key_name, number, text};
use super::leases::{Leases, TTL, key_of};
use super::linearizability::{Answer, Op};
use super::watchers::{Watched, Watchers};
use super::world::{Process, World};

/// Why the cluster is not settled yet; `None` if it is: every member runs, votes or learns, and has caught up except
/// for what is being written now.
pub fn unsettled(world: &World) -> Option<String> {
    let Some(leader) = world.leader() else {
        let status = |process: Process| format!("{:?}", process.node.status());
        return Some(format!(
            "nobody leads: {}",
            world.running().into_iter().map(status).collect::<Vec<_>>().join(", ")
        ));
    };
    let applied = leader.node.status().applied;
    for member in leader.store.members() {
        let Some(process) = world.process(member.id.0) else {
            return Some(format!("{} does not run", member.id));
        };
        let status = process.node.status();
        if member.pending {
            return Some(format!("{} is not a voter yet", member.id));
        }
        if member.name.is_empty() {
            return Some(format!("{} has not made itself known", member.id));
        }
        if status.applied + 50 < applied || status.leader != Some(leader.node.status().id) {
            return Some(format!("{status:?}, where the leader has {applied}"));
        }
    }
    None
}

/// The members' processes.
pub fn of_members(world: &World) -> Vec<Process> {
    let Some(leader) = world.leader() else { return Vec::new() };
    leader.store.members().iter().filter_map(|member| world.process(member.id.0)).collect()
}

/// Every member of a healthy cluster accepts a write, and completes it.
pub async fn writable(world: &World) {
    for process in of_members(world) {
        let mut outcome = None;
        // A write may wait for earlier commands that take seconds.
        for _ in 0..3 {
            outcome = write_at(&process).await;
            if matches!(outcome, Some(Ok(_))) || process.node.is_learner() {
                outcome = None;
                break;
            }
            // One whose disk was full finds that there is room again at its next checkpoint.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        // It may have been removed in the meantime.
        let ids: Vec<u64> = of_members(world).iter().map(|member| member.id).collect();
        if let Some(refused) = outcome.filter(|_| ids.contains(&process.id)) {
            world.journal().broken(format!("member {} cannot write: {refused:?}", process.id));
        }
    }
}

/// A write as whoever may do everything, again if users changed meanwhile.
async fn write_at(process: &Process) -> Option<Result<Reply, Refusal>> {
    let put = Put { key: "w".into(), value: "written".into(), ..Put::default() };
    let mut outcome = None;
    for _ in 0..100 {
        let put = Command::Put(put.clone());
        outcome = process.unless_it_crashes(process.node.propose(process.root(), put)).await;
        if !matches!(outcome, Some(Err(Refusal::AuthOldRevision))) {
            break;
        }
    }
    outcome
}

/// Waits until all members have applied the same, after the last write.
pub async fn settled(world: &World) {
    for _ in 0..600 {
        let applied: Vec<u64> =
            of_members(world).iter().map(|process| process.node.status().applied).collect();
        if !applied.is_empty() && applied.iter().all(|one| *one == applied[0]) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.journal().broken("the members did not come to the same end of the log");
}

/// Leases kept alive exist with their keys, if the other clients did not take so long to end that they may have run out
/// since; the others have ended, and their keys are gone.
pub async fn leases(world: &World, held: &Leases) {
    let Some(leader) = world.leader() else { return world.journal().broken("nobody leads at the end") };
    let there: Vec<i64> = leader.store.leases().expect("readable").iter().map(|lease| lease.id).collect();
    let lately = |at: Instant| at.elapsed() < TTL * 3 / 4;
    for lease in held.all().iter().filter(|lease| lease.renewed.is_some_and(lately)) {
        let key = leader.store.get(&key_of(lease.id)).expect("readable");
        if !there.contains(&lease.id) || key.is_none_or(|key| key.lease != lease.id) {
            world.journal().broken(format!("lease {} was kept alive and is gone: {there:?}", lease.id));
        }
    }
    // Nobody renews any more.
    for _ in 0..600 {
        let left = world.leader().map(|leader| leader.store.leases().expect("readable"));
        if left.is_some_and(|left| left.is_empty()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let Some(leader) = world.leader() else { return world.journal().broken("nobody leads at the end") };
    let left = leader.store.leases().expect("readable");
    if !left.is_empty() {
        world.journal().broken(format!("leases do not run out: {left:?}"));
    }
    for (id, (asked, at)) in held.promised() {
        if let Some(ended) = world.lease_ended(id)
            && ended < asked + TTL
        {
            let lived = if ended > asked {
                format!("{:?} after", ended - asked)
            } else {
                format!("{:?} before", asked - ended)
            };
            world
                .journal()
                .broken(format!("lease {id} ended {lived} member {at} was asked to renew it, and did"));
        }
    }
    for lease in held.all() {
        if leader.store.get(&key_of(lease.id)).expect("readable").is_some() {
            world.journal().broken(format!("lease {} is gone, its key is not", lease.id));
        }
    }
}

/// All members hold the same data, and it is what was applied.
pub fn members(world: &World, notes: &str) {
    let truth = world.truth();
    let processes = of_members(world);
    let mut state: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for (kind, key, value) in truth.values().flatten() {
        match kind {
            EventKind::Put => state.insert(key, value),
            EventKind::Delete => state.remove(key.as_slice()),
        };
    }
    let mut hashes = Vec::new();
    for process in &processes {
        process.store.prune().expect("old versions are removed");
        hashes.push(process.store.hash_kv(0).expect("a hash"));
        let held = process.store.range(&RangeQuery::current(KeyRange::all())).expect("readable").kvs;
        let held: BTreeMap<&[u8], &[u8]> = held.iter().map(|kv| (&kv.key[..], &kv.value[..])).collect();
        if held != state {
            world.journal().broken(format!("member {} holds {held:?}, applied was {state:?}", process.id));
        }
    }
    if hashes.iter().any(|hash| *hash != hashes[0]) {
        world.journal().broken(format!("the members' hashes differ: {hashes:?}"));
    }
    for process in &processes {
        if process.store.digest().is_none() {
            world.journal().broken(format!("member {} does not know the digest of its state", process.id));
        }
    }
    let lists: Vec<_> = processes.iter().map(|process| process.store.members()).collect();
    if lists.iter().any(|list| *list != lists[0]) {
        world.journal().broken(format!("the members' lists of members differ: {lists:#?}"));
    }
    let users: Vec<_> = processes.iter().map(|process| process.store.users()).collect();
    if users.iter().any(|one| *one != users[0]) {
        world.journal().broken(format!("the members' users differ: {users:#?}"));
    }
    let missing =
        (2..=truth.keys().max().copied().unwrap_or(1)).find(|revision| !truth.contains_key(revision));
    if let Some(missing) = missing {
        world.journal().broken(format!("nobody ever applied revision {missing}"));
    }
    world.journal().note(format!("{} revisions; {notes}; {:?}", truth.len(), hashes.first()));
}

/// The clients' record is linearizable, and every acknowledged write is there.
pub fn clients(world: &World, record: &Record) {
    let journal = world.journal();
    let truth = world.truth();
    let values: BTreeSet<_> = truth.values().flatten().filter_map(|(_, _, text)| number(text)).collect();
    if let Err(what) = record.history().without_the_lost(|value| values.contains(&value)).check() {
        journal.broken(what);
    }
    let mut revised = record.revised();
    for one in revised.iter().filter(|one| one.changed) {
        let events = truth.get(&one.revision).map_or(&[][..], Vec::as_slice);
        let key = key_name(one.call.key);
        let found = events.iter().find(|(_, changed, _)| *changed == key[..]);
        let as_asked = found.is_some_and(|(kind, _, value)| match one.call.op {
            Op::Put(asked) | Op::Swap { new: asked, .. } => {
                *kind == EventKind::Put && *value == text(asked)[..]
            }
            _ => *kind == EventKind::Delete,
        });
        if !as_asked {
            journal.broken(format!(
                "revision {} was acknowledged to {}, but did {events:?}",
                one.revision, one.call
            ));
        }
    }
    for one in &revised {
        if let (Op::Get, Some((_, Answer::Value(value)))) = (one.call.op, one.call.answer) {
            let at = truth.range(..=one.revision).rev().flat_map(|(_, events)| events.iter().rev());
            let key = key_name(one.call.key);
            let last = at.into_iter().find(|(_, changed, _)| *changed == key[..]);
            let then =
                last.filter(|(kind, ..)| *kind == EventKind::Put).and_then(|(_, _, text)| number(text));
            if then != value {
                journal.broken(format!("at revision {} the value was {then:?}: {}", one.revision, one.call));
            }
        }
    }
    in_real_time(world, &mut revised);
}

/// Over all keys: a call after an answer sees no older revision, and its change comes later.
fn in_real_time(world: &World, revised: &mut [Revised]) {
    let mut returns: Vec<(u64, i64)> =
        revised.iter().filter_map(|one| Some((one.call.answer?.0, one.revision))).collect();
    returns.sort_unstable();
    revised.sort_by_key(|one| one.call.called);
    let (mut passed, mut newest) = (0, 0);
    for one in revised.iter() {
        while passed < returns.len() && returns[passed].0 < one.call.called {
            newest = newest.max(returns[passed].1);
            passed += 1;
        }
        if one.revision < newest || one.changed && one.revision == newest {
            let what =
                format!("answered at revision {} after {newest} had been seen: {}", one.revision, one.call);
            world.journal().broken(what);
        }
    }
}

/// Every watcher saw every event of its range once and in order, except for what was compacted before.
pub fn watchers(world: &World, watchers: Watchers) {
    let truth = world.truth();
    let last = truth.keys().max().copied().unwrap_or(1);
    for watched in watchers.finish(last) {
        for what in &watched.broken {
            world.journal().broken(what);
        }
        let Watched { range, events, gaps, feeds, .. } = watched;
        let in_gap = |revision: &i64| gaps.iter().any(|gap| gap.contains(revision));
        let wanted = truth.iter().filter(|(revision, _)| !in_gap(revision)).flat_map(|(revision, events)| {
            let in_range = events.iter().filter(|(_, key, _)| range.contains(key));
            in_range.map(move |event| (*revision, event.clone()))
        });
        let wanted: Vec<_> = wanted.collect();
        if let Some(at) = (0..wanted.len().max(events.len())).find(|at| wanted.get(*at) != events.get(*at)) {
            let (wanted, got) = (wanted.get(at), events.get(at));
            let what = format!(
                "a watcher of {range:?} in {feeds} feeds was told {got:?} where {wanted:?} came, gaps {gaps:?}"
            );
            world.journal().broken(what);
        }
    }
}
