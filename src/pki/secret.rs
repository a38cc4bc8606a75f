//! The secret all members of a cluster share, and the keys that are derived from it.

use std::fmt;
use std::path::{Path, PathBuf};

use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use super::PkiError;

/// The fewest characters in a secret. (For a random one, 32 is a good number.)
pub const MIN_SECRET_CHARS: usize = 16;

/// What keys are derived with; another format of certificates would take another one.
const SALT: &[u8] = b"kvd cluster identity 1";

/// The source of the secret. A text or file may hold several secrets, one per line: members issue with the first one
/// and accept certificates of all. So a secret can be exchanged without a pause: add the new one as the second line on
/// every member, then put it first on every member, then drop the old one.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The configuration itself.
    Text(Zeroizing<String>),
    /// A file of the operator, or a systemd credential. A reload reads it again.
    File(PathBuf),
    /// What that file holds, if somebody else had to read it.
    Read {
        /// The text.
        text: String,
        /// The file.
        path: PathBuf,
    },
    /// There is no secret. The `initial-cluster-token` keeps clusters apart by their ids, but authenticates nobody: the
    /// keys are derived from a text that everybody knows. They are not derived from the token, because `member add`
    /// does not print it, and whoever joins by etcd's documentation does not have it.
    Absent,
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(********)"),
            Self::File(path) | Self::Read { path, .. } => write!(f, "File({})", path.display()),
            Self::Absent => f.write_str("Absent"),
        }
    }
}

/// A secret that keys can be derived from. Never printed.
pub(super) struct Secret {
    text: Zeroizing<Vec<u8>>,
    /// Keeps keys of a secret apart from keys of the text that everybody knows.
    kind: &'static [u8],
}

/// Reads all secrets of a source, the issuing one first; never empty.
///
/// # Errors
/// For a file that cannot be read, and a secret that is too short.
pub(super) fn read(source: &SecretSource) -> Result<Vec<Secret>, PkiError> {
    let (text, place) = match source {
        SecretSource::Absent => {
            return Ok(vec![Secret { text: b"no secret".to_vec().into(), kind: b"absent" }]);
        }
        SecretSource::Text(text) => (text.clone(), "cluster-secret".to_owned()),
        SecretSource::File(path) => (read_file(path)?, path.display().to_string()),
        SecretSource::Read { text, path } => (Zeroizing::new(text.clone()), path.display().to_string()),
    };
    let mut secrets = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let length = line.chars().count();
        if length < MIN_SECRET_CHARS {
            return Err(PkiError::ShortSecret { place, length, least: MIN_SECRET_CHARS });
        }
        secrets.push(Secret { text: line.as_bytes().to_vec().into(), kind: b"secret" });
    }
    if secrets.is_empty() {
        return Err(PkiError::NoSecret { place });
    }
    match source {
        SecretSource::File(path) | SecretSource::Read { path, .. } => {
            check_permissions(path).map(|()| secrets)
        }
        SecretSource::Text(_) | SecretSource::Absent => Ok(secrets),
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, PkiError> {
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| PkiError::file(path, error))
}

/// Whoever reads the secret is a member: so not every user of this machine may.
fn check_permissions(path: &Path) -> Result<(), PkiError> {
    match crate::files::open_to_all(path) {
        Some(mode) => Err(PkiError::OpenSecret { path: path.to_path_buf(), mode }),
        None => Ok(()),
    }
}

impl Secret {
    /// 32 bytes for one purpose (HKDF-SHA256, RFC 5869).
    pub(super) fn derive(&self, purpose: &[u8]) -> Result<[u8; 32], PkiError> {
        derive(&self.text, &[self.kind, b" ", purpose])
    }
}

/// 32 bytes derived from `material` for the purpose that `info` spells.
pub(super) fn derive(material: &[u8], info: &[&[u8]]) -> Result<[u8; 32], PkiError> {
    let mut key = [0; 32];
    let extracted = Salt::new(HKDF_SHA256, SALT).extract(material);
    let expanded = extracted.expand(info, HKDF_SHA256).and_then(|output| output.fill(&mut key));
    expanded.map_err(|_| PkiError::crypto("key derivation failed"))?;
    Ok(key)
}
