//! TLS between the load and the servers: certificates of a CA of their own, made for each run.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CipherSuite, DigitallySignedStruct, Error, SignatureScheme};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Who shows a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The server.
    Server,
    /// The server and its clients (`--client-cert-auth`).
    Both,
}

/// A server's certificate files, and how its clients connect.
pub struct Tls {
    dir: TempDir,
    shown: Shown,
    connector: TlsConnector,
}

impl Tls {
    /// Makes the certificates, below `parent`. All keys are ECDSA on P-256.
    pub fn new(parent: &Path, shown: Shown) -> Result<Arc<Tls>, String> {
        let failed = |error: &dyn std::fmt::Display| format!("no certificates for TLS: {error}");
        std::fs::create_dir_all(parent).map_err(|e| failed(&e))?;
        let dir = TempDir::with_prefix_in("tls", parent).map_err(|e| failed(&e))?;
        let [ca, server, client] = certificates().map_err(|e| failed(&e))?;
        let files = [("ca.crt", &ca.0), ("server.crt", &server.0), ("server.key", &server.1)]
            .map(|(name, text)| std::fs::write(dir.path().join(name), text).map_err(|e| failed(&e)));
        files.into_iter().collect::<Result<(), _>>()?;
        let config = config((shown == Shown::Both).then_some(client)).map_err(|e| failed(&e))?;
        Ok(Arc::new(Tls { dir, shown, connector: TlsConnector::from(Arc::new(config)) }))
    }

    /// The flags of a server with these certificates.
    pub fn flags(&self) -> Vec<String> {
        let file = |flag: &str, name| format!("--{flag}={}", self.dir.path().join(name).display());
        let mut flags = vec![file("cert-file", "server.crt"), file("key-file", "server.key")];
        if self.shown == Shown::Both {
            flags.extend(["--client-cert-auth".to_owned(), file("trusted-ca-file", "ca.crt")]);
        }
        flags
    }

    /// Makes a full handshake.
    pub async fn connect(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST)), stream).await
    }
}

/// A certificate and its key, as PEM.
type Pem = (String, String);

/// Those of a CA, a server and a client.
fn certificates() -> Result<[Pem; 3], rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "bench CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let ca = (params.self_signed(&key)?.pem(), key.serialize_pem());
    let issuer = Issuer::new(params, key);
    let issue = |name: &str| -> Result<Pem, rcgen::Error> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        // etcd's gateway shows the server's certificate to the server.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    };
    Ok([ca, issue("server")?, issue("client")?])
}

/// A client that resumes no session, as Go's without a cache. Like Go's it prefers AES-128.
fn config(client: Option<Pem>) -> Result<ClientConfig, String> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(schemes)));
    let mut config = match client {
        Some((certificate, key)) => {
            use rustls::pki_types::pem::PemObject;
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| error.to_string())?;
            builder
                .with_client_auth_cert(vec![certificate.map_err(|error| error.to_string())?], key)
                .map_err(|error| error.to_string())?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Checks nothing: a client's checks would take time from the server that is measured.
#[derive(Debug)]
struct Trusting(Vec<SignatureScheme>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
