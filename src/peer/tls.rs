//! quinn's settings for connections, with the present certificates, and the certificates of the other side.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, ServerConfig, TransportConfig, ValidationTokenConfig};
use rustls::pki_types::CertificateDer;

use super::tuning::{ALPN, MAX_HANDSHAKES};
use crate::pki::Credentials;

/// quinn's settings for incoming connections, with the present TLS credentials.
pub(super) fn server_config(
    credentials: &Credentials,
    transport: &Arc<TransportConfig>,
) -> Result<ServerConfig, String> {
    let tls = credentials.server().map_err(|error| error.to_string())?;
    let mut tls = rustls::ServerConfig::clone(&tls);
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    config
        .transport_config(transport.clone())
        .validation_token_config(tokens)
        .migration(false)
        .max_incoming(2 * MAX_HANDSHAKES)
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(1 << 20);
    Ok(config)
}

/// quinn's settings for outgoing connections, likewise.
pub(super) fn client_config(
    credentials: &Credentials,
    transport: &Arc<TransportConfig>,
) -> Result<ClientConfig, String> {
    let tls = credentials.client().map_err(|error| error.to_string())?;
    let mut tls = rustls::ClientConfig::clone(&tls);
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport.clone());
    Ok(config)
}

/// The certificates of the other side, its own first.
pub(super) fn certificates(connection: &Connection) -> Vec<CertificateDer<'static>> {
    let shown =
        connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    shown.map(|shown| *shown).unwrap_or_default()
}
