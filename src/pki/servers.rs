//! Verifying a server. A rule decides which certificates are accepted; that the server has the certificate's key is
//! checked in every case.

use std::fmt;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// What a server presents in the TLS handshake.
pub struct Shown<'s> {
    /// Its certificate.
    pub leaf: &'s CertificateDer<'s>,
    /// The certificates between it and a CA.
    pub intermediates: &'s [CertificateDer<'s>],
    /// The name that was dialled.
    pub name: &'s ServerName<'s>,
    /// Its OCSP response, empty if there is none.
    pub ocsp: &'s [u8],
    /// The time at which it must be valid.
    pub now: UnixTime,
}

/// Decides which certificates are accepted.
pub trait ServerRule: fmt::Debug + Send + Sync {
    /// Accepts a certificate.
    ///
    /// # Errors
    /// Why the certificate is refused.
    fn check(&self, shown: &Shown<'_>) -> Result<(), Error>;
}

/// The verifier of servers: it accepts the certificates that its rule accepts.
#[derive(Debug)]
pub struct Servers<R> {
    rule: R,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<R: ServerRule> Servers<R> {
    /// A verifier with this rule, and the algorithms of `provider`.
    pub fn new(rule: R, provider: &CryptoProvider) -> Self {
        Self { rule, algorithms: provider.signature_verification_algorithms }
    }
}

impl<R: ServerRule> ServerCertVerifier for Servers<R> {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.rule.check(&Shown { leaf, intermediates, name, ocsp, now })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
