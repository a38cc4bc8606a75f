//! Alarms.

use serde::{Deserialize, Serialize};

use super::MemberId;

/// The kind of an alarm. The numbers are etcd's (`etcdserverpb.AlarmType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AlarmKind {
    /// The space quota is exceeded: writes that need space are refused everywhere.
    NoSpace,
    /// Members' data differ: nothing is served through the log any more.
    Corrupt,
}

/// An alarm that a member has raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Alarm {
    /// The member it concerns.
    pub member: MemberId,
    /// What is wrong.
    pub kind: AlarmKind,
}
