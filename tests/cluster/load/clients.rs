//! Clients on their own host: writers and readers with one call at a time each, and watchers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use kvd::api::proto::etcdserverpb::request_op::Request;
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, ResponseHeader, TxnRequest,
    WatchCreateRequest, WatchProgressRequest, WatchRequest,
};
use kvd::api::proto::mvccpb::event::EventType;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::IntervalStream;

use super::super::api::Api;
use super::super::dice::Dice;
use super::super::linearizability::{Answer, Call, History, Op, Value};
use super::super::program::subject;
use super::super::server::PATIENCE;
use super::members::{Cluster, on_host};
use super::users::{LOAD, Pass, ROOT};
use super::{locks, trees, users};

const CLIENTS: usize = 8;
const WATCHERS: usize = 2;
const COUNTERS: usize = 3;
const TREE_CLIENTS: usize = 2;
const KEYS: usize = 6;
/// Keys are abandoned after this time: by then the outcome of calls without an answer does not matter any more.
pub const EPOCH: Duration = Duration::from_secs(5);
/// How long a client waits for an answer.
pub const PATIENT: Duration = Duration::from_secs(4);

/// An event: its revision, its key, its value or `None` if it was deleted.
pub type Seen = (i64, String, Option<Value>);

/// The clients' record.
#[derive(Default)]
pub struct Record {
    pub calls: Mutex<Vec<Call>>,
    /// Changes that were acknowledged: revision, key, value.
    pub acknowledged: Mutex<Vec<Seen>>,
    /// The events that each watcher received, in order.
    pub watched: Mutex<Vec<Vec<Seen>>>,
    /// Milliseconds at which a write was acknowledged.
    pub writes: Mutex<Vec<u64>>,
    /// The calls of v2.
    pub nodes: Mutex<Vec<Call>>,
    /// How often a permission changed, and was used or refused.
    pub permissions: AtomicU64,
    /// Leases that ran out.
    pub ran_out: AtomicU64,
    /// What a client saw and must never see.
    pub wrongs: Mutex<Vec<String>>,
    marks: Mutex<Vec<(u64, String)>>,
    /// Whether the lease existed each time it was checked; `None` until it is granted.
    pub lease: Mutex<Option<bool>>,
    pub values: AtomicU64,
    newest: AtomicI64,
    pub stop: AtomicBool,
    /// All but the watchers have ended.
    is_written: AtomicBool,
    watch_until: AtomicI64,
}

/// All clients, running.
pub struct Clients {
    pub record: Arc<Record>,
    begun: Instant,
    thread: JoinHandle<()>,
}

/// The key's name.
pub fn key_name(key: usize) -> String {
    format!("k/{}/{}", key / KEYS, key % KEYS)
}

impl Clients {
    /// Starts clients that use all members, including those that join later.
    pub fn start(cluster: &Cluster, seed: u64) -> Clients {
        let record = Arc::new(Record { watch_until: AtomicI64::new(i64::MAX), ..Record::default() });
        let begun = Instant::now();
        let (host, shared) = (cluster.client_host(), record.clone());
        let urls: Vec<String> = (0..cluster.servers.len()).map(|member| cluster.url(member)).collect();
        let (founders, has_tree) = (urls[..cluster.members().len()].to_vec(), subject().is_kvd());
        let thread = std::thread::spawn(move || {
            on_host(&host, move || async move {
                let mut dice = Dice::new(seed);
                let (mut tasks, mut watchers) = (JoinSet::new(), JoinSet::new());
                for number in 0..CLIENTS {
                    let apis = urls.iter().map(|url| (Api::lazy(url), Pass::of(LOAD))).collect();
                    let client =
                        Client { number, apis, record: shared.clone(), begun, dice: Dice::new(dice.next()) };
                    tasks.spawn_local(client.run());
                }
                for _ in 0..WATCHERS {
                    watchers.spawn_local(watch(urls.clone(), shared.clone(), Dice::new(dice.next())));
                }
                let mut part = || (urls.clone(), shared.clone(), Dice::new(dice.next()));
                let (members, record, own) = part();
                tasks.spawn_local(locks::hold_a_lease(members, record, own));
                let (members, record, own) = part();
                tasks.spawn_local(locks::let_leases_run_out(members, record, own));
                for _ in 0..COUNTERS {
                    let (members, record, own) = part();
                    tasks.spawn_local(locks::count_under_a_lock(members, record, own));
                }
                let (members, record, own) = part();
                tasks.spawn_local(users::change_permissions(members, record, own));
                for number in 0..if has_tree { TREE_CLIENTS } else { 0 } {
                    let (_, record, own) = part();
                    tasks.spawn_local(trees::write_nodes(number, founders.clone(), record, begun, own));
                }
                while let Some(ended) = tasks.join_next().await {
                    ended.expect("clients do not panic");
                }
                shared.is_written.store(true, Ordering::SeqCst);
                while let Some(ended) = watchers.join_next().await {
                    ended.expect("clients do not panic");
                }
            });
        });
        Clients { record, begun, thread }
    }

    /// Records that an event happens now.
    pub fn mark(&self, what: &str) {
        self.record.marks.lock().push((self.begun.elapsed().as_millis() as u64, what.to_string()));
    }

    /// Waits until writes are acknowledged again.
    pub fn until_served(&self, cluster: &mut Cluster) {
        let since = self.begun.elapsed().as_millis() as u64;
        let begun = Instant::now();
        while self.record.writes.lock().iter().filter(|at| **at > since).count() < 20 {
            assert!(begun.elapsed() < PATIENCE, "no writes are acknowledged{}", cluster.tails());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Lets the clients finish their calls, and the watchers see everything up to a revision that is read after all
    /// calls.
    pub fn finish(self, last_revision: impl FnOnce() -> i64) -> Arc<Record> {
        self.record.stop.store(true, Ordering::SeqCst);
        while !self.record.is_written.load(Ordering::SeqCst) && !self.thread.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.record.watch_until.store(last_revision(), Ordering::SeqCst);
        self.thread.join().expect("clients do not panic");
        self.record
    }
}

impl Record {
    pub fn history(&self) -> History {
        History(self.calls.lock().clone())
    }

    /// The longest time without an acknowledged write after each event, until the next one.
    pub fn gaps(&self) -> Vec<(String, u64)> {
        let (marks, mut writes) = (self.marks.lock().clone(), self.writes.lock().clone());
        writes.sort_unstable();
        let end = writes.last().copied().unwrap_or(0);
        let gap = |(number, (from, what)): (usize, &(u64, String))| {
            let to = marks.get(number + 1).map_or(end, |(next, _)| *next);
            let within = writes.iter().copied().filter(|at| (*from..to).contains(at));
            let times: Vec<u64> = [*from].into_iter().chain(within).chain([to]).collect();
            (what.clone(), times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0))
        };
        marks.iter().enumerate().map(gap).collect()
    }

    /// True if the lease existed to the end.
    pub fn lease_is_held(&self) -> bool {
        *self.lease.lock() == Some(true)
    }

    /// Notes what must never be seen.
    pub fn wrong(&self, what: String) {
        self.wrongs.lock().push(what);
    }

    fn saw(&self, header: &Option<ResponseHeader>) -> i64 {
        let revision = header.as_ref().map_or(0, |header| header.revision);
        self.newest.fetch_max(revision, Ordering::SeqCst);
        revision
    }
}

struct Client {
    number: usize,
    apis: Vec<(Api, Pass)>,
    record: Arc<Record>,
    begun: Instant,
    dice: Dice,
}

impl Client {
    async fn run(mut self) {
        let mut member = self.dice.below(self.apis.len());
        let mut last_seen: Option<(usize, Value)> = None;
        while !self.record.stop.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(self.dice.within(1, 15) as u64)).await;
            let epoch = (self.begun.elapsed().as_millis() / EPOCH.as_millis()) as usize;
            let key = epoch * KEYS + self.dice.below(KEYS);
            let value = self.record.values.fetch_add(1, Ordering::SeqCst) + 1;
            let op = match self.dice.weighted(&[40, 30, 20, 10]) {
                0 => Op::Put(value),
                1 => Op::Get,
                2 => Op::Swap {
                    expected: last_seen.filter(|(of, _)| *of == key).map(|(_, seen)| seen),
                    new: value,
                },
                _ => Op::Delete,
            };
            let called = self.now();
            let answer = tokio::time::timeout(PATIENT, ask(&self.apis[member], &key_name(key), op)).await;
            let returned = self.now();
            let mut call = Call { client: self.number, key, op, called, answer: None };
            match answer {
                Ok(Ok((answer, header))) => {
                    call.answer = Some((returned, answer));
                    let revision = self.record.saw(&header);
                    self.acknowledged(key, op, answer, revision);
                    last_seen = match (op, answer) {
                        (_, Answer::Value(Some(value))) => Some((key, value)),
                        (Op::Put(value), _) | (Op::Swap { new: value, .. }, Answer::Swapped(true)) => {
                            Some((key, value))
                        }
                        _ => last_seen,
                    };
                }
                Ok(Err(status)) if never_left(&status) => {
                    member = self.dice.below(self.apis.len());
                    continue;
                }
                Ok(Err(_)) | Err(_) => {
                    // The outcome is unknown here; another member may know more.
                    member = self.dice.below(self.apis.len());
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            if self.dice.one_in(50) {
                member = self.dice.below(self.apis.len());
            }
            self.record.calls.lock().push(call);
        }
    }

    /// Nanoseconds since the beginning.
    fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    fn acknowledged(&self, key: usize, op: Op, answer: Answer, revision: i64) {
        let change = match (op, answer) {
            (Op::Put(value), _) | (Op::Swap { new: value, .. }, Answer::Swapped(true)) => Some(value),
            (Op::Delete, Answer::Deleted(true)) => None,
            _ => return,
        };
        self.record.acknowledged.lock().push((revision, key_name(key), change));
        self.record.writes.lock().push(self.begun.elapsed().as_millis() as u64);
    }
}

/// True if there was no connection on which the request could have been sent.
fn never_left(status: &tonic::Status) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.to_string().contains("tcp connect error") {
            return true;
        }
        cause = error.source();
    }
    false
}

type Answered = Result<(Answer, Option<ResponseHeader>), tonic::Status>;

async fn ask((api, pass): &(Api, Pass), key: &str, op: Op) -> Answered {
    pass.ask(api, async || ask_once(api, pass, key, op).await).await
}

async fn ask_once(api: &Api, pass: &Pass, key: &str, op: Op) -> Answered {
    let mut kv = api.kv.clone();
    let put = |value: Value| PutRequest {
        key: key.to_owned().into(),
        value: value.to_string().into(),
        ..Default::default()
    };
    match op {
        Op::Get => {
            let request = RangeRequest { key: key.to_owned().into(), ..Default::default() };
            let answer = kv.range(pass.on(request)).await?.into_inner();
            Ok((Answer::Value(answer.kvs.first().and_then(|kv| number(&kv.value))), answer.header))
        }
        Op::Put(value) => Ok((Answer::Put, kv.put(pass.on(put(value))).await?.into_inner().header)),
        Op::Delete => {
            let request = DeleteRangeRequest { key: key.to_owned().into(), ..Default::default() };
            let answer = kv.delete_range(pass.on(request)).await?.into_inner();
            Ok((Answer::Deleted(answer.deleted > 0), answer.header))
        }
        Op::Swap { expected, new } => {
            let (target, union) = match expected {
                Some(value) => (CompareTarget::Value, TargetUnion::Value(value.to_string().into())),
                None => (CompareTarget::Create, TargetUnion::CreateRevision(0)),
            };
            let compare = Compare {
                result: CompareResult::Equal.into(),
                target: target.into(),
                key: key.to_owned().into(),
                target_union: Some(union),
                ..Default::default()
            };
            let success = vec![RequestOp { request: Some(Request::RequestPut(put(new))) }];
            let request = TxnRequest { compare: vec![compare], success, ..Default::default() };
            let answer = kv.txn(pass.on(request)).await?.into_inner();
            Ok((Answer::Swapped(answer.succeeded), answer.header))
        }
    }
}

pub fn number(value: &[u8]) -> Option<Value> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Watches all keys from the beginning, at one member after another.
async fn watch(urls: Vec<String>, record: Arc<Record>, mut dice: Dice) {
    let mut seen: Vec<Seen> = Vec::new();
    let done =
        |seen: &Vec<Seen>| seen.last().map_or(1, |last| last.0) >= record.watch_until.load(Ordering::SeqCst);
    let begun_to_end = |since: &mut Option<Instant>| {
        let ending = record.watch_until.load(Ordering::SeqCst) < i64::MAX;
        ending && since.get_or_insert_with(Instant::now).elapsed() > PATIENCE
    };
    let mut ending = None;
    while !done(&seen) && !begun_to_end(&mut ending) {
        let url = &urls[dice.below(urls.len())];
        // A stream that has been silent for long, or has sent much, is replaced by one at another member.
        let told = dice.within(100, 3000) as usize;
        let followed = follow(url, LOAD, &mut seen, told, &done);
        let _ = tokio::time::timeout(Duration::from_secs(10), followed).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen.retain(|event| event.0 <= record.watch_until.load(Ordering::SeqCst));
    record.watched.lock().push(seen);
}

async fn follow(
    url: &str,
    user: &'static str,
    seen: &mut Vec<Seen>,
    most: usize,
    done: &impl Fn(&Vec<Seen>) -> bool,
) -> Result<(), tonic::Status> {
    let start_revision = seen.last().map_or(2, |last| last.0 + 1);
    let create =
        WatchCreateRequest { key: "k/".into(), range_end: "k0".into(), start_revision, ..Default::default() };
    let request = |union| WatchRequest { request_union: Some(union) };
    let ticks = IntervalStream::new(tokio::time::interval(Duration::from_millis(100)));
    let asks = ticks.map(move |_| request(RequestUnion::ProgressRequest(WatchProgressRequest {})));
    let requests = tokio_stream::once(request(RequestUnion::CreateRequest(create))).chain(asks);
    let (mut api, pass) = (Api::lazy(url), Pass::of(user));
    pass.log_in(&api).await?;
    let mut stream = api.watch.watch(pass.on(requests)).await?.into_inner();
    let before = seen.len();
    let mut shown = 0;
    while let Some(answer) = stream.message().await? {
        // Revisions on a stream only go forward; etcd shows none if a compaction ends a watcher.
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        let forward = revision >= shown || !subject().is_kvd();
        assert!(forward, "{url}: a watch stream shows revision {revision} after {shown}");
        shown = revision;
        for event in answer.events {
            let value = match event.r#type() {
                EventType::Put => event.kv.as_ref().and_then(|kv| number(&kv.value)),
                EventType::Delete => None,
            };
            let kv = event.kv.unwrap_or_default();
            seen.push((kv.mod_revision, String::from_utf8_lossy(&kv.key).into_owned(), value));
        }
        if answer.canceled || done(seen) || seen.len() > before + most {
            return Ok(());
        }
    }
    Ok(())
}

/// All events of a member, from the beginning to a revision.
pub async fn whole_story(url: &str, last: i64) -> Vec<Seen> {
    let mut seen = Vec::new();
    let done = |seen: &Vec<Seen>| seen.last().is_some_and(|event| event.0 >= last);
    let followed = follow(url, ROOT, &mut seen, usize::MAX, &done);
    let _ = tokio::time::timeout(PATIENCE, followed).await;
    // A call that its client has given up may still be done.
    seen.retain(|event| event.0 <= last);
    seen
}
