//! Who may do what, where and when: every method of the table, by every kind of caller, with authentication off and on, at
//! a leader, a follower and a learner, without an alarm and with each. Every outcome is that of a real etcd, with its code
//! and its text, or is explained in [`EXPLAINED`]; and it is what the method's rule says.

mod cluster;
mod requests;
mod streams;
mod wire;

use std::collections::BTreeMap;

use kvd::api::rules::{Access, Learner, RULES, Rpc};

use self::cluster::Cluster;
use self::requests::{Given, requests};
use crate::harness::{heavy, reference, subject};

/// Whoever calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Anonymous,
    /// A user without a role.
    Without,
    /// A user who may read and write what the requests name.
    With,
    Root,
    /// A token whose user has got another password.
    Outdated,
    /// A token that was never given to anybody.
    Wrong,
}

impl Who {
    const ALL: [Who; 6] = [Who::Anonymous, Who::Without, Who::With, Who::Outdated, Who::Wrong, Who::Root];

    /// Its user.
    fn name(self) -> &'static str {
        match self {
            Who::Anonymous | Who::Wrong => "",
            Who::Without => "ann",
            Who::With => "bob",
            Who::Root => "root",
            Who::Outdated => "old",
        }
    }
}

/// Whom it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Leader,
    Follower,
    Learner,
}

impl Role {
    const ALL: [Role; 3] = [Role::Leader, Role::Follower, Role::Learner];
}

/// The alarm at the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alarm {
    None,
    NoSpace,
    Corrupt,
}

/// A cell of the matrix.
#[derive(Clone, Copy, Debug)]
struct Cell {
    rpc: Rpc,
    /// Which of the method's requests.
    request: usize,
    who: Who,
    auth: bool,
    role: Role,
    alarm: Alarm,
}

/// A difference from etcd that is meant.
struct Explained {
    /// The cells.
    cells: fn(&Cell) -> bool,
    etcd: &'static str,
    kvd: &'static str,
    why: &'static str,
}

const SILENT: &str = "a stream that ends without a reason looks like one that was lost: kvd says why";

const EXPLAINED: &[Explained] = &[
    Explained {
        cells: |cell| cell.rpc == Rpc::Observe,
        etcd: "end",
        kvd: "Unknown: etcdserver: invalid auth token",
        why: SILENT,
    },
    Explained {
        cells: |cell| cell.rpc == Rpc::Observe,
        etcd: "end",
        kvd: "Unknown: etcdserver: permission denied",
        why: SILENT,
    },
    Explained {
        cells: |cell| cell.rpc == Rpc::Observe,
        etcd: "end",
        kvd: "Unknown: etcdserver: user name is empty",
        why: SILENT,
    },
    Explained {
        cells: |cell| cell.rpc == Rpc::Range && cell.role == Role::Learner,
        etcd: "FailedPrecondition: etcdserver: rpc not supported for learner",
        kvd: "Unauthenticated: etcdserver: invalid auth token",
        why: "kvd asks who calls before it looks at the request, which says whether a learner serves it",
    },
    Explained {
        cells: |cell| cell.rpc == Rpc::Reflection,
        etcd: "Unimplemented: unknown service grpc.reflection.v1.ServerReflection",
        kvd: "ok",
        why: "etcd does not describe its services",
    },
    Explained {
        cells: |cell| cell.rpc == Rpc::ReflectionAlpha,
        etcd: "Unimplemented: unknown service grpc.reflection.v1alpha.ServerReflection",
        kvd: "ok",
        why: "etcd does not describe its services",
    },
];

const TOKEN: &str = "etcdserver: invalid auth token";

/// What the method's rule says about a cell; `None` if it depends on the request.
fn by_rule(cell: &Cell) -> Option<&'static str> {
    let rule = cell.rpc.rule();
    if cell.role == Role::Learner && rule.learner == Learner::Refused {
        return Some("FailedPrecondition: etcdserver: rpc not supported for learner");
    }
    if !cell.auth || rule.access == Access::Anyone {
        return None;
    }
    match (cell.who, rule.access) {
        (Who::Anonymous, Access::Authenticated | Access::Root | Access::RootUnlessReading) => {
            Some("InvalidArgument: etcdserver: user name is empty")
        }
        (Who::Without | Who::With, Access::Root) => Some("PermissionDenied: etcdserver: permission denied"),
        (Who::Outdated | Who::Wrong, _) => match rule.service {
            "etcdserverpb.Watch" => {
                Some("canceled: rpc error: code = Unauthenticated desc = etcdserver: invalid auth token")
            }
            "v3lockpb.Lock" | "v3electionpb.Election" => Some("Unknown: etcdserver: invalid auth token"),
            _ => Some("Unauthenticated: etcdserver: invalid auth token"),
        },
        _ => None,
    }
}

/// True if an outcome is about who calls.
fn is_about_rights(outcome: &str) -> bool {
    [TOKEN, "etcdserver: permission denied", "etcdserver: user name is empty"]
        .iter()
        .any(|text| outcome.contains(text))
}

/// True if an outcome depends on the machine.
fn is_passing(outcome: &str) -> bool {
    ["timed out", "no leader", "leader changed", "no answer", "transport"]
        .iter()
        .any(|text| outcome.contains(text))
}

/// Both programs, in the same state.
struct Pair {
    etcd: Cluster,
    kvd: Cluster,
}

impl Pair {
    async fn ask(&mut self, cell: &Cell) -> [String; 2] {
        let lease = lease_of(cell.alarm, cell.auth, cell.role);
        for _ in 0..3 {
            let ask = |cluster: &Cluster| {
                let given = Given { lease, peer_url: cluster.peer_url() };
                let message = requests(cell.rpc, &given).swap_remove(cell.request);
                let (channel, token) = (cluster.channel(cell.role).clone(), cluster.token(cell.who));
                let token = token.map(str::to_string);
                let rpc = cell.rpc;
                async move { wire::outcome(channel, rpc, token, message).await }
            };
            let (etcd, kvd) = tokio::join!(ask(&self.etcd), ask(&self.kvd));
            if etcd == kvd || !(is_passing(&etcd) || is_passing(&kvd)) {
                return [etcd, kvd];
            }
            tokio::join!(self.etcd.settle(), self.kvd.settle());
        }
        ["no outcome", "no outcome either"].map(String::from)
    }

    async fn set_auth(&mut self, is_enabled: bool) {
        tokio::join!(self.etcd.set_auth(is_enabled), self.kvd.set_auth(is_enabled));
    }
}

/// The lease for a state.
fn lease_of(alarm: Alarm, auth: bool, role: Role) -> i64 {
    1000 + alarm as i64 * 100 + i64::from(auth) * 10 + role as i64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differential_every_cell_of_the_matrix_is_etcds() {
    const ALARMS: [Alarm; 3] = [Alarm::None, Alarm::NoSpace, Alarm::Corrupt];
    let Some(reference) = reference("differential_every_cell_of_the_matrix_is_etcds") else { return };
    // Earlier versions ask for other rights.
    if reference.level() < (3, 7) {
        return;
    }
    let _turn = heavy().await;
    let states = || {
        ALARMS.into_iter().flat_map(|alarm| {
            [false, true].into_iter().flat_map(move |auth| Role::ALL.map(|role| (alarm, auth, role)))
        })
    };
    let leases = || states().map(|(alarm, auth, role)| lease_of(alarm, auth, role));
    let program = subject();
    let (etcd, kvd) = tokio::join!(Cluster::of(&reference, leases()), Cluster::of(&program, leases()));
    let mut pair = Pair { etcd, kvd };
    let (mut count, mut explained) = (0, vec![0; EXPLAINED.len()]);
    // What differs, with the cells where it does.
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for alarm in ALARMS {
        pair.set_auth(false).await;
        tokio::join!(pair.etcd.set_alarm(alarm, true), pair.kvd.set_alarm(alarm, true));
        for auth in [false, true] {
            pair.set_auth(auth).await;
            tokio::join!(pair.etcd.settle(), pair.kvd.settle());
            for role in Role::ALL {
                let none = Given { lease: 0, peer_url: String::new() };
                for rule in RULES {
                    for request in 0..requests(rule.rpc, &none).len() {
                        for who in Who::ALL {
                            let cell = Cell { rpc: rule.rpc, request, who, auth, role, alarm };
                            let [etcd, kvd] = pair.ask(&cell).await;
                            count += 1;
                            // It has changed the state of the matrix.
                            if matches!(rule.rpc, Rpc::AuthEnable | Rpc::AuthDisable)
                                && (etcd == "ok" || kvd == "ok")
                            {
                                pair.set_auth(auth).await;
                            }
                            if let Some(expected) = by_rule(&cell)
                                && kvd != expected
                            {
                                let what = format!("{:?}: the rule says {expected}, kvd {kvd}", rule.rpc);
                                wrong.entry(what).or_default().push(format!("{cell:?}"));
                            }
                            let may_all = !auth || who == Who::Root;
                            if may_all && is_about_rights(&kvd) {
                                let what =
                                    format!("{:?}: it may do everything, and kvd says {kvd}", rule.rpc);
                                wrong.entry(what).or_default().push(format!("{cell:?}"));
                            }
                            if etcd == kvd {
                                continue;
                            }
                            let known = EXPLAINED
                                .iter()
                                .position(|one| one.etcd == etcd && one.kvd == kvd && (one.cells)(&cell));
                            match known {
                                Some(place) => explained[place] += 1,
                                None => {
                                    let what = format!("{:?}: etcd {etcd}, kvd {kvd}", rule.rpc);
                                    wrong.entry(what).or_default().push(format!("{cell:?}"));
                                }
                            }
                        }
                    }
                }
            }
        }
        pair.set_auth(false).await;
        tokio::join!(pair.etcd.set_alarm(alarm, false), pair.kvd.set_alarm(alarm, false));
    }
    for (what, cells) in &wrong {
        eprintln!("{what}\n    {} cells, such as {}", cells.len(), cells[0]);
        cells[1..].iter().take(20).for_each(|cell| eprintln!("        {cell}"));
    }
    assert!(wrong.is_empty(), "{} differences in {count} cells, see above", wrong.len());
    for (one, count) in EXPLAINED.iter().zip(explained) {
        assert!(count > 0, "no longer so: etcd {}, kvd {}: {}", one.etcd, one.kvd, one.why);
    }
    assert!(count > 6000, "{count} cells");
}
