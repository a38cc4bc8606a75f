//! The API: gRPC for etcd's clients, the same as JSON, and plain HTTP pages, all on one listener.
//!
//! * [`services`]: shared by all calls (the raft node, the store, the watch hub, the lessor), with the headers of
//!   answers.
//! * [`rules`]: the table of all methods: path, JSON routes, who may call it, handler, messages.
//! * [`gate`]: every call passes it first; it determines the caller.
//! * [`rpc`]: the methods: typed handlers, one file per service; only `rpc/convert.rs` converts messages to and from
//!   the model.
//! * [`reads`]: all reads of requests.
//! * [`status`]: the table of refusals: etcd's code and text. No other file of kvd has those texts.
//! * [`grpc`]: the framing around the handlers. [`encoding`]: the protobuf encoding of answers.
//! * [`json`]: etcd's JSON gateway, in front of [`grpc`].
//! * [`v2`]: etcd's v2 API.
//! * [`http`]: `/health`, `/livez`, `/readyz`, `/metrics`, `/version`, `/debug/vars`.
//! * [`page`]: the status page.
//! * [`server`]: listeners, TLS, connections, worker threads and the graceful stop.
//! * [`audit`]: who did what, between the table of methods and the handlers.
//! * [`traces`]: spans of calls, for a collector.
//! * [`jobs`]: blocking work, with a limit for each kind.
//! * [`metrics`]: counters. [`body`]: the body of all answers. [`client`]: whom they are for; [`unsent`]: the memory that
//!   they may take.
//! * [`proto`]: the generated messages.
//!
//! Rules: a handler does not access internals of raft or the store; it proposes commands and asks questions, both on
//! behalf of the caller. It knows neither bytes nor HTTP, so that another interface can call the same handler.
//! Everything from a client is limited before it is allocated. Imports go one way: HTTP uses `v2` and `json`, which use gRPC, which
//! uses `rpc`, which uses `gate` and `reads`, which use `services`; `rules`, `encoding`, `jobs` and `metrics` are the base of all.

pub mod audit;
pub mod body;
pub mod client;
pub mod encoding;
pub mod gate;
pub mod grpc;
pub mod http;
pub mod jobs;
pub mod json;
pub mod metrics;
pub mod page;
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
pub mod traces;
pub mod unsent;
pub mod v2;
