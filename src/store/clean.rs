//! The mark of an orderly end: the data were checked by the process that has ended, and its data file is as it was left.
//!
//! LMDB trusts what is on the disk, so all pages are read before it opens them ([`super::pages`]), which takes seconds if
//! they are gigabytes in memory, and minutes if the disk is slow. A start after an orderly end need not wait for that: the
//! file CLEAN beside the data says which data file was left, by its inode, its length, its times and its meta pages.
//! Whoever writes to it, copies it, or puts another one in its place changes them, and so does kvd's own first commit, so
//! a mark never outlasts a crash. Damage below the file system does not show: after such a start
//! [`super::Store::verify`] reads all data at once, beside serving.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::files;

/// The name of the file.
const MARK: &str = "CLEAN";

/// Bytes at the beginning of the data file that hold both meta pages: LMDB's largest pages have 64 KiB.
const METAS: u64 = 128 << 10;

/// What identifies the data file in `dir` as it is.
fn identity(dir: &Path) -> io::Result<String> {
    let file = files::open(&dir.join("data.mdb"))?;
    let mut metas = Vec::new();
    (&file).take(METAS).read_to_end(&mut metas)?;
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn the_second_meta_page_counts_whatever_the_size_of_pages() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("data.mdb")).unwrap();
        file.set_len(1 << 20).unwrap();
        let metas = || identity(dir.path()).unwrap().lines().last().unwrap().to_owned();
        let before = metas();
        for size in (12..=16).map(|bits| 1 << bits) {
            file.write_all_at(&[1], size + 100).unwrap();
            assert_ne!(metas(), before, "pages of {size} bytes");
            file.write_all_at(&[0], size + 100).unwrap();
        }
        // A file that has no more than the two.
        file.set_len(8 << 10).unwrap();
        metas();
    }
}
