//! The commands of a story.
//! ```text
//! put KEY VALUE [lease=N] [prev] [ignore-value] [ignore-lease]
//! delete RANGE [prev]
//! get RANGE [rev=N] [limit=N] [sort=key|version|create|mod|value] [desc] [keys-only] [count-only]
//!           [min-mod=N] [max-mod=N] [min-create=N] [max-create=N]
//! txn [if COMPARE [and COMPARE]..] then [OP [; OP]..] [else [OP [; OP]..]] end       an OP is put, delete, get, txn
//! read-txn ...                                                                    the same, not through the log
//! grant ID TTL | revoke ID | compact N | raise MEMBER nospace|corrupt | clear MEMBER nospace|corrupt
//! add ID URL [learner|pending] | remove ID | update ID URL | promote ID | publish ID NAME URL
//! enable | disable | add-user NAME [certificate] | delete-user NAME | password NAME | give NAME ROLE | take NAME ROLE
//! add-role ROLE | delete-role ROLE | permit ROLE [read|write|both RANGE] | forbid ROLE RANGE | token-key ID [after=N]
//! ```
//! RANGE is `a`, `a..c`, `a..` (open), `a*` (prefix) or `..` (all). A COMPARE is `mod(RANGE)=N` with value, version,
//! create, mod or lease and one of `= != < >`. `x^901` is the letter x 901 times, `%` followed by two hex digits a
//! byte, `""` the empty text.

use bytes::Bytes;

use crate::model::{
    Alarm, AlarmKind, AuthChange, Command, Compare, CompareOp, CompareTarget, Delete, KeyRange, Member,
    MemberChange, MemberId, Op, PasswordHash, Permission, PermissionKind, Put, RangeEnd, RangeQuery,
    SortTarget, TokenKey, Txn, prefix_end,
};

/// A parsed command.
pub enum Line {
    Command(Command),
    Range(RangeQuery),
    ReadTxn(Txn),
    Events { range: KeyRange, from: i64, to: i64, prev: bool },
    Word(String, i64),
}

/// The changes of users.
const AUTH: [&str; 12] = [
    "enable",
    "disable",
    "add-user",
    "delete-user",
    "password",
    "give",
    "take",
    "add-role",
    "delete-role",
    "permit",
    "forbid",
    "token-key",
];

pub struct Parser<'l> {
    words: std::iter::Peekable<std::str::SplitWhitespace<'l>>,
}

impl<'l> Parser<'l> {
    pub fn new(line: &'l str) -> Self {
        Self { words: line.split_whitespace().peekable() }
    }

    pub fn line(mut self) -> Line {
        let word = self.word();
        let line = match word {
            "put" => Line::Command(Command::Put(self.put())),
            "delete" => Line::Command(Command::Delete(self.delete())),
            "get" => Line::Range(self.get()),
            "txn" => Line::Command(Command::Txn(self.txn())),
            "read-txn" => Line::ReadTxn(self.txn()),
            "grant" => Line::Command(Command::LeaseGrant { id: self.number(), ttl: self.number() }),
            "revoke" => Line::Command(Command::LeaseRevoke { id: self.number() }),
            "compact" => Line::Command(Command::Compact { revision: self.number() }),
            "raise" => Line::Command(Command::AlarmRaise(self.alarm())),
            "clear" => Line::Command(Command::AlarmClear(self.alarm())),
            "add" | "remove" | "update" | "promote" | "publish" => {
                Line::Command(Command::Member(self.member(word)))
            }
            _ if AUTH.contains(&word) => Line::Command(Command::Auth(self.auth(word))),
            "events" => {
                let mut line = (range(self.word()), 0, i64::MAX - 1, false);
                while let Some((name, value)) = self.option() {
                    match name {
                        "from" => line.1 = number(value),
                        "to" => line.2 = number(value),
                        "prev" => line.3 = true,
                        other => panic!("no option {other:?}"),
                    }
                }
                Line::Events { range: line.0, from: line.1, to: line.2, prev: line.3 }
            }
            other => Line::Word(other.to_string(), self.words.next().map_or(0, number)),
        };
        assert_eq!(self.words.next(), None, "the command goes on");
        line
    }

    fn word(&mut self) -> &'l str {
        self.words.next().expect("a word")
    }

    fn number(&mut self) -> i64 {
        number(self.word())
    }

    /// The next word as an option and its value; `None` at the end of an operation.
    fn option(&mut self) -> Option<(&'l str, &'l str)> {
        let word = self.words.next_if(|word| ![";", "else", "end"].contains(word))?;
        Some(word.split_once('=').unwrap_or((word, "")))
    }

    fn put(&mut self) -> Put {
        let mut put = Put { key: text(self.word()), value: text(self.word()), ..Put::default() };
        while let Some((name, value)) = self.option() {
            match name {
                "lease" => put.lease = number(value),
                "prev" => put.prev_kv = true,
                "ignore-value" => put.ignore_value = true,
                "ignore-lease" => put.ignore_lease = true,
                other => panic!("no option {other:?}"),
            }
        }
        put
    }

    fn delete(&mut self) -> Delete {
        let range = range(self.word());
        Delete { range, prev_kv: self.option().is_some_and(|(name, _)| name == "prev") }
    }

    fn get(&mut self) -> RangeQuery {
        let mut query = RangeQuery::current(range(self.word()));
        while let Some((name, value)) = self.option() {
            match name {
                "rev" => query.revision = number(value),
                "limit" => query.limit = number(value),
                "desc" => query.sort.descending = true,
                "keys-only" => query.keys_only = true,
                "count-only" => query.count_only = true,
                "min-mod" => query.bounds.min_mod = number(value),
                "max-mod" => query.bounds.max_mod = number(value),
                "min-create" => query.bounds.min_create = number(value),
                "max-create" => query.bounds.max_create = number(value),
                "sort" => {
                    query.sort.target = match value {
                        "key" => SortTarget::Key,
                        "version" => SortTarget::Version,
                        "create" => SortTarget::Create,
                        "mod" => SortTarget::Mod,
                        "value" => SortTarget::Value,
                        other => panic!("no sort {other:?}"),
                    }
                }
                other => panic!("no option {other:?}"),
            }
        }
        query
    }

    fn txn(&mut self) -> Txn {
        let mut txn = Txn::default();
        if self.words.next_if_eq(&"if").is_some() {
            txn.compares.push(compare(self.word()));
            while self.words.next_if_eq(&"and").is_some() {
                txn.compares.push(compare(self.word()));
            }
        }
        assert_eq!(self.word(), "then");
        txn.success = self.ops();
        if self.words.next_if_eq(&"else").is_some() {
            txn.failure = self.ops();
        }
        assert_eq!(self.word(), "end");
        txn
    }

    fn ops(&mut self) -> Vec<Op> {
        let mut ops = Vec::new();
        while let Some(word) = self.words.next_if(|word| !["else", "end"].contains(word)) {
            ops.push(match word {
                "put" => Op::Put(self.put()),
                "delete" => Op::Delete(self.delete()),
                "get" => Op::Range(self.get()),
                "txn" => Op::Txn(self.txn()),
                ";" => continue,
                other => panic!("no operation {other:?}"),
            });
        }
        ops
    }

    fn auth(&mut self, change: &str) -> AuthChange {
        let name = match change {
            "enable" | "disable" => String::new(),
            _ => String::from_utf8(text(self.word()).into()).unwrap(),
        };
        match change {
            "enable" => AuthChange::Enable,
            "disable" => AuthChange::Disable,
            "add-user" => {
                let hash = PasswordHash::new(format!("hash of {name}"));
                let has_password = self.words.next_if_eq(&"certificate").is_none();
                AuthChange::UserAdd { name, hash: has_password.then_some(hash) }
            }
            "delete-user" => AuthChange::UserDelete { name },
            "password" => {
                AuthChange::UserPassword { hash: PasswordHash::new(format!("new hash of {name}")), name }
            }
            "give" => AuthChange::UserGrantRole { user: name, role: self.word().to_string() },
            "take" => AuthChange::UserRevokeRole { user: name, role: self.word().to_string() },
            "add-role" => AuthChange::RoleAdd { name },
            "delete-role" => AuthChange::RoleDelete { name },
            "permit" => {
                let kind = self.words.next().map(|kind| match kind {
                    "read" => PermissionKind::Read,
                    "write" => PermissionKind::Write,
                    "both" => PermissionKind::ReadWrite,
                    other => panic!("no permission {other:?}"),
                });
                let permission = kind.map(|kind| Permission { kind, range: range(self.word()) });
                AuthChange::RoleGrant { role: name, permission }
            }
            "forbid" => AuthChange::RoleRevoke { role: name, range: range(self.word()) },
            _ => {
                let id = number(&name) as u64;
                let after = self.option().map(|(_, after)| number(after) as u64);
                AuthChange::TokenKey { key: TokenKey { id, secret: [id as u8; 32] }, after }
            }
        }
    }

    fn alarm(&mut self) -> Alarm {
        let member = MemberId(self.number() as u64);
        let kind = match self.word() {
            "nospace" => AlarmKind::NoSpace,
            "corrupt" => AlarmKind::Corrupt,
            other => panic!("no alarm {other:?}"),
        };
        Alarm { member, kind }
    }

    fn member(&mut self, change: &str) -> MemberChange {
        let id = MemberId(self.number() as u64);
        match change {
            "add" => {
                let peer_urls = vec![self.word().to_string()];
                let state = self.words.next();
                MemberChange::Add(Member {
                    id,
                    name: String::new(),
                    peer_urls,
                    client_urls: Vec::new(),
                    learner: state == Some("learner"),
                    pending: state == Some("pending"),
                })
            }
            "remove" => MemberChange::Remove(id),
            "update" => MemberChange::Update { id, peer_urls: vec![self.word().to_string()] },
            "promote" => MemberChange::Promote(id),
            _ => MemberChange::Publish {
                id,
                name: self.word().to_string(),
                client_urls: vec![self.word().to_string()],
            },
        }
    }
}

fn number(word: &str) -> i64 {
    word.parse().unwrap_or_else(|_| panic!("{word:?} is no number"))
}

fn text(word: &str) -> Bytes {
    if word == "\"\"" {
        return Bytes::new();
    }
    if let Some((unit, times)) = word.split_once('^') {
        return text(unit).repeat(number(times) as usize).into();
    }
    let mut out = Vec::new();
    let mut parts = word.split('%');
    out.extend_from_slice(parts.next().unwrap_or("").as_bytes());
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).unwrap());
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    out.into()
}

pub fn range(word: &str) -> KeyRange {
    if word == ".." {
        return KeyRange::all();
    }
    if let Some(prefix) = word.strip_suffix('*') {
        let start = text(prefix);
        return KeyRange { end: prefix_end(&start), start };
    }
    match word.split_once("..") {
        None => KeyRange::single(text(word)),
        Some((start, "")) => KeyRange { start: text(start), end: RangeEnd::Open },
        Some((start, end)) => KeyRange { start: text(start), end: RangeEnd::Before(text(end)) },
    }
}

fn compare(word: &str) -> Compare {
    let (target, rest) = word.split_once('(').expect("TARGET(RANGE)");
    let (keys, rest) = rest.split_once(')').expect("TARGET(RANGE)");
    let signs = [
        ("!=", CompareOp::NotEqual),
        ("=", CompareOp::Equal),
        ("<", CompareOp::Less),
        (">", CompareOp::Greater),
    ];
    let found = signs.into_iter().find_map(|(sign, op)| Some((rest.strip_prefix(sign)?, op)));
    let (operand, op) = found.expect("a comparison");
    let target = match target {
        "value" => CompareTarget::Value(text(operand)),
        "version" => CompareTarget::Version(number(operand)),
        "create" => CompareTarget::Create(number(operand)),
        "mod" => CompareTarget::Mod(number(operand)),
        "lease" => CompareTarget::Lease(number(operand)),
        other => panic!("no target {other:?}"),
    };
    Compare { range: range(keys), op, target }
}
