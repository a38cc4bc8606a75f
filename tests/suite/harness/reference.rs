//! What the tests compare kvd with, and on what conditions they run.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::program::{Program, installed, say, skip};

impl Program {
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

/// True if processes can be traced here; if not, that is printed with the test's name.
pub fn strace(test: &str) -> bool {
    let works = std::process::Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        skip(test, "strace is not installed (tests/provide installs it), or processes cannot be traced");
    }
    works
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
