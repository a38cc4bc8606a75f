//! Users and roles (etcd semantics section 9): their changes, and the permissions of whoever proposed a command. A
//! permission is checked against the users before the command: they may have changed since the caller was
//! authenticated.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::txn::check_depth;
use super::{Applying, Stop};
use crate::auth::{Need, Users};
use crate::model::{
    AuthChange, Caller, Command, Delete, KeyRange, LeaseId, Op, Planted, Proposal, Put, Refusal, Reply, Txn,
    is_planted,
};

impl Applying<'_> {
    pub(super) fn change_users(&mut self, change: &AuthChange) -> Result<Reply, Stop> {
        let mut users = Users::clone(&self.registry.users);
        users.change(change)?;
        // An unchanged state is not replaced: whoever observes users is notified of changes only.
        if users != *self.registry.users {
            Arc::make_mut(&mut self.registry).users = Arc::new(users);
        }
        Ok(self.done())
    }

    /// Refuses a command that its caller may not even propose. etcd checks this before the command is in the log, so it
    /// comes before the alarms.
    pub(super) fn admission_refusal(&self, proposal: &Proposal) -> Option<Refusal> {
        let users = &self.registry.users;
        if !users.is_enabled() {
            return None;
        }
        users.check(&proposal.caller, need_of(&proposal.command)?).err()
    }

    /// Checks the permissions on all keys that a command touches, in both branches of a transaction.
    pub(super) fn check_keys(&self, proposal: &Proposal) -> Result<(), Stop> {
        let is_checked = self.registry.users.is_enabled() && !is_planted(Planted::UncheckedUsers);
        if !is_checked || proposal.caller == Caller::System {
            return Ok(());
        }
        let mut check = Check {
            applying: self,
            users: &self.registry.users,
            caller: &proposal.caller,
            leases: BTreeSet::new(),
        };
        match &proposal.command {
            Command::Put(put) => check.put(put),
            Command::Delete(delete) => check.delete(delete),
            Command::Txn(txn) => {
                check_depth(txn, 0)?;
                check.txn(txn)
            }
            Command::LeaseRevoke { id } => check.lease(*id),
            _ => Ok(()),
        }
    }
}

/// What a caller needs to propose a command, except for permissions on keys.
fn need_of(command: &Command) -> Option<Need<'static>> {
    match command {
        Command::Put(_) | Command::Delete(_) | Command::Txn(_) => None,
        Command::LeaseGrant { .. } | Command::LeaseRevoke { .. } | Command::AlarmList { .. } => {
            Some(Need::User)
        }
        Command::Compact { .. }
        | Command::AlarmRaise(_)
        | Command::AlarmClear(_)
        | Command::LeaseCheckpoint { .. }
        | Command::ClusterVersion(_)
        | Command::Auth(_)
        // v2's tree knows nothing of v3's users: while there are any, it is for those who may do everything.
        | Command::Tree(_)
        | Command::Downgrade(_) => Some(Need::Root),
        // Raft's configuration is in force before the entry is applied: the leader checks before it is appended.
        Command::Member(_) => None,
    }
}

/// One command's check.
struct Check<'a, 's> {
    applying: &'a Applying<'s>,
    users: &'a Users,
    caller: &'a Caller,
    /// Leases that were checked already.
    leases: BTreeSet<LeaseId>,
}

impl Check<'_, '_> {
    fn read(&self, range: &KeyRange) -> Result<(), Stop> {
        Ok(self.users.check(self.caller, Need::Read(range))?)
    }

    fn write(&self, range: &KeyRange) -> Result<(), Stop> {
        Ok(self.users.check(self.caller, Need::Write(range))?)
    }

    fn put(&mut self, put: &Put) -> Result<(), Stop> {
        let key = KeyRange::single(put.key.clone());
        self.write(&key)?;
        self.lease(put.lease)?;
        if put.prev_kv { self.read(&key) } else { Ok(()) }
    }

    fn delete(&self, delete: &Delete) -> Result<(), Stop> {
        self.write(&delete.range)?;
        if delete.prev_kv { self.read(&delete.range) } else { Ok(()) }
    }

    fn txn(&mut self, txn: &Txn) -> Result<(), Stop> {
        for compare in &txn.compares {
            self.read(&compare.range)?;
        }
        for op in txn.success.iter().chain(&txn.failure) {
            match op {
                Op::Range(query) => self.read(&query.range)?,
                Op::Put(put) => self.put(put)?,
                Op::Delete(delete) => self.delete(delete)?,
                Op::Txn(nested) => self.txn(nested)?,
            }
        }
        Ok(())
    }

    /// Whoever attaches a key to a lease, or revokes it, may write all keys that are attached to it: they end together.
    fn lease(&mut self, id: LeaseId) -> Result<(), Stop> {
        if id == 0 || self.users.allows_all(self.caller) || !self.leases.insert(id) {
            return Ok(());
        }
        if self.applying.reader.lease(id)?.is_none() {
            return Ok(());
        }
        for key in self.applying.reader.lease_keys(id)? {
            self.write(&KeyRange::single(key))?;
        }
        Ok(())
    }
}
