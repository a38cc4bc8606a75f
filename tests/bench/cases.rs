//! What is compared: the cases, what each of them measures, and what kvd is meant to reach.

use crate::load::{self, KEYS, Outcome, VALUE, Work};
use crate::options::Options;
use crate::report::{Metric, Sample};
use crate::server::{Program, Server};
use crate::wire::Wire;
use crate::{lease, watch};
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use std::time::{Duration, Instant};

/// One thing to compare. Every run of it has a server and a data directory of its own.
pub struct Case {
    /// The name `--cases` selects it by.
    pub id: &'static str,
    /// For readers.
    pub title: &'static str,
    kind: Kind,
}

enum Kind {
    Load { work: Work, clients: usize },
    Watch { watchers: usize, writers: usize },
    KeepAlive { leases: usize },
    ManyKeys,
}

const fn load(id: &'static str, title: &'static str, work: Work, clients: usize) -> Case {
    Case { id, title, kind: Kind::Load { work, clients } }
}

const fn watch(id: &'static str, title: &'static str, watchers: usize, writers: usize) -> Case {
    Case { id, title, kind: Kind::Watch { watchers, writers } }
}

const LINEARIZABLE: Work = Work::Get { serializable: false };
const SERIALIZABLE: Work = Work::Get { serializable: true };

/// All cases, in the order they run.
pub const CASES: &[Case] = &[
    load("put-1", "put, 1 client", Work::Put, 1),
    load("put-64", "put, 64 clients", Work::Put, 64),
    load("put-1000", "put, 1000 clients", Work::Put, 1000),
    load("get-1", "get, linearizable, 1 client", LINEARIZABLE, 1),
    load("get-64", "get, linearizable, 64 clients", LINEARIZABLE, 64),
    load("get-serializable-64", "get, serializable, 64 clients", SERIALIZABLE, 64),
    load("txn-64", "txn (compare and put), 64 clients", Work::Txn, 64),
    load("mixed-64", "4 gets to 1 put, 64 clients", Work::Mixed, 64),
    load("list-10k", "list of 10,000 keys, 1 client", Work::List, 1),
    watch("watch-100", "event, 100 watchers, 16 writers", 100, 16),
    watch("watch-1000", "event, 1000 watchers, 1 writer", 1000, 1),
    Case { id: "keepalive", title: "keepalive, 200 leases", kind: Kind::KeepAlive { leases: 200 } },
    Case { id: "many-keys", title: "many keys: fill, memory, disk, list, restart", kind: Kind::ManyKeys },
];

/// The rows of the case `many-keys`, in the order they are measured.
pub const MANY_KEYS_ROWS: &[(&str, &str)] = &[
    ("fill", "fill with new keys, 1000 clients"),
    ("keys", "with all keys"),
    ("list-all", "list of all keys at once, 1 client"),
    ("restart", "restart with all keys"),
];

/// The most kvd may take of what etcd takes: row, metric, ratio.
pub const TARGETS: &[(&str, Metric, f64)] = &[
    ("put-1", Metric::Median, 0.85),
    ("put-64", Metric::ServerCpu, 0.6),
    ("get-64", Metric::ServerCpu, 0.7),
    ("get-serializable-64", Metric::ServerCpu, 0.7),
    ("list-10k", Metric::ServerCpu, 0.4),
    ("watch-100", Metric::ServerCpu, 0.5),
    ("watch-1000", Metric::ServerCpu, 0.5),
    ("keepalive", Metric::ServerCpu, 0.7),
    ("keys", Metric::Anonymous, 0.2),
    ("keys", Metric::Disk, 0.7),
    ("restart", Metric::Time, 0.2),
];

impl Case {
    /// Runs the case once against `program`.
    pub async fn run(&self, program: &Program, options: &Options) -> Result<Vec<Sample>, String> {
        let mut server = Server::start(program, &options.dir).await?;
        let result = match self.kind {
            Kind::ManyKeys => many_keys(&mut server, options).await,
            _ => self.measure(&server, options.seconds).await.map(|outcome| outcome_rows(self.id, &outcome)),
        };
        result.map_err(|error| format!("{error}\n{}", server.log_tail()))
    }

    async fn measure(&self, server: &Server, seconds: f64) -> Result<Outcome, String> {
        match self.kind {
            Kind::Watch { watchers, writers } => watch::run(server, watchers, writers, seconds).await,
            Kind::KeepAlive { leases } => lease::run(server, leases, seconds).await,
            Kind::Load { work, clients } => {
                load::fill(server, KEYS, 64).await?;
                load::run(server, work, clients, seconds).await
            }
            Kind::ManyKeys => Err("it is made of several measurements".to_owned()),
        }
    }
}

fn outcome_rows(row: &'static str, outcome: &Outcome) -> Vec<Sample> {
    let count = outcome.count.max(1) as f64;
    let quantile = |q: f64| outcome.latency.value_at_quantile(q) as f64 / 1e9;
    let values = [
        (Metric::Throughput, count / outcome.elapsed.as_secs_f64()),
        (Metric::Median, quantile(0.5)),
        (Metric::P99, quantile(0.99)),
        (Metric::ServerCpu, outcome.server_cpu.as_secs_f64() / count),
        (Metric::LoadCpu, outcome.load_cpu.as_secs_f64() / count),
    ];
    values.map(|(metric, value)| Sample { row, metric, value }).to_vec()
}

/// Fills the server, looks at what it holds, lists everything, and starts it again.
async fn many_keys(server: &mut Server, options: &Options) -> Result<Vec<Sample>, String> {
    let mut rows = outcome_rows("fill", &load::fill(server, options.keys, 1000).await?);
    // What the server does behind the last put belongs to the fill: until it has been idle for a moment.
    idle(server).await?;
    let memory = server.memory()?;
    let mut add = |row, metric, value: f64| rows.push(Sample { row, metric, value });
    add("keys", Metric::Resident, memory.resident as f64);
    add("keys", Metric::Anonymous, memory.anonymous as f64);
    add("keys", Metric::Disk, crate::usage::disk(&server.data()) as f64);
    add(
        "keys",
        Metric::DiskPerByte,
        crate::usage::disk(&server.data()) as f64 / (options.keys * payload()) as f64,
    );

    let (time, cpu) = list_all(server, options.keys).await?;
    add("list-all", Metric::Time, time.as_secs_f64());
    add("list-all", Metric::ServerCpu, cpu.as_secs_f64());
    add("list-all", Metric::Peak, server.memory()?.peak as f64);

    let mut times = Vec::new();
    for _ in 0..3 {
        server.stop().await?;
        times.push(server.resume().await?);
    }
    times.sort();
    add("restart", Metric::Time, times[1].as_secs_f64());
    idle(server).await?;
    add("restart", Metric::Resident, server.memory()?.resident as f64);
    add("restart", Metric::Anonymous, server.memory()?.anonymous as f64);
    Ok(rows)
}

/// Bytes of one key and its value.
fn payload() -> u64 {
    (load::key(0).len() + VALUE) as u64
}

/// Waits until the server uses less than a twentieth of a core for a second, at most half a minute.
async fn idle(server: &Server) -> Result<(), String> {
    for _ in 0..30 {
        let before = server.cpu()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        if server.cpu()? - before < Duration::from_millis(50) {
            break;
        }
    }
    Ok(())
}

/// Reads all keys in one answer, as a client without a limit does.
async fn list_all(server: &Server, expected: u64) -> Result<(Duration, Duration), String> {
    let mut kv = KvClient::new(Wire::connect(server.port()).await?).max_decoding_message_size(usize::MAX);
    let (start, cpu) = (Instant::now(), server.cpu()?);
    let answer = kv.range(load::list()).await.map_err(|status| format!("list of all keys: {status}"))?;
    let (elapsed, cpu) = (start.elapsed(), server.cpu()? - cpu);
    match answer.into_inner().kvs.len() as u64 {
        count if count == expected => Ok((elapsed, cpu)),
        count => Err(format!("listed {count} of {expected} keys")),
    }
}
