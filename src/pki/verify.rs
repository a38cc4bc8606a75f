//! Which certificates are accepted.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::servers::{ServerRule, Servers, Shown};
use super::{PkiError, certificate};

/// Names of which a member's certificate must carry at least one; an empty list requires nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Allowed {
    /// `peer-cert-allowed-cn`.
    pub common_names: Vec<String>,
    /// `peer-cert-allowed-hostname`.
    pub hosts: Vec<String>,
}

impl Allowed {
    fn check(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        if !self.common_names.is_empty() {
            let names = certificate::read(leaf).map_err(refused)?.common_names;
            if !names.iter().any(|name| self.common_names.contains(name)) {
                let names = names.join(", ");
                return Err(refused(NotAllowed(format!(
                    "its common name {names:?} is not among those allowed"
                ))));
            }
        }
        if !self.hosts.is_empty() {
            let parsed = ParsedCertificate::try_from(leaf)?;
            let fits = |host: &String| {
                let name = ServerName::try_from(host.as_str());
                name.is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
            };
            if !self.hosts.iter().any(fits) {
                return Err(refused(NotAllowed("it is for none of the hosts allowed".into())));
            }
        }
        Ok(())
    }
}

#[derive(thiserror::Error)]
#[error("{0}")]
struct NotAllowed(String);

/// rustls prints the debug form to the refused side, so that has to be readable as well.
impl fmt::Debug for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

/// The CAs whose certificates are accepted.
pub(super) fn roots<'a>(
    certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>,
    path: &Path,
) -> Result<Arc<RootCertStore>, PkiError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| PkiError::file(path, error))?;
    }
    Ok(Arc::new(roots))
}

/// The verifiers of both ends of a connection: of clients and of servers.
pub(super) type Verifiers = (Arc<dyn ClientCertVerifier>, Arc<dyn ServerCertVerifier>);

/// For certificates that an operator issued: webpki's rules with a revocation list, then the allowed names. A dialled
/// member must show a certificate for the host that was dialled.
pub(super) fn by_operator(
    roots: Arc<RootCertStore>,
    crls: Vec<CertificateRevocationListDer<'static>>,
    allowed: Allowed,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifiers, PkiError> {
    let mut clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let mut servers = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
    if !crls.is_empty() {
        // A CA of the bundle without a revocation list revokes nothing, and an expired list is better than none.
        clients = clients.with_crls(crls.clone()).allow_unknown_revocation_status();
        servers = servers.with_crls(crls).allow_unknown_revocation_status();
    }
    let clients = clients.clear_root_hint_subjects().build().map_err(PkiError::crypto)?;
    let servers = servers.build().map_err(PkiError::crypto)?;
    let allowed = Arc::new(allowed);
    Ok((
        Arc::new(AllowedClients { inner: clients, allowed: allowed.clone() }),
        Arc::new(Servers::new(AllowedServers { inner: servers, allowed }, provider)),
    ))
}

/// For certificates that members issued to themselves: they must be signed by the CA of the secret. The id in the
/// certificate says which member it is; the name or address that was dialled does not matter.
pub(super) fn by_members(
    roots: Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifiers, PkiError> {
    let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let clients = clients.clear_root_hint_subjects().build().map_err(PkiError::crypto)?;
    let servers = AnyName { roots, provider: provider.clone() };
    Ok((clients, Arc::new(Servers::new(servers, provider))))
}

struct AllowedClients {
    inner: Arc<dyn ClientCertVerifier>,
    allowed: Arc<Allowed>,
}

impl fmt::Debug for AllowedClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AllowedClients({:?})", self.allowed)
    }
}

impl ClientCertVerifier for AllowedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        self.allowed.check(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[derive(Debug)]
struct AllowedServers {
    inner: Arc<WebPkiServerVerifier>,
    allowed: Arc<Allowed>,
}

impl ServerRule for AllowedServers {
    fn check(&self, shown: &Shown<'_>) -> Result<(), Error> {
        let Shown { leaf, intermediates, name, ocsp, now } = *shown;
        self.inner.verify_server_cert(leaf, intermediates, name, ocsp, now)?;
        self.allowed.check(leaf)
    }
}

#[derive(Debug)]
struct AnyName {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerRule for AnyName {
    fn check(&self, shown: &Shown<'_>) -> Result<(), Error> {
        let leaf = ParsedCertificate::try_from(shown.leaf)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let (intermediates, now) = (shown.intermediates, shown.now);
        verify_server_cert_signed_by_trust_anchor(&leaf, &self.roots, intermediates, now, algorithms)
    }
}
