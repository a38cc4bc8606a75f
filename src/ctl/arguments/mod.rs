//! The command line: etcdctl's commands and flags, with clap.

mod auth;
mod backup;
mod check;
mod cluster;
mod data;
mod destination;
mod diff;
mod edit;
pub(super) mod examples;
mod flags;
mod global;
mod hold;
mod lease;
mod mirror;
mod offline;
mod space;
mod suggestion;
mod top;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};

use super::failure::{BAD_FEATURE, ERROR, Failure};
use super::print::Format;
use crate::config::DEFAULT_FILE;
use crate::config::admin::Request;
use crate::config::cli::{completion, completion_script};

pub(super) use auth::{Auth, Keys, Role, User};
pub(super) use backup::Backup;
pub(super) use check::{Check, Kind as CheckKind, Load};
pub(super) use cluster::{Cluster, Endpoints};
pub(super) use data::{Data, Delete, Get, NO_VALUE, Put, operation};
pub(super) use diff::{Diff, Side, TROUBLE};
pub(super) use edit::Edit;
pub(super) use global::Globals;
pub(super) use hold::{Elect, Lock};
pub(super) use lease::Lease;
pub(super) use mirror::Mirror;
pub(super) use offline::Offline;
pub(super) use space::Space;
pub(super) use top::Top;
pub(super) use watch::{Watch, Watched, line as watch_line};

/// A command with its own flags.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    /// Ask the daemon on this machine.
    Daemon {
        request: Request,
        /// The daemon's socket.
        socket: Option<PathBuf>,
    },
    Data(Data),
    Lease(Lease),
    Watch(Watch),
    Lock(Lock),
    Elect(Elect),
    Mirror(Mirror),
    Cluster(Cluster),
    Offline(Offline),
    Backup(Backup),
    Check(Check),
    Space(Space),
    Diff(Diff),
    Edit(Edit),
    Top(Top),
    /// Show the whole cluster on one screen.
    Status,
    /// Look for problems.
    Doctor,
    Auth(Auth),
    User(User),
    Role(Role),
    /// Print kvctl's version and that of the API.
    Version,
}

/// A parsed command line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Invocation {
    pub(super) globals: Globals,
    pub(super) asked: Asked,
}

/// Text that is printed instead of running a command: help, a completion script, or what is wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) code: u8,
}

const SHOWS_COMMANDS: ErrorKind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

/// Flags that must not be given with an empty value, by etcdctl's rule.
const NEVER_EMPTY: [&str; 3] = ["cert", "key", "cacert"];

/// Parses a command line; environment variables replace flags that are not given.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Answer> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let dangling = arguments.last().is_some_and(|last| last == "--");
    let matches = match command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        // As etcdctl's: a group without a command shows its commands, and is no mistake.
        Err(error) if error.use_stderr() && error.kind() != SHOWS_COMMANDS => {
            let err = error.render().to_string() + &tip(&error, &arguments);
            // As diff(1): 1 says that something differs.
            let is_diff = arguments.iter().any(|word| word == "diff");
            return Err(Answer {
                err,
                code: if is_diff { diff::TROUBLE } else { ERROR },
                ..Answer::default()
            });
        }
        Err(error) => return Err(Answer { out: error.render().to_string(), ..Answer::default() }),
    };
    if let Some(("options", _)) = matches.subcommand() {
        return Err(Answer { out: global::help(), ..Answer::default() });
    }
    if let Some(("completion", asked)) = matches.subcommand() {
        return Err(Answer { out: completion_script(asked, command()), ..Answer::default() });
    }
    read(&matches, dangling).map_err(|failure| Answer {
        err: failure.to_string(),
        code: failure.code(),
        ..Answer::default()
    })
}

/// A line about commands that may have been meant, if clap has none.
fn tip(error: &clap::Error, arguments: &[OsString]) -> String {
    let unknown = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(unknown)) if error.get(ContextKind::SuggestedSubcommand).is_none() => {
            unknown
        }
        _ => return String::new(),
    };
    match &suggestion::close_to(unknown, &command(), arguments)[..] {
        [] => String::new(),
        close => format!("hint: did you mean {}?\n", close.join(" or ")),
    }
}

/// # Errors
/// With etcdctl's text and exit code.
fn read(matches: &ArgMatches, dangling: bool) -> Result<Invocation, Failure> {
    for name in NEVER_EMPTY {
        if matches.get_one::<String>(name).is_some_and(String::is_empty) {
            return Err(Failure::arguments(format!("empty string is passed to --{name} option")));
        }
    }
    let asked = asked(matches, dangling)?;
    let format = global::given(matches, "write-out", |text| {
        Format::parse(text).ok_or_else(|| "unsupported output format".to_string())
    });
    let format = format.map_err(|text| Failure::with_code(BAD_FEATURE, text))?;
    let format = format.unwrap_or_default();
    let globals = global::read(matches, format).map_err(Failure::error)?;
    if matches.get_one::<String>("text").is_some() && !matches!(format, Format::Json | Format::Yaml) {
        return Err(Failure::arguments("--text is only for `--write-out=json` and `--write-out=yaml`"));
    }
    Ok(Invocation { globals, asked })
}

/// # Errors
/// With etcdctl's text and exit code.
fn asked(matches: &ArgMatches, dangling: bool) -> Result<Asked, Failure> {
    let no_command = || Failure::with_code(BAD_FEATURE, "no command is given");
    let (name, own) = matches.subcommand().ok_or_else(no_command)?;
    let inner = || own.subcommand().ok_or_else(no_command);
    Ok(match name {
        "reload" => Asked::Daemon { request: Request::Reload, socket: admin_socket(own) },
        "rebuild" => Asked::Daemon { request: Request::Rebuild, socket: admin_socket(own) },
        "log-level" => {
            let [level] =
                flags::texts(own, "log-level command needs one argument: debug, info, warn or error")?;
            let request = Request::parse(&format!("log-level {level}"));
            let request = request.ok_or_else(|| Failure::arguments(format!("{level:?} is no log level")))?;
            Asked::Daemon { request, socket: admin_socket(own) }
        }
        "auth" => inner().and_then(|(name, own)| auth::read_auth(name, own)).map(Asked::Auth)?,
        "user" => inner().and_then(|(name, own)| auth::read_user(name, own)).map(Asked::User)?,
        "role" => inner().and_then(|(name, own)| auth::read_role(name, own)).map(Asked::Role)?,
        "lease" => inner().and_then(|(name, own)| lease::read(name, own)).map(Asked::Lease)?,
        "put" | "get" | "del" | "txn" | "compaction" => Asked::Data(data::read(name, own)?),
        "watch" => Asked::Watch(watch::read(own, dangling)?),
        "lock" => Asked::Lock(hold::read_lock(own)?),
        "elect" => Asked::Elect(hold::read_elect(own)?),
        "make-mirror" => Asked::Mirror(mirror::read(own)?),
        "version" => Asked::Version,
        "defrag" | "move-leader" => Asked::Cluster(cluster::read("", name, own)?),
        "snapshot" => match inner()? {
            ("save", own) => Asked::Cluster(cluster::read(name, "save", own)?),
            (name, own) => Asked::Offline(offline::read_snapshot(name, own)?),
        },
        "backup" => inner().and_then(|(name, own)| backup::read(name, own)).map(Asked::Backup)?,
        "recover" => inner().and_then(|(name, own)| offline::read_recover(name, own)).map(Asked::Offline)?,
        "migrate" => inner().and_then(|(_, own)| offline::read_migrate(own)).map(Asked::Offline)?,
        "status" => {
            let _: [String; 0] = flags::texts(own, "status accepts no arguments")?;
            Asked::Status
        }
        "doctor" => {
            let _: [String; 0] = flags::texts(own, "doctor accepts no arguments")?;
            Asked::Doctor
        }
        "edit" => Asked::Edit(edit::read(own)?),
        "top" => Asked::Top(top::read(own)?),
        "diff" => Asked::Diff(diff::read(own)?),
        "space" => Asked::Space(space::read(own)?),
        "check" => inner().and_then(|(name, own)| check::read(name, own)).map(Asked::Check)?,
        group => inner().and_then(|(name, own)| cluster::read(group, name, own)).map(Asked::Cluster)?,
    })
}

/// The whole command line, for parsing, help, completions and the man page.
pub fn command() -> Command {
    examples::shown(commands())
}

fn commands() -> Command {
    Command::new("kvctl")
        .about("The client of kvd, with etcdctl's commands and output")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .infer_subcommands(true)
        .args_override_self(true)
        .after_help(AFTER)
        .args(global::flags())
        .subcommand(reload())
        .subcommand(log_level())
        .subcommand(rebuild())
        .subcommands(data::commands())
        .subcommand(watch::command())
        .subcommand(lease::command())
        .subcommands(hold::commands())
        .subcommand(mirror::command())
        .subcommands(cluster::commands())
        .subcommand(backup::command())
        .subcommand(offline::migrate_command())
        .subcommand(offline::recover_command())
        .subcommands(auth::commands())
        .subcommand(flags::leaf("version", "version", "Print the version of kvctl, and that of the API"))
        .subcommand(completion("kvctl"))
        .subcommand(check::command())
        .subcommand(space::command())
        .subcommand(diff::command())
        .subcommand(edit::command())
        .subcommand(top::command())
        .subcommand(flags::leaf("doctor", "doctor", DOCTOR).after_help(DOCTOR_MORE))
        .subcommand(flags::leaf("status", "status", STATUS))
        .subcommand(flags::leaf("options", "options", "Print the flags that all commands have"))
}

const AFTER: &str = "Each global flag has a variable, too: KVCTL_ENDPOINTS or ETCDCTL_ENDPOINTS, and so on; a flag has priority. \
On a member's machine, everything else is taken from /etc/kv/cluster.toml. See kvctl(1).";

const DOCTOR: &str =
    "Look for problems of the cluster, its members and this machine, and say what to do about each";

const DOCTOR_MORE: &str = "Disks, connections between members, certificates, quota, backups, versions, UDP buffers. Exits with \
    1 if something fails.";

const STATUS: &str =
    "Print the whole cluster on one screen: members, roles, lag, size, backups, certificates, warnings";

fn reload() -> Command {
    Command::new("reload")
        .about("Make the kvd on this machine read its configuration again, and print the result")
        .after_help(
            "Waits for the result. Exits with 0 if the new configuration is in force (options that need a \
             restart are named), and with 1 if it was refused: kvd then keeps the old one.",
        )
        .arg(socket())
}

fn log_level() -> Command {
    flags::leaf("log-level", "log-level LEVEL", "Change what the kvd on this machine logs, without a restart")
        .after_help(
            "LEVEL is debug, info, warn or error. It counts until the configuration is read again (kvctl reload) or kvd \
             is restarted.",
        )
        .arg(socket())
}

fn rebuild() -> Command {
    Command::new("rebuild")
        .about("Replace the state of the kvd on this machine by that of its leader")
        .after_help(
            "For a member whose state was found wrong (alarm CORRUPT, metric kvd_state_differs). It keeps its identity, \
             its log and its votes, serves nothing in the meantime, and hands leadership over first if it leads. Its \
             alarm is disarmed in the end. A member that is alone cannot do that. Does not wait for the end.",
        )
        .arg(socket())
}

fn socket() -> clap::Arg {
    clap::Arg::new("admin-socket")
        .long("admin-socket")
        .value_name("PATH")
        .help("kvd's socket, instead of the one that its configuration names")
}

fn admin_socket(matches: &ArgMatches) -> Option<PathBuf> {
    matches.get_one::<String>("admin-socket").map(PathBuf::from)
}

/// Where kvctl looks for the daemon's configuration if nothing names it.
pub(super) fn default_config_file() -> PathBuf {
    PathBuf::from(DEFAULT_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parsed(line: &str) -> Result<Invocation, Answer> {
        parse(std::iter::once("kvctl").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn flags_stand_before_and_behind_the_command() {
        for line in [
            "-w json --endpoints=a:1,b:2 endpoint status",
            "endpoint status --write-out json --endpoints a:1,b:2",
        ] {
            let invocation = parsed(line).expect("understood");
            assert_eq!(invocation.globals.endpoints, Some(vec!["a:1".to_string(), "b:2".to_string()]));
            assert_eq!(invocation.globals.format, Format::Json);
            assert_eq!(
                invocation.asked,
                Asked::Cluster(Cluster::Status(Endpoints { cluster: false, wait: None }))
            );
        }
    }

    #[test]
    fn commands_may_be_cut_short_and_wait_takes_a_time_behind_an_equals_sign_only() {
        let Ok(Invocation { asked, .. }) = parsed("end hea --wait --cluster") else {
            panic!("not understood")
        };
        let forever = Endpoints { cluster: true, wait: Some(Duration::ZERO) };
        assert_eq!(asked, Asked::Cluster(Cluster::Health(forever)));
        let Ok(Invocation { asked, .. }) = parsed("mem li --consistency s") else { panic!("not understood") };
        assert_eq!(asked, Asked::Cluster(Cluster::List { serializable: true }));
        let Ok(Invocation { asked, .. }) = parsed("endpoint health --wait=1m30s") else {
            panic!("not understood")
        };
        let limited = Endpoints { cluster: false, wait: Some(Duration::from_secs(90)) };
        assert_eq!(asked, Asked::Cluster(Cluster::Health(limited)));
    }

    #[test]
    fn checks_have_etcdctls_loads_and_the_flags_of_all_commands_are_listed() {
        let Ok(Invocation { asked: Asked::Check(check), .. }) = parsed("check perf --load xLarge") else {
            panic!("not understood")
        };
        assert_eq!((check.load, check.prefix.as_str()), (Load::ExtraLarge, "/etcdctl-check-perf/"));
        assert_eq!(parsed("check datascale --load x").expect_err("no such load").code, 4);
        let options = parsed("options").expect_err("printed");
        assert!(options.code == 0 && options.out.contains("--keepalive-time"), "{options:?}");
    }

    #[test]
    fn shells_of_etcdctl_get_a_script_without_a_member() {
        for shell in ["bash", "zsh", "fish", "powershell"] {
            let answer = parsed(&format!("completion {shell}")).expect_err("a script");
            assert_eq!((answer.code, answer.err.as_str()), (0, ""));
            assert!(answer.out.contains("grant-permission"), "{shell}");
        }
        for line in ["completion", "completion elvish", "completion bash zsh"] {
            let answer = parsed(line).expect_err(line);
            assert_eq!((answer.code, answer.out.as_str()), (1, ""), "{line}");
        }
    }

    #[test]
    fn mistakes_have_the_exit_codes_of_etcdctl() {
        let code = |line: &str| parsed(line).expect_err(line).code;
        assert_eq!(code("endpoint status --foo"), 1);
        assert_eq!(code("nonsense"), 1);
        assert_eq!(code("member list extra"), 1);
        assert_eq!(code("member list --dial-timeout=xx"), 1);
        assert_eq!(code("member list -w nonsense"), 4);
        assert_eq!(code("member list --consistency x"), 4);
        // etcdctl: a flag's value that is none of its type.
        assert_eq!(code("endpoint health --wait=3"), 1);
        assert_eq!(code("endpoint status --dial-timeout=5"), 1);
        assert_eq!(code("endpoint status --hex=5"), 1);
        assert_eq!(code("member list --cert="), 128);
        assert_eq!(code("--help"), 0);
        for group in ["lease", "member", "endpoint", "alarm", "snapshot", "user", "role", "auth"] {
            let shown = parsed(group).expect_err(group);
            assert!(shown.code == 0 && shown.err.is_empty() && shown.out.contains("Commands:"), "{group}");
        }
    }
}
