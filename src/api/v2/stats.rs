//! `/v2/stats`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Response, StatusCode};

use super::answer::{json, says};
use super::json::{quoted, time};
use super::routes::Stats;
use crate::api::body::ReplyBody;
use crate::api::services::Services;
use crate::raft::Exchange;

/// A page of figures of a member that runs since `started_ms`.
pub fn page(services: &Services, which: Stats, started_ms: i64) -> Response<ReplyBody> {
    match which {
        Stats::Leader => leader(services),
        Stats::Own => own(services, started_ms),
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
            let exchange = services.node.exchange(member.id);
            let Exchange { done, failed, last, shortest, longest, .. } = exchange;
            let ms = |time: Duration| time.as_secs_f64() * 1000.0;
            format!(
                "\"{}\":{{\"latency\":{{\"current\":{},\"average\":{},\"standardDeviation\":{},\"minimum\":{},\"maximum\":{}}},\
                 \"counts\":{{\"fail\":{failed},\"success\":{done}}}}}",
                member.id,
                ms(last),
                exchange.mean() * 1000.0,
                exchange.deviation() * 1000.0,
                ms(shortest),
                ms(longest),
            )
        })
        .collect();
    let text = format!("{{\"leader\":\"{}\",\"followers\":{{{}}}}}", status.id, followers.join(","));
    json(StatusCode::OK, text)
}

fn own(services: &Services, started_ms: i64) -> Response<ReplyBody> {
    let (status, now_ms) = (services.node.status(), services.node.now_ms());
    let members = services.store.members();
    let name = members.iter().find(|member| member.id == status.id).map_or("", |member| member.name.as_str());
    let state = if status.is_leader { "StateLeader" } else { "StateFollower" };
    let led_for = services.node.leader_for().unwrap_or_default().as_millis();
    let led_for = i64::try_from(led_for).unwrap_or_default();
    let leader = status.leader.map(|leader| leader.to_string()).unwrap_or_default();
    let figures = services.node.figures();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let text = format!(
        "{{\"name\":{},\"id\":\"{}\",\"state\":\"{state}\",\"startTime\":\"{}\",\"leaderInfo\":{{\"leader\":\"{leader}\",\
         \"uptime\":\"{}\",\"startTime\":\"{}\"}},\"recvAppendRequestCnt\":{},\"sendAppendRequestCnt\":{}}}",
        quoted(name),
        status.id,
        time(started_ms),
        duration(led_for),
        time(now_ms - led_for),
        count(&figures.received_appends),
        count(&figures.sent_appends),
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
