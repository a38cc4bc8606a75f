//! The file `identity` in the member directory: which member of which cluster the data belong to. The log's and the
//! store's directories each carry a copy, so that kvd notices a disk that is not mounted or belongs to another member.
//!
//! ```text
//! kvd-identity 2
//! member 8e9e05c52164694d
//! cluster cdf818194e3a8c32
//! epoch 0
//! ```
//!
//! The epoch says which life of the cluster it was when the member entered it: each `--force-new-cluster` and each
//! restore begins another one, whose members and those of the former lives refuse each other. Later ones stand in the log.
//!
//! If the cluster was recovered from what was left of another one, a file `former-clusters` has that one's id, and those
//! before it, one a line: their members are refused for ever.
//!
//! After the member was removed from its cluster, a file `removed` stands beside it, and the data are not used again.
//!
//! The first line carries the version of the format; another version is refused. The member directory's copy is written
//! last, when the log holds what the member begins with. While it is missing, the member has sent nothing to anybody,
//! and begins anew after a crash.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files;
use crate::model::{ClusterId, MemberId};

const FILE: &str = "identity";
const REMOVED: &str = "removed";
const FORMER: &str = "former-clusters";
const FIRST_LINE: &str = "kvd-identity 2";

/// A member of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The member.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Which life of the cluster it was when the member entered it.
    pub epoch: u64,
}

/// Why an identity could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system reported an error.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file was written by another version.
    #[error("{path}: this is identity format {found:?}, but this version of kvd reads {FIRST_LINE:?} only")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its first line.
        found: String,
    },
    /// The member was removed from its cluster.
    #[error(
        "{path}: this member has been permanently removed from its cluster; the data directory must be removed before \
         another member can begin here"
    )]
    Removed {
        /// The file that records it.
        path: PathBuf,
    },
    /// The file has other contents than kvd writes.
    #[error(
        "{path}: line {line} is damaged: {text:?}; restore the file from a backup or remove the member and its data"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// The text on that line.
        text: String,
    },
}

/// Reads the identity of `directory`; `None` if it has none yet.
pub fn load(directory: &Path) -> Result<Option<Identity>, IdentityError> {
    let path = directory.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => parse(&path, &String::from_utf8_lossy(&bytes)).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::Io { path, source }),
    }
}

/// Records for ever that the member of `directory` was removed from its cluster.
pub fn mark_removed(directory: &Path) -> Result<(), IdentityError> {
    let path = directory.join(REMOVED);
    files::replace(&path, b"this member has been permanently removed from its cluster\n")
        .map_err(|source| IdentityError::Io { path, source })
}

/// Records the clusters of which the cluster of `directory` was recovered.
pub fn record_former(directory: &Path, former: &[ClusterId]) -> Result<(), IdentityError> {
    let path = directory.join(FORMER);
    let text: String = former.iter().map(|cluster| format!("{cluster}\n")).collect();
    files::replace(&path, text.as_bytes()).map_err(|source| IdentityError::Io { path, source })
}

/// The clusters of which the cluster of `directory` was recovered, the oldest first; none for one that began as others do.
pub fn former(directory: &Path) -> Result<Vec<ClusterId>, IdentityError> {
    let path = directory.join(FORMER);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(IdentityError::Io { path, source }),
    };
    let line = |(line, text): (usize, &str)| {
        let number = u64::from_str_radix(text.trim(), 16).map(ClusterId);
        number.map_err(|_| IdentityError::Damaged { path: path.clone(), line: line + 1, text: text.into() })
    };
    text.lines().enumerate().map(line).collect()
}

/// Refuses the data of a member that was removed.
pub fn refuse_removed(directory: &Path) -> Result<(), IdentityError> {
    let path = directory.join(REMOVED);
    if path.exists() { Err(IdentityError::Removed { path }) } else { Ok(()) }
}

/// Writes the identity of `directory`, durably.
pub fn create(directory: &Path, identity: &Identity) -> Result<(), IdentityError> {
    let path = directory.join(FILE);
    let Identity { member, cluster, epoch } = identity;
    let text = format!("{FIRST_LINE}\nmember {member}\ncluster {cluster}\nepoch {epoch}\n");
    files::replace(&path, text.as_bytes()).map_err(|source| IdentityError::Io { path, source })
}

fn parse(path: &Path, text: &str) -> Result<Identity, IdentityError> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if first != FIRST_LINE {
        return Err(IdentityError::Version { path: path.into(), found: first.to_string() });
    }
    let mut field = |line: usize, name: &str, radix: u32| {
        let text = lines.next().unwrap_or_default();
        text.strip_prefix(name)
            .and_then(|rest| u64::from_str_radix(rest.trim(), radix).ok())
            .filter(|number| *number != 0 || radix == 10)
            .ok_or_else(|| IdentityError::Damaged { path: path.into(), line, text: text.to_string() })
    };
    Ok(Identity {
        member: MemberId(field(2, "member ", 16)?),
        cluster: ClusterId(field(3, "cluster ", 16)?),
        epoch: field(4, "epoch ", 10)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_created_is_loaded() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(load(directory.path()).expect("readable"), None);
        let identity =
            Identity { member: MemberId(0x8e9e_05c5_2164_694d), cluster: ClusterId(0xcdf8), epoch: 12 };
        create(directory.path(), &identity).expect("writable");
        assert_eq!(load(directory.path()).expect("readable"), Some(identity));
    }

    #[test]
    fn former_clusters_are_known() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(former(directory.path()).expect("none"), []);
        let clusters = [ClusterId(0xcdf8), ClusterId(7)];
        record_former(directory.path(), &clusters).expect("writable");
        assert_eq!(former(directory.path()).expect("readable"), clusters);
        fs::write(directory.path().join(FORMER), "cdf8\nnonsense\n").expect("written");
        let refused = former(directory.path()).expect_err("damaged").to_string();
        assert!(refused.contains("line 2 is damaged"), "{refused}");
    }

    #[test]
    fn a_removed_member_does_not_begin_again() {
        let directory = tempfile::tempdir().expect("a directory");
        refuse_removed(directory.path()).expect("not yet");
        mark_removed(directory.path()).expect("writable");
        let refused = refuse_removed(directory.path()).expect_err("refused").to_string();
        assert!(refused.contains("permanently removed"), "{refused}");
    }

    #[test]
    fn another_version_or_a_damaged_line_is_refused_with_the_place() {
        let path = Path::new("/data/identity");
        let refused = |text: &str| parse(path, text).expect_err("refused").to_string();
        assert!(refused("kvd-identity 1\n").contains("\"kvd-identity 1\""));
        assert!(refused("").contains("identity format \"\""));
        assert!(refused("kvd-identity 2\nmember x\n").starts_with("/data/identity: line 2 is damaged"));
        assert!(refused("kvd-identity 2\nmember 1\ncluster 0\n").contains("line 3"));
        assert!(refused("kvd-identity 2\nmember 1\ncluster 1\n").contains("line 4"));
    }
}
