//! How a cluster begins.

use std::collections::BTreeMap;

use super::discovery::Discovery;
use crate::config::diagnostic::Diagnostic;
use crate::config::findings::Findings;
use crate::config::settings::{Origin, Settings};
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::{FromValue, choice, mismatch, section};
use crate::config::url::Url;
use crate::config::value::Value;

choice! {
    /// Whether there is a cluster to join.
    pub enum ClusterState {
        /// All members start together.
        New = "new",
        /// The cluster runs; this member joins it.
        Existing = "existing",
    }
}

section! {
    /// How a cluster begins. Only used while the data directory is empty, see
    /// [`Config::bootstrap_problems`](crate::config::Config::bootstrap_problems).
    pub struct Clustering under Clustering {
        /// Empty if the members are found in another way.
        initial_cluster: BTreeMap<String, Vec<Url>> = etcd("initial-cluster", Kind::Cluster, "", "The members with which the cluster begins, this one among them. Without it: this member alone.").bootstrap();
        initial_cluster_state: ClusterState = etcd("initial-cluster-state", Kind::Choice(ClusterState::CHOICES), "new", "new begins a cluster; existing joins one that runs.").words(unexpected_state).bootstrap();
        initial_cluster_token: String = etcd("initial-cluster-token", Kind::Text, "etcd-cluster", "A name that keeps clusters apart; all ids depend on it. It is no secret: cluster-secret-file or certificates keep strangers out.").bootstrap();
    }
}

fn unexpected_state(text: &str) -> String {
    format!("unexpected clusterState {text:?}")
}

impl Clustering {
    /// A member that names no others begins a cluster by itself.
    pub(in crate::config) fn derive(settings: &mut Settings) {
        if settings.is_given("initial-cluster") {
            return;
        }
        let (members, from) = if Discovery::is_set(settings) {
            (BTreeMap::new(), "discovery")
        } else {
            let own: Vec<Url> = settings.read("initial-advertise-peer-urls");
            (BTreeMap::from([(settings.read("name"), own)]), "name and initial-advertise-peer-urls")
        };
        settings.set("initial-cluster", Value::Cluster(members), Origin::Derived(from));
    }

    pub(in crate::config) fn check(&self, discovery: &Discovery, found: &mut Findings<'_>) {
        let named = found.is_given("initial-cluster") && !self.initial_cluster.is_empty();
        let (srv, v3) = (!discovery.srv.is_empty(), !discovery.endpoints.is_empty());
        if [srv, v3, named].iter().filter(|set| **set).count() > 1 {
            let option = if v3 { "discovery-endpoints" } else { "discovery-srv" };
            let message = "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \
                           \"discovery-endpoints\" or \"discovery-srv\"";
            found.error(option, message);
        }
    }
}
