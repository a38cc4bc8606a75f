//! The readers of certificates and revocation lists, with any bytes.

use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, FromDer};

use super::certificate::Certificate;
use super::chain::{Roots, Usage};
use super::revocation::Revoked;
use super::verify::{Allowed, Verifier};

/// Reads `bytes` as a revocation list, and as certificates one after another: the first is trusted, the second is verified
/// with the others.
pub fn probe(bytes: &[u8]) {
    let revoked: Vec<Revoked> = Revoked::parse(bytes).into_iter().collect();
    let mut certificates = Vec::new();
    let mut left = bytes;
    while let Ok((rest, _)) = Any::from_der(left) {
        certificates.push(CertificateDer::from_slice(left.get(..left.len() - rest.len()).unwrap_or(left)));
        left = rest;
    }
    let [root, leaf, others @ ..] = certificates.as_slice() else { return };
    let Ok(root) = Certificate::read(root) else { return };
    let _ = (root.holder(), root.name());
    let verifier = Verifier::new(Roots::new([root]), revoked, Allowed::default(), true);
    for (usage, host) in [(Usage::Client, None), (Usage::Server, "a.example".try_into().ok())] {
        let _ = verifier.check((leaf, others), usage, host.as_ref(), 1_767_225_600);
    }
}
