//! Entry to a cluster: who this member is, and which members it begins with.
//!
//! - [`identity`] is what a data directory remembers of it. An initialised directory has priority over everything the
//!   configuration says about bootstrapping.
//! - [`bootstrap`] computes it from the list of initial members; [`existing`] from the answers of the members of a
//!   running cluster (etcd's `initial-cluster-state existing`).
//! - [`srv`] finds the initial members in DNS, [`discovery`] through another cluster.
//! - [`enter`] asks the members, also for the one-step join; [`admission`] answers on a member's side; [`questions`]
//!   are the messages between them.

pub mod admission;
pub mod bootstrap;
pub mod discovery;
pub mod enter;
pub mod existing;
pub mod identity;
pub mod questions;
#[cfg(test)]
mod samples;
pub mod srv;
