//! TLS for clients.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, ServerConfig, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::certified_user;

/// TLS of a client listener, in etcd's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// `--cert-file`: the chain, PEM.
    pub cert_file: PathBuf,
    /// `--key-file`: the key, PEM.
    pub key_file: PathBuf,
    /// `--client-cert-auth`: clients must show a certificate. As in etcd, a trusted CA alone requires it, too.
    pub client_cert_auth: bool,
    /// `--trusted-ca-file`: the CAs that sign clients' certificates, PEM.
    pub trusted_ca_file: Option<PathBuf>,
    /// `--client-crl-file`: revoked certificates, PEM.
    pub crl_file: Option<PathBuf>,
    /// `--client-cert-allowed-hostname`: a client's certificate must be issued for one of these hosts; if empty, for
    /// any.
    pub allowed_hostnames: Vec<String>,
    /// `--cipher-suites`, by Go's names; if empty, all secure ones.
    pub cipher_suites: Vec<String>,
    /// TLS 1.2 is refused (`--tls-min-version TLS1.3`).
    pub only_tls13: bool,
    /// TLS 1.3 is refused (`--tls-max-version TLS1.2`).
    pub only_tls12: bool,
}

/// TLS that can be reloaded while in use: new connections use the files read last.
pub struct Tls(ArcSwap<State>);

struct State {
    config: Arc<ServerConfig>,
    allowed_hostnames: Vec<String>,
    /// Certificates name users.
    names_users: bool,
}

impl Tls {
    /// Reads the files. Errors name the file and what is wrong with it.
    pub fn new(options: TlsOptions) -> Result<Self> {
        Ok(Self(ArcSwap::from_pointee(State::read(options)?)))
    }

    /// Reads the files again, or other files. On an error the old ones stay in use; open connections keep what they
    /// began with.
    pub fn reload(&self, options: TlsOptions) -> Result<()> {
        self.0.store(Arc::new(State::read(options)?));
        Ok(())
    }

    /// Makes the handshake. As in etcd the client's certificate names its user only with `--client-cert-auth`.
    pub(super) async fn accept<S>(&self, stream: S) -> Result<(TlsStream<S>, Option<Arc<str>>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let state = self.0.load_full();
        let stream = TlsAcceptor::from(state.config.clone()).accept(stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        state.check_hostname(certificates)?;
        let leaf = certificates.and_then(<[_]>::first).filter(|_| state.names_users);
        let user = leaf.map(|leaf| certified_user(leaf));
        Ok((stream, user))
    }
}

impl State {
    fn read(options: TlsOptions) -> Result<Self> {
        let config = Arc::new(server_config(&options)?);
        let names_users = options.client_cert_auth;
        Ok(Self { config, allowed_hostnames: options.allowed_hostnames, names_users })
    }

    fn check_hostname(&self, certificates: Option<&[CertificateDer<'_>]>) -> Result<()> {
        let allowed = &self.allowed_hostnames;
        if allowed.is_empty() {
            return Ok(());
        }
        let refused =
            || Error::new(ErrorKind::PermissionDenied, "the client's certificate is for no allowed host");
        let leaf = certificates.and_then(<[_]>::first).ok_or_else(refused)?;
        let leaf = ParsedCertificate::try_from(leaf).map_err(Error::other)?;
        let fits = allowed.iter().any(|host| {
            ServerName::try_from(host.as_str()).is_ok_and(|name| verify_server_name(&leaf, &name).is_ok())
        });
        if fits { Ok(()) } else { Err(refused()) }
    }
}

fn server_config(options: &TlsOptions) -> Result<ServerConfig> {
    let provider = Arc::new(provider(&options.cipher_suites)?);
    let versions = match (options.only_tls12, options.only_tls13) {
        (true, false) => vec![&TLS12],
        (false, true) => vec![&TLS13],
        (false, false) => vec![&TLS12, &TLS13],
        (true, true) => return Err(Error::new(ErrorKind::InvalidInput, "no version of TLS is left")),
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(Error::other)?;
    let builder = match client_verifier(options, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let chain = read_all::<CertificateDer<'static>>(&options.cert_file, "certificate")?;
    let key = PrivateKeyDer::from_pem_file(&options.key_file).map_err(|error| match error {
        pem::Error::NoItemsFound => named(&options.key_file, "it holds no private key in PEM form"),
        error => named(&options.key_file, error),
    })?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let key_file = options.key_file.display();
            named(&options.cert_file, format!("the certificate does not belong to the key in {key_file}"))
        }
        error => named(&options.cert_file, error),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn client_verifier(
    options: &TlsOptions,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>> {
    let Some(ca_file) = &options.trusted_ca_file else {
        if options.client_cert_auth {
            let text = "client-cert-auth needs a trusted-ca-file";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    for certificate in read_all::<CertificateDer<'static>>(ca_file, "certificate")? {
        roots.add(certificate).map_err(|error| named(ca_file, error))?;
    }
    let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(crl_file) = &options.crl_file {
        let lists = read_all::<CertificateRevocationListDer<'static>>(crl_file, "revocation list")?;
        verifier = verifier.with_crls(lists).allow_unknown_revocation_status();
    }
    let verifier: Arc<dyn ClientCertVerifier> = verifier.build().map_err(|error| named(ca_file, error))?;
    Ok(Some(verifier))
}

/// ring's suites, or only those that are named.
fn provider(names: &[String]) -> Result<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    if names.is_empty() {
        return Ok(provider);
    }
    let wanted: Vec<String> = names.iter().map(|name| rustls_name(name)).collect();
    // Go's lists do not cover TLS 1.3, whose suites are always enabled.
    provider.cipher_suites.retain(|suite| {
        let name = format!("{:?}", suite.suite());
        name.starts_with("TLS13_") || wanted.contains(&name)
    });
    Ok(provider)
}

/// Go's older names of the ChaCha suites lack the hash.
fn rustls_name(name: &str) -> String {
    match name.strip_suffix("_CHACHA20_POLY1305") {
        Some(_) => format!("{name}_SHA256"),
        None => name.to_string(),
    }
}

/// All objects of a kind, called `what`, in a PEM file; at least one.
fn read_all<T: PemObject>(path: &Path, what: &str) -> Result<Vec<T>> {
    let read = T::pem_file_iter(path).and_then(|objects| objects.collect::<std::result::Result<Vec<T>, _>>());
    match read {
        Ok(objects) if objects.is_empty() => Err(named(path, format!("it holds no {what} in PEM form"))),
        Ok(objects) => Ok(objects),
        Err(error) => Err(named(path, error)),
    }
}

fn named(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{}: {error}", path.display()))
}
