//! TLS for clients.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::certified_user;
use crate::pki::{Pair, PkiError, Refused, Stamps, Trust, watched};

/// TLS of a client listener, in etcd's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// `--cert-file` and `--key-file`.
    pub pair: Pair,
    /// `--client-cert-auth`: clients must show a certificate. As in etcd, a trusted CA alone requires it, too.
    pub client_cert_auth: bool,
    /// `--trusted-ca-file`, `--client-crl-file` and `--client-cert-allowed-hostname`: whose certificates are accepted.
    pub trust: Trust,
    /// `--cipher-suites`, by Go's names; if empty, all secure ones.
    pub cipher_suites: Vec<String>,
    /// TLS 1.2 is refused (`--tls-min-version TLS1.3`).
    pub only_tls13: bool,
    /// TLS 1.3 is refused (`--tls-max-version TLS1.2`).
    pub only_tls12: bool,
}

/// TLS that follows its files: a new connection uses them as they are at that time. Half-written ones are refused with a
/// warning, and the old ones stay in use; they change once more when they are whole.
pub struct Tls {
    state: ArcSwap<State>,
    /// Held by who reads the files.
    reading: Mutex<()>,
}

/// Whether connections are encrypted.
#[derive(Clone, Default)]
pub enum Encryption {
    /// None is.
    #[default]
    None,
    /// Every one begins with a handshake.
    Tls(Arc<Tls>),
    /// Those are that begin with a handshake.
    Either(Arc<Tls>),
}

struct State {
    config: Arc<ServerConfig>,
    options: TlsOptions,
    /// How the files looked when they were last read, with or without success.
    read: Stamps,
}

/// Why a handshake failed.
pub(super) enum Failed {
    /// The client's certificate was refused.
    Refused(Refused),
    /// Something else.
    Io(Error),
}

impl Tls {
    /// Reads the files. Errors name the file and what is wrong with it.
    pub fn new(options: TlsOptions) -> Result<Self> {
        Ok(Self { state: ArcSwap::from_pointee(State::read(options)?), reading: Mutex::default() })
    }

    /// Reads the files again, or other files. On an error the old ones stay in use; open connections keep what they
    /// began with.
    pub fn reload(&self, options: TlsOptions) -> Result<()> {
        let _reading = self.reading.lock();
        self.state.store(Arc::new(State::read(options)?));
        Ok(())
    }

    /// Makes the handshake. As in etcd the client's certificate names its user only with `--client-cert-auth`. A failure
    /// comes with the stream, on which an alert has been sent.
    pub(super) async fn accept<S>(
        &self,
        stream: S,
    ) -> std::result::Result<(TlsStream<S>, Option<Arc<str>>), (Failed, S)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let state = self.present();
        let accepting = TlsAcceptor::from(state.config.clone()).accept(stream).into_fallible();
        let (stream, refused) = watched(accepting).await;
        let stream =
            stream.map_err(|(error, stream)| (refused.map_or(Failed::Io(error), Failed::Refused), stream))?;
        let certificates = stream.get_ref().1.peer_certificates();
        let leaf = certificates.and_then(<[_]>::first).filter(|_| state.options.client_cert_auth);
        let user = leaf.map(|leaf| certified_user(leaf));
        Ok((stream, user))
    }

    /// The state for a new connection.
    fn present(&self) -> Arc<State> {
        let state = self.state.load_full();
        if state.read == state.options.stamps() {
            return state;
        }
        let _reading = self.reading.lock();
        let state = self.state.load_full();
        let read = state.options.stamps();
        if state.read == read {
            return state;
        }
        let new = match State::read(state.options.clone()) {
            Ok(new) => {
                tracing::info!(cert = %state.options.pair.cert.display(), "new certificates for clients are in use");
                new
            }
            Err(error) => {
                tracing::warn!(%error, "the new certificates for clients are refused; the old ones stay in use");
                State { config: state.config.clone(), options: state.options.clone(), read }
            }
        };
        let new = Arc::new(new);
        self.state.store(new.clone());
        new
    }
}

impl TlsOptions {
    fn stamps(&self) -> Stamps {
        Stamps::of(self.pair.files().chain(self.verified().into_iter().flat_map(Trust::files)))
    }

    /// Whose certificates are accepted; none if clients need not show one.
    fn verified(&self) -> Option<&Trust> {
        (self.client_cert_auth || self.trust.ca.is_some()).then_some(&self.trust)
    }
}

impl State {
    fn read(options: TlsOptions) -> Result<Self> {
        let read = options.stamps();
        Ok(Self { config: Arc::new(server_config(&options)?), options, read })
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
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(Error::other)?;
    let unfit = |error: PkiError| Error::new(ErrorKind::InvalidData, error.to_string());
    let builder = match options.verified() {
        Some(trust) => builder.with_client_cert_verifier(trust.read(false).map_err(unfit)?),
        None => builder.with_no_client_auth(),
    };
    let pair = CertifiedKey::clone(&*options.pair.read().map_err(unfit)?);
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    // No session is resumed. One that began with a client's certificate would outlive it: it may be revoked or expire.
    // For other clients, tickets take almost a tenth of a handshake's CPU, and hardly any client ever uses one.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
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

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, HandshakeKind};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::pki::{Verifier, self_signed};

    #[tokio::test]
    async fn a_client_that_comes_again_makes_a_full_handshake() {
        let directory = tempfile::tempdir().expect("a directory");
        let pair = self_signed::provide(directory.path(), &["localhost".into()], 1).expect("a certificate");
        for only_tls12 in [false, true] {
            let options = TlsOptions { pair: pair.clone(), only_tls12, ..TlsOptions::default() };
            let tls = Tls::new(options).expect("TLS");
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("versions")
                .dangerous()
                .with_custom_certificate_verifier(Verifier::anybody())
                .with_no_client_auth();
            let connector = TlsConnector::from(Arc::new(config));
            for _ in 0..2 {
                let (near, far) = duplex(64 << 10);
                let name = ServerName::try_from("localhost").expect("a name");
                let (client, server) = tokio::join!(connector.connect(name, near), tls.accept(far));
                let Ok((mut server, _)) = server else { panic!("no handshake") };
                let mut client = client.expect("a handshake");
                // A ticket would come before it.
                server.write_all(b"!").await.expect("sent");
                server.flush().await.expect("sent");
                client.read_u8().await.expect("read");
                assert_eq!(client.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "{only_tls12}");
            }
        }
    }
}
