//! A member: its parts, connected with each other, and the jobs that run on it.
//!
//! | file | holds |
//! |---|---|
//! | `seams.rs`, `parts.rs`, `assembly.rs` | [`Seams`], what a member needs from outside; [`Member`], its parts; how they are connected |
//! | `jobs.rs` | the lists of jobs |
//! | `leases.rs`, `compaction.rs`, `token_keys.rs`, `tree.rs` | a job each: lease expiry, with the questions about leases that members ask their leader; automatic compaction; new keys for users' tokens; the end of nodes of v2's tree |
//! | `states.rs`, `questions.rs`, `verdict.rs`, `repair.rs` | whether members' states are the same; what they ask each other about it; who is right; what a member does whose state is wrong |
//! | `versions.rs` | the cluster's version; whether this program fits |
//! | `directory.rs` | the data directory and its permissions |
//! | `entry.rs`, `history.rs` | which member this is, and of which cluster; whether its data belong together |
//! | `initial.rs` | the members with which a cluster begins |
//! | `peers.rs` | its answers to other members |
//! | `roster.rs` | changes of the members; whether this one must end |
//! | `scrub.rs`, `scrubs.rs` | all data are read from the disk from time to time; its figures |
//! | `readiness.rs` | when clients are admitted |
//! | `figures.rs` | its metrics of the log, the other members and the features |
//! | `error.rs` | why it does not start |
//!
//! Nothing here knows the process: no signal, no service manager, no socket that is not passed in. The daemon opens log,
//! store and network and passes them in [`Seams`]; tests and the simulation pass theirs, and get the same member.
//!
//! A new job is a file here with `pub fn job(member: &Member) -> Job`, and an entry in a list of `jobs.rs`.

mod assembly;
mod compaction;
pub mod directory;
pub mod entry;
mod error;
pub mod figures;
mod history;
mod initial;
mod jobs;
#[cfg(test)]
pub mod lab;
pub mod leases;
mod parts;
pub mod peers;
mod questions;
mod readiness;
mod repair;
pub mod roster;
mod scrub;
mod scrubs;
mod seams;
mod states;
mod token_keys;
mod tree;
mod verdict;
pub mod versions;

pub use error::MemberError;
pub use history::{HistoryError, mark};
pub use parts::{Job, Member};
pub use seams::{Checks, RaftOn, Retention, Scrub, Seams};
pub use states::States;
