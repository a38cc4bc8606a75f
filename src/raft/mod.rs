//! Raft: one log for all members; leading, following and joining.
//!
//! - [`Node`] is the handle: propose, read index, status, transfer (`node`); `service` answers other members
//! - `inner` is what all parts of a node share: options, queues (`queue`), tasks, the view of raft (`shared`). Nothing
//!   below the handle knows the handle
//! - `claim` decides who leads, as far as this member may claim; `shared` gives access to that and to nothing else
//! - `commands` brings a command to its outcome: `proposer` groups commands into entries or sends them to the leader,
//!   `members` changes members and leaders, as far as `rules` allows it
//! - `reads` requests the read index once for all waiting readers; `duties` are a node's background tasks, `clock`
//!   lets raft's clock run only when it is needed, `succession` begins an election early if the leader's process has ended
//! - `found` prepares a node's beginning, if log and state fit (`standing`), `replay` applies committed entries before
//!   raft starts; [`found()`] writes a new member's log before its first start
//! - [`crate::peer::Transport`] is the interface to the network and carries the messages of [`wire`]; `network` sends,
//!   `service` answers, `ask` asks beside raft; [`Loopback`] connects nodes of one process, for tests and simulations
//! - `runtime` is tokio as raft's runtime; [`simulate`] makes a thread's execution repeatable, and a [`Processor`]
//!   makes work on it take simulated time
//! - `topics` are the questions of members to their leader that are not raft's, each with its own handler
//! - `takeover` replaces a state that is wrong by the leader's, under the same log and votes; `gate` holds up applying
//!   in the meantime
//! - `checks` compares other members' messages with themselves and the log; `replicas` is what a leader knows about the
//!   others' logs, `room` decides whether a leader's snapshot fits on the disk; `pace` notices a disk of the log that stands
//!   still
//! - `types`, `log_store`, `state_machine` and `settings` adapt [`crate::log`] and [`crate::store`] to openraft
//!
//! Rules: openraft's types stay in this room; data on disk and on the network have kvd's own encodings. Nothing here
//! waits for a disk after the quorum, and nothing on raft's thread waits for the store: slow work is offloaded. A
//! command that was appended and whose outcome is unknown is never proposed again.

mod ask;
mod checks;
mod claim;
mod clock;
mod commands;
mod duties;
mod found;
mod gate;
mod inner;
mod installed;
mod log_store;
mod loopback;
mod members;
mod network;
mod node;
mod options;
mod pace;
mod processor;
mod proposer;
mod queue;
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
mod standing;
mod state_machine;
mod succession;
mod takeover;
pub mod topics;
mod types;
pub mod wire;

#[cfg(test)]
mod tests;

pub use crate::peer::Pending;
pub use found::{found, found_with_state};
pub use loopback::Loopback;
pub use node::Node;
pub use options::{NodeOptions, StartError};
pub use processor::{OnProcessor, Processor, spend};
pub use replay::{replay_all, replay_to};
pub use replicas::Exchange;
pub use runtime::{offload, simulate};
pub use shared::{Figures, Leadership, Status};
pub use signal::{Closed, Receiver, Ref, Sender};
pub use standing::{Misfit, Standing};
pub use topics::{Handler, Topic, TopicTaken};
pub use types::{Peer, decode_config, has_several_voters};
