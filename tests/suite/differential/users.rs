//! Users and roles, beside a real etcd: random callers do random things, and every outcome must be the same, with its code
//! and its text. One difference is left out: kvd asks who calls before it looks at the request, and etcd first refuses what is
//! wrong in itself, such as an empty key.
//!
//! `KVD_SEED=N cargo test --test suite differential_callers` replays a run, `KVD_OPS=N` makes it longer.

mod acts;

use self::acts::{Act, TOKENS, Who, acts};
use crate::harness::{Api, Dice, PATIENCE, Program, Server, Setup, heavy, reference, seed, subject};
use bytes::Bytes;
use kvd::api::proto::authpb::{Permission, UserAddOptions};
use kvd::api::proto::etcdserverpb as pb;
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use std::collections::BTreeMap;
use std::fmt;
use tonic::{Request, Status};

/// Acts of a run unless `KVD_OPS` says otherwise.
const ACTS: usize = 4000;

/// Servers of a run, one after the other: sooner or later nobody knows root's password any more.
const ROUNDS: usize = 8;

/// The result of an act, in comparable form.
#[derive(Clone, PartialEq)]
enum Outcome {
    Done(String),
    Refused(tonic::Code, String),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(what) => write!(f, "done: {what}"),
            Self::Refused(code, text) => write!(f, "{code:?}: {text}"),
        }
    }
}

/// A server with the tokens that it has given.
struct Side {
    _server: Server,
    api: Api,
    tokens: Vec<Option<String>>,
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn shown(kvs: &[kvd::api::proto::mvccpb::KeyValue]) -> String {
    format!("{:?}", kvs.iter().map(|kv| (&kv.key, kv.version, kv.lease)).collect::<Vec<_>>())
}

impl Side {
    async fn of(program: &Program) -> Self {
        let server = Setup::of(program).arg("--bcrypt-cost=4").start().await;
        let api = server.api();
        Self { _server: server, api, tokens: vec![None; TOKENS] }
    }

    fn ask<T>(&self, who: Who, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = match who {
            Who::Nobody => None,
            Who::Token(slot) => self.tokens[slot].clone(),
            Who::Wrong => Some("nonsense.1".to_string()),
        };
        if let Some(token) = token.and_then(|token| token.parse().ok()) {
            request.metadata_mut().insert("token", token);
        }
        request
    }

    async fn run(&mut self, who: Who, act: &Act) -> Outcome {
        match tokio::time::timeout(PATIENCE, self.answer(who, act)).await {
            Ok(Ok(done)) => Outcome::Done(done),
            Ok(Err(status)) => Outcome::Refused(status.code(), status.message().to_string()),
            Err(_) => Outcome::Done("no answer in time".into()),
        }
    }

    async fn answer(&mut self, who: Who, act: &Act) -> Result<String, Status> {
        let Api { kv, lease, cluster, maintenance, auth, watch } = &self.api;
        let (mut kv, mut lease, mut cluster) = (kv.clone(), lease.clone(), cluster.clone());
        let (mut maintenance, mut auth, mut watch) = (maintenance.clone(), auth.clone(), watch.clone());
        let name = |name: &str| name.to_string();
        Ok(match act.clone() {
            Act::Login { slot, name, password } => {
                let login = pb::AuthenticateRequest { name: name.into(), password: password.into() };
                let token = auth.authenticate(Request::new(login)).await?.into_inner().token;
                self.tokens[slot] = Some(token);
                String::new()
            }
            Act::Enable => {
                auth.auth_enable(self.ask(who, pb::AuthEnableRequest {})).await?;
                String::new()
            }
            Act::Disable => {
                auth.auth_disable(self.ask(who, pb::AuthDisableRequest {})).await?;
                String::new()
            }
            Act::Status => {
                let status = auth.auth_status(self.ask(who, pb::AuthStatusRequest {})).await?.into_inner();
                format!("{} {}", status.enabled, status.auth_revision)
            }
            Act::UserAdd { name, password, no_password } => {
                let options = Some(UserAddOptions { no_password });
                let (name, password) = (name.into(), password.into());
                let add = pb::AuthUserAddRequest { name, password, options, ..Default::default() };
                auth.user_add(self.ask(who, add)).await?;
                String::new()
            }
            Act::UserDelete(user) => {
                auth.user_delete(self.ask(who, pb::AuthUserDeleteRequest { name: name(user) })).await?;
                String::new()
            }
            Act::UserGet(user) => {
                let get = pb::AuthUserGetRequest { name: name(user) };
                format!("{:?}", auth.user_get(self.ask(who, get)).await?.into_inner().roles)
            }
            Act::UserList => {
                format!(
                    "{:?}",
                    auth.user_list(self.ask(who, pb::AuthUserListRequest {})).await?.into_inner().users
                )
            }
            Act::Password { name, password } => {
                let (name, password) = (name.into(), password.into());
                let change = pb::AuthUserChangePasswordRequest { name, password, ..Default::default() };
                auth.user_change_password(self.ask(who, change)).await?;
                String::new()
            }
            Act::Grant { user, role } => {
                let grant = pb::AuthUserGrantRoleRequest { user: name(user), role: name(role) };
                auth.user_grant_role(self.ask(who, grant)).await?;
                String::new()
            }
            Act::Revoke { user, role } => {
                let revoke = pb::AuthUserRevokeRoleRequest { name: name(user), role: name(role) };
                auth.user_revoke_role(self.ask(who, revoke)).await?;
                String::new()
            }
            Act::RoleAdd(role) => {
                auth.role_add(self.ask(who, pb::AuthRoleAddRequest { name: name(role) })).await?;
                String::new()
            }
            Act::RoleDelete(role) => {
                auth.role_delete(self.ask(who, pb::AuthRoleDeleteRequest { role: name(role) })).await?;
                String::new()
            }
            Act::RoleGet(role) => {
                let get = pb::AuthRoleGetRequest { role: name(role) };
                let mut all = auth.role_get(self.ask(who, get)).await?.into_inner().perm;
                all.sort_by_key(|one| (one.key.clone(), one.range_end.clone(), one.perm_type));
                format!("{all:?}")
            }
            Act::RoleList => {
                format!(
                    "{:?}",
                    auth.role_list(self.ask(who, pb::AuthRoleListRequest {})).await?.into_inner().roles
                )
            }
            Act::Permit { role, permission } => {
                let perm = permission.map(|(perm_type, key, end)| Permission {
                    perm_type,
                    key: bytes(key),
                    range_end: bytes(end),
                });
                let permit = pb::AuthRoleGrantPermissionRequest { name: name(role), perm };
                auth.role_grant_permission(self.ask(who, permit)).await?;
                String::new()
            }
            Act::Forbid { role, key, end } => {
                let (key, range_end) = (bytes(key), bytes(end));
                let forbid = pb::AuthRoleRevokePermissionRequest { role: name(role), key, range_end };
                auth.role_revoke_permission(self.ask(who, forbid)).await?;
                String::new()
            }
            Act::Range { key, end, serializable } => {
                let (key, range_end) = (bytes(key), bytes(end));
                let range = pb::RangeRequest { key, range_end, serializable, ..Default::default() };
                shown(&kv.range(self.ask(who, range)).await?.into_inner().kvs)
            }
            Act::RangeStream { key, end } => {
                let range = pb::RangeRequest { key: bytes(key), range_end: bytes(end), ..Default::default() };
                let mut stream = kv.range_stream(self.ask(who, range)).await?.into_inner();
                let mut kvs = Vec::new();
                while let Some(part) = stream.message().await? {
                    kvs.extend(part.range_response.unwrap_or_default().kvs);
                }
                shown(&kvs)
            }
            Act::Put { key, lease, prev_kv, ignore_lease } => {
                let lease = if ignore_lease { 0 } else { lease };
                let (key, value) = (bytes(key), bytes("v"));
                let put = pb::PutRequest { key, value, lease, prev_kv, ignore_lease, ..Default::default() };
                let put = kv.put(self.ask(who, put)).await?.into_inner();
                shown(put.prev_kv.as_slice())
            }
            Act::Delete { key, end, prev_kv } => {
                let delete = pb::DeleteRangeRequest { key: bytes(key), range_end: bytes(end), prev_kv };
                let done = kv.delete_range(self.ask(who, delete)).await?.into_inner();
                format!("{} {}", done.deleted, shown(&done.prev_kvs))
            }
            Act::Txn(txn) => {
                let done = kv.txn(self.ask(who, txn)).await?.into_inner();
                format!("{} {}", done.succeeded, done.responses.len())
            }
            Act::Watch { key, end } => {
                let create =
                    pb::WatchCreateRequest { key: bytes(key), range_end: bytes(end), ..Default::default() };
                let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
                let requests =
                    tokio_stream::StreamExt::chain(tokio_stream::iter([create]), tokio_stream::pending());
                let mut answers = watch.watch(self.ask(who, requests)).await?.into_inner();
                let answer = answers.message().await?.unwrap_or_default();
                format!("{} {} {} {}", answer.watch_id, answer.created, answer.canceled, answer.cancel_reason)
            }
            Act::LeaseGrant(id) => {
                lease.lease_grant(self.ask(who, pb::LeaseGrantRequest { id, ttl: 1000 })).await?;
                String::new()
            }
            Act::LeaseRevoke(id) => {
                lease.lease_revoke(self.ask(who, pb::LeaseRevokeRequest { id })).await?;
                String::new()
            }
            Act::LeaseLives { id, keys } => {
                let ask = self.ask(who, pb::LeaseTimeToLiveRequest { id, keys });
                let mut lives = lease.lease_time_to_live(ask).await?.into_inner();
                lives.keys.sort();
                format!("{} {:?}", lives.granted_ttl, lives.keys)
            }
            Act::LeaseRenew(id) => {
                let requests = tokio_stream::iter([pb::LeaseKeepAliveRequest { id }]);
                let mut answers = lease.lease_keep_alive(self.ask(who, requests)).await?.into_inner();
                format!("{:?}", answers.message().await?.map(|answer| answer.ttl))
            }
            Act::Leases => {
                let all = lease.lease_leases(self.ask(who, pb::LeaseLeasesRequest {})).await?.into_inner();
                let mut ids: Vec<i64> = all.leases.iter().map(|lease| lease.id).collect();
                ids.sort_unstable();
                format!("{ids:?}")
            }
            Act::Compact(revision) => {
                let compact = pb::CompactionRequest { revision, physical: false };
                kv.compact(self.ask(who, compact)).await?;
                String::new()
            }
            Act::Hash => {
                maintenance.hash(self.ask(who, pb::HashRequest {})).await?;
                String::new()
            }
            Act::HashKv => {
                maintenance.hash_kv(self.ask(who, pb::HashKvRequest { revision: 0 })).await?;
                String::new()
            }
            Act::Snapshot => {
                let mut blobs =
                    maintenance.snapshot(self.ask(who, pb::SnapshotRequest {})).await?.into_inner();
                format!("{}", blobs.message().await?.is_some())
            }
            Act::Members => {
                let list = cluster.member_list(self.ask(who, pb::MemberListRequest { linearizable: true }));
                format!("{}", list.await?.into_inner().members.len())
            }
            Act::MemberRemove => {
                cluster.member_remove(self.ask(who, pb::MemberRemoveRequest { id: 7 })).await?;
                String::new()
            }
            Act::MemberUpdate => {
                let peer_ur_ls = vec!["http://127.0.0.1:1".into()];
                cluster.member_update(self.ask(who, pb::MemberUpdateRequest { id: 7, peer_ur_ls })).await?;
                String::new()
            }
            Act::MemberPromote => {
                cluster.member_promote(self.ask(who, pb::MemberPromoteRequest { id: 7 })).await?;
                String::new()
            }
            Act::Alarms => {
                let list = pb::AlarmRequest::default();
                format!("{}", maintenance.alarm(self.ask(who, list)).await?.into_inner().alarms.len())
            }
            Act::AlarmClear => {
                let clear = pb::AlarmRequest { action: 2, member_id: 7, alarm: 1 };
                format!("{}", maintenance.alarm(self.ask(who, clear)).await?.into_inner().alarms.len())
            }
            Act::MemberStatus => {
                maintenance.status(self.ask(who, pb::StatusRequest {})).await?;
                String::new()
            }
            Act::MoveLeader => {
                maintenance.move_leader(self.ask(who, pb::MoveLeaderRequest { target_id: 7 })).await?;
                String::new()
            }
            Act::Downgrade => {
                let validate = pb::DowngradeRequest { action: 0, version: "1.0".into() };
                maintenance.downgrade(self.ask(who, validate)).await?;
                String::new()
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differential_callers_get_equal_outcomes() {
    let test = "differential_callers_get_equal_outcomes";
    let Some(reference) = reference(test) else { return };
    // Earlier versions ask for other rights.
    if reference.level() < (3, 7) {
        return;
    }
    let _turn = heavy().await;
    let count = std::env::var("KVD_OPS").ok().and_then(|text| text.parse().ok()).unwrap_or(ACTS);
    let mut dice = Dice::new(seed(test));
    let mut seen = BTreeMap::new();
    for _ in 0..ROUNDS {
        let acts = acts(Dice::new(dice.next()), count / ROUNDS);
        round(&reference, &acts, &mut seen).await;
    }
    let expected = [
        "done",
        "etcdserver: permission denied",
        "etcdserver: user name is empty",
        "etcdserver: invalid auth token",
    ];
    for kind in expected {
        assert!(seen.contains_key(kind) || count < ACTS, "never {kind}: {seen:?}");
    }
}

/// Both servers do the same, from their start on; adds what was seen.
async fn round(reference: &Program, acts: &[(Who, Act)], seen: &mut BTreeMap<String, usize>) {
    let subject = subject();
    let (mut etcd, mut kvd) = tokio::join!(Side::of(reference), Side::of(&subject));
    for (number, (who, act)) in acts.iter().enumerate() {
        let (expected, got) = tokio::join!(etcd.run(*who, act), kvd.run(*who, act));
        if expected != got {
            let before: Vec<String> = acts[number.saturating_sub(30)..number]
                .iter()
                .map(|(who, act)| format!("{who:?}: {act:?}"))
                .collect();
            let before = before.join("\n");
            panic!("{before}\nact {number}, {who:?}: {act:?}\nexpected {expected:?}\ngot      {got:?}");
        }
        let kind = match expected {
            Outcome::Done(_) => "done".to_string(),
            Outcome::Refused(_, text) => text,
        };
        *seen.entry(kind).or_insert(0) += 1;
    }
}
