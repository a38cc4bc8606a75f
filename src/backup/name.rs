//! The names of backups: `kvd-CLUSTER-TIME-REVISION.db`, with `.gz` behind it if the file is compressed. The time is that
//! of the state, in UTC.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::model::ClusterId;

const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// What the name of a backup says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The cluster whose state it is.
    pub cluster: ClusterId,
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
            cluster: ClusterId(u64::from_str_radix(cluster, 16).ok()?),
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
        write!(f, "kvd-{}-{at}-{}.db{end}", self.cluster, self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_no_other_name_is() {
        let name = Name { cluster: ClusterId(0xcdf8), at: 1_769_860_800, revision: 42, compressed: false };
        assert_eq!(name.to_string(), "kvd-cdf8-20260131T120000Z-42.db");
        assert_eq!(name.time(), "2026-01-31T12:00:00Z");
        let compressed = Name { compressed: true, ..name };
        for name in [name, compressed] {
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
        for other in [
            "",
            "kvd.db",
            "kvd-cdf8-20260131T120000Z-42.db.part",
            "kvd-0cdf8-20260131T120000Z-42.db",
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
}
