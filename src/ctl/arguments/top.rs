//! `kvctl top`.

use std::time::Duration;

use clap::{ArgMatches, Command};

use super::flags::{duration, given, is_on, leaf, switch, texts, value};
use crate::ctl::failure::Failure;

/// How often the members are asked at most.
const LEAST: Duration = Duration::from_millis(200);

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Top {
    /// The pause between two looks.
    pub(in crate::ctl) interval: Duration,
    /// Count changes by prefix.
    pub(in crate::ctl) hot: bool,
}

/// The command.
pub(super) fn command() -> Command {
    leaf("top", "top", "Show the cluster at work: requests, times, lag, watchers, memory of each member")
        .after_help(
            "For a terminal of at least 80 columns; q ends it. Times are the bounds below which 99 of 100 requests or flushes \
             of the log were since the last look. --hot watches all keys, so the members send every change to it.",
        )
        .args([
            value("interval", "DURATION", "The pause between two looks, at least 200ms [default: 2s]"),
            switch("hot", "Count changes by prefix, too"),
        ])
}

/// # Errors
/// For wrong arguments.
pub(super) fn read(matches: &ArgMatches) -> Result<Top, Failure> {
    let _: [String; 0] = texts(matches, "top accepts no arguments")?;
    let interval = given(matches, "interval").map(|text| duration("interval", text)).transpose();
    let interval = interval.map_err(Failure::error)?.unwrap_or(Duration::from_secs(2));
    if interval < LEAST {
        return Err(Failure::arguments("--interval must be at least 200ms"));
    }
    Ok(Top { interval, hot: is_on(matches, "hot")? })
}
