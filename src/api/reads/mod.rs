//! All reads of requests: keys at a revision, their events, and copies of everything.
//!
//! * `permission.rs`: what a caller may read.
//! * `handle.rs`: [`Reads`], with the read index, hashes and copies.
//! * `leases.rs`: leases and their keys.
//! * `ranges.rs`: ranges and read-only transactions; quick ones run on the connection's own thread, slow ones
//!   elsewhere.
//! * `watches.rs`: watchers.
//! * `tree.rs`: v2's tree.
//! * `snapshot.rs`: the whole state as blobs.
//! * `limited.rs`: slots for streams that hold resources of the store while their client reads.
//!
//! Every read first waits for the read index unless the caller accepts this member's state, then checks the caller's
//! permission, as in etcd: so the users are not older than the state that is read.
//! `tests/tidy.rs` ensures that no other file of the API reads the store.

mod handle;
mod leases;
mod limited;
mod permission;
mod ranges;
mod snapshot;
mod tree;
mod watches;

pub use handle::{Freshness, Reads};
pub use limited::{Limited, Place};
pub use ranges::Pages;
pub use snapshot::{Blob, Snapshot};
pub use tree::Listed;
pub use watches::{Watches, Watching};

#[cfg(test)]
mod tests;
