//! The programs under test: kvd itself, and the etcds that `tests/provide` installed.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A server that can be tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// The daemon built by this cargo, or the one that `KVD_SUITE_PROGRAM` names.
    Kvd,
    /// A real etcd of this version.
    Etcd(String),
}

impl Program {
    /// The executable.
    pub fn path(&self) -> PathBuf {
        match self {
            Program::Kvd => std::env::var_os("KVD_SUITE_PROGRAM")
                .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_kvd")), PathBuf::from),
            Program::Etcd(version) => installed(version, "etcd"),
        }
    }

    /// True if this is the daemon under development and not a real etcd.
    pub fn is_kvd(&self) -> bool {
        *self == Program::Kvd
    }

    /// `major.minor` of the etcd whose behaviour is expected.
    pub fn level(&self) -> (u32, u32) {
        match self {
            Program::Kvd => (3, 7),
            Program::Etcd(version) => {
                let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
                (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
            }
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Program::Kvd => f.write_str("kvd"),
            Program::Etcd(version) => write!(f, "etcd {version}"),
        }
    }
}

/// The program under test: kvd, or the etcd that `KVD_SUITE_SUBJECT` names (to verify the suite).
pub fn subject() -> Program {
    match std::env::var("KVD_SUITE_SUBJECT") {
        Ok(version) => Program::Etcd(version),
        Err(_) => Program::Kvd,
    }
}

/// The newest real etcd that is installed, to compare with. `None` (printed once, with the test's name) if there is
/// none.
pub fn reference(test: &str) -> Option<Program> {
    let wanted = std::env::var("KVD_SUITE_REFERENCE").ok();
    for version in ["3.7.3", "3.5.1", "3.4.23"] {
        if wanted.as_deref().is_none_or(|wanted| wanted == version) && installed(version, "etcd").exists() {
            return Some(Program::Etcd(version.to_owned()));
        }
    }
    skip(test, "no etcd below target/reference; tests/provide installs one");
    None
}

/// The client program `name` of etcd `version`; `None` (printed with the test's name) if it is not installed.
pub fn tool(test: &str, version: &str, name: &str) -> Option<PathBuf> {
    let path = installed(version, name);
    if path.exists() {
        return Some(path);
    }
    let reason = format!("no {name} {version} below target/reference");
    match is_not_to_be_had(version) {
        true => say(&format!("left out in {test}: {reason}; this distribution has none")),
        false => skip(test, &format!("{reason}; tests/provide installs it")),
    }
    None
}

/// True if processes can be traced here; if not, that is printed with the test's name.
pub fn strace(test: &str) -> bool {
    let works = std::process::Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        skip(test, "strace is not installed (tests/provide installs it), or processes cannot be traced");
    }
    works
}

/// Prints that `test` cannot run here and why; fails it if everything is required.
pub fn skip(test: &str, reason: &str) {
    say(&format!("skipped {test}: {reason}"));
    assert!(std::env::var_os("KVD_TESTS_REQUIRE").is_none(), "{test} needs what is missing: {reason}");
}

/// True if `tests/provide` found that this distribution has no etcd of this version.
fn is_not_to_be_had(version: &str) -> bool {
    let without = std::env::var("KVD_TESTS_WITHOUT").unwrap_or_default();
    without.split_whitespace().any(|one| one == version)
}

/// The seed of this run: `KVD_SEED`, or one from the clock. Printed with the command that replays it, even if the test
/// runner captures output.
pub fn seed(test: &str) -> u64 {
    let seed = match std::env::var("KVD_SEED") {
        Ok(text) => text.parse().expect("KVD_SEED is a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_micros() as u64),
    };
    say(&format!("seed of {test}: KVD_SEED={seed} cargo test --test suite {test}"));
    seed
}

/// Prints a line that is visible even if the test passes (the test runner captures only print macros).
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn installed(version: &str, name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
    target.join("reference").join(version).join(name)
}
