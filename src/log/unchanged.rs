//! A directory of the file system of which nothing is changed: what a log writes stays in memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::disk::LOCK;
use super::{Disk, DiskFile, LogError};

/// A directory that is read, for whoever wants to know what a member has. A log that is opened on it has what a start of
/// the member would have.
pub struct UnchangedDisk {
    dir: PathBuf,
    /// What changes were made; `None` is the file as it is in the directory.
    files: Mutex<BTreeMap<String, Option<Arc<PatchedFile>>>>,
    /// Keeps members from starting, not others who read.
    _lock: Option<File>,
}

impl UnchangedDisk {
    /// Opens a directory that no process uses: none starts there while this lives. If the file for its lock is missing,
    /// no member has been there, for instance because the directory is a copy, and nothing keeps one from starting.
    ///
    /// # Errors
    /// [`LogError::InUse`] if a member uses it, [`LogError::Io`] otherwise.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let io = |source| LogError::Io { file: dir.display().to_string(), source: Arc::new(source) };
        let lock = match crate::files::open(&dir.join(LOCK)) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io(error)),
        };
        match lock.as_ref().map_or(Ok(()), |lock| flock(lock, FlockOperation::NonBlockingLockShared)) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(LogError::InUse { dir: dir.display().to_string() }),
            Err(errno) => return Err(io(errno.into())),
        }
        Ok(Self { _lock: lock, ..Self::glimpse(dir)? })
    }

    /// Reads a directory that a member may be using: files may come, go and change meanwhile, so whatever is found to be
    /// damaged may not be.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn glimpse(dir: &Path) -> Result<Self, LogError> {
        let io = |source| LogError::Io { file: dir.display().to_string(), source: Arc::new(source) };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(dir).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            if let Some(name) = name.to_str().filter(|name| *name != LOCK) {
                files.insert(name.to_string(), None);
            }
        }
        Ok(Self { dir: dir.to_path_buf(), files: Mutex::new(files), _lock: None })
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl UnchangedDisk {
    /// The file of a name, with what was changed in it.
    fn file(&self, name: &str) -> io::Result<Arc<PatchedFile>> {
        let mut files = self.files.lock();
        let file = files.get_mut(name).ok_or_else(missing)?;
        if let Some(file) = file {
            return Ok(file.clone());
        }
        let base = crate::files::open(&self.dir.join(name))?;
        let base_length = base.metadata()?.len();
        let patches = Mutex::new(Patches { length: base_length, writes: Vec::new() });
        Ok(file.insert(Arc::new(PatchedFile { base: Some((base, base_length)), patches })).clone())
    }
}

impl Disk for UnchangedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(name)?)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = Arc::new(PatchedFile { base: None, patches: Mutex::default() });
        self.files.lock().insert(name.to_string(), Some(file.clone()));
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.file(from)?;
        let mut files = self.files.lock();
        files.remove(from);
        files.insert(to.to_string(), Some(file));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().remove(name).map(drop).ok_or_else(missing)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn room(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn describe(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

/// A file of the directory, if there is one, and what was written since.
struct PatchedFile {
    /// With its length.
    base: Option<(File, u64)>,
    patches: Mutex<Patches>,
}

#[derive(Default)]
struct Patches {
    length: u64,
    /// Later ones count.
    writes: Vec<(u64, Vec<u8>)>,
}

impl DiskFile for PatchedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.patches.lock().length)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let patches = self.patches.lock();
        let end = offset + buffer.len() as u64;
        if end > patches.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let of_base = match &self.base {
            Some((base, length)) => {
                let there = length.saturating_sub(offset).min(buffer.len() as u64) as usize;
                base.read_exact_at(&mut buffer[..there], offset)?;
                there
            }
            None => 0,
        };
        buffer[of_base..].fill(0);
        for (at, bytes) in &patches.writes {
            let (from, to) = (offset.max(*at), end.min(at + bytes.len() as u64));
            if from < to {
                let written = &bytes[(from - at) as usize..(to - at) as usize];
                buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(written);
            }
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut patches = self.patches.lock();
        let before = patches.length;
        patches.length = before.max(offset + bytes.len() as u64);
        // A new file gets its length by zeros, which need no memory.
        if offset < before || bytes.iter().any(|byte| *byte != 0) {
            patches.writes.push((offset, bytes.to_vec()));
        }
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut patches = self.patches.lock();
        patches.length = patches.length.max(length);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::RealDisk;

    #[test]
    fn what_is_written_can_be_read_and_the_directory_stays_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("a.seg"), b"0123456789").unwrap();
        fs::write(path("b.tmp"), b"gone").unwrap();
        let disk = UnchangedDisk::open(root.path()).unwrap();
        let file = disk.open("a.seg").unwrap();
        file.write_at(b"xyz", 2).unwrap();
        file.write_at(b"Y", 3).unwrap();
        file.write_at(b"end", 12).unwrap();
        let read = |file: &dyn DiskFile, offset: u64, length: usize| {
            let mut buffer = vec![7; length];
            file.read_at(&mut buffer, offset).map(|()| buffer)
        };
        assert_eq!(read(&*file, 0, 15).unwrap(), b"01xYz56789\0\0end");
        assert_eq!(read(&*disk.open("a.seg").unwrap(), 3, 3).unwrap(), b"Yz5");
        assert!(read(&*file, 0, 16).is_err());
        disk.remove("b.tmp").unwrap();
        disk.rename("a.seg", "c.seg").unwrap();
        assert!(disk.open("a.seg").is_err() && disk.remove("b.tmp").is_err());
        let new = disk.create("new").unwrap();
        new.write_at(&[0; 100], 0).unwrap();
        new.write_at(b"head", 0).unwrap();
        assert_eq!(read(&*new, 0, 6).unwrap(), b"head\0\0");
        new.write_at(&[0; 2], 1).unwrap();
        assert_eq!(read(&*new, 0, 6).unwrap(), b"h\0\0d\0\0");
        assert_eq!(disk.list().unwrap(), ["c.seg", "new"]);
        assert_eq!(fs::read(path("a.seg")).unwrap(), b"0123456789");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2, "no file for a lock either");
    }

    #[test]
    fn no_member_starts_where_somebody_reads_and_nobody_reads_where_a_member_runs() {
        let root = tempfile::tempdir().unwrap();
        let member = RealDisk::open(root.path()).unwrap();
        assert!(matches!(UnchangedDisk::open(root.path()), Err(LogError::InUse { .. })));
        assert!(UnchangedDisk::glimpse(root.path()).is_ok());
        drop(member);
        let (one, other) = (UnchangedDisk::open(root.path()), UnchangedDisk::open(root.path()));
        assert!(one.is_ok() && other.is_ok());
        assert!(matches!(RealDisk::open(root.path()), Err(LogError::InUse { .. })));
        drop((one, other));
        assert!(RealDisk::open(root.path()).is_ok());
    }
}
