//! Where the log's bytes go: the interface between the log and a disk, and the implementation for a real disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::LogError;
use crate::files;

/// A flat directory of files. The log accesses its files only through this trait, so that a test or a simulation can
/// lose, tear and refuse writes (see [`super::SimDisk`]).
pub trait Disk: Send + Sync {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates an empty file; an existing file of that name is truncated.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file and replaces an existing one of the new name. Durable after [`Disk::sync`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
    /// An estimate of the bytes that files can still grow by; the real room may be less.
    fn room(&self) -> io::Result<u64>;
    /// The name of a file in messages.
    fn describe(&self, name: &str) -> String;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// True if it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `buffer` from `offset` on; an error if the file ends before that.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Lets the file grow to `length` bytes, of which the new ones are zeros, without writing them.
    ///
    /// # Errors
    /// Those of a full disk; any other if the file system can only write them. A part of it may be done then.
    fn allocate(&self, length: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the file system, locked exclusively: a second process that opens it is refused.
pub struct RealDisk {
    dir: PathBuf,
    directory: File,
    _lock: File,
}

/// The file whose lock shows that a process uses the directory.
pub(super) const LOCK: &str = "LOCK";

impl RealDisk {
    /// Opens a directory, and makes it (mode 0700) if it does not exist. An existing directory may be the operator's,
    /// so its mode stays; the log's own files in it are closed to other users.
    ///
    /// # Errors
    /// [`LogError::InUse`] if another process holds it, [`LogError::Io`] otherwise.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let io =
            |source: io::Error| LogError::Io { file: dir.display().to_string(), source: Arc::new(source) };
        files::make_dir(dir).map_err(io)?;
        let lock = files::open_or_create(&dir.join(LOCK)).map_err(io)?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(LogError::InUse { dir: dir.display().to_string() });
            }
            Err(errno) => return Err(io(errno.into())),
        }
        let directory = File::open(dir).map_err(io)?;
        let disk = Self { dir: dir.to_path_buf(), directory, _lock: lock };
        for name in disk.list().map_err(io)?.iter().filter(|name| is_own(name)) {
            files::close_to_others(&dir.join(name)).map_err(io)?;
        }
        // The process that made the files may have been killed before their names were durable.
        disk.sync().map_err(io)?;
        Ok(disk)
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str().filter(|name| *name != LOCK) {
                names.push(name.to_string());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.dir.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = files::open_or_create(&self.dir.join(name))?;
        file.set_len(0)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn room(&self) -> io::Result<u64> {
        let space = rustix::fs::fstatvfs(&self.directory)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn describe(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

/// True if the log uses such a name; a volume may hold other files, such as `lost+found`.
fn is_own(name: &str) -> bool {
    [".seg", ".tmp", ".old"].iter().any(|end| name.strip_suffix(end).is_some_and(|stem| stem.len() == 16))
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, length)?)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_held_by_one() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("member/raft");
        let _first = RealDisk::open(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0o700);
        assert!(matches!(RealDisk::open(&dir), Err(LogError::InUse { .. })));
    }

    #[test]
    fn a_directory_of_the_operators_keeps_its_mode_and_the_logs_files_are_closed() {
        let root = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o7777;
        fs::create_dir(root.path().join("lost+found")).unwrap();
        for name in ["0000000000000001.seg", "notes.txt"] {
            fs::write(root.path().join(name), "").unwrap();
            set(&root.path().join(name), 0o664);
        }
        set(&root.path().join("lost+found"), 0o755);
        set(root.path(), 0o2775);
        RealDisk::open(root.path()).unwrap();
        let modes = ["", "0000000000000001.seg", "LOCK", "notes.txt", "lost+found"].map(mode);
        assert_eq!(modes, [0o2775, 0o600, 0o600, 0o664, 0o755]);
    }
}
