//! How long a member takes to receive all data after it is added to a cluster with much data.

use crate::cluster::{Cluster, status};
use crate::load;
use crate::report::{Metric, Sample};
use crate::server::Server;
use crate::wire::Wire;
use kvd::api::proto::etcdserverpb::RangeRequest;
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use std::time::{Duration, Instant};

/// Options for both: room for the data, and a log that no longer reaches back to the beginning, as in a cluster that
/// has run for days.
pub const OPTIONS: [&str; 2] = ["--quota-backend-bytes=8589934592", "--snapshot-count=10000"];
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Fills the cluster with `bytes` in values of `value` bytes each, and adds a member.
pub async fn run(
    row: &'static str,
    cluster: &mut Cluster,
    bytes: u64,
    value: usize,
) -> Result<Vec<Sample>, String> {
    let count = bytes / value as u64;
    load::fill(&cluster.members[..1], count, value, 64).await?;
    crate::cases::idle(&cluster.members).await?;
    let before = status(&cluster.members[0]).await.ok_or("the leader does not answer")?;
    let revision = before.header.as_ref().map_or(0, |header| header.revision);
    let mut added = cluster.add().await?;
    let (start, cpu) = (Instant::now(), crate::server::cpu(&cluster.members)?);
    added.launch()?;
    cluster.members.push(added);
    let added = &cluster.members[cluster.members.len() - 1];
    while held(added, false).await.is_none_or(|(seen, _)| seen < revision) {
        if start.elapsed() > PATIENCE {
            return Err("the member that was added does not catch up".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (time, cpu) = (start.elapsed(), crate::server::cpu(&cluster.members)? - cpu);
    if held(added, true).await != Some((revision, count as i64)) {
        return Err("the member that was added has not what the leader has".to_owned());
    }
    cluster.leader().await?;
    let after = status(&cluster.members[0]).await.ok_or("the leader does not answer")?;
    let values = [
        (Metric::Time, time.as_secs_f64()),
        (Metric::ServerCpu, cpu.as_secs_f64()),
        (Metric::Elections, after.raft_term.saturating_sub(before.raft_term) as f64),
    ];
    Ok(values.map(|(metric, value)| Sample { row, metric, value }).to_vec())
}

/// The revision that a member has applied, and with `all` the number of its keys.
async fn held(member: &Server, all: bool) -> Option<(i64, i64)> {
    let request = RangeRequest { serializable: true, count_only: true, ..load::list() };
    let request = if all { request } else { RangeRequest { range_end: Default::default(), ..request } };
    let ask = async { KvClient::new(Wire::connect(member.port()).await.ok()?).range(request).await.ok() };
    let answer = tokio::time::timeout(Duration::from_secs(10), ask).await.ok()??.into_inner();
    Some((answer.header?.revision, answer.count))
}
