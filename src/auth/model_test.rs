//! Random changes and checks against a simple model, which asks for each key by itself and remembers for each token
//! whether something has voided it. A failure prints its seed; `KVD_SEED=N cargo test --lib auth::model_test` replays it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Need, Users};
use crate::model::{
    AuthChange, Caller, KeyRange, PasswordHash, Permission, PermissionKind, RangeEnd, Refusal,
};

const STEPS: usize = 400;
const USERS: [&str; 4] = ["root", "ann", "bob", "eve"];
const ROLES: [&str; 4] = ["root", "r1", "r2", "r3"];

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }
}

/// The ends of ranges: up to two letters.
fn ends() -> Vec<Bytes> {
    let letters = [0u8, b'a', b'b'];
    let short = letters.iter().map(|one| vec![*one]);
    let long = letters.iter().flat_map(|one| letters.iter().map(|two| vec![*one, *two]));
    short.chain(long).map(Bytes::from).collect()
}

/// Every key at which something can begin or end, and one after all of them: what is true for these is true for all.
fn keys() -> Vec<Bytes> {
    let after = |key: &Bytes| Bytes::from([key, &b"\0"[..]].concat());
    let mut keys: Vec<Bytes> = ends().iter().flat_map(|key| [key.clone(), after(key)]).collect();
    keys.push(Bytes::from_static(b"\xff\xff\xff"));
    keys
}

#[derive(Default)]
struct Model {
    enabled: bool,
    revision: u64,
    users: BTreeMap<String, BTreeSet<String>>,
    roles: BTreeMap<String, Vec<Permission>>,
    /// Tokens: user, revision, and whether it still is valid.
    tokens: Vec<(String, u64, bool)>,
}

impl Model {
    fn void(&mut self, which: impl Fn(&str) -> bool) {
        self.tokens.iter_mut().filter(|(user, ..)| which(user)).for_each(|(.., valid)| *valid = false);
    }

    /// True if it counts as a change.
    fn change(&mut self, change: &AuthChange) -> Result<bool, Refusal> {
        let protects = |root: bool| self.enabled && root;
        match change {
            AuthChange::Enable => {
                if !self.enabled {
                    let roles = self.users.get("root").ok_or(Refusal::RootUserMissing)?;
                    self.enabled = roles.contains("root");
                    return if self.enabled { Ok(false) } else { Err(Refusal::RootRoleMissing) };
                }
                Ok(false)
            }
            AuthChange::Disable => {
                let was = std::mem::take(&mut self.enabled);
                if was {
                    self.void(|_| true);
                }
                Ok(was)
            }
            AuthChange::UserAdd { name, .. } => {
                if self.users.contains_key(name) {
                    return Err(Refusal::UserExists);
                }
                self.users.insert(name.clone(), BTreeSet::new());
                Ok(true)
            }
            AuthChange::UserDelete { name } => {
                if protects(name == "root") {
                    return Err(Refusal::InvalidAuthChange);
                }
                self.users.remove(name).ok_or(Refusal::UserNotFound)?;
                self.void(|user| user == name);
                Ok(true)
            }
            AuthChange::UserPassword { name, .. } => {
                self.users.get(name).ok_or(Refusal::UserNotFound)?;
                self.void(|user| user == name);
                Ok(true)
            }
            AuthChange::UserGrantRole { user, role } => {
                let known = role == "root" || self.roles.contains_key(role);
                let roles = self.users.get_mut(user).ok_or(Refusal::UserNotFound)?;
                if known { Ok(roles.insert(role.clone())) } else { Err(Refusal::RoleNotFound) }
            }
            AuthChange::UserRevokeRole { user, role } => {
                if protects(user == "root" && role == "root") {
                    return Err(Refusal::InvalidAuthChange);
                }
                let roles = self.users.get_mut(user).ok_or(Refusal::UserNotFound)?;
                if roles.remove(role) { Ok(true) } else { Err(Refusal::RoleNotGranted) }
            }
            AuthChange::RoleAdd { name } => {
                if self.roles.contains_key(name) {
                    return Err(Refusal::RoleExists);
                }
                self.roles.insert(name.clone(), Vec::new());
                Ok(true)
            }
            AuthChange::RoleDelete { name } => {
                if protects(name == "root") {
                    return Err(Refusal::InvalidAuthChange);
                }
                self.roles.remove(name).ok_or(Refusal::RoleNotFound)?;
                self.users.values_mut().for_each(|roles| _ = roles.remove(name));
                Ok(true)
            }
            AuthChange::RoleGrant { role, permission } => {
                let permission = permission.clone().ok_or(Refusal::PermissionNotGiven)?;
                if permission.range.is_empty() {
                    return Err(Refusal::InvalidAuthChange);
                }
                let all = self.roles.get_mut(role).ok_or(Refusal::RoleNotFound)?;
                match all.iter_mut().find(|other| other.range.start == permission.range.start) {
                    Some(first) if first.range == permission.range => first.kind = permission.kind,
                    _ => {
                        all.push(permission);
                        all.sort_by(|one, other| one.range.start.cmp(&other.range.start));
                    }
                }
                Ok(true)
            }
            AuthChange::RoleRevoke { role, range } => {
                let all = self.roles.get_mut(role).ok_or(Refusal::RoleNotFound)?;
                let before = all.len();
                all.retain(|permission| permission.range != *range);
                if all.len() < before { Ok(true) } else { Err(Refusal::PermissionNotGranted) }
            }
            AuthChange::TokenKey { .. } => Ok(false),
        }
    }

    fn is_root(&self, name: &str) -> Result<(), Refusal> {
        let roles = self.users.get(name).ok_or(Refusal::UserNotFound)?;
        if roles.contains("root") { Ok(()) } else { Err(Refusal::PermissionDenied) }
    }

    /// Asks for each key of the range by itself.
    fn permits(&self, name: &str, range: &KeyRange, reads: bool) -> bool {
        let Some(roles) = self.users.get(name) else { return false };
        if roles.contains("root") {
            return true;
        }
        let all: Vec<&Permission> = roles.iter().filter_map(|role| self.roles.get(role)).flatten().collect();
        let allowed = |key: &Bytes| {
            all.iter().any(|permission| {
                let kind = permission.kind;
                permission.range.contains(key) && if reads { kind.reads() } else { kind.writes() }
            })
        };
        // As in etcd an empty range counts as its first key.
        let first = range.is_empty().then(|| range.start.clone());
        keys().iter().filter(|key| range.contains(key)).chain(&first).all(allowed)
    }

    fn check(&self, caller: &Caller, need: Need<'_>) -> Result<(), Refusal> {
        if !self.enabled {
            return Ok(());
        }
        let (name, revision) = match caller {
            Caller::System => return Ok(()),
            Caller::Anonymous if need == Need::KnowUser("") => return Ok(()),
            Caller::Anonymous => return Err(Refusal::UserEmpty),
            Caller::User { name, auth_revision, .. } => (&**name, *auth_revision),
        };
        let keys = |range, reads| match self.permits(name, range, reads) {
            _ if revision < self.revision => Err(Refusal::AuthOldRevision),
            true => Ok(()),
            false => Err(Refusal::PermissionDenied),
        };
        let or_own =
            |own: bool| self.is_root(name).or_else(|refusal| if own { Ok(()) } else { Err(refusal) });
        match need {
            Need::User => Ok(()),
            Need::Read(range) => keys(range, true),
            Need::Write(range) => keys(range, false),
            Need::Root => self.is_root(name),
            Need::KnowUser(asked) => or_own(asked == name),
            Need::KnowRole(asked) => or_own(self.users.get(name).is_some_and(|roles| roles.contains(asked))),
        }
    }
}

fn any_range(random: &mut Random) -> KeyRange {
    let start = random.pick(&ends());
    let end = match random.below(6) {
        0 | 1 => RangeEnd::Single,
        2 => RangeEnd::Open,
        _ => RangeEnd::Before(random.pick(&ends())),
    };
    KeyRange { start, end }
}

fn any_change(random: &mut Random) -> AuthChange {
    let (user, role) = (random.pick(&USERS).to_string(), random.pick(&ROLES).to_string());
    match random.below(20) {
        0 => AuthChange::Disable,
        1 => AuthChange::Enable,
        2..=4 => AuthChange::UserAdd { name: user, hash: Some(PasswordHash::new("hash")) },
        5 => AuthChange::UserDelete { name: user },
        6 => AuthChange::UserPassword { name: user, hash: PasswordHash::new("another") },
        7..=9 => AuthChange::UserGrantRole { user, role },
        10 => AuthChange::UserRevokeRole { user, role },
        11 | 12 => AuthChange::RoleAdd { name: role },
        13 => AuthChange::RoleDelete { name: role },
        14 => AuthChange::RoleRevoke { role, range: any_range(random) },
        15 => AuthChange::RoleGrant { role, permission: None },
        _ => {
            let kind = random.pick(&[PermissionKind::Read, PermissionKind::Write, PermissionKind::ReadWrite]);
            AuthChange::RoleGrant { role, permission: Some(Permission { kind, range: any_range(random) }) }
        }
    }
}

/// Returns how many checks were permitted and refused.
fn run(seed: u64) -> [usize; 2] {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut users, mut model) = (Users::default(), Model { revision: 1, ..Model::default() });
    let mut outcomes = [0, 0];
    for step in 0..STEPS {
        let change = match step {
            0 => AuthChange::UserAdd { name: "root".into(), hash: None },
            1 => AuthChange::UserGrantRole { user: "root".into(), role: "root".into() },
            _ => any_change(&mut random),
        };
        let before = users.clone();
        let expected = model.change(&change).map(|counts| model.revision += u64::from(counts));
        let done = users.change(&change);
        assert_eq!(done, expected, "step {step}, {change:?}");
        assert!(
            done.is_ok() || users == before,
            "step {step}: refused, but {change:?} has changed something"
        );
        assert_eq!((users.is_enabled(), users.revision()), (model.enabled, model.revision), "{change:?}");
        for name in USERS {
            let (range, role) = (any_range(&mut random), random.pick(&ROLES));
            let age = random.below(3) as u64 / 2;
            let caller = match random.below(8) {
                0 => Caller::Anonymous,
                1 => Caller::System,
                _ => Caller::user(name, model.revision - age.min(model.revision)),
            };
            let other = random.pick(&USERS);
            for need in [
                Need::User,
                Need::Read(&range),
                Need::Write(&range),
                Need::Root,
                Need::KnowUser(other),
                Need::KnowRole(role),
            ] {
                let expected = model.check(&caller, need);
                assert_eq!(users.check(&caller, need), expected, "step {step}, {caller:?}, {need:?}");
                outcomes[usize::from(expected.is_err())] += usize::from(model.enabled);
            }
            if model.enabled && model.users.contains_key(name) && random.below(4) == 0 {
                model.tokens.push((name.into(), model.revision, true));
            }
        }
        for (name, revision, valid) in &model.tokens {
            assert_eq!(users.holds_token(name, *revision), *valid, "step {step}: {name} at {revision}");
            let caller = Caller::user(name.as_str(), *revision);
            let renewed = match (model.enabled, valid) {
                (false, _) => Ok(caller.clone()),
                (true, false) => Err(Refusal::InvalidToken),
                (true, true) => Ok(Caller::user(name.as_str(), model.revision)),
            };
            assert_eq!(users.renewed(&caller), renewed, "step {step}: {name} at {revision}");
        }
    }
    outcomes
}

#[test]
fn changes_and_checks_agree_with_a_simple_model() {
    let only = std::env::var("KVD_SEED").ok().map(|seed| seed.parse().expect("KVD_SEED is a number"));
    let mut outcomes = [0, 0];
    for seed in only.map_or(1..=30, |seed| seed..=seed) {
        match std::panic::catch_unwind(|| run(seed)) {
            Ok([yes, no]) => outcomes = [outcomes[0] + yes, outcomes[1] + no],
            Err(panic) => {
                eprintln!("replay with: KVD_SEED={seed} cargo test --lib auth::model_test");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(only.is_some() || outcomes.iter().all(|count| *count > 1000), "{outcomes:?}");
}
