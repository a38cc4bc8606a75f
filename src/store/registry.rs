//! The small part of the state: members, alarms, the cluster's version, raft's configuration. It is kept whole in
//! memory and written whole by the checkpoint after a change.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::StoreError;
use super::format::meta::Meta;
use crate::model::{Alarm, AlarmKind, LogPosition, Member, MemberId};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registry {
    pub members: BTreeMap<MemberId, Member>,
    pub removed: BTreeSet<MemberId>,
    pub alarms: BTreeSet<(AlarmKind, MemberId)>,
    pub cluster_version: Option<String>,
    /// Which life of the cluster this is.
    pub epoch: u64,
    pub raft_membership: Option<(LogPosition, Bytes)>,
}

/// Receives the rows of a table, one after another.
pub(super) type Rows<'r> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'r;

impl Registry {
    /// The part in the meta record; the rest is in separate tables.
    pub fn of(meta: &Meta) -> Self {
        Self {
            cluster_version: meta.cluster_version.clone(),
            epoch: meta.epoch,
            raft_membership: meta.raft_membership.clone(),
            ..Self::default()
        }
    }

    /// True while any member has raised this alarm.
    pub fn alarmed(&self, kind: AlarmKind) -> bool {
        self.alarms.iter().any(|(raised, _)| *raised == kind)
    }

    /// The alarms of a kind, or all.
    pub fn list_alarms(&self, kind: Option<AlarmKind>) -> Vec<Alarm> {
        let wanted = self.alarms.iter().filter(|(raised, _)| kind.is_none_or(|kind| kind == *raised));
        wanted.map(|(kind, member)| Alarm { member: *member, kind: *kind }).collect()
    }
}

/// Reads a row of `members`.
pub(super) fn take_member(registry: &mut Registry, key: &[u8], value: &[u8]) -> Option<()> {
    let member: Member = postcard::from_bytes(value).ok()?;
    registry.members.insert(MemberId(id_of(key)?), member);
    Some(())
}

/// Writes `members`.
pub(super) fn give_members(registry: &Registry, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    for (id, member) in &registry.members {
        let encode = |error| StoreError::Damaged(format!("encoding a member: {error}"));
        rows(&id.0.to_be_bytes(), &postcard::to_stdvec(member).map_err(encode)?)?;
    }
    Ok(())
}

/// Reads a row of `removed`.
pub(super) fn take_removed(registry: &mut Registry, key: &[u8], value: &[u8]) -> Option<()> {
    registry.removed.insert(MemberId(id_of(key)?));
    value.is_empty().then_some(())
}

/// Writes `removed`.
pub(super) fn give_removed(registry: &Registry, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    registry.removed.iter().try_for_each(|id| rows(&id.0.to_be_bytes(), &[]))
}

/// Reads a row of `alarms`.
pub(super) fn take_alarm(registry: &mut Registry, key: &[u8], value: &[u8]) -> Option<()> {
    let (kind, id) = key.split_last()?;
    registry.alarms.insert((alarm_kind(*kind)?, MemberId(id_of(id)?)));
    value.is_empty().then_some(())
}

/// Writes `alarms`.
pub(super) fn give_alarms(registry: &Registry, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    registry.alarms.iter().try_for_each(|(kind, id)| {
        let mut key = id.0.to_be_bytes().to_vec();
        key.push(alarm_number(*kind));
        rows(&key, &[])
    })
}

fn id_of(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// The stored number of an alarm, which is etcd's.
fn alarm_number(kind: AlarmKind) -> u8 {
    match kind {
        AlarmKind::NoSpace => 1,
        AlarmKind::Corrupt => 2,
    }
}

fn alarm_kind(number: u8) -> Option<AlarmKind> {
    match number {
        1 => Some(AlarmKind::NoSpace),
        2 => Some(AlarmKind::Corrupt),
        _ => None,
    }
}
