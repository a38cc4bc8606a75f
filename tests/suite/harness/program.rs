//! The programs under test, shared by the tests of processes and of clusters: kvd itself, and the etcds that
//! `tests/provide` installed.

use std::io::Write;
use std::path::{Path, PathBuf};

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
}

/// The program under test: kvd, or the etcd that `KVD_SUITE_SUBJECT` names (to verify the suite).
pub fn subject() -> Program {
    match std::env::var("KVD_SUITE_SUBJECT") {
        Ok(version) => Program::Etcd(version),
        Err(_) => Program::Kvd,
    }
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

/// Prints a line that is visible even if the test passes (the test runner captures only print macros).
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The path of the program `name` of etcd `version`, whether or not it is there.
pub fn installed(version: &str, name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
    target.join("reference").join(version).join(name)
}
