//! The pages of a file, by ordinary reads: a page that cannot be read is an error and no signal.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{Advice, fadvise};

use super::layout::Meta;

/// What reads past the cache must be aligned to; no disk has larger blocks.
const BLOCK: usize = 4096;

/// Bytes for which the system is asked at a time.
const STEP: usize = 128 << 10;

/// Bytes that are read ahead at most: they must stay in memory until they are needed.
const AHEAD: u64 = 256 << 20;

/// Interval at which the progress is checked.
const LOOK: Duration = Duration::from_millis(1);

/// How far reading has come.
#[derive(Default)]
pub struct Progress {
    pub bytes: AtomicU64,
    pub is_ended: AtomicBool,
}

/// See the module.
pub struct PageFile {
    file: File,
    /// The same file, read past the system's cache.
    direct: Option<File>,
    page_size: usize,
    /// Bytes of it when it was opened.
    length: u64,
}

impl PageFile {
    /// Opens a file whose first page is a meta page of LMDB; the inner error says what is wrong with it.
    pub fn open(path: &Path) -> io::Result<Result<(Self, Meta), &'static str>> {
        let file = opened(path)?;
        let mut first = [0; Meta::LEN];
        match file.read_exact_at(&mut first, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err("it is cut off")),
            // As for any other page.
            Err(_) => return Ok(Err("it cannot be read")),
        }
        let length = file.metadata()?.len();
        let opened = Meta::parse(&first, 0);
        Ok(opened.map(|meta| (Self { file, direct: None, page_size: meta.page_size, length }, meta)))
    }

    /// Opens a file of which at least one meta page can be read, and those that can be.
    pub fn open_any(path: &Path) -> io::Result<Option<(Self, Vec<Meta>)>> {
        let file = opened(path)?;
        let length = file.metadata()?.len();
        let meta = |number: u64, at: u64| {
            let mut page = [0; Meta::LEN];
            file.read_exact_at(&mut page, at).ok().and_then(|()| Meta::parse(&page, number).ok())
        };
        let first = meta(0, 0);
        // Where the second one is depends on the size of a page, which only they say.
        let sizes = (9..=16).map(|bits| 1 << bits);
        let second =
            sizes.filter_map(|size| meta(1, size).filter(|meta| meta.page_size as u64 == size)).next();
        let metas: Vec<Meta> = first.into_iter().chain(second).collect();
        let Some(page_size) = metas.first().map(|meta| meta.page_size) else { return Ok(None) };
        Ok(Some((Self { file, direct: None, page_size, length }, metas)))
    }

    /// From now on reads go past the system's cache, if the file system can do that.
    pub fn past_the_cache(&mut self, path: &Path) {
        self.direct = File::options().read(true).custom_flags(libc::O_DIRECT).open(path).ok();
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// The number of its pages, the last one counted even if it is cut.
    pub fn pages(&self) -> u64 {
        self.length.div_ceil(self.page_size as u64)
    }

    /// Has the system read the file in its order, not much further than `progress` says that it was read: trees have their
    /// pages in any order, which is slow on most disks. Returns at the end of the file or of the progress.
    pub fn read_ahead(&self, progress: &Progress) {
        for at in (0..self.length).step_by(STEP) {
            while !progress.is_ended.load(Ordering::Relaxed)
                && progress.bytes.load(Ordering::Relaxed) + AHEAD < at
            {
                std::thread::sleep(LOOK);
            }
            if progress.is_ended.load(Ordering::Relaxed) {
                return;
            }
            // The system reads little of a long range. If it cannot read ahead, all is slower.
            let _ = fadvise(&self.file, at, NonZeroU64::new(STEP as u64), Advice::WillNeed);
        }
    }

    /// Reads so many bytes from the beginning of a page on.
    pub fn read(&self, number: u64, length: usize) -> io::Result<Vec<u8>> {
        let at = number.checked_mul(self.page_size as u64).ok_or(io::ErrorKind::InvalidInput)?;
        if let Some(direct) = &self.direct {
            match read_direct(direct, at, length) {
                // Its alignment is another one, or the end of the file is.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof) => {
                }
                read => return read,
            }
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// Opens a file. What is under its name may be a pipe: to open that would wait for a writer.
fn opened(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Reads whole blocks to an aligned place.
fn read_direct(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let rounded = length.next_multiple_of(BLOCK);
    let mut bytes = vec![0; rounded + BLOCK];
    let skipped = bytes.as_ptr().align_offset(BLOCK);
    let aligned = bytes.get_mut(skipped..skipped + rounded).ok_or(io::ErrorKind::InvalidInput)?;
    file.read_exact_at(aligned, at)?;
    bytes.copy_within(skipped..skipped + length, 0);
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_first_page_that_cannot_be_read_is_named_as_any_other() {
        // Reading a directory fails, as reading a page does that a disk has lost.
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(PageFile::open(dir.path()).unwrap().err(), Some("it cannot be read"));
        assert!(PageFile::open(&dir.path().join("none")).is_err());
        let pipe = dir.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(PageFile::open(&pipe).unwrap().err(), Some("it cannot be read"));
        assert!(PageFile::open_any(&pipe).unwrap().is_none());
    }
}
