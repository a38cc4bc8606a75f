//! How the parts of a member are connected. This is the only place that does it.

use std::sync::Arc;

use super::error::MemberError;
use super::leases::{self, LeaderLessor};
use super::parts::Member;
use super::readiness::Readiness;
use super::seams::{RaftOn, Seams};
use super::states::States;
use super::versions::Versions;
use crate::api::page::lag;
use crate::api::services::{FanOut, Services, Stop};
use crate::api::space::SpaceWatch;
use crate::auth::Logins;
use crate::lease::{self, Lessor};
use crate::model::Observer;
use crate::raft::{Node, NodeOptions};
use crate::watch::{self, Hub, TreeHub};

impl Member {
    /// Starts a member whose log an earlier start, or [`crate::raft::found()`], has begun. The store's observers are in
    /// place before raft applies its first entry.
    ///
    /// # Errors
    /// [`MemberError::Raft`].
    pub async fn start(seams: Seams) -> Result<Self, MemberError> {
        let Seams { raft, raft_on, settings, logins, retention, checks, observers } = seams;
        let logins = Logins::new(logins, raft.clock.clone());
        let store = raft.store.clone();
        let hub = Hub::new(Arc::new(store.clone()), watch::Options::default());
        let tree_hub = TreeHub::new();
        let lessor = new_lessor(&raft);
        let space = SpaceWatch::new();
        let own: [Arc<dyn Observer>; 4] = [hub.clone(), tree_hub.clone(), lessor.clone(), space.clone()];
        store.set_observers(observers.into_iter().chain(own).collect());
        let (id, name, client_urls) = (raft.id, raft.name.clone(), raft.client_urls.clone());
        let clock = raft.clock.clone();
        let node = match raft_on {
            RaftOn::Thread => Node::start_on_thread(raft).await?,
            RaftOn::Here => Node::start(raft).await?,
        };
        leases::answer(&node, &lessor)?;
        lag::serve(&node)?;
        let states = States::new(&node, &store, checks)?;
        let versions = Versions::new(&node, &store, clock)?;
        let patience = settings.request_timeout();
        let (stopper, stop) = Stop::channel();
        let lease_leader = Arc::new(LeaderLessor(node.clone()));
        let fan_out = FanOut { hub: hub.clone(), tree_hub, lessor: lessor.clone(), lease_leader };
        let services = Services::new(node.clone(), store.clone(), fan_out, logins, settings, stop);
        services.metrics.register(states.clone());
        // It is set once.
        services.follow_out(states.out());
        Ok(Self {
            readiness: Readiness {
                node: node.clone(),
                store: store.clone(),
                id,
                name,
                client_urls,
                patience,
            },
            node,
            store,
            hub,
            lessor,
            services: Arc::new(services),
            stopper,
            retention: tokio::sync::watch::Sender::new(retention),
            versions,
            space,
            states,
        })
    }
}

fn new_lessor(raft: &NodeOptions) -> Arc<Lessor> {
    let store = raft.store.clone();
    let options = lease::Options { election_timeout: raft.election, heartbeat: raft.heartbeat };
    Lessor::new(Arc::new(move || store.leases()), raft.clock.clone(), raft.id, options)
}
