//! Random callers do random things while users and roles change, on two members: one applies the log, the other also
//! crashes and takes over snapshots. Their answers and their final states must be the same. A failure prints its seed;
//! `KVD_SEED=N cargo test --lib store::users_test` replays it.

use std::collections::BTreeMap;

use super::model_test::random::Random;
use super::tests::manual;
use super::*;
use crate::auth::Users;
use crate::model::{
    Alarm, AlarmKind, AuthChange, Caller, Command, Compare, CompareOp, CompareTarget, Delete, KeyRange,
    LogPosition, MemberId, Op, PasswordHash, Permission, PermissionKind, Proposal, Put, RangeEnd, RangeQuery,
    Refusal, Reply, Stamp, TokenKey, Txn,
};

const COMMANDS: usize = 400;
const USERS: [&str; 5] = ["root", "ann", "bob", "eve", "gone"];
const ROLES: [&str; 4] = ["root", "r1", "r2", "r3"];
const KEYS: [&str; 6] = ["a", "aa", "b", "c", "d", "e"];

struct Run {
    random: Random,
    dirs: Vec<tempfile::TempDir>,
    members: [Store; 2],
    log: Vec<Proposal>,
    replies: Vec<Reply>,
}

fn options(member: usize) -> Options {
    match member {
        0 => manual(),
        _ => Options {
            checkpoint: CheckpointPolicy::Stepped { operations: 1 << 20 },
            quota: Some(1),
            ..manual()
        },
    }
}

fn open(member: usize) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options(member)).unwrap();
    (dir, store)
}

impl Run {
    fn new(seed: u64) -> Self {
        let ((one, first), (two, second)) = (open(0), open(1));
        let members = [first, second];
        Self {
            random: Random::new(seed),
            dirs: vec![one, two],
            members,
            log: Vec::new(),
            replies: Vec::new(),
        }
    }

    fn pick<'t>(&mut self, among: &[&'t str]) -> &'t str {
        among[self.random.below(among.len())]
    }

    /// Applies the rest of the log to a member; its answers are those of the first time.
    fn catch_up(&mut self, member: usize) {
        let store = &self.members[member];
        let from = store.applied().map_or(0, |applied| applied.index as usize + 1);
        for (index, proposal) in self.log.iter().enumerate().skip(from) {
            let position = LogPosition { term: 1, leader: 1, index: index as u64 };
            let reply = store.apply(position, std::slice::from_ref(proposal)).unwrap().remove(0);
            match self.replies.get(index) {
                Some(known) => assert_eq!(reply, *known, "{proposal:?}"),
                None => self.replies.push(reply),
            }
        }
    }

    fn upkeep(&mut self) {
        match self.random.below(12) {
            0 => self.members[0].checkpoint().unwrap(),
            1 => self.members[1].checkpoint().unwrap(),
            2 => {
                let member = self.random.below(2);
                // LMDB has one environment of a directory in a process.
                let (_empty, other) = open(member);
                drop(std::mem::replace(&mut self.members[member], other));
                self.members[member] = Store::open(self.dirs[member].path(), options(member)).unwrap();
            }
            3 => {
                self.members[0].checkpoint().unwrap();
                let snapshot = self.members[0].snapshot().unwrap();
                let (dir, store) = open(1);
                store.restore(snapshot).unwrap();
                self.members[1] = store;
                self.dirs[1] = dir;
            }
            _ => {}
        }
    }

    fn any_range(&mut self) -> KeyRange {
        let start = self.pick(&KEYS);
        let end = match self.random.below(4) {
            0 => RangeEnd::Open,
            1 => RangeEnd::Before(self.pick(&KEYS).into()),
            _ => RangeEnd::Single,
        };
        KeyRange { start: start.into(), end }
    }

    fn any_put(&mut self) -> Put {
        let lease = if self.random.below(3) == 0 { self.random.between(1, 3) } else { 0 };
        let prev_kv = self.random.below(4) == 0;
        Put { key: self.pick(&KEYS).into(), value: "v".into(), lease, prev_kv, ..Put::default() }
    }

    fn any_txn(&mut self, depth: usize) -> Txn {
        let mut txn = Txn::default();
        if self.random.below(2) == 0 {
            let target = CompareTarget::Version(self.random.between(0, 2));
            txn.compares.push(Compare { range: self.any_range(), op: CompareOp::Less, target });
        }
        for _ in 0..self.random.below(3) {
            let op = match self.random.below(5) {
                0 if depth < 2 => Op::Txn(self.any_txn(depth + 1)),
                0 | 1 => Op::Range(RangeQuery::current(self.any_range())),
                2 => Op::Delete(Delete { range: self.any_range(), prev_kv: self.random.below(2) == 0 }),
                _ => Op::Put(self.any_put()),
            };
            if self.random.below(3) == 0 { txn.failure.push(op) } else { txn.success.push(op) }
        }
        txn
    }

    fn any_change(&mut self) -> AuthChange {
        let (user, role) = (self.pick(&USERS).to_string(), self.pick(&ROLES).to_string());
        match self.random.below(20) {
            0 => AuthChange::Disable,
            1 | 2 => AuthChange::Enable,
            3 | 4 => AuthChange::UserAdd { name: user, hash: Some(PasswordHash::new("hash")) },
            5 => AuthChange::UserDelete { name: user },
            6 => AuthChange::UserPassword { name: user, hash: PasswordHash::new("another") },
            7..=9 => AuthChange::UserGrantRole { user, role },
            10 => AuthChange::UserRevokeRole { user, role },
            11 => AuthChange::RoleAdd { name: role },
            12 => AuthChange::RoleDelete { name: role },
            13 => AuthChange::RoleRevoke { role, range: self.any_range() },
            14 => {
                let id = self.random.below(100) as u64;
                let keys = self.members[0].users().token_keys().last().map(|key| key.id);
                AuthChange::TokenKey { key: TokenKey { id, secret: [id as u8; 32] }, after: keys }
            }
            _ => {
                let kinds = [PermissionKind::Read, PermissionKind::Write, PermissionKind::ReadWrite];
                let kind = kinds[self.random.below(3)];
                let permission = Permission { kind, range: self.any_range() };
                AuthChange::RoleGrant { role, permission: Some(permission) }
            }
        }
    }

    fn any_command(&mut self) -> Command {
        let alarm = Alarm { member: MemberId(1), kind: AlarmKind::NoSpace };
        match self.random.below(24) {
            0..=8 => Command::Auth(self.any_change()),
            9..=12 => Command::Put(self.any_put()),
            13 | 14 => {
                Command::Delete(Delete { range: self.any_range(), prev_kv: self.random.below(2) == 0 })
            }
            15..=18 => Command::Txn(self.any_txn(0)),
            19 => Command::LeaseGrant { id: self.random.between(1, 3), ttl: 10 },
            20 => Command::LeaseRevoke { id: self.random.between(1, 3) },
            21 => Command::Compact { revision: self.random.between(1, 30) },
            22 if self.random.below(4) == 0 => Command::AlarmRaise(alarm),
            _ => Command::AlarmClear(alarm),
        }
    }

    fn any_caller(&mut self) -> Caller {
        let revision = self.members[0].users().revision();
        match self.random.below(10) {
            0 => Caller::Anonymous,
            1 => Caller::System,
            other => {
                let name = if other < 5 { "root" } else { self.pick(&USERS) };
                let age = if self.random.below(6) == 0 { 1 } else { 0 };
                Caller::user(name, revision.saturating_sub(age))
            }
        }
    }

    fn go(mut self, seen: &mut BTreeMap<String, usize>) {
        let beginning = [
            AuthChange::UserAdd { name: "root".into(), hash: None },
            AuthChange::UserGrantRole { user: "root".into(), role: "root".into() },
            AuthChange::Enable,
        ];
        let beginning = beginning.into_iter().map(|change| (Caller::System, Command::Auth(change)));
        let mut beginning: Vec<_> = beginning.rev().collect();
        for _ in 0..COMMANDS {
            let (caller, command) =
                beginning.pop().unwrap_or_else(|| (self.any_caller(), self.any_command()));
            self.log.push(Proposal { stamp: Stamp::default(), caller, command });
            self.upkeep();
            self.catch_up(0);
            if self.random.below(3) == 0 {
                self.catch_up(1);
            }
        }
        self.catch_up(1);
        let [one, two] = &self.members;
        assert_eq!(one.users(), two.users());
        assert_eq!(Users::clone(&one.users()), rebuilt(&one.users()), "rights follow from roles");
        let figures = |store: &Store| {
            store.checkpoint().unwrap();
            (store.revision(), store.hash_kv(0).unwrap().hash, store.leases().unwrap(), store.alarms())
        };
        assert_eq!(figures(one), figures(two));
        assert!(one.digest().is_some() && one.digest() == two.digest());
        for reply in &self.replies {
            let what = reply.refusal().map_or("done".to_string(), |refusal| format!("{refusal:?}"));
            *seen.entry(what).or_default() += 1;
        }
    }
}

/// The same users, put together as at a start.
fn rebuilt(users: &Users) -> Users {
    let mut again = Users::default();
    users.roles().for_each(|(name, role)| again.restore_role(name.into(), role.clone()));
    users.users().for_each(|(name, user)| again.restore_user(name.into(), user.clone()));
    again.restore_state(users.state().clone());
    again
}

#[test]
fn members_decide_alike_by_log_restart_and_snapshot() {
    let only = std::env::var("KVD_SEED").ok().map(|seed| seed.parse().expect("KVD_SEED is a number"));
    let mut seen = BTreeMap::new();
    for seed in only.map_or(1..=6, |seed| seed..=seed) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Run::new(seed).go(&mut seen)));
        if let Err(panic) = outcome {
            eprintln!("replay with: KVD_SEED={seed} cargo test --lib store::users_test");
            std::panic::resume_unwind(panic);
        }
    }
    let expected = [
        Refusal::PermissionDenied,
        Refusal::UserEmpty,
        Refusal::UserNotFound,
        Refusal::AuthOldRevision,
        Refusal::NoSpace,
        Refusal::InvalidAuthChange,
        Refusal::RoleNotFound,
        Refusal::RoleNotGranted,
        Refusal::PermissionNotGranted,
    ];
    for refusal in expected {
        assert!(only.is_some() || seen.contains_key(&format!("{refusal:?}")), "never {refusal:?}: {seen:?}");
    }
}
