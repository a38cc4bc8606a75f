//! The generated messages and clients of etcd's API.
#![allow(missing_docs, clippy::all, rust_2018_idioms)]

/// Package `etcdserverpb`.
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
/// Package `mvccpb`.
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}
/// Package `authpb`.
pub mod authpb {
    tonic::include_proto!("authpb");
}
/// Package `v3lockpb`.
pub mod v3lockpb {
    tonic::include_proto!("v3lockpb");
}
/// Package `v3electionpb`.
pub mod v3electionpb {
    tonic::include_proto!("v3electionpb");
}
/// Package `grpc.health.v1`.
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}
/// The descriptors of all of them, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/api.bin"));

/// Prints these fields of a message only: the others are secret.
macro_rules! prints {
    ($($message:ty: $($field:ident),*;)*) => {
        $(impl std::fmt::Debug for $message {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($message))$(.field(stringify!($field), &self.$field))*.finish_non_exhaustive()
            }
        })*
    };
}

prints! {
    authpb::User: name, roles, options;
    etcdserverpb::AuthenticateRequest: name;
    etcdserverpb::AuthenticateResponse: header;
    etcdserverpb::AuthUserAddRequest: name, options;
    etcdserverpb::AuthUserChangePasswordRequest: name;
}
