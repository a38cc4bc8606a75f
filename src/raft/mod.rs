//! Raft: one log for all members, and what it means to lead, to follow and to join.
//!
//! - [`Node`] is the handle: propose, read index, status, transfer (`node`, `options`, `shared`)
//! - `claim` decides who leads, as far as this member may claim; `shared` hands that out and nothing else
//! - `proposer` groups commands into entries or takes them to the leader; `reads` asks for the read index once for all
//!   who wait; `members` changes members and leaders, as far as `rules` lets it; `duties` is what a node does by itself;
//!   `found` is what it begins with, `replay` what it applies before all else; a new member's log is written by
//!   [`found()`] before its first start
//! - [`crate::peer::Transport`] is the seam to the network, carrying the messages of [`wire`]; `network` and `service` are its two
//!   ends; [`Loopback`] joins nodes of one process, for tests and simulations
//! - `runtime` is tokio as raft uses it; [`simulate`] makes what happens on a thread repeatable, and a [`Processor`]
//!   makes work on it take time
//! - `topics` are what members ask their leader beside raft's affairs, each with a handler of its own
//! - `checks` is what others say, held against itself and the log; `replicas` what a leader knows of the others' logs,
//!   `room` whether a leader's snapshot fits on the disk
//! - `types`, `log_store`, `state_machine` and `settings` fit [`crate::log`] and [`crate::store`] to openraft
//!
//! Rules: openraft's types stay in this room; what lies on disk or travels has encodings of its own. Nothing here waits
//! for a disk after the quorum, and nothing that raft's thread does waits for the store: what may take long is offloaded. What was appended and then lost sight of is never proposed again.

mod checks;
mod claim;
mod duties;
mod found;
mod installed;
mod log_store;
mod loopback;
mod members;
mod network;
mod node;
mod options;
mod processor;
mod proposer;
mod reads;
mod replay;
mod replicas;
mod room;
mod rules;
mod runtime;
mod service;
mod settings;
mod shared;
mod signal;
mod state_machine;
mod topics;
mod types;
pub mod wire;

#[cfg(test)]
mod tests;

pub use crate::peer::Pending;
pub use duties::CLUSTER_VERSION;
pub use found::{Misfit, Standing, found};
pub use loopback::Loopback;
pub use node::Node;
pub use options::{NodeOptions, StartError};
pub use processor::{OnProcessor, Processor, spend};
pub use runtime::{offload, simulate};
pub use shared::{Figures, Leadership, Status};
pub use signal::{Closed, Receiver, Ref, Sender};
pub use topics::{Handler, Topic, TopicTaken};
pub use types::{Peer, decode_config};
