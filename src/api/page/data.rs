//! The figures of the page, as one document.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::around::Neighbour;
use super::lag::{self, Lag};
use crate::api::services::Services;
use crate::model::{AlarmKind, Member, MemberId};

/// How long the leader may take to say how far the others are behind.
const PATIENCE: Duration = Duration::from_millis(500);

/// A share of the quota from which on the page asks to do something.
const NEARLY_FULL: f64 = 0.8;

/// Days before the end of a certificate from which on the page asks to do something.
const SOON: i64 = 30;

/// The document; `memory` is what this process takes, in bytes.
pub async fn figures(services: &Services, memory: u64) -> Value {
    let lag = tokio::time::timeout(PATIENCE, lag::ask(&services.node)).await.ok().and_then(Result::ok);
    let (node, store) = (&services.node, &services.store);
    let (status, sizes) = (node.status(), store.sizes());
    let (reachable, voters) = node.reachable();
    let around = services.around.get();
    let neighbours = around.map(|around| around.neighbours()).unwrap_or_default();
    let certificates = around.map(|around| around.certificates()).unwrap_or_default();
    let watch = services.reads.watch_stats();
    let members = store.members();
    let own = members.iter().find(|member| member.id == status.id);
    let tables = store.table_figures().unwrap_or_default();
    let leases = tables.iter().find(|table| table.name == "leases").map_or(0, |table| table.rows);
    let facts = Facts { services, members: &members, neighbours: &neighbours, certificates: &certificates };
    json!({
        "name": own.map_or_else(|| status.id.to_string(), |own| own.name.clone()),
        "version": env!("CARGO_PKG_VERSION"),
        "cluster": status.cluster.to_string(),
        "role": if status.is_leader { "leader" } else if status.is_learner { "learner" } else { "follower" },
        "leader": status.leader.map(|leader| leader.to_string()),
        "serving": status.leader.is_some() && !node.is_disk_full() && store.alarms().is_empty(),
        "reachable": reachable,
        "voters": voters,
        "term": status.term,
        "committed": status.committed,
        "applied": status.applied,
        "revision": store.revision(),
        "compacted": store.compacted_revision(),
        "leases": leases,
        "keys": store.live_keys().unwrap_or_default(),
        "watchers": watch.watchers,
        "watchers_behind": watch.behind,
        "watch_streams": watch.sessions,
        "uptime": services.begun.elapsed().as_secs(),
        "in_use": sizes.in_use,
        "allocated": sizes.allocated,
        "quota": sizes.quota,
        "memory": memory,
        "knows_lag": lag.is_some(),
        "notices": facts.notices(),
        "members": facts.members(lag.as_ref()),
        "certificates": certificates.iter().map(|(file, days)| json!({ "file": file, "days": days })).collect::<Vec<_>>(),
        "history": services.history.samples(Instant::now()),
    })
}

struct Facts<'f> {
    services: &'f Services,
    members: &'f [Member],
    neighbours: &'f [Neighbour],
    certificates: &'f [(String, i64)],
}

impl Facts<'_> {
    fn members(&self, lag: Option<&Lag>) -> Vec<Value> {
        let status = self.services.node.status();
        let known: BTreeMap<MemberId, &Neighbour> =
            self.neighbours.iter().map(|neighbour| (neighbour.member, neighbour)).collect();
        let shown = self.members.iter().map(|member| {
            let is_own = member.id == status.id;
            let neighbour = known.get(&member.id);
            let connected = neighbour.is_some_and(|neighbour| neighbour.connected);
            // Followers need no connection with each other.
            let (state, well) = match (is_own, connected, member.is_started()) {
                (true, ..) => ("this member", true),
                (false, true, _) => ("connected", true),
                (false, false, false) => ("not started", false),
                (false, false, true) => ("not connected", !status.is_leader),
            };
            let role = match (Some(member.id) == status.leader, member.learner, member.pending) {
                (true, ..) => "leader",
                (false, true, _) => "learner",
                (false, false, true) => "catching up",
                (false, false, false) => "voter",
            };
            let version = if is_own { Some(env!("CARGO_PKG_VERSION").to_string()) } else { None };
            json!({
                "id": member.id.to_string(),
                "name": member.name,
                "role": role,
                "state": state,
                "well": well,
                "problem": neighbour.and_then(|neighbour| neighbour.problem.clone()),
                "behind": lag.and_then(|lag| lag.get(&member.id)),
                "round_trip": neighbour.and_then(|neighbour| neighbour.round_trip).map(|trip| trip.as_secs_f64()),
                "version": version.or_else(|| neighbour.and_then(|neighbour| neighbour.version.clone())),
                "address": neighbour.and_then(|neighbour| neighbour.address.clone()),
                "peer_urls": member.peer_urls,
                "client_urls": member.client_urls,
            })
        });
        shown.collect()
    }

    /// Notices about entries that do not get where they should.
    fn replication(&self, note: &mut dyn FnMut(bool, String, &str)) {
        let node = &self.services.node;
        if let Some(time) = node.log_stalled_for() {
            note(
                true,
                format!("The disk of this member's log has stood still for {} s.", time.as_secs()),
                "If others can lead, they do. See the system's log about the disk of data-dir or wal-dir.",
            );
        }
        for (id, takes) in node.slow_members() {
            note(
                false,
                format!("Member {id} takes {:.1} s to acknowledge entries.", takes.as_secs_f64()),
                "Look at the disk of its log, and at the network between the two.",
            );
        }
        for (id, why) in node.replication_faults() {
            note(
                true,
                format!("Entries do not reach member {id}: {why}."),
                "This does not pass by itself: see the log of that member.",
            );
        }
    }

    /// What needs attention, with what to do about it.
    fn notices(&self) -> Vec<Value> {
        let (node, store) = (&self.services.node, &self.services.store);
        let mut notices = Vec::new();
        let mut note = |critical: bool, what: String, todo: &str| {
            notices.push(json!({ "critical": critical, "what": what, "todo": todo }));
        };
        if node.leader().is_none() {
            let (there, voters) = node.reachable();
            let todo = "Writes and linearizable reads wait. Start the members that are missing, and check that they reach \
                        each other at 2380/udp.";
            note(true, format!("There is no leader: {there} of {voters} voters are reached."), todo);
        }
        for alarm in store.alarms() {
            let name = self.members.iter().find(|member| member.id == alarm.member);
            let name = name.map_or_else(|| alarm.member.to_string(), |member| member.name.clone());
            match alarm.kind {
                AlarmKind::NoSpace => {
                    let todo = "Writes that need space are refused. Compact (kvctl compaction REVISION), delete keys or \
                                raise quota-backend-bytes on every member; then: kvctl alarm disarm.";
                    note(true, format!("Alarm NOSPACE of {name}: its store has reached the quota."), todo);
                }
                AlarmKind::Corrupt => {
                    let todo = "Nothing is written. kvctl rebuild, on the machine of the member, replaces its state by the \
                                leader's and disarms the alarm.";
                    note(true, format!("Alarm CORRUPT of {name}: its data differ from the others'."), todo);
                }
            }
        }
        let around = self.services.around.get();
        if around.is_some_and(|around| around.differs()) {
            let todo = "kvctl rebuild, on this machine, replaces it by the leader's; if all others report the same, the \
                        leader is the wrong one.";
            note(true, "The state of this member is not the others'.".into(), todo);
        }
        if let Some(why) = around.and_then(|around| around.failed_backup()) {
            let todo = "kvctl backup now tries again, and says what is wrong.";
            note(false, format!("The last backup of this member failed: {why}."), todo);
        }
        if node.is_disk_full() {
            note(
                true,
                "The disk of this member is full.".into(),
                "Writes wait. Free space on the disk of data-dir or wal-dir.",
            );
        }
        self.replication(&mut note);
        let sizes = store.sizes();
        let share = sizes.quota.map(|quota| sizes.in_use as f64 / quota.max(1) as f64);
        if share.is_some_and(|share| share >= NEARLY_FULL) {
            let todo = "At 100 % writes are refused. Compact, delete keys or raise quota-backend-bytes on every member.";
            note(false, format!("The store is {:.0} % full.", share.unwrap_or_default() * 100.0), todo);
        }
        for (file, days) in self.certificates.iter().filter(|(_, days)| *days < SOON) {
            let todo = "Replace the file; kvd reads it again by itself, or at once with kvctl reload.";
            let what = match days {
                days if *days < 0 => format!("The certificate {file} has expired."),
                days => format!("The certificate {file} expires in {days} days."),
            };
            note(*days < 0, what, todo);
        }
        notices
    }
}
