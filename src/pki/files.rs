//! Files of an operator: certificates, keys, CAs, revocation lists.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::chain::{Roots, Usage};
use super::refusal::Kind;
use super::verify::{Allowed, Verifier};
use super::{PkiError, keys, revocation};

/// A certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, PEM, with the chain behind it.
    pub cert: PathBuf,
    /// The key, PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Who is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The CA certificates, PEM; without it those of the system.
    pub ca: Option<PathBuf>,
    /// Revocation lists, PEM or DER.
    pub crl: Option<PathBuf>,
    /// The names that are allowed.
    pub allowed: Allowed,
}

/// The files between members, by etcd's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// `peer-cert-file` and `peer-key-file`.
    pub pair: Pair,
    /// `peer-client-cert-file` and `peer-client-key-file`: another pair for the connections this member opens.
    pub client_pair: Option<Pair>,
    /// `peer-trusted-ca-file`, `peer-crl-file` and the allowed names.
    pub trust: Trust,
}

/// The contents of the files.
pub(super) struct Loaded {
    /// Shown to members that connect to this one.
    pub own: Arc<CertifiedKey>,
    /// Shown to members that this one connects to.
    pub client: Arc<CertifiedKey>,
    /// Decides which certificates are accepted.
    pub verifier: Arc<Verifier>,
}

/// Where Go's programs look for the system's CAs on Linux: the first file that exists counts.
const SYSTEM_CAS: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl Pair {
    /// Reads the pair.
    ///
    /// # Errors
    /// They name the file and what is wrong with it; certificate and key may not belong together.
    pub fn read(&self) -> Result<Arc<CertifiedKey>, PkiError> {
        let chain = certificates(&self.cert)?;
        let first = chain.first().ok_or_else(|| PkiError::file(&self.cert, "no certificate in it"))?;
        let leaf = Certificate::read(first.as_ref()).map_err(|error| PkiError::file(&self.cert, error))?;
        warn_if_open(&self.key);
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| match error {
            pem::Error::NoItemsFound => PkiError::file(&self.key, no_key(&self.key)),
            error => PkiError::file(&self.key, error),
        })?;
        let key = keys::load(&key).map_err(|why| PkiError::file(&self.key, why))?;
        match key.public_key() {
            Some(public) if *public != *leaf.key.info => {
                Err(PkiError::Mismatch { cert: self.cert.clone(), key: self.key.clone() })
            }
            _ => Ok(Arc::new(CertifiedKey::new(chain, key))),
        }
    }
}

fn no_key(path: &Path) -> &'static str {
    let text = fs::read_to_string(path).unwrap_or_default();
    match text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        true => "its private key is encrypted: decrypt it (openssl pkey)",
        false => "it holds no private key in PEM form",
    }
}

impl Trust {
    /// Reads the files. `hosts` says that certificates of servers must be for the host that was dialled.
    ///
    /// # Errors
    /// They name the file and what is wrong with it.
    pub fn read(&self, hosts: bool) -> Result<Arc<Verifier>, PkiError> {
        let roots = match &self.ca {
            Some(path) => {
                let all = certificates(path)?;
                let read = all.iter().map(|der| Certificate::read(der.as_ref()));
                Roots::new(read.collect::<Result<Vec<_>, _>>().map_err(|error| PkiError::file(path, error))?)
            }
            None => system_roots()?,
        };
        let revoked = self.crl.as_deref().map(revocation::read).transpose()?.unwrap_or_default();
        Ok(Verifier::new(roots, revoked, self.allowed.clone(), hosts))
    }
}

/// The CAs that the system trusts; what cannot be read of them is left out.
fn system_roots() -> Result<Roots, PkiError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let files = named.into_iter().chain(SYSTEM_CAS.map(PathBuf::from));
    let found = files.filter_map(|file| certificates(&file).ok()).next();
    let found = found.ok_or_else(|| {
        PkiError::file(
            SYSTEM_CAS[0],
            "no CA file is named, and the system has none (package ca-certificates)",
        )
    })?;
    Ok(Roots::new(found.iter().filter_map(|der| Certificate::read(der.as_ref()).ok())))
}

/// Reads all files. `lenient` makes a certificate of this member that nobody will accept a warning instead of an error,
/// because a valid one may replace it soon.
///
/// # Errors
/// They name the file and what is wrong with it.
pub(super) fn load(files: &Files, now_ms: i64, lenient: bool) -> Result<Loaded, PkiError> {
    let verifier = files.trust.read(true)?;
    let own = files.pair.read()?;
    let client = match &files.client_pair {
        Some(pair) => pair.read()?,
        None => own.clone(),
    };
    for (pair, key) in [(Some(&files.pair), &own), (files.client_pair.as_ref(), &client)] {
        let Some(pair) = pair else { continue };
        match check_own(pair, key, now_ms, &verifier) {
            Err(problem) if lenient => {
                tracing::warn!(%problem, "other members will not accept this member's certificate");
            }
            other => other?,
        }
    }
    Ok(Loaded { own, client, verifier })
}

/// Checks this member's certificate as the other members will.
fn check_own(pair: &Pair, key: &CertifiedKey, now_ms: i64, verifier: &Verifier) -> Result<(), PkiError> {
    let path = pair.cert.as_path();
    let [leaf, chain @ ..] = key.cert.as_slice() else {
        return Err(PkiError::file(path, "no certificate in it"));
    };
    let certificate = Certificate::read(leaf.as_ref()).map_err(|error| PkiError::file(path, error))?;
    certificate.check_validity(path, now_ms)?;
    // While CAs are being exchanged, the bundle may lack this member's own CA; so this is only a hint.
    match verifier.check((leaf, chain), Usage::Client, None, now_ms / 1000) {
        Err(refused) if refused.kind == Kind::UnknownCa => {
            tracing::warn!(certificate = %path.display(), "the trusted CA file holds no CA of this certificate");
        }
        Err(refused) => {
            tracing::warn!(certificate = %path.display(), %refused, "other members may refuse this certificate")
        }
        Ok(()) => {}
    }
    Ok(())
}

pub(super) fn unix_time(now_ms: i64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_millis(u64::try_from(now_ms).unwrap_or_default()))
}

/// All certificates of a PEM file; at least one.
///
/// # Errors
/// They name the file and what is wrong with it.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let read = CertificateDer::pem_file_iter(path).and_then(|objects| objects.collect::<Result<Vec<_>, _>>());
    match read {
        Ok(objects) if objects.is_empty() => Err(PkiError::file(path, "it holds no certificate in PEM form")),
        Ok(objects) => Ok(objects),
        Err(error) => Err(PkiError::file(path, error)),
    }
}

/// The end of the validity of a PEM file's certificates, in seconds since the unix epoch; `None` if it cannot be read. A
/// chain ends with the first of them, a bundle of CAs with the last.
pub fn valid_until(file: &Path, is_bundle: bool) -> Option<i64> {
    let all = certificates(file).ok()?;
    let ends = all.iter().filter_map(|der| Some(Certificate::read(der.as_ref()).ok()?.until));
    if is_bundle { ends.max() } else { ends.min() }
}

/// Refuses the first certificate of a PEM file outside the time for which it is valid.
///
/// # Errors
/// [`PkiError::Expired`], [`PkiError::NotYetValid`]; a file that holds no certificate.
pub fn check_validity(file: &Path, now_ms: i64) -> Result<(), PkiError> {
    let all = certificates(file)?;
    let first = all.first().ok_or_else(|| PkiError::file(file, "no certificate in it"))?;
    Certificate::read(first.as_ref())?.check_validity(file, now_ms)
}

/// Warns if a file with a secret is readable by every user of this machine.
pub(super) fn warn_if_open(path: &Path) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let path = path.display();
        tracing::warn!(%path, mode = format!("{mode:o}"), "every user of this machine may read this file: chmod o= it");
    }
}

/// How files looked when they were last read. Files that look the same are taken for unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps(Vec<Option<[i64; 6]>>);

impl Stamps {
    /// The present look of these files. To be taken before they are read: a change during the reading is then found.
    pub fn of<'p>(files: impl IntoIterator<Item = &'p Path>) -> Self {
        let stamp = |file: &Path| {
            let data = fs::metadata(file).ok()?;
            let (inode, size) = (data.ino().cast_signed(), data.size().cast_signed());
            Some([inode, size, data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()])
        };
        Self(files.into_iter().map(stamp).collect())
    }
}

impl Pair {
    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [self.cert.as_path(), self.key.as_path()].into_iter()
    }
}

impl Trust {
    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [self.ca.as_deref(), self.crl.as_deref()].into_iter().flatten()
    }
}

impl Files {
    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        let pairs = std::iter::once(&self.pair).chain(&self.client_pair);
        pairs.flat_map(Pair::files).chain(self.trust.files())
    }
}
