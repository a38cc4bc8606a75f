//! The group `backup`: the files that members take by themselves.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, ValueHint};

use super::flags::{arguments, group, leaf};
use crate::ctl::failure::Failure;

/// A command about scheduled backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum Backup {
    /// Show the backups in a directory; without one, in that of this machine's configuration.
    List(Option<PathBuf>),
    /// Read files as a restore reads them; without any, all of that directory.
    Verify(Vec<PathBuf>),
    /// Make the daemon on this machine take one.
    Now {
        /// The daemon's socket.
        socket: Option<PathBuf>,
    },
}

/// The group.
pub(super) fn command() -> Command {
    let list = leaf("list", "backup list [DIRECTORY]", "Show the backups in a directory, the oldest first")
        .after_help("Without a directory: that of [backup] in /etc/kv/cluster.toml.")
        .mut_arg("arguments", |path| path.value_hint(ValueHint::DirPath));
    let verify = "Read backups as a restore would read them, without making anything of them";
    let verify = leaf("verify", "backup verify [FILE]...", verify)
        .after_help(
            "Without a file: all of the directory of [backup] in /etc/kv/cluster.toml. Exits with 1 if one of them is \
             damaged.",
        )
        .mut_arg("arguments", |path| path.value_hint(ValueHint::FilePath));
    let now = leaf("now", "backup now", "Make the kvd on this machine take a backup, and wait for it").arg(
        Arg::new("admin-socket")
            .long("admin-socket")
            .value_name("PATH")
            .help("kvd's socket, instead of the one that its configuration names"),
    );
    group("backup", "Backups that members take by themselves", vec![list, verify, now])
}

/// A command of the group.
///
/// # Errors
/// If there are too many arguments.
pub(super) fn read(name: &str, matches: &ArgMatches) -> Result<Backup, Failure> {
    let paths = arguments(matches).into_iter().map(|path| PathBuf::from(OsString::from_vec(path)));
    let mut paths: Vec<PathBuf> = paths.collect();
    match (name, paths.len()) {
        ("list", 0 | 1) => Ok(Backup::List(paths.pop())),
        ("verify", _) => Ok(Backup::Verify(paths)),
        ("now", 0) => {
            Ok(Backup::Now { socket: matches.get_one::<String>("admin-socket").map(PathBuf::from) })
        }
        ("list", _) => Err(Failure::arguments("backup list accepts one directory")),
        _ => Err(Failure::arguments("backup now accepts no arguments")),
    }
}
