//! The programs under test: kvd itself, and the etcds that `tests/provide` installed.

use std::path::{Path, PathBuf};

/// A server that can be tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// The daemon built by this cargo.
    Kvd,
    /// A real etcd of this version.
    Etcd(String),
}

impl Program {
    /// The executable.
    pub fn path(&self) -> PathBuf {
        match self {
            Program::Kvd => PathBuf::from(env!("CARGO_BIN_EXE_kvd")),
            Program::Etcd(version) => installed(version, "etcd"),
        }
    }

    pub fn is_kvd(&self) -> bool {
        *self == Program::Kvd
    }
}

/// The program under test: kvd, or the etcd that `KVD_SUITE_SUBJECT` names (to verify the tests).
pub fn subject() -> Program {
    std::env::var("KVD_SUITE_SUBJECT").map_or(Program::Kvd, Program::Etcd)
}

/// etcdctl of a version; `None` (printed with the test's name) if it is not installed.
pub fn etcdctl(test: &str, version: &str) -> Option<PathBuf> {
    let path = installed(version, "etcdctl");
    if path.exists() {
        return Some(path);
    }
    let reason = format!("no etcdctl {version} below target/reference");
    match is_not_to_be_had(version) {
        true => eprintln!("left out in {test}: {reason}; this distribution has none"),
        false => leave_out(test, &format!("{reason}; tests/provide installs it")),
    }
    None
}

/// True if `tests/provide` found that this distribution has no etcd of this version.
fn is_not_to_be_had(version: &str) -> bool {
    let without = std::env::var("KVD_TESTS_WITHOUT").unwrap_or_default();
    without.split_whitespace().any(|one| one == version)
}

/// Prints that `test` cannot run here and why; fails it if everything is required.
pub fn leave_out(test: &str, reason: &str) {
    eprintln!("left out: {test}: {reason}");
    assert!(std::env::var_os("KVD_TESTS_REQUIRE").is_none(), "{test} needs what is missing: {reason}");
}

fn installed(version: &str, name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
    target.join("reference").join(version).join(name)
}
