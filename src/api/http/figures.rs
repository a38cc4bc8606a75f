//! `/metrics`: what the faces count, what can be read off the node and the store, and the process.

use std::fs;
use std::sync::OnceLock;

use http::{Response, StatusCode};

use super::page;
use crate::api::body::ReplyBody;
use crate::api::metrics::{Page, escaped};
use crate::api::services::{ETCD_VERSION, Services};
use crate::model::AlarmKind;

/// The answer to a scrape.
pub(super) fn scrape(services: &Services) -> Response<ReplyBody> {
    const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    page(StatusCode::OK, TYPE, figures(services))
}

fn figures(services: &Services) -> String {
    let mut page = Page::default();
    server(services, &mut page);
    store(services, &mut page);
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
    labelled("etcd_server_version", "server_version", ETCD_VERSION, "The version, as a label.");
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
    let help = "Bytes the data takes now.";
    page.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", help, sizes.in_use);
    let revision = services.store.revision();
    page.gauge("etcd_debugging_mvcc_current_revision", "The current revision.", revision);
    let compacted = services.store.compacted_revision();
    page.gauge("etcd_debugging_mvcc_compact_revision", "The compacted revision, -1 for none.", compacted);
}

/// What the kernel knows about this process; figures that cannot be read are left out.
fn process(page: &mut Page) {
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if let Some(limit) = limits.current {
        page.gauge("os_fd_limit", "Limit on open file descriptors.", limit);
        page.gauge("process_max_fds", "Limit on open file descriptors.", limit);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The listing itself holds one.
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
    if let Some(boot) = boot_time() {
        let start = boot + stat.start_seconds;
        page.gauge("process_start_time_seconds", "Start time in seconds since the epoch.", start);
    }
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

/// When the machine started, in seconds since the epoch.
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
