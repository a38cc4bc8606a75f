//! What can go wrong with the log, by what the caller does next.

use std::io;
use std::sync::Arc;

/// Why the log could not be opened, or no longer works.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The disk reported an error. Fatal while running: the contents of the disk are then unknown.
    #[error("{file}: {source}")]
    Io {
        /// The file or directory.
        file: String,
        /// The error it reported.
        source: Arc<io::Error>,
    },
    /// The directory belongs to another process.
    #[error("{dir} is in use by another process")]
    InUse {
        /// The directory.
        dir: String,
    },
    /// The file holds bytes that the log did not write there. The log refuses to guess.
    #[error("{file}: damaged at offset {offset}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The file was written by another version.
    #[error("{file}: format version {found}; this program reads version {supported}")]
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The version understood.
        supported: u32,
    },
    /// An entry was requested that was purged or never written.
    #[error("log entries {from}..{to} are not in the log, which holds {first}..{next}")]
    NotFound {
        /// First index requested.
        from: u64,
        /// End (exclusive) requested.
        to: u64,
        /// First index held.
        first: u64,
        /// The index after the last one held.
        next: u64,
    },
    /// What is to be written contradicts what was: a fault of kvd, or of the memory it runs in. Fatal.
    #[error("the log contradicts itself: {0}")]
    Broken(String),
    /// An entry on disk that does not follow the one before it.
    #[error("entry {index} does not follow the log's end: {next} was expected")]
    OutOfOrder {
        /// The entry's index.
        index: u64,
        /// The index expected.
        next: u64,
    },
    /// The log has been closed.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    /// True if the disk, or the process's share of it, is full, or no file can be opened for lack of descriptors: only for
    /// these errors waiting helps.
    pub fn is_full(&self) -> bool {
        let LogError::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            || self.lacks_descriptors()
    }

    /// True if the files are not as they were written, or the disk cannot read a part of them.
    pub fn is_damage(&self) -> bool {
        match self {
            LogError::Damaged { .. } => true,
            LogError::Io { source, .. } => source.raw_os_error() == Some(libc::EIO),
            _ => false,
        }
    }

    /// True if the process, or the machine, has no descriptor left. Nothing was written then.
    pub fn lacks_descriptors(&self) -> bool {
        let LogError::Io { source, .. } = self else { return false };
        matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
    }
}

impl From<LogError> for io::Error {
    fn from(error: LogError) -> Self {
        let kind = match &error {
            LogError::Io { source, .. } => source.kind(),
            LogError::Damaged { .. } | LogError::Version { .. } => io::ErrorKind::InvalidData,
            LogError::NotFound { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_cannot_read_is_damaged_and_a_file_that_is_closed_to_the_caller_is_not() {
        let io = |number| LogError::Io {
            file: "f".into(),
            source: Arc::new(io::Error::from_raw_os_error(number)),
        };
        let damaged = LogError::Damaged { file: "f".into(), offset: 0, what: "a frame".into() };
        assert!(io(libc::EIO).is_damage() && damaged.is_damage());
        let others = [io(libc::EACCES), io(libc::EMFILE), LogError::Closed];
        assert!(others.iter().all(|error| !error.is_damage()));
    }
}
