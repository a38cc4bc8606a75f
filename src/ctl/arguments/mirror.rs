//! `make-mirror`.

use clap::{Arg, ArgMatches, Command};

use super::destination::Destination;
use super::flags::{arguments, boolean, given, is_on, leaf, number, switch, text, value};
use crate::ctl::failure::Failure;

/// `make-mirror`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Mirror {
    pub(in crate::ctl) destination: String,
    pub(in crate::ctl) prefix: Vec<u8>,
    /// In place of `prefix`.
    pub(in crate::ctl) renamed: Vec<u8>,
    /// Only changes from here on; zero begins with all keys.
    pub(in crate::ctl) revision: i64,
    pub(in crate::ctl) max_operations: usize,
    pub(in crate::ctl) access: Destination,
    pub(in crate::ctl) insecure_transport: bool,
}

pub(super) fn command() -> Command {
    let flags: [Arg; 6] = [
        value("prefix", "PREFIX", "Only keys that begin with it"),
        value("rev", "REVISION", "Only the changes from this revision on, not what is there"),
        value("max-txn-ops", "N", "Operations in one transaction [default: 128]"),
        value("dest-prefix", "PREFIX", "Replaces --prefix in the destination"),
        switch("no-dest-prefix", "Leave --prefix out in the destination"),
        switch("dest-insecure-transport", "Connect to the destination without TLS [default: true]"),
    ];
    leaf("make-mirror", "make-mirror DESTINATION", "Copy keys to another cluster, and go on with each change")
        .after_help("Prints the number of keys every 30 s. Runs until it fails or is ended.")
        .args(flags)
        .args(Destination::flags())
}

/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read(matches: &ArgMatches) -> Result<Mirror, Failure> {
    let [destination] = <[Vec<u8>; 1]>::try_from(arguments(matches))
        .map_err(|_| Failure::arguments("make-mirror takes one destination argument"))?;
    let bytes = |name: &str| given(matches, name).unwrap_or_default().as_bytes().to_vec();
    let (prefix, named, nameless) =
        (bytes("prefix"), bytes("dest-prefix"), is_on(matches, "no-dest-prefix")?);
    if nameless && !named.is_empty() {
        let refusal = "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one";
        return Err(Failure::arguments(refusal));
    }
    const MOST: usize = 128;
    let most = match given(matches, "max-txn-ops") {
        None => MOST,
        Some(_) => usize::try_from(number(matches, "max-txn-ops")?)
            .ok()
            .filter(|most| *most > 0)
            .ok_or_else(|| Failure::error("--max-txn-ops must be a positive number"))?,
    };
    let insecure = given(matches, "dest-insecure-transport");
    let insecure = insecure.map(|text| boolean("dest-insecure-transport", text)).transpose();
    Ok(Mirror {
        destination: text(destination)?,
        renamed: if nameless || !named.is_empty() { named } else { prefix.clone() },
        prefix,
        revision: number(matches, "rev")?,
        max_operations: most,
        access: Destination::read(matches),
        insecure_transport: insecure.map_err(Failure::error)?.unwrap_or(true),
    })
}
