//! Everything that a server has, as its clients see it.

use kvd::api::proto::authpb::Permission;
use kvd::api::proto::etcdserverpb as pb;
use kvd::api::proto::etcdserverpb::request_op::Request;
use kvd::api::proto::mvccpb::KeyValue;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, Server};

/// The permissions of a role: kind, key and end of the range.
type Rights = Vec<(i32, Vec<u8>, Vec<u8>)>;

/// Everything that a server has.
#[derive(Debug, PartialEq)]
pub struct Picture {
    pub revision: i64,
    /// All keys at each revision that can be read.
    history: BTreeMap<i64, Vec<KeyValue>>,
    /// Granted time and keys of each lease.
    leases: BTreeMap<i64, (i64, Vec<Vec<u8>>)>,
    users: BTreeMap<String, Vec<String>>,
    roles: BTreeMap<String, Rights>,
}

async fn all(server: &Server, revision: i64) -> Result<pb::RangeResponse, tonic::Status> {
    let request =
        pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), revision, ..Default::default() };
    server.api().kv.range(request).await.map(tonic::Response::into_inner)
}

/// Takes the picture. `from` is the first revision that can be read.
pub async fn picture(server: &Server, from: i64) -> Picture {
    let now = all(server, 0).await.expect("an answer");
    let revision = now.header.expect("a header").revision;
    let mut history = BTreeMap::new();
    for at in from..=revision {
        history.insert(at, all(server, at).await.expect("an answer").kvs);
    }
    if from > 1 {
        let before = all(server, from - 1).await.expect_err("it is compacted");
        assert!(before.message().contains("compacted"), "{before}");
    }
    let api = server.api();
    let listed =
        api.lease.clone().lease_leases(pb::LeaseLeasesRequest {}).await.expect("leases").into_inner();
    let mut leases = BTreeMap::new();
    for lease in listed.leases {
        let request = pb::LeaseTimeToLiveRequest { id: lease.id, keys: true };
        let found = api.lease.clone().lease_time_to_live(request).await.expect("a lease").into_inner();
        let mut keys: Vec<Vec<u8>> = found.keys.iter().map(|key| key.to_vec()).collect();
        keys.sort();
        leases.insert(lease.id, (found.granted_ttl, keys));
    }
    let (mut users, mut roles) = (BTreeMap::new(), BTreeMap::new());
    let mut auth = api.auth.clone();
    for name in auth.user_list(pb::AuthUserListRequest {}).await.expect("users").into_inner().users {
        let request = pb::AuthUserGetRequest { name: name.clone() };
        users.insert(name, auth.user_get(request).await.expect("a user").into_inner().roles);
    }
    for name in auth.role_list(pb::AuthRoleListRequest {}).await.expect("roles").into_inner().roles {
        let request = pb::AuthRoleGetRequest { role: name.clone() };
        let found = auth.role_get(request).await.expect("a role").into_inner().perm;
        let plain = |perm: Permission| (perm.perm_type, perm.key.to_vec(), perm.range_end.to_vec());
        // Since 3.6 the role root is shown with the permission that it has anyway.
        let shown = found.into_iter().filter(|_| name != "root").map(plain).collect();
        roles.insert(name, shown);
    }
    Picture { revision, history, leases, users, roles }
}

/// etcd's hash of everything, which changed after 3.5.
pub async fn hash(server: &Server) -> u32 {
    let hash = server.api().maintenance.hash_kv(pb::HashKvRequest { revision: 0 }).await;
    hash.expect("a hash").into_inner().hash
}

async fn put(server: &Server, key: &[u8], value: Vec<u8>, lease: i64) {
    let request =
        pb::PutRequest { key: key.to_vec().into(), value: value.into(), lease, ..Default::default() };
    server.api().kv.put(request).await.expect("a put");
}

async fn delete(server: &Server, key: &str, end: &str) {
    let request = pb::DeleteRangeRequest {
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
        ..Default::default()
    };
    server.api().kv.delete_range(request).await.expect("a deletion");
}

/// Grants a lease.
pub async fn grant(server: &Server, id: i64, ttl: i64) {
    server.api().lease.lease_grant(pb::LeaseGrantRequest { ttl, id }).await.expect("a lease");
}

/// Fills a server with some of everything: keys put once and often, deleted and put again, empty and large values, long
/// and binary keys, transactions, a compaction in between, leases with and without keys, users and roles. Returns the
/// compacted revision.
pub async fn fill(server: &Server) -> i64 {
    grant(server, 0x7000_0000_0000_0001, 5000).await;
    grant(server, 77, 6000).await;
    for round in 0..6u8 {
        for key in 0..5u8 {
            put(server, format!("/keys/{key}").as_bytes(), vec![round; usize::from(key) * 10], 0).await;
        }
        put(server, b"/leased/a", vec![round], 77).await;
        delete(server, "/keys/3", "").await;
        if round == 2 {
            delete(server, "/keys/", "/keys0").await;
        }
    }
    put(server, b"/leased/b", b"b".to_vec(), 77).await;
    put(server, b"/empty", Vec::new(), 0).await;
    put(server, b"/large", vec![7; 1_400_000], 0).await;
    put(server, b"/large", vec![8; 70_000], 0).await;
    put(server, &[b'/', 0, 0xff, b'x'], b"binary".to_vec(), 0).await;
    put(server, &[b'l'; 2000], b"long".to_vec(), 0).await;
    put(server, &[b'l'; 1900], b"long and first".to_vec(), 77).await;
    let compacted = all(server, 0).await.expect("an answer").header.expect("a header").revision - 12;
    let compaction = pb::CompactionRequest { revision: compacted, physical: true };
    server.api().kv.compact(compaction).await.expect("a compaction");
    let put_of = |key: &str, value: &str| pb::RequestOp {
        request: Some(Request::RequestPut(pb::PutRequest {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            ..Default::default()
        })),
    };
    let delete_of = |key: &str| pb::RequestOp {
        request: Some(Request::RequestDeleteRange(pb::DeleteRangeRequest {
            key: key.to_owned().into(),
            ..Default::default()
        })),
    };
    let success =
        vec![put_of("/txn/a", "1"), delete_of("/keys/1"), put_of("/txn/b", "2"), delete_of("/empty")];
    server.api().kv.txn(pb::TxnRequest { success, ..Default::default() }).await.expect("a transaction");
    put(server, b"/keys/1", b"again".to_vec(), 0).await;
    delete(server, "/txn/a", "").await;
    users(server).await;
    compacted
}

async fn users(server: &Server) {
    let mut auth = server.api().auth;
    for (name, password) in [("root", "of all"), ("alice", "secret"), ("certified", "")] {
        let options = Some(kvd::api::proto::authpb::UserAddOptions { no_password: password.is_empty() });
        let request = pb::AuthUserAddRequest {
            name: name.into(),
            password: password.into(),
            options,
            ..Default::default()
        };
        auth.user_add(request).await.expect("a user");
    }
    for role in ["root", "app", "none"] {
        auth.role_add(pb::AuthRoleAddRequest { name: role.into() }).await.expect("a role");
    }
    for (kind, key, end) in [(2, "/keys/", "/keys0"), (0, "/large", ""), (1, "/txn", "\0")] {
        let perm = Permission { perm_type: kind, key: key.into(), range_end: end.into() };
        let request = pb::AuthRoleGrantPermissionRequest { name: "app".into(), perm: Some(perm) };
        auth.role_grant_permission(request).await.expect("a permission");
    }
    for (user, role) in [("root", "root"), ("alice", "app")] {
        let request = pb::AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
        auth.user_grant_role(request).await.expect("a role");
    }
}

/// The server goes on: it takes writes at the next revision, and its users log in with their passwords.
pub async fn goes_on(server: &Server) {
    let before = all(server, 0).await.expect("an answer").header.expect("a header").revision;
    put(server, b"/after", b"x".to_vec(), 77).await;
    let now = all(server, 0).await.expect("an answer");
    assert_eq!(now.header.expect("a header").revision, before + 1);
    let mut auth = server.api().auth;
    auth.auth_enable(pb::AuthEnableRequest {}).await.expect("enabled");
    let mut log_in = async |name: &str, password: &str| {
        let request = pb::AuthenticateRequest { name: name.into(), password: password.into() };
        auth.authenticate(request).await.map(|answer| answer.into_inner().token)
    };
    log_in("alice", "wrong").await.expect_err("a wrong password");
    log_in("root", "of all").await.expect("root's password");
    let token = log_in("alice", "secret").await.expect("her password");
    let mut request = tonic::Request::new(pb::RangeRequest { key: "/keys/1".into(), ..Default::default() });
    request.metadata_mut().insert("token", token.parse().expect("a token"));
    let found = server.api().kv.range(request).await.expect("what she may read").into_inner();
    assert_eq!(found.kvs[0].value.as_ref(), b"again");
}

/// Waits until a key is gone, because its lease has run out.
pub async fn runs_out(server: &Server, key: &str) {
    let begun = Instant::now();
    loop {
        let request = pb::RangeRequest { key: key.to_owned().into(), count_only: true, ..Default::default() };
        if server.api().kv.range(request).await.expect("an answer").into_inner().count == 0 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the lease does not run out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
