//! Why a member does not start.

use std::io;

use super::history::HistoryError;
use crate::join::bootstrap::BootstrapError;
use crate::join::discovery::DiscoveryError;
use crate::join::enter::EntryError;
use crate::join::identity::IdentityError;
use crate::join::srv::SrvError;
use crate::log::LogError;
use crate::pki::PkiError;
use crate::raft::{StartError, TopicTaken};
use crate::store::StoreError;

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The configuration does not define how to begin.
    #[error("{0}")]
    Config(String),
    /// No cluster can be started.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The member cannot enter the cluster.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The initial members are not found in DNS.
    #[error(transparent)]
    Srv(#[from] SrvError),
    /// The initial members are not found by discovery.
    #[error("failed to join discovery cluster ({0})")]
    Discovery(#[from] DiscoveryError),
    /// Files, directories or sockets.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The identity file.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Identity, log and store do not belong together.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Another process of the member is running.
    #[error("{0}")]
    Copy(String),
    /// The program is too old, or too new, for the cluster.
    #[error("{0}")]
    Version(String),
    /// The log.
    #[error("the log: {0}")]
    Log(#[from] LogError),
    /// The store.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// Two parts of this member registered for the same topic.
    #[error(transparent)]
    Topic(#[from] TopicTaken),
    /// Raft.
    #[error("raft: {0}")]
    Raft(#[from] StartError),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
}
