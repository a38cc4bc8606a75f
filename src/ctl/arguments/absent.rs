//! Commands of etcdctl that kvctl does not have: they are known, so that the error can say where they are.

use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::ctl::failure::Failure;

/// Their names at the top level.
pub(super) const NAMES: [&str; 2] = ["check", "options"];

/// Hidden from help and from the manual.
pub(super) fn commands() -> Vec<Command> {
    let rest = || Arg::new("rest").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true);
    let command = |name| {
        let command = Command::new(name).hide(true).disable_help_flag(true);
        command.arg(rest().value_parser(value_parser!(OsString)))
    };
    NAMES.into_iter().map(command).collect()
}

/// The error, with the command line that does it.
pub(super) fn refusal(name: &str, matches: &ArgMatches) -> Failure {
    let rest = matches.get_many::<OsString>("rest").into_iter().flatten();
    let rest: String = rest.map(|word| format!(" {}", word.to_string_lossy())).collect();
    let hint = format!("etcdctl has it, and works with kvd: etcdctl {name}{rest}");
    Failure::error(format!("kvctl has no command {name:?}")).hint(Some(hint))
}
