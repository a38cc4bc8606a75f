//! Directories and files of a member: closed to other users, and durable under their names after a power failure.
//!
//! Flushing a file makes its bytes durable, not its name: that takes a flush of the directory that holds the name. All
//! code that makes a directory or replaces a file of a member calls this module, so that no name is forgotten. Names
//! that libraries or other rooms make (LMDB's files, the log's segments) are flushed by [`sync_names`] of their
//! directory.
//!
//! Rule: kvd corrects the mode only of what it made itself. The directories around it belong to the operator.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Bits of a mode that give access to others than the owner.
const OTHERS: u32 = 0o077;

/// Bits of a mode that give access to everybody.
const EVERYBODY: u32 = 0o007;

/// The permissions of a file that every user of this machine may use, if there is such a file.
pub fn open_to_all(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & EVERYBODY != 0).then_some(mode)
}

/// Warns if every user of this machine may read a file with a key.
pub fn warn_if_open(path: &Path) {
    if let Some(mode) = open_to_all(path) {
        let path = path.display();
        tracing::warn!(%path, mode = format!("{mode:o}"), "every user of this machine may read this file: chmod o= it");
    }
}

/// Makes `dir` and its missing parents (mode 0700). Their names are durable when this returns, even if they existed
/// before: the process that made them may have been killed before its flush.
///
/// # Errors
/// Those of the file system; `NotADirectory` if something else is in its place.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(io::Error::new(ErrorKind::NotADirectory, "is no directory")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if !parent(dir).exists() {
                make_dir(parent(dir))?;
            }
            match DirBuilder::new().mode(0o700).create(dir) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Err(error) => return Err(error),
    }
    sync_name(dir)
}

/// Writes a file with these bytes (mode 0600) at `path` and replaces one that is there. After a crash or a power
/// failure either the old file or the new one is there, whole; the new one once this has returned.
///
/// # Errors
/// Those of the file system.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "names no file"))?;
    let mut new = name.to_os_string();
    new.push(".new");
    let new = path.with_file_name(new);
    // A file that a crash left behind may have another mode.
    let _ = fs::remove_file(&new);
    let mut file = create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_names(parent(path))
}

/// Makes a file that does not exist yet (mode 0600). If root makes it, it belongs to the owner of its directory: the member
/// whose data root looks at runs as another user, and has to read them at its next start.
///
/// # Errors
/// Those of the file system; `AlreadyExists`.
pub fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    if rustix::process::geteuid().is_root() {
        let dir = fs::metadata(parent(path))?;
        if dir.uid() != 0 {
            // A root without this right has no other user's member to look after.
            let _ = std::os::unix::fs::fchown(&file, Some(dir.uid()), Some(dir.gid()));
        }
    }
    Ok(file)
}

/// Opens a file for reading and writing, and makes it as [`create`] does if there is none.
///
/// # Errors
/// Those of the file system.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    match create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().read(true).write(true).open(path)
        }
        made => made,
    }
}

/// Opens a file for reading. Something else under its name, such as a pipe, is refused: opening it could wait for ever.
///
/// # Errors
/// Those of the file system; `InvalidInput` if it is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Without effect on a regular file.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "is no file")),
    }
}

/// Bytes that files in `dir` can still take.
///
/// # Errors
/// Those of the file system.
pub fn available(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes that are free to unprivileged processes where an open file is.
///
/// # Errors
/// Those of the file system.
pub fn available_to(file: &File) -> io::Result<u64> {
    let disk = rustix::fs::fstatvfs(file)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes of the file system that `dir` is on.
///
/// # Errors
/// Those of the file system.
pub fn disk_size(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_blocks.saturating_mul(disk.f_frsize))
}

/// True if both are on one file system.
///
/// # Errors
/// Those of the file system.
pub fn share_a_disk(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(fs::metadata(one)?.dev() == fs::metadata(other)?.dev())
}

/// Makes the names in `dir` durable.
///
/// # Errors
/// Those of the file system.
pub fn sync_names(dir: &Path) -> io::Result<()> {
    match File::open(dir) {
        Ok(dir) => dir.sync_all(),
        // A directory without read permission cannot be opened, so everything is flushed.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            rustix::fs::sync();
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Makes the name of a directory durable. The name of a mount point is in the file system above it, which others made.
fn sync_name(dir: &Path) -> io::Result<()> {
    let above = parent(dir);
    if fs::metadata(dir)?.dev() != fs::metadata(above)?.dev() {
        return Ok(());
    }
    sync_names(above)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// The mode of `path` if it gives access to others than the owner; `None` if it does not, or if there is no such file.
pub fn open_to_others(path: &Path) -> Option<u32> {
    let mode =
        fs::symlink_metadata(path).ok().filter(|found| !found.is_symlink())?.permissions().mode() & 0o7777;
    (mode & OTHERS != 0).then_some(mode)
}

/// Closes a file or a directory that kvd made to others. If it belongs to another user it stays as it is (a volume
/// whose files are shared through a group). True if it is still open.
///
/// # Errors
/// Those of the file system.
pub fn close_to_others(path: &Path) -> io::Result<bool> {
    let Some(mode) = open_to_others(path) else { return Ok(false) };
    if fs::symlink_metadata(path)?.uid() != rustix::process::geteuid().as_raw() {
        return Ok(true);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS))?;
    Ok(false)
}

/// Closes a directory that kvd made, and everything in it, to others. True if something that belongs to another user is
/// open.
///
/// # Errors
/// Those of the file system.
pub fn close_all_to_others(dir: &Path) -> io::Result<bool> {
    let mut open = close_to_others(dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let done = match entry.file_type()? {
            kind if kind.is_dir() => close_all_to_others(&entry.path()),
            _ => close_to_others(&entry.path()),
        };
        match done {
            Ok(still) => open |= still,
            // It was removed in the meantime, or belongs to a user who lets nobody read it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o7777
    }

    #[test]
    fn directories_are_made_closed_with_what_is_missing_above() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("a/b/c");
        make_dir(&dir).expect("made");
        make_dir(&dir).expect("there already");
        assert_eq!((mode(&root.path().join("a")), mode(&dir)), (0o700, 0o700));
        fs::write(dir.join("file"), "").expect("written");
        let refused = make_dir(&dir.join("file")).expect_err("no directory");
        assert_eq!(refused.kind(), ErrorKind::NotADirectory);
    }

    #[test]
    fn a_file_is_replaced_whole_and_closed() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("name.txt");
        fs::write(&path, "old").expect("written");
        // As a crash would leave it.
        fs::write(root.path().join("name.txt.new"), "half").expect("written");
        replace(&path, b"new").expect("replaced");
        assert_eq!(fs::read(&path).expect("there"), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(root.path()).expect("there").count(), 1);
    }

    #[test]
    fn a_pipe_in_place_of_a_file_is_refused_at_once() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
        assert_eq!(open(&path).expect_err("no file").kind(), ErrorKind::InvalidInput);
        assert_eq!(open(root.path()).expect_err("no file").kind(), ErrorKind::InvalidInput);
        fs::write(root.path().join("file"), "x").expect("written");
        assert!(open(&root.path().join("file")).is_ok());
    }

    #[test]
    fn what_root_makes_among_the_files_of_another_user_is_that_users() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::chown(root.path(), Some(4711), Some(4712)).expect("given away");
        let owner = |name: &str| {
            let found = fs::metadata(root.path().join(name)).expect("there");
            (found.uid(), found.gid())
        };
        replace(&root.path().join("replaced"), b"new").expect("replaced");
        open_or_create(&root.path().join("opened")).expect("made");
        open_or_create(&root.path().join("opened")).expect("there");
        assert_eq!(["replaced", "opened"].map(owner), [(4711, 4712); 2]);
        assert_eq!(mode(&root.path().join("opened")), 0o600);
        assert!(create(&root.path().join("opened")).is_err());
    }

    #[test]
    fn what_is_ours_is_closed_to_others_and_links_are_not_followed() {
        let root = tempfile::tempdir().expect("a directory");
        let (inside, outside) = (root.path().join("inside"), root.path().join("outside"));
        fs::create_dir_all(inside.join("deep")).expect("made");
        fs::write(inside.join("deep/file"), "").expect("written");
        fs::write(&outside, "").expect("written");
        std::os::unix::fs::symlink(&outside, inside.join("link")).expect("made");
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
        set(&inside, 0o2775);
        set(&inside.join("deep"), 0o755);
        set(&inside.join("deep/file"), 0o664);
        set(&outside, 0o644);
        assert_eq!(open_to_others(&inside), Some(0o2775));
        assert!(!close_all_to_others(&inside).expect("closed"));
        let modes = ["", "deep", "deep/file"].map(|name| mode(&inside.join(name)));
        assert_eq!(modes, [0o2700, 0o700, 0o600]);
        assert_eq!(mode(&outside), 0o644, "what a link names is not ours");
        assert_eq!(open_to_others(&inside), None);
    }
}
