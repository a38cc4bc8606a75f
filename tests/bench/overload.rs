//! Loads that are too much for a server: what they cost in memory, and what others notice.
//!
//! Each case has a cluster of three. While one side does too much, another client puts a number and reads it back over
//! and over, at another member than the leader: its latency is that of all others, and the numbers must all be there.
//! `--keys` scales the loads: with 1,000,000, the default, they are as the titles say.

use crate::cluster::{Cluster, status};
use crate::dice::Dice;
use crate::load::{histogram, put};
use crate::report::{Metric, Sample};
use crate::server::Server;
use crate::watch;
use crate::wire::Wire;
use bytes::{BufMut, Bytes, BytesMut};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use kvd::api::proto::etcdserverpb::lease_client::LeaseClient;
use kvd::api::proto::etcdserverpb::request_op::Request;
use kvd::api::proto::etcdserverpb::{
    CompactionRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use prost::Message;
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Options for both: room for the data.
pub const OPTIONS: [&str; 1] = ["--quota-backend-bytes=8589934592"];
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Operations of one transaction; etcd's limit is 128.
const TOGETHER: u64 = 100;

/// What is too much.
#[derive(Clone, Copy, Debug)]
pub enum Scene {
    /// Ten lists of 134 MB at once: kvd answers up to 160 MB unless `max-unsent-bytes` says more; then a restart with these data.
    Ranges,
    /// Ten lists of 2 GB as streams at once, while others ask the same member; then a restart with these data.
    RangeStreams,
    /// 10,000 watchers of one prefix and one that never reads.
    Watchers,
    /// 100,000 leases, each with a key, that run out in the same second.
    ManyLeases,
    /// The revocation of a lease with 1,000,000 keys.
    OneLease,
    /// The compaction of 1,000,000 versions of 10,000 keys.
    Compaction,
    /// Puts of 1,000 clients.
    Clients,
    /// Puts of 1 MB values by 64 clients, a gigabyte in all.
    Large,
    /// 50,000 streams on which nothing happens.
    Streams,
}

/// Runs one.
pub async fn run(
    row: &'static str,
    scene: Scene,
    cluster: &mut Cluster,
    keys: u64,
    seconds: f64,
) -> Result<Vec<Sample>, String> {
    let of = |count: u64| (count as f64 * keys as f64 / 1e6).ceil() as u64;
    let leader = cluster.members[0].port();
    let before = prepare(scene, leader, &of).await?;
    crate::cases::idle(&cluster.members).await?;
    let term = status(&cluster.members[0]).await.ok_or("the leader does not answer")?.raft_term;
    let beside = &cluster.members[if matches!(scene, Scene::RangeStreams) { 0 } else { 1 }];
    let bystander = Bystander::start(beside.port()).await?;
    let (start, cpu) = (Instant::now(), crate::server::cpu(&cluster.members)?);
    let most = most_memory(&cluster.members[0], act(scene, leader, before, &of, seconds)).await;
    let (done, anonymous) = most?;
    let (time, cpu) = (start.elapsed(), crate::server::cpu(&cluster.members)? - cpu);
    let (latency, failed) = bystander.stop(cluster.members[0].port()).await?;
    cluster.leader().await?;
    let after = status(&cluster.members[0]).await.ok_or("the first member does not answer")?.raft_term;
    let quantile = |q: f64| latency.value_at_quantile(q) as f64 / 1e9;
    let mut rows = vec![
        (Metric::Time, time.as_secs_f64()),
        (Metric::Peak, cluster.members[0].memory()?.peak as f64),
        (Metric::MostAnonymous, anonymous as f64),
        (Metric::ServerCpu, cpu.as_secs_f64()),
        (Metric::Median, quantile(0.5)),
        (Metric::P99, quantile(0.99)),
        (Metric::Slowest, latency.max() as f64 / 1e9),
        (Metric::Failed, (failed + done.failed) as f64),
        (Metric::Elections, after.saturating_sub(term) as f64),
    ];
    if done.count > 0 {
        rows.push((Metric::Throughput, done.count as f64 / time.as_secs_f64()));
    }
    if matches!(scene, Scene::Ranges | Scene::RangeStreams) {
        rows.push((Metric::Refused, done.refused as f64));
        let member = &mut cluster.members[2];
        member.signal(rustix::process::Signal::KILL)?;
        member.ended().await?;
        rows.push((Metric::Return, member.resume().await?.as_secs_f64()));
    }
    drop(done.held);
    Ok(rows.into_iter().map(|(metric, value)| Sample { row, metric, value }).collect())
}

/// Waits for `work` and notes the most anonymous memory of a server meanwhile.
async fn most_memory<T>(
    server: &Server,
    work: impl Future<Output = Result<T, String>>,
) -> Result<(T, u64), String> {
    let mut most = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok((done?, most.max(server.memory()?.anonymous))),
            _ = ticks.tick() => most = most.max(server.memory()?.anonymous),
        }
    }
}

/// The client beside: puts the numbers from 1 on and reads each back.
struct Bystander {
    stop: Rc<Cell<bool>>,
    task: JoinHandle<(Histogram<u64>, u64, u64)>,
}

const BESIDE: &str = "beside";

impl Bystander {
    async fn start(port: u16) -> Result<Bystander, String> {
        let mut kv = KvClient::new(Wire::connect(port).await?);
        let stop = Rc::new(Cell::new(false));
        let stopped = stop.clone();
        let task = tokio::task::spawn_local(async move {
            let (mut latency, mut failed, mut acknowledged) = (histogram(), 0, 0);
            let mut number = 0u64;
            while !stopped.get() {
                number += 1;
                let begun = Instant::now();
                let value = Bytes::from(number.to_string());
                let written = kv.put(put(BESIDE.into(), value)).await;
                latency.saturating_record(begun.elapsed().as_nanos() as u64);
                let begun = Instant::now();
                let read = kv.range(RangeRequest { key: BESIDE.into(), ..Default::default() }).await;
                latency.saturating_record(begun.elapsed().as_nanos() as u64);
                failed += u64::from(written.is_err()) + u64::from(read.is_err());
                if written.is_ok() {
                    acknowledged = number;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (latency, failed, acknowledged)
        });
        Ok(Bystander { stop, task })
    }

    /// The latency of its calls, and how many failed; every number that was acknowledged must have been written.
    async fn stop(self, port: u16) -> Result<(Histogram<u64>, u64), String> {
        self.stop.set(true);
        let (latency, failed, acknowledged) = self.task.await.map_err(|error| error.to_string())?;
        let mut kv = KvClient::new(Wire::connect(port).await?);
        let read = kv.range(RangeRequest { key: BESIDE.into(), ..Default::default() }).await;
        let read = read.map_err(|status| format!("the last read: {status}"))?.into_inner();
        let found = read.kvs.first().ok_or("the bystander's key is lost")?;
        let value = String::from_utf8_lossy(&found.value).parse().unwrap_or(0u64);
        if value < acknowledged || (found.version as u64) < acknowledged - failed.min(acknowledged) {
            return Err(format!("{acknowledged} puts beside were acknowledged, {} are there", found.version));
        }
        Ok((latency, failed))
    }
}

/// Repeats something with `clients` until it says that nothing is left; the number of times.
async fn together<F>(
    port: u16,
    clients: usize,
    each: impl Fn(KvClient<Wire>, u64) -> Option<F>,
) -> Result<u64, String>
where
    F: Future<Output = Result<(), tonic::Status>> + 'static,
{
    let wires = Wire::several(&[port], clients.div_ceil(16)).await?;
    let mut tasks = tokio::task::JoinSet::new();
    let (mut next, mut done) = (0, 0);
    loop {
        while tasks.len() < clients
            && let Some(work) = each(KvClient::new(wires[next as usize % wires.len()].clone()), next)
        {
            tasks.spawn_local(work);
            next += 1;
        }
        match tasks.join_next().await {
            None => return Ok(done),
            Some(ended) => {
                let ended = ended.map_err(|error| error.to_string())?;
                ended.map_err(|status| format!("{}: {}", status.code(), status.message()))?;
                done += 1;
            }
        }
    }
}

/// Puts `count` values in transactions: key `n % keys`, with a lease.
async fn fill(port: u16, count: u64, keys: u64, size: usize, lease: i64) -> Result<(), String> {
    together(port, 16, |mut kv, number| {
        let first = number * TOGETHER;
        (first < count).then_some(async move {
            let mut dice = Dice::new(number);
            let puts = (first..count.min(first + TOGETHER)).map(|n| {
                let key = Bytes::from(format!("many/{:08}", n % keys));
                let put = PutRequest { key, value: dice.bytes(size), lease, ..Default::default() };
                RequestOp { request: Some(Request::RequestPut(put)) }
            });
            kv.txn(TxnRequest { success: puts.collect(), ..Default::default() }).await.map(drop)
        })
    })
    .await
    .map(drop)
}

async fn grant(port: u16, ttl: i64) -> Result<i64, String> {
    let mut client = LeaseClient::new(Wire::connect(port).await?);
    let granted = client.lease_grant(LeaseGrantRequest { ttl, id: 0 }).await;
    granted.map(|granted| granted.into_inner().id).map_err(|status| format!("grant: {status}"))
}

fn list() -> RangeRequest {
    RangeRequest { key: "many/".into(), range_end: "many0".into(), ..Default::default() }
}

/// How many keys there are.
async fn count(port: u16) -> Result<i64, String> {
    let request = RangeRequest { count_only: true, ..list() };
    let answer = KvClient::new(Wire::connect(port).await?).range(request).await;
    answer.map(|answer| answer.into_inner().count).map_err(|status| format!("count: {status}"))
}

/// What must be there before; a number that `act` needs.
async fn prepare(scene: Scene, port: u16, of: &impl Fn(u64) -> u64) -> Result<i64, String> {
    match scene {
        Scene::Ranges | Scene::RangeStreams => {
            let count = of(if matches!(scene, Scene::Ranges) { 512 } else { 8192 });
            let filled = together(port, 16, |mut kv, number| {
                let key = Bytes::from(format!("many/{number:08}"));
                let value = Dice::new(number).bytes(256 << 10);
                (number < count).then_some(async move { kv.put(put(key, value)).await.map(drop) })
            });
            filled.await.map(|count| count as i64 * (256 << 10))
        }
        Scene::OneLease => {
            let (lease, count) = (grant(port, 36_000).await?, of(1_000_000));
            fill(port, count, count, 16, lease).await.map(|()| lease)
        }
        Scene::Compaction => fill(port, of(1_000_000), of(10_000), 100, 0).await.map(|()| 0),
        Scene::ManyLeases => many_leases(port, of(100_000)).await,
        Scene::Watchers | Scene::Clients | Scene::Large | Scene::Streams => Ok(0),
    }
}

/// Leases with one key each, which all end within the same second, five seconds after this.
async fn many_leases(port: u16, count: u64) -> Result<i64, String> {
    let end = Instant::now() + Duration::from_secs(20 + count / 900);
    let wire = Wire::connect(port).await?;
    let filled = together(port, 256, |mut kv, number| {
        let mut leases = LeaseClient::new(wire.clone());
        (number < count).then_some(async move {
            let ttl = end.saturating_duration_since(Instant::now()).as_secs() as i64;
            let lease = leases.lease_grant(LeaseGrantRequest { ttl, id: 0 }).await?.into_inner().id;
            let key = Bytes::from(format!("many/{number:08}"));
            kv.put(PutRequest { key, value: "x".into(), lease, ..Default::default() }).await.map(drop)
        })
    });
    filled.await?;
    let there = self::count(port).await?;
    if there != count as i64 {
        return Err(format!("{there} of {count} keys are there before their leases end"));
    }
    tokio::time::sleep_until((end - Duration::from_secs(5)).into()).await;
    Ok(0)
}

/// What was done so often, and what must live to the end of the measurement.
#[derive(Default)]
struct Done {
    count: u64,
    /// Timed out.
    failed: u64,
    /// Refused for lack of memory, and repeated.
    refused: u64,
    held: Vec<tonic::Streaming<kvd::api::proto::etcdserverpb::WatchResponse>>,
}

/// Does too much.
async fn act(
    scene: Scene,
    port: u16,
    before: i64,
    of: &impl Fn(u64) -> u64,
    seconds: f64,
) -> Result<Done, String> {
    match scene {
        Scene::Ranges => ten_lists(port, "Range", before as u64).await,
        Scene::RangeStreams => ten_lists(port, "RangeStream", before as u64).await,
        Scene::Watchers => watchers(port, of(10_000) as usize, seconds).await,
        Scene::ManyLeases => until_gone(port).await.map(|()| Done::default()),
        Scene::OneLease => {
            let mut client = LeaseClient::new(Wire::connect(port).await?);
            // Its answer may be an error because it is late; what it does is done all the same.
            let _ = client.lease_revoke(LeaseRevokeRequest { id: before }).await;
            until_gone(port).await.map(|()| Done::default())
        }
        Scene::Compaction => compact(port).await.map(|()| Done::default()),
        Scene::Clients => many_puts(port, of(1000) as usize, 256, u64::MAX, seconds * 6.0).await,
        Scene::Large => many_puts(port, 64, 1 << 20, of(1024), f64::MAX).await,
        Scene::Streams => streams(port, of(50_000) as usize, seconds).await,
    }
}

/// Reads the whole list ten times at once, as it arrives. A server may refuse some of them for lack of memory: those are
/// repeated until they are answered, and counted.
async fn ten_lists(port: u16, method: &'static str, least: u64) -> Result<Done, String> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let mut wire = Wire::connect(port).await?;
        tasks.spawn_local(async move {
            let (begun, mut refused) = (Instant::now(), 0);
            loop {
                match one_list(&mut wire, method).await? {
                    Some(read) if read >= least => return Ok(refused),
                    Some(read) => return Err(format!("a list has {read} of {least} bytes")),
                    None if begun.elapsed() > PATIENCE => return Err("a list is refused for ever".to_owned()),
                    None => refused += 1,
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    let mut done = Done::default();
    while let Some(ended) = tasks.join_next().await {
        done.refused += ended.map_err(|error| error.to_string())??;
    }
    Ok(done)
}

/// How many bytes an answer has; `None` if the server has no room for it.
async fn one_list(wire: &mut Wire, method: &str) -> Result<Option<u64>, String> {
    let message = list().encode_to_vec();
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(&message);
    let request = http::Request::post(format!("/etcdserverpb.KV/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(Full::new(frame.freeze())))
        .map_err(|error| error.to_string())?;
    let answer = tower::Service::call(wire, request).await.map_err(|error| error.to_string())?;
    if is_refused(answer.headers())? {
        return Ok(None);
    }
    let (mut body, mut read) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("a list after {read} bytes: {error}"))?;
        read += frame.data_ref().map_or(0, |data| data.len() as u64);
        // A stream may be refused after a part of it.
        if let Some(trailers) = frame.trailers_ref()
            && is_refused(trailers)?
        {
            return Ok(None);
        }
    }
    Ok(Some(read))
}

/// Whether a list is refused for lack of memory; any other refusal is an error.
fn is_refused(headers: &http::HeaderMap) -> Result<bool, String> {
    match headers.get("grpc-status").map(|code| code.as_bytes()) {
        Some(b"8") => Ok(true),
        None | Some(b"0") => Ok(false),
        Some(code) => Err(format!("a list is refused: {}", String::from_utf8_lossy(code))),
    }
}

/// Some writers put to what all watch; every watcher but the one that never reads must see each put.
async fn watchers(port: u16, watchers: usize, seconds: f64) -> Result<Done, String> {
    const STREAMS: usize = 100;
    let seen = Rc::new(Cell::new(0));
    let unread = watch::open(Wire::connect(port).await?, 1).await;
    let unread = unread.map_err(|status| format!("watch: {status}"))?;
    for wire in Wire::several(&[port], STREAMS).await? {
        let stream = watch::open(wire, watchers.div_ceil(STREAMS)).await;
        let mut stream = stream.map_err(|status| format!("watch: {status}"))?;
        let seen = seen.clone();
        tokio::task::spawn_local(async move {
            while let Ok(Some(answer)) = stream.message().await {
                seen.set(seen.get() + answer.events.len());
            }
        });
    }
    let until = Instant::now() + Duration::from_secs_f64(seconds * 4.0);
    let written = together(port, 16, |mut kv, number| {
        let value = Dice::new(number).bytes(4 << 10);
        let key = Bytes::from(format!("watch/{:04}", number % 100));
        (Instant::now() < until).then_some(async move { kv.put(put(key, value)).await.map(drop) })
    });
    let expected = written.await? as usize * watchers.div_ceil(STREAMS) * STREAMS;
    let begun = Instant::now();
    while seen.get() < expected {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{} of {expected} events were seen", seen.get()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(Done { count: expected as u64, held: vec![unread], ..Done::default() })
}

/// Until no key is left.
async fn until_gone(port: u16) -> Result<(), String> {
    let begun = Instant::now();
    while count(port).await? > 0 {
        if begun.elapsed() > PATIENCE {
            return Err("keys of leases that ended are still there".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Compacts everything that is not current, and waits until that is done.
async fn compact(port: u16) -> Result<(), String> {
    let mut kv = KvClient::new(Wire::connect(port).await?);
    let there = kv.range(RangeRequest { count_only: true, ..list() }).await;
    let revision = there
        .map_err(|status| format!("range: {status}"))?
        .into_inner()
        .header
        .map_or(0, |header| header.revision);
    let compacted = kv.compact(CompactionRequest { revision, physical: true }).await;
    compacted.map(drop).map_err(|status| format!("compact: {status}"))
}

/// Puts that time out are counted; every other one must be there.
async fn many_puts(port: u16, clients: usize, size: usize, most: u64, seconds: f64) -> Result<Done, String> {
    let begun = Instant::now();
    let failed = Rc::new(Cell::new(0));
    let done = together(port, clients, |mut kv, number| {
        let key = Bytes::from(format!("many/{:08}", number % 10_000));
        let more = number < most && begun.elapsed().as_secs_f64() < seconds;
        let failed = failed.clone();
        more.then(|| {
            let value = Dice::new(number).bytes(size);
            async move {
                match kv.put(put(key, value)).await {
                    Err(status) if status.code() == tonic::Code::Unavailable => failed.set(failed.get() + 1),
                    answer => drop(answer?),
                }
                Ok(())
            }
        })
    });
    let (done, failed) = (done.await?, failed.get());
    let there = count(port).await? as u64;
    if there < (done - failed).min(10_000) {
        return Err(format!("{there} keys after {done} puts of which {failed} failed"));
    }
    Ok(Done { count: done - failed, failed, ..Done::default() })
}

/// Streams with one watcher each, on which nothing happens.
async fn streams(port: u16, count: usize, seconds: f64) -> Result<Done, String> {
    let mut held = Vec::with_capacity(count);
    for wire in Wire::several(&[port], count.div_ceil(100)).await? {
        for _ in 0..100.min(count - held.len()) {
            held.push(watch::open(wire.clone(), 1).await.map_err(|status| format!("watch: {status}"))?);
        }
    }
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    Ok(Done { held, ..Done::default() })
}
