//! What is displayed: rates and times between two looks at the members.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::api::proto::mvccpb::Event;
use crate::ctl::metrics::{Page, buckets, label, quantile, samples, single};
use crate::ctl::survey::Seen;

/// Looks that are kept for the curves: as many as the widest terminal has columns.
const KEPT: usize = 400;
/// Prefixes that are counted at most: others are left out.
const PREFIXES: usize = 10_000;
/// Writes that change something.
const WRITES: [&str; 3] = ["Put", "Txn", "DeleteRange"];

/// All members at one time: what they say, and their metrics.
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) members: Vec<(Seen, Page)>,
}

/// A member between two looks; `None` for what it does not show.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    /// Empty if it does not answer.
    pub(super) role: &'static str,
    /// Requests of clients in a second.
    pub(super) writes: Option<f64>,
    pub(super) reads: Option<f64>,
    /// Seconds that 99 of 100 of them took at most.
    pub(super) write_time: Option<f64>,
    pub(super) read_time: Option<f64>,
    /// And flushes of the log.
    pub(super) flush_time: Option<f64>,
    /// Entries that the leader has and it has not applied.
    pub(super) behind: u64,
    pub(super) watchers: Option<u64>,
    /// Bytes of memory.
    pub(super) memory: Option<u64>,
    /// Bytes in use.
    pub(super) size: u64,
}

/// The screen's content.
pub(super) struct View {
    pub(super) interval: Duration,
    pub(super) rows: Vec<Row>,
    pub(super) cluster: u64,
    pub(super) version: String,
    pub(super) term: u64,
    pub(super) revision: i64,
    pub(super) keys: Option<u64>,
    pub(super) leases: Option<u64>,
    /// Requests a second over all members, the newest last.
    pub(super) writes: VecDeque<u64>,
    pub(super) reads: VecDeque<u64>,
    /// Why there is nothing new.
    pub(super) trouble: Option<String>,
    /// The prefixes with most changes in a second, if they are counted.
    pub(super) hot: Option<Vec<(String, f64)>>,
    counted: BTreeMap<Vec<u8>, u64>,
    last: Option<Look>,
}

impl View {
    pub(super) fn new(interval: Duration, hot: bool) -> Self {
        Self {
            interval,
            rows: Vec::new(),
            cluster: 0,
            version: String::new(),
            term: 0,
            revision: 0,
            keys: None,
            leases: None,
            writes: VecDeque::new(),
            reads: VecDeque::new(),
            trouble: None,
            hot: hot.then(Vec::new),
            counted: BTreeMap::new(),
            last: None,
        }
    }

    /// The newest look.
    pub(super) fn add(&mut self, look: Look) {
        let statuses = look.members.iter().filter_map(|(seen, _)| seen.status.as_ref().ok());
        let newest = statuses.max_by_key(|status| (status.raft_term, status.raft_index));
        let last = newest.map_or(0, |status| status.raft_index);
        if let Some(status) = newest {
            let header = status.header.unwrap_or_default();
            (self.cluster, self.revision, self.term) = (header.cluster_id, header.revision, status.raft_term);
            self.version.clone_from(&status.version);
        }
        let pages = || look.members.iter().map(|(_, page)| page.text.as_str());
        let whole = |value: f64| value as u64;
        self.keys = pages().find_map(|page| single(page, "etcd_debugging_mvcc_keys_total")).map(whole);
        let rows_of_leases = |page| {
            let mut tables = samples(page, "kvd_store_table_rows");
            tables.find(|(labels, _)| label(labels, "table") == Some("leases")).map(|(_, rows)| rows)
        };
        self.leases = pages().find_map(rows_of_leases).map(whole);
        let before = self.last.take();
        let passed = before.as_ref().map(|before| (look.at - before.at).as_secs_f64());
        let of = |id| {
            let mut members = before.iter().flat_map(|before| &before.members);
            members.find(|(seen, _)| seen.member.id == id).map_or("", |(_, page)| page.text.as_str())
        };
        self.rows = look
            .members
            .iter()
            .map(|(seen, page)| row(seen, of(seen.member.id), &page.text, passed, last))
            .collect();
        if let Some(passed) = passed.filter(|passed| *passed > 0.0) {
            let sum =
                |of: fn(&Row) -> Option<f64>| self.rows.iter().filter_map(of).sum::<f64>().round() as u64;
            let (writes, reads) = (sum(|row| row.writes), sum(|row| row.reads));
            push(&mut self.writes, writes);
            push(&mut self.reads, reads);
            self.rank(passed);
        }
        self.trouble = None;
        self.last = Some(look);
    }

    /// Says why there is nothing new.
    pub(super) fn trouble(&mut self, why: &str) {
        self.trouble = why.lines().next().map(|line| line.trim_start_matches("Error: ").to_string());
    }

    /// Counts changes by their prefixes.
    pub(super) fn count(&mut self, events: &[Event]) {
        for kv in events.iter().filter_map(|event| event.kv.as_ref()) {
            let prefix = prefix(&kv.key);
            if let Some(count) = self.counted.get_mut(prefix) {
                *count += 1;
            } else if self.counted.len() < PREFIXES {
                self.counted.insert(prefix.to_vec(), 1);
            }
        }
    }

    fn rank(&mut self, passed: f64) {
        let Some(hot) = &mut self.hot else { return };
        let mut all: Vec<(Vec<u8>, u64)> = std::mem::take(&mut self.counted).into_iter().collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        *hot = all
            .into_iter()
            .take(20)
            .map(|(prefix, count)| (prefix.escape_ascii().to_string(), count as f64 / passed))
            .collect();
    }
}

fn push(curve: &mut VecDeque<u64>, value: u64) {
    if curve.len() == KEPT {
        curve.pop_front();
    }
    curve.push_back(value);
}

/// A key up to its second slash that is not the first character: `/registry/pods/`; the whole key if it has none.
fn prefix(key: &[u8]) -> &[u8] {
    let slashes = key.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
    let end = slashes.take(2).last().map_or(key.len(), |(at, _)| at + 1);
    &key[..end]
}

fn row(seen: &Seen, before: &str, page: &str, passed: Option<f64>, last: u64) -> Row {
    let mut row = Row { name: seen.name(), ..Row::default() };
    let Ok(status) = &seen.status else { return row };
    row.role = match () {
        () if seen.leads() => "leader",
        () if status.is_learner => "learner",
        () => "follower",
    };
    row.behind = last.saturating_sub(status.raft_applied_index);
    row.size = u64::try_from(status.db_size_in_use).unwrap_or(0);
    let whole = |value: f64| value as u64;
    row.memory = single(page, "process_resident_memory_bytes").map(whole);
    row.watchers = single(page, "etcd_debugging_mvcc_watcher_total").map(whole);
    let Some(passed) = passed.filter(|passed| *passed > 0.0 && !before.is_empty()) else { return row };
    let requests = |page: &str, is_wanted: &dyn Fn(&str) -> bool| {
        let started = samples(page, "grpc_server_started_total");
        let of_kv = started.filter(|(labels, _)| labels.contains("etcdserverpb.KV"));
        of_kv
            .filter(|(labels, _)| label(labels, "grpc_method").is_some_and(is_wanted))
            .map(|(_, n)| n)
            .sum::<f64>()
    };
    let is_write = |method: &str| WRITES.contains(&method);
    let is_read = |method: &str| method.starts_with("Range");
    // A member that was started anew counts from zero.
    let rate = |is_wanted: &dyn Fn(&str) -> bool| {
        Some((requests(page, is_wanted) - requests(before, is_wanted)).max(0.0) / passed)
    };
    (row.writes, row.reads) = (rate(&is_write), rate(&is_read));
    let time = |name: &str, is_wanted: &dyn Fn(&str) -> bool| {
        let (old, new) = (buckets(before, name, is_wanted), buckets(page, name, is_wanted));
        let old = |bound: f64| old.iter().find(|(known, _)| *known == bound).map_or(0.0, |(_, count)| *count);
        let between: Vec<(f64, f64)> =
            new.iter().map(|(bound, count)| (*bound, count - old(*bound))).collect();
        quantile(&between, 0.99, 1.0)
    };
    let of_type = |is_wanted: &dyn Fn(&str) -> bool| {
        time("etcd_server_request_duration_seconds", &|labels| {
            label(labels, "type").or_else(|| label(labels, "Type")).is_some_and(is_wanted)
        })
    };
    (row.write_time, row.read_time) = (of_type(&is_write), of_type(&is_read));
    row.flush_time = time("etcd_disk_wal_fsync_duration_seconds", &|_| true);
    row
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::api::proto::etcdserverpb::{Member, ResponseHeader, StatusResponse};
    use crate::api::proto::mvccpb::KeyValue;

    fn page(puts: u64, slow: u64) -> Page {
        let started = "grpc_server_started_total{grpc_method=";
        let kv = "grpc_service=\"etcdserverpb.KV\"";
        let bucket = "etcd_server_request_duration_seconds_bucket{success=\"true\",type=\"Put\",le=";
        let text = format!(
            "{started}\"Put\",{kv}}} {puts}\n{started}\"Range\",{kv}}} {}\n{started}\"LeaseGrant\",{kv}}} 7\n\
             {bucket}\"0.001\"}} {}\n{bucket}\"0.1\"}} {puts}\n{bucket}\"+Inf\"}} {puts}\n\
             etcd_debugging_mvcc_watcher_total 12\nprocess_resident_memory_bytes 5.0e+07\n\
             kvd_store_table_rows{{table=\"leases\"}} 3\netcd_debugging_mvcc_keys_total 1234\n",
            puts * 3,
            puts - slow,
        );
        Page { text, clock: None }
    }

    /// A cluster whose second member is away, after `seconds` with so many puts on the first.
    pub(in crate::ctl::top) fn look(begun: Instant, seconds: u64, puts: u64, slow: u64) -> Look {
        let seen = |id: u64, status: Result<StatusResponse, String>| Seen {
            member: Member { id, name: format!("m{id}"), ..Member::default() },
            status,
        };
        let header = ResponseHeader { cluster_id: 0xabc, revision: 77, ..ResponseHeader::default() };
        let status = StatusResponse {
            header: Some(header),
            version: "3.7.3".into(),
            leader: 1,
            raft_term: 4,
            raft_index: 1000,
            raft_applied_index: 990,
            db_size_in_use: 2_100_000,
            ..StatusResponse::default()
        };
        let members =
            vec![(seen(1, Ok(status)), page(puts, slow)), (seen(2, Err("refused".into())), Page::default())];
        Look { at: begun + Duration::from_secs(seconds), members }
    }

    #[test]
    fn rates_and_times_are_those_between_two_looks() {
        let (mut view, begun) = (View::new(Duration::from_secs(2), false), Instant::now());
        view.add(look(begun, 0, 1000, 500));
        assert_eq!((view.rows[0].writes, view.rows[0].write_time), (None, None), "nothing to compare with");
        assert_eq!((view.keys, view.leases, view.term, view.revision), (Some(1234), Some(3), 4, 77));
        view.add(look(begun, 2, 1200, 500));
        let first = &view.rows[0];
        assert_eq!((first.writes, first.reads), (Some(100.0), Some(300.0)));
        assert_eq!(first.write_time, Some(0.001), "the slow ones were before");
        assert_eq!((first.role, first.behind, first.watchers), ("leader", 10, Some(12)));
        assert_eq!((view.rows[1].role, view.rows[1].writes), ("", None));
        view.add(look(begun, 4, 1300, 600));
        assert_eq!(view.rows[0].write_time, Some(0.1));
        view.add(look(begun, 6, 10, 0));
        assert_eq!(view.rows[0].writes, Some(0.0), "a member that was started anew");
        assert_eq!(view.writes, [100, 50, 0]);
    }

    #[test]
    fn changes_are_counted_by_prefix() {
        let (mut view, begun) = (View::new(Duration::from_secs(2), true), Instant::now());
        view.add(look(begun, 0, 1, 0));
        let event = |key: &str| Event {
            kv: Some(KeyValue { key: key.to_owned().into(), ..KeyValue::default() }),
            ..Event::default()
        };
        let keys = ["/registry/pods/a/x", "/registry/pods/b", "/registry/nodes/c", "flat", "a/b"];
        view.count(&keys.map(event));
        view.add(look(begun, 2, 1, 0));
        let hot = view.hot.clone().expect("counted");
        assert_eq!(hot[0], ("/registry/pods/".to_string(), 1.0));
        assert_eq!(hot.len(), 4, "{hot:?}");
        assert!(hot.contains(&("a/".to_string(), 0.5)) && hot.contains(&("flat".to_string(), 0.5)));
        view.trouble("Error: connection refused\nhint: x\n");
        assert_eq!(view.trouble.as_deref(), Some("connection refused"));
    }
}
