//! The faces: gRPC as etcd's clients speak it, and the plain HTTP pages, both on one listener.
//!
//! * [`services`]: what the faces stand on (the raft node, the store, the watch hub, the lessor) and how an answer's
//!   header is filled.
//! * [`rules`]: the table of all methods: path, JSON routes, who may call it, handler, messages.
//! * [`gate`]: every call passes it first; it says who calls.
//! * [`rpc`]: what the methods do: typed handlers, one file a service; messages are converted to and from the model in
//!   `rpc/convert.rs` alone.
//! * [`reads`]: the one way on which requests read.
//! * [`status`]: the table of refusals: etcd's code and text. Nothing else in kvd writes those texts.
//! * [`grpc`]: the framing around the handlers. [`encoding`]: how answers are written as protobuf.
//! * [`http`]: `/health`, `/livez`, `/readyz`, `/metrics`, `/version`.
//! * [`server`]: listeners, TLS, connections, worker threads and the graceful stop.
//! * [`jobs`]: work that blocks, so much of each kind at a time.
//! * [`metrics`]: what is counted. [`body`]: the body of all answers.
//! * [`proto`]: the generated messages.
//!
//! Rules: a handler never touches raft's or the store's insides, it proposes commands and asks questions, both on behalf
//! of the caller; it knows neither bytes nor HTTP, so that another face calls the same one; whatever comes from a client
//! is bounded before it is allocated. Imports go one way: the faces use `rpc`, that uses `gate` and `reads`, those use
//! `services`; `rules`, `encoding`, `jobs` and `metrics` are the ground under all.

pub mod body;
pub mod encoding;
pub mod gate;
pub mod grpc;
pub mod http;
pub mod jobs;
pub mod leases;
pub mod metrics;
pub mod proto;
pub mod reads;
pub mod rpc;
pub mod rules;
pub mod server;
pub mod services;
pub mod space;
pub mod status;
#[cfg(test)]
mod tests;
