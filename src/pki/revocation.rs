//! Revocation lists. As in etcd a list is the operator's own file: its signature is not checked, and one that is out of
//! date still revokes.

use std::collections::HashSet;
use std::path::Path;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::PkiError;
use super::certificate::{Certificate, without_zeros};

/// What one list revokes.
#[derive(Debug)]
pub(super) struct Revoked {
    issuer: Vec<u8>,
    serials: HashSet<Vec<u8>>,
}

/// The lists in a file: one in DER, or one or more in PEM.
///
/// # Errors
/// If there is none in it.
pub(super) fn read(path: &Path) -> Result<Vec<Revoked>, PkiError> {
    let bytes = std::fs::read(path).map_err(|error| PkiError::file(path, error))?;
    const SEQUENCE: u8 = 0x30;
    if bytes.first() == Some(&SEQUENCE) {
        return Revoked::parse(&bytes).map(|list| vec![list]).map_err(|error| PkiError::file(path, error));
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let lists = lists.map_err(|error| PkiError::file(path, error))?;
    if lists.is_empty() {
        return Err(PkiError::file(path, "it holds no revocation list, neither in PEM nor in DER form"));
    }
    let parsed = lists.iter().map(|list| Revoked::parse(list.as_ref()));
    parsed.collect::<Result<_, _>>().map_err(|error| PkiError::file(path, error))
}

impl Revoked {
    fn parse(der: &[u8]) -> Result<Self, &'static str> {
        let (rest, list) =
            CertificateRevocationList::from_der(der).map_err(|_| "malformed revocation list")?;
        if !rest.is_empty() {
            return Err("bytes behind the revocation list");
        }
        let serials = list.iter_revoked_certificates().map(|revoked| without_zeros(revoked.raw_serial()));
        Ok(Self { issuer: list.issuer().as_raw().to_vec(), serials: serials.collect() })
    }

    /// True if the certificate is on this list of its issuer.
    pub(super) fn has(&self, certificate: &Certificate) -> bool {
        self.issuer == certificate.issuer && self.serials.contains(&certificate.serial)
    }
}
