use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::*;
use crate::api::rpc::stories::{lone_leader, with_users};
use crate::api::services::Services;
use crate::auth::Need;
use crate::model::{
    AuthChange, Caller, Command, Compare, CompareOp, CompareTarget, KeyRange, Op, PasswordHash, Permission,
    PermissionKind, Put, RangeQuery, Refusal, Txn, prefix_end,
};
use crate::watch::{FeedItem, Want, WatchSpec};

const PATIENCE: Duration = Duration::from_secs(60);

fn prefix(prefix: &str) -> KeyRange {
    let start = Bytes::copy_from_slice(prefix.as_bytes());
    KeyRange { end: prefix_end(&start), start }
}

fn spec(range: KeyRange) -> WatchSpec {
    WatchSpec { tag: 0, range, start_revision: 0, want: Want::default() }
}

/// A user that is authenticated now.
fn user(services: &Services, name: &str) -> Caller {
    Caller::user(name, services.store.users().revision())
}

async fn change(services: &Services, change: AuthChange) {
    services.propose(Caller::System, Command::Auth(change)).await.expect("a change");
}

async fn put(services: &Services, caller: &Caller, key: &str, value: &str) -> Result<(), Refusal> {
    let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    let put = Put { key, value, ..Put::default() };
    services.propose(caller.clone(), Command::Put(put)).await.map(drop)
}

#[tokio::test]
async fn every_read_asks_for_permission() {
    let (services, _stopper, _dir) = lone_leader().await;
    let reads = &services.reads;
    let query = || RangeQuery::current(KeyRange::all());
    let txn = || Txn { success: vec![Op::Range(query())], ..Txn::default() };
    let all = || spec(KeyRange::all());
    services.propose(Caller::Anonymous, Command::LeaseGrant { id: 1, ttl: 100 }).await.expect("a lease");
    let leased = Put { key: "other".into(), lease: 1, ..Put::default() };
    services.propose(Caller::Anonymous, Command::Put(leased)).await.expect("a put");
    for is_enabled in [false, true] {
        if is_enabled {
            with_users(&services).await;
        }
        let denied = |refusal| is_enabled.then_some(refusal);
        let cases = [
            (Caller::Anonymous, denied(Refusal::UserEmpty)),
            (Caller::System, None),
            (user(&services, "reader"), denied(Refusal::PermissionDenied)),
            (user(&services, "root"), None),
            // Its user was deleted, or never existed.
            (user(&services, "nobody"), denied(Refusal::PermissionDenied)),
        ];
        for (caller, expected) in cases {
            for freshness in [Freshness::Linearizable, Freshness::Serializable] {
                assert_eq!(reads.range(&caller, query(), freshness).await.err(), expected, "{caller:?}");
                assert_eq!(reads.txn(&caller, txn(), freshness).await.err(), expected, "{caller:?}");
                assert_eq!(reads.pages(&caller, query(), freshness).await.err(), expected, "{caller:?}");
            }
            assert_eq!(reads.leases(&caller).await.err(), expected, "{caller:?}");
            assert_eq!(reads.lease_keys(&caller, 1).await.err(), expected, "{caller:?}");
            let whole = match &caller {
                Caller::User { name, .. } if &**name == "nobody" => denied(Refusal::UserNotFound),
                _ => expected.clone(),
            };
            assert_eq!(reads.hash(&caller).await.err(), whole, "{caller:?}");
            assert_eq!(reads.hash_kv(&caller, 0).await.err(), whole, "{caller:?}");
            assert_eq!(reads.snapshot(&caller).err(), whole, "{caller:?}");
            let watch = match &caller {
                Caller::User { name, .. } if &**name == "nobody" => denied(Refusal::InvalidToken),
                _ => expected,
            };
            assert_eq!(reads.watch(&caller, all()).err(), watch, "{caller:?}");
            assert_eq!(reads.watches(caller.clone()).open(all()).err(), watch, "{caller:?}");
            let renewed = reads.permit_renewal(&caller, 1).await.err();
            assert_eq!(renewed, watch, "{caller:?}");
            assert_eq!(reads.may_renew_all(&caller), renewed.is_none(), "{caller:?}");
        }
    }
    services.node.shutdown().await;
}

#[tokio::test]
async fn a_user_reads_what_its_roles_permit() {
    let (services, _stopper, _dir) = lone_leader().await;
    with_users(&services).await;
    let reads = &services.reads;
    let reader = user(&services, "reader");
    let may = |range: KeyRange| {
        let (reader, query) = (&reader, RangeQuery::current(range));
        async move { reads.range(reader, query, Freshness::Linearizable).await.is_ok() }
    };
    assert!(may(prefix("read/")).await && may(KeyRange::single("read/a")).await);
    assert!(!may(KeyRange::single("write/a")).await && !may(KeyRange::single("rea")).await);
    assert!(!may(KeyRange { start: "read/".into(), end: crate::model::RangeEnd::Open }).await);
    // Both branches of a transaction count, and its compares.
    let range = |key: &'static str| Op::Range(RangeQuery::current(KeyRange::single(key)));
    let compare = |key: &'static str| Compare {
        range: KeyRange::single(key),
        op: CompareOp::Equal,
        target: CompareTarget::Version(0),
    };
    let txn = |compares, success, failure| Txn { compares, success, failure };
    for (txn, is_permitted) in [
        (txn(vec![compare("read/a")], vec![range("read/a")], vec![range("read/b")]), true),
        (txn(vec![compare("read/a")], vec![range("read/a")], vec![range("write/b")]), false),
        (txn(vec![compare("read/a")], vec![range("write/a")], vec![range("read/b")]), false),
        (txn(vec![compare("write/a")], vec![range("read/a")], vec![range("read/b")]), false),
        (Txn::default(), true),
    ] {
        let read = reads.txn(&reader, txn.clone(), Freshness::Serializable).await;
        assert_eq!(read.is_ok(), is_permitted, "{txn:?}");
    }
    // A lease is renewed by whoever may write its keys, and shown to whoever may read them.
    let writer = user(&services, "writer");
    services.propose(writer.clone(), Command::LeaseGrant { id: 7, ttl: 100 }).await.expect("a lease");
    let leased = Put { key: "write/leased".into(), lease: 7, ..Put::default() };
    services.propose(writer.clone(), Command::Put(leased)).await.expect("a put");
    assert_eq!(reads.permit_renewal(&writer, 7).await, Ok(()));
    assert_eq!(reads.permit_renewal(&reader, 7).await, Err(Refusal::PermissionDenied));
    assert_eq!(reads.permit_renewal(&reader, 8).await, Ok(()), "there is no such lease");
    for refused in [reads.leases(&reader).await.err(), reads.lease_keys(&writer, 7).await.err()] {
        assert_eq!(refused, Some(Refusal::PermissionDenied));
    }
    assert_eq!(reads.lease_keys(&user(&services, "root"), 7).await, Ok(vec!["write/leased".into()]));
    services.propose(writer, Command::LeaseRevoke { id: 7 }).await.expect("revoked");
    assert_eq!(reads.leases(&reader).await, Ok(Vec::new()));
    services.node.shutdown().await;
}

/// A right is taken away, and then a secret is written, while others read: nobody may see it, whatever happens between
/// a check and its read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_gives_what_was_written_after_the_right_was_taken_away() {
    const KEYS: usize = 400;
    let (services, _stopper, _dir) = lone_leader().await;
    with_users(&services).await;
    let over = Arc::new(AtomicBool::new(false));
    let root = || user(&services, "root");
    for key in 0..KEYS {
        put(&services, &root(), &format!("read/{key}"), "public").await.expect("a put");
    }
    let reader = |stale: bool| {
        let (services, over) = (services.clone(), over.clone());
        tokio::spawn(async move {
            let mut seen = 0;
            while !over.load(Ordering::Relaxed) {
                let caller = user(&services, "reader");
                let query = RangeQuery::current(prefix("read/"));
                let freshness = Freshness::of(stale);
                match services.reads.range(&caller, query, freshness).await {
                    Ok(found) => {
                        assert!(found.kvs.iter().all(|kv| kv.value == "public"), "a secret was shown");
                        seen += 1;
                    }
                    Err(refusal) => {
                        let expected = [Refusal::PermissionDenied, Refusal::AuthOldRevision];
                        assert!(expected.contains(&refusal), "{refusal}");
                        // The writer gets its turn.
                        tokio::time::sleep(Duration::from_micros(100)).await;
                    }
                }
            }
            seen
        })
    };
    let readers = [reader(false), reader(false), reader(true)];
    let role = |granted: bool| match granted {
        true => AuthChange::UserGrantRole { user: "reader".into(), role: "reads".into() },
        false => AuthChange::UserRevokeRole { user: "reader".into(), role: "reads".into() },
    };
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        change(&services, role(false)).await;
        put(&services, &root(), "read/77", "secret").await.expect("a put");
        put(&services, &root(), "read/77", "public").await.expect("a put");
        change(&services, role(true)).await;
    }
    over.store(true, Ordering::Relaxed);
    let mut seen = 0;
    for reader in readers {
        seen += reader.await.expect("no secret was shown");
    }
    assert!(seen > 0, "nothing was read");
    services.node.shutdown().await;
}

#[tokio::test]
async fn a_change_between_check_and_read_refuses_the_read() {
    let (services, _stopper, _dir) = lone_leader().await;
    let store = &services.store;
    let anonymous = store.users_epoch();
    assert_eq!(store.confirm(&Caller::Anonymous, anonymous), Ok(()));
    with_users(&services).await;
    assert_eq!(store.confirm(&Caller::Anonymous, anonymous), Err(Refusal::UserEmpty));
    let (reader, root, before) = (user(&services, "reader"), user(&services, "root"), store.users_epoch());
    assert_eq!(store.confirm(&reader, before), Ok(()));
    assert_eq!(store.confirm(&reader, anonymous), Err(Refusal::AuthOldRevision), "nobody checked it before");
    change(&services, AuthChange::RoleAdd { name: "another".into() }).await;
    for caller in [&reader, &root] {
        assert_eq!(store.confirm(caller, before), Err(Refusal::AuthOldRevision));
        assert_eq!(
            store.check(caller, Need::Read(&KeyRange::single("read/a"))),
            Err(Refusal::AuthOldRevision)
        );
        assert_eq!(store.check_now(caller, Need::Read(&KeyRange::single("read/a"))), Ok(()));
    }
    assert_eq!(store.check(&root, Need::Root), Ok(()), "this asks what the user may do now");
    assert_eq!(store.confirm(&Caller::System, before), Ok(()));
    change(&services, AuthChange::Disable).await;
    assert_eq!(store.confirm(&reader, before), Ok(()));
    services.node.shutdown().await;
}

/// The users that a linearizable read asks are those of the state it waits for, and the caller is not refused for
/// changes that its member had yet to catch up with.
#[tokio::test]
async fn pages_end_with_the_right_to_read_them() {
    let (services, _stopper, _dir) = lone_leader().await;
    with_users(&services).await;
    for key in 0..30 {
        put(&services, &Caller::System, &format!("read/{key:02}"), "v").await.expect("a put");
    }
    let reader = user(&services, "reader");
    let query = RangeQuery::current(prefix("read/"));
    let mut pages = services.reads.pages(&reader, query, Freshness::Linearizable).await.expect("pages");
    assert_eq!(pages.next(10, usize::MAX).expect("a page").kvs.len(), 10);
    // A change that does not concern the reader.
    change(&services, AuthChange::UserAdd { name: "new".into(), hash: None }).await;
    assert_eq!(pages.next(10, usize::MAX).expect("a page").kvs.len(), 10);
    let range = prefix("read/");
    change(&services, AuthChange::RoleRevoke { role: "reads".into(), range }).await;
    assert_eq!(pages.next(10, usize::MAX).err(), Some(Refusal::PermissionDenied));
    services.node.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_ends_with_the_right_to_have_it_and_has_no_token_keys() {
    let (services, _stopper, _dir) = lone_leader().await;
    with_users(&services).await;
    let key = crate::model::TokenKey { id: 3, secret: *b"the key that must not get around" };
    change(&services, AuthChange::TokenKey { key, after: None }).await;
    put(&services, &Caller::System, "big", &"x".repeat(1_400_000)).await.expect("a put");
    let root = user(&services, "root");
    let (mut snapshot, _place) = services.reads.snapshot(&root).expect("a snapshot");
    let mut stream = Vec::new();
    while let Some(blob) = snapshot.next().await.expect("a blob") {
        stream.extend_from_slice(&blob.bytes);
    }
    let has = |text: &[u8]| stream.windows(text.len()).any(|window| window == text);
    assert!(!has(b"the key that must not get around") && has(b"$2a$10$readers"));
    let (mut snapshot, _place) = services.reads.snapshot(&root).expect("a snapshot");
    snapshot.next().await.expect("a blob");
    let role = AuthChange::UserGrantRole { user: "reader".into(), role: "root".into() };
    change(&services, role).await;
    change(&services, AuthChange::Disable).await;
    change(&services, AuthChange::UserDelete { name: "root".into() }).await;
    change(&services, AuthChange::UserAdd { name: "root".into(), hash: None }).await;
    change(&services, AuthChange::UserGrantRole { user: "root".into(), role: "root".into() }).await;
    change(&services, AuthChange::Enable).await;
    let mut end = Ok(());
    while end.is_ok() {
        end = snapshot.next().await.map(|blob| assert!(blob.is_some(), "it must not come to its end"));
    }
    assert_eq!(end, Err(Refusal::InvalidToken), "its user is another one");
    services.node.shutdown().await;
}

/// What ends a watcher of the user "reader".
fn takings() -> Vec<(&'static str, Vec<AuthChange>)> {
    let role = || "reads".to_string();
    let name = || "reader".to_string();
    vec![
        ("role revoked", vec![AuthChange::UserRevokeRole { user: name(), role: role() }]),
        ("role deleted", vec![AuthChange::RoleDelete { name: role() }]),
        ("permission revoked", vec![AuthChange::RoleRevoke { role: role(), range: prefix("read/") }]),
        ("permission changed", {
            let permission = Permission { kind: PermissionKind::Write, range: prefix("read/") };
            vec![AuthChange::RoleGrant { role: role(), permission: Some(permission) }]
        }),
        ("user deleted", vec![AuthChange::UserDelete { name: name() }]),
        ("user deleted and added again", {
            let again = AuthChange::UserAdd { name: name(), hash: None };
            let role = AuthChange::UserGrantRole { user: name(), role: role() };
            vec![AuthChange::UserDelete { name: name() }, again, role]
        }),
        ("password changed", {
            let hash = PasswordHash::new("$2a$10$another");
            vec![AuthChange::UserPassword { name: name(), hash }]
        }),
        ("disabled and enabled again", vec![AuthChange::Disable, AuthChange::Enable]),
    ]
}

#[tokio::test]
async fn a_watcher_ends_with_the_right_to_read_its_range() {
    for (what, changes) in takings() {
        for is_idle in [true, false] {
            let (services, _stopper, _dir) = lone_leader().await;
            with_users(&services).await;
            let reader = user(&services, "reader");
            // Other changes leave it open, and outdate the caller's revision.
            let mut before = services.reads.watch(&reader, spec(prefix("read/"))).expect("a watcher");
            change(&services, AuthChange::RoleAdd { name: "another".into() }).await;
            let mut watching = services.reads.watch(&reader, spec(KeyRange::single("read/a"))).expect(what);
            put(&services, &Caller::System, "read/a", "1").await.expect("a put");
            for watching in [&mut before, &mut watching] {
                let item = timeout(PATIENCE, watching.next()).await.expect("an event");
                assert!(matches!(item, FeedItem::Events { .. }), "{what}: {item:?}");
            }
            let mut root = services
                .reads
                .watch(&user(&services, "root"), spec(KeyRange::all()))
                .expect("a watcher of another user");
            let waiting = is_idle.then(|| tokio::spawn(async move { before.next().await }));
            tokio::task::yield_now().await;
            if !is_idle {
                put(&services, &Caller::System, "read/a", "queued before").await.expect("a put");
            }
            for taking in changes.clone() {
                change(&services, taking).await;
            }
            if let Some(waiting) = waiting {
                // Nothing but the change of users has woken it.
                let item = timeout(PATIENCE, waiting).await.expect("it ends by itself").expect("no panic");
                assert!(matches!(item, FeedItem::Denied), "{what}: {item:?}");
            }
            put(&services, &Caller::System, "read/a", "secret").await.expect("a put");
            let item = timeout(PATIENCE, watching.next()).await.expect("its end");
            assert!(matches!(item, FeedItem::Denied), "{what}: {item:?}");
            let refused = services.reads.watch(&reader, spec(KeyRange::single("read/a"))).err();
            assert!(matches!(refused, Some(Refusal::PermissionDenied | Refusal::InvalidToken)), "{what}");
            let is_void = what.starts_with("disabled");
            let item = timeout(PATIENCE, root.next()).await.expect("others go on");
            assert_eq!(matches!(item, FeedItem::Denied), is_void, "{what}: {item:?}");
            services.node.shutdown().await;
        }
    }
}

/// What ends a token does not end a certificate.
#[tokio::test]
async fn a_watcher_of_a_certificates_user_ends_with_the_right_only() {
    for (what, changes) in takings() {
        // It is the same name again, and there is a moment without.
        if what == "user deleted and added again" {
            continue;
        }
        let stays = what == "password changed" || what.starts_with("disabled");
        let (services, _stopper, _dir) = lone_leader().await;
        with_users(&services).await;
        let auth_revision = services.store.users().revision();
        let reader = Caller::User { name: "reader".into(), auth_revision, certified: true };
        let mut watching = services.reads.watch(&reader, spec(prefix("read/"))).expect("a watcher");
        for taking in changes {
            change(&services, taking).await;
        }
        put(&services, &Caller::System, "read/a", "1").await.expect("a put");
        let item = timeout(PATIENCE, watching.next()).await.expect("an item");
        assert_eq!(matches!(item, FeedItem::Events { .. }), stays, "{what}: {item:?}");
        assert_eq!(matches!(item, FeedItem::Denied), !stays, "{what}: {item:?}");
        let again = services.reads.watch(&reader, spec(prefix("read/"))).err();
        assert_eq!(again, (!stays).then_some(Refusal::PermissionDenied), "{what}");
        services.node.shutdown().await;
    }
}

#[tokio::test]
async fn enabling_authentication_ends_the_watchers_of_nobody() {
    let (services, _stopper, _dir) = lone_leader().await;
    let mut watching = services.reads.watch(&Caller::Anonymous, spec(KeyRange::all())).expect("a watcher");
    let mut own = services.reads.watch(&Caller::System, spec(KeyRange::all())).expect("a watcher");
    with_users(&services).await;
    put(&services, &Caller::System, "a", "1").await.expect("a put");
    assert!(matches!(timeout(PATIENCE, watching.next()).await, Ok(FeedItem::Denied)));
    assert!(matches!(timeout(PATIENCE, own.next()).await, Ok(FeedItem::Events { .. })));
    services.node.shutdown().await;
}

#[tokio::test]
async fn members_are_changed_by_root_only_and_before_raft_hears_of_it() {
    let (services, _stopper, _dir) = lone_leader().await;
    with_users(&services).await;
    let voters = services.node.voters();
    let learner =
        crate::model::Member::added(vec!["http://10.0.0.9:2380".into()], true, 7).expect("a member");
    let changes = [
        crate::model::MemberChange::Add(learner.clone()),
        crate::model::MemberChange::Remove(services.member_id()),
        crate::model::MemberChange::Promote(services.member_id()),
        crate::model::MemberChange::Update { id: services.member_id(), peer_urls: learner.peer_urls.clone() },
    ];
    for change in changes {
        for (caller, expected) in [
            (Caller::Anonymous, Refusal::UserEmpty),
            (user(&services, "reader"), Refusal::PermissionDenied),
            (user(&services, "nobody"), Refusal::UserNotFound),
        ] {
            let refused = services.propose(caller, Command::Member(change.clone())).await;
            assert_eq!(refused.err(), Some(expected), "{change:?}");
        }
    }
    assert_eq!((services.node.voters(), services.store.members().len()), (voters, 1));
    let add = Command::Member(crate::model::MemberChange::Add(learner));
    services.propose(user(&services, "root"), add).await.expect("root adds a learner");
    assert_eq!(services.store.members().len(), 2);
    services.node.shutdown().await;
}
