//! The answers of a story.

use crate::auth::{State, Users};
use crate::model::{
    Event, EventKind, KeyValue, Lease, Member, MemberId, OpReply, Permission, RangeEnd, RangeResult, Refusal,
    Reply, RevisionEvents,
};
use bytes::Bytes;

fn text(bytes: &[u8]) -> String {
    let uniform = bytes.len() > 20 && bytes.iter().all(|byte| *byte == bytes[0]);
    match bytes {
        [] => "\"\"".into(),
        [first, ..] if uniform => format!("{}^{}", first.escape_ascii(), bytes.len()),
        _ => bytes.escape_ascii().to_string(),
    }
}

fn kv(kv: &KeyValue) -> String {
    let lease = if kv.lease == 0 { String::new() } else { format!(" lease {}", kv.lease) };
    format!(
        "{} = {} (created {}, modified {}, version {}{lease})",
        text(&kv.key),
        text(&kv.value),
        kv.create_revision,
        kv.mod_revision,
        kv.version
    )
}

pub fn or_refused(answer: Result<String, Refusal>) -> String {
    answer.unwrap_or_else(|refusal| refused(&refusal))
}

fn refused(refusal: &Refusal) -> String {
    format!("refused: {refusal}\n")
}

pub fn range(found: &RangeResult) -> String {
    lines_of_range(found, 0)
}

fn lines_of_range(found: &RangeResult, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let mut out = String::new();
    for found in &found.kvs {
        out += &format!("{indent}{}\n", kv(found));
    }
    let more = if found.more { ", more" } else { "" };
    out + &format!("{indent}{} of {}{more}; revision {}\n", found.kvs.len(), found.count, found.revision)
}

pub fn op(reply: &OpReply, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match reply {
        OpReply::Range(found) => lines_of_range(found, depth),
        OpReply::Put { revision, prev_kv } => {
            let prev = prev_kv.as_ref().map_or_else(String::new, |prev| format!(", before: {}", kv(prev)));
            format!("{indent}put; revision {revision}{prev}\n")
        }
        OpReply::Delete { revision, deleted, prev_kvs } => {
            let mut out = format!("{indent}deleted {deleted}; revision {revision}\n");
            for prev in prev_kvs {
                out += &format!("{indent}before: {}\n", kv(prev));
            }
            out
        }
        OpReply::Txn { revision, succeeded, replies } => {
            let branch = if *succeeded { "then" } else { "else" };
            let mut out = format!("{indent}{branch}; revision {revision}\n");
            for reply in replies {
                out += &op(reply, depth + 1);
            }
            out
        }
    }
}

pub fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Op(reply) => op(reply, 0),
        Reply::Done { revision } => format!("done; revision {revision}\n"),
        Reply::Lease { revision, id, ttl } => format!("lease {id} for {ttl} s; revision {revision}\n"),
        Reply::Alarms { alarms, .. } => format!("{alarms:?}\n"),
        Reply::Members { members: all, .. } => members(all, &[]),
        Reply::Refused(refusal) => refused(refusal),
        Reply::Tree(reply) => format!("{reply:?}\n"),
    }
}

pub fn events(revisions: &[RevisionEvents], next: i64) -> String {
    let mut out = String::new();
    for revision in revisions {
        for Event { kind, kv: after, prev_kv } in &revision.events {
            let what = match kind {
                EventKind::Put => kv(after),
                EventKind::Delete => format!("{} deleted", text(&after.key)),
            };
            let prev = prev_kv.as_ref().map_or_else(String::new, |prev| format!(", before: {}", kv(prev)));
            out += &format!("{}: {what}{prev}\n", revision.revision);
        }
    }
    out + &format!("go on from {next}\n")
}

pub fn leases(leases: &[Lease]) -> String {
    let line =
        |lease: &Lease| format!("{} for {} s, {:?} ms left\n", lease.id, lease.ttl, lease.remaining_ms);
    leases.iter().map(line).collect()
}

pub fn keys(keys: &[Bytes]) -> String {
    keys.iter().map(|key| format!("{}\n", text(key))).collect()
}

pub fn users(users: &Users) -> String {
    let State { enabled, revision, disabled_at, token_keys } = users.state();
    let keys: Vec<u64> = token_keys.iter().map(|key| key.id).collect();
    let state = if *enabled { "on" } else { "off" };
    let mut out = format!("{state} at {revision}, disabled at {disabled_at}, token keys {keys:?}\n");
    for (name, user) in users.users() {
        let hash = user.hash.as_ref().map(|hash| text(hash.as_bytes()));
        let roles: Vec<&String> = user.roles.iter().collect();
        out += &format!("user {name} since {}: {roles:?} {hash:?}\n", user.since);
    }
    for (name, role) in users.roles() {
        out += &format!("role {name}:");
        for Permission { kind, range } in &role.permissions {
            let end = match &range.end {
                RangeEnd::Single => String::new(),
                RangeEnd::Before(end) => format!("..{}", text(end)),
                RangeEnd::Open => "..".into(),
            };
            out += &format!(" {kind:?} {}{end}", text(&range.start));
        }
        out += "\n";
    }
    out
}

pub fn members(members: &[Member], removed: &[MemberId]) -> String {
    let mut out = String::new();
    for member in members {
        let state = match (member.learner, member.pending) {
            (true, _) => "learner",
            (_, true) => "pending",
            _ => "voter",
        };
        out += &format!(
            "{} {state} {:?} {:?} {:?}\n",
            member.id, member.name, member.peer_urls, member.client_urls
        );
    }
    for id in removed {
        out += &format!("{id} removed\n");
    }
    out
}
