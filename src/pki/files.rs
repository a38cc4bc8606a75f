//! The operator's own certificates (`[peer-transport-security]`).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error};

use super::verify::{self, Allowed, Verifiers};
use super::{PkiError, certificate};

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, PEM, with the chain behind it.
    pub cert: PathBuf,
    /// The key, PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// The files between members, by etcd's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// `peer-cert-file` and `peer-key-file`.
    pub pair: Pair,
    /// `peer-client-cert-file` and `peer-client-key-file`: another pair for the connections this member opens.
    pub client_pair: Option<Pair>,
    /// `peer-trusted-ca-file`: one or more CA certificates, PEM.
    pub trusted_ca: PathBuf,
    /// `peer-crl-file`: one or more revocation lists, PEM.
    pub crl: Option<PathBuf>,
    /// `peer-cert-allowed-cn`; empty for any.
    pub allowed_cn: Vec<String>,
    /// `peer-cert-allowed-hostname`; empty for any.
    pub allowed_hostnames: Vec<String>,
}

/// The contents of the files.
pub(super) struct Loaded {
    /// Shown to members that connect to this one.
    pub own: Arc<CertifiedKey>,
    /// Shown to members that this one connects to.
    pub client: Arc<CertifiedKey>,
    /// Decide which certificates are accepted.
    pub verifiers: Verifiers,
}

/// Reads all files. `lenient` makes a certificate of this member that nobody will accept a warning instead of an error,
/// because a valid one may replace it soon.
///
/// # Errors
/// They name the file and what is wrong with it.
pub(super) fn load(
    files: &Files,
    now_ms: i64,
    lenient: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Loaded, PkiError> {
    let cas = read_all::<CertificateDer<'static>>(&files.trusted_ca, "certificate")?;
    let roots = verify::roots(&cas, &files.trusted_ca)?;
    let crls = match &files.crl {
        Some(path) => read_all::<CertificateRevocationListDer<'static>>(path, "revocation list")?,
        None => Vec::new(),
    };
    let allowed = Allowed { common_names: files.allowed_cn.clone(), hosts: files.allowed_hostnames.clone() };
    let verifiers = verify::by_operator(roots, crls, allowed, provider).map_err(|error| {
        // The bundle was read without an error, so what the builder refuses is the revocation list.
        PkiError::file(files.crl.as_ref().unwrap_or(&files.trusted_ca), error)
    })?;
    let own = read_pair(&files.pair, provider)?;
    let client = match &files.client_pair {
        Some(pair) => read_pair(pair, provider)?,
        None => own.clone(),
    };
    for (pair, key) in [(Some(&files.pair), &own), (files.client_pair.as_ref(), &client)] {
        let Some(pair) = pair else { continue };
        match check_own(pair, key, now_ms, &verifiers) {
            Err(problem) if lenient => {
                tracing::warn!(%problem, "other members will not accept this member's certificate");
            }
            other => other?,
        }
    }
    Ok(Loaded { own, client, verifiers })
}

fn read_pair(pair: &Pair, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, PkiError> {
    let chain = read_all::<CertificateDer<'static>>(&pair.cert, "certificate")?;
    warn_if_open(&pair.key);
    let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(|error| match error {
        pem::Error::NoItemsFound => PkiError::file(&pair.key, "it holds no private key in PEM form"),
        error => PkiError::file(&pair.key, error),
    })?;
    match CertifiedKey::from_der(chain, key, provider) {
        Ok(pair) => Ok(Arc::new(pair)),
        Err(Error::InconsistentKeys(_)) => {
            Err(PkiError::Mismatch { cert: pair.cert.clone(), key: pair.key.clone() })
        }
        Err(error @ Error::InvalidCertificate(_)) => Err(PkiError::file(&pair.cert, error)),
        Err(error) => Err(PkiError::file(&pair.key, error)),
    }
}

/// Checks this member's certificate as the other members will.
fn check_own(pair: &Pair, key: &CertifiedKey, now_ms: i64, (clients, _): &Verifiers) -> Result<(), PkiError> {
    let path = pair.cert.clone();
    let [leaf, chain @ ..] = key.cert.as_slice() else {
        return Err(PkiError::file(path, "no certificate in it"));
    };
    let facts = certificate::read(leaf).map_err(|error| PkiError::file(&path, error))?;
    facts.check_validity(&path, now_ms)?;
    // While CAs are being exchanged, the bundle may lack this member's own CA; so this is only a hint.
    match clients.verify_client_cert(leaf, chain, unix_time(now_ms)) {
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            tracing::warn!(certificate = %path.display(), "the trusted CA file holds no CA of this certificate");
        }
        Err(error) => {
            tracing::warn!(certificate = %path.display(), %error, "other members may refuse this certificate")
        }
        Ok(_) => {}
    }
    Ok(())
}

pub(super) fn unix_time(now_ms: i64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_millis(u64::try_from(now_ms).unwrap_or_default()))
}

/// All objects of a kind, called `what`, in a PEM file; at least one.
fn read_all<T: PemObject>(path: &Path, what: &str) -> Result<Vec<T>, PkiError> {
    let read = T::pem_file_iter(path).and_then(|objects| objects.collect::<Result<Vec<T>, _>>());
    match read {
        Ok(objects) if objects.is_empty() => {
            Err(PkiError::file(path, format!("it holds no {what} in PEM form")))
        }
        Ok(objects) => Ok(objects),
        Err(error) => Err(PkiError::file(path, error)),
    }
}

/// Warns if a file with a secret is readable by every user of this machine.
pub(super) fn warn_if_open(path: &Path) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let path = path.display();
        tracing::warn!(%path, mode = format!("{mode:o}"), "every user of this machine may read this file: chmod o= it");
    }
}
