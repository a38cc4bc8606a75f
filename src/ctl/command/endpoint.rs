//! `kvctl endpoint health` and `kvctl endpoint status`.

use std::time::{Duration, Instant};

use super::{complain, no_such_format, print};
use crate::api::proto::etcdserverpb::{
    AlarmRequest, AlarmType, MemberListRequest, RangeRequest, StatusRequest, StatusResponse,
};
use crate::config::format_duration;
use crate::ctl::arguments::{Endpoints, Globals};
use crate::ctl::connection::{connect, text, within};
use crate::ctl::failure::Failure;
use crate::ctl::print::{Format, Health, endpoint_health, endpoint_status};
use crate::ctl::target::Target;

/// The pause between two attempts while waiting.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether each endpoint answers a linearizable read.
pub(in crate::ctl) async fn health(
    target: &Target,
    globals: &Globals,
    endpoints: Endpoints,
) -> Result<(), Failure> {
    if globals.format == Format::Protobuf {
        return Err(no_such_format(globals));
    }
    let ask = async |endpoint: &str| one_health(target, endpoint).await;
    let results = answers(target, endpoints, ask, |health| health.error.is_empty()).await?;
    if globals.format == Format::Simple {
        for health in &results {
            let endpoint = &health.endpoint;
            match health.error.as_str() {
                "" => print(&format!(
                    "{endpoint} is healthy: successfully committed proposal: took = {}\n",
                    health.took
                )),
                error => complain(&format!("{endpoint} is unhealthy: failed to commit proposal: {error}")),
            }
        }
    } else {
        print(&endpoint_health(&results, globals.format));
    }
    if results.iter().all(|health| health.error.is_empty()) {
        return Ok(());
    }
    let nobody = results.iter().all(|health| !health.error.is_empty());
    Err(Failure::error("unhealthy cluster").hint(nobody.then(|| target.guess.clone()).flatten()))
}

/// The status of each endpoint.
pub(in crate::ctl) async fn status(
    target: &Target,
    globals: &Globals,
    endpoints: Endpoints,
) -> Result<(), Failure> {
    if globals.format == Format::Protobuf {
        return Err(no_such_format(globals));
    }
    let ask = async |endpoint: &str| (endpoint.to_string(), one_status(target, endpoint).await);
    let results = answers(target, endpoints, ask, |(_, result)| result.is_ok()).await?;
    let mut good = Vec::new();
    let mut failed = false;
    for (endpoint, result) in results {
        match result {
            Ok(status) => good.push((endpoint, status)),
            Err(error) => {
                failed = true;
                complain(&format!("Failed to get the status of endpoint {endpoint} ({error})"));
            }
        }
    }
    print(&endpoint_status(&good, globals.format, globals.hex));
    if failed {
        let nobody = good.is_empty();
        return Err(Failure::silent().hint(nobody.then(|| target.guess.clone()).flatten()));
    }
    Ok(())
}

/// The answers of all endpoints; with `--wait` asked again until all answers are good or the time is over.
async fn answers<T>(
    target: &Target,
    endpoints: Endpoints,
    ask: impl AsyncFn(&str) -> T,
    is_good: impl Fn(&T) -> bool,
) -> Result<Vec<T>, Failure> {
    let begun = Instant::now();
    loop {
        let waits = || endpoints.wait.is_some_and(|limit| limit.is_zero() || begun.elapsed() < limit);
        let results = match addressed(target, endpoints).await {
            Ok(endpoints) => each(&endpoints, &ask).await,
            Err(_) if waits() => Vec::new(),
            Err(failure) => return Err(failure),
        };
        let good = !results.is_empty() && results.iter().all(&is_good);
        if good || !waits() {
            return Ok(results);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks all endpoints at the same time; answers are in the order of the endpoints.
async fn each<T>(endpoints: &[String], ask: impl AsyncFn(&str) -> T) -> Vec<T> {
    futures_util::future::join_all(endpoints.iter().map(|endpoint| ask(endpoint))).await
}

/// The endpoints that were named, or those of all members.
async fn addressed(target: &Target, endpoints: Endpoints) -> Result<Vec<String>, Failure> {
    if !endpoints.cluster {
        return Ok(target.endpoints.clone());
    }
    let mut last = String::new();
    for endpoint in &target.endpoints {
        match client_urls(target, endpoint).await {
            Ok(urls) => return Ok(urls),
            Err(error) => last = error,
        }
    }
    let text = format!("failed to fetch endpoints from etcd cluster member list: {last}");
    Err(Failure::error(text).hint(target.guess.clone()))
}

async fn client_urls(target: &Target, endpoint: &str) -> Result<Vec<String>, String> {
    let mut connection = connect(target, endpoint).await?;
    let call = connection.cluster.member_list(MemberListRequest { linearizable: true });
    let list = within(target.command_timeout, call).await.map_err(|status| text(&status))?;
    Ok(list.members.into_iter().flat_map(|member| member.client_ur_ls).collect())
}

async fn one_health(target: &Target, endpoint: &str) -> Health {
    let begun = Instant::now();
    let mut took = None;
    let error = match check(target, endpoint, begun, &mut took).await {
        Ok(()) => String::new(),
        Err(error) => error,
    };
    let took = took.unwrap_or_else(|| begun.elapsed());
    Health { endpoint: endpoint.to_string(), took: format_duration(took), error }
}

/// A read that needs a quorum, then the alarms. An endpoint that denies the read for lack of permission is healthy,
/// too.
async fn check(
    target: &Target,
    endpoint: &str,
    begun: Instant,
    took: &mut Option<Duration>,
) -> Result<(), String> {
    let mut connection = connect(target, endpoint).await?;
    let left = target.command_timeout.saturating_sub(begun.elapsed());
    let request = RangeRequest { key: "health".into(), ..Default::default() };
    let answer = within(left, connection.kv.range(request)).await;
    *took = Some(begun.elapsed());
    match answer {
        Ok(_) => {}
        Err(status) if status.code() == tonic::Code::PermissionDenied => {}
        Err(status) => return Err(text(&status)),
    }
    let left = target.command_timeout.saturating_sub(begun.elapsed());
    let alarms = within(left, connection.maintenance.alarm(AlarmRequest::default())).await;
    let Ok(alarms) = alarms else { return Err("Unable to fetch the alarm list".to_string()) };
    if alarms.alarms.is_empty() {
        return Ok(());
    }
    let names = alarms.alarms.iter().map(|alarm| match AlarmType::try_from(alarm.alarm) {
        Ok(AlarmType::Nospace) => "NOSPACE ",
        Ok(AlarmType::Corrupt) => "CORRUPT ",
        _ => "UNKNOWN ",
    });
    Err(format!("Active Alarm(s): {}", names.collect::<String>()))
}

async fn one_status(target: &Target, endpoint: &str) -> Result<StatusResponse, String> {
    let mut connection = connect(target, endpoint).await?;
    let call = connection.maintenance.status(StatusRequest {});
    within(target.command_timeout, call).await.map_err(|status| text(&status))
}
