//! kvd.
pub mod api;
pub mod auth;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod join;
pub mod lease;
pub mod log;
pub mod model;
pub mod peer;
pub mod pki;
pub mod raft;
pub mod store;
pub mod watch;
