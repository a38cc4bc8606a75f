//! What must hold in the end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb::{HashKvRequest, RangeRequest};

use super::super::api::Api;
use super::super::server::PATIENCE;
use super::clients::{Clients, Seen, whole_story};
use super::members::{Cluster, on_host};

/// Ends the load and checks everything.
pub fn all(test: &str, cluster: &mut Cluster, clients: Clients) {
    cluster.heal();
    cluster.settled();
    clients.until_served(cluster);
    let record = clients.finish(|| last_revision(cluster));
    let last = last_revision(cluster);
    for (what, gap) in record.gaps() {
        eprintln!("{test}: {what}: longest time without an acknowledged write {gap} ms");
    }
    let changes = record.acknowledged.lock().len();
    eprintln!("{test}: {} calls, {changes} changes, revision {last}", record.history().0.len());
    let stories = stories(cluster, last);
    let truth = &stories[0].1;
    let values: BTreeSet<_> = truth.iter().filter_map(|(_, _, value)| *value).collect();
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
    hashes(cluster, last);
    assert!(record.lease_is_held(), "the lease that was kept alive is gone");
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

/// The revision that all members agree on.
fn last_revision(cluster: &mut Cluster) -> i64 {
    let leader = cluster.leader();
    read(cluster, leader).expect("the leader answers")
}

/// A linearizable read at a member; returns the revision.
fn read(cluster: &Cluster, member: usize) -> Option<i64> {
    let url = cluster.url(member);
    on_host(&cluster.client_host(), async move {
        let request = RangeRequest { key: "k/".into(), ..Default::default() };
        let call = async { Api::lazy(&url).kv.range(request).await };
        let answer = tokio::time::timeout(Duration::from_secs(10), call).await.ok()?.ok()?;
        answer.into_inner().header.map(|header| header.revision)
    })
}

fn stories(cluster: &Cluster, last: i64) -> Vec<(usize, Vec<Seen>)> {
    let story = |member: usize| {
        let url = cluster.url(member);
        (member, on_host(&cluster.client_host(), async move { whole_story(&url, last).await }))
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
        let url = cluster.url(member);
        hashes.push(on_host(&cluster.client_host(), async move {
            let answer = Api::lazy(&url).maintenance.hash_kv(HashKvRequest { revision }).await;
            answer.expect("a hash").into_inner().hash
        }));
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "the members' hashes differ: {hashes:x?}");
}
