//! The mark of an orderly end: the data were checked by the process that has ended, and its data file is as it was left.
//!
//! LMDB trusts what is on the disk, so all pages are read before it opens them ([`super::pages`]), which takes seconds if
//! they are gigabytes in memory, and minutes if the disk is slow. A start after an orderly end need not wait for that: the
//! file CLEAN beside the data says which data file was left, by its inode, its length, its times and its meta pages.
//! Whoever writes to it, copies it, or puts another one in its place changes them, and so does kvd's own first commit, so
//! a mark never outlasts a crash. Damage below the file system does not show: after such a start
//! [`super::Store::verify`] reads all data at once, beside serving.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::files;

/// The name of the file.
const MARK: &str = "CLEAN";

/// Bytes at the beginning of the data file that hold both meta pages, if its pages are not larger than is usual.
const METAS: usize = 8 << 10;

/// What identifies the data file in `dir` as it is.
fn identity(dir: &Path) -> io::Result<String> {
    let file = File::open(dir.join("data.mdb"))?;
    let mut metas = [0; METAS];
    file.read_exact_at(&mut metas, 0)?;
    let found = file.metadata()?;
    Ok(format!(
        "inode {}\nlength {}\nchanged {}.{:09}\nmodified {}.{:09}\nmetas {:08x}\n",
        found.ino(),
        found.len(),
        found.ctime(),
        found.ctime_nsec(),
        found.mtime(),
        found.mtime_nsec(),
        crc32c::crc32c(&metas),
    ))
}

/// Marks the data in `dir`, which nobody writes to any more, as checked.
pub(super) fn mark(dir: &Path) -> io::Result<()> {
    files::replace(&dir.join(MARK), identity(dir)?.as_bytes())
}

/// Takes the mark away; true if the data in `dir` are those that it was made for.
pub(super) fn take(dir: &Path) -> bool {
    let path = dir.join(MARK);
    let Ok(found) = fs::read_to_string(&path) else { return false };
    // Without it, a process that dies before its first commit leaves no mark behind.
    fs::remove_file(&path).is_ok() && identity(dir).is_ok_and(|identity| identity == found)
}
