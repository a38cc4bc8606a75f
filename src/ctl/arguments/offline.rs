//! Commands that need no member: reading a backup, and making a member of one, or of an etcd's data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, ValueHint};

use super::flags::{arguments, given, is_on, leaf, switch, text, texts, value};
use crate::config::{UrlUse, parse_cluster, parse_url_list};
use crate::ctl::failure::Failure;
use crate::offline::{Migration, NewMember, Recovery, Restore, Salvage, Source};

/// etcdutl's defaults.
const NAME: &str = "default";
const TOKEN: &str = "etcd-cluster";
const PEER_URL: &str = "http://localhost:2380";

/// A command that needs no member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum Offline {
    /// Show what is in a backup.
    Status(PathBuf),
    /// Make a member of a backup.
    Restore(Restore),
    /// Make a member of an etcd's data.
    Migrate(Migration),
    /// Show what is left of a cluster.
    Plan(Vec<Source>),
    /// Make a new cluster of what is left.
    Recover(Recovery),
    /// Save what is left of damaged data.
    Salvage(Salvage),
}

/// The commands of the group `snapshot`.
pub(super) fn snapshot_commands() -> [Command; 2] {
    let bump = "Raise the revision by this much, so that it does not go back for clients and watchers";
    let status = "Print hash, revision, number of keys and size of a backup";
    let restore = "Make the data directory of a member of a new cluster from a backup";
    let restore = leaf("restore", "snapshot restore FILE", restore)
        .args(member_flags())
        .arg(switch(
            "skip-hash-check",
            "Accept a file without its hash: a copy of an etcd's own member/snap/db",
        ))
        .arg(value("bump-revision", "NUMBER", bump))
        .arg(switch(
            "mark-compacted",
            "Count everything before the raised revision as compacted; goes with --bump-revision",
        ))
        .arg(value("initial-memory-map-size", "BYTES", "Accepted for etcdutl's sake; it has no effect"));
    let file = |command: Command| command.mut_arg("arguments", |file| file.value_hint(ValueHint::FilePath));
    [file(restore), file(leaf("status", "snapshot status FILE", status))]
}

/// The group `migrate`.
pub(super) fn migrate_command() -> Command {
    let about = "Make the data directory of a member from that of an etcd that is stopped";
    let wal = value("etcd-wal-dir", "DIR", "The directory of the etcd's log, if it has one of its own");
    let data = leaf("etcd-data", "migrate etcd-data DIR", about)
        .args(member_flags())
        .arg(wal.value_hint(ValueHint::DirPath))
        .mut_arg("arguments", |dir| dir.value_hint(ValueHint::DirPath));
    super::flags::group("migrate", "Move from etcd", vec![data])
}

/// By how much a recovery raises the revision, unless it is told otherwise: far more than a cluster writes in the hours
/// of which nothing is left (etcd's documents recommend it).
const BUMP: i64 = 1_000_000_000;

/// The group `recover`.
pub(super) fn recover_command() -> Command {
    const HELP: &str = "DIR is the data directory of a member that is stopped; with a log of its own, DIR,WAL-DIR. Name \
                        all that are left: the one that has most is kept. Of a member whose log is damaged the state counts.";
    const SHOWN: &str = "DIR is the data directory of a member; with a log of its own, DIR,WAL-DIR. Name all that are left. \
                         Nothing in them changes. A member that runs is shown as far as that can be seen beside it; what \
                         can be made of it is shown when it is stopped.";
    let about = "Show what is left of a cluster that has lost its majority for good, and what would be lost";
    let plan = leaf("plan", "recover plan DIR...", about).after_help(SHOWN);
    let about =
        "Make the first member of a new cluster of what is left; nothing in the old directories changes";
    let dir = |name, help| value(name, "DIR", help).value_hint(ValueHint::DirPath);
    let apply = leaf("apply", "recover apply DIR...", about)
        .after_help(HELP)
        .arg(dir("data-dir", "The directory to make; it must be empty if it exists"))
        .arg(dir("wal-dir", "A directory of its own for the log"))
        .arg(value("bump-revision", "NUMBER", "Raise the revision by this much [default: 1000000000]"))
        .arg(switch(
            "force",
            "Go on although a majority is here, or although the state that is kept is known to be wrong",
        ));
    let dirs = |command: Command| command.mut_arg("arguments", |dirs| dirs.value_hint(ValueHint::DirPath));
    const SALVAGE: &str = "DIR is the data directory of a member that is stopped; with a log of its own, DIR,WAL-DIR. FILE is \
                           made, as kvctl snapshot save makes it. It has every row that is as it was written. A key that \
                           has lost its last version is not in it, and each version that is lost is named. If none is \
                           lost, FILE has the last entries of the log, too. Nothing in DIR changes. Beside FILE there \
                           must be room for twice the data.";
    let about = "Save what is left of the data of a damaged member that has no others, and say what is lost";
    let salvage = leaf("salvage", "recover salvage DIR FILE", about).after_help(SALVAGE);
    let commands = vec![dirs(plan), dirs(apply), dirs(salvage)];
    super::flags::group("recover", "Recover from the loss of a majority, or from damaged data", commands)
}

/// `recover plan`, `recover apply` and `recover salvage`.
///
/// # Errors
/// If no directory is named.
pub(super) fn read_recover(name: &str, matches: &ArgMatches) -> Result<Offline, Failure> {
    let named: Result<Vec<String>, Failure> = arguments(matches).into_iter().map(text).collect();
    let source = |text: &String| match text.split_once(',') {
        Some((data, wal)) => Source { data_dir: data.into(), wal_dir: Some(wal.into()) },
        None => Source { data_dir: text.into(), wal_dir: None },
    };
    if name == "salvage" {
        let [dir, file] = texts(matches, "recover salvage requires a data directory and the file to make")?;
        return Ok(Offline::Salvage(Salvage { source: source(&dir), file: file.into() }));
    }
    let sources: Vec<Source> = named?.iter().map(source).collect();
    if sources.is_empty() {
        return Err(Failure::arguments(format!("recover {name} requires the data directory of a member")));
    }
    if name == "plan" {
        return Ok(Offline::Plan(sources));
    }
    let directory = |name| given(matches, name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let data_dir = directory("data-dir");
    let data_dir =
        data_dir.ok_or_else(|| Failure::arguments("recover apply requires --data-dir for the new member"))?;
    let bump =
        if given(matches, "bump-revision").is_some() { unsigned(matches, "bump-revision")? } else { BUMP };
    let wal_dir = directory("wal-dir");
    Ok(Offline::Recover(Recovery { sources, data_dir, wal_dir, bump, forced: is_on(matches, "force")? }))
}

fn member_flags() -> Vec<Arg> {
    let dir = |name, help| value(name, "DIR", help).value_hint(ValueHint::DirPath);
    let cluster = "All members of the new cluster [default: default=http://localhost:2380]";
    let urls = "Where the other members reach this one [default: http://localhost:2380]";
    vec![
        value("name", "NAME", "The member's name [default: default]"),
        value("initial-cluster", "NAME=URL,...", cluster),
        value("initial-cluster-token", "TOKEN", "The new cluster's token [default: etcd-cluster]"),
        value("initial-advertise-peer-urls", "URL,...", urls),
        dir("data-dir", "The directory to make; it must be empty if it exists [default: NAME.etcd]"),
        dir("wal-dir", "A directory of its own for the log"),
    ]
}

/// `snapshot restore` and `snapshot status`.
///
/// # Errors
/// With etcdutl's texts and exit codes.
pub(super) fn read_snapshot(name: &str, matches: &ArgMatches) -> Result<Offline, Failure> {
    let [file] = texts(matches, &format!("snapshot {name} requires exactly one argument"))?;
    let file = PathBuf::from(file);
    if name == "status" {
        return Ok(Offline::Status(file));
    }
    unsigned(matches, "initial-memory-map-size")?;
    let bump = unsigned(matches, "bump-revision")?;
    if is_on(matches, "mark-compacted")? != (bump > 0) {
        return Err(Failure::arguments("--mark-compacted required if --revision-bump > 0"));
    }
    let skip_hash_check = is_on(matches, "skip-hash-check")?;
    Ok(Offline::Restore(Restore { file, skip_hash_check, bump, member: member(matches)? }))
}

/// `migrate etcd-data`.
///
/// # Errors
/// With texts like etcdutl's.
pub(super) fn read_migrate(matches: &ArgMatches) -> Result<Offline, Failure> {
    let [dir] = texts(matches, "migrate etcd-data requires exactly one argument")?;
    let etcd_wal = given(matches, "etcd-wal-dir").map(PathBuf::from);
    Ok(Offline::Migrate(Migration { etcd_data: dir.into(), etcd_wal, member: member(matches)? }))
}

fn member(matches: &ArgMatches) -> Result<NewMember, Failure> {
    let text = |name, default: &str| given(matches, name).unwrap_or(default).to_string();
    let directory = |name| given(matches, name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let name = text("name", NAME);
    let cluster = parse_cluster(&text("initial-cluster", &format!("{NAME}={PEER_URL}")));
    let cluster = cluster.map_err(Failure::error)?.into_iter();
    let texts = |urls: &[crate::config::Url]| urls.iter().map(|url| url.as_str().to_string()).collect();
    let initial_cluster: BTreeMap<_, _> = cluster.map(|(name, urls)| (name, texts(&urls))).collect();
    let own = text("initial-advertise-peer-urls", PEER_URL);
    let own = parse_url_list(&own.split(',').collect::<Vec<_>>(), UrlUse::Peer);
    Ok(NewMember {
        peer_urls: texts(&own.map_err(|error| Failure::error(error.to_string()))?),
        token: text("initial-cluster-token", TOKEN),
        data_dir: directory("data-dir").unwrap_or_else(|| format!("{name}.etcd").into()),
        wal_dir: directory("wal-dir"),
        initial_cluster,
        name,
    })
}

/// A whole number that is not negative; zero if the flag is not given.
fn unsigned(matches: &ArgMatches, name: &str) -> Result<i64, Failure> {
    let Some(text) = given(matches, name) else { return Ok(0) };
    let number = text.parse::<u64>().ok().and_then(|number| i64::try_from(number).ok());
    number.ok_or_else(|| {
        let text = format!(
            "invalid argument {text:?} for \"--{name}\" flag: strconv.ParseUint: parsing {text:?}: invalid syntax"
        );
        Failure::error(text)
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::super::{Asked, parse};
    use super::*;

    fn parsed(line: &str) -> Result<Offline, (u8, String)> {
        let words = std::iter::once("kvctl").chain(line.split_whitespace()).map(OsString::from);
        match parse(words).map_err(|answer| (answer.code, answer.err))?.asked {
            Asked::Offline(offline) => Ok(offline),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_member_is_described_as_for_etcdutl() {
        let Ok(Offline::Restore(restore)) = parsed("snapshot restore a.db") else { panic!("not understood") };
        assert_eq!((restore.file.as_path(), restore.bump), (Path::new("a.db"), 0));
        assert_eq!(restore.member.data_dir, Path::new("default.etcd"));
        assert_eq!(restore.member.peer_urls, ["http://localhost:2380"]);
        let line = "snapshot restore a.db --name b --initial-cluster a=http://1.1.1.1:2,b=http://1.1.1.2:2 \
                    --initial-cluster-token t --initial-advertise-peer-urls http://1.1.1.2:2 --data-dir d --wal-dir w \
                    --skip-hash-check --bump-revision 7 --mark-compacted --initial-memory-map-size 10";
        let Ok(Offline::Restore(restore)) = parsed(line) else { panic!("not understood") };
        let NewMember { name, initial_cluster, token, data_dir, wal_dir, .. } = restore.member;
        assert_eq!((name.as_str(), token.as_str(), restore.bump), ("b", "t", 7));
        assert_eq!(initial_cluster["a"], ["http://1.1.1.1:2"]);
        assert_eq!((data_dir.as_path(), wal_dir.as_deref()), (Path::new("d"), Some(Path::new("w"))));
        let Ok(Offline::Migrate(migration)) = parsed("migrate etcd-data e --etcd-wal-dir w") else {
            panic!("not understood")
        };
        assert_eq!(migration.etcd_data, Path::new("e"));
    }

    #[test]
    fn a_recovery_names_what_is_left_and_what_is_made() {
        let source =
            |data: &str, wal: Option<&str>| Source { data_dir: data.into(), wal_dir: wal.map(PathBuf::from) };
        let sources = vec![source("a", None), source("b", Some("w"))];
        assert_eq!(parsed("recover plan a b,w").ok(), Some(Offline::Plan(sources.clone())));
        let made = Recovery { sources, data_dir: "n".into(), wal_dir: None, bump: BUMP, forced: false };
        assert_eq!(parsed("recover apply a b,w --data-dir n").ok(), Some(Offline::Recover(made)));
        let salvage = Salvage { source: source("a", Some("w")), file: "f".into() };
        assert_eq!(parsed("recover salvage a,w f").ok(), Some(Offline::Salvage(salvage)));
        for (line, text) in [
            ("recover salvage a", "requires a data directory and the file to make"),
            ("recover plan", "requires the data directory of a member"),
            ("recover apply a", "requires --data-dir"),
        ] {
            let (_, err) = parsed(line).expect_err(line);
            assert!(err.contains(text), "{line}: {err}");
        }
    }

    #[test]
    fn mistakes_have_etcdutls_exit_codes() {
        for (line, code, text) in [
            ("snapshot restore", 128, "snapshot restore requires exactly one argument"),
            ("snapshot status a b", 128, "snapshot status requires exactly one argument"),
            ("snapshot restore a --bump-revision 5", 128, "--mark-compacted required if --revision-bump > 0"),
            ("snapshot restore a --mark-compacted", 128, "--mark-compacted required if --revision-bump > 0"),
            ("snapshot restore a --bump-revision=-1 --mark-compacted", 1, "strconv.ParseUint"),
            ("snapshot restore a --initial-cluster a=nonsense", 1, "nonsense"),
        ] {
            let (found, err) = parsed(line).expect_err(line);
            assert!(found == code && err.contains(text), "{line}: {found} {err}");
        }
    }
}
