//! The frame that clap holds: sub-commands and help.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint};

use super::completion;
use crate::config::options::{self, Effect, Kind, OptionSpec, Section};
use crate::config::source::is_flag;

/// The whole command, server flags included, as clap sees it: for help and for shell completions.
pub fn command() -> Command {
    let mut command = Command::new("kvd")
        .about("A strongly consistent key-value store that speaks etcd's protocols")
        .override_usage(
            "kvd [OPTION]...\n       kvd check [--json] [OPTION]...\n       kvd config show|diff|from-etcd|dropin\n       kvd secret new [FILE]\n       kvd completion SHELL",
        )
        .after_help(AFTER)
        .disable_version_flag(true)
        .subcommand_required(false)
        .subcommand(check())
        .subcommand(config())
        .subcommand(secret())
        .subcommand(completion("kvd"));
    // clap has a --help of its own, which the sub-commands share.
    for spec in options::all().filter(|spec| spec.name != "help") {
        command = command.arg(argument(spec));
    }
    command
}

const AFTER: &str = "Options may have one dash or two; a value follows an equals sign or stands in the next argument, \
for a boolean only behind the equals sign. Each option is also an environment variable (ETCD_NAME, KVD_CLUSTER_SECRET) \
and a key in /etc/kv/cluster.toml. A flag wins over a variable, a variable over the file. Options of etcd that change \
nothing here are accepted. See kvd(8) and cluster.toml(5).";

const READS: &str =
    "Every option of `kvd` may follow; files and environment are read as a start would read them.";

fn check() -> Command {
    Command::new("check")
        .about("Tell whether the configuration is good (exit 0) or not (exit 78)")
        .after_help(READS)
        .arg(switch("json", "Print findings as JSON"))
}

fn config() -> Command {
    let file = |help: &'static str| Arg::new("file").value_name("FILE").help(help);
    Command::new("config")
        .about("Look at the configuration, or make one from etcd's")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("show")
                .about("Print the values in force; secrets are masked")
                .after_help(READS)
                .arg(switch("origin", "With the origin of each value"))
                .arg(switch("json", "As JSON, with origins")),
        )
        .subcommand(
            Command::new("diff")
                .about("Print what differs from the defaults, or from another file")
                .after_help(READS)
                .arg(file("The file to compare with, read alone, without flags and environment")),
        )
        .subcommand(
            Command::new("from-etcd")
                .about("Turn what sets up an etcd into a cluster.toml on standard output")
                .arg(file("etcd.conf.yml, /etc/default/etcd, a systemd unit, a pod manifest, a compose file, a cloud-config, or a command line").required(true)),
        )
        .subcommand(
            Command::new("dropin")
                .about("Let kvd.service write where data-dir, wal-dir and log files are; as root")
                .after_help(READS),
        )
}

fn secret() -> Command {
    let file = Arg::new("file")
        .value_name("FILE")
        .help("The file to make, with mode 0600; without it: standard output");
    Command::new("secret")
        .about("The secret by which members know each other")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("new").about("Make a secret for a new cluster").arg(file))
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// A server flag. clap shows it; its value is read elsewhere.
fn argument(spec: &'static OptionSpec) -> Arg {
    let hidden = !matches!(spec.effect, Effect::Acts);
    let mut help = spec.description();
    if !spec.default.is_empty() && spec.section != Section::Program {
        help.push_str(&format!(" [default: {}]", spec.default));
    }
    let argument =
        Arg::new(spec.name).long(spec.name).help(help).help_heading(spec.section.title()).hide(hidden);
    match spec.kind {
        Kind::Bool | Kind::Anything if spec.section == Section::Program => {
            argument.action(ArgAction::SetTrue)
        }
        Kind::Bool | Kind::Anything => suggesting(argument, &["true", "false"])
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::Choice(choices) => suggesting(argument, choices).value_name(spec.kind.placeholder()),
        // Shells offer files for these only; a list may hold some.
        kind @ (Kind::Path | Kind::List) => argument.value_name(kind.placeholder()),
        kind => argument.value_name(kind.placeholder()).value_hint(ValueHint::Other),
    }
}

/// Shells offer these values; the help has them in its placeholder.
fn suggesting(argument: Arg, values: &'static [&'static str]) -> Arg {
    let values = values.iter().filter(|value| !value.is_empty());
    argument.value_parser(PossibleValuesParser::new(values)).hide_possible_values(true)
}

/// What `kvd --help` prints.
pub(super) fn help() -> String {
    command().render_long_help().to_string()
}

/// True for the first words that begin a sub-command.
pub(super) fn is_sub_command(word: &str) -> bool {
    matches!(word, "check" | "completion" | "config" | "secret" | "help")
}

/// Separates a sub-command's own arguments, which clap reads, from server flags, which have Go's syntax. What nobody
/// knows goes to the server flags, whose reader knows what might have been meant.
pub(super) fn separate(arguments: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut own, mut server) = (Vec::new(), Vec::new());
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        if !is_flag(argument) {
            let words: Vec<&str> = own.iter().map(String::as_str).filter(|word| !is_flag(word)).collect();
            let complete = matches!(words.as_slice(), ["check"] | ["config", "show" | "dropin"]);
            if complete { &mut server } else { &mut own }.push(argument.clone());
            continue;
        }
        let body = argument.trim_start_matches('-');
        let (name, inline) = body.split_once('=').map_or((body, false), |(name, _)| (name, true));
        if matches!(name, "json" | "origin" | "help" | "h") {
            own.push(format!("{}{body}", if name == "h" { "-" } else { "--" }));
            continue;
        }
        server.push(argument.clone());
        match options::find(name) {
            _ if inline => {}
            Some(spec) if spec.kind.is_switch() => {}
            Some(_) => server.extend(rest.next().cloned()),
            None => server.extend(rest.next_if(|next| !is_flag(next)).cloned()),
        }
    }
    (own, server)
}
