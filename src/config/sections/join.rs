//! The one-step join of a running cluster.

use std::time::Duration;

use crate::config::diagnostic::Diagnostic;
use crate::config::findings::Findings;
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::{FromValue, choice, mismatch, section};
use crate::config::value::Value;

choice! {
    /// The role in which a member joins.
    pub enum JoinRole {
        /// It votes once it has caught up.
        Voter = "voter",
        /// It does not vote until it is promoted.
        Learner = "learner",
    }
}

section! {
    /// The one-step join.
    pub struct Join under Join {
        /// As given; [`urls`](Self::urls) has them as URLs.
        peers: Vec<String> = own("join-peers", Kind::List, "", "Members of the cluster to join in one step: their peer URLs, or host:port. Needs initial-cluster-state existing.").key("join.peers").bootstrap();
        role: JoinRole = own("join-role", Kind::Choice(JoinRole::CHOICES), "voter", "Joins as a voter, which votes once it has caught up, or as a learner, which does not vote until it is promoted.").empty_is_default().key("join.role").bootstrap();
        /// Zero means for ever.
        timeout: Duration = own("join-timeout", Kind::Duration, "2m", "How long to try to join; 0 for ever.").key("join.timeout").bootstrap();
    }
}

impl Join {
    /// The members to ask, as URLs; none if this member does not join in one step.
    pub fn urls(&self) -> Vec<String> {
        let url = |peer: &String| {
            if peer.contains("://") { peer.clone() } else { format!("https://{peer}") }
        };
        self.peers.iter().map(url).collect()
    }

    pub(in crate::config) fn check(&self, found: &mut Findings<'_>) {
        for peer in &self.peers {
            let bare = peer.split_once("://").map_or(peer.as_str(), |(_, rest)| rest);
            let is_address = bare
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            if !is_address {
                found.error("join-peers", format!("join peer {peer:?} is neither a peer URL nor host:port"));
            }
        }
    }
}
