//! Leases, locks and elections over a real store and a lone leader.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;
use tonic::{Code, Request, Response, Status};

use super::election::ElectionService;
use super::lease::{KeepAlives, LeaseService};
use super::lock::LockService;
use super::stories::lone_leader;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::lease_server::Lease;
use crate::api::proto::v3electionpb as epb;
use crate::api::proto::v3electionpb::election_server::Election;
use crate::api::proto::v3lockpb as lpb;
use crate::api::proto::v3lockpb::lock_server::Lock;
use crate::api::services::Services;

const SOON: Duration = Duration::from_secs(30);

async fn granted(services: &Arc<Services>, id: i64, ttl: i64) -> Result<pb::LeaseGrantResponse, Status> {
    let service = LeaseService::new(services.clone());
    service.lease_grant(Request::new(pb::LeaseGrantRequest { id, ttl })).await.map(Response::into_inner)
}

fn said<T>(result: Result<T, Status>) -> (Code, String) {
    match result {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), status.message().to_string()),
    }
}

#[tokio::test]
async fn leases() {
    let (services, _stopper, _dir) = lone_leader().await;
    assert_eq!(granted(&services, 7, 1).await.unwrap().ttl, 2, "raised to the minimum");
    let chosen = granted(&services, 0, 60).await.unwrap();
    assert!(chosen.id > 0 && chosen.ttl == 60);
    assert_eq!(
        said(granted(&services, 7, 5).await),
        (Code::FailedPrecondition, "etcdserver: lease already exists".to_string())
    );
    assert_eq!(
        said(granted(&services, 8, 9_000_000_001).await),
        (Code::OutOfRange, "etcdserver: too large lease TTL".to_string())
    );
    let asked = [chosen.id, 99, chosen.id].map(|id| Ok(pb::LeaseKeepAliveRequest { id }));
    let answers: Vec<(i64, i64)> = KeepAlives::new(services.clone(), tokio_stream::iter(asked))
        .map(|answer| answer.map(|answer| (answer.id, answer.ttl)).unwrap())
        .collect()
        .await;
    assert_eq!(answers, [(chosen.id, 60), (99, 0), (chosen.id, 60)]);

    let service = LeaseService::new(services.clone());
    let lives = |id| {
        let request = pb::LeaseTimeToLiveRequest { id, keys: true };
        let service = &service;
        async move { service.lease_time_to_live(Request::new(request)).await.unwrap().into_inner() }
    };
    let missing = lives(99).await;
    assert_eq!((missing.ttl, missing.granted_ttl), (-1, 0));
    let there = lives(chosen.id).await;
    assert!(there.ttl > 30 && there.granted_ttl == 60);
    let revoke = |id| service.lease_revoke(Request::new(pb::LeaseRevokeRequest { id }));
    revoke(chosen.id).await.unwrap();
    assert_eq!(
        said(revoke(chosen.id).await),
        (Code::NotFound, "etcdserver: requested lease not found".to_string())
    );
    // Lease 7 lives for two seconds, and nobody renews it.
    while lives(7).await.ttl != -1 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        service
            .lease_leases(Request::new(pb::LeaseLeasesRequest {}))
            .await
            .unwrap()
            .into_inner()
            .leases
            .is_empty()
    );
    services.node.shutdown().await;
}

#[tokio::test]
async fn locks() {
    let (services, _stopper, _dir) = lone_leader().await;
    for lease in [0x1f, 0x2f, 0x3f] {
        granted(&services, lease, 60).await.unwrap();
    }
    let service = Arc::new(LockService::new(services.clone()));
    let lock = |lease| {
        let service = service.clone();
        let request = Request::new(lpb::LockRequest { name: Bytes::from_static(b"l"), lease });
        tokio::spawn(async move { service.lock(request).await.map(Response::into_inner) })
    };
    let held = lock(0x1f).await.unwrap().unwrap();
    assert_eq!((held.key.as_ref(), held.header.unwrap().revision), (&b"l/1f"[..], 2));
    assert_eq!(lock(0x1f).await.unwrap().unwrap().key, held.key, "once more with the same lease");
    let absent = lock(0x99).await.unwrap();
    assert_eq!(said(absent), (Code::Unknown, "etcdserver: requested lease not found".to_string()));

    let gone = lock(0x2f);
    let exists = |key: &'static str| services.store.get(key.as_bytes()).unwrap().is_some();
    while !exists("l/2f") {
        tokio::task::yield_now().await;
    }
    let waiting = lock(0x3f);
    while !exists("l/3f") {
        tokio::task::yield_now().await;
    }
    gone.abort();
    timeout(SOON, async {
        while exists("l/2f") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the key of a client that went away is deleted");
    assert!(!waiting.is_finished());
    let unlock = Request::new(lpb::UnlockRequest { key: held.key });
    service.unlock(unlock).await.unwrap();
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap().unwrap().key.as_ref(), b"l/3f");
    services.node.shutdown().await;
}

#[tokio::test]
async fn elections() {
    let (services, _stopper, _dir) = lone_leader().await;
    for lease in [0xa, 0xb] {
        granted(&services, lease, 60).await.unwrap();
    }
    let service = Arc::new(ElectionService::new(services.clone()));
    let name = || Bytes::from_static(b"e");
    let campaign = |lease, value: &'static str| {
        let service = service.clone();
        let request =
            epb::CampaignRequest { name: name(), lease, value: Bytes::from_static(value.as_bytes()) };
        tokio::spawn(async move { service.campaign(Request::new(request)).await.map(Response::into_inner) })
    };
    let leader = || service.leader(Request::new(epb::LeaderRequest { name: name() }));
    assert_eq!(said(leader().await), (Code::Unknown, "election: no leader".to_string()));
    let mut observed =
        service.observe(Request::new(epb::LeaderRequest { name: name() })).await.unwrap().into_inner();

    let first = campaign(0xa, "one").await.unwrap().unwrap().leader.unwrap();
    assert_eq!((first.key.as_ref(), first.rev, first.lease), (&b"e/a"[..], 2, 0xa));
    let second = campaign(0xb, "two");
    let value = |response: epb::LeaderResponse| response.kv.unwrap().value;
    assert_eq!(value(leader().await.unwrap().into_inner()), "one");
    let proclaim = |leader: Option<epb::LeaderKey>, value: &'static str| {
        service.proclaim(Request::new(epb::ProclaimRequest {
            leader,
            value: Bytes::from_static(value.as_bytes()),
        }))
    };
    let text = "\"leader\" field must be provided".to_string();
    assert_eq!(said(proclaim(None, "x").await), (Code::Unknown, text));
    proclaim(Some(first.clone()), "one more").await.unwrap();
    let resign = || service.resign(Request::new(epb::ResignRequest { leader: Some(first.clone()) }));
    resign().await.unwrap();
    resign().await.expect("resigning twice is no error");
    assert_eq!(
        said(proclaim(Some(first.clone()), "x").await),
        (Code::Unknown, "election: not leader".to_string())
    );
    assert_eq!(timeout(SOON, second).await.unwrap().unwrap().unwrap().leader.unwrap().key.as_ref(), b"e/b");
    for expected in ["one", "one more", "two"] {
        let next = timeout(SOON, observed.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(value(next), expected);
    }
    services.node.shutdown().await;
}
