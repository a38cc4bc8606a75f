//! `/health`, and the checks of `/livez` and `/readyz`.

use http::{Response, StatusCode};

use super::answer::{not_found, page, plain, query_values};
use crate::api::body::ReplyBody;
use crate::api::reads::Freshness;
use crate::api::services::Services;
use crate::api::status;
use crate::model::{AlarmKind, Caller, KeyRange, RangeQuery, Refusal};

/// The key that is read to check that reads work. It need not exist.
const PROBE_KEY: &str = "health";

/// `/health`: checks alarms, then the leader, then a read.
pub(super) async fn health(services: &Services, query: &str) -> Response<ReplyBody> {
    let excluded: Vec<String> = query_values(query, "exclude").collect();
    let serializable = query_values(query, "serializable").next().is_some_and(|value| value == "true");
    let problem = problem(services, &excluded, serializable).await;
    services.metrics.health(problem.is_none());
    match problem {
        None => page(StatusCode::OK, "text/plain; charset=utf-8", "{\"health\":\"true\",\"reason\":\"\"}"),
        Some(reason) => {
            tracing::warn!(reason, "health check failed");
            let reason = serde_json::Value::String(reason);
            plain(StatusCode::SERVICE_UNAVAILABLE, format!("{{\"health\":\"false\",\"reason\":{reason}}}\n"))
        }
    }
}

async fn problem(services: &Services, excluded: &[String], serializable: bool) -> Option<String> {
    for alarm in services.store.alarms() {
        let name = alarm_name(alarm.kind);
        if !excluded.iter().any(|excluded| excluded == name) {
            return Some(format!("ALARM {name}"));
        }
    }
    let corrupt = alarm_name(AlarmKind::Corrupt);
    if services.store.is_condemned() && !excluded.iter().any(|excluded| excluded == corrupt) {
        return Some(format!("ALARM {corrupt}"));
    }
    if !serializable && services.node.leader().is_none() {
        return Some("RAFT NO LEADER".into());
    }
    read(services, Freshness::of(serializable)).await.err().map(|error| format!("RANGE ERROR:{error}"))
}

fn alarm_name(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::NoSpace => "NOSPACE",
        AlarmKind::Corrupt => "CORRUPT",
    }
}

async fn read(services: &Services, freshness: Freshness) -> Result<(), String> {
    let query = RangeQuery::current(KeyRange::single(PROBE_KEY));
    let read = services.reads.range(&Caller::System, query, freshness);
    let read = tokio::time::timeout(services.settings().request_timeout(), read).await;
    match read.unwrap_or(Err(Refusal::Timeout)) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(status::text(&refusal).to_string()),
    }
}

/// One of the two probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// `/livez`: should the process keep running?
    Live,
    /// `/readyz`: should it receive requests?
    Ready,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

impl Probe {
    /// The probe at `path`, and the name of the single check if the path names one.
    pub(super) fn find(path: &str) -> Option<(Probe, Option<&str>)> {
        for (probe, root) in [(Probe::Live, "/livez"), (Probe::Ready, "/readyz")] {
            match path.strip_prefix(root) {
                Some("") => return Some((probe, None)),
                Some(rest) => match rest.strip_prefix('/') {
                    Some(check) => return Some((probe, Some(check))),
                    None => continue,
                },
                None => continue,
            }
        }
        None
    }

    fn name(self) -> &'static str {
        match self {
            Probe::Live => "livez",
            Probe::Ready => "readyz",
        }
    }

    fn checks(self) -> &'static [Check] {
        match self {
            Probe::Live => &[Check::SerializableRead],
            Probe::Ready => {
                &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner]
            }
        }
    }
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, services: &Services) -> Result<(), String> {
        match self {
            Check::DataCorruption => {
                let corrupt = services.store.alarms().iter().any(|alarm| alarm.kind == AlarmKind::Corrupt);
                match corrupt {
                    true => Err("alarm activated: CORRUPT".into()),
                    false if services.store.is_condemned() => Err("the state of this member is wrong".into()),
                    false => Ok(()),
                }
            }
            Check::SerializableRead => read(services, Freshness::Serializable).await,
            Check::LinearizableRead => read(services, Freshness::Linearizable).await,
            Check::NonLearner => {
                let learner = services.node.is_learner();
                if learner { Err("not supported for learner".into()) } else { Ok(()) }
            }
        }
    }
}

/// Runs the checks of a probe, or the single check that was named.
pub(super) async fn probe(
    services: &Services,
    probe: Probe,
    only: Option<&str>,
    query: &str,
) -> Response<ReplyBody> {
    let checks: Vec<Check> = match only {
        Some(name) => probe.checks().iter().copied().filter(|check| check.name() == name).collect(),
        None => {
            let excluded: Vec<String> = query_values(query, "exclude").collect();
            let keep = |check: &Check| !excluded.iter().any(|name| name == check.name());
            probe.checks().iter().copied().filter(keep).collect()
        }
    };
    if only.is_some() && checks.is_empty() {
        return not_found();
    }
    let mut lines = String::new();
    let mut failed = false;
    for check in checks {
        let outcome = check.run(services).await;
        services.metrics.check(probe.name(), check.name(), outcome.is_ok());
        match outcome {
            Ok(()) => lines.push_str(&format!("[+]{} ok\n", check.name())),
            Err(error) => {
                failed = true;
                lines.push_str(&format!("[-]{} failed: {error}\n", check.name()));
            }
        }
    }
    if failed {
        let reason = lines.trim_end().replace('\n', "; ");
        tracing::warn!(probe = probe.name(), reason, "health check failed");
        return plain(StatusCode::SERVICE_UNAVAILABLE, lines);
    }
    let verbose = query_values(query, "verbose").next().is_some();
    plain(StatusCode::OK, if verbose { format!("{lines}ok\n") } else { "ok\n".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(Probe::find("/livez"), Some((Probe::Live, None)));
        assert_eq!(Probe::find("/readyz/non_learner"), Some((Probe::Ready, Some("non_learner"))));
        assert_eq!(Probe::find("/livezz"), None);
        assert_eq!(Probe::find("/"), None);
    }
}
