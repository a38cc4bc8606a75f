//! Which certificates are accepted: the one verifier of members, of listeners for clients, and of kvctl.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme};

use super::algorithms::ALGORITHMS;
use super::certificate::Certificate;
use super::chain::{self, Roots, Usage};
use super::names;
use super::refusal::{Kind, Refused};
use super::revocation::Revoked;

/// Names of which a certificate must carry at least one; an empty list requires nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Common names (`peer-cert-allowed-cn`).
    pub common_names: Vec<String>,
    /// Hosts, by the rules for servers' names (`client-cert-allowed-hostname`, `peer-cert-allowed-hostname`).
    pub hosts: Vec<String>,
}

/// The verifier of clients and servers. That the other side has the certificate's key is checked in every case.
pub struct Verifier {
    rule: Rule,
    allowed: Allowed,
    /// Certificates of servers must be for the host that was dialled.
    hosts: bool,
}

enum Rule {
    /// Accepts everybody.
    Anybody,
    /// A path to a root, and nothing on it revoked.
    Chain(Roots, Vec<Revoked>),
    /// One certificate, whoever issued it and whatever its names, and those that the other verifier accepts.
    Known(CertificateDer<'static>, Option<Arc<Verifier>>),
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Verifier {
    pub(super) fn new(roots: Roots, revoked: Vec<Revoked>, allowed: Allowed, hosts: bool) -> Arc<Self> {
        Arc::new(Self { rule: Rule::Chain(roots, revoked), allowed, hosts })
    }

    /// Accepts every server (`--insecure-skip-tls-verify`).
    pub fn anybody() -> Arc<Self> {
        Arc::new(Self { rule: Rule::Anybody, allowed: Allowed::default(), hosts: false })
    }

    /// Accepts the server with this certificate, for whatever host, and those that `others` accepts.
    pub fn known(certificate: CertificateDer<'static>, others: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { rule: Rule::Known(certificate, others), allowed: Allowed::default(), hosts: false })
    }

    /// Checks what the other side shows; `host` is the one that was dialled.
    pub(super) fn check(
        &self,
        (leaf, others): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        usage: Usage,
        host: Option<&ServerName<'_>>,
        now: i64,
    ) -> Result<(), Refused> {
        let (roots, revoked) = match &self.rule {
            Rule::Anybody => return Ok(()),
            Rule::Known(known, _) if known == leaf => return Ok(()),
            Rule::Known(_, Some(others_rule)) => return others_rule.check((leaf, others), usage, host, now),
            Rule::Known(_, None) => {
                return Err(Refused::new(
                    Kind::UnknownCa,
                    "the certificate is not the one of the member on this machine",
                ));
            }
            Rule::Chain(roots, revoked) => (roots, revoked),
        };
        let shown = chain::read(leaf, others)?;
        let path = chain::find(&shown, roots, usage, now)?;
        if let Some(bad) = path.iter().find(|certificate| revoked.iter().any(|list| list.has(certificate))) {
            let text = format!("the certificate {:?} was revoked", bad.name());
            return Err(Refused::new(Kind::Revoked, text));
        }
        let Some(leaf) = path.first() else { return Ok(()) };
        if let Some(host) = host.filter(|_| self.hosts) {
            check_host(leaf, host)?;
        }
        self.allowed.check(leaf)
    }
}

fn check_host(leaf: &Certificate, host: &ServerName<'_>) -> Result<(), Refused> {
    let text = host.to_str();
    if names::are_for(&leaf.says.names, &text) {
        return Ok(());
    }
    let presented: Vec<String> = leaf.says.names.iter().map(ToString::to_string).collect();
    let which = match presented.as_slice() {
        [] => "it has no names (a common name does not count)".to_owned(),
        names => format!("it is for {}", names.join(", ")),
    };
    let text = format!("the certificate {:?} is not for {text}: {which}", leaf.name());
    Err(Refused::new(Kind::Name(host.to_owned(), presented), text))
}

impl Allowed {
    fn check(&self, leaf: &Certificate) -> Result<(), Refused> {
        let name = leaf.common_names.last().map(String::as_str).unwrap_or_default();
        if !self.common_names.is_empty() && !self.common_names.iter().any(|allowed| allowed == name) {
            let text = format!("its common name {name:?} is not among those allowed");
            return Err(Refused::new(Kind::NotAllowed, text));
        }
        if !self.hosts.is_empty() && !self.hosts.iter().any(|host| names::are_for(&leaf.says.names, host)) {
            let text = format!("the certificate {:?}: it is for none of the hosts allowed", leaf.name());
            return Err(Refused::new(Kind::NotAllowed, text));
        }
        Ok(())
    }
}

fn seconds(now: UnixTime) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

impl ClientCertVerifier for Verifier {
    /// None: the list tells strangers about the operator, and clients with one certificate show it anyway.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let checked = self.check((end_entity, intermediates), Usage::Client, None, seconds(now));
        checked.map(|()| ClientCertVerified::assertion()).map_err(Refused::into_error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, cert, dss, &algorithms(dss.scheme)?)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, cert, dss, &algorithms_of_tls13(dss.scheme)?)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked = self.check((end_entity, intermediates), Usage::Server, Some(server_name), seconds(now));
        checked.map(|()| ServerCertVerified::assertion()).map_err(Refused::into_error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, cert, dss, &algorithms(dss.scheme)?)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, cert, dss, &algorithms_of_tls13(dss.scheme)?)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}

type Algorithms = Vec<&'static dyn SignatureVerificationAlgorithm>;

fn algorithms(scheme: SignatureScheme) -> Result<Algorithms, Error> {
    let known = ALGORITHMS.mapping.iter().find(|(own, _)| *own == scheme);
    let known = known.map(|(_, algorithms)| algorithms.to_vec());
    known.ok_or_else(|| PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
}

/// In TLS 1.3 a scheme names the curve, and there is no PKCS #1 (RFC 8446, 4.2.3).
fn algorithms_of_tls13(scheme: SignatureScheme) -> Result<Algorithms, Error> {
    use SignatureScheme::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512};
    let mut algorithms = algorithms(scheme)?;
    if matches!(scheme, RSA_PKCS1_SHA256 | RSA_PKCS1_SHA384 | RSA_PKCS1_SHA512) {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    algorithms.truncate(1);
    Ok(algorithms)
}

/// Verifies the handshake's signature with the certificate's key.
fn verify(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &[&'static dyn SignatureVerificationAlgorithm],
) -> Result<HandshakeSignatureValid, Error> {
    let malformed = |error| Refused::new(Kind::Malformed, error).into_error();
    let key = Certificate::read(certificate.as_ref()).map_err(malformed)?.key;
    let mut fit = algorithms.iter().filter(|algorithm| *algorithm.public_key_alg_id() == *key.algorithm);
    let valid =
        fit.any(|algorithm| algorithm.verify_signature(&key.bits, message, signed.signature()).is_ok());
    match valid {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(rustls::CertificateError::BadSignature.into()),
    }
}
