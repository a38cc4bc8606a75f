//! What the committed entries of an etcd's log ask for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

use super::wal::Entry;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::api::rpc::convert;
use crate::model::{
    Alarm, AuthChange, Caller, Command, KeyRange, MemberId, PasswordHash, Proposal, Refusal, Stamp,
};

/// `etcdserverpb.InternalRaftRequest`, with what changes the state.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, optional, tag = "100")]
    header: Option<Header>,
    /// A request of the second API, which etcd's own members used for themselves.
    #[prost(bytes = "bytes", optional, tag = "2")]
    second: Option<bytes::Bytes>,
    #[prost(message, optional, tag = "4")]
    put: Option<pb::PutRequest>,
    #[prost(message, optional, tag = "5")]
    delete: Option<pb::DeleteRangeRequest>,
    #[prost(message, optional, tag = "6")]
    txn: Option<pb::TxnRequest>,
    #[prost(message, optional, tag = "7")]
    compaction: Option<pb::CompactionRequest>,
    #[prost(message, optional, tag = "8")]
    lease_grant: Option<pb::LeaseGrantRequest>,
    #[prost(message, optional, tag = "9")]
    lease_revoke: Option<pb::LeaseRevokeRequest>,
    #[prost(message, optional, tag = "10")]
    alarm: Option<pb::AlarmRequest>,
    #[prost(message, optional, tag = "11")]
    lease_checkpoint: Option<pb::LeaseCheckpointRequest>,
    #[prost(message, optional, tag = "1000")]
    auth_enable: Option<pb::AuthEnableRequest>,
    #[prost(message, optional, tag = "1011")]
    auth_disable: Option<pb::AuthDisableRequest>,
    #[prost(message, optional, tag = "1100")]
    user_add: Option<pb::AuthUserAddRequest>,
    #[prost(message, optional, tag = "1101")]
    user_delete: Option<pb::AuthUserDeleteRequest>,
    #[prost(message, optional, tag = "1103")]
    user_password: Option<pb::AuthUserChangePasswordRequest>,
    #[prost(message, optional, tag = "1104")]
    user_grant: Option<pb::AuthUserGrantRoleRequest>,
    #[prost(message, optional, tag = "1105")]
    user_revoke: Option<pb::AuthUserRevokeRoleRequest>,
    #[prost(message, optional, tag = "1200")]
    role_add: Option<pb::AuthRoleAddRequest>,
    #[prost(message, optional, tag = "1201")]
    role_delete: Option<pb::AuthRoleDeleteRequest>,
    #[prost(message, optional, tag = "1203")]
    role_grant: Option<pb::AuthRoleGrantPermissionRequest>,
    #[prost(message, optional, tag = "1204")]
    role_revoke: Option<pb::AuthRoleRevokePermissionRequest>,
}

/// `etcdserverpb.RequestHeader`.
#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(string, tag = "2")]
    username: String,
    #[prost(uint64, tag = "3")]
    auth_revision: u64,
}

/// `etcdserverpb.Request`, of the second API.
#[derive(Clone, PartialEq, Message)]
struct SecondRequest {
    #[prost(string, tag = "2")]
    method: String,
    #[prost(string, tag = "3")]
    path: String,
}

/// The command of an entry; `None` for one that changes nothing of what is moved: a leader's first, changes of members,
/// what members publish about themselves.
///
/// # Errors
/// If it is not what an etcd writes.
pub fn proposal(entry: &Entry) -> Result<Option<Proposal>, String> {
    if entry.kind != 0 || entry.data.is_empty() {
        return Ok(None);
    }
    let wrong = |what: String| format!("entry {}: {what}", entry.index);
    let request = match Request::decode(entry.data.clone()) {
        Ok(request) => request,
        // The two have no field in common that means the same.
        Err(_) if is_second(&entry.data) => return Ok(None),
        Err(error) => return Err(wrong(format!("this is not a request: {error}"))),
    };
    if request.second.is_some() {
        return Ok(None);
    }
    let caller = match request.header.clone().filter(|header| !header.username.is_empty()) {
        Some(Header { username, auth_revision }) => Caller::user(username, auth_revision),
        // Leases that expire are the leader's matter.
        None if request.lease_revoke.is_some() || request.lease_checkpoint.is_some() => Caller::System,
        None => Caller::Anonymous,
    };
    let command = command(request).map_err(wrong)?;
    Ok(command.map(|command| Proposal { stamp: Stamp::default(), caller, command }))
}

fn is_second(data: &[u8]) -> bool {
    SecondRequest::decode(data).is_ok_and(|request| !request.method.is_empty())
}

fn command(request: Request) -> Result<Option<Command>, String> {
    let refused = |refusal: Refusal| format!("no etcd accepts it: {refusal:?}");
    let command = if let Some(put) = request.put {
        Command::Put(convert::put(put))
    } else if let Some(delete) = request.delete {
        Command::Delete(convert::delete(delete).map_err(refused)?)
    } else if let Some(txn) = request.txn {
        Command::Txn(convert::txn(txn, usize::MAX).map_err(refused)?)
    } else if let Some(compaction) = request.compaction {
        Command::Compact { revision: compaction.revision }
    } else if let Some(grant) = request.lease_grant {
        Command::LeaseGrant { id: grant.id, ttl: grant.ttl }
    } else if let Some(revoke) = request.lease_revoke {
        Command::LeaseRevoke { id: revoke.id }
    } else if let Some(checkpoint) = request.lease_checkpoint {
        let remaining = checkpoint.checkpoints.iter();
        let remaining = remaining.map(|lease| {
            let left = (lease.remaining_ttl > 0).then(|| lease.remaining_ttl.saturating_mul(1000));
            (lease.id, left)
        });
        Command::LeaseCheckpoint { remaining: remaining.collect() }
    } else if let Some(alarm) = request.alarm {
        let Some(kind) = convert::alarm_kind(alarm.alarm) else { return Ok(None) };
        let (action, alarm) = (alarm.action, Alarm { member: MemberId(alarm.member_id), kind });
        match AlarmAction::try_from(action) {
            Ok(AlarmAction::Activate) => Command::AlarmRaise(alarm),
            Ok(AlarmAction::Deactivate) => Command::AlarmClear(alarm),
            Ok(AlarmAction::Get) | Err(_) => return Ok(None),
        }
    } else {
        return users(request).map(|change| change.map(Command::Auth));
    };
    Ok(Some(command))
}

/// A change of users, roles or authentication.
fn users(request: Request) -> Result<Option<AuthChange>, String> {
    let change = if request.auth_enable.is_some() {
        AuthChange::Enable
    } else if request.auth_disable.is_some() {
        AuthChange::Disable
    } else if let Some(add) = request.user_add {
        let has_none = add.options.is_some_and(|options| options.no_password);
        let hash = if has_none { None } else { Some(hash(&add.hashed_password, &add.password)?) };
        AuthChange::UserAdd { name: add.name, hash }
    } else if let Some(delete) = request.user_delete {
        AuthChange::UserDelete { name: delete.name }
    } else if let Some(change) = request.user_password {
        let hash = hash(&change.hashed_password, &change.password)?;
        AuthChange::UserPassword { name: change.name, hash }
    } else if let Some(grant) = request.user_grant {
        AuthChange::UserGrantRole { user: grant.user, role: grant.role }
    } else if let Some(revoke) = request.user_revoke {
        AuthChange::UserRevokeRole { user: revoke.name, role: revoke.role }
    } else if let Some(add) = request.role_add {
        AuthChange::RoleAdd { name: add.name }
    } else if let Some(delete) = request.role_delete {
        AuthChange::RoleDelete { name: delete.role }
    } else if let Some(grant) = request.role_grant {
        let permission = grant.perm.map(convert::permission).transpose();
        let permission = permission.map_err(|refusal| format!("no etcd accepts it: {refusal:?}"))?;
        AuthChange::RoleGrant { role: grant.name, permission }
    } else if let Some(revoke) = request.role_revoke {
        let range = KeyRange::from_wire(revoke.key, revoke.range_end);
        AuthChange::RoleRevoke { role: revoke.role, range }
    } else {
        return Ok(None);
    };
    Ok(Some(change))
}

/// The hash of a password, in base64.
fn hash(hash: &str, password: &str) -> Result<PasswordHash, String> {
    if hash.is_empty() && !password.is_empty() {
        return Err(
            "it has a password that was not hashed, as etcds before 3.5 wrote it: start the etcd once more, \
                    wait until it is up, stop it and try again"
                .into(),
        );
    }
    let bytes = STANDARD.decode(hash).map_err(|_| "the hash of a password is not base64".to_string())?;
    Ok(PasswordHash::new(bytes))
}
