//! The small part of the state: members, alarms, users and roles, the cluster's version, raft's configuration. It is kept
//! whole in memory and written whole by the checkpoint after a change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::StoreError;
use super::format::meta::Meta;
use crate::auth::{Role, State, User, Users};
use crate::model::{Alarm, AlarmKind, Command, LogPosition, Member, MemberId, Refusal, TREE_SINCE, Version};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registry {
    pub members: BTreeMap<MemberId, Member>,
    pub removed: BTreeSet<MemberId>,
    pub alarms: BTreeSet<(AlarmKind, MemberId)>,
    pub users: Arc<Users>,
    pub cluster_version: Option<String>,
    /// The version that the cluster goes back to.
    pub downgrade: Option<Version>,
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

    /// The version that limits what may be done: the cluster's, or that of a downgrade. `None` before the cluster has one.
    pub fn version_limit(&self) -> Option<Version> {
        let cluster = self.cluster_version.as_deref().and_then(Version::parse)?;
        Some(self.downgrade.map_or(cluster, |target| target.min(cluster)))
    }

    /// True if every member knows the command.
    pub fn allows(&self, command: &Command) -> bool {
        let since = command.since();
        since <= Version::FIRST || self.version_limit().is_none_or(|limit| since <= limit)
    }

    /// Refuses a downgrade that the cluster cannot make. The checks are in etcd's order.
    ///
    /// # Errors
    /// [`Refusal::ClusterVersionUnavailable`], [`Refusal::InvalidDowngradeTarget`], [`Refusal::DowngradeInProgress`];
    /// [`Refusal::NotSupported`] if there are data that the older version does not know.
    pub fn check_downgrade(&self, target: Version, tree_is_used: bool) -> Result<(), Refusal> {
        let cluster = self.cluster_version.as_deref().and_then(Version::parse);
        let cluster = cluster.ok_or(Refusal::ClusterVersionUnavailable)?;
        if cluster.before() != Some(target) {
            return Err(Refusal::InvalidDowngradeTarget);
        }
        if self.downgrade.is_some() {
            return Err(Refusal::DowngradeInProgress);
        }
        match tree_is_used && target < TREE_SINCE {
            true => Err(Refusal::NotSupported(format!(
                "version {target} does not know the v2 API, and this cluster has used it: its tree would be lost"
            ))),
            false => Ok(()),
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
        rows(&id.0.to_be_bytes(), &encoded(member)?)?;
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

/// The key of the only row of `auth`.
const AUTH: &[u8] = b"auth";

/// Reads a row of `roles`.
pub(super) fn take_role(registry: &mut Registry, key: &[u8], value: &[u8]) -> Option<()> {
    let (name, role): (String, Role) = postcard::from_bytes(value).ok()?;
    Arc::make_mut(&mut registry.users).restore_role(name, role);
    (key.len() == 4).then_some(())
}

/// Writes `roles`. A name is not part of the key, since it may be longer than a key can be.
pub(super) fn give_roles(registry: &Registry, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    give_numbered(registry.users.roles(), rows)
}

/// Reads a row of `users`.
pub(super) fn take_user(registry: &mut Registry, key: &[u8], value: &[u8]) -> Option<()> {
    let (name, user): (String, User) = postcard::from_bytes(value).ok()?;
    Arc::make_mut(&mut registry.users).restore_user(name, user);
    (key.len() == 4).then_some(())
}

/// Writes `users`.
pub(super) fn give_users(registry: &Registry, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    give_numbered(registry.users.users(), rows)
}

/// Reads the row of `auth`.
pub(super) fn take_auth(registry: &mut Registry, key: &[u8], value: &[u8]) -> Option<()> {
    let state: State = postcard::from_bytes(value).ok()?;
    Arc::make_mut(&mut registry.users).restore_state(state);
    (key == AUTH).then_some(())
}

/// Writes `auth`.
pub(super) fn give_auth(registry: &Registry, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    rows(AUTH, &encoded(registry.users.state())?)
}

/// The same if what it was is lost: authentication is on, so that nobody gets in who must not.
pub(super) fn give_lost_auth(rows: &mut Rows<'_>) -> Result<(), StoreError> {
    rows(AUTH, &encoded(&State { enabled: true, ..State::default() })?)
}

/// The key of the only row of `downgrade`.
const TARGET: &[u8] = b"target";

/// Reads the row of `downgrade`.
pub(super) fn take_downgrade(registry: &mut Registry, key: &[u8], value: &[u8]) -> Option<()> {
    registry.downgrade = Some(postcard::from_bytes(value).ok()?);
    (key == TARGET).then_some(())
}

/// Writes `downgrade`.
pub(super) fn give_downgrade(registry: &Registry, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    registry.downgrade.iter().try_for_each(|target| rows(TARGET, &encoded(target)?))
}

fn give_numbered(items: impl Iterator<Item = impl Serialize>, rows: &mut Rows<'_>) -> Result<(), StoreError> {
    (0u32..).zip(items).try_for_each(|(number, item)| rows(&number.to_be_bytes(), &encoded(&item)?))
}

fn encoded(row: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(row).map_err(|error| StoreError::Damaged(format!("encoding a row: {error}")))
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
