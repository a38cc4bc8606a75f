//! The small part of the state: members, alarms, the cluster's version, raft's configuration. It is kept whole in
//! memory and written whole by the checkpoint after a change.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use heed::{RoTxn, RwTxn};

use super::StoreError;
use super::format::meta::Meta;
use super::lmdb::{Table, Tables};
use crate::model::{Alarm, AlarmKind, LogPosition, Member, MemberId};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registry {
    pub members: BTreeMap<MemberId, Member>,
    pub removed: BTreeSet<MemberId>,
    pub alarms: BTreeSet<(AlarmKind, MemberId)>,
    pub cluster_version: Option<String>,
    pub raft_membership: Option<(LogPosition, Bytes)>,
}

impl Registry {
    /// True while any member has raised this alarm.
    pub fn alarmed(&self, kind: AlarmKind) -> bool {
        self.alarms.iter().any(|(raised, _)| *raised == kind)
    }

    /// The alarms of a kind, or all.
    pub fn list_alarms(&self, kind: Option<AlarmKind>) -> Vec<Alarm> {
        let wanted = self.alarms.iter().filter(|(raised, _)| kind.is_none_or(|kind| kind == *raised));
        wanted.map(|(kind, member)| Alarm { member: *member, kind: *kind }).collect()
    }

    /// Reads it from the tables.
    pub fn load(tables: &Tables, txn: &RoTxn<'_>, meta: &Meta) -> Result<Self, StoreError> {
        let mut registry = Self {
            cluster_version: meta.cluster_version.clone(),
            raft_membership: meta.raft_membership.clone(),
            ..Self::default()
        };
        each(tables.members, txn, |id, value| {
            let member: Member = postcard::from_bytes(value).ok()?;
            registry.members.insert(MemberId(id_of(id)?), member);
            Some(())
        })?;
        each(tables.removed, txn, |id, _| {
            registry.removed.insert(MemberId(id_of(id)?));
            Some(())
        })?;
        each(tables.alarms, txn, |key, _| {
            let (kind, id) = key.split_last()?;
            registry.alarms.insert((alarm_kind(*kind)?, MemberId(id_of(id)?)));
            Some(())
        })?;
        Ok(registry)
    }

    /// Writes the tables; what is in `meta` is the caller's.
    pub fn save(&self, tables: &Tables, txn: &mut RwTxn<'_>) -> Result<(), StoreError> {
        let write = StoreError::lmdb("writing members and alarms");
        for table in [tables.members, tables.removed, tables.alarms] {
            table.clear(txn).map_err(&write)?;
        }
        for (id, member) in &self.members {
            let encode = |error| StoreError::Damaged(format!("encoding a member: {error}"));
            let value = postcard::to_stdvec(member).map_err(encode)?;
            tables.members.put(txn, &id.0.to_be_bytes(), &value).map_err(&write)?;
        }
        for id in &self.removed {
            tables.removed.put(txn, &id.0.to_be_bytes(), &[]).map_err(&write)?;
        }
        for (kind, id) in &self.alarms {
            let mut key = id.0.to_be_bytes().to_vec();
            key.push(alarm_number(*kind));
            tables.alarms.put(txn, &key, &[]).map_err(&write)?;
        }
        Ok(())
    }
}

fn each(
    table: Table,
    txn: &RoTxn<'_>,
    mut row: impl FnMut(&[u8], &[u8]) -> Option<()>,
) -> Result<(), StoreError> {
    for item in table.iter(txn).map_err(StoreError::lmdb("reading members and alarms"))? {
        let (key, value) = item.map_err(StoreError::lmdb("reading members and alarms"))?;
        row(key, value).ok_or_else(|| StoreError::Damaged("a row of members or alarms".into()))?;
    }
    Ok(())
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
