//! `lease`.

use clap::{ArgMatches, Command};

use super::flags::{arguments, group, is_on, leaf, signed, switch, text};
use crate::ctl::failure::Failure;

/// A command about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum Lease {
    Grant {
        /// In seconds.
        ttl: i64,
    },
    Revoke(i64),
    TimeToLive {
        id: i64,
        keys: bool,
    },
    List,
    KeepAlive {
        id: i64,
        once: bool,
    },
}

pub(super) fn command() -> Command {
    let keys = switch("keys", "Print the keys that belong to the lease");
    let once = switch("once", "Renew the lease once");
    let commands = vec![
        leaf(
            "grant",
            "lease grant SECONDS",
            "Grant a lease: keys that belong to it are deleted when it ends",
        ),
        leaf("revoke", "lease revoke ID", "End a lease and delete its keys"),
        leaf("timetolive", "lease timetolive ID", "Print how long a lease has to live").arg(keys),
        leaf("list", "lease list", "List all leases"),
        leaf("keep-alive", "lease keep-alive ID", "Renew a lease again and again until it ends").arg(once),
    ];
    group("lease", "Leases, with which keys end", commands)
}

/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read(name: &str, matches: &ArgMatches) -> Result<Lease, Failure> {
    let one = |refusal: &str| {
        let [given] =
            <[Vec<u8>; 1]>::try_from(arguments(matches)).map_err(|_| Failure::arguments(refusal))?;
        text(given)
    };
    let id = |refusal: &str| {
        let id = signed(&one(refusal)?, 16);
        id.map_err(|error| Failure::arguments(format!("bad lease ID arg ({error}), expecting ID in Hex")))
    };
    Ok(match name {
        "grant" => {
            let ttl = signed(&one("lease grant command needs TTL argument")?, 10);
            Lease::Grant { ttl: ttl.map_err(|error| Failure::arguments(format!("bad TTL ({error})")))? }
        }
        "revoke" => Lease::Revoke(id("lease revoke command needs 1 argument")?),
        "timetolive" => Lease::TimeToLive {
            id: id("lease timetolive command needs lease ID as argument")?,
            keys: is_on(matches, "keys")?,
        },
        "list" => Lease::List,
        _ => Lease::KeepAlive {
            id: id("lease keep-alive command needs lease ID as argument")?,
            once: is_on(matches, "once")?,
        },
    })
}
