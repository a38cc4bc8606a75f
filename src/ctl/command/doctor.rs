//! `kvctl doctor`: looks for what is going to be a problem, on all members and on this machine.

use std::path::Path;

use futures_util::future::join_all;

use crate::client::page;
use crate::config::Config;
use crate::ctl::failure::{ERROR, Failure};
use crate::ctl::output::print_bytes;
use crate::ctl::print::Style;
use crate::ctl::print::doctor::{self, Finding, Grade};
use crate::ctl::survey::{Seen, survey};
use crate::ctl::target::{Target, config_of_this_machine};

/// A flush of the log's disk should take less, for 99 of 100.
const SLOW_FLUSH: f64 = 0.010;
/// So long that elections begin.
const BAD_FLUSH: f64 = 0.100;
/// Round trips between members that take longer make writes slow.
const SLOW_TRIP: f64 = 0.050;
/// Bytes that the kernel should hold for members' datagrams.
const UDP_BUFFER: u64 = 2 << 20;
/// Days before a certificate expires.
const SOON: f64 = 30.0;
/// Percent of the quota.
const FULL: i64 = 80;

/// Looks everywhere, and prints what it has found.
pub(in crate::ctl) async fn run(target: &Target, style: Style) -> Result<(), Failure> {
    let mut findings = Vec::new();
    match survey(target).await {
        Ok(seen) => {
            let pages = join_all(seen.iter().map(|seen| metrics(target, seen))).await;
            for (seen, page) in seen.iter().zip(&pages) {
                findings.extend(member(seen, page));
            }
            findings.extend(together(&seen));
        }
        Err(failure) => {
            let why = failure.to_string();
            let why = why.lines().next().unwrap_or_default().trim_start_matches("Error: ").to_string();
            let hint = "systemctl status kvd; journalctl -u kvd; --endpoints names another member";
            findings.push(Finding::new(Grade::Fail, "cluster", why, hint));
        }
    }
    if let Some(config) = config_of_this_machine() {
        findings.extend(machine(&config));
    }
    print_bytes(&doctor::findings(&findings, style)?);
    match findings.iter().any(|finding| finding.grade == Grade::Fail) {
        true => Err(Failure::silent(ERROR)),
        false => Ok(()),
    }
}

/// Its metrics; empty if it does not show them.
async fn metrics(target: &Target, seen: &Seen) -> String {
    match seen.member.client_ur_ls.first().filter(|_| seen.status.is_ok()) {
        Some(url) => page(&target.reach, url, "/metrics", target.command_timeout).await.unwrap_or_default(),
        None => String::new(),
    }
}

/// What one member says about itself.
fn member(seen: &Seen, page: &str) -> Vec<Finding> {
    let name = seen.name();
    let status = match &seen.status {
        Err(why) => {
            let hint = "is its process up, and 2379/tcp open? On its machine: systemctl status kvd";
            return vec![Finding::new(Grade::Fail, name, format!("does not answer: {why}"), hint)];
        }
        Ok(status) => status,
    };
    let mut found = Vec::new();
    let mut say = |grade, what: String, hint: &str| found.push(Finding::new(grade, name.clone(), what, hint));
    for error in &status.errors {
        let hint = match error {
            error if error.contains("NOSPACE") => {
                "kvctl space; delete keys; kvctl compaction REVISION; kvctl alarm disarm"
            }
            error if error.contains("no leader") => {
                "a majority of the members must reach each other at 2380/udp"
            }
            _ => "keep its data for an examination; remove it and let it join again",
        };
        say(Grade::Fail, error.clone(), hint);
    }
    if status.db_size_quota > 0 && status.db_size_in_use.saturating_mul(100) / status.db_size_quota >= FULL {
        let full = status.db_size_in_use.saturating_mul(100) / status.db_size_quota;
        say(Grade::Warn, format!("uses {full} % of its quota"), "kvctl space; kvctl compaction REVISION");
    }
    match quantile(page, "etcd_disk_wal_fsync_duration_seconds", 0.99) {
        Some(time) if time > BAD_FLUSH => {
            say(
                Grade::Fail,
                format!("flushes of its log's disk take {time} s"),
                "put wal-dir on a disk of its own, an SSD",
            );
        }
        Some(time) if time > SLOW_FLUSH => {
            say(
                Grade::Warn,
                format!("flushes of its log's disk take {time} s"),
                "put wal-dir on a disk of its own, an SSD",
            );
        }
        Some(time) => say(Grade::Ok, format!("flushes of its log's disk take less than {time} s"), ""),
        None => {}
    }
    for (labels, value) in samples(page, "kvd_certificate_days_left") {
        let file = label(labels, "file").unwrap_or_default();
        let hint = "put a new one in its place; the next connection uses it";
        match value {
            days if days < 0.0 => say(Grade::Fail, format!("the certificate {file} has expired"), hint),
            days if days < SOON => {
                say(Grade::Warn, format!("the certificate {file} expires in {days} days"), hint)
            }
            days => say(Grade::Ok, format!("the certificate {file} is valid for {days} days"), ""),
        }
    }
    for (labels, value) in samples(page, "etcd_network_active_peers") {
        let other = label(labels, "Remote").unwrap_or_default();
        if value == 0.0 {
            let hint = "is 2380/udp open in both directions? QUIC is UDP; see README.firewall";
            say(Grade::Fail, format!("has no connection with member {other}"), hint);
        }
    }
    match quantile(page, "etcd_network_peer_round_trip_time_seconds", 0.99) {
        Some(time) if time > SLOW_TRIP => say(
            Grade::Warn,
            format!("round trips to other members take {time} s"),
            "raise heartbeat-interval and election-timeout if the members are that far apart",
        ),
        _ => {}
    }
    for (_, value) in samples(page, "kvd_backup_failures_total").filter(|(_, value)| *value > 0.0) {
        say(
            Grade::Warn,
            format!("{value} backups failed since its start"),
            "journalctl -u kvd; kvctl backup now",
        );
    }
    found
}

/// What only all of them show.
fn together(seen: &[Seen]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say = |grade, what: String, hint: &str| found.push(Finding::new(grade, "cluster", what, hint));
    let voters = seen.iter().filter(|seen| !seen.member.is_learner).count();
    let there = seen.iter().filter(|seen| !seen.member.is_learner && seen.status.is_ok()).count();
    match (voters, there) {
        (1, _) => say(
            Grade::Warn,
            "one member: if its disk is lost, so are the data".into(),
            "three members, or backups",
        ),
        (voters, _) if voters % 2 == 0 => say(
            Grade::Warn,
            format!("{voters} voters survive no more failures than {}", voters - 1),
            "add a member, or remove one",
        ),
        (voters, there) if there == voters => {
            say(Grade::Ok, format!("{voters} voters answer; {} may fail", (voters - 1) / 2), "");
        }
        _ => {}
    }
    let mut versions: Vec<&str> = seen
        .iter()
        .filter_map(|seen| seen.status.as_ref().ok())
        .map(|status| status.version.as_str())
        .collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() > 1 {
        say(Grade::Warn, format!("members run {}", versions.join(" and ")), "kvctl upgrade status");
    }
    found
}

/// What this machine's member needs of it.
fn machine(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say =
        |grade, what: String, hint: &str| found.push(Finding::new(grade, "this machine", what, hint));
    for dir in
        [Some(&config.member.data_dir), config.member.wal_dir.as_ref(), config.backup.directory.as_ref()]
    {
        let Some(disk) = dir.and_then(|dir| Some((dir, room(dir)?))) else { continue };
        let (dir, (free, percent)) = disk;
        let what = format!("{} has {} MB free, {percent} %", dir.display(), free >> 20);
        match percent {
            0..5 => say(Grade::Fail, what, "make room: a member without room refuses writes"),
            5..15 => say(Grade::Warn, what, "make room: a member without room refuses writes"),
            _ => say(Grade::Ok, what, ""),
        }
    }
    for name in ["rmem_max", "wmem_max"] {
        let path = Path::new("/proc/sys/net/core").join(name);
        let value = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        if let Some(bytes) = value.filter(|bytes| *bytes < UDP_BUFFER) {
            let hint = format!("sysctl -w net.core.{name}={UDP_BUFFER}");
            say(Grade::Warn, format!("the kernel holds {bytes} bytes of datagrams (net.core.{name})"), &hint);
        }
    }
    found
}

/// Free bytes of the disk below a directory, and their share in percent.
fn room(dir: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    let (free, all) =
        (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    Some((free, free.saturating_mul(100).checked_div(all)?))
}

/// The samples of a metric: labels and value.
fn samples<'p>(page: &'p str, name: &'static str) -> impl Iterator<Item = (&'p str, f64)> {
    page.lines().filter_map(move |line| {
        let (sample, value) = line.rsplit_once(' ')?;
        let labels = sample.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('{'))?;
        Some((labels, value.parse().ok()?))
    })
}

fn label<'l>(labels: &'l str, name: &str) -> Option<&'l str> {
    let (_, rest) = labels.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

/// The bound below which so large a part of the observations of a histogram are, over all its labels; `None` if there are
/// few.
fn quantile(page: &str, name: &str, part: f64) -> Option<f64> {
    let mut below: Vec<(f64, f64)> = Vec::new();
    for line in page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("_bucket{")) {
        let (labels, value) = line.rsplit_once(' ')?;
        let bound: f64 = label(labels, "le")?.parse().ok()?;
        let value: f64 = value.parse().ok()?;
        match below.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += value,
            None => below.push((bound, value)),
        }
    }
    below.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (_, all) = *below.last().filter(|(_, all)| *all >= 100.0)?;
    below.iter().find(|(_, sum)| *sum >= all * part).map(|(bound, _)| *bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::etcdserverpb::{Member, StatusResponse};

    fn seen(id: u64, status: Result<StatusResponse, String>) -> Seen {
        Seen { member: Member { id, name: format!("m{id}"), ..Member::default() }, status }
    }

    fn graded(findings: &[Finding], grade: Grade) -> Vec<&str> {
        findings.iter().filter(|found| found.grade == grade).map(|found| found.what.as_str()).collect()
    }

    #[test]
    fn a_members_figures_are_judged() {
        let page = "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 10\n\
                    etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.032\"} 995\n\
                    etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 1000\n\
                    kvd_certificate_days_left{file=\"/a.pem\"} 12\nkvd_certificate_days_left{file=\"/b.pem\"} -1\n\
                    etcd_network_active_peers{Local=\"1\",Remote=\"2\"} 0\nkvd_backup_failures_total 2\n";
        let status = StatusResponse {
            errors: vec!["memberID:1 alarm:NOSPACE".into()],
            db_size_in_use: 90,
            db_size_quota: 100,
            ..StatusResponse::default()
        };
        let found = member(&seen(1, Ok(status)), page);
        let failed = [
            "memberID:1 alarm:NOSPACE",
            "the certificate /b.pem has expired",
            "has no connection with member 2",
        ];
        assert_eq!(graded(&found, Grade::Fail), failed);
        let warned = [
            "uses 90 % of its quota",
            "flushes of its log's disk take 0.032 s",
            "the certificate /a.pem expires in 12 days",
            "2 backups failed since its start",
        ];
        assert_eq!(graded(&found, Grade::Warn), warned);
        assert!(found.iter().all(|found| (found.grade == Grade::Ok) == found.hint.is_empty()), "{found:?}");
        let silent = member(&seen(2, Err("connection refused".into())), "");
        assert_eq!(graded(&silent, Grade::Fail), ["does not answer: connection refused"]);
    }

    #[test]
    fn few_observations_say_nothing() {
        let page = "x_bucket{le=\"1\"} 99\nx_bucket{le=\"+Inf\"} 99\n";
        assert_eq!(quantile(page, "x", 0.5), None);
        let two = "x_bucket{To=\"a\",le=\"1\"} 60\nx_bucket{To=\"b\",le=\"1\"} 0\nx_bucket{To=\"a\",le=\"2\"} 60\n\
                   x_bucket{To=\"b\",le=\"2\"} 60\n";
        assert_eq!((quantile(two, "x", 0.5), quantile(two, "x", 0.99)), (Some(1.0), Some(2.0)));
    }

    #[test]
    fn even_numbers_of_voters_are_warned_of() {
        let with =
            |count: u64| (1..=count).map(|id| seen(id, Ok(StatusResponse::default()))).collect::<Vec<_>>();
        assert_eq!(graded(&together(&with(3)), Grade::Ok), ["3 voters answer; 1 may fail"]);
        assert_eq!(graded(&together(&with(4)), Grade::Warn), ["4 voters survive no more failures than 3"]);
        assert_eq!(graded(&together(&with(1)), Grade::Warn).len(), 1);
    }
}
