//! A connection that has become a WebSocket: one call of the gateway.
//!
//! What a client may do to it is bounded as on other connections: the size of a message, the memory of messages that are
//! not whole, the time for which they may be left so (all by its share), and the number of connections. It is pinged as
//! often as a connection of gRPC, and one whose client does not answer that ends.
//!
//! A client that closes the WebSocket, or its half of the connection, has ended the call, as with etcd's gateway: what is
//! not sent by then is not sent any more.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, StreamExt};
use http_body::Body;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Shared;
use super::answer::Answer;
use super::pings::{Activity, Open};
use crate::api::client::Client;
use crate::api::json::socket::{Feed, Switch};
use crate::api::unsent::Coming;

/// Bytes that are read at once; a connection keeps that much.
const READ_BUFFER: usize = 4 << 10;
/// Bytes of a frame that is sent. The library copies each one, which nothing counts, and moves the copy with each write.
const FRAME: usize = 64 << 10;
/// Bytes of a control frame of a client without its content: the head and the mask.
const CONTROL: usize = 6;
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
    let stream = Metered { stream, meter: meter.clone(), blocked: false, waiting: None };
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
                send(&mut sink, part.slice_ref(line)).await.ok()?;
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

/// Sends a text as one message, in as many frames as it takes.
async fn send<S: Sink<Message> + Unpin>(sink: &mut S, mut text: Bytes) -> Result<(), S::Error> {
    let mut data = Data::Text;
    loop {
        let piece = text.split_to(text.len().min(FRAME));
        let frame = Frame::message(piece, OpCode::Data(data), text.is_empty());
        sink.send(Message::Frame(frame)).await?;
        if text.is_empty() {
            return Ok(());
        }
        data = Data::Continue;
    }
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
            Some(Ok(Message::Ping(content) | Message::Pong(content))) => {
                // It may have come in the middle of a message.
                Metered::<()>::taken(meter, CONTROL + content.len());
                continue;
            }
            Some(Ok(Message::Frame(_))) => continue,
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
        Metered::<()>::taken(meter, usize::MAX);
    }
}

/// A stream that counts the bytes of a message that is not whole yet, and ends if there is no room for them. While the
/// client takes nothing, nothing is read of it: otherwise the answers to its pings would pile up.
struct Metered<S> {
    stream: S,
    meter: Arc<Mutex<(usize, Coming)>>,
    /// The last write found no room.
    blocked: bool,
    /// Who would read by now.
    waiting: Option<Waker>,
}

impl<S> Metered<S> {
    /// So many bytes, or all, are with whoever counts them from here on.
    fn taken(meter: &Mutex<(usize, Coming)>, bytes: usize) {
        let (count, room) = &mut *meter.lock();
        *count = count.saturating_sub(bytes);
        // Less room is always there.
        let _ = room.hold(*count);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.blocked {
            self.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
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
        let polled = Pin::new(&mut self.stream).poll_write(context, data);
        self.blocked = polled.is_pending();
        if !self.blocked
            && let Some(waiting) = self.waiting.take()
        {
            waiting.wake();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::api::unsent::Share;
    use crate::model::Budget;

    type Meter = Arc<Mutex<(usize, Coming)>>;

    /// A server's end, a client's end, and what is counted of unfinished messages.
    fn connected() -> (Metered<DuplexStream>, DuplexStream, Arc<Budget>, Meter) {
        let (stream, client) = duplex(64 << 10);
        let (answers, requests, messages) = (Budget::new(0), Budget::new(0), Budget::new(8 << 20));
        let meter = Arc::new(Mutex::new((0, Share::new(answers, &requests, messages.clone()).receive())));
        (Metered { stream, meter: meter.clone(), blocked: false, waiting: None }, client, messages, meter)
    }

    /// A frame of a client, with a mask of zeros.
    fn frame(first: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("a short frame");
        let head = match length {
            0..126 => vec![first, 0x80 | length as u8],
            _ => [&[first, 0xfe][..], &length.to_be_bytes()].concat(),
        };
        [&head[..], &[0; 4], content].concat()
    }

    #[tokio::test]
    async fn whoever_pings_and_reads_nothing_is_not_read_either() {
        let (server, mut client, ..) = connected();
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
        let mut server = WebSocketStream::from_raw_socket(server, Role::Server, Some(config)).await;
        let (ping, mut pings) = (frame(0x89, &[7; 125]), 0);
        // Without the turns that tokio gives tasks, in which it would seem that nothing goes on.
        let floods = tokio::task::unconstrained(async {
            while client.write_all(&ping).now_or_never().is_some() {
                pings += 1;
                assert!(pings < 10_000, "it reads on and on");
                while server.next().now_or_never().is_some() {}
            }
        });
        floods.await;
        // As soon as the client reads, it is read, too.
        let reads = tokio::spawn(async move { server.next().await });
        tokio::task::yield_now().await;
        let mut pongs = vec![0; 64 << 10];
        client.read_exact(&mut pongs).await.expect("pongs");
        reads.await.expect("no panic").expect("the next ping").expect("a ping");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_late_is_read_again() {
        let (server, mut client, ..) = connected();
        let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        let (mut sink, mut messages) = server.split();
        let long = Bytes::from(vec![b'x'; 200_000]);
        let sends = tokio::spawn(async move { send(&mut sink, long).await });
        tokio::task::yield_now().await;
        let reads = tokio::spawn(async move { messages.next().await });
        tokio::task::yield_now().await;
        client.write_all(&frame(0x81, b"late")).await.expect("written");
        let late = async {
            client.read_exact(&mut vec![0; 200_000]).await.expect("the long text");
            sends.await.expect("no panic").expect("sent");
            reads.await.expect("no panic").expect("a message").expect("a text")
        };
        let late = tokio::time::timeout(Duration::from_secs(1), late).await.expect("it is read");
        assert_eq!(late, Message::text("late"));
    }

    #[tokio::test]
    async fn a_ping_in_the_middle_of_a_message_frees_nothing_of_it() {
        let (server, mut client, messages, meter) = connected();
        let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        let (_sink, mut parts) = server.split();
        let mut receiving = Box::pin(receive(&mut parts, Feed::default(), &meter, None));
        let (begun, more) = (frame(0x01, &[b' '; 60_000]), frame(0x00, &[b' '; 60_000]));
        for number in 1..=20 {
            client.write_all(if number == 1 { &begun } else { &more }).await.expect("written");
            assert!((&mut receiving).now_or_never().is_none());
            client.write_all(&frame(0x89, b"?")).await.expect("written");
            assert!((&mut receiving).now_or_never().is_none());
            let counted = messages.used();
            assert!((number * 60_000..number * 60_100).contains(&counted), "{counted} of {number} parts");
        }
        client.write_all(&frame(0x80, b"")).await.expect("written");
        assert!((&mut receiving).now_or_never().is_none());
        assert_eq!(messages.used(), 0);
    }

    #[tokio::test]
    async fn a_long_line_is_one_message_of_many_frames() {
        for length in [1, FRAME, FRAME + 1, 3 * FRAME] {
            let line = Bytes::from(vec![b'x'; length]);
            let mut sent: Vec<Message> = Vec::new();
            send(&mut sent, line.clone()).await.expect("sent");
            let frames: Vec<Frame> = sent
                .into_iter()
                .map(|message| match message {
                    Message::Frame(frame) => frame,
                    other => panic!("{other}"),
                })
                .collect();
            for (number, frame) in frames.iter().enumerate() {
                let data = if number == 0 { Data::Text } else { Data::Continue };
                let is_last = number + 1 == frames.len();
                assert_eq!((frame.header().opcode, frame.header().is_final), (OpCode::Data(data), is_last));
                assert!(frame.payload().len() <= FRAME);
            }
            assert_eq!(frames.iter().flat_map(|frame| frame.payload().to_vec()).collect::<Vec<_>>(), line);
        }
    }
}
