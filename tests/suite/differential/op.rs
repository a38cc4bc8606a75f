//! One step of a random run: a request with symbolic revisions and leases, so that it means the same on any server, and
//! still has a meaning after other steps were removed from the run.

use kvd::api::proto::etcdserverpb::compare::TargetUnion;
use kvd::api::proto::etcdserverpb::request_op::Request;
use kvd::api::proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest,
    LeaseRevokeRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest, TxnRequest, WatchCreateRequest,
};

/// A revision relative to the store's: `CURRENT + 1` is the next one.
pub const CURRENT: i64 = 1 << 40;
/// A revision relative to the last compaction.
pub const COMPACTED: i64 = 2 << 40;
/// `CHOSEN + n` stands for the id that the server chose at the n-th grant without one.
pub const CHOSEN: i64 = 3 << 40;
/// `EARLIER + n` stands for the revision of the n-th last compaction; 0 is the last one.
pub const EARLIER: i64 = 5 << 40;
/// In alarm requests: the id of the member that receives them.
pub const MYSELF: u64 = 4 << 40;
/// Distance up to which a symbolic number belongs to its base, on both sides.
const REACH: i64 = 1 << 32;

/// One step of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Range(RangeRequest),
    RangeStream(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(CompactionRequest),
    /// If the ID is 0, the id in the answer becomes the next `CHOSEN` one.
    Grant(LeaseGrantRequest),
    Revoke(LeaseRevokeRequest),
    TimeToLive(LeaseTimeToLiveRequest),
    /// Renewals of these leases on one stream.
    KeepAlive(Vec<i64>),
    Leases,
    Watch {
        stream: usize,
        request: WatchCreateRequest,
    },
    Cancel {
        stream: usize,
        watch_id: i64,
    },
    Alarm(AlarmRequest),
    HashKv(HashKvRequest),
    Status,
    Members {
        linearizable: bool,
    },
    Defragment,
    /// Waits until the watchers have seen everything they must see, and compares it.
    Settle,
    /// `kill -9` and a restart on the same data.
    Restart,
}

impl Op {
    /// Calls `visit` with every revision and with every lease id in the request, to resolve them.
    pub fn numbers(&mut self, visit: &mut dyn FnMut(&mut i64)) {
        match self {
            Op::Range(request) | Op::RangeStream(request) => range(request, visit),
            Op::Put(request) => visit(&mut request.lease),
            Op::Txn(request) => txn(request, visit),
            Op::Compact(request) => visit(&mut request.revision),
            Op::Grant(request) => visit(&mut request.id),
            Op::Revoke(request) => visit(&mut request.id),
            Op::TimeToLive(request) => visit(&mut request.id),
            Op::KeepAlive(ids) => ids.iter_mut().for_each(visit),
            Op::Watch { request, .. } => visit(&mut request.start_revision),
            Op::HashKv(request) => visit(&mut request.revision),
            Op::Delete(_)
            | Op::Leases
            | Op::Cancel { .. }
            | Op::Alarm(_)
            | Op::Status
            | Op::Members { .. }
            | Op::Defragment
            | Op::Settle
            | Op::Restart => {}
        }
    }

    /// True if the watchers must have seen all past events before this step, because the step changes what they can
    /// still see.
    pub fn needs_settled_watchers(&self) -> bool {
        matches!(self, Op::Compact(_) | Op::Cancel { .. } | Op::Watch { .. } | Op::Restart | Op::Settle)
    }
}

fn range(request: &mut RangeRequest, visit: &mut dyn FnMut(&mut i64)) {
    visit(&mut request.revision);
    visit(&mut request.min_mod_revision);
    visit(&mut request.max_mod_revision);
    visit(&mut request.min_create_revision);
    visit(&mut request.max_create_revision);
}

fn txn(request: &mut TxnRequest, visit: &mut dyn FnMut(&mut i64)) {
    for compare in &mut request.compare {
        match &mut compare.target_union {
            Some(
                TargetUnion::Version(number)
                | TargetUnion::CreateRevision(number)
                | TargetUnion::ModRevision(number)
                | TargetUnion::Lease(number),
            ) => visit(number),
            Some(TargetUnion::Value(_)) | None => {}
        }
    }
    for op in request.success.iter_mut().chain(&mut request.failure) {
        match &mut op.request {
            Some(Request::RequestRange(request)) => range(request, visit),
            Some(Request::RequestPut(request)) => visit(&mut request.lease),
            Some(Request::RequestTxn(request)) => txn(request, visit),
            Some(Request::RequestDeleteRange(_)) | None => {}
        }
    }
}

/// The meaning of a symbolic number: its base and the distance from it. `None` for an ordinary number.
pub fn symbolic(number: i64) -> Option<(i64, i64)> {
    [CURRENT, COMPACTED, CHOSEN, EARLIER]
        .into_iter()
        .map(|base| (base, number - base))
        .find(|(_, distance)| distance.abs() < REACH)
}

/// A step or an answer as one readable line: no empty fields, long byte strings cut, symbols by name.
pub fn short(text: &str) -> String {
    let mut out = text.to_owned();
    for empty in [": 0", ": false", ": b\"\"", ": None", ": []", ": \"\"", ": Key"] {
        out = without_fields(&out, empty);
    }
    named(&cut(&out))
}

/// Removes every `name<empty>` field, with its comma.
fn without_fields(text: &str, empty: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(empty) {
        let after = &rest[at + empty.len()..];
        let before = &rest[..at];
        let name = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |index| index + 1);
        let ends = after.starts_with([',', ' ', '}']);
        if !ends || name == at {
            out.push_str(&rest[..at + empty.len()]);
            rest = after;
            continue;
        }
        out.push_str(&before[..name]);
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    out.push_str(rest);
    out.replace(",  }", " }").replace("{  }", "{}")
}

/// Cuts byte strings that are longer than a line.
fn cut(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split("b\"").enumerate() {
        if index > 0 {
            out.push_str("b\"");
        }
        match part.find('"') {
            Some(end) if index > 0 && end > 80 => {
                let short: String = part.chars().take(24).collect();
                out.push_str(&format!("{short}…{end} bytes{}", &part[end..]));
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// Replaces symbolic numbers by their names.
fn named(text: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(std::iter::once('\n')) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        match digits.parse().ok().filter(|_| digits.len() >= 12).and_then(symbolic) {
            Some((CURRENT, distance)) => out.push_str(&format!("current{distance:+}")),
            Some((COMPACTED, distance)) => out.push_str(&format!("compacted{distance:+}")),
            Some((EARLIER, distance)) => out.push_str(&format!("compaction#{distance}")),
            Some((_, distance)) => out.push_str(&format!("chosen#{distance}")),
            None => out.push_str(&digits),
        }
        digits.clear();
        out.push(c);
    }
    out.pop();
    out
}

#[test]
fn shortened_lines_keep_what_is_said() {
    let request = PutRequest { key: "a".into(), lease: CHOSEN + 2, ..Default::default() };
    assert_eq!(short(&format!("{request:?}")), "PutRequest { key: b\"a\", lease: chosen#2 }");
    let request = RangeRequest { key: "a".into(), revision: CURRENT - 1, ..Default::default() };
    assert_eq!(short(&format!("{request:?}")), "RangeRequest { key: b\"a\", revision: current-1 }");
}
