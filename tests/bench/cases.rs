//! The cases that are compared, what each of them measures, and the targets for kvd.

use crate::cluster::Cluster;
use crate::gaps::{self, Failure};
use crate::load::{self, KEYS, Outcome, VALUE, Work};
use crate::options::Options;
use crate::overload::{self, Scene};
use crate::report::{Limit, Metric, Sample};
use crate::server::{self, Program, Server};
use crate::tls::{Shown, Tls};
use crate::{backup, catch_up, hash, json, lease, watch};
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use std::time::{Duration, Instant};

/// One comparison. Every run of it has its own servers and data directories.
pub struct Case {
    /// The name `--cases` selects it by.
    pub id: &'static str,
    /// A title for readers.
    pub title: &'static str,
    /// The number of members of the new cluster.
    members: usize,
    /// If clients use TLS, who shows a certificate.
    tls: Option<Shown>,
    kind: Kind,
}

enum Kind {
    Load { work: Work, clients: usize },
    Watch { watchers: usize, writers: usize },
    KeepAlive { leases: usize },
    Json { work: json::Work, clients: usize },
    JsonWatch { watchers: usize },
    ManyKeys,
    Hash,
    Backup { keys: Option<u64> },
    Rest,
    Failover(Failure),
    Grow,
    CatchUp { value: usize },
    Overload(Scene),
}

const fn case(id: &'static str, title: &'static str, members: usize, kind: Kind) -> Case {
    Case { id, title, members, tls: None, kind }
}

const fn load(id: &'static str, title: &'static str, work: Work, clients: usize) -> Case {
    case(id, title, 1, Kind::Load { work, clients })
}

const fn tls(shown: Shown, id: &'static str, title: &'static str, work: Work, clients: usize) -> Case {
    Case { tls: Some(shown), ..load(id, title, work, clients) }
}

const fn load_on_3(id: &'static str, title: &'static str, work: Work, clients: usize) -> Case {
    case(id, title, 3, Kind::Load { work, clients })
}

const fn watch(id: &'static str, title: &'static str, watchers: usize, writers: usize) -> Case {
    case(id, title, 1, Kind::Watch { watchers, writers })
}

const fn json(id: &'static str, title: &'static str, work: json::Work, clients: usize) -> Case {
    case(id, title, 1, Kind::Json { work, clients })
}

const fn overload(id: &'static str, title: &'static str, scene: Scene) -> Case {
    case(id, title, 3, Kind::Overload(scene))
}

const LINEARIZABLE: Work = Work::Get { serializable: false };
const SERIALIZABLE: Work = Work::Get { serializable: true };

/// All cases, in the order they run.
pub const CASES: &[Case] = &[
    load("put-1", "put, 1 client", Work::Put, 1),
    load("put-64", "put, 64 clients", Work::Put, 64),
    load("put-1000", "put, 1000 clients", Work::Put, 1000),
    load("put-4k-16", "put of 4 KB, 16 clients", Work::PutOf(4 << 10), 16),
    load("put-100k-16", "put of 100 KB, 16 clients", Work::PutOf(100 << 10), 16),
    load("get-1", "get, linearizable, 1 client", LINEARIZABLE, 1),
    load("get-64", "get, linearizable, 64 clients", LINEARIZABLE, 64),
    load("get-serializable-64", "get, serializable, 64 clients", SERIALIZABLE, 64),
    load("txn-64", "txn (compare and put), 64 clients", Work::Txn, 64),
    load("mixed-64", "4 gets to 1 put, 64 clients", Work::Mixed, 64),
    load("list-10k", "list of 10,000 keys, 1 client", Work::List, 1),
    load("connect-16", "a new connection and a get, 16 clients", Work::Connect, 16),
    tls(Shown::Server, "tls-put-64", "TLS: put, 64 clients", Work::Put, 64),
    tls(Shown::Server, "tls-get-64", "TLS: get, linearizable, 64 clients", LINEARIZABLE, 64),
    tls(Shown::Server, "tls-connect-16", "TLS: a new connection and a get, 16 clients", Work::Connect, 16),
    tls(Shown::Both, "tls-certified-16", "TLS: the same, clients show certificates", Work::Connect, 16),
    watch("watch-100", "event, 100 watchers, 16 writers", 100, 16),
    watch("watch-1000", "event, 1000 watchers, 1 writer", 1000, 1),
    case("keepalive", "keepalive, 200 leases", 1, Kind::KeepAlive { leases: 200 }),
    json("json-put-64", "JSON: put, 64 clients", json::Work::Put, 64),
    json("json-get-64", "JSON: get, linearizable, 64 clients", json::Work::Get, 64),
    case("json-watch-100", "JSON: event, 100 watchers", 1, Kind::JsonWatch { watchers: 100 }),
    case("many-keys", "many keys: fill, memory, disk, list, restart", 1, Kind::ManyKeys),
    case("hash", "puts of 16 clients while all keys are hashed", 1, Kind::Hash),
    case("backup", "backup of all keys", 1, Kind::Backup { keys: None }),
    case("backup-10", "backup of ten keys", 1, Kind::Backup { keys: Some(10) }),
    case("rest", "at rest; CPU in a minute", 1, Kind::Rest),
    case("cluster-rest", "3 members: at rest; CPU of all in a minute", 3, Kind::Rest),
    load_on_3("cluster-put-1", "3 members: put, 1 client", Work::Put, 1),
    load_on_3("cluster-put-64", "3 members: put, 64 clients", Work::Put, 64),
    load_on_3("cluster-get-64", "3 members: get, linearizable, 64 clients", LINEARIZABLE, 64),
    case("failover-kill", "3 members: kill -9 of the leader", 3, Kind::Failover(Failure::Kill)),
    case("failover-stop", "3 members: SIGSTOP of the leader", 3, Kind::Failover(Failure::Stop)),
    case("failover-term", "3 members: SIGTERM of the leader", 3, Kind::Failover(Failure::Term)),
    case("grow", "from 1 member to 3", 1, Kind::Grow),
    case("catch-up", "3 members with 1 KiB values: one is added", 3, Kind::CatchUp { value: 1 << 10 }),
    case("catch-up-16k", "3 members with 16 KiB values: one is added", 3, Kind::CatchUp { value: 16 << 10 }),
    overload("overload-ranges", "10 lists of 134 MB at once; a restart with them", Scene::Ranges),
    overload("overload-range-streams", "10 streamed lists of 2 GB at once; a restart", Scene::RangeStreams),
    overload("overload-watchers", "10,000 watchers, and one that never reads", Scene::Watchers),
    overload("overload-many-leases", "100,000 leases run out together", Scene::ManyLeases),
    overload("overload-one-lease", "a lease with 1,000,000 keys is revoked", Scene::OneLease),
    overload("overload-compaction", "1,000,000 versions are compacted", Scene::Compaction),
    overload("overload-clients", "puts of 1,000 clients", Scene::Clients),
    overload("overload-large", "puts of 1 MB, 64 clients, 1 GB", Scene::Large),
    overload("overload-streams", "50,000 streams at rest", Scene::Streams),
];

/// The rows of cases that have several, in the order they are measured.
pub const PARTS: &[(&str, &str)] = &[
    ("fill", "fill with new keys, 1000 clients"),
    ("keys", "with all keys"),
    ("list-all", "list of all keys at once, 1 client"),
    ("restart", "restart with all keys"),
    ("hash-before", "puts of 16 clients before; one hash"),
];

/// The most kvd may take: row, metric, limit.
pub const TARGETS: &[(&str, Metric, Limit)] = &[
    ("put-1", Metric::Median, Limit::OfEtcd(0.85)),
    ("put-64", Metric::ServerCpu, Limit::OfEtcd(0.6)),
    ("get-64", Metric::ServerCpu, Limit::OfEtcd(0.7)),
    ("get-serializable-64", Metric::ServerCpu, Limit::OfEtcd(0.7)),
    ("list-10k", Metric::ServerCpu, Limit::OfEtcd(0.4)),
    ("tls-put-64", Metric::ServerCpu, Limit::OfEtcd(0.6)),
    ("tls-get-64", Metric::ServerCpu, Limit::OfEtcd(0.6)),
    // Each client has one connection at a time: half as many again a second.
    ("tls-connect-16", Metric::Median, Limit::OfEtcd(1.0 / 1.5)),
    ("watch-100", Metric::ServerCpu, Limit::OfEtcd(0.5)),
    ("watch-1000", Metric::ServerCpu, Limit::OfEtcd(0.5)),
    ("keepalive", Metric::ServerCpu, Limit::OfEtcd(0.7)),
    ("json-put-64", Metric::ServerCpu, Limit::OfEtcd(0.4)),
    ("json-get-64", Metric::ServerCpu, Limit::OfEtcd(0.4)),
    ("json-watch-100", Metric::ServerCpu, Limit::OfEtcd(0.5)),
    ("keys", Metric::Anonymous, Limit::OfEtcd(0.2)),
    ("keys", Metric::Disk, Limit::OfEtcd(0.7)),
    ("restart", Metric::Time, Limit::OfEtcd(0.2)),
    ("backup", Metric::Time, Limit::OfEtcd(2.0)),
    ("backup", Metric::Anonymous, Limit::Absolute((64 << 20) as f64)),
    ("rest", Metric::Anonymous, Limit::Absolute(10e6)),
    ("rest", Metric::ServerCpu, Limit::Absolute(0.1)),
    ("cluster-put-1", Metric::Median, Limit::OfEtcd(0.85)),
    ("cluster-put-64", Metric::ServerCpu, Limit::OfEtcd(0.6)),
    ("cluster-get-64", Metric::ServerCpu, Limit::OfEtcd(0.7)),
    ("failover-kill", Metric::Gap, Limit::OfEtcd(0.7)),
    ("failover-term", Metric::Gap, Limit::OfEtcd(1.0)),
    ("grow", Metric::Gap, Limit::Absolute(0.5)),
    ("catch-up", Metric::Time, Limit::OfEtcd(1.0 / 1.5)),
    ("catch-up", Metric::Elections, Limit::Absolute(0.0)),
    ("catch-up-16k", Metric::Time, Limit::OfEtcd(1.0 / 1.5)),
    ("catch-up-16k", Metric::Elections, Limit::Absolute(0.0)),
];

impl Case {
    /// Whether it runs only if it is named: it takes minutes and gigabytes.
    pub fn is_heavy(&self) -> bool {
        matches!(self.kind, Kind::Overload(_))
    }

    /// Runs the case once against `program`.
    pub async fn run(&self, program: &Program, options: &Options) -> Result<Vec<Sample>, String> {
        let mut program = program.clone();
        if matches!(self.kind, Kind::Overload(_)) {
            program.args.extend(overload::OPTIONS.map(str::to_owned));
        }
        if matches!(self.kind, Kind::CatchUp { .. } | Kind::Hash) {
            program.args.extend(catch_up::OPTIONS.map(str::to_owned));
        }
        if let Some(shown) = self.tls {
            program.tls = Some(Tls::new(&options.dir, shown)?);
        }
        let mut cluster = Cluster::start(&program, &options.dir, self.members).await?;
        let result = match self.kind {
            Kind::ManyKeys => many_keys(&mut cluster.members, options).await,
            Kind::Hash => hash::run(&cluster.members, options.keys, options.seconds).await,
            Kind::Backup { keys } => {
                backup::run(self.id, &cluster.members, keys.unwrap_or(options.keys), VALUE).await
            }
            Kind::Rest => rest(self.id, &cluster.members, options.seconds).await,
            Kind::Failover(failure) => gaps::failover(self.id, &mut cluster, failure).await,
            Kind::Grow => gaps::grow(self.id, &mut cluster).await,
            Kind::CatchUp { value } => catch_up::run(self.id, &mut cluster, options.keys * 1024, value).await,
            Kind::Overload(scene) => {
                overload::run(self.id, scene, &mut cluster, options.keys, options.seconds).await
            }
            _ => {
                let outcome = self.measure(&cluster.members, options.seconds).await;
                outcome.map(|outcome| outcome_rows(self.id, &outcome))
            }
        };
        result.map_err(|error| format!("{error}\n{}", cluster.log_tails()))
    }

    async fn measure(&self, servers: &[Server], seconds: f64) -> Result<Outcome, String> {
        match self.kind {
            Kind::Watch { watchers, writers } => watch::run(&servers[0], watchers, writers, seconds).await,
            Kind::KeepAlive { leases } => lease::run(&servers[0], leases, seconds).await,
            Kind::Json { work, clients } => {
                load::fill(servers, KEYS, VALUE, 64).await?;
                json::run(&servers[0], work, clients, seconds).await
            }
            Kind::JsonWatch { watchers } => json::watch(&servers[0], watchers, seconds).await,
            Kind::Load { work, clients } => {
                load::fill(servers, KEYS, VALUE, 64).await?;
                load::run(servers, work, clients, seconds).await
            }
            _ => Err("it is made of several measurements".to_owned()),
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

/// Leaves the members alone for `seconds`, but at least 20, because the kernel counts CPU time in hundredths of a second.
async fn rest(row: &'static str, servers: &[Server], seconds: f64) -> Result<Vec<Sample>, String> {
    idle(servers).await?;
    let (start, before) = (Instant::now(), server::cpu(servers)?);
    tokio::time::sleep(Duration::from_secs_f64(seconds.max(20.0))).await;
    let cpu = (server::cpu(servers)? - before).as_secs_f64() * 60.0 / start.elapsed().as_secs_f64();
    let mut anonymous = 0;
    for server in servers {
        anonymous += server.memory()?.anonymous;
    }
    let values = [(Metric::Anonymous, anonymous as f64), (Metric::ServerCpu, cpu)];
    Ok(values.map(|(metric, value)| Sample { row, metric, value }).to_vec())
}

/// Fills the server, measures memory and disk, lists everything, and restarts the server.
async fn many_keys(servers: &mut [Server], options: &Options) -> Result<Vec<Sample>, String> {
    let mut rows = outcome_rows("fill", &load::fill(servers, options.keys, VALUE, 1000).await?);
    // The server's work after the last put belongs to the fill: wait until it has been idle for a moment.
    idle(servers).await?;
    let [server] = servers else { return Err("it is about one server".to_owned()) };
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
    idle(std::slice::from_ref(server)).await?;
    add("restart", Metric::Resident, server.memory()?.resident as f64);
    add("restart", Metric::Anonymous, server.memory()?.anonymous as f64);
    Ok(rows)
}

/// Bytes of one key and its value.
fn payload() -> u64 {
    (load::key(0).len() + VALUE) as u64
}

/// Waits until the servers use less than a twentieth of a core for a second, at most half a minute.
pub async fn idle(servers: &[Server]) -> Result<(), String> {
    for _ in 0..30 {
        let before = server::cpu(servers)?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        if server::cpu(servers)? - before < Duration::from_millis(50) {
            break;
        }
    }
    Ok(())
}

/// Reads all keys in one answer, as a client without a limit does.
async fn list_all(server: &Server, expected: u64) -> Result<(Duration, Duration), String> {
    let mut kv = KvClient::new(server.connect().await?).max_decoding_message_size(usize::MAX);
    let (start, cpu) = (Instant::now(), server.cpu()?);
    let answer = kv.range(load::list()).await.map_err(|status| format!("list of all keys: {status}"))?;
    let (elapsed, cpu) = (start.elapsed(), server.cpu()? - cpu);
    match answer.into_inner().kvs.len() as u64 {
        count if count == expected => Ok((elapsed, cpu)),
        count => Err(format!("listed {count} of {expected} keys")),
    }
}
