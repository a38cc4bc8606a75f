//! What the log carries, in the log's own words: nothing here is a type of the raft library, whose types may change.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{Command, LogPosition, Op, Proposal, Txn};

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place.
    pub position: LogPosition,
    /// What it says. Cloning shares it.
    pub payload: Payload,
}

/// What an entry says. New variants go at the end: the number of a variant is part of the format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing; a new leader begins with it.
    Blank,
    /// Proposals, applied one after the other.
    Group(Arc<Vec<Proposal>>),
    /// A raft configuration, together with the change of members that it belongs to.
    Membership {
        /// The configuration, in raft's own encoding.
        raft: Bytes,
        /// The change of members.
        change: Option<Arc<Proposal>>,
    },
}

impl Payload {
    /// About how many bytes it takes up, in memory and on disk.
    pub fn weight(&self) -> usize {
        match self {
            Payload::Blank => 32,
            Payload::Group(proposals) => {
                32 + proposals.iter().map(|proposal| weight(&proposal.command)).sum::<usize>()
            }
            Payload::Membership { raft, .. } => 512 + raft.len(),
        }
    }
}

/// About how many bytes a command takes up.
pub fn weight(command: &Command) -> usize {
    const FIXED: usize = 64;
    match command {
        Command::Put(put) => FIXED + put.key.len() + put.value.len(),
        Command::Txn(txn) => FIXED + txn_weight(txn),
        Command::LeaseCheckpoint { deadlines } => FIXED + deadlines.len() * 24,
        Command::Member(_) => 1024,
        _ => FIXED * 2,
    }
}

fn txn_weight(txn: &Txn) -> usize {
    let ops = txn.success.iter().chain(&txn.failure).map(|op| match op {
        Op::Put(put) => 64 + put.key.len() + put.value.len(),
        Op::Txn(inner) => txn_weight(inner),
        Op::Range(_) | Op::Delete(_) => 256,
    });
    txn.compares.len() * 128 + ops.sum::<usize>()
}

/// A vote: in which term this member voted for whom, and whether that one became leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The term.
    pub term: u64,
    /// The member voted for.
    pub voted_for: u64,
    /// True once a quorum is known to have voted alike.
    pub committed: bool,
}
