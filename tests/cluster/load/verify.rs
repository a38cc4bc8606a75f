//! What must hold in the end.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb::{HashKvRequest, PutRequest, RangeRequest};

use super::super::linearizability::History;
use super::super::program::subject;
use super::super::server::PATIENCE;
use super::clients::{Clients, Record, Seen, whole_story};
use super::locks::{COUNTER, SHORT};
use super::members::{Cluster, on_host};

/// Ends the load and checks everything.
pub fn all(test: &str, cluster: &mut Cluster, clients: Clients) {
    cluster.heal();
    cluster.settled();
    clients.until_served(cluster);
    let mut last = 0;
    let record = clients.finish(|| {
        last = last_revision(cluster);
        last
    });
    for (what, gap) in record.gaps() {
        eprintln!("{test}: {what}: longest time without an acknowledged write {gap} ms");
    }
    let changes = record.acknowledged.lock().len();
    eprintln!("{test}: {} calls, {changes} changes, revision {last}", record.history().0.len());
    let stories = stories(cluster, last);
    let truth = &stories[0].1;
    let counted: Vec<u64> =
        truth.iter().filter(|event| event.1 == COUNTER).filter_map(|event| event.2).collect();
    let values: BTreeSet<_> =
        truth.iter().filter(|event| event.1 != COUNTER).filter_map(|event| event.2).collect();
    if let Err(what) = record.history().without_the_lost(|value| values.contains(&value)).check() {
        panic!("{what}");
    }
    for (member, story) in &stories {
        same(&format!("the history of member {member}"), truth, story);
    }
    for (number, watched) in record.watched.lock().iter().enumerate() {
        same(&format!("what watcher {number} was told"), truth, watched);
    }
    let there: BTreeSet<&Seen> = truth.iter().collect();
    for change in record.acknowledged.lock().iter() {
        assert!(there.contains(change), "{change:?} was acknowledged and is lost");
    }
    let all: Vec<u64> = (1..=counted.len() as u64).collect();
    assert!(counted == all, "the counter that a lock guards goes {counted:?}");
    assert_eq!(*record.wrongs.lock(), Vec::<String>::new());
    hashes(cluster, last);
    assert!(record.lease_is_held(), "the lease that was kept alive is gone");
    nodes(&record);
    until_all_have_run_out(cluster);
    // Clients that get nothing done would find nothing wrong.
    assert!(!counted.is_empty(), "nobody counts under the lock");
    assert!(record.permissions.load(Ordering::SeqCst) > 0, "no permission changes");
    assert!(!record.nodes.lock().is_empty() || !subject().is_kvd(), "v2 answers no call");
    eprintln!(
        "{test}: checked: {} calls on keys, {} events, {} calls on v2's nodes, {} numbers under a lock, {} leases \
         that ran out, {} changes of permissions",
        record.history().0.len(),
        truth.len(),
        record.nodes.lock().len(),
        counted.len(),
        record.ran_out.load(Ordering::SeqCst),
        record.permissions.load(Ordering::SeqCst),
    );
}

/// The calls of v2 are explained by one order, too. No member has a history of the tree to tell which of the calls
/// without an answer were done.
fn nodes(record: &Record) {
    if let Err(what) = History(record.nodes.lock().clone()).check() {
        panic!("v2: {what}");
    }
}

/// Keys whose leases ran out are gone.
fn until_all_have_run_out(cluster: &Cluster) {
    let begun = Instant::now();
    loop {
        let left = cluster.as_root(cluster.leader(), Duration::from_secs(5), async |api, pass| {
            let range_end = format!("{}0", SHORT.trim_end_matches('/')).into();
            let request =
                RangeRequest { key: SHORT.into(), range_end, count_only: true, ..Default::default() };
            api.kv.clone().range(pass.on(request)).await
        });
        if left.is_some_and(|left| left.is_ok_and(|left| left.into_inner().count == 0)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "leases do not run out{}", cluster.tails());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The first difference of two lists of events.
fn same(what: &str, truth: &[Seen], told: &[Seen]) {
    let differs = (0..truth.len().max(told.len())).find(|at| truth.get(*at) != told.get(*at));
    if let Some(at) = differs {
        let around = |list: &[Seen]| {
            format!("{:?}", &list[at.saturating_sub(2).min(list.len())..(at + 3).min(list.len())])
        };
        panic!("{what} differs at {at}: {} instead of {}", around(told), around(truth));
    }
}

/// The revision of a last event for all watchers.
fn last_revision(cluster: &mut Cluster) -> i64 {
    let leader = cluster.leader();
    let put = cluster.as_root(leader, PATIENCE, async |api, pass| {
        let put = PutRequest { key: "k/end".into(), value: "0".into(), ..Default::default() };
        api.kv.clone().put(pass.on(put)).await
    });
    let answer = put.expect("the leader answers").expect("the leader writes").into_inner();
    answer.header.map_or(0, |header| header.revision)
}

/// A linearizable read at a member; returns the revision.
fn read(cluster: &Cluster, member: usize) -> Option<i64> {
    let answer = cluster.as_root(member, Duration::from_secs(10), async |api, pass| {
        api.kv.clone().range(pass.on(RangeRequest { key: "k/".into(), ..Default::default() })).await
    });
    answer?.ok()?.into_inner().header.map(|header| header.revision)
}

fn stories(cluster: &Cluster, last: i64) -> Vec<(usize, Vec<Seen>)> {
    let story = |member: usize| {
        let url = cluster.url(member);
        (member, on_host(&cluster.client_host(), move || async move { whole_story(&url, last).await }))
    };
    cluster.members().into_iter().map(story).collect()
}

/// All members have the same hash at the same revision.
fn hashes(cluster: &Cluster, revision: i64) {
    let mut hashes = Vec::new();
    for member in cluster.members() {
        let begun = Instant::now();
        while read(cluster, member).is_none_or(|seen| seen < revision) {
            assert!(begun.elapsed() < PATIENCE, "member {member} does not catch up{}", cluster.tails());
        }
        let answer = cluster.as_root(member, PATIENCE, async |api, pass| {
            api.maintenance.clone().hash_kv(pass.on(HashKvRequest { revision })).await
        });
        hashes.push(answer.expect("an answer").expect("a hash").into_inner().hash);
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "the members' hashes differ: {hashes:x?}");
}
