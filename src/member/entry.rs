//! Which member this is: by its data, or, at a first start, by the configuration.
//!
//! # The steps of a first start
//! 1. directories, the log's lock, sockets; then an empty store and an empty log
//! 2. the cluster is asked, as the configuration says; nothing is written
//! 3. the log gets the member's first entries ([`raft::found`])
//! 4. copies of the identity go beside log and store
//! 5. the identity goes to the member directory
//! 6. raft runs: from here on the member votes and acknowledges
//!
//! Each step is durable before the next. Until step 5 there is no member: after a crash the next start repeats the
//! other steps, perhaps with another configuration. From step 5 on the log is never empty, so an empty log means that
//! its disk is missing ([`super::history`]).

use std::sync::Arc;

use super::directory::Directories;
use super::error::MemberError;
use super::history::{self, HistoryError, Remains};
use super::initial::{self, MAX_LOOKUPS};
use crate::config::{ClusterState, Config, JoinRole};
use crate::join::bootstrap;
use crate::join::enter::{self, Asker};
use crate::join::identity::{self, Identity};
use crate::join::questions::Candidate;
use crate::log::format::sequence_of;
use crate::log::{Disk, Log, LogError};
use crate::model::{Member, Version};
use crate::peer::Names;
use crate::raft;
use crate::store::Store;

/// An empty directory needs valid bootstrap options.
///
/// # Errors
/// [`MemberError::Config`].
pub fn refuse_bad_bootstrap(config: &Config) -> Result<(), MemberError> {
    let members = &config.clustering.initial_cluster;
    if config.join.peers.is_empty()
        && config.clustering.initial_cluster_state == ClusterState::Existing
        && !members.is_empty()
        && !members.contains_key(&config.member.name)
    {
        // The cluster is asked anyway, so that the error can show its list.
        return Ok(());
    }
    let problems: Vec<String> = config
        .bootstrap_problems()
        .iter()
        .map(|problem| problem.to_string().trim_end().to_string())
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(MemberError::Config(problems.join("\n"))) }
}

/// Refuses a log without files if there is an identity, before opening the log would create them: nothing must be
/// written to a directory whose disk is missing.
///
/// # Errors
/// [`HistoryError::NoLog`]; files that cannot be read.
pub fn refuse_missing_log(directories: &Directories, disk: &dyn Disk) -> Result<(), MemberError> {
    let Some(identity) = identity::load(&directories.member)? else { return Ok(()) };
    let failed = |source| LogError::Io { file: disk.describe(""), source: Arc::new(source) };
    if disk.list().map_err(failed)?.iter().any(|name| sequence_of(name).is_some()) {
        return Ok(());
    }
    Err(HistoryError::NoLog { dir: directories.log.clone(), identity }.into())
}

/// The identity in the data, or, at a first start, the one that follows from the configuration, after the member's
/// first entries are written. `version` is that of its program. May wait for other members; `tell` is called with whatever it waits for.
///
/// # Errors
/// See [`MemberError`].
pub async fn enter(
    (config, version): (&Config, Version),
    directories: &Directories,
    (log, store): (&Log, &Store),
    asker: &dyn Asker,
    tell: &dyn Fn(&str),
) -> Result<Identity, MemberError> {
    let remains = Remains::of(directories, log, store)?;
    if let Some(identity) = remains.judge()? {
        // Data of a version that wrote no copies get them now.
        history::mark(directories, &identity)?;
        return Ok(identity);
    }
    let (identity, founders) = find_cluster((config, version), asker, tell).await?;
    raft::found(log, &founders).await?;
    history::mark(directories, &identity)?;
    identity::create(&directories.member, &identity)?;
    Ok(identity)
}

/// The identity that this member will have, and the members of a new cluster; none if the cluster exists.
async fn find_cluster(
    (config, version): (&Config, Version),
    asker: &dyn Asker,
    tell: &dyn Fn(&str),
) -> Result<(Identity, Vec<Member>), MemberError> {
    let name = &config.member.name;
    let peers = config.join.urls();
    match (peers.is_empty(), config.clustering.initial_cluster_state) {
        (false, _) => {
            let learner = config.join.role == JoinRole::Learner;
            let urls = &config.addresses.advertise_peer_urls;
            let candidate = Candidate {
                name: name.clone(),
                peer_urls: urls.iter().map(|url| url.as_str().to_string()).collect(),
                learner,
                token: given_token(config),
                version,
            };
            tracing::info!(?peers, learner, "joining a cluster");
            let tell = |what: &str| tell(&format!("cannot join yet: {what}"));
            let (identity, roll) = enter::join(asker, &candidate, &peers, config.join.timeout, tell).await?;
            tracing::info!(
                local_member_id = %identity.member,
                cluster_id = %identity.cluster,
                members = roll.members.len(),
                "let into the cluster; the data follow"
            );
            Ok((identity, Vec::new()))
        }
        (true, ClusterState::Existing) => {
            let names = Names::new(MAX_LOOKUPS);
            let own = (name.as_str(), given_token(config), version);
            let initial = initial::members(config, tell).await?;
            let identity = enter::existing(asker, &names, own, &initial).await?;
            Ok((identity, Vec::new()))
        }
        (true, ClusterState::New) => {
            let plan = bootstrap::plan(name, &initial::members(config, tell).await?, initial::token(config))?;
            enter::refuse_second_start(asker, &plan).await?;
            Ok((plan.identity, plan.members))
        }
    }
}

/// The `initial-cluster-token`, if the operator has given one.
pub fn given_token(config: &Config) -> Option<String> {
    let token = &config.clustering.initial_cluster_token;
    config.settings().is_given("initial-cluster-token").then(|| token.clone())
}
