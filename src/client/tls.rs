//! The TLS of a connection: etcdctl's files, and the system's CAs if none is named.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, ClientConfig, InvalidMessage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::pki::{Pair, Trust, Verifier, certificates, watched};

/// Files for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CA of the servers; the system's without it.
    pub cacert: Option<PathBuf>,
    /// The client's certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The certificate of the member on this machine: it is trusted without a CA.
    pub own: Option<PathBuf>,
    /// Accept any certificate.
    pub skip_verify: bool,
}

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
        let (shaken, refused) = watched(self.0.connect(name, stream)).await;
        shaken.map_err(|error| {
            let why = refused.map(|refused| refused.to_string()).or_else(|| words(&error));
            let why = why.unwrap_or_else(|| error.to_string());
            io::Error::new(error.kind(), format!("authentication handshake failed: {why}"))
        })
    }
}

/// What ended the last connection that TLS ended, in words.
static ENDED: Mutex<Option<String>> = Mutex::new(None);

/// Why TLS has ended a connection of this process, if it did. A call only knows that its connection is gone.
pub(super) fn ended() -> Option<String> {
    ENDED.lock().clone()
}

/// A stream that keeps the words for an error of TLS: with TLS 1.3 a server refuses a client's certificate after the
/// handshake.
pub(super) struct Kept<S>(pub(super) TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Kept<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(cx, buffer);
        if let Poll::Ready(Err(error)) = &read
            && let Some(words) = words(error)
        {
            *ENDED.lock() = Some(words);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Kept<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What an error of TLS means for whoever called, if there is more to say than the library does.
fn words(error: &io::Error) -> Option<String> {
    let known = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let refused = |why: &str| format!("the server refuses the certificate of this client (--cert): {why}");
    Some(match known {
        Some(rustls::Error::AlertReceived(alert)) => match alert {
            AlertDescription::CertificateRequired => {
                "the server demands a certificate of this client: --cert and --key".into()
            }
            AlertDescription::UnknownCA => refused("unknown CA"),
            AlertDescription::CertificateExpired => refused("it has expired, or is not valid yet"),
            AlertDescription::CertificateRevoked => refused("it was revoked"),
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown => refused("the server's log says why"),
            AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion => {
                format!("the server has no version of TLS or no cipher suite that kvctl has ({alert:?})")
            }
            _ => return None,
        },
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the server does not speak TLS: use http instead of https".into()
        }
        _ => return None,
    })
}

/// The TLS configuration for these files and a protocol's name. Errors name the file.
pub(super) fn client(files: &TlsFiles, protocol: &[u8]) -> Result<Connector, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let trust = Trust { ca: files.cacert.clone(), ..Trust::default() };
    let verifier = if files.skip_verify {
        Verifier::anybody()
    } else if let Some(own) = &files.own {
        // The file on disk proves that it is the certificate of the member on this machine. Without any CA no other
        // certificate is accepted.
        let certificate = certificates(own).map_err(|error| error.to_string())?.swap_remove(0);
        Verifier::known(certificate, trust.read(true).ok())
    } else {
        trust.read(true).map_err(|error| error.to_string())?
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let pair = Pair { cert: cert.clone(), key: key.clone() };
            let pair = pair.read().map_err(|error| error.to_string())?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&pair))))
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err("KeyFile and CertFile must both be present".to_string()),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Connector(TlsConnector::from(Arc::new(config))))
}
