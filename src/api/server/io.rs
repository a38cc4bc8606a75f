//! The one byte stream under all connections, so that the HTTP machinery is compiled once.

use std::io::{ErrorKind, IoSlice, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::frames::Frames;
use super::written::Written;
use crate::api::client::Peer;
use crate::api::unsent::Share;

/// The first byte of every TLS connection: a record with a handshake (RFC 8446, 5.1).
pub(super) const TLS_HANDSHAKE: u8 = 0x16;

/// A connection's bytes.
pub(super) enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over one of them.
    Tls(Box<TlsStream<Stream>>),
}

impl Stream {
    /// The client at the other end.
    pub(super) fn peer(&self) -> Peer {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().map_or(Peer::Unknown, Peer::Tcp),
            Stream::Unix(stream) => Peer::Unix(stream.peer_cred().ok().and_then(|peer| peer.pid())),
            Stream::Tls(stream) => stream.get_ref().0.peer(),
        }
    }

    /// The address at which it has connected, if it is one.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Unix(_) => None,
            Stream::Tls(stream) => stream.get_ref().0.local(),
        }
    }

    /// The first bytes, which are read again afterwards; none if the client has left, and none of TLS's insides.
    pub(super) async fn peek(&self, buffer: &mut [u8]) -> Result<usize> {
        use rustix::net::{RecvFlags, recv};
        fn look(socket: impl std::os::fd::AsFd, buffer: &mut [u8]) -> Result<usize> {
            Ok(recv(socket, buffer, RecvFlags::PEEK)?.0)
        }
        match self {
            Stream::Tcp(stream) => stream.async_io(Interest::READABLE, || look(stream, buffer)).await,
            Stream::Unix(stream) => stream.async_io(Interest::READABLE, || look(stream, buffer)).await,
            Stream::Tls(_) => Ok(0),
        }
    }
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
            Stream::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(context, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(context, data))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}

/// What the client has sent so far.
#[derive(Default)]
pub(super) struct Beginning {
    protocol: AtomicBool,
    tls: AtomicBool,
    /// How often the connection had its turn on its thread.
    turn: AtomicU32,
}

impl Beginning {
    /// It has said which protocol it speaks.
    pub(super) fn protocol(&self) -> bool {
        self.protocol.load(Ordering::Relaxed)
    }

    /// The connection gets its turn: after it come the streams that have begun in the one before.
    pub(super) fn next_turn(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// It speaks TLS where none is expected.
    pub(super) fn tls(&self) -> bool {
        self.tls.load(Ordering::Relaxed)
    }
}

/// A stream that records whether the client has said which protocol it speaks, and whose HTTP/2 frames are read in both
/// directions.
pub(super) struct Heard {
    stream: Stream,
    heard: Arc<Beginning>,
    frames: Frames,
    written: Written,
    share: Arc<Share>,
    /// Bytes that have passed the frame reader, from `given` on.
    through: Vec<u8>,
    given: usize,
    /// The turn in which bytes last passed.
    turn: u32,
    /// The last bytes for the client, from `told` on.
    farewell: Option<Vec<u8>>,
    told: usize,
}

impl Heard {
    /// Wraps `stream`, and records how the client begins.
    pub(super) fn new(
        stream: Stream,
        frames: Frames,
        written: Written,
        share: Arc<Share>,
    ) -> (Self, Arc<Beginning>) {
        let heard = Arc::<Beginning>::default();
        let stream = Self {
            stream,
            heard: heard.clone(),
            frames,
            written,
            share,
            through: Vec::new(),
            given: 0,
            turn: 0,
            farewell: None,
            told: 0,
        };
        (stream, heard)
    }

    /// Returns bytes that have passed the frame reader.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let waiting = self.through.get(self.given..).unwrap_or_default();
        let count = waiting.len().min(buffer.remaining());
        buffer.put_slice(&waiting[..count]);
        self.given += count;
        if self.given >= self.through.len() {
            // Most connections never need it again.
            self.through = Vec::new();
            self.given = 0;
        }
    }

    /// The result of a write. While the socket takes nothing, the bodies of answers wait.
    fn tried(&self, polled: Poll<Result<usize>>) -> Poll<Result<usize>> {
        self.share.set_blocked(polled.is_pending());
        if let Poll::Ready(Ok(count)) = &polled {
            self.share.moved(*count);
        }
        polled
    }

    /// This many bytes of `data` were written.
    fn wrote(&mut self, data: &[IoSlice<'_>], mut count: usize) {
        // The library writes nothing before it has read the client's first bytes.
        if !self.frames.is_http2() {
            return;
        }
        for slice in data {
            let part = &slice[..slice.len().min(count)];
            self.written.wrote(part);
            count -= part.len();
        }
    }

    /// Writes the last bytes for the client, if there are any.
    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(expulsion) = self.frames.expelled() else { return Poll::Ready(Ok(())) };
        let farewell = self.farewell.get_or_insert_with(|| {
            self.written.expelled(expulsion);
            self.frames.farewell(expulsion)
        });
        while self.told < farewell.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &farewell[self.told..]))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                count => self.told += count,
            }
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = &mut *self;
        let turn = this.heard.turn.load(Ordering::Relaxed);
        if std::mem::replace(&mut this.turn, turn) != turn {
            this.frames.next_turn(&mut this.through);
        }
        loop {
            if !this.through.is_empty() {
                this.give(buffer);
                return Poll::Ready(Ok(()));
            }
            if this.frames.expelled().is_some() {
                // Act as if the client had closed the connection: requests in progress are dropped, then the last bytes
                // are sent.
                return Poll::Ready(Ok(()));
            }
            if this.frames.is_full_turn() {
                // The streams that have begun are served first, and their answers are sent.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let arrived = &buffer.filled()[before..];
            this.share.moved(arrived.len());
            if arrived.is_empty() {
                this.frames.ended(&mut this.through);
                if this.through.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let is_tls = arrived.first() == Some(&TLS_HANDSHAKE);
            let passed = this.frames.arrived(arrived, &mut this.through);
            if !this.heard.protocol() && this.frames.has_begun() {
                this.heard.protocol.store(true, Ordering::Relaxed);
                this.heard.tls.store(is_tls, Ordering::Relaxed);
            }
            buffer.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, data);
        let count = ready!(self.tried(polled))?;
        self.wrote(&[IoSlice::new(data)], count);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, data);
        let count = ready!(self.tried(polled))?;
        self.wrote(data, count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// The library has written everything, in whole frames.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_farewell(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
