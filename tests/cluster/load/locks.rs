//! Leases and locks: a counter that only the holder of a lock changes, a lease that is kept, leases that run out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use kvd::api::proto::etcdserverpb::request_op::Request;
use kvd::api::proto::etcdserverpb::{
    Compare, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, PutRequest, RangeRequest,
    RequestOp, TxnRequest,
};
use kvd::api::proto::v3lockpb::LockRequest;
use kvd::api::proto::v3lockpb::lock_client::LockClient;
use tonic::Status;
use tonic::transport::Endpoint;

use super::super::api::Api;
use super::super::dice::Dice;
use super::clients::{PATIENT, Record, number};
use super::users::{LOAD, Pass};

/// The counter; its events are among those that the watchers see.
pub const COUNTER: &str = "k/counter";
/// The prefix of keys whose leases run out.
pub const SHORT: &str = "short/";

/// Keeps a lease alive, at one member after another. Its time to live is longer than any event lasts.
pub async fn hold_a_lease(urls: Vec<String>, record: Arc<Record>, mut dice: Dice) {
    let mut lease = 0;
    let passes: Vec<Pass> = urls.iter().map(|_| Pass::of(LOAD)).collect();
    while !record.stop.load(Ordering::SeqCst) {
        let of = dice.below(urls.len());
        let (api, pass) = (Api::lazy(&urls[of]), &passes[of]);
        let work = async {
            if lease == 0 {
                lease = grant(&api, pass, 60).await?.0;
                *record.lease.lock() = Some(true);
            }
            keep_alive(&api, pass, lease).await
        };
        if let Ok(Ok(Some(0))) = tokio::time::timeout(PATIENT, work).await {
            *record.lease.lock() = Some(false);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A lease, and its time to live.
async fn grant(api: &Api, pass: &Pass, ttl: i64) -> Result<(i64, i64), Status> {
    let request = || pass.on(LeaseGrantRequest { ttl, id: 0 });
    let answer = pass.ask(api, async || api.lease.clone().lease_grant(request()).await).await?.into_inner();
    Ok((answer.id, answer.ttl))
}

async fn keep_alive(api: &Api, pass: &Pass, lease: i64) -> Result<Option<i64>, Status> {
    let call = async || {
        let requests = tokio_stream::once(LeaseKeepAliveRequest { id: lease });
        let mut answers = api.lease.clone().lease_keep_alive(pass.on(requests)).await?.into_inner();
        Ok(answers.message().await?.map(|answer| answer.ttl))
    };
    pass.ask(api, call).await
}

/// Takes the lock, counts, and gives it back, at one member after another.
pub async fn count_under_a_lock(urls: Vec<String>, record: Arc<Record>, mut dice: Dice) {
    let passes: Vec<Pass> = urls.iter().map(|_| Pass::of(LOAD)).collect();
    while !record.stop.load(Ordering::SeqCst) {
        let of = dice.below(urls.len());
        let (api, pass) = (Api::lazy(&urls[of]), &passes[of]);
        let mut lease = 0;
        let work = async {
            lease = grant(&api, pass, 5).await?.0;
            let name = || LockRequest { name: "lock/counter".into(), lease };
            let endpoint = Endpoint::from_shared(urls[of].clone()).expect("a URL");
            let locks = LockClient::new(endpoint.connect_timeout(Duration::from_secs(5)).connect_lazy());
            let locked = pass.ask(&api, async || locks.clone().lock(pass.on(name())).await).await?;
            let key = locked.into_inner().key;
            for _ in 0..3 {
                if !record.stop.load(Ordering::SeqCst) {
                    count(&api, pass, &record, &key).await?;
                }
            }
            Ok::<_, Status>(())
        };
        let _ = tokio::time::timeout(2 * PATIENT, work).await;
        let revoke = async || {
            api.lease.clone().lease_revoke(pass.on(LeaseRevokeRequest { id: lease })).await.map(drop)
        };
        let _ = tokio::time::timeout(PATIENT, revoke()).await;
        tokio::time::sleep(Duration::from_millis(dice.within(10, 200) as u64)).await;
    }
}

/// Reads the counter and writes the next number, if the lock is still held.
async fn count(api: &Api, pass: &Pass, record: &Record, lock: &[u8]) -> Result<(), Status> {
    let read = || pass.on(RangeRequest { key: COUNTER.into(), ..Default::default() });
    let read = pass.ask(api, async || api.kv.clone().range(read()).await).await?.into_inner();
    let next = read.kvs.first().and_then(|kv| number(&kv.value)).unwrap_or(0) + 1;
    let held = Compare {
        result: CompareResult::Greater.into(),
        target: CompareTarget::Create.into(),
        key: lock.to_vec().into(),
        target_union: Some(TargetUnion::CreateRevision(0)),
        ..Default::default()
    };
    let put = PutRequest { key: COUNTER.into(), value: next.to_string().into(), ..Default::default() };
    let success = vec![RequestOp { request: Some(Request::RequestPut(put)) }];
    let txn = pass.on(TxnRequest { compare: vec![held], success, ..Default::default() });
    let answer = api.kv.clone().txn(txn).await?.into_inner();
    if answer.succeeded {
        let revision = answer.header.map_or(0, |header| header.revision);
        record.acknowledged.lock().push((revision, COUNTER.into(), Some(next)));
        return Ok(());
    }
    Err(Status::aborted("the lock is lost"))
}

/// Attaches a key to a lease of two seconds, and looks at it until it is gone: never before its time.
pub async fn let_leases_run_out(urls: Vec<String>, record: Arc<Record>, mut dice: Dice) {
    let passes: Vec<Pass> = urls.iter().map(|_| Pass::of(LOAD)).collect();
    let mut counted = 0;
    while !record.stop.load(Ordering::SeqCst) {
        let of = dice.below(urls.len());
        counted += 1;
        let key = format!("{SHORT}{counted}");
        let granted = async {
            let (api, pass) = (Api::lazy(&urls[of]), &passes[of]);
            let begun = Instant::now();
            let (lease, ttl) = grant(&api, pass, 2).await?;
            let put = || {
                pass.on(PutRequest {
                    key: key.clone().into(),
                    value: "x".into(),
                    lease,
                    ..Default::default()
                })
            };
            pass.ask(&api, async || api.kv.clone().put(put()).await).await?;
            Ok::<_, Status>((begun, Duration::from_secs(ttl as u64)))
        };
        let Ok(Ok((begun, ttl))) = tokio::time::timeout(PATIENT, granted).await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        while !record.stop.load(Ordering::SeqCst) {
            let of = dice.below(urls.len());
            let (api, pass) = (Api::lazy(&urls[of]), &passes[of]);
            let read = || pass.on(RangeRequest { key: key.clone().into(), ..Default::default() });
            let read = pass.ask(&api, async || api.kv.clone().range(read()).await);
            let Ok(Ok(answer)) = tokio::time::timeout(PATIENT, read).await else { continue };
            if answer.into_inner().kvs.is_empty() {
                if begun.elapsed() < ttl {
                    record.wrong(format!("{key}: its lease of {ttl:?} ran out after {:?}", begun.elapsed()));
                }
                record.ran_out.fetch_add(1, Ordering::SeqCst);
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
