//! Backups that are compressed with gzip. A backup is read at many places, so it is expanded into a file without a name
//! first, beside it, or in the directory for temporary files if nothing can be written there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// The first bytes of a gzip file.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Bytes that are read and written together.
const BUFFER: usize = 1 << 20;

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
    let mut to = BufWriter::with_capacity(BUFFER, content);
    io::copy(&mut from, &mut to)
        .map_err(|error| io::Error::new(error.kind(), format!("it cannot be expanded: {error}")))?;
    let mut content = to.into_inner().map_err(io::IntoInnerError::into_error)?;
    content.flush()?;
    content.seek(SeekFrom::Start(0))?;
    Ok(content)
}

/// A new file in this directory that has no name any more, so that it goes away with the process.
fn unnamed(dir: &Path) -> io::Result<File> {
    let path = dir.join(format!(".kvd-expanded-{:016x}", rand::random::<u64>()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}
