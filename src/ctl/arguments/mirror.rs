//! `make-mirror`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, ValueHint};

use super::flags::{arguments, boolean, given, is_on, leaf, number, switch, text, value};
use crate::ctl::failure::Failure;
use crate::ctl::secret::Secret;

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
    pub(in crate::ctl) cert: Option<PathBuf>,
    pub(in crate::ctl) key: Option<PathBuf>,
    pub(in crate::ctl) cacert: Option<PathBuf>,
    pub(in crate::ctl) insecure_transport: bool,
    pub(in crate::ctl) user: Option<Secret>,
    pub(in crate::ctl) password: Option<Secret>,
}

pub(super) fn command() -> Command {
    let file = |name, help| value(name, "FILE", help).value_hint(ValueHint::FilePath);
    let flags: [Arg; 11] = [
        value("prefix", "PREFIX", "Only keys that begin with it"),
        value("rev", "REVISION", "Only the changes from this revision on, not what is there"),
        value("max-txn-ops", "N", "Operations in one transaction [default: 128]"),
        value("dest-prefix", "PREFIX", "Replaces --prefix in the destination"),
        switch("no-dest-prefix", "Leave --prefix out in the destination"),
        file("dest-cert", "A client certificate for the destination"),
        file("dest-key", "The certificate's key"),
        file("dest-cacert", "The CA that signs the destination's certificates"),
        switch("dest-insecure-transport", "Connect to the destination without TLS [default: true]"),
        value("dest-user", "USER[:PASSWORD]", "Act as this user there"),
        value("dest-password", "PASSWORD", "The user's password"),
    ];
    leaf("make-mirror", "make-mirror DESTINATION", "Copy keys to another cluster, and go on with each change")
        .after_help("Prints the number of keys every 30 s. Runs until it fails or is ended.")
        .args(flags)
}

/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read(matches: &ArgMatches) -> Result<Mirror, Failure> {
    let [destination] = <[Vec<u8>; 1]>::try_from(arguments(matches))
        .map_err(|_| Failure::arguments("make-mirror takes one destination argument"))?;
    let bytes = |name: &str| given(matches, name).unwrap_or_default().as_bytes().to_vec();
    let path = |name: &str| given(matches, name).filter(|path| !path.is_empty()).map(PathBuf::from);
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
        cert: path("dest-cert"),
        key: path("dest-key"),
        cacert: path("dest-cacert"),
        insecure_transport: insecure.map_err(Failure::error)?.unwrap_or(true),
        user: given(matches, "dest-user").map(Secret::from),
        password: given(matches, "dest-password").map(Secret::from),
    })
}
