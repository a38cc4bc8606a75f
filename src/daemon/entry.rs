//! Which member this is: what its data say, or, for empty data, what the configuration leads to.

use super::directory::Directories;
use super::member::MemberError;
use crate::config::{Bootstrap, ClusterState, Config};
use crate::join::bootstrap::{self, InitialMember};
use crate::join::enter::{self, Asker};
use crate::join::identity::{self, Identity};
use crate::join::questions::Candidate;
use crate::model::Member;

/// Who this member is.
pub struct Entry {
    /// Its id and its cluster's.
    pub identity: Identity,
    /// The members a new cluster begins with; empty where the cluster exists.
    pub founders: Vec<Member>,
}

/// An empty directory can only be filled by what the configuration says of bootstrapping.
///
/// # Errors
/// [`MemberError::Config`].
pub fn refuse_bad_bootstrap(config: &Config) -> Result<(), MemberError> {
    let problems: Vec<String> = config
        .bootstrap_problems()
        .iter()
        .map(|problem| problem.to_string().trim_end().to_string())
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(MemberError::Config(problems.join("\n"))) }
}

/// The identity that the data carry, or, for empty data, the one that the configuration leads to, written down. May
/// wait for other members.
///
/// # Errors
/// See [`MemberError`].
pub async fn enter(
    config: &Config,
    directories: &Directories,
    asker: &dyn Asker,
) -> Result<Entry, MemberError> {
    if let Some(identity) = identity::load(&directories.member)? {
        return Ok(Entry { identity, founders: Vec::new() });
    }
    let store = &directories.store;
    if !std::fs::read_dir(store).is_ok_and(|mut files| files.next().is_none()) {
        let message = format!("{} holds data, but the file identity beside it is missing", store.display());
        return Err(MemberError::Config(message));
    }
    let entry = match (&config.join, config.cluster_state) {
        (Some(join), _) => {
            let candidate = Candidate {
                name: config.name.clone(),
                peer_urls: config.advertise_peer_urls.iter().map(|url| url.as_str().to_string()).collect(),
                learner: join.learner,
            };
            tracing::info!(peers = ?join.peers, learner = join.learner, "joining a cluster");
            let tell = |what: &str| tracing::warn!("cannot join yet: {what}");
            let (identity, roll) = enter::join(asker, &candidate, &join.peers, join.timeout, tell).await?;
            tracing::info!(
                local_member_id = %identity.member,
                cluster_id = %identity.cluster,
                members = roll.members.len(),
                "let into the cluster; the data follow"
            );
            Entry { identity, founders: Vec::new() }
        }
        (None, ClusterState::Existing) => {
            let identity = enter::existing(asker, &config.name, &initial_members(config)?).await?;
            Entry { identity, founders: Vec::new() }
        }
        (None, ClusterState::New) => {
            let plan = bootstrap::plan(&config.name, &initial_members(config)?, &config.cluster_token)?;
            enter::refuse_second_start(asker, &plan).await?;
            Entry { identity: plan.identity, founders: plan.members }
        }
    };
    identity::create(&directories.member, &entry.identity)?;
    Ok(entry)
}

fn initial_members(config: &Config) -> Result<Vec<InitialMember>, MemberError> {
    let Bootstrap::Static(members) = &config.bootstrap else {
        let message = "discovery is not served by this version of kvd: name the members in initial-cluster, or give \
                       this daemon a [join] table";
        return Err(MemberError::Config(message.to_string()));
    };
    let urls = |urls: &[crate::config::Url]| urls.iter().map(|url| url.as_str().to_string()).collect();
    Ok(members
        .iter()
        .map(|(name, peer_urls)| InitialMember { name: name.clone(), peer_urls: urls(peer_urls) })
        .collect())
}
