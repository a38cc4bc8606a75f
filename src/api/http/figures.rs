//! `/metrics`: counters of the API, figures read from the node and the store, and figures of the process.

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::answer::page;
use super::shared::SharedPage;
use crate::api::body::ReplyBody;
use crate::api::metrics::{Page, escaped};
use crate::api::services::Services;
use crate::api::status;
use crate::model::AlarmKind;

/// This member's wall clock when it answers a scrape: seconds since 1970, to the millisecond. The page itself may be a
/// second old and HTTP's date has whole seconds only, too coarse to compare the clocks of members.
const CLOCK: HeaderName = HeaderName::from_static("kvd-clock");

/// The answer to a scrape.
pub(super) fn scrape(services: &Services, shared: &SharedPage) -> Response<ReplyBody> {
    const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    let mut answer = page(StatusCode::OK, TYPE, shared.get(Instant::now(), || figures(services)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if let Ok(clock) = HeaderValue::from_str(&format!("{}.{:03}", now.as_secs(), now.subsec_millis())) {
        answer.headers_mut().insert(CLOCK, clock);
    }
    answer
}

fn figures(services: &Services) -> String {
    let mut page = Page::default();
    services.metrics.scraped();
    server(services, &mut page);
    raft(services, &mut page);
    store(services, &mut page);
    key_space(services, &mut page);
    disk(services, &mut page);
    watch(services, &mut page);
    lease(services, &mut page);
    services.metrics.write(&mut page);
    process(&mut page);
    page.finish()
}

fn server(services: &Services, page: &mut Page) {
    let node = services.node.status();
    let mut labelled = |name: &str, label: &str, value: &str, help: &str| {
        page.family(name, "gauge", help);
        page.sample(name, &format!("{label}=\"{}\"", escaped(value)), 1);
    };
    let id = services.member_id().to_string();
    labelled("etcd_server_id", "server_id", &id, "This member's id in hex, as a label.");
    labelled("etcd_server_version", "server_version", &services.server_version(), "The version, as a label.");
    if let Some(version) = services.store.cluster_version() {
        // The label names major and minor only.
        let minor = version.rsplit_once('.').map_or(version.as_str(), |(minor, _patch)| minor);
        labelled("etcd_cluster_version", "cluster_version", minor, "The cluster's version, as a label.");
    }
    let mut flag = |name: &str, value: bool, help: &str| page.gauge(name, help, u64::from(value));
    flag("etcd_server_has_leader", node.leader.is_some(), "Whether this member sees a leader.");
    flag("etcd_server_is_leader", node.is_leader, "Whether this member is the leader.");
    flag("etcd_server_is_learner", node.is_learner, "Whether this member is a learner.");
    let help = "Index of the last log entry that is applied here.";
    page.gauge("etcd_server_proposals_applied_total", help, node.applied);
    let help = "Index of the last log entry that is known here to be committed.";
    page.gauge("etcd_server_proposals_committed_total", help, node.committed);
    let alarms = services.store.alarms();
    if !alarms.is_empty() {
        let name = "etcd_debugging_server_alarms";
        page.family(name, "gauge", "Alarms that are raised.");
        for alarm in alarms {
            let kind = match alarm.kind {
                AlarmKind::NoSpace => "NOSPACE",
                AlarmKind::Corrupt => "CORRUPT",
            };
            page.sample(name, &format!("alarm_type=\"{kind}\",server_id=\"{}\"", alarm.member), 1);
        }
    }
}

fn store(services: &Services, page: &mut Page) {
    let sizes = services.store.sizes();
    if let Some(quota) = sizes.quota {
        page.gauge("etcd_server_quota_backend_bytes", "The space quota in bytes.", quota);
    }
    let help = "Bytes the data takes or has taken since the last defragmentation.";
    page.gauge("etcd_mvcc_db_total_size_in_bytes", help, sizes.allocated);
    // Also under the name of etcd 3.4, which its dashboard at grafana.com and Datadog still use.
    page.gauge("etcd_debugging_mvcc_db_total_size_in_bytes", help, sizes.allocated);
    let help = "Bytes the data takes now.";
    page.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", help, sizes.in_use);
    if let Ok(tables) = services.store.table_figures() {
        let (rows, bytes) = ("kvd_store_table_rows", "kvd_store_table_bytes");
        page.family(rows, "gauge", "Rows of each table of the store, as of its last checkpoint.");
        for table in &tables {
            page.sample(rows, &format!("table=\"{}\"", table.name), table.rows);
        }
        page.family(bytes, "gauge", "Bytes of the pages that hold them.");
        for table in &tables {
            page.sample(bytes, &format!("table=\"{}\"", table.name), table.bytes);
        }
    }
    let revision = services.store.revision();
    page.gauge("etcd_debugging_mvcc_current_revision", "The current revision.", revision);
    let compacted = services.store.compacted_revision();
    page.gauge("etcd_debugging_mvcc_compact_revision", "The compacted revision, -1 for none.", compacted);
    let revision = services.store.users().revision();
    page.gauge("etcd_debugging_auth_revision", "The revision of users and roles.", revision);
}

fn raft(services: &Services, page: &mut Page) {
    let figures = services.node.figures();
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let help = "Leaders that were seen, the first one included.";
    page.counter("etcd_server_leader_changes_seen_total", help, load(&figures.leader_changes));
    let help = "Proposals that wait for their outcome.";
    page.gauge("etcd_server_proposals_pending", help, load(&figures.pending));
    let help = "Proposals without an outcome in time.";
    page.counter("etcd_server_proposals_failed_total", help, load(&figures.failed));
    let help = "Linearizable reads that could not be had.";
    page.counter("etcd_server_read_indexes_failed_total", help, load(&figures.failed_reads));
    let help = "Rounds of the read index that had to be repeated.";
    page.counter("etcd_server_slow_read_indexes_total", help, load(&figures.repeated_reads));
    let help = "Heartbeats of this leader that were not sent, or not answered in time.";
    page.counter("etcd_server_heartbeat_send_failures_total", help, load(&figures.failed_heartbeats));
    let help = "Snapshots that take the place of this member's state at the moment.";
    page.gauge("etcd_server_snapshot_apply_in_progress_total", help, load(&figures.installing));
    let help = "Learners that this leader has made voters.";
    page.counter("etcd_server_learner_promote_successes", help, load(&figures.promoted));
    let name = "etcd_server_learner_promote_failures";
    page.family(name, "counter", "Promotions of learners that this leader refused.");
    for (refusal, count) in figures.refused_promotions() {
        page.sample(name, &format!("Reason=\"{}\"", escaped(status::text(&refusal))), count);
    }
}

/// Counters of operations on keys, and the number of keys.
fn key_space(services: &Services, page: &mut Page) {
    let figures = services.store.figures();
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.counter("etcd_mvcc_put_total", "Puts.", load(&figures.puts));
    page.counter("etcd_mvcc_delete_total", "Deletions.", load(&figures.deletes));
    page.counter("etcd_mvcc_range_total", "Ranges.", load(&figures.ranges));
    page.counter("etcd_mvcc_txn_total", "Requests of several of these.", load(&figures.txns));
    // Also under the names of etcd 3.4, which Datadog still uses.
    page.counter("etcd_debugging_mvcc_put_total", "Puts.", load(&figures.puts));
    page.counter("etcd_debugging_mvcc_delete_total", "Deletions.", load(&figures.deletes));
    page.counter("etcd_debugging_mvcc_range_total", "Ranges.", load(&figures.ranges));
    page.counter("etcd_debugging_mvcc_txn_total", "Requests of several of these.", load(&figures.txns));
    let help = "Bytes of the keys and values that were put.";
    page.gauge("etcd_debugging_mvcc_total_put_size_in_bytes", help, load(&figures.put_bytes));
    if let Ok(keys) = services.store.live_keys() {
        let help = "Keys that are live; a key of several kilobytes counts as several.";
        page.gauge("etcd_debugging_mvcc_keys_total", help, keys);
    }
    let help = "Versions that compactions have removed.";
    page.counter("etcd_debugging_mvcc_db_compaction_keys_total", help, load(&figures.compacted_versions));
    let last = figures.last_compaction_ms.load(Ordering::Relaxed) / 1000;
    page.gauge(
        "etcd_debugging_mvcc_db_compaction_last",
        "When a compaction was asked for last, in seconds.",
        last,
    );
    let name = "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds";
    page.histogram(name, "Time of one step of a compaction.", &figures.compaction_step);
    let name = "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds";
    page.histogram(name, "Time of a whole compaction.", &figures.compaction);
}

/// Durations of the store's slow operations.
fn disk(services: &Services, page: &mut Page) {
    let figures = services.store.figures();
    let name = "etcd_disk_backend_commit_duration_seconds";
    page.histogram(name, "Time to commit a checkpoint to the disk.", &figures.commit);
    let name = "etcd_disk_backend_defrag_duration_seconds";
    page.histogram(name, "Time of a defragmentation.", &figures.defragment);
    let inflight = figures.defragmenting.load(Ordering::Relaxed);
    page.gauge("etcd_disk_defrag_inflight", "Defragmentations under way.", inflight);
    page.histogram("etcd_mvcc_hash_duration_seconds", "Time of a hash of everything.", &figures.hash);
    page.histogram("etcd_mvcc_hash_rev_duration_seconds", "Time of a hash of the keys.", &figures.hash_kv);
    let name = "etcd_disk_backend_snapshot_duration_seconds";
    page.histogram(name, "Time to read a whole snapshot out.", &figures.snapshot);
    let name = "etcd_server_apply_duration_seconds";
    page.family(name, "histogram", "Time to apply a request of each kind.");
    for (op, success, took) in figures.applies() {
        let labels = format!("op=\"{op}\",success=\"{success}\",version=\"v3\"");
        page.histogram_samples(name, &labels, took);
    }
    let slow = figures.slow_applies.load(Ordering::Relaxed);
    page.counter("etcd_server_slow_apply_total", "Entries that took long to apply.", slow);
}

fn watch(services: &Services, page: &mut Page) {
    let stats = services.reads.watch_stats();
    page.gauge("etcd_debugging_mvcc_watch_stream_total", "Watch streams.", stats.sessions);
    page.gauge("etcd_debugging_mvcc_watcher_total", "Watchers.", stats.watchers);
    page.gauge("etcd_debugging_mvcc_slow_watcher_total", "Watchers that are behind.", stats.behind);
    page.gauge("etcd_debugging_mvcc_pending_events_total", "Events that wait to be sent.", stats.pending);
}

fn lease(services: &Services, page: &mut Page) {
    let figures = services.lessor.figures();
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.counter("etcd_debugging_lease_granted_total", "Leases granted.", figures.granted.count());
    page.counter("etcd_debugging_lease_revoked_total", "Leases revoked.", load(&figures.revoked));
    page.counter("etcd_debugging_lease_renewed_total", "Renewals by this member.", load(&figures.renewed));
    page.counter("etcd_debugging_server_lease_expired_total", "Leases that ran out.", load(&figures.expired));
    let help = "Times that leases were granted for, in seconds.";
    page.histogram("etcd_debugging_lease_ttl_total", help, &figures.granted);
}

/// The kernel's figures about this process; figures that cannot be read are left out.
fn process(page: &mut Page) {
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if let Some(limit) = limits.current {
        page.gauge("os_fd_limit", "Limit on open file descriptors.", limit);
        page.gauge("process_max_fds", "Limit on open file descriptors.", limit);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // Listing the directory opens one descriptor itself.
        let open = open.count().saturating_sub(1);
        page.gauge("os_fd_used", "Open file descriptors.", open);
        page.gauge("process_open_fds", "Open file descriptors.", open);
    }
    let Some(stat) = Stat::read() else {
        return;
    };
    page.counter("process_cpu_seconds_total", "CPU time, user and system, in seconds.", stat.cpu_seconds);
    page.gauge("process_virtual_memory_bytes", "Virtual memory in bytes.", stat.virtual_bytes);
    page.gauge("process_resident_memory_bytes", "Resident memory in bytes.", stat.resident_bytes);
    // If there is no limit, it is the largest number, as in other exporters.
    let limit = rustix::process::getrlimit(rustix::process::Resource::As).current.unwrap_or(u64::MAX);
    page.gauge("process_virtual_memory_max_bytes", "Limit on virtual memory in bytes.", limit);
    if let Some((received, sent)) =
        fs::read_to_string("/proc/self/net/netstat").ok().and_then(|text| octets(&text))
    {
        let help = "Bytes that the network name space has received.";
        page.counter("process_network_receive_bytes_total", help, received);
        let help = "Bytes that the network name space has sent.";
        page.counter("process_network_transmit_bytes_total", help, sent);
    }
    if let Some(boot) = boot_time() {
        let start = boot + stat.start_seconds;
        page.gauge("process_start_time_seconds", "Start time in seconds since the epoch.", start);
    }
}

/// Bytes received and sent, from the two lines `IpExt` of `/proc/net/netstat`: first the names, then the values.
fn octets(text: &str) -> Option<(u64, u64)> {
    let mut lines = text.lines().filter(|line| line.starts_with("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let find = |wanted| {
        let found = names.split_whitespace().zip(values.split_whitespace()).find(|(name, _)| *name == wanted);
        found?.1.parse().ok()
    };
    Some((find("InOctets")?, find("OutOctets")?))
}

/// `/proc/self/stat`, see proc(5).
struct Stat {
    cpu_seconds: f64,
    start_seconds: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(
            &fs::read_to_string("/proc/self/stat").ok()?,
            rustix::param::clock_ticks_per_second() as f64,
            rustix::param::page_size() as u64,
        )
    }

    fn parse(text: &str, ticks: f64, page_size: u64) -> Option<Self> {
        // The second field is the name in brackets, which may hold anything; the third follows the last bracket.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_seconds: (number(14)? + number(15)?) as f64 / ticks,
            start_seconds: number(22)? as f64 / ticks,
            virtual_bytes: number(23)?,
            resident_bytes: number(24)? * page_size,
        })
    }
}

/// Resident memory of this process in bytes; 0 if it cannot be read.
pub(in crate::api) fn resident_memory() -> u64 {
    Stat::read().map_or(0, |stat| stat.resident_bytes)
}

/// The boot time of the machine, in seconds since the epoch.
fn boot_time() -> Option<f64> {
    static BOOT: OnceLock<Option<f64>> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_network() {
        let text = "TcpExt: InOctets\nTcpExt: 1\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 7 8 9\n";
        assert_eq!(octets(text), Some((8, 9)));
        assert_eq!(octets("IpExt: InOctets\n"), None);
    }

    #[test]
    fn a_stat_line() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194560 10 0 0 0 150 50 0 0 20 0 9 0 300 4096000 25 18446744073709551615 1";
        let stat = Stat::parse(text, 100.0, 4096).expect("a good line");
        assert_eq!(stat.cpu_seconds, 2.0);
        assert_eq!(stat.start_seconds, 3.0);
        assert_eq!(stat.virtual_bytes, 4_096_000);
        assert_eq!(stat.resident_bytes, 25 * 4096);
        assert!(Stat::parse("garbage", 100.0, 4096).is_none());
    }
}
