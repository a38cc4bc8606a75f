//! The parts of a running member.

use std::sync::Arc;

use tokio::sync::watch;

use super::readiness::Readiness;
use super::seams::Retention;
use super::states::States;
use super::versions::Versions;
use crate::api::services::{Services, Stopper};
use crate::api::space::SpaceWatch;
use crate::lease::Lessor;
use crate::raft::{Node, Pending};
use crate::store::Store;
use crate::watch::Hub;

/// A member whose parts run. It does its jobs while the work of [`Member::all_jobs`] is polled.
pub struct Member {
    /// Raft.
    pub node: Node,
    /// The state.
    pub store: Store,
    /// Passes events to watchers.
    pub hub: Arc<Hub>,
    /// Counts the time of leases while this member leads.
    pub lessor: Arc<Lessor>,
    /// What clients are served with, over whatever listeners.
    pub services: Arc<Services>,
    /// Ends what clients wait for; dropping it does, too.
    pub stopper: Stopper,
    /// When clients are admitted.
    pub readiness: Readiness,
    /// The retention of automatic compaction; a change counts at once.
    pub retention: watch::Sender<Retention>,
    /// What the members report about their programs.
    pub(super) versions: Arc<Versions>,
    /// Notices when the store exceeds its quota.
    pub(super) space: Arc<SpaceWatch>,
    /// Compares the state with the leader's.
    pub states: Arc<States>,
}

/// A job's work, which never ends by itself.
pub type Job = Pending<()>;
