//! Commands that ask each endpoint: `kvctl endpoint`, `kvctl defrag` and `kvctl move-leader`.

use std::time::{Duration, Instant};

use crate::api::proto::etcdserverpb::{
    AlarmRequest, AlarmType, DefragmentRequest, HashKvRequest, HashKvResponse, Member, MemberListRequest,
    MoveLeaderRequest, RangeRequest, StatusRequest, StatusResponse,
};
use crate::client::text;
use crate::config::format_duration;
use crate::ctl::arguments::Endpoints;
use crate::ctl::client::{Broken, Client};
use crate::ctl::failure::{ERROR, Failure};
use crate::ctl::output::{complain, print, print_bytes};
use crate::ctl::print::endpoint::{self, Health};
use crate::ctl::print::{Format, Style, member};
use crate::ctl::progress::Progress;
use crate::ctl::target::Target;

/// The pause between two attempts while waiting.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether each endpoint answers a linearizable read.
pub(in crate::ctl) async fn health(
    target: &Target,
    style: Style,
    endpoints: Endpoints,
) -> Result<(), Failure> {
    if style.format == Format::Protobuf {
        return Err(style.unsupported());
    }
    let ask = async |endpoint: &str| one_health(target, endpoint).await;
    let results = answers(target, endpoints, ask, |health| health.error.is_empty()).await?;
    if style.format == Format::Simple {
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
        print_bytes(&endpoint::health(&results, style)?);
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
    style: Style,
    endpoints: Endpoints,
) -> Result<(), Failure> {
    if style.format == Format::Protobuf {
        return Err(style.unsupported());
    }
    let ask = async |endpoint: &str| (endpoint.to_string(), one_status(target, endpoint).await);
    let results = answers(target, endpoints, ask, |(_, result)| result.is_ok()).await?;
    let (good, failed) = sorted(results, "status")?;
    print_bytes(&endpoint::status(&good, style)?);
    if failed.is_some() {
        let nobody = good.is_empty();
        return Err(Failure::silent(ERROR).hint(nobody.then(|| target.guess.clone()).flatten()));
    }
    Ok(())
}

/// The hash of the keys and their history up to `revision` on each endpoint.
pub(in crate::ctl) async fn hash(
    target: &Target,
    style: Style,
    endpoints: Endpoints,
    revision: i64,
) -> Result<(), Failure> {
    let ask = async |endpoint: &str| (endpoint.to_string(), one_hash(target, endpoint, revision).await);
    let results = each(&addressed(target, endpoints).await?.0, ask).await;
    let (good, failed) = sorted(results, "hash")?;
    print_bytes(&endpoint::hash(&good, style)?);
    match failed {
        Some(error) => Err(Failure::error(error)),
        None => Ok(()),
    }
}

/// What the endpoints answered, and the last error; each error is printed. A caller who is refused is refused everywhere.
#[allow(clippy::type_complexity)]
fn sorted<T>(
    results: Vec<(String, Result<T, Broken>)>,
    what: &str,
) -> Result<(Vec<(String, T)>, Option<String>), Failure> {
    let (mut good, mut last) = (Vec::new(), None);
    for (endpoint, result) in results {
        match result {
            Ok(answer) => good.push((endpoint, answer)),
            Err(broken @ Broken::Refused(_)) => return Err(broken.failure()),
            Err(broken) => {
                let error = broken.text();
                complain(&format!("Failed to get the {what} of endpoint {endpoint} ({error})"));
                last = Some(error);
            }
        }
    }
    Ok((good, last))
}

/// Lets each endpoint give free space back, one after the other.
pub(in crate::ctl) async fn defragment(target: &Target, endpoints: Endpoints) -> Result<(), Failure> {
    let mut failed = false;
    for endpoint in addressed(target, endpoints).await?.0 {
        let begun = Instant::now();
        let progress = Progress::time(&format!("defragmenting {endpoint}"));
        let result = match Client::at(target, &endpoint).await {
            Ok(mut client) => {
                let answer =
                    client.ask(async |to| to.maintenance.defragment(DefragmentRequest {}).await).await;
                answer.map_err(|status| text(&status))
            }
            Err(broken @ Broken::Refused(_)) => return Err(broken.failure()),
            Err(broken) => Err(broken.text()),
        };
        drop(progress);
        let took = format_duration(begun.elapsed());
        match result {
            Ok(_) => print(&format!("Finished defragmenting etcd member[{endpoint}]. took {took}\n")),
            Err(error) => {
                failed = true;
                complain(&format!("Failed to defragment etcd member[{endpoint}]. took {took}. ({error})"));
            }
        }
    }
    if failed { Err(Failure::silent(ERROR)) } else { Ok(()) }
}

/// Makes the member `id` the leader; the leader must be among the endpoints.
pub(in crate::ctl) async fn move_leader(target: &Target, style: Style, id: u64) -> Result<(), Failure> {
    for endpoint in &target.endpoints {
        let mut client = Client::at(target, endpoint).await.map_err(|broken| broken.failure())?;
        let status = client.ask(async |to| to.maintenance.status(StatusRequest {}).await).await;
        let status = status.map_err(|status| Failure::error(text(&status)))?;
        let leader = status.leader;
        if status.header.is_none_or(|header| header.member_id != leader) {
            continue;
        }
        let request = MoveLeaderRequest { target_id: id };
        let answer = client.ask(async |to| to.maintenance.move_leader(request).await).await;
        let answer = answer.map_err(|status| Failure::error(text(&status)))?;
        let words = format!("Leadership transferred from {leader:x} to {id:x}\n");
        print_bytes(&member::moved(words, answer.header.as_ref(), &answer, style)?);
        return Ok(());
    }
    let endpoints = target.endpoints.join(" ");
    Err(Failure::arguments(format!("no leader endpoint given at [{endpoints}]")))
}

/// The answers of all endpoints; with `--wait` asked again until all answers are good or the time is over. A member that
/// has not started yet has no endpoint, but is waited for, too.
async fn answers<T>(
    target: &Target,
    endpoints: Endpoints,
    ask: impl AsyncFn(&str) -> T,
    is_good: impl Fn(&T) -> bool,
) -> Result<Vec<T>, Failure> {
    let begun = Instant::now();
    loop {
        let waits = || endpoints.wait.is_some_and(|limit| limit.is_zero() || begun.elapsed() < limit);
        let (results, absent) = match addressed(target, endpoints).await {
            Ok((endpoints, absent)) => (each(&endpoints, &ask).await, absent),
            Err(_) if waits() => (Vec::new(), None),
            Err(failure) => return Err(failure),
        };
        let absent = absent.filter(|_| endpoints.wait.is_some());
        let good = absent.is_none() && !results.is_empty() && results.iter().all(&is_good);
        if good || !waits() {
            return absent.map_or(Ok(results), |absent| Err(Failure::error(absent)));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks all endpoints at the same time; answers are in the order of the endpoints.
async fn each<T>(endpoints: &[String], ask: impl AsyncFn(&str) -> T) -> Vec<T> {
    futures_util::future::join_all(endpoints.iter().map(|endpoint| ask(endpoint))).await
}

/// The endpoints that were named, or those of all members; and which of them has not started, if any.
async fn addressed(target: &Target, endpoints: Endpoints) -> Result<(Vec<String>, Option<String>), Failure> {
    if !endpoints.cluster {
        return Ok((target.endpoints.clone(), None));
    }
    let mut last = String::new();
    for endpoint in &target.endpoints {
        match members(target, endpoint).await {
            Ok(members) => {
                let absent = members.iter().find(|member| member.client_ur_ls.is_empty());
                let absent = absent.map(|member| {
                    format!("the member {:x} at {} has not started", member.id, member.peer_ur_ls.join(","))
                });
                return Ok((members.into_iter().flat_map(|member| member.client_ur_ls).collect(), absent));
            }
            Err(error) => last = error,
        }
    }
    let text = format!("failed to fetch endpoints from etcd cluster member list: {last}");
    Err(Failure::error(text).hint(target.guess.clone()))
}

async fn members(target: &Target, endpoint: &str) -> Result<Vec<Member>, String> {
    let mut client = Client::at(target, endpoint).await.map_err(|broken| broken.text())?;
    let request = MemberListRequest { linearizable: true };
    let list = client.ask(async |to| to.cluster.member_list(request).await).await;
    let list = list.map_err(|status| text(&status))?;
    Ok(list.members)
}

async fn one_health(target: &Target, endpoint: &str) -> Health {
    let begun = Instant::now();
    let endpoint = endpoint.to_string();
    let mut client = match Client::at(target, &endpoint).await {
        Ok(client) => client,
        Err(broken) => {
            // etcdctl measures the read only.
            let refused = matches!(broken, Broken::Refused(_));
            let took = if refused { String::new() } else { format_duration(begun.elapsed()) };
            return Health { endpoint, took, error: broken.text() };
        }
    };
    let left = target.command_timeout.saturating_sub(begun.elapsed());
    let request = RangeRequest { key: "health".into(), ..Default::default() };
    let answer = client.ask_within(left, async |to| to.kv.range(request.clone()).await).await;
    let took = format_duration(begun.elapsed());
    let error = match answer {
        // An endpoint that denies the read for lack of permission is healthy, too.
        Err(status) if status.code() != tonic::Code::PermissionDenied => text(&status),
        _ => {
            let left = target.command_timeout.saturating_sub(begun.elapsed());
            alarms(&mut client, left).await.err().unwrap_or_default()
        }
    };
    Health { endpoint, took, error }
}

/// The alarms are an error.
async fn alarms(client: &mut Client<'_>, left: Duration) -> Result<(), String> {
    let alarms =
        client.ask_within(left, async |to| to.maintenance.alarm(AlarmRequest::default()).await).await;
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

async fn one_status(target: &Target, endpoint: &str) -> Result<StatusResponse, Broken> {
    let mut client = Client::at(target, endpoint).await?;
    let answer = client.ask(async |to| to.maintenance.status(StatusRequest {}).await).await;
    answer.map_err(|status| Broken::Unreachable(text(&status)))
}

async fn one_hash(target: &Target, endpoint: &str, revision: i64) -> Result<HashKvResponse, Broken> {
    let mut client = Client::at(target, endpoint).await?;
    let answer = client.ask(async |to| to.maintenance.hash_kv(HashKvRequest { revision }).await).await;
    answer.map_err(|status| Broken::Unreachable(text(&status)))
}
