//! `watch`, and the lines of `watch -i`.

use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};

use super::data::{GLOB, PATTERNS};
use super::flags::{arguments, is_on, leaf, number, switch, value};
use crate::api::proto::etcdserverpb::WatchCreateRequest;
use crate::ctl::failure::Failure;
use crate::ctl::glob::Glob;
use crate::ctl::keys::with_prefix;
use crate::ctl::print::quoted;

const EXEC: &str = "exec";

/// `watch`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ctl) enum Watch {
    /// Watches are read from standard input.
    Interactive,
    One(Watched),
}

/// What is watched, and the command that each event runs.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ctl) struct Watched {
    pub(in crate::ctl) request: WatchCreateRequest,
    /// Only keys that match.
    pub(in crate::ctl) glob: Option<Glob>,
    /// Nothing runs if it is empty.
    pub(in crate::ctl) command: Vec<OsString>,
}

/// Keys that the environment names.
#[derive(Clone, Debug, Default)]
struct Variables {
    key: Option<String>,
    end: Option<String>,
}

impl Variables {
    /// # Errors
    /// For an end without a key.
    fn read() -> Result<Self, Failure> {
        let read = |name: &str| {
            let values = ["KVCTL_", "ETCDCTL_"].map(|prefix| std::env::var(format!("{prefix}{name}")));
            values.into_iter().flatten().find(|value| !value.is_empty())
        };
        match (read("WATCH_KEY"), read("WATCH_RANGE_END")) {
            (None, Some(end)) => {
                let text =
                    format!("ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={}", quoted(&end));
                Err(Failure::arguments(text))
            }
            (key, end) => Ok(Self { key, end }),
        }
    }
}

pub(super) fn command() -> Command {
    leaf("watch", "watch [KEY] [RANGE_END] [-- COMMAND ARGUMENT...]", "Print each change of a key or a range of keys")
        .after_help(
            "COMMAND runs for each change, with the variables ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY \
             and ETCD_WATCH_VALUE, the last three in quotes. KVCTL_WATCH_KEY and KVCTL_WATCH_RANGE_END replace the \
             arguments. "
                .to_string()
                + PATTERNS,
        )
        .args(flags())
        .arg(switch("interactive", "Read `watch KEY` and `progress` from standard input").short('i'))
}

fn flags() -> [Arg; 6] {
    [
        switch(GLOB, "All keys that match KEY, a pattern: 'a/*/b', see below"),
        switch("prefix", "All keys that begin with KEY"),
        value("rev", "REVISION", "Begin with the changes of this revision"),
        switch("prev-kv", "Print what the key was before"),
        switch("progress-notify", "Print the revision now and then if nothing changes"),
        Arg::new(EXEC)
            .last(true)
            .num_args(0..)
            .hide(true)
            .value_parser(value_parser!(OsString))
            .value_hint(ValueHint::CommandWithArguments),
    ]
}

/// The command line; `dangling` if it ends with `--`.
///
/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read(matches: &ArgMatches, dangling: bool) -> Result<Watch, Failure> {
    let variables = Variables::read()?;
    match is_on(matches, "interactive")? {
        true => Ok(Watch::Interactive),
        false => watched(matches, dangling, &variables).map(Watch::One),
    }
}

/// A line of `watch -i`, behind the word `watch`. The inner error is for a range that cannot be watched, after which
/// others can be.
///
/// # Errors
/// With etcdctl's text and exit code.
pub(in crate::ctl) fn line(words: Vec<OsString>) -> Result<Option<Watched>, Failure> {
    let variables = Variables::read()?;
    if words.is_empty() && variables.key.is_none() {
        return Ok(None);
    }
    let dangling = words.last().is_some_and(|word| word == "--");
    let command = leaf("watch", "watch", "").no_binary_name(true).args_override_self(true).args(flags());
    let matches = command.try_get_matches_from(words);
    let matches = matches.map_err(|error| Failure::arguments(error.kind().to_string()))?;
    watched(&matches, dangling, &variables).map(Some)
}

fn watched(matches: &ArgMatches, dangling: bool, variables: &Variables) -> Result<Watched, Failure> {
    const WRONG: &str = "bad number of arguments";
    let command: Vec<OsString> = matches.get_many::<OsString>(EXEC).into_iter().flatten().cloned().collect();
    if dangling && command.is_empty() {
        return Err(Failure::arguments(format!("{WRONG} (found separator --, but no commands)")));
    }
    let mut keys = arguments(matches);
    if let Some(key) = &variables.key {
        if !keys.is_empty() {
            return Err(Failure::arguments(format!("{WRONG} (found conflicting environment key)")));
        }
        keys = std::iter::once(key).chain(&variables.end).map(|key| key.clone().into_bytes()).collect();
    }
    let prefix = is_on(matches, "prefix")?;
    let is_glob = is_on(matches, GLOB)?;
    let glob = match &keys[..] {
        [key] if is_glob && !prefix => Some(Glob::parse(key).map_err(Failure::arguments)?),
        [_, ..] if is_glob => {
            return Err(Failure::arguments("`--glob` takes one pattern, without `--prefix` and range_end"));
        }
        _ => None,
    };
    let (key, range_end) = match keys.as_mut_slice() {
        [] => return Err(Failure::arguments(WRONG)),
        [_, _] if prefix => {
            return Err(Failure::arguments("`range_end` and `--prefix` are mutually exclusive"));
        }
        [key, end] => (std::mem::take(key), std::mem::take(end)),
        [key, ..] if prefix => with_prefix(std::mem::take(key)),
        [key, ..] => (std::mem::take(key), Vec::new()),
    };
    let (key, range_end) = glob.as_ref().map_or((key, range_end), Glob::range);
    let request = WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision: number(matches, "rev")?,
        progress_notify: is_on(matches, "progress-notify")?,
        prev_kv: is_on(matches, "prev-kv")?,
        ..Default::default()
    };
    Ok(Watched { request, glob, command })
}
