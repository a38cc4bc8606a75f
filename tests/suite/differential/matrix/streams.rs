//! Calls that take long, and whose caller loses the right meanwhile. etcd asks about it when a call begins, kvd as long as
//! it goes on; the table says what each does.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kvd::api::proto::authpb::Permission;
use kvd::api::proto::etcdserverpb as pb;
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::v3electionpb::{CampaignRequest, LeaderRequest};
use kvd::api::proto::v3lockpb::LockRequest;
use kvd::api::rules::Rpc;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Streaming};

use super::requests::PASSWORD;
use super::wire::{next, open, outcome};
use crate::harness::{Api, PATIENCE, Program, Server, Setup, heavy, page, reference, subject};

/// How a right is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taking {
    Role,
    Password,
    User,
}

/// A server with authentication, and whoever takes and pokes.
struct Side {
    server: Server,
    api: Api,
    root: String,
}

/// The values of a snapshot and a stream of pages: more than is sent before the client reads.
const VALUES: usize = 24;

impl Side {
    async fn of(program: &Program) -> Side {
        let server = Setup::of(program).arg("--bcrypt-cost=4").start().await;
        let api = server.api();
        let mut side = Side { server, api, root: String::new() };
        side.add("root", "root").await;
        let mut auth = side.api.auth.clone();
        auth.role_add(pb::AuthRoleAddRequest { name: "r".into() }).await.expect("a role");
        let perm = Some(Permission { perm_type: 2, key: "k/".into(), range_end: "k0".into() });
        let grant = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm };
        auth.role_grant_permission(grant).await.expect("a permission");
        for number in 0..VALUES {
            side.put(&format!("k/large/{number:02}"), vec![b'x'; 1_000_000]).await;
        }
        auth.auth_enable(pb::AuthEnableRequest {}).await.expect("there is a root");
        side.root = side.log_in("root").await;
        side
    }

    fn by_root<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if !self.root.is_empty() {
            request.metadata_mut().insert("token", self.root.parse().expect("a token is ASCII"));
        }
        request
    }

    /// A user with a role.
    async fn add(&self, name: &str, role: &str) {
        let mut auth = self.api.auth.clone();
        let user = name.to_string();
        let add =
            pb::AuthUserAddRequest { name: user.clone(), password: PASSWORD.into(), ..Default::default() };
        auth.user_add(self.by_root(add)).await.expect("a user");
        let grant = pb::AuthUserGrantRoleRequest { user, role: role.into() };
        auth.user_grant_role(self.by_root(grant)).await.expect("a grant");
    }

    async fn log_in(&self, name: &str) -> String {
        let login = pb::AuthenticateRequest { name: name.into(), password: PASSWORD.into() };
        self.api.auth.clone().authenticate(login).await.expect("the password").into_inner().token
    }

    async fn put(&self, key: &str, value: Vec<u8>) {
        let put = pb::PutRequest { key: key.to_string().into(), value: value.into(), ..Default::default() };
        self.api.kv.clone().put(self.by_root(put)).await.expect("a put");
    }

    async fn delete(&self, key: &Bytes) {
        let delete = pb::DeleteRangeRequest { key: key.clone(), ..Default::default() };
        self.api.kv.clone().delete_range(self.by_root(delete)).await.expect("a deletion");
    }

    /// Waits until so many keys are below a prefix; returns the oldest.
    async fn keys(&self, prefix: &str, count: usize) -> Bytes {
        let begun = Instant::now();
        loop {
            let (key, range_end) = (format!("{prefix}/").into(), format!("{prefix}0").into());
            let range =
                pb::RangeRequest { key, range_end, sort_order: 1, sort_target: 2, ..Default::default() };
            let kvs = self.api.kv.clone().range(self.by_root(range)).await.expect("a range").into_inner().kvs;
            if kvs.len() == count {
                return kvs[0].key.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "{} keys below {prefix}", kvs.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until there are so many watchers: etcd's recipes begin to watch some time after they have read or answered.
    async fn watchers(&self, count: usize) {
        let begun = Instant::now();
        let expected = format!("etcd_debugging_mvcc_watcher_total {count}");
        loop {
            let page = page(&self.server, "/metrics").await;
            if page.lines().any(|line| line == expected) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not {count} watchers:\n{page}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn take(&self, user: &str, role: &str, taking: Taking) {
        let mut auth = self.api.auth.clone();
        let name = user.to_string();
        match taking {
            Taking::Role => {
                let revoke = pb::AuthUserRevokeRoleRequest { name, role: role.into() };
                auth.user_revoke_role(self.by_root(revoke)).await.map(drop)
            }
            Taking::Password => {
                let password = "another".to_string();
                let change = pb::AuthUserChangePasswordRequest { name, password, ..Default::default() };
                auth.user_change_password(self.by_root(change)).await.map(drop)
            }
            Taking::User => {
                auth.user_delete(self.by_root(pb::AuthUserDeleteRequest { name })).await.map(drop)
            }
        }
        .expect("root may do that");
    }

    /// What a call meets whose user loses its right meanwhile.
    async fn meets(&self, rpc: Rpc, taking: Taking) -> String {
        let (user, name) = (format!("{rpc:?}-{taking:?}"), format!("k/{rpc:?}/{taking:?}"));
        // Those of the call before are gone.
        self.watchers(0).await;
        let role = if rpc == Rpc::Snapshot { "root" } else { "r" };
        self.add(&user, role).await;
        let token = self.log_in(&user).await;
        let (give, messages) = mpsc::unbounded_channel();
        let send = |message: Vec<u8>| give.send(Bytes::from(message)).expect("the call goes on");
        let begin = open(self.channel(), rpc, Some(token), UnboundedReceiverStream::new(messages));
        let key = Bytes::from(name.clone());
        match rpc {
            Rpc::Put => {
                let put = pb::PutRequest { key, ..Default::default() }.encode_to_vec();
                // It waits for the message, which is held back.
                let call = tokio::spawn(begin);
                tokio::time::sleep(Duration::from_millis(200)).await;
                self.take(&user, role, taking).await;
                send(put);
                drop(give);
                match call.await.expect("no panic") {
                    Ok(mut answers) => next(rpc, &mut answers).await,
                    Err(status) => format!("{:?}: {}", status.code(), status.message()),
                }
            }
            Rpc::Watch => {
                let create = pb::WatchCreateRequest { key, ..Default::default() };
                let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
                send(create.encode_to_vec());
                let mut answers = begin.await.expect("a stream");
                assert_eq!(next(rpc, &mut answers).await, "ok");
                self.take(&user, role, taking).await;
                self.put(&name, Vec::new()).await;
                next(rpc, &mut answers).await
            }
            Rpc::LeaseKeepAlive => {
                let id = 1 + taking as i64;
                let mut lease = self.api.lease.clone();
                let grant = pb::LeaseGrantRequest { id, ttl: 3600 };
                lease.lease_grant(self.by_root(grant)).await.expect("a lease");
                let put = pb::PutRequest { key, lease: id, ..Default::default() };
                self.api.kv.clone().put(self.by_root(put)).await.expect("a put");
                let renewal = pb::LeaseKeepAliveRequest { id }.encode_to_vec();
                send(renewal.clone());
                let mut answers = begin.await.expect("a stream");
                assert_eq!(next(rpc, &mut answers).await, "ok");
                self.take(&user, role, taking).await;
                send(renewal);
                next(rpc, &mut answers).await
            }
            Rpc::Snapshot | Rpc::RangeStream => {
                send(match rpc {
                    Rpc::Snapshot => pb::SnapshotRequest {}.encode_to_vec(),
                    _ => {
                        let (key, range_end) = ("k/large/".into(), "k/large0".into());
                        pb::RangeRequest { key, range_end, ..Default::default() }.encode_to_vec()
                    }
                });
                drop(give);
                let mut answers = begin.await.expect("a stream");
                assert_eq!(next(rpc, &mut answers).await, "ok");
                self.take(&user, role, taking).await;
                to_the_end(rpc, &mut answers).await
            }
            Rpc::Lock | Rpc::Campaign => {
                let lease = 10 * rpc as i64 + taking as i64;
                for lease in [lease, lease + 5] {
                    let grant = pb::LeaseGrantRequest { id: lease, ttl: 3600 };
                    self.api.lease.clone().lease_grant(self.by_root(grant)).await.expect("a lease");
                }
                let ask = |lease| match rpc {
                    Rpc::Lock => LockRequest { name: key.clone(), lease }.encode_to_vec(),
                    _ => CampaignRequest { name: key.clone(), lease, value: "v".into() }.encode_to_vec(),
                };
                let held = outcome(self.channel(), rpc, Some(self.root.clone()), ask(lease).into());
                assert_eq!(held.await, "ok");
                send(ask(lease + 5));
                drop(give);
                let call = tokio::spawn(begin);
                let holder = self.keys(&name, 2).await;
                self.watchers(1).await;
                self.take(&user, role, taking).await;
                self.delete(&holder).await;
                match call.await.expect("no panic") {
                    Ok(mut answers) => next(rpc, &mut answers).await,
                    Err(status) => format!("{:?}: {}", status.code(), status.message()),
                }
            }
            Rpc::Observe => {
                self.put(&format!("{name}/1"), b"first".to_vec()).await;
                send(LeaderRequest { name: key }.encode_to_vec());
                drop(give);
                let mut answers = begin.await.expect("a stream");
                assert_eq!(next(rpc, &mut answers).await, "ok");
                self.watchers(1).await;
                self.take(&user, role, taking).await;
                self.put(&format!("{name}/1"), b"second".to_vec()).await;
                next(rpc, &mut answers).await
            }
            other => unreachable!("{other:?} is not in the table"),
        }
    }

    fn channel(&self) -> tonic::transport::Channel {
        let url = self.server.url();
        tonic::transport::Endpoint::from_shared(url).expect("a URL").connect_lazy()
    }
}

/// How a stream ends.
async fn to_the_end(rpc: Rpc, answers: &mut Streaming<Bytes>) -> String {
    loop {
        match next(rpc, answers).await.as_str() {
            "ok" => {}
            end => return end.to_string(),
        }
    }
}

const DENIED: &str = "PermissionDenied: etcdserver: permission denied";
const VOID: &str = "Unauthenticated: etcdserver: invalid auth token";
const OLD: &str = "InvalidArgument: etcdserver: revision of auth store is old";
const PLAIN_DENIED: &str = "Unknown: etcdserver: permission denied";
const PLAIN_VOID: &str = "Unknown: etcdserver: invalid auth token";
const WATCH_DENIED: &str =
    "canceled: rpc error: code = PermissionDenied desc = etcdserver: permission denied";

/// The call, how the right is taken away, what etcd does, what kvd does. Where they differ, etcd goes on to send what the
/// caller may not read any more, or refuses a caller for any change of users, also of others. Whoever waits for a lock
/// waits for an event, and that ends as a watcher does.
const TABLE: &[(Rpc, Taking, &str, &str)] = &[
    (Rpc::Put, Taking::Role, DENIED, DENIED),
    (Rpc::Put, Taking::Password, VOID, VOID),
    (Rpc::Put, Taking::User, VOID, VOID),
    (Rpc::Watch, Taking::Role, "1 events", WATCH_DENIED),
    (Rpc::Watch, Taking::Password, "1 events", WATCH_DENIED),
    (Rpc::Watch, Taking::User, "1 events", WATCH_DENIED),
    (Rpc::LeaseKeepAlive, Taking::Role, DENIED, DENIED),
    (Rpc::LeaseKeepAlive, Taking::Password, VOID, VOID),
    (Rpc::LeaseKeepAlive, Taking::User, VOID, VOID),
    (Rpc::Snapshot, Taking::Role, "end", DENIED),
    (Rpc::Snapshot, Taking::Password, "end", VOID),
    (Rpc::Snapshot, Taking::User, "end", VOID),
    (Rpc::RangeStream, Taking::Role, OLD, DENIED),
    (Rpc::RangeStream, Taking::Password, OLD, VOID),
    (Rpc::RangeStream, Taking::User, OLD, VOID),
    (Rpc::Lock, Taking::Role, PLAIN_DENIED, PLAIN_DENIED),
    (Rpc::Lock, Taking::Password, PLAIN_VOID, PLAIN_VOID),
    (Rpc::Lock, Taking::User, PLAIN_VOID, PLAIN_VOID),
    (Rpc::Campaign, Taking::Role, PLAIN_DENIED, PLAIN_DENIED),
    (Rpc::Campaign, Taking::Password, PLAIN_VOID, PLAIN_VOID),
    (Rpc::Campaign, Taking::User, PLAIN_VOID, PLAIN_VOID),
    (Rpc::Observe, Taking::Role, "ok", "Cancelled: context canceled"),
    (Rpc::Observe, Taking::Password, "ok", "Cancelled: context canceled"),
    (Rpc::Observe, Taking::User, "ok", "Cancelled: context canceled"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differential_rights_that_end_during_a_call() {
    let Some(reference) = reference("differential_rights_that_end_during_a_call") else { return };
    if reference.level() < (3, 7) {
        return;
    }
    let _turn = heavy().await;
    let program = subject();
    let (etcd, kvd) = tokio::join!(Side::of(&reference), Side::of(&program));
    let mut found = Vec::new();
    for (rpc, taking, ..) in TABLE {
        let (etcd, kvd) = tokio::join!(etcd.meets(*rpc, *taking), kvd.meets(*rpc, *taking));
        found.push((*rpc, *taking, etcd, kvd));
    }
    let shown = |rows: &mut dyn Iterator<Item = String>| rows.collect::<Vec<String>>().join("\n");
    let expected = shown(&mut TABLE.iter().map(|row| format!("{row:?}")));
    let found = shown(&mut found.iter().map(|row| format!("{row:?}")));
    assert_eq!(found, expected);
}
