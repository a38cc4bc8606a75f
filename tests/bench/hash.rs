//! The effect on writers of hashing all data.

use crate::load::{self, Work};
use crate::report::{Metric, Sample};
use crate::server::Server;
use crate::wire::Wire;
use kvd::api::proto::etcdserverpb::HashKvRequest;
use kvd::api::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Bytes of a value.
const VALUE: usize = 1 << 10;
/// The number of clients that write.
const WRITERS: usize = 16;

/// Fills the server with `keys` keys, lets writers write for `seconds`, and again while one hash follows another, long
/// enough for several hashes.
pub async fn run(servers: &[Server], keys: u64, seconds: f64) -> Result<Vec<Sample>, String> {
    load::fill(servers, keys, VALUE, 64).await?;
    crate::cases::idle(servers).await?;
    let port = servers[0].port();
    let alone = hash(port).await?;
    let quiet = load::run(servers, Work::Put, WRITERS, seconds).await?;
    let seconds = seconds.max(alone.as_secs_f64() * 4.0);
    let times = Rc::new(RefCell::new(Vec::new()));
    let hashing = tokio::task::spawn_local(hash_on(port, times.clone()));
    let busy = load::run(servers, Work::Put, WRITERS, seconds).await?;
    if hashing.is_finished() {
        return Err(hashing.await.unwrap_or_else(|error| error.to_string()));
    }
    hashing.abort();
    let longest = times.take().into_iter().max().ok_or("no hash ended while writers wrote")?;
    let mut rows = Vec::new();
    for (row, outcome, time) in [("hash-before", &quiet, alone), ("hash", &busy, longest)] {
        let mut add = |metric, value| rows.push(Sample { row, metric, value });
        add(Metric::Throughput, outcome.count as f64 / outcome.elapsed.as_secs_f64());
        add(Metric::P99, outcome.latency.value_at_quantile(0.99) as f64 / 1e9);
        add(Metric::Time, time.as_secs_f64());
    }
    Ok(rows)
}

/// Hashes repeatedly; returns the error that ended it.
async fn hash_on(port: u16, times: Rc<RefCell<Vec<Duration>>>) -> String {
    loop {
        match hash(port).await {
            Ok(time) => times.borrow_mut().push(time),
            Err(error) => return error,
        }
    }
}

/// How long a hash of everything takes.
async fn hash(port: u16) -> Result<Duration, String> {
    let mut client = MaintenanceClient::new(Wire::connect(port).await?);
    let begun = Instant::now();
    client.hash_kv(HashKvRequest::default()).await.map_err(|status| format!("hash: {status}"))?;
    Ok(begun.elapsed())
}
