//! The types that everything else uses: keys, ranges, revisions, commands, replies, events, members, refusals.
//!
//! Pure data and pure functions. Nothing here does io, is async, reads a clock or draws a random number; the two traits
//! at the end ([`Clock`], [`Entropy`]) only declare what must be provided from outside.

mod alarm;
mod auth;
mod budget;
mod command;
mod digest;
mod event;
mod histogram;
mod key;
mod lease;
mod member;
mod nesting;
mod observer;
mod planted;
mod position;
mod query;
mod refusal;
mod reply;
mod seams;
mod tree;
mod txn;
mod user;
mod version;

pub use alarm::{Alarm, AlarmKind};
pub use auth::{AuthChange, PasswordHash, Permission, PermissionKind, TokenKey};
pub use budget::{Budget, Held};
pub use command::{Command, MAX_COMMAND_BYTES, MAX_REQUEST_BYTES, MemberChange, Proposal, Stamp, TREE_SINCE};
pub use digest::StateDigest;
pub use event::{Event, EventKind, RevisionEvents};
pub use histogram::Histogram;
pub use key::{KeyRange, RangeEnd, prefix_end};
pub use lease::{Lease, LeaseId};
pub use member::{ClusterId, Member, MemberId, cluster_id};
pub use observer::{LeaseChange, Observer};
#[cfg(feature = "planted-faults")]
pub use planted::plant;
pub use planted::{Planted, is_planted};
pub use position::{LogPosition, Progress};
pub use query::{KeyValue, RangeQuery, RangeResult, RevisionBounds, Sort, SortTarget};
pub use refusal::Refusal;
pub use reply::{OpReply, Reply};
pub use seams::{Clock, Entropy};
pub use tree::{
    Expected, TreeAction, TreeChange, TreeCode, TreeCommand, TreeError, TreeEvent, TreeListing, TreeNode,
    TreeReply, Ttl,
};
pub use txn::{Compare, CompareOp, CompareTarget, Delete, Op, Put, Txn};
pub use user::Caller;
pub use version::Version;
