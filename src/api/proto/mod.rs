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
