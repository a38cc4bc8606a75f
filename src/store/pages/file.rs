//! The pages of a file, by ordinary reads: a page that cannot be read is an error and no signal.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, fadvise};

use super::layout::Meta;

/// What reads past the cache must be aligned to; no disk has larger blocks.
const BLOCK: usize = 4096;

/// See the module.
pub struct PageFile {
    file: File,
    /// The same file, read past the system's cache.
    direct: Option<File>,
    page_size: usize,
}

impl PageFile {
    /// Opens a file whose first page is a meta page of LMDB; the inner error says what is wrong with it.
    pub fn open(path: &Path) -> io::Result<Result<(Self, Meta), &'static str>> {
        let file = File::open(path)?;
        let mut first = [0; Meta::LEN];
        match file.read_exact_at(&mut first, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Err("it is cut off")),
            Err(error) => return Err(error),
        }
        let opened = Meta::parse(&first, 0);
        Ok(opened.map(|meta| (Self { file, direct: None, page_size: meta.page_size }, meta)))
    }

    /// From now on reads go past the system's cache, if the file system can do that.
    pub fn past_the_cache(&mut self, path: &Path) {
        self.direct = File::options().read(true).custom_flags(libc::O_DIRECT).open(path).ok();
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// Has the system read ahead.
    pub fn read_ahead(&self) {
        // If it cannot, reading is slower.
        let _ = fadvise(&self.file, 0, None, Advice::WillNeed);
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
