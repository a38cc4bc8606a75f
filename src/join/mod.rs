//! Entry to a cluster: who this member is, and whom it begins with.
//!
//! - [`identity`] is what a data directory remembers of it. An initialised directory wins over everything the
//!   configuration says of bootstrapping.
//! - [`bootstrap`] works it out from the list of initial members; [`existing`] from what the members of a running cluster
//!   say (etcd's `initial-cluster-state existing`)
//! - [`enter`] asks them, also for the one-step join; [`reception`] is how a member answers; [`questions`] is what
//!   travels

pub mod bootstrap;
pub mod enter;
pub mod existing;
pub mod identity;
pub mod questions;
pub mod reception;
