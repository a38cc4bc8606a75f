//! The beginning of a connection: TLS or not, and words for clients that speak the other one.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::complaints::Complaints;
use super::io::{Stream, TLS_HANDSHAKE};
use super::tls::{Encryption, Failed, Tls};
use crate::api::client::Peer;

/// A connection after its handshake, if there is one.
pub(super) struct Begun {
    pub(super) stream: Stream,
    pub(super) encrypted: bool,
    /// The user that the client's certificate names, if certificates name users.
    pub(super) user: Option<Arc<str>>,
}

/// Why a connection ended at its beginning.
pub(super) enum Ended {
    /// The client left.
    Left(Error),
    /// This server refused it: the reason in a few words, and all there is to say.
    Refused(&'static str, String),
}

impl Ended {
    /// Logs it.
    pub(super) fn log(self, peer: Peer, complaints: &Complaints) {
        match self {
            Self::Left(error) => tracing::debug!(%error, "a client left during the handshake"),
            Self::Refused(reason, detail) => complaints.ended(reason, peer, detail),
        }
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let has_left =
            [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind());
        if has_left { Self::Left(error) } else { Self::Refused("TLS handshake", error.to_string()) }
    }
}

/// Makes the handshake, if the client begins one or has to.
pub(super) async fn begin(stream: Stream, encryption: &Encryption) -> std::result::Result<Begun, Ended> {
    let (tls, may_be_plain) = match encryption {
        Encryption::None => return Ok(Begun { stream, encrypted: false, user: None }),
        Encryption::Tls(tls) => (tls, false),
        Encryption::Either(tls) => (tls, true),
    };
    let mut first = [0; 4];
    let count = stream.peek(&mut first).await?;
    match first.get(..count).unwrap_or_default() {
        [] => Err(Ended::Left(ErrorKind::UnexpectedEof.into())),
        [TLS_HANDSHAKE, ..] => handshake(stream, tls).await,
        _ if may_be_plain => Ok(Begun { stream, encrypted: false, user: None }),
        first => {
            // A client that does not take the answer is refused all the same.
            let _ = explain(stream, first).await;
            let detail = "it does not speak TLS, which this port demands: it needs https instead of http";
            Err(Ended::Refused("no TLS", detail.into()))
        }
    }
}

async fn handshake(stream: Stream, tls: &Tls) -> std::result::Result<Begun, Ended> {
    match tls.accept(stream).await {
        Ok((stream, user)) => Ok(Begun { stream: Stream::Tls(Box::new(stream)), encrypted: true, user }),
        Err((failed, stream)) => {
            farewell(stream).await;
            Err(match failed {
                Failed::Io(error) => error.into(),
                Failed::Refused(refused) => Ended::Refused(refused.reason(), refused.to_string()),
            })
        }
    }
}

/// How long a client that is refused may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Ends a stream and takes what the client has still sent, for a moment: with unread bytes the kernel would drop the last
/// words together with the connection.
async fn farewell(mut stream: Stream) {
    const MOST: u64 = 64 << 10;
    let ending = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MOST), &mut tokio::io::sink()).await
    };
    // Whether the client has read them does not matter.
    let _ = tokio::time::timeout(FAREWELL, ending).await;
}

/// Tells an HTTP client that this port speaks TLS: in HTTP/2 by a frame that ends the connection, otherwise in the words of
/// Go's servers. Whatever else it speaks, it would not understand an answer.
async fn explain(mut stream: Stream, first: &[u8]) -> Result<()> {
    let answer = match first {
        [b'P', b'R', b'I', b' '] => goaway(b"this port speaks TLS: use https"),
        [b'A'..=b'Z', b'A'..=b'Z', ..] => {
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n".to_vec()
        }
        _ => return Ok(()),
    };
    stream.write_all(&answer).await?;
    farewell(stream).await;
    Ok(())
}

/// The settings with which a server of HTTP/2 begins, and a frame GOAWAY with the code INADEQUATE_SECURITY (RFC 9113).
fn goaway(why: &[u8]) -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const INADEQUATE_SECURITY: u8 = 0xc;
    let length = u8::try_from(8 + why.len()).unwrap_or(u8::MAX);
    let head = [0, 0, length, 7, 0, 0, 0, 0, 0];
    let body = [0, 0, 0, 0, 0, 0, 0, INADEQUATE_SECURITY];
    [&SETTINGS[..], &head, &body, why].concat()
}
