//! What a session, the hub and the thread that reads history share.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::inbox::Inbox;
use super::order::WatchKey;
use super::run::Interest;
use super::wake::Queue;

/// A session as the hub knows it.
pub(super) struct Shared {
    pub(super) inbox: Mutex<Inbox>,
    pub(super) queue: Option<Arc<Queue>>,
}

/// A watcher that wants history from `next` on.
pub(super) struct Request {
    pub(super) shared: Weak<Shared>,
    pub(super) key: WatchKey,
    pub(super) interest: Arc<Interest>,
    pub(super) next: i64,
}
