//! `kvctl diff`.

use clap::{ArgMatches, Command, ValueHint};

use super::destination::Destination;
use super::flags::{arguments, given, is_on, leaf, switch, text, value};
use crate::ctl::failure::Failure;

/// The exit code if the two could not be compared, as diff(1) has it.
pub(in crate::ctl) const TROUBLE: u8 = 2;

/// What to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Diff {
    pub(in crate::ctl) sides: [Side; 2],
    /// How B is reached, if not as A.
    pub(in crate::ctl) access: Destination,
    /// Only keys that begin with it.
    pub(in crate::ctl) prefix: Vec<u8>,
    /// Compare versions and revisions, too.
    pub(in crate::ctl) versions: bool,
    /// Compare leases, too.
    pub(in crate::ctl) leases: bool,
}

/// Something that has keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum Side {
    /// The endpoints of a cluster.
    Cluster(Vec<String>),
    /// A backup.
    File(String),
}

impl Side {
    /// A file, if there is one of this name or it can be nothing else; otherwise endpoints.
    fn of(name: String) -> Self {
        let is_path = name.contains('/') && !name.contains("://");
        match is_path || std::path::Path::new(&name).is_file() {
            true => Self::File(name),
            false => Self::Cluster(name.split(',').map(|endpoint| endpoint.trim().to_string()).collect()),
        }
    }
}

/// The command.
pub(super) fn command() -> Command {
    let about = "Compare the keys of two clusters, of a backup and a cluster, or of two backups";
    leaf("diff", "diff A B", about)
        .after_help(
            "A and B are endpoints (HOST:PORT,..., with http:// or https:// if only one has TLS) or files. Both are read in \
             the order of their keys, a cluster at one revision; a file is first sorted in a directory below $TMPDIR, which \
             takes as much room as the file. B is reached as A, unless a flag of the destination says otherwise. Exits with 0 if they are equal, with 1 if not, and with 2 if they could not be \
             compared.",
        )
        .args([
            value("prefix", "PREFIX", "Only keys that begin with it"),
            switch("versions", "Compare versions and revisions, too"),
            switch("leases", "Compare the leases of the keys, too"),
        ])
        .args(Destination::flags())
        .mut_arg("arguments", |sides| sides.value_hint(ValueHint::AnyPath))
}

/// # Errors
/// For wrong arguments.
pub(super) fn read(matches: &ArgMatches) -> Result<Diff, Failure> {
    let named: Result<Vec<String>, Failure> = arguments(matches).into_iter().map(text).collect();
    let named = named.map_err(|failure| failure.coded(TROUBLE))?;
    let [first, second] = <[String; 2]>::try_from(named).map_err(|_| {
        Failure::with_code(TROUBLE, "diff takes two arguments: endpoints or files")
            .hint(Some("kvctl diff http://old:2379 http://new:2379".to_string()))
    })?;
    let on = |name| is_on(matches, name).map_err(|failure| failure.coded(TROUBLE));
    Ok(Diff {
        sides: [Side::of(first), Side::of(second)],
        access: Destination::read(matches),
        prefix: given(matches, "prefix").unwrap_or_default().as_bytes().to_vec(),
        versions: on("versions")?,
        leases: on("leases")?,
    })
}
