//! Entry to a cluster: who this member is, and whom it begins with.
//!
//! [`identity`] is what a data directory remembers of it; [`bootstrap`] works it out for an empty one. An initialised
//! directory wins over everything the configuration says of bootstrapping.

pub mod bootstrap;
pub mod identity;
