//! Users: roles are given and taken while their users act at any member, with tokens of now and of before; authentication
//! is enabled in the middle of the run, and sometimes disabled. Whoever has no right is refused from the moment at which
//! that was acknowledged, by every member; whoever has it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kvd::auth::Need;
use kvd::model::{
    AuthChange, Caller, Command, Compare, CompareOp, CompareTarget, Delete, KeyRange, Op, Permission,
    PermissionKind, Put, Refusal, Txn, prefix_end,
};
use tokio::sync::watch as signal;

use super::dice::Dice;
use super::world::{Process, World};

/// Users with a role of their own.
pub const USERS: usize = 2;

/// Whether authentication is known to be on: how often that has changed, an odd number while it is. Clones share it.
#[derive(Clone, Default)]
pub struct Enabled(Arc<AtomicU64>);

impl Enabled {
    fn get(&self) -> bool {
        self.period() % 2 == 1
    }

    /// Another number whenever it was off in between.
    fn period(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, on: bool) {
        if self.get() != on {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One of the users, with what is known about it.
struct Actor {
    world: World,
    dice: Dice,
    number: usize,
    /// Counts up if the outcome of a change is not known: then another user is taken.
    generation: usize,
    /// Whether it has its role; `None` before the first change.
    granted: Option<bool>,
}

/// The keys of all users here.
fn keys() -> KeyRange {
    KeyRange { start: "user/".into(), end: prefix_end(b"user/") }
}

/// Gives and takes roles, and acts as a user, until it is stopped. The first one also enables authentication.
pub async fn run(world: World, dice: Dice, number: usize, enabled: Enabled, stop: signal::Receiver<bool>) {
    let mut actor = Actor { world, dice, number, generation: 0, granted: None };
    // In milliseconds.
    let begins = actor.dice.within(500, 4000) as u64;
    let mut decided = true;
    for step in 0.. {
        if *stop.borrow() {
            break;
        }
        tokio::time::sleep(Duration::from_micros(actor.dice.within(0, 120_000) as u64)).await;
        let Some(process) = actor.any_process() else { continue };
        if number == 0 && decided && actor.world.journal().now_ms() > begins {
            decided = actor.switch(&process, &enabled, step).await;
        }
        match actor.granted {
            None => actor.begin(&process).await,
            Some(_) if actor.dice.one_in(4) => actor.change_role(&process).await,
            Some(granted) => {
                let before = enabled.period();
                let done = actor.act(&process).await;
                if enabled.get() && enabled.period() == before {
                    actor.judge(&process, granted, done);
                }
            }
        }
    }
}

impl Actor {
    fn name(&self) -> String {
        format!("user-{}-{}", self.number, self.generation)
    }

    fn role(&self) -> String {
        format!("role-{}", self.number)
    }

    fn any_process(&mut self) -> Option<Process> {
        let mut running = self.world.running();
        (!running.is_empty()).then(|| running.swap_remove(self.dice.below(running.len())))
    }

    /// Makes a change; true if it is in force afterwards.
    async fn change(&self, process: &Process, change: AuthChange) -> bool {
        let what = format!("users at {}: {change:?}", process.id);
        let done = process.node.propose(Caller::System, Command::Auth(change));
        let done = process.unless_it_crashes(done).await;
        self.world.journal().note(format!("{what} -> {:?}", done.as_ref().map(|done| done.is_ok())));
        matches!(done, Some(Ok(_) | Err(Refusal::UserExists | Refusal::RoleExists | Refusal::RoleNotGranted)))
    }

    /// Adds the user and its role, which it does not have yet.
    async fn begin(&mut self, process: &Process) {
        let permission = Some(Permission { kind: PermissionKind::ReadWrite, range: keys() });
        let changes = [
            AuthChange::UserAdd { name: "root".into(), hash: None },
            AuthChange::UserGrantRole { user: "root".into(), role: "root".into() },
            AuthChange::RoleAdd { name: self.role() },
            AuthChange::RoleGrant { role: self.role(), permission },
            AuthChange::UserAdd { name: self.name(), hash: None },
        ];
        for change in changes {
            if !self.change(process, change).await {
                return;
            }
        }
        self.granted = Some(false);
    }

    async fn change_role(&mut self, process: &Process) {
        let (user, role, give) = (self.name(), self.role(), self.dice.one_in(2));
        let change = if give {
            AuthChange::UserGrantRole { user, role }
        } else {
            AuthChange::UserRevokeRole { user, role }
        };
        if self.change(process, change).await {
            self.granted = Some(give);
        } else {
            // It may still be made, at any time.
            self.generation += 1;
            self.granted = None;
        }
    }

    /// Enables or disables authentication; false if it may be disabled at any time from now on.
    async fn switch(&mut self, process: &Process, enabled: &Enabled, step: usize) -> bool {
        if !enabled.get() {
            enabled.set(self.change(process, AuthChange::Enable).await);
        } else if step % 30 == 29 {
            enabled.set(false);
            return self.change(process, AuthChange::Disable).await;
        }
        true
    }

    /// Does something that needs the role, in one of many ways.
    async fn act(&mut self, process: &Process) -> Option<Result<(), Refusal>> {
        let present = process.store.users().revision();
        let age = u64::from(self.dice.one_in(4));
        let way = self.dice.below(5);
        let name: Arc<str> = self.name().into();
        let caller = Caller::user(name, present.saturating_sub(age));
        let key = || format!("user/{}", self.number);
        let put = || Put { key: key().into(), value: "by a user".into(), ..Put::default() };
        let delete = || Delete { range: keys(), prev_kv: true };
        let compare = || Compare {
            range: KeyRange::single(key()),
            op: CompareOp::Equal,
            target: CompareTarget::Version(0),
        };
        let nested = Txn { failure: vec![Op::Delete(delete())], ..Txn::default() };
        let command = match way {
            0 => Command::Delete(delete()),
            1 => Command::Txn(Txn { compares: vec![compare()], ..Txn::default() }),
            2 => Command::Txn(Txn { success: vec![Op::Txn(nested)], ..Txn::default() }),
            3 => {
                let read = async {
                    process.node.read_index().await?;
                    process.store.check_now(&caller, Need::Read(&keys()))
                };
                return process.unless_it_crashes(read).await;
            }
            _ => Command::Put(put()),
        };
        let done = process.unless_it_crashes(process.node.propose(caller, command)).await;
        done.map(|done| done.map(drop))
    }

    /// Compares an outcome with what is known, and has been for all of the time.
    fn judge(&self, process: &Process, granted: bool, done: Option<Result<(), Refusal>>) {
        let what = format!("{} at {}, role {granted}: {done:?}", self.name(), process.id);
        self.world.journal().note(&what);
        let is_wrong = match done {
            Some(Ok(())) => !granted,
            Some(Err(Refusal::PermissionDenied)) => granted,
            _ => false,
        };
        if is_wrong {
            self.world.journal().broken(what);
        }
    }
}
