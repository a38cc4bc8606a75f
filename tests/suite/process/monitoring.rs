//! `packaging/monitoring`: its rules and its dashboard use names that a member shows, and a real Prometheus takes them.

use super::authority::Authority;
use super::metrics::{figures, put};
use crate::harness::{Server, Three, free_port, page, skip, subject, until};
use kvd::api::proto::etcdserverpb::alarm_request::AlarmAction;
use kvd::api::proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, DefragmentRequest, DeleteRangeRequest, LeaseGrantRequest,
    RangeRequest,
};
use rcgen::ExtendedKeyUsagePurpose;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the alerts and dashboards of etcd's mixin use (its dashboard is 3070 at grafana.com, too), and with it
/// kube-prometheus: each name with the labels by which they select or group.
const MIXIN: &[(&str, &[&str])] = &[
    ("etcd_disk_backend_commit_duration_seconds_bucket", &["le"]),
    ("etcd_disk_wal_fsync_duration_seconds_bucket", &["le"]),
    ("etcd_debugging_mvcc_db_total_size_in_bytes", &[]),
    ("etcd_mvcc_db_total_size_in_bytes", &[]),
    ("etcd_mvcc_db_total_size_in_use_in_bytes", &[]),
    ("etcd_network_client_grpc_received_bytes_total", &[]),
    ("etcd_network_client_grpc_sent_bytes_total", &[]),
    ("etcd_network_peer_received_bytes_total", &["From"]),
    ("etcd_network_peer_round_trip_time_seconds_bucket", &["To", "le"]),
    ("etcd_network_peer_sent_bytes_total", &["To"]),
    ("etcd_network_peer_sent_failures_total", &["To"]),
    ("etcd_server_has_leader", &[]),
    ("etcd_server_leader_changes_seen_total", &[]),
    ("etcd_server_proposals_applied_total", &[]),
    ("etcd_server_proposals_committed_total", &[]),
    ("etcd_server_proposals_failed_total", &[]),
    ("etcd_server_proposals_pending", &[]),
    ("etcd_server_quota_backend_bytes", &[]),
    ("grpc_server_handled_total", &["grpc_code", "grpc_method", "grpc_service", "grpc_type"]),
    ("grpc_server_handling_seconds_bucket", &["grpc_method", "grpc_type", "le"]),
    ("grpc_server_started_total", &["grpc_method", "grpc_service", "grpc_type"]),
    ("process_max_fds", &[]),
    ("process_open_fds", &[]),
    ("process_resident_memory_bytes", &[]),
];

/// What Datadog's integration collects beside these. It also takes names that no member of kvd can have: `go_*` are of the
/// runtime of Go, `grpc_proxy_*` of etcd's proxy, which is another program, and `etcd_snap_*` of the files that raft's
/// snapshots are in etcd. It asks for none of them where they are missing.
const DATADOG: &[&str] = &[
    "etcd_debugging_mvcc_db_compaction_keys_total",
    "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
    "etcd_debugging_mvcc_delete_total",
    "etcd_debugging_mvcc_events_total",
    "etcd_debugging_mvcc_keys_total",
    "etcd_debugging_mvcc_pending_events_total",
    "etcd_debugging_mvcc_put_total",
    "etcd_debugging_mvcc_range_total",
    "etcd_debugging_mvcc_slow_watcher_total",
    "etcd_debugging_mvcc_txn_total",
    "etcd_debugging_mvcc_watch_stream_total",
    "etcd_debugging_mvcc_watcher_total",
    "etcd_debugging_server_lease_expired_total",
    "etcd_disk_backend_snapshot_duration_seconds",
    "etcd_disk_wal_write_bytes_total",
    "etcd_mvcc_delete_total",
    "etcd_mvcc_put_total",
    "etcd_mvcc_range_total",
    "etcd_mvcc_txn_total",
    "etcd_network_active_peers",
    "etcd_network_disconnected_peers_total",
    "etcd_network_peer_received_failures_total",
    "etcd_network_snapshot_receive_failures",
    "etcd_network_snapshot_receive_inflights_total",
    "etcd_network_snapshot_receive_success",
    "etcd_network_snapshot_receive_total_duration_seconds",
    "etcd_network_snapshot_send_failures",
    "etcd_network_snapshot_send_inflights_total",
    "etcd_network_snapshot_send_success",
    "etcd_network_snapshot_send_total_duration_seconds",
    "etcd_server_client_requests_total",
    "etcd_server_health_failures",
    "etcd_server_health_success",
    "etcd_server_heartbeat_send_failures_total",
    "etcd_server_is_leader",
    "etcd_server_read_indexes_failed_total",
    "etcd_server_slow_apply_total",
    "etcd_server_slow_read_indexes_total",
    "grpc_server_msg_received_total",
    "grpc_server_msg_sent_total",
    "os_fd_limit",
    "os_fd_used",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/monitoring")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).expect("a file of the package")
}

/// Every name of a metric in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    let prefixes = ["etcd_", "grpc_server_", "kvd_", "process_", "os_fd_"];
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect()
}

/// The expressions of the dashboard.
fn queries() -> Vec<String> {
    let dashboard: serde_json::Value = serde_json::from_str(&read("kvd-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect()
}

/// Three members with everything that has figures: an audit, backups, certificates, some traffic.
async fn busy() -> Three {
    let authority = Authority::new("test CA");
    let (server, key) = authority.issue("server", 1, &[ExtendedKeyUsagePurpose::ServerAuth]);
    let three = Three::start_with(|_, member| {
        let file = |name: &str, text: String| {
            let path = member.dir().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let (cert, key) = (file("server.pem", server.pem()), file("server.key", key.serialize_pem()));
        let audit = member.dir().join("audit").display().to_string();
        let backups = member.dir().join("backups").display().to_string();
        member.add_args(&[
            "--metrics=extensive",
            &format!("--audit-output={audit}"),
            &format!("--backup-directory={backups}"),
            &format!("--cert-file={cert}"),
            &format!("--key-file={key}"),
        ]);
    })
    .await;
    for member in &three.0 {
        traffic(member).await;
    }
    three
}

/// From now on there is an alarm, and no traffic.
async fn raise_alarm(three: &Three) {
    let alarm = AlarmRequest {
        action: AlarmAction::Activate.into(),
        alarm: AlarmType::Nospace.into(),
        ..AlarmRequest::default()
    };
    three.0[0].api().maintenance.alarm(alarm).await.expect("an alarm");
}

async fn traffic(member: &Server) {
    let api = member.api();
    let mut kv = api.kv.clone();
    let mut revision = 0;
    for number in 0..20 {
        let answer = kv.put(put(&format!("k{number}"), "value")).await.expect("a put").into_inner();
        revision = answer.header.expect("a header").revision;
    }
    kv.range(RangeRequest { key: "k".into(), range_end: "l".into(), ..Default::default() })
        .await
        .expect("a range");
    let gone = DeleteRangeRequest { key: "k0".into(), ..Default::default() };
    kv.delete_range(gone).await.expect("a deletion");
    kv.compact(CompactionRequest { revision, physical: true }).await.expect("a compaction");
    api.lease.clone().lease_grant(LeaseGrantRequest { ttl: 60, id: 0 }).await.expect("a lease");
    api.maintenance.clone().defragment(DefragmentRequest {}).await.expect("a defragmentation");
    page(member, "/health").await;
}

/// The samples of a member by the name of their metric: labels and value.
async fn samples(member: &Server) -> BTreeMap<String, Vec<(String, f64)>> {
    let mut found: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    for (sample, value) in figures(member).await.samples {
        let (name, labels) = sample.split_once('{').unwrap_or((&sample, ""));
        found.entry(name.to_owned()).or_default().push((labels.to_owned(), value));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboards_and_alerts_find_their_metrics() {
    if !subject().is_kvd() {
        return;
    }
    let three = busy().await;
    raise_alarm(&three).await;
    let leader = three.leader().await;
    let member = &three.0[leader];
    let (types, samples) = (figures(member).await.types, samples(member).await);
    for (name, labels) in MIXIN {
        let found = samples.get(*name).unwrap_or_else(|| panic!("no sample of {name}"));
        for label in *labels {
            assert!(
                found.iter().all(|(given, _)| given.contains(&format!("{label}=\""))),
                "{name} without {label}"
            );
        }
        assert!(found.iter().all(|(_, value)| value.is_finite() && *value >= 0.0), "{name}: {found:?}");
    }
    for name in DATADOG {
        assert!(types.contains_key(*name), "no {name}");
    }
    let value = |name: &str| samples[name].iter().map(|(_, value)| value).sum::<f64>();
    for busy in [
        "etcd_debugging_mvcc_put_total",
        "etcd_debugging_mvcc_range_total",
        "etcd_debugging_mvcc_delete_total",
        "etcd_network_peer_sent_bytes_total",
        "etcd_network_peer_received_bytes_total",
        "etcd_disk_wal_fsync_duration_seconds_count",
        "process_resident_memory_bytes",
    ] {
        assert!(value(busy) > 0.0, "{busy} is {}", value(busy));
    }
    assert_eq!(
        value("etcd_debugging_mvcc_db_total_size_in_bytes"),
        value("etcd_mvcc_db_total_size_in_bytes")
    );
    assert_eq!(value("etcd_debugging_server_alarms"), 1.0);

    let family = |name: &str| {
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        types.contains_key(name)
            || bare.is_some_and(|bare| types.get(bare).is_some_and(|kind| kind == "histogram"))
    };
    let used = names(&(queries().join("\n") + &read("kvd.rules.yml")));
    assert!(used.len() > 30, "{used:?}");
    for name in used {
        assert!(family(&name), "packaging/monitoring uses {name}, which no member shows");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_of_kvd_say_what_they_mean() {
    if !subject().is_kvd() {
        return;
    }
    let three = busy().await;
    let text = page(&three.0[0], "/metrics").await;
    let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP kvd_")?.split_once(' '));
    let helps: Vec<(&str, &str)> = helps.collect();
    assert!(helps.len() >= 5, "{helps:?}");
    for (name, help) in helps {
        assert!(help.split(' ').count() >= 5 && help.ends_with('.'), "kvd_{name}: {help:?} says too little");
    }
}

/// A program of Debian's package prometheus.
fn installed(test: &str, program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        skip(test, &format!("{program} is not installed (tests/provide installs prometheus)"));
    }
    found
}

fn run(program: &str, arguments: &[&str], directory: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(directory).output().expect("it runs");
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

#[test]
fn alerts_fire_if_they_have_to_and_only_then() {
    if !installed("alerts_fire_if_they_have_to_and_only_then", "promtool") {
        return;
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/monitoring");
    run("promtool", &["check", "rules", &folder().join("kvd.rules.yml").display().to_string()], &tests);
    run("promtool", &["test", "rules", "rules_test.yml"], &tests);
    let cases = std::fs::read_to_string(tests.join("rules_test.yml")).expect("the cases");
    let rules = read("kvd.rules.yml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 15, "{alerts:?}");
    for alert in alerts {
        let name = format!("alertname: {alert}\n");
        let fires = cases.split(&name).skip(1);
        let fires = fires.filter(|case| case.trim_start().starts_with("exp_alerts:\n")).count();
        assert!(fires > 0, "no case in which {alert} fires");
    }
}

/// A Prometheus of the test; it ends at the latest with it.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What Prometheus answers to a query: the number of series.
fn asked(port: u16, query: &str) -> Result<usize, String> {
    let address = format!("http://127.0.0.1:{port}/api/v1/query");
    let arguments = ["-sS", "-m", "20", "-G", &address, "--data-urlencode", &format!("query={query}")];
    let output = Command::new("curl").args(arguments).output().expect("curl runs");
    let answer: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    match answer["data"]["result"].as_array() {
        Some(result) => Ok(result.len()),
        None => Err(answer.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prometheus_scrapes_the_members_and_answers_the_dashboard() {
    let test = "a_prometheus_scrapes_the_members_and_answers_the_dashboard";
    if !subject().is_kvd() || !installed(test, "prometheus") {
        return;
    }
    let three = busy().await;
    let directory = tempfile::tempdir().expect("a directory");
    let rules = folder().join("kvd.rules.yml").display().to_string();
    // The file of the package, with the addresses of the test.
    let targets: Vec<String> = three.0.iter().map(|member| format!("{:?}", member.endpoint())).collect();
    let config = read("prometheus.yml")
        .replace("/usr/share/kvd/monitoring/kvd.rules.yml", &rules)
        .replace("scrape_interval: 15s", "scrape_interval: 500ms\n  evaluation_interval: 500ms")
        .replace("\"192.0.2.1:2379\", \"192.0.2.2:2379\", \"192.0.2.3:2379\"", &targets.join(", "));
    assert!(config.contains(&rules) && !config.contains("192.0.2"), "{config}");
    let file = directory.path().join("prometheus.yml");
    std::fs::write(&file, config).expect("written");
    let port = free_port();
    let log = std::fs::File::create(directory.path().join("log")).expect("a log");
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("prometheus starts");
    let _prometheus = Prometheus(child);
    until("all members are scraped", || asked(port, "up{job=\"kvd\"} == 1") == Ok(3)).await;

    let variables = [("$__rate_interval", "1m"), ("$cluster", ".*"), ("$instance", ".*")];
    for query in queries() {
        let query = variables.iter().fold(query, |query, (name, value)| query.replace(name, value));
        let begun = std::time::Instant::now();
        // Rates need several scrapes, and some need traffic in between.
        loop {
            let answer = asked(port, &query).unwrap_or_else(|error| panic!("{query}: {error}"));
            // Nothing fails here.
            if answer > 0 || query.contains("grpc_code!=") || query.contains("kvd_server_replication_failing")
            {
                break;
            }
            assert!(begun.elapsed() < crate::harness::PATIENCE, "no series for {query}");
            traffic(&three.0[0]).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    raise_alarm(&three).await;
    until("the alarm is an alert", || {
        asked(port, "ALERTS{alertname=\"KvdAlarm\",alertstate=\"firing\"}") == Ok(1)
    })
    .await;
}
