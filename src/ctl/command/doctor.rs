//! `kvctl doctor`: looks for what is going to be a problem, on all members and on this machine.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::config::Config;
use crate::ctl::failure::{ERROR, Failure};
use crate::ctl::metrics::{Clock, Page, buckets, label, most_apart, pages, quantile, samples, wrong_clocks};
use crate::ctl::output::print_bytes;
use crate::ctl::print::Style;
use crate::ctl::print::doctor::{self, Finding, Grade};
use crate::ctl::reach::{address, quic, tcp};
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
/// How long a port is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a packet with QUIC's least datagram, by IPv6.
const LEAST_MTU: u64 = 1200 + 48;
/// Percent of the quota.
const FULL: i64 = 80;

/// Looks everywhere, and prints what it has found.
pub(in crate::ctl) async fn run(target: &Target, style: Style) -> Result<(), Failure> {
    let mut findings = Vec::new();
    let config = config_of_this_machine();
    match survey(target).await {
        Ok(seen) => {
            let pages = pages(target, &seen).await;
            for (seen, page) in seen.iter().zip(&pages) {
                findings.extend(member(seen, &page.text));
            }
            findings.extend(together(&seen));
            findings.extend(clocks(&seen, &pages));
            findings.extend(ports(&seen, &pages, config.is_some()).await);
        }
        Err(failure) => {
            let why = failure.to_string();
            let why = why.lines().next().unwrap_or_default().trim_start_matches("Error: ").to_string();
            let hint = "systemctl status kvd; journalctl -u kvd; --endpoints names another member";
            findings.push(Finding::new(Grade::Fail, "cluster", why, hint));
        }
    }
    if let Some(config) = config {
        findings.extend(machine(&config));
    }
    print_bytes(&doctor::findings(&findings, style)?);
    match findings.iter().any(|finding| finding.grade == Grade::Fail) {
        true => Err(Failure::silent(ERROR)),
        false => Ok(()),
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
    match slowest(page, "etcd_disk_wal_fsync_duration_seconds") {
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
    match slowest(page, "etcd_network_peer_round_trip_time_seconds") {
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

/// The time that 99 of 100 of at least a hundred observations took at most.
fn slowest(page: &str, name: &str) -> Option<f64> {
    quantile(&buckets(page, name, |_| true), 0.99, 100.0)
}

/// Whose clock differs from those of the others.
fn clocks(seen: &[Seen], pages: &[Page]) -> Vec<Finding> {
    let wrong = wrong_clocks(seen, pages).into_iter();
    let hint = "timedatectl; chronyc tracking: the members' clocks should follow the same time servers";
    let mut found: Vec<Finding> = wrong
        .map(|(name, what)| Finding::new(Grade::Warn, name, format!("its clock {what}"), hint))
        .collect();
    let known: Vec<Clock> = pages.iter().filter_map(|page| page.clock).collect();
    if found.is_empty() && known.len() > 1 {
        let what = format!("the clocks of {} members agree to {:.3} s", known.len(), most_apart(&known));
        found.push(Finding::new(Grade::Ok, "cluster", what, ""));
    }
    found
}

/// Whether the ports of the members can be reached from here. Only members need those of members.
async fn ports(seen: &[Seen], pages: &[Page], is_member: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    for (seen, page) in seen.iter().zip(pages) {
        // One that does not answer at all has been reported.
        for address in
            seen.member.client_ur_ls.iter().filter(|_| seen.status.is_ok()).filter_map(|u| address(u))
        {
            if let Err(why) = tcp(address, PATIENCE).await {
                let what = format!("{address}/tcp, which it advertises to clients, cannot be reached: {why}");
                let hint = "mend advertise-client-urls, or open the port; see README.firewall";
                found.push(Finding::new(Grade::Fail, seen.name(), what, hint));
            }
        }
        // An etcd's members use TCP, and a member that has just joined has no metrics.
        if !page.text.contains("\nkvd_") {
            continue;
        }
        for address in seen.member.peer_ur_ls.iter().filter_map(|url| address(url)) {
            match quic(address, PATIENCE).await {
                Ok(()) => {
                    let what = format!("{address}/udp can be reached");
                    found.push(Finding::new(Grade::Ok, seen.name(), what, ""));
                }
                Err(why) if is_member => {
                    let what = format!("{address}/udp cannot be reached: {why}");
                    let hint = "QUIC is UDP: open the port in both directions; see README.firewall";
                    found.push(Finding::new(Grade::Fail, seen.name(), what, hint));
                }
                Err(_) => {}
            }
        }
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
    let tls = [config.client_tls.key_pair(), config.peer_tls.key_pair()].into_iter().flatten();
    let secrets = tls.map(|pair| pair.key).chain(config.peer_tls.cluster_secret_file.clone());
    for path in secrets {
        if let Some(mode) = open_to_all(&path) {
            let what = format!("every user may use {}, which is a secret (mode {mode:o})", path.display());
            say(Grade::Fail, what, &format!("chmod o= {}", path.display()));
        }
    }
    for (name, bytes) in small_interfaces(Path::new("/sys/class/net")) {
        let what = format!("the interface {name} has an MTU of {bytes}: QUIC needs {LEAST_MTU}");
        say(Grade::Warn, what, &format!("ip link set {name} mtu 1500, or as much as the network takes"));
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

/// The mode of a file that every user of this machine may use.
fn open_to_all(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

/// Interfaces whose packets are too small for QUIC.
fn small_interfaces(class: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(class).into_iter().flatten().flatten();
    let mut small: Vec<(String, u64)> = entries
        .filter_map(|entry| {
            let text = std::fs::read_to_string(entry.path().join("mtu")).ok()?;
            let mtu = text.trim().parse().ok().filter(|mtu| *mtu < LEAST_MTU)?;
            Some((entry.file_name().to_string_lossy().into_owned(), mtu))
        })
        .collect();
    small.sort();
    small
}

/// Free bytes of the disk below a directory, and their share in percent.
fn room(dir: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    let (free, all) =
        (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    Some((free, free.saturating_mul(100).checked_div(all)?))
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
    fn secrets_and_interfaces_are_looked_at() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = dir.path().join("key.pem");
        std::fs::write(&key, "key").expect("written");
        let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("set");
        mode(0o640);
        assert_eq!(open_to_all(&key), None);
        mode(0o644);
        assert_eq!(open_to_all(&key), Some(0o644));
        for (name, mtu) in [("lo", "65536"), ("wg0", "1200"), ("eth0", "1500")] {
            std::fs::create_dir(dir.path().join(name)).expect("made");
            std::fs::write(dir.path().join(name).join("mtu"), format!("{mtu}\n")).expect("written");
        }
        assert_eq!(small_interfaces(dir.path()), [("wg0".to_string(), 1200)]);
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
