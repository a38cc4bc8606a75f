//! A request of every method: the compiler sees to it that none is missing. Most of them are admitted and then have no
//! effect, since what they name does not exist, or exists already.

use bytes::Bytes;
use kvd::api::proto::authpb::Permission;
use kvd::api::proto::etcdserverpb as pb;
use kvd::api::proto::etcdserverpb::request_op::Request as Inner;
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::{health, v3electionpb as election, v3lockpb as lock};
use kvd::api::rules::Rpc;
use prost::Message;

/// The lease of the keys below `k/`.
pub const LEASE: i64 = 0x4d;
/// The password of every user.
pub const PASSWORD: &str = "a-password";

/// What the state of a cell gives to its requests.
pub struct Given {
    /// A lease with a key that only root may write; another one in each state.
    pub lease: i64,
    /// An address that a member has.
    pub peer_url: String,
}

/// The requests of a method.
pub fn requests(rpc: Rpc, given: &Given) -> Vec<Bytes> {
    let one = |message: Vec<u8>| vec![Bytes::from(message)];
    let text = |text: &str| text.to_string();
    let range = |serializable| pb::RangeRequest { key: "k/a".into(), serializable, ..Default::default() };
    let put = pb::PutRequest { key: "k/a".into(), value: "v".into(), ..Default::default() };
    let txn = |inner| pb::TxnRequest {
        success: vec![pb::RequestOp { request: Some(inner) }],
        ..Default::default()
    };
    let leader =
        || Some(election::LeaderKey { name: "k/elect".into(), key: "k/none".into(), rev: 1, lease: LEASE });
    match rpc {
        Rpc::Range => [false, true].map(|stale| range(stale).encode_to_vec().into()).to_vec(),
        Rpc::Put => one(put.encode_to_vec()),
        Rpc::Txn => [Inner::RequestPut(put), Inner::RequestRange(range(false))]
            .map(|inner| txn(inner).encode_to_vec().into())
            .to_vec(),
        Rpc::DeleteRange => {
            one(pb::DeleteRangeRequest { key: "k/none".into(), ..Default::default() }.encode_to_vec())
        }
        Rpc::Compact => one(pb::CompactionRequest { revision: 1 << 40, physical: false }.encode_to_vec()),
        Rpc::RangeStream => one(range(false).encode_to_vec()),
        Rpc::LeaseKeepAlive => one(pb::LeaseKeepAliveRequest { id: LEASE }.encode_to_vec()),
        Rpc::LeaseGrant => one(pb::LeaseGrantRequest { id: LEASE, ttl: 3600 }.encode_to_vec()),
        Rpc::LeaseRevoke => one(pb::LeaseRevokeRequest { id: given.lease }.encode_to_vec()),
        Rpc::LeaseTimeToLive => one(pb::LeaseTimeToLiveRequest { id: LEASE, keys: true }.encode_to_vec()),
        Rpc::LeaseLeases => one(pb::LeaseLeasesRequest {}.encode_to_vec()),
        Rpc::Watch => {
            let create = pb::WatchCreateRequest { key: "k/a".into(), ..Default::default() };
            let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
            one(create.encode_to_vec())
        }
        Rpc::MemberList => [false, true]
            .map(|linearizable| pb::MemberListRequest { linearizable }.encode_to_vec().into())
            .to_vec(),
        Rpc::MemberAdd => {
            let peer_ur_ls = vec![given.peer_url.clone()];
            one(pb::MemberAddRequest { peer_ur_ls, is_learner: false }.encode_to_vec())
        }
        Rpc::MemberRemove => one(pb::MemberRemoveRequest { id: 7 }.encode_to_vec()),
        Rpc::MemberUpdate => {
            let peer_ur_ls = vec!["http://127.0.0.1:1".into()];
            one(pb::MemberUpdateRequest { id: 7, peer_ur_ls }.encode_to_vec())
        }
        Rpc::MemberPromote => one(pb::MemberPromoteRequest { id: 7 }.encode_to_vec()),
        Rpc::Status => one(pb::StatusRequest {}.encode_to_vec()),
        Rpc::Alarm => [pb::AlarmRequest::default(), pb::AlarmRequest { action: 2, member_id: 7, alarm: 1 }]
            .map(|request| request.encode_to_vec().into())
            .to_vec(),
        Rpc::Defragment => one(pb::DefragmentRequest {}.encode_to_vec()),
        Rpc::Hash => one(pb::HashRequest {}.encode_to_vec()),
        Rpc::HashKv => one(pb::HashKvRequest { revision: 0 }.encode_to_vec()),
        Rpc::Snapshot => one(pb::SnapshotRequest {}.encode_to_vec()),
        Rpc::MoveLeader => one(pb::MoveLeaderRequest { target_id: 7 }.encode_to_vec()),
        Rpc::Downgrade => one(pb::DowngradeRequest { action: 0, version: text("1.0") }.encode_to_vec()),
        Rpc::Authenticate => {
            let login = pb::AuthenticateRequest { name: text("ann"), password: text(PASSWORD) };
            one(login.encode_to_vec())
        }
        Rpc::AuthStatus => one(pb::AuthStatusRequest {}.encode_to_vec()),
        Rpc::AuthEnable => one(pb::AuthEnableRequest {}.encode_to_vec()),
        Rpc::AuthDisable => one(pb::AuthDisableRequest {}.encode_to_vec()),
        Rpc::UserAdd => {
            let (name, password) = (text("ann"), text(PASSWORD));
            one(pb::AuthUserAddRequest { name, password, ..Default::default() }.encode_to_vec())
        }
        Rpc::UserGet => ["", "bob"]
            .map(|name| pb::AuthUserGetRequest { name: name.into() }.encode_to_vec().into())
            .to_vec(),
        Rpc::UserList => one(pb::AuthUserListRequest {}.encode_to_vec()),
        Rpc::UserDelete => one(pb::AuthUserDeleteRequest { name: text("nobody") }.encode_to_vec()),
        Rpc::UserChangePassword => {
            let (name, password) = (text("nobody"), text(PASSWORD));
            one(pb::AuthUserChangePasswordRequest { name, password, ..Default::default() }.encode_to_vec())
        }
        Rpc::UserGrantRole => {
            one(pb::AuthUserGrantRoleRequest { user: text("nobody"), role: text("r") }.encode_to_vec())
        }
        Rpc::UserRevokeRole => {
            one(pb::AuthUserRevokeRoleRequest { name: text("nobody"), role: text("r") }.encode_to_vec())
        }
        Rpc::RoleAdd => one(pb::AuthRoleAddRequest { name: text("r") }.encode_to_vec()),
        Rpc::RoleGet => {
            ["", "r"].map(|role| pb::AuthRoleGetRequest { role: role.into() }.encode_to_vec().into()).to_vec()
        }
        Rpc::RoleList => one(pb::AuthRoleListRequest {}.encode_to_vec()),
        Rpc::RoleDelete => one(pb::AuthRoleDeleteRequest { role: text("none") }.encode_to_vec()),
        Rpc::RoleGrantPermission => {
            let perm = Some(Permission { perm_type: 2, key: "k".into(), range_end: "l".into() });
            one(pb::AuthRoleGrantPermissionRequest { name: text("none"), perm }.encode_to_vec())
        }
        Rpc::RoleRevokePermission => {
            let (key, range_end) = ("k".into(), "l".into());
            one(pb::AuthRoleRevokePermissionRequest { role: text("none"), key, range_end }.encode_to_vec())
        }
        // The same lease each time: its own lock is not waited for.
        Rpc::Lock => one(lock::LockRequest { name: "k/lock".into(), lease: LEASE }.encode_to_vec()),
        Rpc::Unlock => one(lock::UnlockRequest { key: "k/none".into() }.encode_to_vec()),
        Rpc::Campaign => {
            let (name, value) = ("k/elect".into(), "v".into());
            one(election::CampaignRequest { name, lease: LEASE, value }.encode_to_vec())
        }
        Rpc::Proclaim => {
            one(election::ProclaimRequest { leader: leader(), value: "v".into() }.encode_to_vec())
        }
        Rpc::Leader | Rpc::Observe => one(election::LeaderRequest { name: "k/elect".into() }.encode_to_vec()),
        Rpc::Resign => one(election::ResignRequest { leader: leader() }.encode_to_vec()),
        Rpc::HealthCheck | Rpc::HealthWatch => one(health::HealthCheckRequest::default().encode_to_vec()),
        // Field 7 of its request: a list of all services.
        Rpc::Reflection | Rpc::ReflectionAlpha => one(b"\x3a\x01*".to_vec()),
    }
}
