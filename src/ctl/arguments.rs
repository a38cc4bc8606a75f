//! The command line: etcdctl's commands and flags, with clap.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use super::failure::{BAD_FEATURE, ERROR};
use super::print::Format;
use crate::config::{DEFAULT_FILE, parse_duration};

/// A command with its own flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Make the daemon on this machine read its configuration again.
    Reload {
        /// The daemon's socket.
        socket: Option<PathBuf>,
    },
    /// Check whether endpoints answer.
    EndpointHealth(Endpoints),
    /// Show the status of endpoints.
    EndpointStatus(Endpoints),
    /// The cluster's members.
    MemberList {
        /// As the member that is asked knows them, without asking the others (`--consistency s`).
        serializable: bool,
    },
}

/// Which endpoints a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoints {
    /// Those of all members.
    pub(super) cluster: bool,
    /// Try until all are healthy, for this long; zero means for ever.
    pub(super) wait: Option<Duration>,
}

/// Flags of every command. `None` if the flag was not given and another source may have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Globals {
    pub(super) endpoints: Option<Vec<String>>,
    pub(super) cacert: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) insecure_transport: bool,
    pub(super) insecure_skip_tls_verify: bool,
    pub(super) dial_timeout: Duration,
    pub(super) command_timeout: Duration,
    pub(super) format: Format,
    pub(super) hex: bool,
    pub(super) config_file: Option<PathBuf>,
}

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) globals: Globals,
    pub(super) asked: Asked,
}

/// Text that is printed instead of running a command: help, or what is wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) code: u8,
}

/// Flags that must not be given with an empty value, by etcdctl's rule.
const NEVER_EMPTY: [&str; 3] = ["cert", "key", "cacert"];

/// Parses a command line; environment variables replace flags that are not given.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Answer> {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => {
            return Err(Answer { err: error.render().to_string(), code: ERROR, ..Answer::default() });
        }
        Err(error) => return Err(Answer { out: error.render().to_string(), ..Answer::default() }),
    };
    let refused =
        |text: String, code: u8| Answer { err: format!("Error: {text}\n"), code, ..Answer::default() };
    for name in NEVER_EMPTY {
        if matches.get_one::<String>(name).is_some_and(String::is_empty) {
            let text = format!("empty string is passed to --{name} option");
            return Err(refused(text, super::failure::BAD_ARGUMENTS));
        }
    }
    let asked = asked(&matches).map_err(|(text, code)| refused(text, code))?;
    let format = given(&matches, "write-out", |text| {
        Format::parse(text).ok_or_else(|| "unsupported output format".to_string())
    })
    .map_err(|text| refused(text, BAD_FEATURE))?;
    let globals = globals(&matches, format.unwrap_or(Format::Simple)).map_err(|text| refused(text, ERROR))?;
    Ok(Invocation { globals, asked })
}

/// # Errors
/// With etcdctl's text and exit code.
fn asked(matches: &ArgMatches) -> Result<Asked, (String, u8)> {
    let no_command = || ("no command is given".to_string(), BAD_FEATURE);
    match matches.subcommand() {
        Some(("reload", matches)) => {
            Ok(Asked::Reload { socket: matches.get_one::<String>("admin-socket").map(PathBuf::from) })
        }
        Some(("endpoint", matches)) => match matches.subcommand() {
            Some(("status", matches)) => Ok(Asked::EndpointStatus(endpoints(matches)?)),
            Some((_, matches)) => Ok(Asked::EndpointHealth(endpoints(matches)?)),
            None => Err(no_command()),
        },
        Some(("member", matches)) => {
            let consistency =
                matches.subcommand().and_then(|(_, list)| list.get_one::<String>("consistency"));
            match consistency.map_or("l", String::as_str) {
                "l" => Ok(Asked::MemberList { serializable: false }),
                "s" => Ok(Asked::MemberList { serializable: true }),
                other => Err((format!("unknown consistency flag {other:?}"), BAD_FEATURE)),
            }
        }
        _ => Err(no_command()),
    }
}

fn endpoints(matches: &ArgMatches) -> Result<Endpoints, (String, u8)> {
    let wait = matches.get_one::<String>("wait").map(|text| duration("wait", text)).transpose();
    let wait = wait.map_err(|text| (text, ERROR))?;
    Ok(Endpoints { cluster: matches.get_flag("cluster"), wait })
}

fn globals(matches: &ArgMatches, format: Format) -> Result<Globals, String> {
    let path = |name: &str| given(matches, name, |text| Ok(PathBuf::from(text)));
    let timeout = |name: &str, default: u64| {
        let given = given(matches, name, |text| duration(name, text))?;
        Ok::<_, String>(given.unwrap_or(Duration::from_secs(default)))
    };
    let switch = |name: &str, default: bool| {
        let given = given(matches, name, |text| {
            boolean(text).ok_or_else(|| {
                format!(
                    "invalid argument {text:?} for \"--{name}\" flag: strconv.ParseBool: parsing {text:?}: invalid syntax"
                )
            })
        })?;
        Ok::<_, String>(given.unwrap_or(default))
    };
    let list = |text: &str| Ok(text.split(',').map(str::to_string).collect());
    Ok(Globals {
        endpoints: given(matches, "endpoints", list)?,
        cacert: path("cacert")?,
        cert: path("cert")?,
        key: path("key")?,
        insecure_transport: switch("insecure-transport", true)?,
        insecure_skip_tls_verify: switch("insecure-skip-tls-verify", false)?,
        dial_timeout: timeout("dial-timeout", 2)?,
        command_timeout: timeout("command-timeout", 5)?,
        format,
        hex: switch("hex", false)?,
        config_file: path("config-file")?,
    })
}

/// A flag's value, or that of its variable: KVCTL_NAME before ETCDCTL_NAME. A variable that is empty or cannot be
/// parsed counts as not set, as in etcdctl.
fn given<T>(
    matches: &ArgMatches,
    name: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if let Some(text) = matches.get_one::<String>(name) {
        return read(text).map(Some);
    }
    let variable = name.to_ascii_uppercase().replace('-', "_");
    let values = ["KVCTL_", "ETCDCTL_"].map(|prefix| std::env::var(format!("{prefix}{variable}")));
    let mut values = values.into_iter().flatten().filter(|value| !value.is_empty());
    Ok(values.find_map(|value| read(&value).ok()))
}

fn duration(name: &str, text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("invalid argument {text:?} for \"--{name}\" flag: {error}"))
}

/// Go's spellings of booleans.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The whole command line, for parsing, help, completions and the man page.
pub fn command() -> Command {
    Command::new("kvctl")
        .about("The client of kvd, with etcdctl's commands and output")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .infer_subcommands(true)
        .after_help(AFTER)
        .args(global_flags())
        .subcommand(reload())
        .subcommand(endpoint())
        .subcommand(member())
}

const AFTER: &str = "Each global flag has a variable, too: KVCTL_ENDPOINTS or ETCDCTL_ENDPOINTS, and so on; a flag has priority. \
On a member's machine, everything else is taken from /etc/kv/cluster.toml. See kvctl(1).";

fn flag(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help).global(true).action(ArgAction::Set)
}

/// A flag that is no file's name: shells offer none.
fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    flag(name, value, help).value_hint(ValueHint::Other)
}

/// Values that shells offer. Others are refused later, as etcdctl refuses them.
#[derive(Clone)]
struct Offered(&'static [&'static str]);

impl TypedValueParser for Offered {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

fn offering(flag: Arg, values: &'static [&'static str]) -> Arg {
    flag.value_parser(Offered(values)).hide_possible_values(true)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    offering(flag(name, "BOOL", help), &["true", "false"])
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
}

fn global_flags() -> Vec<Arg> {
    let formats = "simple (default), table, json or fields";
    vec![
        text(
            "endpoints",
            "HOST:PORT,...",
            "Members to connect to; http://, https:// and unix:// are accepted",
        ),
        flag("cacert", "FILE", "The CA that signs the servers' certificates (PEM)"),
        flag("cert", "FILE", "A client certificate (PEM)"),
        flag("key", "FILE", "The certificate's key (PEM)"),
        offering(flag("write-out", "FORMAT", formats), &["simple", "table", "json", "fields"]).short('w'),
        switch("hex", "Print ids in hexadecimal (member list in json and fields)"),
        text("dial-timeout", "DURATION", "How long to try to connect [default: 2s]"),
        text("command-timeout", "DURATION", "How long to wait for an answer [default: 5s]"),
        switch(
            "insecure-transport",
            "Connect without TLS if no certificates are given; false: with TLS [default: true]",
        ),
        switch("insecure-skip-tls-verify", "Accept any server certificate: for tests only"),
        flag(
            "config-file",
            "FILE",
            "Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml",
        ),
    ]
}

fn reload() -> Command {
    Command::new("reload")
        .about("Make the kvd on this machine read its configuration again, and print the result")
        .after_help(
            "Waits for the result. Exits with 0 if the new configuration is in force (options that need a \
             restart are named), and with 1 if it was refused: kvd then keeps the old one.",
        )
        .arg(
            Arg::new("admin-socket")
                .long("admin-socket")
                .value_name("PATH")
                .help("kvd's socket, instead of the one that its configuration names"),
        )
}

fn endpoint() -> Command {
    let cluster = Arg::new("cluster")
        .long("cluster")
        .action(ArgAction::SetTrue)
        .help("Use the endpoints of all members, as the cluster lists them");
    let wait = Arg::new("wait")
        .long("wait")
        .value_name("DURATION")
        .value_hint(ValueHint::Other)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("0s")
        .help("Repeat until all are good, for ever or for at most this long");
    Command::new("endpoint")
        .about("Show the state of each member")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .infer_subcommands(true)
        .subcommand(
            Command::new("health")
                .about("Check whether each endpoint answers a read that needs a quorum")
                .args([cluster.clone(), wait.clone()]),
        )
        .subcommand(
            Command::new("status")
                .about("Print version, size, leader and raft's state of each endpoint")
                .args([cluster, wait]),
        )
}

fn member() -> Command {
    let consistency = Arg::new("consistency")
        .long("consistency")
        .value_name("l|s")
        .help("Linearizable, or serializable: as the member that is asked knows them [default: l]");
    let consistency = offering(consistency, &["l", "s"]);
    Command::new("member")
        .about("The cluster's members")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .infer_subcommands(true)
        .subcommand(Command::new("list").about("List all members").arg(consistency))
}

/// Where kvctl looks for the daemon's configuration if nothing names it.
pub(super) fn default_config_file() -> PathBuf {
    PathBuf::from(DEFAULT_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(invocation.asked, Asked::EndpointStatus(Endpoints { cluster: false, wait: None }));
        }
    }

    #[test]
    fn commands_may_be_cut_short_and_wait_takes_a_time_behind_an_equals_sign_only() {
        let Ok(Invocation { asked, .. }) = parsed("end hea --wait --cluster") else {
            panic!("not understood")
        };
        let forever = Endpoints { cluster: true, wait: Some(Duration::ZERO) };
        assert_eq!(asked, Asked::EndpointHealth(forever));
        let Ok(Invocation { asked, .. }) = parsed("mem li --consistency s") else { panic!("not understood") };
        assert_eq!(asked, Asked::MemberList { serializable: true });
        let Ok(Invocation { asked, .. }) = parsed("endpoint health --wait=1m30s") else {
            panic!("not understood")
        };
        let limited = Endpoints { cluster: false, wait: Some(Duration::from_secs(90)) };
        assert_eq!(asked, Asked::EndpointHealth(limited));
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
    }
}
