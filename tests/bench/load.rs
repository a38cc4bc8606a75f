//! Closed-loop load: a number of clients, each with one request in progress, over several connections.

use crate::dice::Dice;
use crate::server::{Server, cpu};
use crate::wire::Wire;
use bytes::Bytes;
use hdrhistogram::Histogram;
use kvd::api::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use kvd::api::proto::etcdserverpb::request_op::Request;
use kvd::api::proto::etcdserverpb::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Bytes of a value.
pub const VALUE: usize = 256;
/// Keys that random requests choose from.
pub const KEYS: u64 = 10_000;

/// The request that a client repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Put of a random key.
    Put,
    /// The same with a value of so many bytes.
    PutOf(usize),
    /// Get of a random key.
    Get {
        /// Answered from the member's own state without asking for a quorum.
        serializable: bool,
    },
    /// A compare on a random key's version that holds, with a put.
    Txn,
    /// Four gets to one put.
    Mixed,
    /// All the keys of the key space, in one answer.
    List,
    /// A new connection, and a get of a random key on it.
    Connect,
}

/// The result of a run of load.
pub struct Outcome {
    /// Operations that ended in the measured time.
    pub count: u64,
    /// The measured time.
    pub elapsed: Duration,
    /// Latency in nanoseconds.
    pub latency: Histogram<u64>,
    /// User and system time of all servers in the measured time.
    pub server_cpu: Duration,
    /// CPU time of the load generator.
    pub load_cpu: Duration,
}

/// The name of key `number`.
pub fn key(number: u64) -> Bytes {
    Bytes::from(format!("bench/{number:012}"))
}

/// The end of the range of all keys.
pub fn keys_end() -> Bytes {
    Bytes::from_static(b"bench0")
}

/// A histogram from 1 us to 100 s.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 100_000_000_000, 3).expect("the bounds are a fixed and valid choice")
}

/// Connections for `clients`: few enough to batch writes as busy services do, enough to use several threads, and the
/// same number for every server.
async fn connect(servers: &[Server], clients: usize) -> Result<Vec<Wire>, String> {
    let wanted = clients.div_ceil(16).clamp(1, 32);
    let count = if clients == 1 { 1 } else { wanted.next_multiple_of(servers.len()) };
    let mut wires = Vec::with_capacity(count);
    for server in servers.iter().cycle().take(count) {
        wires.push(server.connect().await?);
    }
    Ok(wires)
}

/// Start and end of the measured time and the measurements in it; shared by the clients of one thread.
struct Window {
    from: Cell<Instant>,
    until: Cell<Instant>,
    latency: RefCell<Histogram<u64>>,
    failure: RefCell<Option<String>>,
}

/// Runs `work` with `clients` for `seconds`, after a warm-up of a fifth of it. A single client uses the first server,
/// several clients use all servers.
pub async fn run(servers: &[Server], work: Work, clients: usize, seconds: f64) -> Result<Outcome, String> {
    let wires = connect(servers, clients).await?;
    let from = Instant::now() + Duration::from_secs_f64(seconds / 5.0);
    let until = from + Duration::from_secs_f64(seconds);
    let window = Rc::new(Window {
        from: Cell::new(from),
        until: Cell::new(until),
        latency: RefCell::new(histogram()),
        failure: RefCell::new(None),
    });
    let mut tasks = Vec::with_capacity(clients);
    for client in 0..clients {
        let wire = wires[client % wires.len()].clone();
        tasks.push(tokio::task::spawn_local(one_client(wire, work, client as u64, window.clone())));
    }
    tokio::time::sleep_until(from.into()).await;
    let (start, server_before, load_before) = (Instant::now(), cpu(servers)?, own_cpu()?);
    tokio::time::sleep_until(until.into()).await;
    let (elapsed, server_cpu) = (start.elapsed(), cpu(servers)? - server_before);
    let load_cpu = own_cpu()? - load_before;
    for task in tasks {
        let _ = task.await;
    }
    if let Some(failure) = window.failure.take() {
        return Err(failure);
    }
    let latency = window.latency.replace(histogram());
    Ok(Outcome { count: latency.len(), elapsed, latency, server_cpu, load_cpu })
}

async fn one_client(wire: Wire, work: Work, seed: u64, window: Rc<Window>) {
    let mut kv = KvClient::new(wire.clone()).max_decoding_message_size(usize::MAX);
    let mut dice = Dice::new(seed);
    loop {
        let start = Instant::now();
        if start >= window.until.get() {
            return;
        }
        if let Err(status) = one(&wire, &mut kv, work, &mut dice).await {
            window.failure.replace(Some(format!("{work:?}: {}: {}", status.code(), status.message())));
            window.until.set(start);
            return;
        }
        let end = Instant::now();
        if end >= window.from.get() && end < window.until.get() {
            window.latency.borrow_mut().saturating_record((end - start).as_nanos() as u64);
        }
    }
}

async fn one(wire: &Wire, kv: &mut KvClient<Wire>, work: Work, dice: &mut Dice) -> Result<(), tonic::Status> {
    match work {
        Work::Put => kv.put(random_put(dice)).await.map(drop),
        Work::PutOf(size) => kv.put(put(key(dice.below(KEYS)), dice.bytes(size))).await.map(drop),
        Work::Get { serializable } => kv.range(get(dice, serializable)).await.map(drop),
        Work::Mixed if dice.below(5) == 0 => kv.put(random_put(dice)).await.map(drop),
        Work::Mixed => kv.range(get(dice, false)).await.map(drop),
        Work::Txn => kv.txn(compare_and_put(dice)).await.map(drop),
        Work::Connect => {
            let own = wire.again().await.map_err(tonic::Status::unavailable)?;
            KvClient::new(own).range(get(dice, false)).await.map(drop)
        }
        Work::List => {
            let answer = kv.range(list()).await?.into_inner();
            if answer.kvs.len() as i64 == answer.count && answer.count >= KEYS as i64 {
                return Ok(());
            }
            Err(tonic::Status::data_loss(format!("{} of {} keys", answer.kvs.len(), answer.count)))
        }
    }
}

/// A put.
pub fn put(key: Bytes, value: Bytes) -> PutRequest {
    PutRequest { key, value, ..Default::default() }
}

/// A put of a random key.
pub fn random_put(dice: &mut Dice) -> PutRequest {
    put(key(dice.below(KEYS)), dice.bytes(VALUE))
}

/// A range over all keys.
pub fn list() -> RangeRequest {
    RangeRequest { key: Bytes::from_static(b"bench/"), range_end: keys_end(), ..Default::default() }
}

fn get(dice: &mut Dice, serializable: bool) -> RangeRequest {
    RangeRequest { key: key(dice.below(KEYS)), serializable, ..Default::default() }
}

fn compare_and_put(dice: &mut Dice) -> TxnRequest {
    let key = key(dice.below(KEYS));
    let compare = Compare {
        result: CompareResult::Greater as i32,
        target: CompareTarget::Version as i32,
        key: key.clone(),
        target_union: Some(TargetUnion::Version(-1)),
        ..Default::default()
    };
    let success = vec![RequestOp { request: Some(Request::RequestPut(put(key, dice.bytes(VALUE)))) }];
    TxnRequest { compare: vec![compare], success, failure: Vec::new() }
}

/// Puts keys 0 to `count` with values of `size` bytes, each once, in a scattered order, with `clients`.
pub async fn fill(servers: &[Server], count: u64, size: usize, clients: usize) -> Result<Outcome, String> {
    let wires = connect(servers, clients).await?;
    let next = Rc::new(Cell::new(0));
    let latency = Rc::new(RefCell::new(histogram()));
    let (start, server_before, load_before) = (Instant::now(), cpu(servers)?, own_cpu()?);
    let mut tasks = Vec::with_capacity(clients);
    for client in 0..clients {
        let mut kv = KvClient::new(wires[client % wires.len()].clone());
        let (next, latency) = (next.clone(), latency.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let mut dice = Dice::new(client as u64);
            while next.get() < count {
                let number = next.replace(next.get() + 1);
                let begun = Instant::now();
                kv.put(put(key(scattered(number, count)), dice.bytes(size))).await?;
                latency.borrow_mut().saturating_record(begun.elapsed().as_nanos() as u64);
            }
            Ok::<(), tonic::Status>(())
        }));
    }
    for task in tasks {
        let result = task.await.map_err(|error| error.to_string())?;
        result.map_err(|status| format!("fill: {}: {}", status.code(), status.message()))?;
    }
    let elapsed = start.elapsed();
    let (server_cpu, load_cpu) = (cpu(servers)? - server_before, own_cpu()? - load_before);
    Ok(Outcome { count, elapsed, latency: latency.replace(histogram()), server_cpu, load_cpu })
}

/// A permutation of 0..count: a multiplication by a number without a common factor.
fn scattered(number: u64, count: u64) -> u64 {
    let common = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let factor = ((count * 5 / 8) | 1..).find(|&factor| common(factor, count) == 1).unwrap_or(1);
    (u128::from(number) * u128::from(factor) % u128::from(count.max(1))) as u64
}

/// User and system time of this process.
pub fn own_cpu() -> Result<Duration, String> {
    crate::usage::cpu(std::process::id()).map_err(|error| error.to_string())
}
