//! What random callers do.

use super::bytes;
use crate::harness::Dice;
use kvd::api::proto::etcdserverpb as pb;
use kvd::api::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use kvd::api::proto::etcdserverpb::request_op::Request as Inner;

const USERS: [&str; 5] = ["root", "ann", "bob", "eve", ""];
const ROLES: [&str; 5] = ["root", "r1", "r2", "r3", ""];
const PASSWORDS: [&str; 3] = ["one", "two", ""];
const KEYS: [&str; 4] = ["a", "ab", "b", "c"];
const ENDS: [&str; 7] = ["", "", "b", "c", "d", "\0", "a"];
/// Tokens that are kept, each with whoever logged in last.
pub const TOKENS: usize = 8;

/// On whose behalf a call is made.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    Nobody,
    /// The token in a slot.
    Token(usize),
    /// A token that was never given to anybody.
    Wrong,
}

/// What is called.
#[derive(Clone, Debug)]
pub enum Act {
    Login { slot: usize, name: &'static str, password: &'static str },
    Enable,
    Disable,
    Status,
    UserAdd { name: &'static str, password: &'static str, no_password: bool },
    UserDelete(&'static str),
    UserGet(&'static str),
    UserList,
    Password { name: &'static str, password: &'static str },
    Grant { user: &'static str, role: &'static str },
    Revoke { user: &'static str, role: &'static str },
    RoleAdd(&'static str),
    RoleDelete(&'static str),
    RoleGet(&'static str),
    RoleList,
    Permit { role: &'static str, permission: Option<(i32, &'static str, &'static str)> },
    Forbid { role: &'static str, key: &'static str, end: &'static str },
    Range { key: &'static str, end: &'static str, serializable: bool },
    RangeStream { key: &'static str, end: &'static str },
    Put { key: &'static str, lease: i64, prev_kv: bool, ignore_lease: bool },
    Delete { key: &'static str, end: &'static str, prev_kv: bool },
    Txn(pb::TxnRequest),
    Watch { key: &'static str, end: &'static str },
    LeaseGrant(i64),
    LeaseRevoke(i64),
    LeaseLives { id: i64, keys: bool },
    LeaseRenew(i64),
    Leases,
    Compact(i64),
    Hash,
    HashKv,
    Snapshot,
    Members,
    MemberRemove,
    MemberUpdate,
    MemberPromote,
    Alarms,
    AlarmClear,
    MemberStatus,
    MoveLeader,
    Downgrade,
}

/// `keys` are those that no operation uses yet: a key that is changed twice is refused.
fn any_txn(dice: &mut Dice, keys: &mut Vec<&'static str>, depth: usize) -> pb::TxnRequest {
    let mut txn = pb::TxnRequest::default();
    if dice.one_in(2) {
        txn.compare.push(pb::Compare {
            result: CompareResult::Greater.into(),
            target: CompareTarget::Version.into(),
            key: bytes(dice.pick(&KEYS)),
            range_end: bytes(dice.pick(&ENDS)),
            target_union: Some(TargetUnion::Version(dice.within(0, 2))),
        });
    }
    for _ in 0..dice.below(3) {
        // Those of a nested transaction are used, too.
        if keys.is_empty() {
            break;
        }
        let key = bytes(keys.swap_remove(dice.below(keys.len())));
        let op = match dice.below(4) {
            0 if depth < 2 => Inner::RequestTxn(any_txn(dice, keys, depth + 1)),
            0 | 1 => Inner::RequestRange(pb::RangeRequest {
                key,
                range_end: bytes(dice.pick(&ENDS)),
                ..Default::default()
            }),
            2 => Inner::RequestDeleteRange(pb::DeleteRangeRequest {
                key,
                prev_kv: dice.one_in(3),
                ..Default::default()
            }),
            _ => Inner::RequestPut(pb::PutRequest { key, prev_kv: dice.one_in(3), ..Default::default() }),
        };
        let op = pb::RequestOp { request: Some(op) };
        if dice.one_in(3) { txn.failure.push(op) } else { txn.success.push(op) }
    }
    txn
}

/// Ranges of permissions: few, so that those of one role often touch, and are often the same.
fn any_permitted(dice: &mut Dice) -> (&'static str, &'static str) {
    (dice.pick(&["a", "b", "b", "c"]), dice.pick(&["", "c", "d", "\0", "a"]))
}

fn any_act(dice: &mut Dice) -> Act {
    // A deleted role also makes etcd forget that a user has no password: so the one without has no roles.
    let (user, role) = (dice.pick(&USERS), dice.pick(&ROLES));
    let granted = dice.pick(&["root", "ann", "ann", "bob", "nobody"]);
    let (key, end) = (dice.pick(&KEYS), dice.pick(&ENDS));
    let lease = dice.within(1, 3);
    match dice.below(68) {
        0..=7 => Act::Login { slot: dice.below(TOKENS), name: user, password: dice.pick(&PASSWORDS) },
        8 => Act::Disable,
        9 | 10 => Act::Enable,
        11 => Act::Status,
        12 | 13 => Act::UserAdd {
            name: user,
            password: dice.pick(&PASSWORDS),
            no_password: user == "eve" && dice.one_in(2),
        },
        14 => Act::UserDelete(user),
        15 => Act::UserGet(user),
        16 => Act::UserList,
        17 => Act::Password { name: user, password: dice.pick(&PASSWORDS) },
        18..=20 => Act::Grant { user: granted, role },
        21 => Act::Revoke { user: granted, role },
        22 | 23 => Act::RoleAdd(role),
        24 => Act::RoleDelete(role),
        25 | 26 => Act::RoleGet(role),
        27 => Act::RoleList,
        28 => Act::Permit { role, permission: None },
        29..=31 => {
            let (key, end) = any_permitted(dice);
            Act::Permit { role, permission: Some((dice.below(3) as i32, key, end)) }
        }
        32..=34 => {
            let (key, end) = any_permitted(dice);
            Act::Forbid { role, key, end }
        }
        35..=38 => Act::Range { key, end, serializable: dice.one_in(2) },
        39 => Act::RangeStream { key, end },
        40..=42 => Act::Put { key, lease: 0, prev_kv: dice.one_in(3), ignore_lease: dice.one_in(4) },
        43 => Act::Put { key, lease, prev_kv: false, ignore_lease: false },
        44 | 45 => Act::Delete { key, end, prev_kv: dice.one_in(3) },
        46..=49 => Act::Txn(any_txn(dice, &mut KEYS.to_vec(), 0)),
        50 | 51 => Act::Watch { key: if dice.one_in(5) { "" } else { key }, end },
        52 => Act::LeaseGrant(lease),
        53 => Act::LeaseRevoke(lease),
        54 => Act::LeaseLives { id: lease, keys: dice.one_in(2) },
        55 => Act::LeaseRenew(lease),
        56 => Act::Leases,
        57 => Act::Compact(dice.within(1, 300)),
        58 => Act::Hash,
        59 => Act::HashKv,
        60 => Act::Snapshot,
        61 => Act::Members,
        62 => Act::MemberRemove,
        63 => Act::MemberUpdate,
        64 => Act::MemberPromote,
        65 if dice.one_in(2) => Act::AlarmClear,
        65 => Act::Alarms,
        66 => Act::MemberStatus,
        _ if dice.one_in(2) => Act::MoveLeader,
        _ => Act::Downgrade,
    }
}

/// Somebody, mostly with a token: the first slot is that of root, as often as its password is known.
fn any_who(dice: &mut Dice) -> Who {
    match dice.below(12) {
        0 => Who::Nobody,
        1 => Who::Wrong,
        2..=5 => Who::Token(0),
        _ => Who::Token(dice.below(TOKENS)),
    }
}

/// The acts of a run.
pub fn acts(mut dice: Dice, count: usize) -> Vec<(Who, Act)> {
    let mut acts = vec![
        (Who::Nobody, Act::UserAdd { name: "root", password: "one", no_password: false }),
        (Who::Nobody, Act::Grant { user: "root", role: "root" }),
        (Who::Nobody, Act::Enable),
    ];
    for number in 0..count {
        if number % 15 == 0 {
            let password = dice.pick(&PASSWORDS);
            acts.push((Who::Nobody, Act::Login { slot: 0, name: "root", password }));
        }
        let act = any_act(&mut dice);
        let who = match act {
            Act::Login { .. } => Who::Nobody,
            _ => any_who(&mut dice),
        };
        acts.push((who, act));
    }
    acts
}
