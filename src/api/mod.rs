//! The faces: gRPC as etcd's clients speak it, and the plain HTTP pages, both on one listener.
//!
//! * [`services`]: what the faces stand on (the raft node, the store, the watch hub, the lessor) and how an answer's
//!   header is filled.
//! * [`gate`]: every RPC passes it first. Its table names each method once, with who may call it.
//! * [`status`]: the one map from a refusal to etcd's code and text. Nothing else in kvd writes those texts.
//! * [`grpc`]: one file a service; messages are converted to and from the model in `grpc/convert.rs` alone.
//! * [`http`]: `/health`, `/livez`, `/readyz`, `/metrics`, `/version`.
//! * [`server`]: listeners, TLS, connections, worker threads and the graceful stop.
//! * [`jobs`]: work that blocks, so much of each kind at a time.
//! * [`metrics`]: what is counted. [`body`]: the body of all answers.
//! * [`proto`]: the generated messages.
//!
//! Rules: a handler never touches raft's or the store's insides, it proposes commands and asks questions; whatever
//! comes from a client is bounded before it is allocated; no handler knows who listens.

pub mod body;
pub mod gate;
pub mod grpc;
pub mod http;
pub mod jobs;
pub mod leases;
pub mod metrics;
pub mod proto;
pub mod server;
pub mod services;
pub mod space;
pub mod status;
#[cfg(test)]
mod tests;
