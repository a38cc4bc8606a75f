//! All reads of requests: keys at a revision, their events, and copies of everything.
//!
//! * `permission.rs`: what a caller may read.
//! * `handle.rs`: [`Reads`], with the read index, leases and hashes.
//! * `ranges.rs`: ranges and read-only transactions; quick ones run on the connection's own thread, slow ones
//!   elsewhere.
//! * `watches.rs`: watchers.
//! * `snapshot.rs`: the whole state as blobs.
//! * `limited.rs`: slots for streams that hold resources of the store while their client reads.
//!
//! Every read first checks the caller's permission, then waits for the read index unless the caller accepts this
//! member's state. `tests/tidy.rs` ensures that no other file of the API reads the store.

mod handle;
mod limited;
mod permission;
mod ranges;
mod snapshot;
mod watches;

pub use handle::{Freshness, Reads};
pub use limited::{Limited, Place};
pub use ranges::Pages;
pub use snapshot::{Blob, Snapshot};
pub use watches::Watches;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rpc::stories::lone_leader;
    use crate::model::{Caller, KeyRange, RangeQuery, Refusal, Txn};
    use crate::watch::{Want, WatchSpec};

    /// A user has no permissions before there are roles: every kind of read refuses, before it reads.
    #[tokio::test]
    async fn every_read_asks_for_permission() {
        let (services, _stopper, _dir) = lone_leader().await;
        let reads = &services.reads;
        let user = Caller::User { name: "u".into(), auth_revision: 1 };
        let denied = Some(Refusal::PermissionDenied);
        let query = || RangeQuery::current(KeyRange::all());
        let spec = || WatchSpec { tag: 0, range: KeyRange::all(), start_revision: 0, want: Want::default() };
        for freshness in [Freshness::Linearizable, Freshness::Serializable] {
            assert_eq!(reads.range(&user, query(), freshness).await.err(), denied);
            assert_eq!(reads.txn(&user, Txn::default(), freshness).await.err(), denied);
            assert_eq!(reads.pages(&user, query(), freshness).await.err(), denied);
        }
        assert_eq!(reads.leases(&user).err(), denied);
        assert_eq!(reads.lease_keys(&user, 1).await.err(), denied);
        assert_eq!(reads.hash(&user).await.err(), denied);
        assert_eq!(reads.hash_kv(&user, 0).await.err(), denied);
        assert_eq!(reads.snapshot(&user).err(), denied);
        assert_eq!(reads.watch(&user, spec()).err(), denied);
        assert_eq!(reads.watches(user).open(spec()).err(), denied);
        for caller in [Caller::Anonymous, Caller::System] {
            assert_eq!(reads.range(&caller, query(), Freshness::Linearizable).await.err(), None);
            assert_eq!(reads.watches(caller).open(spec()).err(), None);
        }
        services.node.shutdown().await;
    }
}
