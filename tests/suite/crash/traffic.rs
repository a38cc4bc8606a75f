//! Writers, a watcher and maintenance that continue through outages.

use super::ledger::{COUNTER, Deed, Ledger};
use crate::harness::{Api, Dice, PATIENCE};
use kvd::api::proto::etcdserverpb::compare::TargetUnion;
use kvd::api::proto::etcdserverpb::request_op::Request;
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::etcdserverpb::{
    CompactionRequest, Compare, DefragmentRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest,
    PutRequest, RangeRequest, RequestOp, ResponseHeader, TxnRequest, WatchCreateRequest, WatchRequest,
};
use kvd::api::proto::mvccpb::{Event, KeyValue};
use prost::bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Status;

const WRITERS: usize = 4;

/// The requests of the writers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Single puts.
    Puts,
    /// Also transactions, deletes, leases, compactions, defragmentation.
    Everything,
}

/// All clients of a crash test.
pub struct Traffic {
    up: watch::Sender<bool>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
    watcher: JoinHandle<()>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    events: Mutex<Vec<Event>>,
    revision: AtomicI64,
}

impl Traffic {
    /// Starts the clients of the server at `url`.
    pub fn start(url: String, ledger: Arc<Ledger>, mix: Mix, seed: u64) -> Traffic {
        let (up, status) = watch::channel(true);
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Seen::default());
        seen.revision.store(1, Ordering::SeqCst);
        let mut dice = Dice::new(seed);
        let mut writers = Vec::new();
        for id in 0..WRITERS {
            let writer = Writer {
                id,
                url: url.clone(),
                api: Api::lazy(&url),
                ledger: ledger.clone(),
                dice: Dice::new(dice.next()),
                deeds: 0,
                kept: Vec::new(),
            };
            writers.push(tokio::spawn(writer.work(mix, status.clone(), stop.clone())));
        }
        if mix == Mix::Everything {
            let keeper = maintenance(url.clone(), seen.clone(), status.clone(), stop.clone());
            writers.push(tokio::spawn(keeper));
        }
        let watcher = tokio::spawn(observe(url, seen.clone(), status));
        Traffic { up, stop, writers, watcher, seen }
    }

    /// The server is down: clients pause after their next error.
    pub fn outage(&self) {
        self.up.send_replace(false);
    }

    /// The server is back.
    pub fn resume(&self) {
        self.up.send_replace(true);
    }

    /// Ends the writers, waits until the watcher has seen everything, and returns its history.
    pub async fn finish(mut self, api: &Api) -> Vec<Event> {
        self.stop.store(true, Ordering::SeqCst);
        for writer in self.writers.drain(..) {
            writer.await.expect("a writer ends in order");
        }
        let revision = revision(api).await;
        let seen = self.seen.clone();
        crate::harness::until("the watcher to see everything", || {
            seen.revision.load(Ordering::SeqCst) >= revision
        })
        .await;
        self.watcher.abort();
        std::mem::take(&mut *self.seen.events.lock().expect("no panic while held"))
    }
}

/// Waits until the server is up; false if the test is over.
async fn up(status: &mut watch::Receiver<bool>) -> bool {
    status.wait_for(|up| *up).await.is_ok()
}

struct Writer {
    id: usize,
    url: String,
    api: Api,
    ledger: Arc<Ledger>,
    dice: Dice,
    deeds: u64,
    /// Keys of acknowledged puts that have not been deleted since.
    kept: Vec<Bytes>,
}

impl Writer {
    async fn work(mut self, mix: Mix, mut status: watch::Receiver<bool>, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::SeqCst) {
            let deed = match mix {
                Mix::Puts => self.put().await,
                Mix::Everything => match self.dice.below(12) {
                    0..6 => self.put().await,
                    6 | 7 => self.pair().await,
                    8 | 9 => self.count().await,
                    10 => self.delete().await,
                    _ => self.lease().await,
                },
            };
            if deed.is_err() {
                // A request without an answer may have been carried out: the next action is another one.
                if !up(&mut status).await {
                    return;
                }
                self.api = Api::lazy(&self.url);
            }
        }
    }

    fn key(&mut self) -> Bytes {
        self.deeds += 1;
        format!("w{}/{:06}", self.id, self.deeds).into()
    }

    fn value(&mut self) -> Bytes {
        let length = self.dice.pick(&[8, 64, 64, 256, 2000]);
        let stamp = self.dice.next().to_string();
        stamp.bytes().cycle().take(length).collect()
    }

    async fn put(&mut self) -> Result<(), Status> {
        let (key, value) = (self.key(), self.value());
        let index = self.ledger.attempt(Deed::Put(vec![key.clone()], value.clone()));
        let request = PutRequest { key: key.clone(), value, ..Default::default() };
        let answer = patient(self.api.kv.put(request)).await?;
        self.ledger.acknowledge(index, at(answer.header));
        self.kept.push(key);
        Ok(())
    }

    /// Two keys in one transaction.
    async fn pair(&mut self) -> Result<(), Status> {
        let keys = vec![self.key(), self.key()];
        let value = self.value();
        let index = self.ledger.attempt(Deed::Put(keys.clone(), value.clone()));
        let success = keys.into_iter().map(|key| put_op(key, value.clone(), 0)).collect();
        let answer = patient(self.api.kv.txn(TxnRequest { success, ..Default::default() })).await?;
        self.ledger.acknowledge(index, at(answer.header));
        Ok(())
    }

    /// Increases the counter, unless another writer does so first.
    async fn count(&mut self) -> Result<(), Status> {
        let request = RangeRequest { key: COUNTER.into(), ..Default::default() };
        let answer = patient(self.api.kv.range(request)).await?;
        let (mod_revision, value) = match answer.kvs.first() {
            Some(kv) => (kv.mod_revision, String::from_utf8_lossy(&kv.value).parse().unwrap_or(0)),
            None => (0, 0),
        };
        let index = self.ledger.attempt(Deed::Count(value + 1));
        let compare = Compare {
            target: 2,
            key: COUNTER.into(),
            target_union: Some(TargetUnion::ModRevision(mod_revision)),
            ..Default::default()
        };
        let success = vec![put_op(COUNTER.into(), (value + 1).to_string().into(), 0)];
        let request = TxnRequest { compare: vec![compare], success, ..Default::default() };
        let answer = patient(self.api.kv.txn(request)).await?;
        if answer.succeeded {
            self.ledger.acknowledge(index, at(answer.header));
        } else {
            self.ledger.refused(index);
        }
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), Status> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let key = self.kept.swap_remove(self.dice.below(self.kept.len()));
        let index = self.ledger.attempt(Deed::Delete(vec![key.clone()]));
        let request = DeleteRangeRequest { key: key.clone(), ..Default::default() };
        let answer = patient(self.api.kv.delete_range(request)).await?;
        assert_eq!(answer.deleted, 1, "{key:?} was acknowledged and is gone");
        self.ledger.acknowledge(index, at(answer.header));
        Ok(())
    }

    /// Grants a lease with two keys, and sometimes ends it.
    async fn lease(&mut self) -> Result<(), Status> {
        let lease = (self.id as i64 + 1) << 32 | (self.deeds as i64 + 1);
        patient(self.api.lease.lease_grant(LeaseGrantRequest { id: lease, ttl: 3600 })).await?;
        let keys = vec![self.key(), self.key()];
        let value = self.value();
        let index = self.ledger.attempt(Deed::Put(keys.clone(), value.clone()));
        let success = keys.iter().map(|key| put_op(key.clone(), value.clone(), lease)).collect();
        let answer = patient(self.api.kv.txn(TxnRequest { success, ..Default::default() })).await?;
        self.ledger.acknowledge(index, at(answer.header));
        if self.dice.one_in(2) {
            let index = self.ledger.attempt(Deed::Delete(keys));
            let answer = patient(self.api.lease.lease_revoke(LeaseRevokeRequest { id: lease })).await?;
            self.ledger.acknowledge(index, at(answer.header));
        }
        Ok(())
    }
}

fn put_op(key: Bytes, value: Bytes, lease: i64) -> RequestOp {
    let put = PutRequest { key, value, lease, ..Default::default() };
    RequestOp { request: Some(Request::RequestPut(put)) }
}

/// The revision of an answer to a write.
fn at(header: Option<ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

/// A call with a deadline: a connection that breaks silently must not block the test.
async fn patient<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(PATIENCE / 4, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no answer within the test's patience")),
    }
}

/// Compacts behind the watcher, and sometimes defragments.
async fn maintenance(url: String, seen: Arc<Seen>, mut status: watch::Receiver<bool>, stop: Arc<AtomicBool>) {
    let mut api = Api::lazy(&url);
    let mut rounds = 0;
    let mut compacted = 0;
    while !stop.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let revision = seen.revision.load(Ordering::SeqCst) - 20;
        rounds += 1;
        if revision > compacted {
            let physical = rounds % 3 == 0;
            let done = patient(api.kv.compact(CompactionRequest { revision, physical })).await;
            compacted = revision;
            if done.is_err() {
                if !up(&mut status).await {
                    return;
                }
                api = Api::lazy(&url);
            }
        }
        if rounds % 40 == 0 {
            let _ = patient(api.maintenance.defragment(DefragmentRequest {})).await;
        }
    }
}

/// Watches everything, through every outage, from the revision after the last one seen.
async fn observe(url: String, seen: Arc<Seen>, mut status: watch::Receiver<bool>) {
    while up(&mut status).await {
        if let Err(problem) = follow(&url, &seen).await
            && problem.code() == tonic::Code::Aborted
        {
            panic!("{}", problem.message());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn follow(url: &str, seen: &Seen) -> Result<(), Status> {
    let create = WatchCreateRequest {
        key: "\0".into(),
        range_end: "\0".into(),
        start_revision: seen.revision.load(Ordering::SeqCst) + 1,
        ..Default::default()
    };
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    // The stream of requests stays open, as a client keeps it.
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    let _ = sender.send(request).await;
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = Api::lazy(url).watch.watch(requests).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        if answer.canceled {
            return Err(Status::aborted(format!("the watch was cancelled: {answer:?}")));
        }
        let last = answer.events.last().and_then(|event| event.kv.as_ref()).map(|kv| kv.mod_revision);
        seen.events.lock().expect("no panic while held").extend(answer.events);
        if let Some(last) = last {
            seen.revision.store(last, Ordering::SeqCst);
        }
    }
    drop(sender);
    Ok(())
}

/// The store's revision, read linearizably.
pub async fn revision(api: &Api) -> i64 {
    let request = RangeRequest { key: "\0".into(), ..Default::default() };
    let answer = api.clone().kv.range(request).await.expect("a started server answers");
    at(answer.into_inner().header)
}

/// All keys.
pub async fn everything(api: &Api) -> Vec<KeyValue> {
    let request = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    api.clone().kv.range(request).await.expect("a started server answers").into_inner().kvs
}

/// Writes `count` keys, 100 per transaction.
pub async fn fill(api: &Api, count: usize) {
    let mut kv = api.kv.clone();
    for batch in 0..count / 100 {
        let key = |n: usize| Bytes::from(format!("many/{:07}", batch * 100 + n));
        let success = (0..100).map(|n| put_op(key(n), Bytes::from_static(&[b'v'; 64]), 0)).collect();
        kv.txn(TxnRequest { success, ..Default::default() }).await.expect("a batch of puts");
    }
}
