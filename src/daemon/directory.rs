//! The data directory: made for its owner alone, and refused where others can look into it (CVE-2020-15113).
//!
//! ```text
//! DATA-DIR/member/identity   which member of which cluster (join/identity.rs)
//! DATA-DIR/member/log/       the raft log, or in --wal-dir (log/format.rs)
//! DATA-DIR/member/store/     the state (store/format.rs)
//! ```

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where a member's data are.
#[derive(Clone, Debug)]
pub struct Directories {
    /// The identity's.
    pub member: PathBuf,
    /// The raft log's.
    pub log: PathBuf,
    /// The store's.
    pub store: PathBuf,
}

/// Makes what is missing. Errors name the directory.
pub fn prepare(data_dir: &Path, log_dir: Option<&Path>) -> io::Result<Directories> {
    let member = data_dir.join("member");
    let directories = Directories {
        log: log_dir.map_or_else(|| member.join("log"), Path::to_path_buf),
        store: member.join("store"),
        member,
    };
    for directory in [data_dir, &directories.member, &directories.log, &directories.store] {
        make_private(directory)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", directory.display())))?;
    }
    refuse_foreign(&directories.member)?;
    Ok(directories)
}

fn make_private(directory: &Path) -> io::Result<()> {
    match fs::metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => {
            Err(io::Error::new(io::ErrorKind::NotADirectory, "is no directory"))
        }
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 == 0 {
                return Ok(());
            }
            Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "its mode is {mode:04o}, which lets others than its owner in; run: chmod 700 {}",
                    directory.display()
                ),
            ))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)
        }
        Err(error) => Err(error),
    }
}

/// Refuses a directory that etcd itself has written: its files are not kvd's, and must not be mixed.
fn refuse_foreign(member: &Path) -> io::Result<()> {
    let database = member.join("snap").join("db");
    if database.exists() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} belongs to etcd; give kvd a data directory of its own", database.display()),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_private_and_open_ones_refused() {
        let parent = tempfile::tempdir().expect("a directory");
        let data = parent.path().join("data");
        let directories = prepare(&data, None).expect("made");
        let mode = fs::metadata(&directories.store).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("changed");
        let refused = prepare(&data, None).expect_err("refused").to_string();
        assert!(refused.contains("its mode is 0755"), "{refused}");
    }

    #[test]
    fn etcds_own_data_are_not_touched() {
        let parent = tempfile::tempdir().expect("a directory");
        let data = parent.path().join("data");
        prepare(&data, None).expect("made");
        fs::create_dir(data.join("member/snap")).expect("made");
        fs::write(data.join("member/snap/db"), "bbolt").expect("written");
        assert!(prepare(&data, None).expect_err("refused").to_string().contains("belongs to etcd"));
    }
}
