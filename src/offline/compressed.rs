//! Backups that are compressed with gzip. A backup is read at many places, so it is expanded into a file without a name
//! first, beside it, or in the directory for temporary files if nothing can be written there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::files;

/// The first bytes of a gzip file.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Bytes that are read and written together.
const BUFFER: usize = 1 << 20;
/// Bytes that are left free on the disk.
const SPARE: u64 = 16 << 20;

/// The file itself, or the content of a compressed one.
///
/// # Errors
/// Those of the file system; `InvalidData` and `UnexpectedEof` for a damaged file.
pub fn expanded(mut file: File, path: &Path) -> io::Result<File> {
    let mut start = Vec::new();
    (&file).take(MAGIC.len() as u64).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    if start != MAGIC {
        return Ok(file);
    }
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let content = unnamed(beside).or_else(|_| unnamed(&std::env::temp_dir()))?;
    let mut from = MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file));
    let mut content = content;
    expand(&mut from, &mut content, SPARE)
        .map_err(|error| io::Error::new(error.kind(), format!("it cannot be expanded: {error}")))?;
    content.seek(SeekFrom::Start(0))?;
    Ok(content)
}

/// Copies all of `from`, as long as the disk keeps `spare` bytes: a small file may be a very large one in the end, and
/// others need the disk, too.
fn expand(from: &mut impl Read, to: &mut File, spare: u64) -> io::Result<()> {
    let mut part = vec![0; BUFFER];
    loop {
        let read = match from.read(&mut part) {
            Ok(0) => return to.flush(),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let available = files::available_to(to)?;
        if available < spare.saturating_add(read as u64) {
            let why =
                format!("{available} bytes are free where it is expanded, and {spare} of them are left free");
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        to.write_all(&part[..read])?;
    }
}

/// A new file in this directory that has no name any more, so that it goes away with the process.
fn unnamed(dir: &Path) -> io::Result<File> {
    let path = dir.join(format!(".kvd-expanded-{:016x}", rand::random::<u64>()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_not_filled() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut to = unnamed(dir.path()).expect("a file");
        let mut zeros = io::repeat(0).take(3 << 20);
        expand(&mut zeros, &mut to, 0).expect("there is room");
        assert_eq!(to.metadata().expect("there").len(), 3 << 20);
        let refused = expand(&mut io::repeat(0), &mut to, u64::MAX / 2).expect_err("no room");
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(refused.to_string().contains("bytes are free where it is expanded"), "{refused}");
        assert_eq!(to.metadata().expect("there").len(), 3 << 20, "nothing was written");
    }
}
