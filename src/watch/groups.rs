//! Watchers are grouped by their interest, so that a thousand watchers of one prefix cost one match.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::index::{GroupId, Index};
use super::order::WatchKey;
use super::run::{Interest, Part, Run};
use super::shared::Shared;
use crate::model::Event;

/// One watcher of a group.
pub(super) struct Member {
    pub(super) shared: Arc<Shared>,
    pub(super) key: WatchKey,
}

/// What the members of a group get.
pub(super) enum Work {
    /// Events.
    Runs(SmallVec<[Arc<Run>; 1]>),
    /// They read from this revision on in history, which has what the events lack.
    History(i64),
}

struct Group {
    interest: Arc<Interest>,
    members: Vec<Member>,
    /// So many of them are delivered to, the first ones; among them are all that are live. The others read history, and
    /// cost nothing until they go live again.
    live: usize,
    /// What is being delivered.
    work: Option<Work>,
    /// So many have got it, the first ones; zero if nothing is being delivered.
    delivered: usize,
    /// Events of the current revision that the group wants, by index.
    picks: SmallVec<[u32; 8]>,
    /// Parts of the current batch that the group wants.
    parts: SmallVec<[Part; 1]>,
}

impl Group {
    /// Exchanges two members. No inbox may be locked: the new positions are written to theirs.
    fn swap(&mut self, one: usize, other: usize) {
        if one == other {
            return;
        }
        self.members.swap(one, other);
        self.tell_position(one);
        self.tell_position(other);
    }

    /// Delivers to a member, and moves it to those that have it, or to those that are behind.
    fn pass(&mut self, position: usize, work: &Work, deliver: &mut impl FnMut(&Member, &Work) -> bool) {
        if deliver(&self.members[position], work) {
            self.swap(position, self.delivered);
            self.delivered += 1;
        } else {
            self.live -= 1;
            self.swap(position, self.live);
        }
    }

    fn tell_position(&self, position: usize) {
        if let Some(member) = self.members.get(position) {
            member.shared.inbox.lock().set_position(member.key, position as u32);
        }
    }
}

/// All groups, with the index to find them.
#[derive(Default)]
pub(super) struct Groups {
    slots: Vec<Option<Group>>,
    free: Vec<GroupId>,
    by_interest: HashMap<Arc<Interest>, GroupId>,
    index: Index,
    members: usize,
    /// Groups with picks of the current revision.
    picked: Vec<GroupId>,
    /// Groups with parts of the current batch.
    touched: Vec<GroupId>,
}

impl Groups {
    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_interest.len()
    }

    pub(super) fn members(&self) -> usize {
        self.members
    }

    /// The group of an interest, and the interest as the group shares it. A new group must be joined at once, or it stays
    /// for ever.
    pub(super) fn get_or_insert(&mut self, interest: Arc<Interest>) -> (GroupId, Arc<Interest>) {
        if let Some((shared, group)) = self.by_interest.get_key_value(&interest) {
            return (*group, shared.clone());
        }
        let group = Group {
            interest: interest.clone(),
            members: Vec::new(),
            live: 0,
            work: None,
            delivered: 0,
            picks: SmallVec::new(),
            parts: SmallVec::new(),
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = Some(group);
                id
            }
            None => {
                self.slots.push(Some(group));
                (self.slots.len() - 1) as GroupId
            }
        };
        self.index.insert(&interest.range, id);
        self.by_interest.insert(interest.clone(), id);
        (id, interest)
    }

    /// The members that are delivered to, of all groups.
    pub(super) fn live(&self) -> usize {
        self.slots.iter().flatten().map(|group| group.live).sum()
    }

    /// Adds a member. No inbox may be locked: its position is written to its own, and that of another one may change.
    pub(super) fn join(&mut self, id: GroupId, member: Member) {
        let Some(group) = self.slots[id as usize].as_mut() else { return };
        group.members.push(member);
        self.members += 1;
        let last = group.members.len() - 1;
        group.tell_position(last);
        group.swap(group.live, last);
        group.live += 1;
    }

    /// Delivers to a member again, which has gone live: it has what is being delivered from history. No inbox may be
    /// locked.
    pub(super) fn revive(&mut self, id: GroupId, position: u32) {
        let Some(group) = self.slots[id as usize].as_mut() else { return };
        let mut position = position as usize;
        if position >= group.live {
            group.swap(group.live, position);
            position = group.live;
            group.live += 1;
        }
        if group.work.is_some() && position >= group.delivered {
            group.swap(group.delivered, position);
            group.delivered += 1;
        }
    }

    /// Removes a member, and the group with its last member. No inbox may be locked: members that move into the gap get
    /// their new positions written to theirs.
    pub(super) fn leave(&mut self, id: GroupId, position: u32) {
        let Some(group) = self.slots[id as usize].as_mut() else { return };
        let mut gap = position as usize;
        if gap < group.delivered {
            group.delivered -= 1;
            group.swap(gap, group.delivered);
            gap = group.delivered;
        }
        if gap < group.live {
            group.live -= 1;
            group.swap(gap, group.live);
            gap = group.live;
        }
        group.members.swap_remove(gap);
        self.members -= 1;
        group.tell_position(gap);
        if group.members.is_empty() {
            self.index.remove(&group.interest.range, id);
            self.by_interest.remove(&group.interest);
            self.slots[id as usize] = None;
            self.free.push(id);
        }
    }

    /// Notes event `index` of the current revision with every group that wants it.
    pub(super) fn pick(&mut self, index: u32, event: &Event) {
        let (slots, picked) = (&mut self.slots, &mut self.picked);
        self.index.matching(&event.kv.key, |id| {
            if let Some(group) = slots[id as usize].as_mut()
                && group.interest.want.admits(event.kind)
            {
                if group.picks.is_empty() {
                    picked.push(id);
                }
                group.picks.push(index);
            }
        });
    }

    /// Ends a revision: `part` turns a group's picks into what its watchers get.
    pub(super) fn finish_revision(&mut self, mut part: impl FnMut(&[u32]) -> Part) {
        for id in self.picked.drain(..) {
            if let Some(group) = self.slots[id as usize].as_mut() {
                if group.parts.is_empty() {
                    self.touched.push(id);
                }
                group.parts.push(part(&group.picks));
                group.picks.clear();
            }
        }
    }

    /// The groups that the current batch concerns.
    pub(super) fn take_touched(&mut self) -> Vec<GroupId> {
        std::mem::take(&mut self.touched)
    }

    /// What was collected for a group, and whether it wants `prev_kv`.
    pub(super) fn take_parts(&mut self, id: GroupId) -> (SmallVec<[Part; 1]>, bool) {
        match self.slots[id as usize].as_mut() {
            Some(group) => (std::mem::take(&mut group.parts), group.interest.want.prev_kv),
            None => (SmallVec::new(), false),
        }
    }

    /// Begins to deliver to a group.
    pub(super) fn begin(&mut self, id: GroupId, work: Work) {
        if let Some(group) = self.slots[id as usize].as_mut() {
            group.work = Some(work);
            group.delivered = 0;
        }
    }

    /// Delivers to at most so many members of a group; `deliver` says whether a member is live after it. Returns to how
    /// many, and whether all have got it.
    pub(super) fn deliver(
        &mut self,
        id: GroupId,
        most: usize,
        mut deliver: impl FnMut(&Member, &Work) -> bool,
    ) -> (usize, bool) {
        let Some(group) = self.slots[id as usize].as_mut() else { return (0, true) };
        let Some(work) = group.work.take() else { return (0, true) };
        let mut count = 0;
        while group.delivered < group.live && count < most {
            count += 1;
            group.pass(group.delivered, &work, &mut deliver);
        }
        let is_done = group.delivered >= group.live;
        if is_done {
            group.delivered = 0;
        } else {
            group.work = Some(work);
        }
        (count, is_done)
    }

    /// Delivers to one member now, if it has not got what is being delivered to its group. No inbox may be locked.
    pub(super) fn deliver_to(
        &mut self,
        id: GroupId,
        position: u32,
        mut deliver: impl FnMut(&Member, &Work) -> bool,
    ) {
        let Some(group) = self.slots[id as usize].as_mut() else { return };
        let position = position as usize;
        if let Some(work) = group.work.take() {
            if (group.delivered..group.live).contains(&position) {
                group.pass(position, &work, &mut deliver);
            }
            group.work = Some(work);
        }
    }

    /// Every member of every group.
    pub(super) fn every_member(&self) -> impl Iterator<Item = &Member> {
        self.slots.iter().flatten().flat_map(|group| &group.members)
    }
}
