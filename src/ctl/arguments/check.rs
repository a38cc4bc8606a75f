//! The group `check`.

use clap::{ArgMatches, Command};

use super::flags::{given, group, is_on, leaf, offering, switch, texts, value};
use crate::ctl::failure::{BAD_FEATURE, Failure};

/// A check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Check {
    pub(in crate::ctl) kind: Kind,
    pub(in crate::ctl) load: Load,
    /// All keys of the check are below it.
    pub(in crate::ctl) prefix: String,
    pub(in crate::ctl) compact: bool,
    pub(in crate::ctl) defragment: bool,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum Kind {
    /// How fast writes are.
    Performance,
    /// How much memory data take.
    Scale,
}

/// How much is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum Load {
    Small,
    Medium,
    Large,
    ExtraLarge,
}

/// The group.
pub(super) fn command() -> Command {
    let check = |name, usage, about, prefix: &'static str| {
        let loads = "How much is written: s, m, l or xl [default: s]";
        leaf(name, usage, about).args([
            offering(value("load", "s|m|l|xl", loads), &["small", "medium", "large", "xLarge"]),
            value("prefix", "PREFIX", prefix),
            switch("auto-compact", "Compact at the end"),
            switch("auto-defrag", "Defragment at the end"),
        ])
    };
    let perf = "Write for a minute, and say whether the cluster is fast enough";
    let scale = "Write many keys, and say how much memory they take on the first endpoint";
    let commands = vec![
        check(
            "perf",
            "check perf",
            perf,
            "Where its keys go, and are deleted [default: /etcdctl-check-perf/]",
        ),
        check(
            "datascale",
            "check datascale",
            scale,
            "Where its keys go, and are deleted [default: /etcdctl-check-datascale/]",
        ),
    ];
    group("check", "Try what the cluster can do: it writes, and deletes what it has written", commands)
}

/// A check.
///
/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read(name: &str, matches: &ArgMatches) -> Result<Check, Failure> {
    let _: [String; 0] = texts(matches, &format!("check {name} accepts no arguments"))?;
    let (kind, prefix) = match name {
        "perf" => (Kind::Performance, "/etcdctl-check-perf/"),
        _ => (Kind::Scale, "/etcdctl-check-datascale/"),
    };
    let load = match given(matches, "load").unwrap_or("s") {
        "s" | "small" => Load::Small,
        "m" | "medium" => Load::Medium,
        "l" | "large" => Load::Large,
        "xl" | "xLarge" => Load::ExtraLarge,
        other => return Err(Failure::with_code(BAD_FEATURE, format!("unknown load option {other}"))),
    };
    Ok(Check {
        kind,
        load,
        prefix: given(matches, "prefix").unwrap_or(prefix).to_string(),
        compact: is_on(matches, "auto-compact")?,
        defragment: is_on(matches, "auto-defrag")?,
    })
}
