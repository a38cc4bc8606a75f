//! All metrics of a cluster of three compared with those of three real etcds, under the same traffic: kvd must have
//! every family of etcd with its type and its labels, or a reason here.

use super::metrics::{Figures, figures, put};
use crate::harness::{PATIENCE, Program, Server, Setup, reference, subject};
use kvd::api::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, MemberAddRequest,
    MemberPromoteRequest, RangeRequest, SnapshotRequest,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Families of etcd that kvd does not have, by prefix, and why.
const MISSING: &[(&str, &str)] = &[
    ("etcd_debugging_disk_backend_commit_", "the phases of bbolt's commit; LMDB has none of them"),
    ("etcd_debugging_mvcc_index_compaction_pause_", "there is no index in memory to be compacted"),
    ("etcd_debugging_server_watch_send_loop_", "no loop sends for all watchers of a stream"),
    ("etcd_debugging_snap_", "there are no snapshot files"),
    ("etcd_debugging_store_", "there is no v2 store"),
    ("etcd_grpc_proxy_", "there is no proxy"),
    ("etcd_mvcc_db_open_read_transactions", "LMDB's readers are pooled: none is opened for a request"),
    ("etcd_server_range_duration_seconds", "the type Range of etcd_server_request_duration_seconds has them"),
    ("etcd_server_go_version", "it is not written in Go"),
    ("etcd_snap_", "there are no snapshot files"),
    ("go_", "it is not written in Go"),
];

/// Values of labels that etcd shows and kvd cannot show, by family, and why.
const OTHER_LABELS: &[(&str, &str, &str)] =
    &[("etcd_network_peer_received_bytes_total", "From=\"0\"", "every sender is known by its certificate")];

/// Alerts of etcd's mixin and dashboards depend on these: they must change under this traffic.
const MOVING: &[&str] = &[
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count",
    "etcd_disk_backend_snapshot_duration_seconds_count",
    "etcd_network_active_peers",
    "etcd_network_disconnected_peers_total",
    "etcd_network_known_peers",
    "etcd_network_peer_received_bytes_total",
    "etcd_network_peer_round_trip_time_seconds_bucket",
    "etcd_network_peer_sent_bytes_total",
    "etcd_network_peer_sent_failures_total",
    "etcd_server_apply_duration_seconds_count",
    "etcd_server_heartbeat_send_failures_total",
    "etcd_server_learner_promote_failures",
    "etcd_server_request_duration_seconds_count",
];

/// Three members that were started together; each answers.
async fn three(program: &Program) -> Vec<Server> {
    let mut servers: Vec<Server> =
        (0..3).map(|_| Setup::of(program).arg("--metrics=extensive").prepare()).collect();
    let named: Vec<String> =
        servers.iter().enumerate().map(|(index, server)| format!("n{index}={}", server.peer_url())).collect();
    let cluster = format!("--initial-cluster={}", named.join(","));
    for (index, server) in servers.iter_mut().enumerate() {
        server.add_args(&[&format!("--name=n{index}"), &cluster]);
        server.spawn();
    }
    for server in &servers {
        reads(server).await;
    }
    servers
}

/// Waits until the member answers a linearizable read.
async fn reads(server: &Server) {
    let begun = Instant::now();
    while server.api().kv.range(RangeRequest { key: "a".into(), ..Default::default() }).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "{} does not answer: {}", server.endpoint(), server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Writes, reads, a lease, a compaction, a backup, a refused promotion, and a member that is down for a while.
async fn traffic(servers: &mut [Server]) {
    for server in servers.iter() {
        let api = server.api();
        let (mut kv, mut lease) = (api.kv.clone(), api.lease.clone());
        for number in 0..5 {
            kv.put(put(&format!("a{number}"), "value")).await.expect("a put");
        }
        let delete = DeleteRangeRequest { key: "a0".into(), ..Default::default() };
        kv.delete_range(delete).await.expect("a deletion");
        let granted = lease.lease_grant(LeaseGrantRequest { ttl: 3000, id: 0 }).await.expect("a lease");
        let id = granted.into_inner().id;
        lease.lease_revoke(LeaseRevokeRequest { id }).await.expect("a revoke");
    }
    let api = servers[0].api();
    let compact = CompactionRequest { revision: 5, physical: true };
    api.kv.clone().compact(compact).await.expect("a compaction");
    let mut backup =
        api.maintenance.clone().snapshot(SnapshotRequest {}).await.expect("a backup").into_inner();
    while backup.message().await.expect("a whole backup").is_some() {}
    // The third member goes down while writes continue.
    servers[2].kill();
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        // It may have been the leader.
        let _ = servers[0].api().kv.put(put("b", &number.to_string())).await;
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    servers[2].spawn();
    reads(&servers[2]).await;
    let add = MemberAddRequest { peer_ur_ls: vec!["http://127.0.0.1:1".into()], is_learner: true };
    let begun = Instant::now();
    let learner = loop {
        match servers[0].api().cluster.member_add(add.clone()).await {
            Ok(added) => break added.into_inner().member.expect("a member").id,
            // Members must have been connected for a while.
            Err(status) => assert!(begun.elapsed() < PATIENCE, "{status}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let promote = MemberPromoteRequest { id: learner };
    servers[0].api().cluster.member_promote(promote).await.expect_err("it never started");
}

/// Every family of all members: its type, and its sets of label names.
fn families(pages: &[Figures]) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut families: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for page in pages {
        for (name, kind) in &page.types {
            families.entry(name.clone()).or_default().0.clone_from(kind);
        }
        for sample in page.samples.keys() {
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let is_left_out =
                |(family, label, _): &&(&str, &str, &str)| name == *family && labels.contains(label);
            if OTHER_LABELS.iter().any(|known| is_left_out(&known)) {
                continue;
            }
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            let family = base.filter(|base| families.contains_key(*base)).unwrap_or(name).to_owned();
            let names: Vec<&str> = labels
                .split("\",")
                .filter_map(|pair| pair.split_once('=').map(|(name, _)| name))
                .filter(|name| !matches!(*name, "le" | "quantile"))
                .collect();
            families.entry(family).or_default().1.insert(names.join(","));
        }
    }
    families
}

async fn pages(servers: &[Server]) -> Vec<Figures> {
    let mut pages = Vec::new();
    for server in servers {
        pages.push(figures(server).await);
    }
    pages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_family_of_a_cluster_of_etcds_is_there_or_has_a_reason() {
    let test = "every_family_of_a_cluster_of_etcds_is_there_or_has_a_reason";
    let Some(reference) = reference(test) else { return };
    if reference.level() < (3, 7) {
        return;
    }
    let subject = subject();
    let (mut etcds, mut kvds) = tokio::join!(three(&reference), three(&subject));
    tokio::join!(traffic(&mut etcds), traffic(&mut kvds));
    let (etcd, kvd) = (pages(&etcds).await, pages(&kvds).await);
    let (expected, got) = (families(&etcd), families(&kvd));
    let mut differences = Vec::new();
    let reason = |name: &str| MISSING.iter().find(|(begin, _)| name.starts_with(begin));
    for (name, (kind, labels)) in &expected {
        match (got.get(name), reason(name)) {
            (None, None) => differences.push(format!("{name} ({kind}, labels {labels:?}) is missing")),
            (Some(_), Some((begin, _))) => {
                differences.push(format!("{name} is there: {begin} needs no reason"))
            }
            (None, Some(_)) => {}
            (Some((found, _)), None) if found != kind => {
                differences.push(format!("{name} is a {kind}, not a {found}"))
            }
            (Some((_, found)), None) => {
                for set in labels.difference(found).filter(|_| !labels.is_empty()) {
                    differences.push(format!("{name} has no sample with the labels {set:?}, only {found:?}"));
                }
            }
        }
    }
    for begin in MISSING
        .iter()
        .map(|(begin, _)| begin)
        .filter(|begin| !expected.keys().any(|name| name.starts_with(**begin)))
    {
        differences.push(format!("etcd has nothing that begins with {begin}"));
    }
    for name in MOVING {
        let is_above = |page: &Figures| {
            page.samples.iter().any(|(sample, value)| sample.split('{').next() == Some(name) && *value > 0.0)
        };
        if subject.is_kvd() && !kvd.iter().any(is_above) {
            differences.push(format!("{name} has not moved"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
