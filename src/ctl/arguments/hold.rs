//! `lock` and `elect`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::{ArgMatches, Command};

use super::flags::{arguments, given, is_on, leaf, number, switch, value};
use crate::ctl::failure::Failure;

/// `lock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Lock {
    pub(in crate::ctl) name: Vec<u8>,
    /// The lock is held as long as this runs; until a signal if it is empty.
    pub(in crate::ctl) command: Vec<OsString>,
    /// The life of the lease in seconds.
    pub(in crate::ctl) ttl: i64,
}

/// `elect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Elect {
    pub(in crate::ctl) name: Vec<u8>,
    /// `None` to listen only.
    pub(in crate::ctl) proposal: Option<Vec<u8>>,
}

pub(super) fn commands() -> [Command; 2] {
    let lock = leaf("lock", "lock NAME [COMMAND ARGUMENT...]", "Hold a lock until a signal, or as long as COMMAND runs")
        .after_help(
            "Prints the lock's key once it is held. COMMAND has the variables ETCD_LOCK_KEY and ETCD_LOCK_REV; kvctl ends \
             with its exit code. Write `--` before a command with flags.",
        )
        .arg(value("ttl", "SECONDS", "How long the lock outlives kvctl [default: 10]"));
    let elect =
        leaf("elect", "elect NAME [PROPOSAL]", "Take part in an election until a signal, or print who leads")
            .arg(switch("listen", "Print each leader and its proposal").short('l'));
    [lock, elect]
}

/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read_lock(matches: &ArgMatches) -> Result<Lock, Failure> {
    const DEFAULT_TTL: i64 = 10;
    /// etcdctl's, if the flag makes no sense.
    const FALLBACK_TTL: i64 = 60;
    let mut words = arguments(matches).into_iter();
    let Some(name) = words.next() else {
        return Err(Failure::arguments("lock takes a lock name argument and an optional command to execute"));
    };
    let ttl = match given(matches, "ttl") {
        None => DEFAULT_TTL,
        Some(_) => Some(number(matches, "ttl")?).filter(|ttl| *ttl > 0).unwrap_or(FALLBACK_TTL),
    };
    Ok(Lock { name, command: words.map(OsString::from_vec).collect(), ttl })
}

/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read_elect(matches: &ArgMatches) -> Result<Elect, Failure> {
    let mut words = arguments(matches).into_iter();
    let (name, proposal) = (words.next(), words.next());
    let (Some(name), None) = (name, words.next()) else {
        let refusal = "elect takes one election name argument and an optional proposal argument";
        return Err(Failure::arguments(refusal));
    };
    match (&proposal, is_on(matches, "listen")?) {
        (None, false) => Err(Failure::arguments("no proposal argument but -l not set")),
        (Some(_), true) => Err(Failure::arguments("proposal given but -l is set")),
        _ => Ok(Elect { name, proposal }),
    }
}
