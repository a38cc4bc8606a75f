//! The TLS of a connection: etcdctl's files, and the system's CAs if none is named.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::target::TlsFiles;
use crate::pki::{ServerRule, Servers, Shown};

/// Where the distributions keep the CAs they trust.
const SYSTEM_CAS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Makes handshakes.
#[derive(Clone)]
pub(super) struct Connector(TlsConnector);

impl Connector {
    /// Verifies that the other side is `name`.
    pub(super) async fn handshake<S>(&self, name: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(name.to_string()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await.map_err(|error| {
            io::Error::new(error.kind(), format!("authentication handshake failed: {error}"))
        })
    }
}

/// The TLS configuration for these files. Errors name the file.
pub(super) fn client(files: &TlsFiles) -> Result<Connector, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let roots = || roots(files.cacert.as_deref());
    let builder = if files.skip_verify {
        let anyone = Servers::new(Lenient(None), &provider);
        builder.dangerous().with_custom_certificate_verifier(Arc::new(anyone))
    } else if let Some(own) = &files.own {
        let certificate = certificates(own)?.swap_remove(0);
        // Without any CA no other certificate is accepted.
        let others =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots()?), provider.clone()).build();
        let own = Lenient(Some(Known { certificate, others: others.ok() }));
        let own = Servers::new(own, &provider);
        builder.dangerous().with_custom_certificate_verifier(Arc::new(own))
    } else {
        builder.with_root_certificates(roots()?)
    };
    let mut config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| named(key, error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| named(cert, error))?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err("KeyFile and CertFile must both be present".to_string()),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Connector(TlsConnector::from(Arc::new(config))))
}

fn roots(cacert: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match cacert {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| named(file, error))?;
            }
        }
        None => {
            let files = SYSTEM_CAS.iter().map(Path::new);
            for certificates in files.filter_map(|file| certificates(file).ok()) {
                roots.add_parsable_certificates(certificates);
            }
        }
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(named(file, "there is no certificate in it")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(named(file, error)),
    }
}

fn named(file: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

/// Accepts any certificate (`--insecure-skip-tls-verify`), or a known one in addition to those that a CA issued.
#[derive(Debug)]
struct Lenient(Option<Known>);

/// The certificate of the member on this machine is accepted whoever issued it and for whatever name: the file on disk
/// proves that it is this member's.
#[derive(Debug)]
struct Known {
    certificate: CertificateDer<'static>,
    others: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerRule for Lenient {
    fn check(&self, shown: &Shown<'_>) -> Result<(), rustls::Error> {
        let Shown { leaf, intermediates, name, ocsp, now } = *shown;
        match &self.0 {
            None => Ok(()),
            Some(known) if known.certificate == *leaf => Ok(()),
            Some(Known { others: Some(others), .. }) => {
                others.verify_server_cert(leaf, intermediates, name, ocsp, now).map(drop)
            }
            Some(_) => Err(rustls::CertificateError::UnknownIssuer.into()),
        }
    }
}
