//! The cluster's version: what its members may use. Members report the version of their program to the leader again and
//! again. The leader raises the cluster's version when all members are newer, and lowers it for a downgrade; the downgrade
//! is over when all members run that version.
//!
//! No decision is made while a member does not report: it may come back with any version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::error::MemberError;
use crate::model::{Caller, Clock, Command, MemberId, Refusal, Version};
use crate::raft::topics::{decode, encode};
use crate::raft::{Handler, Node, Pending, Topic, TopicTaken};
use crate::store::Store;

/// Interval of reports and decisions.
const INTERVAL: Duration = Duration::from_secs(2);

/// A report counts for this long.
const RECENT: Duration = Duration::from_secs(7);

/// A member's report. New fields go at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Report {
    member: MemberId,
    version: Version,
}

/// What the leader has heard.
pub struct Versions {
    node: Node,
    store: Store,
    clock: Arc<dyn Clock>,
    /// By member: the monotonic time, and the version.
    heard: Mutex<BTreeMap<MemberId, (Duration, Version)>>,
}

impl Versions {
    /// Registers the handler for the members' reports.
    ///
    /// # Errors
    /// [`TopicTaken`].
    pub fn new(node: &Node, store: &Store, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TopicTaken> {
        let store = store.clone();
        let versions = Arc::new(Self { node: node.clone(), store, clock, heard: Mutex::default() });
        node.register(Topic::VERSIONS, Arc::new(Reports(versions.clone())))?;
        Ok(versions)
    }

    /// The versions of all members; `None` for one that has not reported lately.
    fn of_all(&self) -> Vec<Option<Version>> {
        let (now, heard) = (self.clock.monotonic(), self.heard.lock());
        let recent = |id: &MemberId| heard.get(id).filter(|(at, _)| now.saturating_sub(*at) <= RECENT);
        self.node.members().iter().map(|member| recent(&member.id).map(|(_, version)| *version)).collect()
    }

    /// Reports this member's version, for ever.
    pub(super) async fn report(&self) {
        let report = Report { member: self.node.status().id, version: self.node.version() };
        loop {
            let asked = async { self.node.ask_leader(Topic::VERSIONS, encode(&report)?).await };
            if let Err(error) = asked.await {
                tracing::debug!(%error, "the leader did not receive this member's version");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Decides while this member leads, for ever.
    pub(super) async fn lead(&self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if self.node.status().is_leader {
                self.decide().await;
            }
        }
    }

    async fn decide(&self) {
        let Some(cluster) = self.store.cluster_version().as_deref().and_then(Version::parse) else { return };
        let Some(step) = next(cluster, self.store.downgrade(), &self.of_all()) else { return };
        let command = match step {
            Step::Set(version) => Command::ClusterVersion(version.of_cluster()),
            Step::EndDowngrade => Command::Downgrade(None),
        };
        match self.node.propose(Caller::System, command).await {
            Ok(_) => match step {
                Step::Set(version) => {
                    tracing::info!(from = %cluster, to = %version, "the cluster's version has changed")
                }
                Step::EndDowngrade => tracing::info!(version = %cluster, "the cluster has been downgraded"),
            },
            Err(error) => {
                tracing::warn!(%error, "the cluster's version could not be changed; it is tried again")
            }
        }
    }
}

struct Reports(Arc<Versions>);

impl Handler for Reports {
    fn answer(&self, question: Bytes) -> Pending<Result<Bytes, Refusal>> {
        let versions = self.0.clone();
        Box::pin(async move {
            let Report { member, version } = decode(&question)?;
            if !versions.node.status().is_leader {
                return Err(Refusal::NotLeader);
            }
            let mut heard = versions.heard.lock();
            // Only members have an entry.
            let members = versions.node.members();
            heard.retain(|id, _| members.iter().any(|member| member.id == *id));
            if members.iter().any(|known| known.id == member) {
                heard.insert(member, (versions.clock.monotonic(), version));
            }
            Ok(Bytes::new())
        })
    }
}

/// A change that the leader proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Set(Version),
    EndDowngrade,
}

/// The next change, if one is due.
fn next(cluster: Version, downgrade: Option<Version>, members: &[Option<Version>]) -> Option<Step> {
    let members: Vec<Version> = members.iter().copied().collect::<Option<_>>()?;
    let least = *members.iter().min()?;
    match downgrade {
        Some(target) if members.iter().all(|version| *version == target) && cluster == target => {
            Some(Step::EndDowngrade)
        }
        Some(target) => (target < cluster && target <= least).then_some(Step::Set(target)),
        None => (least > cluster).then_some(Step::Set(least)),
    }
}

/// Why a program of version `own` must not take part in the cluster of this version, `"X.Y.0"`.
pub fn misfit(own: Version, cluster: Option<String>) -> Option<String> {
    own.misfit(cluster.as_deref().and_then(Version::parse)?)
}

/// Refuses to start on the data of a cluster that this program does not fit.
///
/// # Errors
/// [`MemberError::Version`].
pub fn refuse_misfit(own: Version, store: &Store) -> Result<(), MemberError> {
    match misfit(own, store.cluster_version()) {
        Some(why) => Err(MemberError::Version(why)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).expect(text)
    }

    #[test]
    fn the_version_rises_with_the_last_member_and_falls_for_a_downgrade_only() {
        let step = |cluster, downgrade: Option<&str>, members: &[&str]| {
            let members: Vec<_> = members.iter().map(|text| Version::parse(text)).collect();
            next(version(cluster), downgrade.map(version), &members)
        };
        let set = |text| Some(Step::Set(version(text)));
        assert_eq!(step("3.6", None, &["3.7", "3.7", "3.6"]), None);
        assert_eq!(step("3.6", None, &["3.7", "3.7", "silent"]), None, "it may have any version");
        assert_eq!(step("3.6", None, &["3.7", "3.8", "3.7"]), set("3.7"));
        assert_eq!(step("3.7", None, &["3.7", "3.7", "3.6"]), None, "never down by itself");
        assert_eq!(step("3.7", Some("3.6"), &["3.7", "3.7", "silent"]), None);
        assert_eq!(step("3.7", Some("3.6"), &["3.7", "3.7", "3.7"]), set("3.6"));
        assert_eq!(step("3.6", Some("3.6"), &["3.7", "3.6", "3.7"]), None);
        assert_eq!(step("3.6", Some("3.6"), &["3.6", "3.6", "3.6"]), Some(Step::EndDowngrade));
        // It was taken back half-way: the version rises again when all are newer.
        assert_eq!(step("3.6", None, &["3.7", "3.6", "3.7"]), None);
        assert_eq!(step("3.6", None, &["3.7", "3.7", "3.7"]), set("3.7"));
        assert_eq!(step("3.6", None, &[]), None);
    }
}
