//! The command line.

use crate::cases::{CASES, Case};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::{Path, PathBuf};

/// What to run and how.
pub struct Options {
    /// The kvd to measure.
    pub kvd: PathBuf,
    /// The etcd to compare it with.
    pub etcd: PathBuf,
    /// Further arguments for kvd, and for etcd.
    pub extra: [Vec<String>; 2],
    /// The cases that were selected.
    pub cases: Vec<&'static Case>,
    /// How often everything runs; medians are reported.
    pub rounds: usize,
    /// Measured seconds of a run of a case.
    pub seconds: f64,
    /// Keys of the case `many-keys`.
    pub keys: u64,
    /// Where data directories are made: a disk, not a memory file system.
    pub dir: PathBuf,
    /// Where to write the report as JSON and as Markdown.
    pub json: Option<PathBuf>,
    /// See `json`.
    pub markdown: Option<PathBuf>,
    /// End with an error if a target is missed.
    pub check: bool,
}

fn command() -> Command {
    let text = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help);
    let path = |name, help| text(name, help).value_name("PATH").value_parser(value_parser!(PathBuf));
    let flag = |name, help| text(name, help).action(ArgAction::SetTrue);
    let args = |name, help| {
        text(name, help).value_name("ARGUMENT").action(ArgAction::Append).allow_hyphen_values(true)
    };
    let rounds =
        text("rounds", "How often everything runs [default: 3]").value_parser(value_parser!(u16).range(1..));
    Command::new("compare")
        .about(
            "Compares kvd with a real etcd: the same load, the same machine, in turn; medians of all rounds.",
        )
        .arg(path("kvd", "The kvd to measure [default: the one just built]"))
        .arg(path("etcd", "The etcd to compare with [default: target/reference/3.5.1/etcd]"))
        .arg(args("kvd-arg", "A further argument for kvd"))
        .arg(args("etcd-arg", "A further argument for etcd"))
        .arg(
            text("cases", "Only these cases, or all whose name contains the word")
                .value_delimiter(',')
                .num_args(1..),
        )
        .arg(flag("list", "Print the names of the cases"))
        .arg(flag("quick", "One round of one second each with 100,000 keys, unless said otherwise"))
        .arg(rounds)
        .arg(text("seconds", "Measured seconds of each run [default: 5]").value_parser(value_parser!(f64)))
        .arg(
            text("keys", "Keys of many-keys, kilobytes of catch-up [default: 1000000]")
                .value_parser(value_parser!(u64).range(1_000..)),
        )
        .arg(path("dir", "Where data directories are made [default: target/bench]"))
        .arg(path("json", "Write the report there as JSON"))
        .arg(path("markdown", "Write the report there as Markdown"))
        .arg(flag("check", "End with an error if a target is missed"))
        // cargo bench passes it to every bench.
        .arg(flag("bench", "Ignored").hide(true))
}

impl Options {
    /// Reads the command line; `None` when it only asked for a list.
    pub fn parse() -> Result<Option<Options>, String> {
        let matches = command().get_matches();
        if matches.get_flag("list") {
            CASES.iter().for_each(|case| println!("{:<22} {}", case.id, case.title));
            return Ok(None);
        }
        let quick = matches.get_flag("quick");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
        // The servers are started in another directory.
        let path = |name: &str| {
            matches.get_one::<PathBuf>(name).map(|path| std::path::absolute(path).unwrap_or(path.clone()))
        };
        let etcd = path("etcd").unwrap_or_else(|| target.join("reference/3.5.1/etcd"));
        if !etcd.exists() {
            return Err(format!(
                "no etcd at {}: tests/bench/run fetches one, --etcd names one",
                etcd.display()
            ));
        }
        Ok(Some(Options {
            kvd: path("kvd").unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_kvd"))),
            etcd,
            extra: ["kvd-arg", "etcd-arg"].map(|name| words(&matches, name)),
            cases: select(&words(&matches, "cases"))?,
            rounds: matches.get_one::<u16>("rounds").map_or(if quick { 1 } else { 3 }, |&n| n.into()),
            seconds: matches
                .get_one::<f64>("seconds")
                .copied()
                .unwrap_or(if quick { 1.0 } else { 5.0 })
                .max(0.1),
            keys: matches.get_one::<u64>("keys").copied().unwrap_or(if quick { 100_000 } else { 1_000_000 }),
            dir: path("dir").unwrap_or_else(|| target.join("bench")),
            json: path("json"),
            markdown: path("markdown"),
            check: matches.get_flag("check"),
        }))
    }
}

fn words(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).unwrap_or_default().cloned().collect()
}

/// A word that equals a case's name selects that case; any other word selects all cases that contain it.
fn select(words: &[String]) -> Result<Vec<&'static Case>, String> {
    let is_name = |word: &String| CASES.iter().any(|case| case.id == word);
    let fits =
        |case: &Case, word: &String| case.id == word || !is_name(word) && case.id.contains(word.as_str());
    if let Some(word) = words.iter().find(|word| !CASES.iter().any(|case| fits(case, word))) {
        return Err(format!("no case is called like `{word}`; --list prints them"));
    }
    let is_wanted = |case: &&Case| match words {
        [] => !case.is_heavy(),
        words => words.iter().any(|word| fits(case, word)),
    };
    Ok(CASES.iter().filter(is_wanted).collect())
}
