//! Commands about the cluster and its members.

use std::time::Duration;

use clap::{Arg, ArgMatches, Command, ValueHint};

use super::data::serializable;
use super::flags::{
    arguments, duration, given, group, id, is_on, leaf, number, offering, switch, text, texts, value,
};
use super::offline::snapshot_commands;
use crate::api::proto::etcdserverpb::downgrade_request::DowngradeAction;
use crate::ctl::failure::Failure;

/// A command about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum Cluster {
    /// Check whether endpoints answer.
    Health(Endpoints),
    /// Show the status of endpoints.
    Status(Endpoints),
    /// Show the hash of what each endpoint has stored.
    Hash {
        endpoints: Endpoints,
        revision: i64,
    },
    /// The members.
    List {
        /// As the member that is asked knows them, without asking the others (`--consistency s`).
        serializable: bool,
    },
    Add {
        name: String,
        urls: String,
        learner: bool,
    },
    Remove(u64),
    Update {
        id: u64,
        urls: String,
    },
    Promote(u64),
    MoveLeader(u64),
    AlarmList,
    AlarmDisarm,
    Defragment(Endpoints),
    /// Fetch a snapshot into this file.
    Snapshot(String),
    Downgrade {
        action: DowngradeAction,
        version: String,
    },
    /// Whether it is safe to go on with an upgrade or a downgrade.
    UpgradeStatus,
}

/// Which endpoints a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Endpoints {
    /// Those of all members.
    pub(in crate::ctl) cluster: bool,
    /// Try until all are healthy, for this long; zero means for ever.
    pub(in crate::ctl) wait: Option<Duration>,
}

/// The commands.
pub(super) fn commands() -> Vec<Command> {
    let alarms =
        vec![leaf("list", "alarm list", "List all alarms"), leaf("disarm", "alarm disarm", "End all alarms")];
    let save = "Fetch the state of one member into a file, as a backup";
    let save = leaf("save", "snapshot save FILE", save)
        .mut_arg("arguments", |file| file.value_hint(ValueHint::FilePath));
    let upgrade =
        "Print the versions of the cluster and of its members, and whether the next member may be exchanged";
    let upgrade = leaf("status", "upgrade status", upgrade).after_help(
        "Exits with 0 if it is safe to stop one more member, and with 1 if it is not, with the reasons.",
    );
    let downgrades = vec![
        leaf(
            "validate",
            "downgrade validate VERSION",
            "Check whether the cluster can go back to this version",
        ),
        leaf("enable", "downgrade enable VERSION", "Begin to go back to this version"),
        leaf("cancel", "downgrade cancel", "End a downgrade that has begun"),
    ];
    vec![
        endpoint(),
        member(),
        group("alarm", "What stops the cluster from writing", alarms),
        leaf("defrag", "defrag", "Give free space in the members' files back to the system").arg(cluster()),
        leaf("move-leader", "move-leader MEMBER_ID", "Make another member the leader"),
        group("snapshot", "Backups", [save].into_iter().chain(snapshot_commands()).collect()),
        group("downgrade", "Go back to an older version", downgrades),
        group("upgrade", "Go on to a newer version", vec![upgrade]),
    ]
}

fn cluster() -> Arg {
    switch("cluster", "Use the endpoints of all members, as the cluster lists them")
}

fn endpoint() -> Command {
    let wait = Arg::new("wait")
        .long("wait")
        .value_name("DURATION")
        .value_hint(ValueHint::Other)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("0s")
        .help("Repeat until all are good, for ever or for at most this long");
    let health = "Check whether each endpoint answers a read that needs a quorum";
    let status = "Print version, size, leader and raft's state of each endpoint";
    let commands = vec![
        leaf("health", "endpoint health", health).args([cluster(), wait.clone()]),
        leaf("status", "endpoint status", status).args([cluster(), wait]),
        leaf("hashkv", "endpoint hashkv", "Print the hash of the keys and their history on each endpoint")
            .args([cluster(), value("rev", "REVISION", "Up to this revision [default: the last]")]),
    ];
    group("endpoint", "Show the state of each member", commands)
}

fn member() -> Command {
    let consistency = "Linearizable, or serializable: as the member that is asked knows them [default: l]";
    let consistency = offering(value("consistency", "l|s", consistency), &["l", "s"]);
    let urls = || value("peer-urls", "URL,...", "Where the other members reach it");
    let commands = vec![
        leaf("add", "member add NAME", "Add a member")
            .arg(urls())
            .arg(switch("learner", "It does not vote yet")),
        leaf("remove", "member remove MEMBER_ID", "Remove a member"),
        leaf("update", "member update MEMBER_ID", "Change the peer URLs of a member").arg(urls()),
        leaf("list", "member list", "List all members").arg(consistency),
        leaf("promote", "member promote MEMBER_ID", "Let a learner vote"),
    ];
    group("member", "The cluster's members", commands)
}

/// The command `name` of the group `group`, which is empty for a command of the top level.
///
/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read(group: &str, name: &str, matches: &ArgMatches) -> Result<Cluster, Failure> {
    match (group, name) {
        ("endpoint", "status") => endpoints(matches).map(Cluster::Status),
        ("endpoint", "hashkv") => {
            let endpoints = Endpoints { cluster: is_on(matches, "cluster")?, wait: None };
            Ok(Cluster::Hash { endpoints, revision: number(matches, "rev")? })
        }
        ("endpoint", _) => endpoints(matches).map(Cluster::Health),
        ("member", _) => read_member(name, matches),
        ("alarm", _) => {
            let _: [String; 0] = texts(matches, &format!("alarm {name} command accepts no arguments"))?;
            Ok(if name == "list" { Cluster::AlarmList } else { Cluster::AlarmDisarm })
        }
        ("snapshot", _) => {
            let [file] = texts(matches, "snapshot save expects one argument <filename>")?;
            Ok(Cluster::Snapshot(file))
        }
        ("downgrade", _) => read_downgrade(name, matches),
        ("upgrade", _) => {
            let _: [String; 0] = texts(matches, "upgrade status accepts no arguments")?;
            Ok(Cluster::UpgradeStatus)
        }
        (_, "defrag") => {
            Ok(Cluster::Defragment(Endpoints { cluster: is_on(matches, "cluster")?, wait: None }))
        }
        _ => {
            let [target] = texts(matches, "move-leader command needs 1 argument")?;
            id(&target).map(Cluster::MoveLeader).map_err(Failure::arguments)
        }
    }
}

fn endpoints(matches: &ArgMatches) -> Result<Endpoints, Failure> {
    let wait = matches.get_one::<String>("wait").map(|text| duration("wait", text)).transpose();
    Ok(Endpoints { cluster: is_on(matches, "cluster")?, wait: wait.map_err(Failure::error)? })
}

fn read_member(name: &str, matches: &ArgMatches) -> Result<Cluster, Failure> {
    let member = || {
        let [member] = texts(matches, "member ID is not provided")?;
        id(&member)
            .map_err(|error| Failure::arguments(format!("bad member ID arg ({error}), expecting ID in Hex")))
    };
    let urls = || match given(matches, "peer-urls") {
        None | Some("") => Err(Failure::arguments("member peer urls not provided")),
        Some(urls) => Ok(urls.to_string()),
    };
    match name {
        "add" => {
            let names: Vec<String> = arguments(matches).into_iter().map(text).collect::<Result<_, _>>()?;
            let name = match names.as_slice() {
                [] => return Err(Failure::arguments("member name not provided")),
                [name] => name.clone(),
                more => {
                    let is_url = |argument: &&String| argument.to_lowercase().starts_with("http");
                    let meant = more.iter().filter(is_url);
                    let meant: String =
                        meant.map(|url| format!(", did you mean --peer-urls={url}")).collect();
                    return Err(Failure::arguments(format!("too many arguments{meant}")));
                }
            };
            Ok(Cluster::Add { name, urls: urls()?, learner: is_on(matches, "learner")? })
        }
        "remove" => member().map(Cluster::Remove),
        "update" => Ok(Cluster::Update { id: member()?, urls: urls()? }),
        "promote" => member().map(Cluster::Promote),
        _ => match arguments(matches).is_empty() {
            true => Ok(Cluster::List { serializable: serializable(matches)? }),
            false => Err(Failure::error("member list accepts no arguments")),
        },
    }
}

fn read_downgrade(name: &str, matches: &ArgMatches) -> Result<Cluster, Failure> {
    let action = match name {
        "validate" => DowngradeAction::Validate,
        "enable" => DowngradeAction::Enable,
        _ => return Ok(Cluster::Downgrade { action: DowngradeAction::Cancel, version: String::new() }),
    };
    let mut given = arguments(matches).into_iter();
    let version = match (given.next(), given.next()) {
        (None, _) => return Err(Failure::arguments("TARGET_VERSION not provided")),
        (Some(version), None) => text(version)?,
        (Some(_), Some(_)) => return Err(Failure::arguments("too many arguments")),
    };
    match version.is_empty() {
        true => Err(Failure::arguments("target version not provided")),
        false => Ok(Cluster::Downgrade { action, version }),
    }
}
