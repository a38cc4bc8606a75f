//! All methods: who may call each one and where, and its handler. The methods are listed only in this table; the
//! enumeration [`Rpc`], the rules of the gate, the dispatch to the handlers and the counters are generated from it.

/// How messages flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One request, one answer.
    Unary,
    /// One request, many answers.
    ServerStream,
    /// Many of both.
    Bidirectional,
}

impl Kind {
    /// The name Prometheus labels use.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Unary => "unary",
            Kind::ServerStream => "server_stream",
            Kind::Bidirectional => "bidi_stream",
        }
    }
}

/// Who may call a method while authentication is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, without a token.
    Anyone,
    /// Any authenticated user.
    Authenticated,
    /// An authenticated user with permissions on the keys that the request touches.
    Keys,
    /// Reading: any authenticated user. Everything else: the root role.
    RootUnlessReading,
    /// The root role, or the user asking about itself or its own roles.
    RootOrOwn,
    /// The root role.
    Root,
}

/// How a learner treats a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learner {
    /// Serves it.
    Served,
    /// Serves it if the request is a serializable read; the handler checks that.
    IfSerializable,
    /// Refuses it.
    Refused,
}

/// One method.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its identifier.
    pub rpc: Rpc,
    /// Its path on the wire.
    pub path: &'static str,
    /// Its service, with the package.
    pub service: &'static str,
    /// Its name.
    pub method: &'static str,
    /// How messages flow.
    pub kind: Kind,
    /// Who may call it.
    pub access: Access,
    /// How a learner treats it.
    pub learner: Learner,
    /// The paths at which the JSON gateway serves it (`POST`, the request as JSON): etcd's, and one for `RangeStream`,
    /// which etcd does not serve there.
    pub json: &'static [&'static str],
}

/// Calls `$then!` with the table: a row is a method's name, kind, access, learner's rule, JSON routes, and the handler
/// with the messages that it takes and gives. `pb`, `lockpb`, `electionpb` and `healthpb` are the packages of
/// [`super::proto`], the other modules those of [`super::rpc`]. Reflection has no handler: it is served by a library.
macro_rules! methods {
    ($then:ident) => {
        $then! {
            "etcdserverpb.KV" {
                Range "Range" Unary Keys IfSerializable ["/v3/kv/range"]
                    => kv::range(pb::RangeRequest) -> pb::RangeResponse;
                Put "Put" Unary Keys Refused ["/v3/kv/put"]
                    => kv::put(pb::PutRequest) -> pb::PutResponse;
                Txn "Txn" Unary Keys Refused ["/v3/kv/txn"]
                    => kv::txn(pb::TxnRequest) -> pb::TxnResponse;
                DeleteRange "DeleteRange" Unary Keys Refused ["/v3/kv/deleterange"]
                    => kv::delete_range(pb::DeleteRangeRequest) -> pb::DeleteRangeResponse;
                Compact "Compact" Unary Root Refused ["/v3/kv/compaction"]
                    => kv::compact(pb::CompactionRequest) -> pb::CompactionResponse;
                RangeStream "RangeStream" ServerStream Keys Refused ["/v3/kv/rangestream"]
                    => range_stream::open(pb::RangeRequest) -> pb::RangeStreamResponse;
            }
            "etcdserverpb.Lease" {
                LeaseKeepAlive "LeaseKeepAlive" Bidirectional Keys Refused ["/v3/lease/keepalive"]
                    => keep_alive::open(pb::LeaseKeepAliveRequest) -> pb::LeaseKeepAliveResponse;
                LeaseGrant "LeaseGrant" Unary Authenticated Refused ["/v3/lease/grant"]
                    => lease::grant(pb::LeaseGrantRequest) -> pb::LeaseGrantResponse;
                LeaseRevoke "LeaseRevoke" Unary Keys Refused ["/v3/lease/revoke", "/v3/kv/lease/revoke"]
                    => lease::revoke(pb::LeaseRevokeRequest) -> pb::LeaseRevokeResponse;
                LeaseTimeToLive "LeaseTimeToLive" Unary Keys Refused
                    ["/v3/lease/timetolive", "/v3/kv/lease/timetolive"]
                    => lease::time_to_live(pb::LeaseTimeToLiveRequest) -> pb::LeaseTimeToLiveResponse;
                LeaseLeases "LeaseLeases" Unary Keys Refused ["/v3/lease/leases", "/v3/kv/lease/leases"]
                    => lease::leases(pb::LeaseLeasesRequest) -> pb::LeaseLeasesResponse;
            }
            "etcdserverpb.Watch" {
                Watch "Watch" Bidirectional Keys Refused ["/v3/watch"]
                    => watch::open(pb::WatchRequest) -> pb::WatchResponse;
            }
            "etcdserverpb.Cluster" {
                MemberList "MemberList" Unary Authenticated Refused ["/v3/cluster/member/list"]
                    => cluster::member_list(pb::MemberListRequest) -> pb::MemberListResponse;
                MemberAdd "MemberAdd" Unary Root Refused ["/v3/cluster/member/add"]
                    => cluster::member_add(pb::MemberAddRequest) -> pb::MemberAddResponse;
                MemberRemove "MemberRemove" Unary Root Refused ["/v3/cluster/member/remove"]
                    => cluster::member_remove(pb::MemberRemoveRequest) -> pb::MemberRemoveResponse;
                MemberUpdate "MemberUpdate" Unary Root Refused ["/v3/cluster/member/update"]
                    => cluster::member_update(pb::MemberUpdateRequest) -> pb::MemberUpdateResponse;
                MemberPromote "MemberPromote" Unary Root Refused ["/v3/cluster/member/promote"]
                    => cluster::member_promote(pb::MemberPromoteRequest) -> pb::MemberPromoteResponse;
            }
            "etcdserverpb.Maintenance" {
                Status "Status" Unary Authenticated Served ["/v3/maintenance/status"]
                    => maintenance::status(pb::StatusRequest) -> pb::StatusResponse;
                Alarm "Alarm" Unary RootUnlessReading Refused ["/v3/maintenance/alarm"]
                    => maintenance::alarm(pb::AlarmRequest) -> pb::AlarmResponse;
                Defragment "Defragment" Unary Root Refused ["/v3/maintenance/defragment"]
                    => maintenance::defragment(pb::DefragmentRequest) -> pb::DefragmentResponse;
                Hash "Hash" Unary Root Refused ["/v3/maintenance/hash"]
                    => maintenance::hash(pb::HashRequest) -> pb::HashResponse;
                HashKv "HashKV" Unary Root Refused ["/v3/maintenance/hashkv"]
                    => maintenance::hash_kv(pb::HashKvRequest) -> pb::HashKvResponse;
                Snapshot "Snapshot" ServerStream Root Served ["/v3/maintenance/snapshot"]
                    => maintenance::snapshot(pb::SnapshotRequest) -> pb::SnapshotResponse;
                MoveLeader "MoveLeader" Unary Root Refused ["/v3/maintenance/transfer-leadership"]
                    => maintenance::move_leader(pb::MoveLeaderRequest) -> pb::MoveLeaderResponse;
                Downgrade "Downgrade" Unary Root Refused ["/v3/maintenance/downgrade"]
                    => downgrade::run(pb::DowngradeRequest) -> pb::DowngradeResponse;
            }
            "etcdserverpb.Auth" {
                Authenticate "Authenticate" Unary Anyone Refused ["/v3/auth/authenticate"]
                    => auth::authenticate(pb::AuthenticateRequest) -> pb::AuthenticateResponse;
                AuthStatus "AuthStatus" Unary Anyone Refused ["/v3/auth/status"]
                    => auth::status(pb::AuthStatusRequest) -> pb::AuthStatusResponse;
                AuthEnable "AuthEnable" Unary Root Refused ["/v3/auth/enable"]
                    => auth::enable(pb::AuthEnableRequest) -> pb::AuthEnableResponse;
                AuthDisable "AuthDisable" Unary Root Refused ["/v3/auth/disable"]
                    => auth::disable(pb::AuthDisableRequest) -> pb::AuthDisableResponse;
                UserAdd "UserAdd" Unary Root Refused ["/v3/auth/user/add"]
                    => auth::user_add(pb::AuthUserAddRequest) -> pb::AuthUserAddResponse;
                UserGet "UserGet" Unary RootOrOwn Refused ["/v3/auth/user/get"]
                    => auth::user_get(pb::AuthUserGetRequest) -> pb::AuthUserGetResponse;
                UserList "UserList" Unary Root Refused ["/v3/auth/user/list"]
                    => auth::user_list(pb::AuthUserListRequest) -> pb::AuthUserListResponse;
                UserDelete "UserDelete" Unary Root Refused ["/v3/auth/user/delete"]
                    => auth::user_delete(pb::AuthUserDeleteRequest) -> pb::AuthUserDeleteResponse;
                UserChangePassword "UserChangePassword" Unary Root Refused ["/v3/auth/user/changepw"]
                    => auth::user_change_password(pb::AuthUserChangePasswordRequest)
                    -> pb::AuthUserChangePasswordResponse;
                UserGrantRole "UserGrantRole" Unary Root Refused ["/v3/auth/user/grant"]
                    => auth::user_grant_role(pb::AuthUserGrantRoleRequest) -> pb::AuthUserGrantRoleResponse;
                UserRevokeRole "UserRevokeRole" Unary Root Refused ["/v3/auth/user/revoke"]
                    => auth::user_revoke_role(pb::AuthUserRevokeRoleRequest) -> pb::AuthUserRevokeRoleResponse;
                RoleAdd "RoleAdd" Unary Root Refused ["/v3/auth/role/add"]
                    => auth::role_add(pb::AuthRoleAddRequest) -> pb::AuthRoleAddResponse;
                RoleGet "RoleGet" Unary RootOrOwn Refused ["/v3/auth/role/get"]
                    => auth::role_get(pb::AuthRoleGetRequest) -> pb::AuthRoleGetResponse;
                RoleList "RoleList" Unary Root Refused ["/v3/auth/role/list"]
                    => auth::role_list(pb::AuthRoleListRequest) -> pb::AuthRoleListResponse;
                RoleDelete "RoleDelete" Unary Root Refused ["/v3/auth/role/delete"]
                    => auth::role_delete(pb::AuthRoleDeleteRequest) -> pb::AuthRoleDeleteResponse;
                RoleGrantPermission "RoleGrantPermission" Unary Root Refused ["/v3/auth/role/grant"]
                    => auth::role_grant_permission(pb::AuthRoleGrantPermissionRequest)
                    -> pb::AuthRoleGrantPermissionResponse;
                RoleRevokePermission "RoleRevokePermission" Unary Root Refused ["/v3/auth/role/revoke"]
                    => auth::role_revoke_permission(pb::AuthRoleRevokePermissionRequest)
                    -> pb::AuthRoleRevokePermissionResponse;
            }
            "v3lockpb.Lock" {
                Lock "Lock" Unary Keys Refused ["/v3/lock/lock"]
                    => lock::lock(lockpb::LockRequest) -> lockpb::LockResponse;
                Unlock "Unlock" Unary Keys Refused ["/v3/lock/unlock"]
                    => lock::unlock(lockpb::UnlockRequest) -> lockpb::UnlockResponse;
            }
            "v3electionpb.Election" {
                Campaign "Campaign" Unary Keys Refused ["/v3/election/campaign"]
                    => election::campaign(electionpb::CampaignRequest) -> electionpb::CampaignResponse;
                Proclaim "Proclaim" Unary Keys Refused ["/v3/election/proclaim"]
                    => election::proclaim(electionpb::ProclaimRequest) -> electionpb::ProclaimResponse;
                Leader "Leader" Unary Keys Refused ["/v3/election/leader"]
                    => election::leader(electionpb::LeaderRequest) -> electionpb::LeaderResponse;
                Observe "Observe" ServerStream Keys Refused ["/v3/election/observe"]
                    => election::observe(electionpb::LeaderRequest) -> electionpb::LeaderResponse;
                Resign "Resign" Unary Keys Refused ["/v3/election/resign"]
                    => election::resign(electionpb::ResignRequest) -> electionpb::ResignResponse;
            }
            "grpc.health.v1.Health" {
                HealthCheck "Check" Unary Anyone Refused []
                    => health::check(healthpb::HealthCheckRequest) -> healthpb::HealthCheckResponse;
                HealthWatch "Watch" ServerStream Anyone Refused []
                    => health::watch(healthpb::HealthCheckRequest) -> healthpb::HealthCheckResponse;
            }
            "grpc.reflection.v1.ServerReflection" {
                Reflection "ServerReflectionInfo" Bidirectional Anyone Served [];
            }
            "grpc.reflection.v1alpha.ServerReflection" {
                ReflectionAlpha "ServerReflectionInfo" Bidirectional Anyone Served [];
            }
        }
    };
}
pub(super) use methods;

macro_rules! rules {
    ($($service:literal { $(
        $rpc:ident $method:literal $kind:ident $access:ident $learner:ident [$($json:literal),*]
            $(=> $module:ident::$handler:ident($request:ty) -> $answer:ty)?;
    )* })*) => {
        /// A method, by service and name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Rpc {
            $($($rpc,)*)*
        }

        /// All methods; the position of a rule is its [`Rpc`] as a number.
        pub const RULES: &[Rule] = &[
            $($(Rule {
                rpc: Rpc::$rpc,
                path: concat!("/", $service, "/", $method),
                service: $service,
                method: $method,
                kind: Kind::$kind,
                access: Access::$access,
                learner: Learner::$learner,
                json: &[$($json),*],
            },)*)*
        ];
    };
}
methods!(rules);

impl Rpc {
    /// Its rule.
    pub fn rule(self) -> &'static Rule {
        &RULES[self as usize]
    }

    /// True if a member serves it whose state is wrong: what shows that, the alarms, which the leader answers, and what
    /// an examination needs.
    pub fn needs_no_state(self) -> bool {
        matches!(
            self,
            Rpc::Status
                | Rpc::Alarm
                | Rpc::Hash
                | Rpc::HashKv
                | Rpc::MoveLeader
                | Rpc::HealthCheck
                | Rpc::HealthWatch
                | Rpc::Reflection
                | Rpc::ReflectionAlpha
        )
    }

    /// True if a call of it changes nothing, whatever its request.
    pub fn only_reads(self) -> bool {
        matches!(
            self,
            Rpc::Range
                | Rpc::RangeStream
                | Rpc::LeaseTimeToLive
                | Rpc::LeaseLeases
                | Rpc::Watch
                | Rpc::MemberList
                | Rpc::Status
                | Rpc::Hash
                | Rpc::HashKv
                | Rpc::Snapshot
                | Rpc::AuthStatus
                | Rpc::UserGet
                | Rpc::UserList
                | Rpc::RoleGet
                | Rpc::RoleList
                | Rpc::Leader
                | Rpc::Observe
        )
    }
}

/// The rule of the method at `path`. The table begins with the methods called most.
pub fn find(path: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.path == path)
}

/// True if a service of that name (with its package) exists.
pub fn has_service(service: &str) -> bool {
    RULES.iter().any(|rule| rule.service == service)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_method_of_the_descriptors_has_a_rule_of_its_kind() {
        let files = FileDescriptorSet::decode(crate::api::proto::DESCRIPTORS).expect("our own descriptors");
        let mut paths = BTreeSet::new();
        for file in &files.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let rule = find(&path).unwrap_or_else(|| panic!("{path} has no rule"));
                    let kind = match (method.client_streaming(), method.server_streaming()) {
                        (false, false) => Kind::Unary,
                        (false, true) => Kind::ServerStream,
                        _ => Kind::Bidirectional,
                    };
                    assert_eq!(rule.kind, kind, "{path}");
                    paths.insert(path);
                }
            }
        }
        for rule in RULES.iter().filter(|rule| !rule.service.starts_with("grpc.reflection")) {
            assert!(paths.contains(rule.path), "{} is in no descriptor", rule.path);
        }
    }

    #[test]
    fn json_routes_are_those_of_etcds_gateway() {
        let mut routes = BTreeSet::new();
        for rule in RULES {
            for route in rule.json {
                assert!(route.starts_with("/v3/"), "{route}");
                assert!(routes.insert(route), "{route} leads to two methods");
            }
            let without =
                ["grpc.health", "grpc.reflection"].iter().any(|name| rule.service.starts_with(name));
            assert_eq!(rule.json.is_empty(), without, "{}", rule.path);
        }
        // etcd 3.7 registers this many patterns, and leaves this one out.
        let own = find("/etcdserverpb.KV/RangeStream").expect("a rule").json;
        assert!(own.iter().all(|route| routes.remove(route)) && own.len() == 1);
        assert_eq!(routes.len(), 51);
    }

    #[test]
    fn positions_are_numbers() {
        for (position, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.rpc as usize, position);
            assert!(RULES[..position].iter().all(|earlier| earlier.path != rule.path));
        }
    }

    #[test]
    fn learners_serve_three_things_and_reflection() {
        let served: Vec<Rpc> =
            RULES.iter().filter(|rule| rule.learner != Learner::Refused).map(|rule| rule.rpc).collect();
        assert_eq!(served, [Rpc::Range, Rpc::Status, Rpc::Snapshot, Rpc::Reflection, Rpc::ReflectionAlpha]);
    }

    #[test]
    fn only_these_need_no_token() {
        let open: Vec<Rpc> =
            RULES.iter().filter(|rule| rule.access == Access::Anyone).map(|rule| rule.rpc).collect();
        let expected = [
            Rpc::Authenticate,
            Rpc::AuthStatus,
            Rpc::HealthCheck,
            Rpc::HealthWatch,
            Rpc::Reflection,
            Rpc::ReflectionAlpha,
        ];
        assert_eq!(open, expected);
    }
}
