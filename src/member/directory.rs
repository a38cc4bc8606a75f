//! The data directory. kvd closes what it makes there to other users (CVE-2020-15113), and corrects the mode if needed.
//! The directory itself, and `--wal-dir`, may belong to the operator, or be a volume that a group shares: there a
//! warning is enough.
//!
//! ```text
//! DATA-DIR/member/identity   which member of which cluster (join/identity.rs); log/ and store/ hold a copy
//! DATA-DIR/member/log/       the raft log, or in --wal-dir (log/format.rs)
//! DATA-DIR/member/store/     the state (store/format.rs)
//! ```

use std::io;
use std::path::{Path, PathBuf};

use crate::files;

/// A restore makes the data in this directory of the data directory; it is gone when they are complete.
pub const RESTORING: &str = "restoring";

/// The directories of a member's data.
#[derive(Clone, Debug)]
pub struct Directories {
    /// The identity's.
    pub member: PathBuf,
    /// The raft log's.
    pub log: PathBuf,
    /// The store's.
    pub store: PathBuf,
}

/// Makes missing directories, durably, and closes what kvd has made to other users. Errors name the directory.
pub fn prepare(data_dir: &Path, log_dir: Option<&Path>) -> io::Result<Directories> {
    let member = data_dir.join("member");
    let directories = Directories {
        log: log_dir.map_or_else(|| member.join("log"), Path::to_path_buf),
        store: member.join("store"),
        member,
    };
    refuse_foreign(data_dir, &directories.member)?;
    refuse_unfinished(data_dir)?;
    for directory in [data_dir, &directories.member, &directories.log, &directories.store] {
        files::make_dir(directory).map_err(|error| naming(directory, error))?;
    }
    for around in [Some(data_dir), log_dir].into_iter().flatten() {
        if let Some(mode) = files::open_to_others(around) {
            let (dir, mode) = (around.display(), format!("{mode:04o}"));
            tracing::warn!(%dir, mode, "others than its owner can look into this directory; what kvd makes in it is closed to them");
        }
    }
    if files::close_all_to_others(&directories.member).map_err(|error| naming(&directories.member, error))? {
        let dir = directories.member.display();
        tracing::warn!(%dir, "it holds files of another user that are open to others than their owner");
    }
    Ok(directories)
}

fn naming(directory: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
}

/// Refuses a directory that etcd itself has written: its files are not kvd's, and the two must not be mixed. Nothing is
/// made in it.
fn refuse_foreign(data_dir: &Path, member: &Path) -> io::Result<()> {
    let database = member.join("snap").join("db");
    if database.exists() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!(
                "{} belongs to etcd; give kvd a data directory of its own. To move the data there, stop the etcd and run \
                 `kvctl migrate etcd-data {} --data-dir NEW-DIRECTORY`",
                database.display(),
                data_dir.display()
            ),
        ));
    }
    Ok(())
}

/// Refuses what a restore has left that was killed: an empty member in its place would not be what is wanted. If all it
/// lacks is the removal of its own directory, which is empty, that is done.
pub fn refuse_unfinished(data_dir: &Path) -> io::Result<()> {
    let stage = data_dir.join(RESTORING);
    if data_dir.join("member").exists() && std::fs::remove_dir(&stage).is_ok() || !stage.exists() {
        return Ok(());
    }
    let text = format!(
        "a restore did not end: remove {}, and what it has left in --wal-dir, and restore again",
        stage.display()
    );
    Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_made_is_private_and_what_is_around_it_stays_as_it_is() {
        let parent = tempfile::tempdir().expect("a directory");
        let (data, wal) = (parent.path().join("data"), parent.path().join("wal"));
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
        // As `mkdir` makes them, and as Kubernetes mounts a volume with a group.
        for around in [0o755, 0o2775, 0o2777] {
            for dir in [&data, &wal] {
                let _ = fs::create_dir(dir);
                let _ = fs::create_dir(dir.join("lost+found"));
                set(dir, around);
            }
            let directories = prepare(&data, Some(&wal)).expect("made");
            let inside = directories.store.join("file");
            fs::write(&inside, "").expect("written");
            let modes = [&data, &wal, &directories.member, &directories.store].map(|dir| mode(dir) & 0o777);
            assert_eq!(modes, [around & 0o777, around & 0o777, 0o700, 0o700]);
            // A volume's group gets access to everything when the volume is mounted again.
            set(&directories.member, 0o2770);
            set(&inside, 0o660);
            prepare(&data, Some(&wal)).expect("corrected");
            assert_eq!([&directories.member, &inside].map(|path| mode(path) & 0o777), [0o700, 0o600]);
        }
    }

    #[test]
    fn etcds_own_data_are_not_touched() {
        let parent = tempfile::tempdir().expect("a directory");
        let data = parent.path().join("data");
        fs::create_dir_all(data.join("member/snap")).expect("made");
        fs::write(data.join("member/snap/db"), "bbolt").expect("written");
        let refused = prepare(&data, None).expect_err("refused").to_string();
        let advice = format!("kvctl migrate etcd-data {} --data-dir", data.display());
        assert!(refused.contains("belongs to etcd") && refused.contains(&advice), "{refused}");
        assert_eq!(fs::read_dir(data.join("member")).expect("readable").count(), 1, "nothing is made in it");
    }

    #[test]
    fn what_a_killed_restore_has_left_is_no_member() {
        let parent = tempfile::tempdir().expect("a directory");
        fs::create_dir(parent.path().join(RESTORING)).expect("made");
        let refused = prepare(parent.path(), None).expect_err("refused").to_string();
        assert!(refused.contains("a restore did not end: remove "), "{refused}");
        assert!(!parent.path().join("member").exists());
        // Killed after its last step but one.
        fs::create_dir(parent.path().join("member")).expect("made");
        prepare(parent.path(), None).expect("it is whole");
        fs::create_dir_all(parent.path().join(RESTORING).join("member")).expect("made");
        prepare(parent.path(), None).expect_err("two members");
    }
}
