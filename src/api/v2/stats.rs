//! `/v2/stats`.

use http::{Response, StatusCode};
use parking_lot::Mutex;

use super::answer::{json, says};
use super::json::{quoted, time};
use super::routes::Stats;
use crate::api::body::ReplyBody;
use crate::api::services::Services;
use crate::model::MemberId;

/// Since when this member runs, and the last leader that was seen, with the time.
pub struct Beginnings {
    started_ms: i64,
    led: Mutex<(u64, Option<MemberId>, i64)>,
}

impl Beginnings {
    /// A member that begins now.
    pub fn new(now_ms: i64) -> Self {
        Self { started_ms: now_ms, led: Mutex::new((0, None, now_ms)) }
    }

    /// When the leader of a term was first seen here.
    fn led_since(&self, term: u64, leader: Option<MemberId>, now_ms: i64) -> i64 {
        let mut led = self.led.lock();
        if (led.0, led.1) != (term, leader) {
            // The first one was there from the start on, for all that was seen.
            let since = if led.1.is_none() && led.0 == 0 { self.started_ms } else { now_ms };
            *led = (term, leader, since);
        }
        led.2
    }
}

/// A page of figures.
pub fn page(services: &Services, which: Stats, beginnings: &Beginnings) -> Response<ReplyBody> {
    match which {
        Stats::Leader => leader(services),
        Stats::Own => own(services, beginnings),
        Stats::Store => json(StatusCode::OK, store(services)),
    }
}

fn leader(services: &Services) -> Response<ReplyBody> {
    let status = services.node.status();
    if !status.is_leader {
        return says(StatusCode::FORBIDDEN, "not current leader");
    }
    let others = services.store.members().into_iter().filter(|member| member.id != status.id);
    let followers: Vec<String> = others
        .map(|member| {
            let acknowledged = services.node.acknowledged(member.id).and_then(|progress| progress.last);
            let success = acknowledged.map_or(0, |position| position.index);
            // kvd measures round trips for its metrics alone.
            format!(
                "\"{}\":{{\"latency\":{{\"current\":0,\"average\":0,\"standardDeviation\":0,\"minimum\":0,\"maximum\":0}},\
                 \"counts\":{{\"fail\":0,\"success\":{success}}}}}",
                member.id
            )
        })
        .collect();
    let text = format!("{{\"leader\":\"{}\",\"followers\":{{{}}}}}", status.id, followers.join(","));
    json(StatusCode::OK, text)
}

fn own(services: &Services, beginnings: &Beginnings) -> Response<ReplyBody> {
    let (status, now_ms) = (services.node.status(), services.node.now_ms());
    let members = services.store.members();
    let name = members.iter().find(|member| member.id == status.id).map_or("", |member| member.name.as_str());
    let state = if status.is_leader { "StateLeader" } else { "StateFollower" };
    let since = beginnings.led_since(status.term, status.leader, now_ms);
    let leader = status.leader.map(|leader| leader.to_string()).unwrap_or_default();
    let text = format!(
        "{{\"name\":{},\"id\":\"{}\",\"state\":\"{state}\",\"startTime\":\"{}\",\"leaderInfo\":{{\"leader\":\"{leader}\",\
         \"uptime\":\"{}\",\"startTime\":\"{}\"}},\"recvAppendRequestCnt\":0,\"sendAppendRequestCnt\":0}}",
        quoted(name),
        status.id,
        time(beginnings.started_ms),
        duration(now_ms - since),
        time(since),
    );
    json(StatusCode::OK, text)
}

/// A duration as Go writes it.
fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    let (hours, minutes, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let fraction = format!("{:03}", rest % 1000);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    let seconds = format!("{}{dot}{fraction}s", rest / 1000);
    match (hours, minutes) {
        (0, 0) if rest < 1000 && rest > 0 => format!("{rest}ms"),
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

fn store(services: &Services) -> String {
    let (kinds, expired) = services.store.figures().tree.counts();
    let kinds: Vec<String> = kinds
        .into_iter()
        .map(|(kind, done, refused)| format!("\"{kind}Success\":{done},\"{kind}Fail\":{refused}"))
        .collect();
    let waiters = services.reads.tree_waiters();
    format!("{{{},\"expireCount\":{expired},\"watchers\":{waiters}}}", kinds.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (ms, text) in
            [(0, "0s"), (12, "12ms"), (2882, "2.882s"), (61_000, "1m1s"), (3_600_500, "1h0m0.5s")]
        {
            assert_eq!(duration(ms), text);
        }
    }
}
