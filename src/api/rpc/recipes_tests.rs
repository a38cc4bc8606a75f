//! Leases, locks and elections over a real store and a lone leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::keep_alive::KeepAlives;
use super::stories::{lone_leader, with_users};
use super::{election, lease, lock};
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::v3electionpb as epb;
use crate::api::proto::v3lockpb as lpb;
use crate::api::services::Services;
use crate::model::{
    AuthChange, Caller, Command, KeyRange, PasswordHash, Permission, PermissionKind, Refusal, prefix_end,
};

const SOON: Duration = Duration::from_secs(30);

const ANYONE: Caller = Caller::Anonymous;

async fn granted(services: &Arc<Services>, id: i64, ttl: i64) -> Result<pb::LeaseGrantResponse, Refusal> {
    lease::grant(services, ANYONE, pb::LeaseGrantRequest { id, ttl }).await
}

fn said<T>(result: Result<T, Refusal>) -> (Code, String) {
    match result.map_err(Status::from) {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), status.message().to_string()),
    }
}

/// Renewals that wait are bounded, however many the client sends ahead.
#[tokio::test]
async fn a_stream_has_few_renewals_that_wait() {
    let (services, _stopper, _dir) = lone_leader().await;
    granted(&services, 7, 60).await.unwrap();
    // Whoever is not the primary lessor waits for the leader's.
    services.lessor.demote();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let asked = tokio_stream::iter(0..1000).map(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(pb::LeaseKeepAliveRequest { id: 7 })
    });
    let mut answers = KeepAlives::new(services.clone(), ANYONE, asked);
    for _ in 0..3 {
        assert!(futures_util::poll!(answers.next()).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(taken.load(Ordering::Relaxed), 64);
    services.node.shutdown().await;
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
    let answers: Vec<(i64, i64)> =
        KeepAlives::new(services.clone(), Caller::Anonymous, tokio_stream::iter(asked))
            .map(|answer| answer.map(|answer| (answer.id, answer.ttl)).unwrap())
            .collect()
            .await;
    assert_eq!(answers, [(chosen.id, 60), (99, 0), (chosen.id, 60)]);

    let lives = async |id| {
        let request = pb::LeaseTimeToLiveRequest { id, keys: true };
        lease::time_to_live(&services, ANYONE, request).await.unwrap()
    };
    let missing = lives(99).await;
    assert_eq!((missing.ttl, missing.granted_ttl), (-1, 0));
    let there = lives(chosen.id).await;
    assert!(there.ttl > 30 && there.granted_ttl == 60);
    let revoke = |id| lease::revoke(&services, ANYONE, pb::LeaseRevokeRequest { id });
    revoke(chosen.id).await.unwrap();
    assert_eq!(
        said(revoke(chosen.id).await),
        (Code::NotFound, "etcdserver: requested lease not found".to_string())
    );
    // Lease 7 lives for two seconds, without keepalives.
    while lives(7).await.ttl != -1 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let left = lease::leases(&services, ANYONE, pb::LeaseLeasesRequest {}).await.unwrap();
    assert!(left.leases.is_empty());
    services.node.shutdown().await;
}

#[tokio::test]
async fn locks() {
    let (services, _stopper, _dir) = lone_leader().await;
    for lease in [0x1f, 0x2f, 0x3f] {
        granted(&services, lease, 60).await.unwrap();
    }
    let lock = |lease| {
        let services = services.clone();
        let request = lpb::LockRequest { name: Bytes::from_static(b"l"), lease };
        tokio::spawn(async move { lock::lock(&services, ANYONE, request).await })
    };
    let held = lock(0x1f).await.unwrap().unwrap();
    assert_eq!((held.key.as_ref(), held.header.unwrap().revision), (&b"l/1f"[..], 2));
    assert_eq!(lock(0x1f).await.unwrap().unwrap().key, held.key, "once more with the same lease");
    let absent = lock(0x99).await.unwrap();
    assert_eq!(said(absent), (Code::Unknown, "etcdserver: requested lease not found".to_string()));

    // Whoever waits for a lock watches the key before its own: that it has put its key is too early to go away, for
    // the task may not have the answer yet.
    let watching = async |count| {
        while services.reads.watch_stats().watchers < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let exists = |key: &'static str| services.store.get(key.as_bytes()).unwrap().is_some();
    let gone = lock(0x2f);
    watching(1).await;
    let waiting = lock(0x3f);
    watching(2).await;
    assert!(exists("l/2f") && exists("l/3f"));
    gone.abort();
    timeout(SOON, async {
        while exists("l/2f") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the key of a client that went away is deleted");
    assert!(!waiting.is_finished());
    lock::unlock(&services, ANYONE, lpb::UnlockRequest { key: held.key }).await.unwrap();
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap().unwrap().key.as_ref(), b"l/3f");
    services.node.shutdown().await;
}

/// What happens to the user of a caller that waits, and what the caller is told.
#[tokio::test]
async fn whoever_may_not_wait_any_more_is_told_why_and_holds_nobody_up() {
    let user = || "reader".to_string();
    let password = || AuthChange::UserPassword { name: user(), hash: PasswordHash::new("$2a$10$other") };
    let no_role = || AuthChange::UserRevokeRole { user: user(), role: "reads".into() };
    let no_user = || AuthChange::UserDelete { name: user() };
    let (ended, denied) = ("etcdserver: invalid auth token", "etcdserver: permission denied");
    for (change, text) in [(password(), ended), (no_role(), denied), (no_user(), ended)] {
        let (services, _stopper, _dir) = lone_leader().await;
        for lease in [1, 2, 3, 4] {
            granted(&services, lease, 600).await.unwrap();
        }
        let start = Bytes::from_static(b"l/");
        let range = KeyRange { end: prefix_end(&start), start };
        let permission = Some(Permission { kind: PermissionKind::ReadWrite, range });
        with_users(&services).await;
        let changed = async |change| {
            services.propose(Caller::System, Command::Auth(change)).await.expect("a change");
        };
        changed(AuthChange::RoleGrant { role: "reads".into(), permission }).await;
        let caller = |name: &str| Caller::user(name, services.store.users().revision());
        let (root, reader) = (caller("root"), caller("reader"));
        let lock = |caller: &Caller, lease| {
            let (services, caller) = (services.clone(), caller.clone());
            let request = lpb::LockRequest { name: Bytes::from_static(b"l"), lease };
            tokio::spawn(async move { said(lock::lock(&services, caller, request).await) })
        };
        let watching = async |count| {
            while services.reads.watch_stats().watchers < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert_eq!(lock(&root, 1).await.unwrap().0, Code::Ok);
        let waits = lock(&reader, 2);
        watching(1).await;
        let campaign = {
            let (services, reader) = (services.clone(), reader.clone());
            let request =
                epb::CampaignRequest { name: Bytes::from_static(b"l"), lease: 3, value: Bytes::new() };
            tokio::spawn(async move { said(election::campaign(&services, reader, request).await) })
        };
        watching(2).await;
        let behind = lock(&root, 4);
        watching(3).await;
        changed(change).await;
        for refused in [waits, campaign] {
            let refused = timeout(SOON, refused).await.expect("it does not wait for the lock").unwrap();
            assert_eq!(refused, (Code::Unknown, text.to_string()));
        }
        lock::unlock(&services, root, lpb::UnlockRequest { key: "l/1".into() }).await.unwrap();
        let behind = timeout(SOON, behind).await.expect("nobody is before it any more").unwrap();
        assert_eq!(behind.0, Code::Ok);
        services.node.shutdown().await;
    }
}

#[tokio::test]
async fn elections() {
    let (services, _stopper, _dir) = lone_leader().await;
    for lease in [0xa, 0xb] {
        granted(&services, lease, 60).await.unwrap();
    }
    let name = || Bytes::from_static(b"e");
    let campaign = |lease, value: &'static str| {
        let services = services.clone();
        let request =
            epb::CampaignRequest { name: name(), lease, value: Bytes::from_static(value.as_bytes()) };
        tokio::spawn(async move { election::campaign(&services, ANYONE, request).await })
    };
    let leader = || election::leader(&services, ANYONE, epb::LeaderRequest { name: name() });
    assert_eq!(said(leader().await), (Code::Unknown, "election: no leader".to_string()));
    let mut observed =
        election::observe(&services, ANYONE, epb::LeaderRequest { name: name() }).await.unwrap();

    let first = campaign(0xa, "one").await.unwrap().unwrap().leader.unwrap();
    assert_eq!((first.key.as_ref(), first.rev, first.lease), (&b"e/a"[..], 2, 0xa));
    let second = campaign(0xb, "two");
    let value = |response: epb::LeaderResponse| response.kv.unwrap().value;
    assert_eq!(value(leader().await.unwrap()), "one");
    let proclaim = |leader: Option<epb::LeaderKey>, value: &'static str| {
        let value = Bytes::from_static(value.as_bytes());
        election::proclaim(&services, ANYONE, epb::ProclaimRequest { leader, value })
    };
    let text = "\"leader\" field must be provided".to_string();
    assert_eq!(said(proclaim(None, "x").await), (Code::Unknown, text));
    proclaim(Some(first.clone()), "one more").await.unwrap();
    let resign = || election::resign(&services, ANYONE, epb::ResignRequest { leader: Some(first.clone()) });
    resign().await.unwrap();
    resign().await.expect("resigning twice is allowed");
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
