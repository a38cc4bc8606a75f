//! Every method there is, with who may call it and where.

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

/// What a learner does with a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learner {
    /// Serves it.
    Served,
    /// Serves it where the request asks for a serializable read; the handler looks.
    IfSerializable,
    /// Refuses it.
    Refused,
}

/// What the cluster as a whole must be able to do before a method is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// What every version of kvd can do.
    Base,
    /// The cluster's version must be known and at least this (major, minor).
    ClusterVersion((u64, u64)),
}

/// One method.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Which.
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
    /// What a learner does.
    pub learner: Learner,
    /// What the cluster must be able to do.
    pub capability: Capability,
}

macro_rules! rules {
    ($($service:literal { $($rpc:ident $method:literal $kind:ident $access:ident $learner:ident;)* })*) => {
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
                capability: Capability::Base,
            },)*)*
        ];
    };
}

rules! {
    "etcdserverpb.KV" {
        Range "Range" Unary Keys IfSerializable;
        Put "Put" Unary Keys Refused;
        Txn "Txn" Unary Keys Refused;
        DeleteRange "DeleteRange" Unary Keys Refused;
        Compact "Compact" Unary Root Refused;
        RangeStream "RangeStream" ServerStream Keys Refused;
    }
    "etcdserverpb.Lease" {
        LeaseKeepAlive "LeaseKeepAlive" Bidirectional Keys Refused;
        LeaseGrant "LeaseGrant" Unary Authenticated Refused;
        LeaseRevoke "LeaseRevoke" Unary Keys Refused;
        LeaseTimeToLive "LeaseTimeToLive" Unary Keys Refused;
        LeaseLeases "LeaseLeases" Unary Keys Refused;
    }
    "etcdserverpb.Watch" {
        Watch "Watch" Bidirectional Keys Refused;
    }
    "etcdserverpb.Cluster" {
        MemberList "MemberList" Unary Authenticated Refused;
        MemberAdd "MemberAdd" Unary Root Refused;
        MemberRemove "MemberRemove" Unary Root Refused;
        MemberUpdate "MemberUpdate" Unary Root Refused;
        MemberPromote "MemberPromote" Unary Root Refused;
    }
    "etcdserverpb.Maintenance" {
        Status "Status" Unary Authenticated Served;
        Alarm "Alarm" Unary RootUnlessReading Refused;
        Defragment "Defragment" Unary Root Refused;
        Hash "Hash" Unary Root Refused;
        HashKv "HashKV" Unary Root Refused;
        Snapshot "Snapshot" ServerStream Root Served;
        MoveLeader "MoveLeader" Unary Root Refused;
        Downgrade "Downgrade" Unary Root Refused;
    }
    "etcdserverpb.Auth" {
        Authenticate "Authenticate" Unary Anyone Refused;
        AuthStatus "AuthStatus" Unary Anyone Refused;
        AuthEnable "AuthEnable" Unary Root Refused;
        AuthDisable "AuthDisable" Unary Root Refused;
        UserAdd "UserAdd" Unary Root Refused;
        UserGet "UserGet" Unary RootOrOwn Refused;
        UserList "UserList" Unary Root Refused;
        UserDelete "UserDelete" Unary Root Refused;
        UserChangePassword "UserChangePassword" Unary Root Refused;
        UserGrantRole "UserGrantRole" Unary Root Refused;
        UserRevokeRole "UserRevokeRole" Unary Root Refused;
        RoleAdd "RoleAdd" Unary Root Refused;
        RoleGet "RoleGet" Unary RootOrOwn Refused;
        RoleList "RoleList" Unary Root Refused;
        RoleDelete "RoleDelete" Unary Root Refused;
        RoleGrantPermission "RoleGrantPermission" Unary Root Refused;
        RoleRevokePermission "RoleRevokePermission" Unary Root Refused;
    }
    "v3lockpb.Lock" {
        Lock "Lock" Unary Keys Refused;
        Unlock "Unlock" Unary Keys Refused;
    }
    "v3electionpb.Election" {
        Campaign "Campaign" Unary Keys Refused;
        Proclaim "Proclaim" Unary Keys Refused;
        Leader "Leader" Unary Keys Refused;
        Observe "Observe" ServerStream Keys Refused;
        Resign "Resign" Unary Keys Refused;
    }
    "grpc.health.v1.Health" {
        HealthCheck "Check" Unary Anyone Refused;
        HealthWatch "Watch" ServerStream Anyone Refused;
    }
    "grpc.reflection.v1.ServerReflection" {
        Reflection "ServerReflectionInfo" Bidirectional Anyone Served;
    }
    "grpc.reflection.v1alpha.ServerReflection" {
        ReflectionAlpha "ServerReflectionInfo" Bidirectional Anyone Served;
    }
}

/// The rule of the method at `path`. The table begins with the methods called most.
pub fn find(path: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.path == path)
}

/// True where a service of that name (with its package) exists.
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
