//! What can be wrong with an identity.

use std::path::PathBuf;

/// Why there are no credentials. Every text names the file or the option that caused it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read, or holds something else.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key are not a pair.
    #[error("{cert}: the certificate does not belong to the key in {key}")]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Too old.
    #[error("{path}: the certificate has expired: it was valid until {until}")]
    Expired {
        /// The certificate's file.
        path: PathBuf,
        /// Its last moment.
        until: String,
    },
    /// Too new, or the clock is behind.
    #[error("{path}: the certificate is not valid before {from}; is this machine's clock right?")]
    NotYetValid {
        /// The certificate's file.
        path: PathBuf,
        /// Its first moment.
        from: String,
    },
    /// There is no secret at the place that the configuration names.
    #[error("{place} holds no secret")]
    NoSecret {
        /// The option or file.
        place: String,
    },
    /// Easily guessed.
    #[error("the secret in {place} has {length} characters, at least {least} are needed")]
    ShortSecret {
        /// The option or file.
        place: String,
        /// How many it has.
        length: usize,
        /// How many it needs.
        least: usize,
    },
    /// No secret any more.
    #[error(
        "{path}: every user of this machine may read the cluster's secret (mode {mode:o}): chmod o= it, and have a new \
         secret made if others may have read it"
    )]
    OpenSecret {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another member's certificate that names a different holder than the member claims to be.
    #[error("{0}")]
    Holder(String),
    /// Cryptography refused.
    #[error("certificate: {0}")]
    Crypto(String),
}

impl PkiError {
    pub(super) fn file(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::File { path: path.into(), reason: reason.to_string() }
    }

    pub(super) fn crypto(error: impl ToString) -> Self {
        Self::Crypto(error.to_string())
    }
}
