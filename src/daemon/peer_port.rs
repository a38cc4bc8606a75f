//! The peer port: the socket, and the credentials with which it is opened.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::listeners;
use super::outside::{SystemClock, SystemEntropy};
use super::sockets::Inherited;
use crate::config::{ClusterSecret, Config, KeyPair};
use crate::model::{Clock, Entropy};
use crate::peer::{self, Names, Quic};
use crate::pki::{Allowed, Credentials, Files, Pair, PkiError, SecretSource, Trust};

/// Most concurrent lookups of other members' names.
const MAX_LOOKUPS: usize = 32;

/// Opens the peer port; callers are not served yet.
///
/// # Errors
/// If an address cannot be bound; the error names it.
pub fn open(config: &Config, credentials: Arc<Credentials>, inherited: &mut Inherited) -> io::Result<Quic> {
    let mut listen: Vec<SocketAddr> = Vec::new();
    for url in &config.addresses.listen_peer_urls {
        if url.socket_path().is_some() {
            let message = format!(
                "--listen-peer-urls {}: members talk QUIC, which has no unix sockets; give it host:port",
                url.as_str()
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        listen.extend(listeners::socket_addresses(url));
    }
    let mut sockets = Vec::new();
    listen.retain(|address| match inherited.udp(*address) {
        Some(socket) => {
            sockets.push(Arc::new(socket));
            false
        }
        None => true,
    });
    Quic::bind(peer::Options {
        credentials,
        listen,
        sockets,
        clock: Arc::new(SystemClock),
        heartbeat: config.raft.heartbeat_interval,
        election: config.raft.election_timeout,
        names: Names::new(MAX_LOOKUPS),
        incarnation: SystemEntropy.next(),
        version: env!("CARGO_PKG_VERSION").to_string(),
    })
}

/// The credentials with which this member proves its identity and verifies others.
///
/// # Errors
/// If a file cannot be used or a secret is too short; the error names it.
pub fn credentials(config: &Config, clock: Arc<dyn Clock>) -> Result<Credentials, PkiError> {
    credentials_with(config, None, clock)
}

/// The same, with another source in place of the configuration's secret.
///
/// # Errors
/// As [`credentials`].
pub fn credentials_with(
    config: &Config,
    secret: Option<SecretSource>,
    clock: Arc<dyn Clock>,
) -> Result<Credentials, PkiError> {
    let tls = &config.peer_tls;
    let pair = |pair: KeyPair| Pair { cert: pair.cert, key: pair.key };
    if let Some(own) = tls.key_pair() {
        let allowed = Allowed { common_names: tls.allowed_cn.clone(), hosts: tls.allowed_hostnames.clone() };
        let files = Files {
            pair: pair(own),
            client_pair: tls.client_key_pair().map(pair),
            trust: Trust { ca: tls.trusted_ca_file.clone(), crl: tls.crl_file.clone(), allowed },
        };
        return Credentials::from_files(files, clock);
    }
    let source = secret.unwrap_or_else(|| match config.peer_tls.secret() {
        Some(ClusterSecret::Inline(secret)) => SecretSource::Text(secret.expose().to_string().into()),
        Some(ClusterSecret::File(path)) => SecretSource::File(path.to_path_buf()),
        None => SecretSource::Absent,
    });
    Credentials::from_secret(source, clock)
}
