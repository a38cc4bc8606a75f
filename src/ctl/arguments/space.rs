//! `kvctl space`.

use clap::{ArgMatches, Command};

use super::flags::{arguments, given, is_on, leaf, number, switch, value};
use crate::ctl::failure::Failure;

/// What takes the space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Space {
    /// Only keys below it.
    pub(in crate::ctl) prefix: Vec<u8>,
    /// Groups are told apart by so many parts of the path behind the prefix.
    pub(in crate::ctl) depth: usize,
    /// How many groups are shown; the others are summed up.
    pub(in crate::ctl) limit: usize,
    /// Count the earlier versions, too.
    pub(in crate::ctl) history: bool,
}

/// The command.
pub(super) fn command() -> Command {
    let about = "Print which prefixes take how many keys and bytes, live and in the history";
    leaf("space", "space [PREFIX]", about)
        .after_help(
            "Reads all keys and, since the last compaction, all changes. What only the history holds goes away with \
             `kvctl compaction`.",
        )
        .args([
            value("depth", "NUMBER", "Group by so many parts of the path behind PREFIX [default: 1]"),
            value("limit", "NUMBER", "Show the largest groups only [default: 20]"),
            switch("history", "Read the history, too [default: true]"),
        ])
}

/// # Errors
/// For wrong arguments.
pub(super) fn read(matches: &ArgMatches) -> Result<Space, Failure> {
    let mut prefixes = arguments(matches).into_iter();
    let prefix = match (prefixes.next(), prefixes.next()) {
        (prefix, None) => prefix.unwrap_or_default(),
        (_, Some(_)) => return Err(Failure::arguments("space accepts one prefix")),
    };
    let positive = |name: &'static str, default: usize| match given(matches, name) {
        None => Ok(default),
        Some(_) => match usize::try_from(number(matches, name)?) {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(Failure::arguments(format!("--{name} must be at least 1"))),
        },
    };
    let history = given(matches, "history").is_none() || is_on(matches, "history")?;
    Ok(Space { prefix, depth: positive("depth", 1)?, limit: positive("limit", 20)?, history })
}
