//! A connection that has become a WebSocket: one call of the gateway.
//!
//! What a client may do to it is bounded as on other connections: the size of a message, the memory of messages that are
//! not whole, the time for which they may be left so (all by its share), and the number of connections. It is pinged as
//! often as a connection of gRPC, and one whose client does not answer that ends.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body::Body;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::Shared;
use super::answer::Answer;
use super::pings::{Activity, Open};
use crate::api::client::Client;
use crate::api::json::socket::{Feed, Switch};
use crate::api::unsent::Coming;

/// Bytes that are read at once; a connection keeps that much.
const READ_BUFFER: usize = 4 << 10;
/// How long a client may take for its part of the end.
const CLOSING: Duration = Duration::from_secs(1);

/// How a conversation ends: with these words, or without any if there is nobody to hear them.
type End = Option<(CloseCode, &'static str)>;

/// Serves a connection until its call ends or its client leaves.
pub(super) async fn serve<S>(
    stream: S,
    switch: Switch,
    client: Arc<Client>,
    activity: &Arc<Activity>,
    shared: &Shared,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let gateway = shared.pages.gateway();
    let largest = gateway.largest_message();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest));
    let meter = Arc::new(Mutex::new((0, client.share.receive())));
    let stream = Metered { stream, meter: meter.clone() };
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let (mut sink, mut messages) = socket.split();
    let opened = client.share.open(0).ok();
    let (feed, call) = gateway.switched(switch, &client);
    let limit = shared.options.keepalive_interval;
    let patience = (!limit.is_zero()).then(|| limit + shared.options.keepalive_timeout);

    let sent = async {
        let mut pings =
            (!limit.is_zero()).then(|| tokio::time::interval_at(tokio::time::Instant::now() + limit, limit));
        let mut call = std::pin::pin!(call);
        let response = loop {
            tokio::select! {
                response = &mut call => break response,
                () = shared.services.stop.stopping() => return Some((CloseCode::Away, "the server stops")),
                () = due(&mut pings) => sink.send(Message::Ping(Bytes::new())).await.ok()?,
            }
        };
        let open = Open::new(activity);
        let mut body = Answer::new(response.into_body(), client.share.clone(), open, opened);
        loop {
            let frame = tokio::select! {
                frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)) => frame,
                () = due(&mut pings) => {
                    sink.send(Message::Ping(Bytes::new())).await.ok()?;
                    continue;
                }
            };
            let Some(Ok(frame)) = frame else { return Some((CloseCode::Normal, "the call has ended")) };
            // Every part has whole lines.
            let Ok(part) = frame.into_data() else { continue };
            for line in part.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line = Utf8Bytes::try_from(part.slice_ref(line)).ok()?;
                sink.send(Message::Text(line)).await.ok()?;
            }
        }
    };
    let end = tokio::select! {
        end = receive(&mut messages, feed, &meter, patience) => end,
        end = sent => end,
    };
    let closing = async {
        if let Some((code, reason)) = end {
            let _ = sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
            while let Some(Ok(_)) = messages.next().await {}
        } else {
            // The answer to the client's closing frame.
            let _ = sink.close().await;
        }
    };
    // Whoever does not close its side in time is not waited for.
    let _ = tokio::time::timeout(CLOSING, closing).await;
}

/// The next ping is due.
async fn due(pings: &mut Option<tokio::time::Interval>) {
    match pings {
        Some(pings) => _ = pings.tick().await,
        None => pending().await,
    }
}

/// Passes on the client's messages until it leaves.
async fn receive(
    messages: &mut (impl StreamExt<Item = Result<Message, Error>> + Unpin),
    mut feed: Feed,
    meter: &Mutex<(usize, Coming)>,
    patience: Option<Duration>,
) -> End {
    loop {
        let next = messages.next();
        let next = match patience {
            None => next.await,
            Some(patience) => match tokio::time::timeout(patience, next).await {
                Ok(next) => next,
                Err(_) => return Some((CloseCode::Policy, "no answer to a ping")),
            },
        };
        let message = match next {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                Metered::<()>::taken(meter);
                continue;
            }
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                return Some((CloseCode::Size, "the message is too long"));
            }
            Some(Err(Error::Utf8(_))) => return Some((CloseCode::Invalid, "the text is not UTF-8")),
            Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => return None,
            Some(Err(Error::Protocol(_))) => {
                return Some((CloseCode::Protocol, "not the WebSocket protocol"));
            }
            Some(Err(Error::Io(error))) if error.kind() == std::io::ErrorKind::OutOfMemory => {
                return Some((CloseCode::Again, "too many unfinished messages"));
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
        };
        feed.pass(message).await;
        Metered::<()>::taken(meter);
    }
}

/// A stream that counts the bytes of a message that is not whole yet, and ends if there is no room for them.
struct Metered<S> {
    stream: S,
    meter: Arc<Mutex<(usize, Coming)>>,
}

impl<S> Metered<S> {
    /// The message is with whoever counts it from here on.
    fn taken(meter: &Mutex<(usize, Coming)>) {
        let (count, room) = &mut *meter.lock();
        *count = 0;
        // Less room is always there.
        let _ = room.hold(0);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        let (count, room) = &mut *self.meter.lock();
        *count += read;
        match room.hold(*count) {
            Ok(()) => polled,
            Err(_) => Poll::Ready(Err(std::io::ErrorKind::OutOfMemory.into())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
