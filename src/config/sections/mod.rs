//! The options, topic by topic. A section's file holds everything about its options: their rows (name, kind, default,
//! help, whether a reload applies it), the types of their values, what follows if one is not given, and the rules.
//!
//! A rule that needs another section's values gets that section as an argument; such arguments lead upwards in this
//! list only: [`Addresses`] knows no other section, the others may know it.

mod addresses;
mod audit;
mod auth;
mod backup;
mod client_tls;
mod clustering;
mod discovery;
mod emergency;
mod features;
mod http;
mod join;
mod limits;
mod logging;
mod member;
mod peer_tls;
pub(super) mod program;
mod raft;
pub(super) mod retired;
mod storage;

pub use addresses::Addresses;
pub use audit::{Audit, AuditOutput};
pub use auth::{Auth, AuthToken};
pub use backup::{Backup, Compression};
pub use client_tls::{ClientTls, KeyPair, TlsVersion};
pub use clustering::{ClusterState, Clustering};
pub use discovery::Discovery;
pub use emergency::Emergency;
pub use features::Features;
pub use http::{Http, Metrics};
pub use join::{Join, JoinRole};
pub use limits::Limits;
pub use logging::{LogFormat, LogLevel, LogOutput, LogRotation, Logging};
pub use member::Member;
pub use peer_tls::{ClusterSecret, PeerAuth, PeerTls};
pub use raft::Raft;
pub use storage::{AutoCompaction, OnDivergence, Storage};

/// The largest value of options that etcd keeps in 32 bits.
const U32: u64 = u32::MAX as u64;
/// The largest value of the others.
const U64: u64 = u64::MAX;
