//! The metrics of `/metrics` compared with those of a real etcd: families by name and type, and the values that must
//! agree.

use crate::harness::{PATIENCE, Program, Server, Setup, reference, subject, until};
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::etcdserverpb::{
    CompactionRequest, DefragmentRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest,
    LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest, WatchRequest,
    request_op::Request,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Families that dashboards and alarms use; each must exist with etcd's type.
const FAMILIES: &[&str] = &[
    "etcd_cluster_version",
    "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_renewed_total",
    "etcd_debugging_lease_revoked_total",
    "etcd_debugging_lease_ttl_total",
    "etcd_debugging_mvcc_compact_revision",
    "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_db_compaction_keys_total",
    "etcd_debugging_mvcc_db_compaction_last",
    "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
    "etcd_debugging_mvcc_events_total",
    "etcd_debugging_mvcc_keys_total",
    "etcd_debugging_mvcc_slow_watcher_total",
    "etcd_debugging_mvcc_total_put_size_in_bytes",
    "etcd_debugging_mvcc_watch_stream_total",
    "etcd_debugging_mvcc_watcher_total",
    "etcd_debugging_server_lease_expired_total",
    "etcd_disk_backend_commit_duration_seconds",
    "etcd_disk_backend_defrag_duration_seconds",
    "etcd_disk_defrag_inflight",
    "etcd_disk_wal_fsync_duration_seconds",
    "etcd_disk_wal_write_bytes_total",
    "etcd_disk_wal_write_duration_seconds",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_mvcc_delete_total",
    "etcd_mvcc_hash_duration_seconds",
    "etcd_mvcc_hash_rev_duration_seconds",
    "etcd_mvcc_put_total",
    "etcd_mvcc_range_total",
    "etcd_mvcc_txn_total",
    "etcd_network_client_grpc_received_bytes_total",
    "etcd_network_client_grpc_sent_bytes_total",
    "etcd_server_client_requests_total",
    "etcd_server_feature_enabled",
    "etcd_server_has_leader",
    "etcd_server_health_failures",
    "etcd_server_health_success",
    "etcd_server_id",
    "etcd_server_is_leader",
    "etcd_server_is_learner",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_applied_total",
    "etcd_server_proposals_committed_total",
    "etcd_server_proposals_failed_total",
    "etcd_server_proposals_pending",
    "etcd_server_quota_backend_bytes",
    "etcd_server_read_indexes_failed_total",
    "etcd_server_slow_apply_total",
    "etcd_server_slow_read_indexes_total",
    "etcd_server_version",
    "grpc_server_handled_total",
    "grpc_server_handling_seconds",
    "grpc_server_msg_received_total",
    "grpc_server_msg_sent_total",
    "grpc_server_started_total",
    "os_fd_limit",
    "os_fd_used",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_network_receive_bytes_total",
    "process_network_transmit_bytes_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
    "promhttp_metric_handler_requests_in_flight",
    "promhttp_metric_handler_requests_total",
];

/// Values that the same requests must produce on both servers.
const EQUAL: &[&str] = &[
    "etcd_cluster_version{cluster_version=\"3.7\"}",
    "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_revoked_total",
    "etcd_debugging_lease_ttl_total_bucket{le=\"4096\"}",
    "etcd_debugging_lease_ttl_total_sum",
    "etcd_debugging_mvcc_compact_revision",
    "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_db_compaction_keys_total",
    "etcd_debugging_mvcc_events_total",
    "etcd_debugging_mvcc_keys_total",
    "etcd_debugging_mvcc_slow_watcher_total",
    "etcd_debugging_mvcc_total_put_size_in_bytes",
    "etcd_debugging_mvcc_watch_stream_total",
    "etcd_debugging_mvcc_watcher_total",
    "etcd_debugging_server_lease_expired_total",
    "etcd_disk_defrag_inflight",
    "etcd_mvcc_delete_total",
    "etcd_mvcc_put_total",
    "etcd_mvcc_txn_total",
    "etcd_server_has_leader",
    "etcd_server_is_leader",
    "etcd_server_is_learner",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_failed_total",
    "etcd_server_proposals_pending",
    "etcd_server_quota_backend_bytes",
    "etcd_server_feature_enabled{name=\"AllBeta\",stage=\"BETA\"}",
    "etcd_server_feature_enabled{name=\"FastLeaseKeepAlive\",stage=\"BETA\"}",
    "etcd_server_feature_enabled{name=\"LeaseCheckpoint\",stage=\"ALPHA\"}",
    "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}",
    "grpc_server_handling_seconds_count{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}",
    "grpc_server_handling_seconds_count{grpc_method=\"Txn\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}",
    "grpc_server_handling_seconds_count{grpc_method=\"Compact\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"}",
];

pub struct Figures {
    /// Family and type.
    pub types: BTreeMap<String, String>,
    pub samples: BTreeMap<String, f64>,
}

/// The parsed metrics page of a server.
pub async fn figures(server: &Server) -> Figures {
    let mut connection = TcpStream::connect(server.endpoint()).await.expect("a connection");
    let request = "GET /metrics HTTP/1.0\r\n\r\n";
    connection.write_all(request.as_bytes()).await.expect("the request is taken");
    let mut page = String::new();
    connection.read_to_string(&mut page).await.expect("a page of text");
    let mut figures = Figures { types: BTreeMap::new(), samples: BTreeMap::new() };
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            figures.types.insert(name.to_owned(), kind.to_owned());
        } else if let Some((name, value)) = line.rsplit_once(' ')
            && let Ok(value) = value.parse()
        {
            figures.samples.insert(name.to_owned(), value);
        }
    }
    figures
}

/// A put.
pub fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() }
}

/// The same requests for every server; the watch stays open as long as the result lives.
async fn exercise(server: &Server) -> impl Sized {
    let api = server.api();
    let (mut kv, mut lease, mut maintenance) = (api.kv.clone(), api.lease.clone(), api.maintenance.clone());
    let create = WatchCreateRequest { key: "a".into(), ..Default::default() };
    let (sender, requests) = tokio::sync::mpsc::unbounded_channel();
    sender.send(WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }).expect("open");
    let requests = tokio_stream::wrappers::UnboundedReceiverStream::new(requests);
    let mut watch = api.watch.clone().watch(requests).await.expect("a stream").into_inner();
    assert!(watch.message().await.expect("an answer").expect("a message").created);
    for number in 0..10 {
        kv.put(put("a", &number.to_string())).await.expect("a put");
        kv.put(put(&format!("b{number}"), "value")).await.expect("a put");
        assert_eq!(watch.message().await.expect("an answer").expect("a message").events.len(), 1);
    }
    kv.put(PutRequest { prev_kv: true, ..put("b1", "with what was before") }).await.expect("a put");
    let success = ["c1", "c2"].map(|key| RequestOp { request: Some(Request::RequestPut(put(key, "txn"))) });
    kv.txn(TxnRequest { success: success.into(), ..Default::default() }).await.expect("a transaction");
    let range = DeleteRangeRequest { key: "b0".into(), range_end: "b5".into(), ..Default::default() };
    assert_eq!(kv.delete_range(range).await.expect("a deletion").into_inner().deleted, 5);
    kv.range(RangeRequest { key: "a".into(), ..Default::default() }).await.expect("a read");
    for id in [7, 8] {
        lease.lease_grant(LeaseGrantRequest { ttl: 3000, id }).await.expect("a lease");
    }
    kv.put(PutRequest { lease: 7, ..put("leased", "1") }).await.expect("a put");
    lease.lease_revoke(LeaseRevokeRequest { id: 7 }).await.expect("a revoke");
    kv.compact(CompactionRequest { revision: 15, physical: true }).await.expect("a compaction");
    maintenance.hash_kv(HashKvRequest::default()).await.expect("a hash");
    maintenance.defragment(DefragmentRequest {}).await.expect("a defragmentation");
    (sender, watch)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_have_etcds_names_types_and_values() {
    let test = "figures_have_etcds_names_types_and_values";
    let Some(reference) = reference(test) else { return };
    if reference.level() < (3, 7) {
        // Older etcds have other families.
        return;
    }
    let subject = subject();
    let extensive = async |program: &Program| Setup::of(program).arg("--metrics=extensive").start().await;
    let (reference, subject) = tokio::join!(extensive(&reference), extensive(&subject));
    let _open = tokio::join!(exercise(&reference), exercise(&subject));
    let expected = figures(&reference).await;
    let got = figures(&subject).await;
    let mut differences = Vec::new();
    for name in FAMILIES {
        if expected.types.get(*name) != got.types.get(*name) || !got.types.contains_key(*name) {
            let (expected, got) = (expected.types.get(*name), got.types.get(*name));
            differences.push(format!("{name}: type {expected:?}, got {got:?}"));
        }
    }
    for name in EQUAL {
        let (expected, got) = (expected.samples.get(*name), got.samples.get(*name));
        if expected.is_none() || expected != got {
            differences.push(format!("{name}: {expected:?}, got {got:?}"));
        }
    }
    for (name, kind) in &got.types {
        if expected.types.get(name).is_some_and(|expected| expected != kind) {
            differences.push(format!("{name} is no {kind}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    for busy in [
        "etcd_disk_wal_fsync_duration_seconds_count",
        "etcd_disk_wal_write_bytes_total",
        "etcd_mvcc_range_total",
        "etcd_mvcc_hash_rev_duration_seconds_count",
        "etcd_disk_backend_defrag_duration_seconds_count",
        "etcd_network_client_grpc_sent_bytes_total",
    ] {
        assert!(got.samples.get(busy).is_some_and(|value| *value > 0.0), "nothing counted as {busy}");
    }
    // A checkpoint is made about once per second.
    let commits = "etcd_disk_backend_commit_duration_seconds_count";
    let begun = Instant::now();
    while figures(&subject).await.samples.get(commits).is_none_or(|count| *count == 0.0) {
        assert!(begun.elapsed() < PATIENCE, "no checkpoint was counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_flushes_none_is_made_and_it_is_said_loudly() {
    let server = Setup::of(&subject()).arg("--unsafe-no-fsync").start().await;
    for number in 0..20 {
        server.api().kv.put(put(&number.to_string(), "value")).await.expect("a put");
    }
    if !subject().is_kvd() {
        return;
    }
    let figures = figures(&server).await;
    assert_eq!(figures.samples.get("etcd_disk_wal_fsync_duration_seconds_count"), Some(&0.0));
    assert!(figures.samples["etcd_disk_wal_write_duration_seconds_count"] >= 20.0);
    let log = server.log();
    assert!(
        log.contains("\"level\":\"warn\"") && log.contains("unsafe-no-fsync: the log is not flushed"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_it_should_is_logged_and_counted() {
    let server = Setup::of(&subject()).arg("--warning-apply-duration=1ns").start().await;
    server.api().kv.put(put("a", "b")).await.expect("a put");
    server.api().kv.range(RangeRequest { key: "a".into(), ..Default::default() }).await.expect("a read");
    until("the line in the log", || {
        let log = server.log();
        log.contains("apply request took too long") && log.contains("read-only range")
    })
    .await;
    assert!(figures(&server).await.samples["etcd_server_slow_apply_total"] >= 2.0);
}
