//! A snapshot while it arrives: in memory as long as it is small, else in a file without a name.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, Mode, OFlags};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Up to this size it stays in memory.
const IN_MEMORY: usize = 1 << 20;
/// Pieces between the network and the disk.
const AHEAD: usize = 8;

/// Takes pieces and writes them on a thread for blocking work.
pub(super) struct Spool {
    pieces: mpsc::Sender<Bytes>,
    written: JoinHandle<io::Result<Spooled>>,
}

/// All of it.
pub(super) struct Spooled {
    /// At its beginning.
    pub file: File,
    /// Bytes.
    pub length: u64,
    /// CRC-32C.
    pub checksum: u32,
}

impl Spool {
    /// Begins one; larger ones lie in `directory`.
    pub(super) fn begin(directory: PathBuf) -> Self {
        let (pieces, arriving) = mpsc::channel(AHEAD);
        let written = tokio::task::spawn_blocking(move || write_all(&directory, arriving));
        Self { pieces, written }
    }

    /// Adds a piece; waits while the disk is behind.
    ///
    /// # Errors
    /// Where writing has failed; [`Spool::end`] says why.
    pub(super) async fn add(&self, piece: Bytes) -> Result<(), ()> {
        self.pieces.send(piece).await.map_err(drop)
    }

    /// All of it, once it is written.
    pub(super) async fn end(self) -> io::Result<Spooled> {
        drop(self.pieces);
        self.written.await.map_err(io::Error::other)?
    }
}

fn write_all(directory: &Path, mut pieces: mpsc::Receiver<Bytes>) -> io::Result<Spooled> {
    let (mut length, mut checksum) = (0_u64, 0);
    let mut file = File::from(rustix::fs::memfd_create("kvd-snapshot", MemfdFlags::CLOEXEC)?);
    let mut is_small = true;
    while let Some(piece) = pieces.blocking_recv() {
        if is_small && length + piece.len() as u64 > IN_MEMORY as u64 {
            let mut large = nameless(directory)?;
            file.rewind()?;
            io::copy(&mut file, &mut large)?;
            (file, is_small) = (large, false);
        }
        file.write_all(&piece)?;
        length += piece.len() as u64;
        checksum = crc32c::crc32c_append(checksum, &piece);
    }
    file.rewind()?;
    Ok(Spooled { file, length, checksum })
}

/// A file without a name, which is gone with its last descriptor.
fn nameless(directory: &Path) -> io::Result<File> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        // Not every file system has such files.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::NOENT) => {
            static NUMBER: AtomicU64 = AtomicU64::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!(".snapshot-{}-{number}", std::process::id()));
            let file =
                OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(named)?;
            std::fs::remove_file(&path).map_err(named)?;
            Ok(file)
        }
        Err(error) => Err(named(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[tokio::test]
    async fn small_and_large_ones_come_back_whole_and_leave_no_file() {
        let directory = tempfile::tempdir().expect("a directory");
        for pieces in [0_usize, 1, 3, 40] {
            let spool = Spool::begin(directory.path().into());
            let mut whole = Vec::new();
            for number in 0..pieces {
                let piece = vec![number as u8; 100_000];
                whole.extend_from_slice(&piece);
                spool.add(piece.into()).await.expect("room");
            }
            let mut spooled = spool.end().await.expect("written");
            let mut read = Vec::new();
            spooled.file.read_to_end(&mut read).expect("readable");
            assert!(read == whole, "{pieces} pieces");
            assert_eq!((spooled.length, spooled.checksum), (whole.len() as u64, crc32c::crc32c(&whole)));
            assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 0);
        }
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_named() {
        let spool = Spool::begin("/nowhere/at/all".into());
        while spool.add(vec![0; IN_MEMORY].into()).await.is_ok() {}
        assert!(spool.end().await.err().expect("no such directory").kind() == io::ErrorKind::NotFound);
    }
}
