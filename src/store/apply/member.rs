//! The part of membership changes that is decided when they are applied (etcd semantics section 10), and alarms
//! (section 11).

use std::sync::Arc;

use super::{Applying, Stop};
use crate::model::{Alarm, AlarmKind, Member, MemberChange, MemberId, Refusal, Reply, Version};
use crate::store::registry::Registry;
use crate::store::tree::Tree;

impl Applying<'_> {
    pub(super) fn change_member(&mut self, change: &MemberChange) -> Result<Reply, Stop> {
        let registry = Arc::make_mut(&mut self.registry);
        let id = match change {
            MemberChange::Add(member) => add(registry, member)?,
            MemberChange::Remove(id) => remove(registry, *id)?,
            MemberChange::Update { id, peer_urls } => update(registry, *id, peer_urls)?,
            MemberChange::Promote(id) => promote(registry, *id)?,
            MemberChange::Publish { id, name, client_urls } => {
                let member = registry.members.get_mut(id).ok_or(Refusal::MemberNotFound)?;
                member.name.clone_from(name);
                member.client_urls.clone_from(client_urls);
                *id
            }
            MemberChange::Retain { id, epoch } => retain(registry, *id, *epoch)?,
        };
        let member = registry.members.get(&id).cloned();
        Ok(Reply::Members { member, members: registry.members.values().cloned().collect() })
    }

    /// Begins or ends to go back to the version before the cluster's.
    pub(super) fn downgrade(&mut self, target: Option<Version>) -> Result<Reply, Stop> {
        if let Some(target) = target {
            let tree_is_used = self.tree.as_ref().map_or_else(|| self.reader.tree().is_used(), Tree::is_used);
            self.registry.check_downgrade(target, tree_is_used)?;
        }
        if self.registry.downgrade != target {
            Arc::make_mut(&mut self.registry).downgrade = target;
        }
        Ok(self.done())
    }

    pub(super) fn raise(&mut self, alarm: Alarm) -> Reply {
        Arc::make_mut(&mut self.registry).alarms.insert((alarm.kind, alarm.member));
        Reply::Alarms { revision: self.now(), alarms: vec![alarm] }
    }

    pub(super) fn clear(&mut self, alarm: Alarm) -> Reply {
        let cleared = Arc::make_mut(&mut self.registry).alarms.remove(&(alarm.kind, alarm.member));
        Reply::Alarms { revision: self.now(), alarms: if cleared { vec![alarm] } else { Vec::new() } }
    }

    pub(super) fn list_alarms(&self, kind: Option<AlarmKind>) -> Reply {
        Reply::Alarms { revision: self.now(), alarms: self.registry.list_alarms(kind) }
    }
}

fn add(registry: &mut Registry, member: &Member) -> Result<MemberId, Refusal> {
    if registry.removed.contains(&member.id) {
        return Err(Refusal::MemberNotFound);
    }
    if registry.members.contains_key(&member.id) {
        return Err(Refusal::MemberExists);
    }
    if has_url(registry.members.values(), &member.peer_urls) {
        return Err(Refusal::PeerUrlExists);
    }
    registry.members.insert(member.id, member.clone());
    Ok(member.id)
}

fn remove(registry: &mut Registry, id: MemberId) -> Result<MemberId, Refusal> {
    registry.members.remove(&id).ok_or(Refusal::MemberNotFound)?;
    registry.removed.insert(id);
    Ok(id)
}

/// Removes all other members; the one that stays becomes a voter, whatever it was. The epoch never
/// decreases.
fn retain(registry: &mut Registry, id: MemberId, epoch: u64) -> Result<MemberId, Refusal> {
    let mut own = registry.members.remove(&id).ok_or(Refusal::MemberNotFound)?;
    (own.learner, own.pending) = (false, false);
    registry.removed.extend(std::mem::take(&mut registry.members).into_keys());
    registry.alarms.retain(|(_, raised_by)| *raised_by == id);
    registry.members.insert(id, own);
    registry.epoch = registry.epoch.max(epoch);
    Ok(id)
}

fn update(registry: &mut Registry, id: MemberId, peer_urls: &[String]) -> Result<MemberId, Refusal> {
    if !registry.members.contains_key(&id) {
        return Err(Refusal::MemberNotFound);
    }
    if has_url(registry.members.values().filter(|member| member.id != id), peer_urls) {
        return Err(Refusal::PeerUrlExists);
    }
    let member = registry.members.get_mut(&id).ok_or(Refusal::MemberNotFound)?;
    member.peer_urls = peer_urls.to_vec();
    Ok(id)
}

/// A learner becomes a voter, and a pending voter a full voter.
fn promote(registry: &mut Registry, id: MemberId) -> Result<MemberId, Refusal> {
    let member = registry.members.get_mut(&id).ok_or(Refusal::MemberNotFound)?;
    if !member.learner && !member.pending {
        return Err(Refusal::MemberNotLearner);
    }
    member.learner = false;
    member.pending = false;
    Ok(id)
}

fn has_url<'m>(mut members: impl Iterator<Item = &'m Member>, urls: &[String]) -> bool {
    members.any(|member| member.peer_urls.iter().any(|url| urls.contains(url)))
}
