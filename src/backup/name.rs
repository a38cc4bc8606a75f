//! The names of backups: `kvd-CLUSTER-TIME-REVISION.db`, with `.gz` behind it if the file is compressed. The time is that
//! of the state, in UTC.
//!
//! A cluster's id is computed from its members' peer URLs, so clusters on two hosts that have the default URLs have the
//! same one. Their members can only be on one host, whose mark is behind the id then: `kvd-CLUSTER.HOST-TIME-REVISION.db`.

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::model::{ClusterId, Member};

const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// Whose state it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The cluster.
    pub cluster: ClusterId,
    /// The mark of its host, if another host may have a cluster with the same id.
    pub host: Option<u32>,
}

impl Source {
    /// The state of the cluster with these members, one of which is on this host.
    pub fn of(cluster: ClusterId, members: &[Member], host: u32) -> Self {
        let mut urls = members.iter().flat_map(|member| &member.peer_urls);
        // Loopback: no other host reaches them, and any may have the same.
        let is_local = urls.all(|url| {
            let authority = url.split_once("://").map_or(url.as_str(), |(_, authority)| authority);
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        });
        Self { cluster, host: (is_local && !members.is_empty()).then_some(host) }
    }

    fn parse(text: &str) -> Option<Self> {
        let (cluster, host) = match text.split_once('.') {
            Some((cluster, host)) => (cluster, Some(u32::from_str_radix(host, 16).ok()?)),
            None => (text, None),
        };
        Some(Self { cluster: ClusterId(u64::from_str_radix(cluster, 16).ok()?), host })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(host) => write!(f, "{}.{host:08x}", self.cluster),
            None => write!(f, "{}", self.cluster),
        }
    }
}

/// The mark of this host: of its name and what systemd has written to /etc/machine-id, if there is one.
pub fn host() -> u32 {
    let name = rustix::system::uname();
    let id = std::fs::read("/etc/machine-id").unwrap_or_default();
    let digest = xxhash_rust::xxh3::xxh3_64(&[name.nodename().to_bytes(), b"\0", id.trim_ascii()].concat());
    // Any half of it will do.
    (digest >> 32) as u32
}

/// What the name of a backup says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// Whose state it is.
    pub source: Source,
    /// When it was taken, in seconds since the unix epoch.
    pub at: i64,
    /// The revision of the state.
    pub revision: i64,
    /// The file is compressed with gzip.
    pub compressed: bool,
}

impl Name {
    /// Reads the name of a file; `None` if kvd gives no file that name.
    pub fn parse(name: &str) -> Option<Self> {
        let (stem, compressed) = match name.strip_suffix(".gz") {
            Some(stem) => (stem, true),
            None => (name, false),
        };
        let mut parts = stem.strip_prefix("kvd-")?.strip_suffix(".db")?.split('-');
        let (cluster, at, revision) = (parts.next()?, parts.next()?, parts.next()?);
        let read = Self {
            source: Source::parse(cluster)?,
            at: NaiveDateTime::parse_from_str(at, STAMP).ok()?.and_utc().timestamp(),
            revision: revision.parse().ok()?,
            compressed,
        };
        // Other spellings of the same numbers are not kvd's.
        (parts.next().is_none() && read.to_string() == name).then_some(read)
    }

    /// The time as people read it.
    pub fn time(&self) -> String {
        time(self.at).map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
    }
}

fn time(at: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at, 0)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = time(self.at).map(|at| at.format(STAMP).to_string()).unwrap_or_default();
        let end = if self.compressed { ".gz" } else { "" };
        write!(f, "kvd-{}-{at}-{}.db{end}", self.source, self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_no_other_name_is() {
        let source = Source { cluster: ClusterId(0xcdf8), host: None };
        let name = Name { source, at: 1_769_860_800, revision: 42, compressed: false };
        assert_eq!(name.to_string(), "kvd-cdf8-20260131T120000Z-42.db");
        assert_eq!(name.time(), "2026-01-31T12:00:00Z");
        let compressed = Name { compressed: true, ..name };
        let marked = Name { source: Source { host: Some(0xab), ..source }, ..name };
        assert_eq!(marked.to_string(), "kvd-cdf8.000000ab-20260131T120000Z-42.db");
        for name in [name, compressed, marked] {
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
        for other in [
            "",
            "kvd.db",
            "kvd-cdf8-20260131T120000Z-42.db.part",
            "kvd-0cdf8-20260131T120000Z-42.db",
            "kvd-cdf8.ab-20260131T120000Z-42.db",
            "kvd-CDF8-20260131T120000Z-42.db",
            "kvd-cdf8-20260131T120000Z-042.db",
            "kvd-cdf8-20260131T120000Z-42-1.db",
            "kvd-cdf8-20260231T120000Z-42.db",
            "xkvd-cdf8-20260131T120000Z-42.db",
            "kvd-cdf8-20260131T120000Z-42.db.gz.gz",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_clusters_on_loopback_have_their_hosts_mark() {
        let host = |urls: &[&str]| {
            let member = |url: &&str| Member::added(vec![url.to_string()], false, 0).expect("a member");
            Source::of(ClusterId(1), &urls.iter().map(member).collect::<Vec<_>>(), 7).host
        };
        for local in [
            &["http://localhost:2380"][..],
            &["http://127.0.0.1:1", "https://[::1]:2"],
            &["http://127.9.9.9:1"],
        ] {
            assert_eq!(host(local), Some(7), "{local:?}");
        }
        for reachable in
            [&["http://10.0.0.1:2380"][..], &["http://localhost:1", "http://b:1"], &["https://[fd00::1]:1"]]
        {
            assert_eq!(host(reachable), None, "{reachable:?}");
        }
        assert_eq!(host(&[]), None);
    }
}
