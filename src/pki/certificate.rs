//! The contents of a certificate.

use std::fmt;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::PkiError;
use crate::model::{ClusterId, MemberId};

/// The holder of a certificate, as its URI name `kvd://CLUSTER/MEMBER` says. Both ids are zero for a holder that is not
/// a member yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The member.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
}

const SCHEME: &str = "kvd://";

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.cluster, self.member)
    }
}

impl Holder {
    /// Reads what [`Display`](fmt::Display) writes; `None` for any other URI.
    pub fn parse(uri: &str) -> Option<Self> {
        let (cluster, member) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let id = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Self { member: MemberId(id(member)?), cluster: ClusterId(id(cluster)?) })
    }
}

/// The fields kvd reads in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The subject's common names; usually one.
    pub common_names: Vec<String>,
    /// The member it was issued to, if its URI name says so.
    pub holder: Option<Holder>,
    /// Start of its validity, seconds since the unix epoch.
    pub from: i64,
    /// End of its validity, likewise.
    pub until: i64,
    /// Both as text.
    pub validity: (String, String),
}

/// The end of validity of the first certificate of a PEM file, in seconds since the unix epoch; `None` if it cannot be
/// read.
pub fn valid_until(file: &Path) -> Option<i64> {
    let der = CertificateDer::from_pem_file(file).ok()?;
    read(&der).ok().map(|facts| facts.until)
}

/// Refuses the first certificate of a PEM file outside the time for which it is valid.
///
/// # Errors
/// [`PkiError::Expired`], [`PkiError::NotYetValid`]; a file that holds no certificate.
pub fn check_validity(file: &Path, now_ms: i64) -> Result<(), PkiError> {
    let der = CertificateDer::from_pem_file(file).map_err(|error| PkiError::file(file, error))?;
    read(&der)?.check_validity(file, now_ms)
}

impl Facts {
    /// Refuses a certificate, read from `path`, outside the time for which it is valid.
    ///
    /// # Errors
    /// [`PkiError::Expired`], [`PkiError::NotYetValid`].
    pub(super) fn check_validity(&self, path: &Path, now_ms: i64) -> Result<(), PkiError> {
        let (path, now) = (path.to_path_buf(), now_ms / 1000);
        let (from, until) = self.validity.clone();
        match () {
            () if now > self.until => Err(PkiError::Expired { path, until }),
            () if now < self.from => Err(PkiError::NotYetValid { path, from }),
            () => Ok(()),
        }
    }
}

/// Reads a certificate. Does not check whether it is trusted.
///
/// # Errors
/// If it is not a certificate.
pub(super) fn read(der: &CertificateDer<'_>) -> Result<Facts, PkiError> {
    let (_, certificate) = X509Certificate::from_der(der.as_ref()).map_err(PkiError::crypto)?;
    let validity = certificate.validity();
    let names = certificate.subject().iter_common_name();
    let alternative = certificate.subject_alternative_name().map_err(PkiError::crypto)?;
    let uris =
        alternative.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
    Ok(Facts {
        common_names: names.filter_map(|name| name.as_str().ok()).map(str::to_owned).collect(),
        holder: uris.filter_map(Holder::parse).next(),
        from: validity.not_before.timestamp(),
        until: validity.not_after.timestamp(),
        validity: (validity.not_before.to_string(), validity.not_after.to_string()),
    })
}
