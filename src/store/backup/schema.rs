//! etcd's buckets, and the small ones' rows.

use bytes::Bytes;
use prost::Message;
use serde::Serialize;

use crate::auth::{Role, State, User};
use crate::model::{
    Alarm, AlarmKind, KeyRange, Lease, Member, MemberId, PasswordHash, Permission, PermissionKind, RangeEnd,
};
use crate::store::StoreError;
use crate::store::format::meta::Meta;
use crate::store::mvcc::revision::Revision;
use crate::store::mvcc::stored;
use crate::store::registry::Registry;

pub const KEY: &str = "key";
pub const LEASE: &str = "lease";
pub const ALARM: &str = "alarm";
pub const AUTH: &str = "auth";
pub const AUTH_ROLES: &str = "authRoles";
pub const AUTH_USERS: &str = "authUsers";
pub const META: &str = "meta";
const CLUSTER: &str = "cluster";
const MEMBERS: &str = "members";
const MEMBERS_REMOVED: &str = "members_removed";

pub const AUTH_ENABLED: &[u8] = b"authEnabled";
pub const AUTH_REVISION: &[u8] = b"authRevision";
pub const SCHEDULED_COMPACTION: &[u8] = b"scheduledCompactRev";
const FINISHED_COMPACTION: &[u8] = b"finishedCompactRev";
pub const CONSISTENT_INDEX: &[u8] = b"consistent_index";
pub const TERM: &[u8] = b"term";

/// The storage version of the file: etcd 3.6 and 3.7 open it, and earlier ones do not know the field. The schema is the
/// same in all of them.
const STORAGE_VERSION: &str = "3.6.0";

/// The cluster's version in the file. An etcd does not start on the data of a cluster with a later version than its own,
/// and raises an earlier one by itself, so the earliest one is written.
const CLUSTER_VERSION: &str = "3.4.0";

/// `mvccpb.KeyValue`.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(int64, tag = "2")]
    pub create_revision: i64,
    #[prost(int64, tag = "3")]
    pub mod_revision: i64,
    #[prost(int64, tag = "4")]
    pub version: i64,
    #[prost(bytes = "bytes", tag = "5")]
    pub value: Bytes,
    #[prost(int64, tag = "6")]
    pub lease: i64,
}

/// `leasepb.Lease`.
#[derive(Clone, Copy, PartialEq, Message)]
struct LeaseRow {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int64, tag = "2")]
    ttl: i64,
    /// Seconds; 0 if nothing was recorded.
    #[prost(int64, tag = "3")]
    remaining: i64,
}

/// `etcdserverpb.AlarmMember`.
#[derive(Clone, Copy, PartialEq, Message)]
struct AlarmRow {
    #[prost(uint64, tag = "1")]
    member: u64,
    #[prost(int32, tag = "2")]
    alarm: i32,
}

/// `authpb.User`.
#[derive(Clone, PartialEq, Message)]
struct UserRow {
    #[prost(bytes = "bytes", tag = "1")]
    name: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    password: Bytes,
    #[prost(string, repeated, tag = "3")]
    roles: Vec<String>,
    #[prost(message, optional, tag = "4")]
    options: Option<UserOptions>,
}

/// `authpb.UserAddOptions`.
#[derive(Clone, Copy, PartialEq, Message)]
struct UserOptions {
    #[prost(bool, tag = "1")]
    no_password: bool,
}

/// `authpb.Role`.
#[derive(Clone, PartialEq, Message)]
struct RoleRow {
    #[prost(bytes = "bytes", tag = "1")]
    name: Bytes,
    #[prost(message, repeated, tag = "2")]
    permissions: Vec<PermissionRow>,
}

/// `authpb.Permission`.
#[derive(Clone, PartialEq, Message)]
struct PermissionRow {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "bytes", tag = "2")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    range_end: Bytes,
}

/// etcd's JSON of a member.
#[derive(Serialize)]
struct MemberRow<'m> {
    id: u64,
    #[serde(rename = "peerURLs")]
    peer_urls: &'m [String],
    #[serde(rename = "isLearner", skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'m str,
    #[serde(rename = "clientURLs", skip_serializing_if = "<[String]>::is_empty")]
    client_urls: &'m [String],
}

/// etcd's JSON of raft's configuration.
#[derive(Serialize)]
struct ConfState {
    voters: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    learners: Vec<u64>,
    auto_leave: bool,
}

/// A row: key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// The rows of all buckets but `key` and `lease`, each in order.
pub fn small_buckets(registry: &Registry, meta: &Meta) -> Result<Vec<(&'static str, Vec<Row>)>, StoreError> {
    let (users, hex) = (&registry.users, |id: &MemberId| id.to_string().into_bytes());
    let state = users.state();
    let members = registry.members.values().map(|member| Ok((hex(&member.id), member_row(member)?)));
    let mut buckets: Vec<(&'static str, Vec<Row>)> = vec![
        (ALARM, registry.list_alarms(None).iter().map(|alarm| (alarm_row(alarm), Vec::new())).collect()),
        (
            AUTH,
            vec![
                (AUTH_ENABLED.to_vec(), vec![u8::from(state.enabled)]),
                (AUTH_REVISION.to_vec(), state.revision.to_be_bytes().to_vec()),
            ],
        ),
        (AUTH_ROLES, users.roles().map(|(name, role)| (name.into(), role_row(name, role))).collect()),
        (AUTH_USERS, users.users().map(|(name, user)| (name.into(), user_row(name, user))).collect()),
        (CLUSTER, vec![(b"clusterVersion".to_vec(), CLUSTER_VERSION.into())]),
        (MEMBERS, members.collect::<Result<_, StoreError>>()?),
        (MEMBERS_REMOVED, registry.removed.iter().map(|id| (hex(id), b"removed".to_vec())).collect()),
        (META, meta_rows(registry, meta)?),
    ];
    buckets.iter_mut().for_each(|(_, rows)| rows.sort_unstable());
    Ok(buckets)
}

fn meta_rows(registry: &Registry, meta: &Meta) -> Result<Vec<Row>, StoreError> {
    // etcd's first index and term are 1; neither is stored as 0.
    let index = meta.applied.map_or(1, |applied| applied.index + 1);
    let term = meta.applied.map_or(1, |applied| applied.term.max(1));
    let of = |votes: bool| {
        let wanted = registry.members.values().filter(move |m| (!m.learner && !m.pending) == votes);
        wanted.map(|member| member.id.0).collect()
    };
    let configuration = ConfState { voters: of(true), learners: of(false), auto_leave: false };
    let mut rows = vec![
        (CONSISTENT_INDEX.to_vec(), index.to_be_bytes().to_vec()),
        (TERM.to_vec(), term.to_be_bytes().to_vec()),
        (b"confState".to_vec(), json(&configuration)?),
        (b"storageVersion".to_vec(), STORAGE_VERSION.into()),
    ];
    for (name, main) in [(SCHEDULED_COMPACTION, meta.compacted), (FINISHED_COMPACTION, meta.pruned)] {
        if main > 0 {
            let (key, length) = stored::key(Revision { main, sub: 0 }, false);
            rows.push((name.to_vec(), key[..length].to_vec()));
        }
    }
    Ok(rows)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Damaged(format!("encoding JSON: {error}")))
}

fn member_row(member: &Member) -> Result<Vec<u8>, StoreError> {
    json(&MemberRow {
        id: member.id.0,
        peer_urls: &member.peer_urls,
        is_learner: member.learner,
        name: &member.name,
        client_urls: &member.client_urls,
    })
}

fn alarm_row(alarm: &Alarm) -> Vec<u8> {
    let number = match alarm.kind {
        AlarmKind::NoSpace => 1,
        AlarmKind::Corrupt => 2,
    };
    AlarmRow { member: alarm.member.0, alarm: number }.encode_to_vec()
}

/// The alarm of a row; `None` for bytes that are not one.
pub fn read_alarm(key: &[u8]) -> Option<Alarm> {
    let row = AlarmRow::decode(key).ok()?;
    let kind = match row.alarm {
        1 => AlarmKind::NoSpace,
        2 => AlarmKind::Corrupt,
        _ => return None,
    };
    Some(Alarm { member: MemberId(row.member), kind })
}

/// The row of a lease. The remaining time is rounded up to seconds.
pub fn lease_row(lease: &Lease) -> Vec<u8> {
    let remaining = lease.remaining_ms.map_or(0, |left| left.max(1).saturating_add(999) / 1000);
    LeaseRow { id: lease.id, ttl: lease.ttl, remaining }.encode_to_vec()
}

/// The lease of a row; `None` for bytes that are not one.
pub fn read_lease(key: &[u8], value: &[u8]) -> Option<Lease> {
    let row = LeaseRow::decode(value).ok()?;
    let remaining_ms = (row.remaining > 0).then(|| row.remaining.saturating_mul(1000));
    let fits = key == row.id.to_be_bytes() && row.id != 0;
    fits.then_some(Lease { id: row.id, ttl: row.ttl, remaining_ms })
}

fn user_row(name: &str, user: &User) -> Vec<u8> {
    UserRow {
        name: Bytes::copy_from_slice(name.as_bytes()),
        password: user.hash.as_ref().map_or_else(Bytes::new, |hash| Bytes::copy_from_slice(hash.as_bytes())),
        roles: user.roles.iter().cloned().collect(),
        options: Some(UserOptions { no_password: user.hash.is_none() }),
    }
    .encode_to_vec()
}

/// The user of a row; `None` for bytes that are not one.
pub fn read_user(key: &[u8], value: &[u8]) -> Option<(String, User)> {
    let row = UserRow::decode(value).ok()?;
    let no_password = row.options.is_some_and(|options| options.no_password);
    let hash = (!no_password).then(|| PasswordHash::new(row.password));
    let user = User::new(hash, row.roles.into_iter().collect());
    (key == row.name).then_some((String::from_utf8(key.to_vec()).ok()?, user))
}

fn role_row(name: &str, role: &Role) -> Vec<u8> {
    let permissions = role.permissions.iter().map(|permission| PermissionRow {
        kind: match permission.kind {
            PermissionKind::Read => 0,
            PermissionKind::Write => 1,
            PermissionKind::ReadWrite => 2,
        },
        key: permission.range.start.clone(),
        range_end: match &permission.range.end {
            RangeEnd::Single => Bytes::new(),
            RangeEnd::Before(end) => end.clone(),
            RangeEnd::Open => Bytes::from_static(&[0]),
        },
    });
    RoleRow { name: Bytes::copy_from_slice(name.as_bytes()), permissions: permissions.collect() }
        .encode_to_vec()
}

/// The role of a row; `None` for bytes that are not one.
pub fn read_role(key: &[u8], value: &[u8]) -> Option<(String, Role)> {
    let row = RoleRow::decode(value).ok()?;
    let permission = |row: PermissionRow| {
        let kind = match row.kind {
            0 => PermissionKind::Read,
            1 => PermissionKind::Write,
            2 => PermissionKind::ReadWrite,
            _ => return None,
        };
        Some(Permission { kind, range: KeyRange::from_wire(row.key, row.range_end) })
    };
    let mut permissions: Vec<_> = row.permissions.into_iter().map(permission).collect::<Option<_>>()?;
    permissions.sort_by(|one, other| one.range.start.cmp(&other.range.start));
    (key == row.name).then_some((String::from_utf8(key.to_vec()).ok()?, Role { permissions }))
}

/// Whether authentication is on, and its revision, from a row of `auth`; false for bytes that are not such a row.
pub fn read_auth(state: &mut State, key: &[u8], value: &[u8]) -> bool {
    match (key, value) {
        (AUTH_ENABLED, [enabled @ (0 | 1)]) => state.enabled = *enabled == 1,
        (AUTH_REVISION, value) => match value.try_into() {
            Ok(revision) => state.revision = u64::from_be_bytes(revision),
            Err(_) => return false,
        },
        _ => return false,
    }
    true
}
