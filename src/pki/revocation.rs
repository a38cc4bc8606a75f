//! Revocation lists. As in etcd a list is the operator's own file: its signature is not checked, and one that is out of
//! date still revokes. A list with extensions that change which certificates it means is refused: otherwise it would
//! revoke nothing.

use std::collections::HashSet;
use std::path::Path;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::oid_registry::OID_X509_EXT_DELTA_CRL_INDICATOR;
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
    /// The list in DER.
    ///
    /// # Errors
    /// Why it is none, or none that can be followed.
    pub(super) fn parse(der: &[u8]) -> Result<Self, &'static str> {
        let (rest, list) =
            CertificateRevocationList::from_der(der).map_err(|_| "malformed revocation list")?;
        if !rest.is_empty() {
            return Err("bytes behind the revocation list");
        }
        if list.extensions().iter().any(is_strange) {
            return Err(
                "the revocation list is indirect, or has a critical extension that kvd does not know",
            );
        }
        for revoked in list.iter_revoked_certificates() {
            // A reason and a date change nothing, and have to be known to be critical.
            if revoked
                .extensions()
                .iter()
                .any(|extension| extension.critical && !is_known_of_entry(extension))
            {
                return Err(
                    "an entry of the revocation list has a critical extension that kvd does not know",
                );
            }
        }
        let serials = list.iter_revoked_certificates().map(|revoked| without_zeros(revoked.raw_serial()));
        Ok(Self { issuer: list.issuer().as_raw().to_vec(), serials: serials.collect() })
    }

    /// True if the certificate is on this list of its issuer.
    pub(super) fn has(&self, certificate: &Certificate) -> bool {
        self.issuer == certificate.issuer && self.serials.contains(&certificate.serial)
    }
}

/// True for an extension of a list by which the list means other certificates than those of its issuer, or that nobody
/// may pass over. (That it is a part of a whole changes nothing: what is on it is revoked.)
fn is_strange(extension: &X509Extension<'_>) -> bool {
    match extension.parsed_extension() {
        ParsedExtension::IssuingDistributionPoint(point) => point.indirect_crl,
        ParsedExtension::CRLNumber(_) | ParsedExtension::AuthorityKeyIdentifier(_) => false,
        _ => extension.critical && extension.oid != OID_X509_EXT_DELTA_CRL_INDICATOR,
    }
}

fn is_known_of_entry(extension: &X509Extension<'_>) -> bool {
    matches!(
        extension.parsed_extension(),
        ParsedExtension::ReasonCode(_) | ParsedExtension::InvalidityDate(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let contents = parts.concat();
        let length = u8::try_from(contents.len()).expect("a short one");
        let head = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [head, contents].concat()
    }

    /// A list that revokes serial number 5, with these extensions of the entry and of the list.
    fn list(of_entry: &[u8], of_list: &[u8]) -> Result<Revoked, &'static str> {
        const TIME: &[u8] = b"\x17\x0d260101000000Z";
        const ALGORITHM: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
        const ISSUER: &[u8] = b"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02CA";
        let given =
            |extension: &[u8]| if extension.is_empty() { Vec::new() } else { der(0x30, &[extension]) };
        let entry = der(0x30, &[b"\x02\x02\x00\x05", TIME, &given(of_entry)]);
        let extensions = given(of_list);
        let extensions = if extensions.is_empty() { extensions } else { der(0xa0, &[&extensions]) };
        let body =
            der(0x30, &[b"\x02\x01\x01", ALGORITHM, ISSUER, TIME, TIME, &der(0x30, &[&entry]), &extensions]);
        Revoked::parse(&der(0x30, &[&body, ALGORITHM, b"\x03\x02\x00\x00"]))
    }

    /// Of an extension 2.5.29.`id` with that value.
    fn extension(id: u8, critical: bool, value: &[u8]) -> Vec<u8> {
        let critical = if critical { &b"\x01\x01\xff"[..] } else { &[] };
        der(0x30, &[&[6, 3, 0x55, 0x1d, id], critical, &der(4, &[value])])
    }

    #[test]
    fn a_list_that_means_others_than_it_seems_to_is_refused() {
        let plain = list(&[], &[]).expect("a list");
        assert!(plain.serials.contains(&[5][..]), "{plain:?}");
        let (reason, number) = (extension(21, true, &[10, 1, 1]), extension(20, true, &[2, 1, 7]));
        let (delta, part) = (extension(27, true, &[2, 1, 6]), extension(28, true, &[0x30, 3, 0x81, 1, 0xff]));
        for known in [list(&reason, &number), list(&[], &delta), list(&extension(99, false, &[5, 0]), &part)]
        {
            assert!(known.expect("a list").serials.contains(&[5][..]));
        }
        let issuer = extension(29, true, &[0x30, 4, 0x82, 2, b'a', b'b']);
        let indirect = extension(28, true, &[0x30, 3, 0x84, 1, 0xff]);
        for strange in [
            list(&issuer, &[]),
            list(&[], &indirect),
            list(&[], &extension(28, false, &[0x30, 3, 0x84, 1, 0xff])),
            list(&[], &extension(99, true, &[5, 0])),
            list(&extension(99, true, &[5, 0]), &[]),
            list(&[], &extension(28, true, &[1])),
        ] {
            strange.expect_err("it would revoke something else");
        }
    }
}
