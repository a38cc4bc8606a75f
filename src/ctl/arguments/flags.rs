//! What commands are made of, and how the values of their flags are read.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use crate::config::parse_duration;
use crate::ctl::failure::Failure;

/// The id of a command's arguments. How many there may be is checked by the command, with etcdctl's texts.
const ARGUMENTS: &str = "arguments";

/// A command; `usage` is its whole name and its arguments: `user get USER`.
pub(super) fn leaf(name: &'static str, usage: &'static str, about: &'static str) -> Command {
    let arguments = usage.find(|c: char| c.is_uppercase() || c == '[').map_or("", |at| &usage[at..]);
    let (path, arguments) = (usage[..usage.len() - arguments.len()].trim_end(), arguments.trim_end());
    let command = Command::new(name).about(about);
    let command =
        command.override_usage(format!("kvctl {path} [FLAG]... {arguments}").trim_end().to_string());
    command.arg(
        Arg::new(ARGUMENTS)
            .value_name(arguments)
            .num_args(0..)
            .value_parser(value_parser!(OsString))
            .value_hint(ValueHint::Other)
            .hide(true),
    )
}

/// A command that only has commands.
pub(super) fn group(name: &'static str, about: &'static str, commands: Vec<Command>) -> Command {
    let group = Command::new(name).about(about).infer_subcommands(true).subcommands(commands);
    group.subcommand_required(true).arg_required_else_help(true)
}

/// A flag of one command, with a value that is not a file.
pub(super) fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    let flag = Arg::new(name).long(name).value_name(value).help(help);
    flag.action(ArgAction::Set).allow_hyphen_values(true).value_hint(ValueHint::Other)
}

/// A flag that is on or off.
pub(super) fn switch(name: &'static str, help: &'static str) -> Arg {
    on_or_off(value(name, "BOOL", help))
}

/// Makes a flag one that is on or off: `--flag`, `--flag=false`.
pub(super) fn on_or_off(flag: Arg) -> Arg {
    let flag = offering(flag, &["true", "false"]).num_args(0..=1).require_equals(true);
    flag.allow_hyphen_values(false).default_missing_value("true")
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

/// Lets shells offer these values.
pub(super) fn offering(flag: Arg, values: &'static [&'static str]) -> Arg {
    flag.value_parser(Offered(values)).hide_possible_values(true)
}

/// A command's arguments.
pub(super) fn arguments(matches: &ArgMatches) -> Vec<Vec<u8>> {
    let given = matches.get_many::<OsString>(ARGUMENTS).into_iter().flatten();
    given.map(|argument| argument.clone().into_vec()).collect()
}

/// A command's arguments as texts, if their number is as it has to be.
///
/// # Errors
/// With `refusal` for another number.
pub(super) fn texts<const N: usize>(matches: &ArgMatches, refusal: &str) -> Result<[String; N], Failure> {
    let texts: Result<Vec<_>, _> = arguments(matches).into_iter().map(text).collect();
    texts?.try_into().map_err(|_| Failure::arguments(refusal))
}

/// Text for a message of the protocol.
///
/// # Errors
/// If it is not UTF-8: the protocol has no other text.
pub(super) fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
        Failure::arguments(format!("{shown:?} is not valid UTF-8"))
    })
}

/// True if the flag is given and not false.
pub(super) fn is_on(matches: &ArgMatches, name: &str) -> Result<bool, Failure> {
    let given = matches.get_one::<String>(name).map(|text| boolean(name, text)).transpose();
    Ok(given.map_err(Failure::error)?.unwrap_or(false))
}

/// A flag's text.
pub(super) fn given<'m>(matches: &'m ArgMatches, name: &str) -> Option<&'m str> {
    matches.get_one::<String>(name).map(String::as_str)
}

/// Go's spellings of booleans.
pub(super) fn boolean(name: &str, text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            "invalid argument {text:?} for \"--{name}\" flag: strconv.ParseBool: parsing {text:?}: invalid syntax"
        )),
    }
}

/// A duration in Go's spelling.
pub(super) fn duration(name: &str, text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("invalid argument {text:?} for \"--{name}\" flag: {error}"))
}

/// A whole number in Go's spelling; zero if the flag is not given.
pub(super) fn number(matches: &ArgMatches, name: &str) -> Result<i64, Failure> {
    let Some(text) = given(matches, name) else { return Ok(0) };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0b" | "0B") => (&digits[2..], 2),
        Some("0o" | "0O") => (&digits[2..], 8),
        _ => (digits, 10),
    };
    let read = i64::from_str_radix(&format!("{sign}{digits}"), radix);
    read.map_err(|error| {
        let reason = go_number("ParseInt", text, error.kind());
        Failure::error(format!("invalid argument {text:?} for \"--{name}\" flag: {reason}"))
    })
}

/// A number of bytes.
///
/// # Errors
/// Go's text.
pub(super) fn whole(name: &str, text: &str) -> Result<usize, String> {
    let read = text.parse::<i64>().map_err(|error| go_number("ParseInt", text, error.kind()));
    read.map(|number| usize::try_from(number).unwrap_or(0))
        .map_err(|reason| format!("invalid argument {text:?} for \"--{name}\" flag: {reason}"))
}

/// A signed number.
///
/// # Errors
/// Go's text.
pub(super) fn signed(text: &str, radix: u32) -> Result<i64, String> {
    i64::from_str_radix(text, radix).map_err(|error| go_number("ParseInt", text, error.kind()))
}

/// An id in hexadecimal.
///
/// # Errors
/// Go's text.
pub(super) fn id(text: &str) -> Result<u64, String> {
    let unsigned = if text.starts_with('+') { "" } else { text };
    u64::from_str_radix(unsigned, 16).map_err(|error| go_number("ParseUint", text, error.kind()))
}

fn go_number(function: &str, text: &str, kind: &std::num::IntErrorKind) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let reason =
        if matches!(kind, PosOverflow | NegOverflow) { "value out of range" } else { "invalid syntax" };
    format!("strconv.{function}: parsing {text:?}: {reason}")
}
