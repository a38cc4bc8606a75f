//! Frames on a stream: a length of four bytes, little-endian, then that many bytes.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::{ReadError, RecvStream, SendStream, WriteError};

/// Payloads up to this size are copied together; larger ones are passed on without a copy.
const COPIED: usize = 4 << 10;
/// Bytes reserved for a frame before its content has arrived; a length alone costs no more. A snapshot's pieces fit.
const SET_ASIDE: usize = 80 << 10;
/// The largest piece that is read from the stream at once.
const CHUNK: usize = 256 << 10;

/// Why no frame can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The stream or its connection has ended.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The stream ended inside a frame, or before a required one.
    #[error("the stream ends too soon")]
    Cut,
    /// The frame is longer than allowed here.
    #[error("a frame of {0} bytes, at most {1} are allowed")]
    TooLong(usize, usize),
}

/// Splits a byte stream into frames.
pub(super) struct Cutter {
    limit: usize,
    header: [u8; 4],
    header_filled: usize,
    body: BytesMut,
    rest: Bytes,
}

impl Cutter {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, header: [0; 4], header_filled: 0, body: BytesMut::new(), rest: Bytes::new() }
    }

    /// Adds the next bytes; only after [`Cutter::take`] found no more frames.
    pub(super) fn add(&mut self, bytes: Bytes) {
        debug_assert!(self.rest.is_empty(), "take everything before adding");
        self.rest = bytes;
    }

    /// The next frame, if it is complete.
    pub(super) fn take(&mut self) -> Result<Option<Bytes>, FrameError> {
        while let Some(slot) = self.header.get_mut(self.header_filled) {
            if self.rest.is_empty() {
                return Ok(None);
            }
            *slot = self.rest.get_u8();
            self.header_filled += 1;
        }
        let length = u32::from_le_bytes(self.header) as usize;
        if length > self.limit {
            return Err(FrameError::TooLong(length, self.limit));
        }
        if self.body.is_empty() {
            self.body.reserve(length.min(SET_ASIDE));
        }
        let wanted = (length - self.body.len()).min(self.rest.len());
        self.body.extend_from_slice(&self.rest.split_to(wanted));
        if self.body.len() < length {
            return Ok(None);
        }
        self.header_filled = 0;
        Ok(Some(std::mem::take(&mut self.body).freeze()))
    }

    fn is_between_frames(&self) -> bool {
        self.header_filled == 0 && self.rest.is_empty()
    }
}

/// Reads frames from a stream.
pub(super) struct FrameReader {
    stream: RecvStream,
    cutter: Cutter,
}

impl FrameReader {
    /// Reads frames of at most `limit` bytes.
    pub(super) fn new(stream: RecvStream, limit: usize) -> Self {
        Self { stream, cutter: Cutter::new(limit) }
    }

    /// Changes the limit from now on.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.cutter.limit = limit;
    }

    /// The next frame; `None` at the end of the stream. Nothing is lost if it is not polled to its end.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FrameError>> {
        loop {
            if let Some(frame) = self.cutter.take()? {
                return Poll::Ready(Ok(Some(frame)));
            }
            let chunk = pin!(self.stream.read_chunk(CHUNK, true));
            match std::task::ready!(chunk.poll(cx))? {
                Some(chunk) => self.cutter.add(chunk.bytes),
                None if self.cutter.is_between_frames() => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(FrameError::Cut)),
            }
        }
    }

    /// As [`FrameReader::poll_next`]; may be dropped at any time.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next frame; its absence is an error.
    pub(super) async fn required(&mut self) -> Result<Bytes, FrameError> {
        self.next().await?.ok_or(FrameError::Cut)
    }
}

/// Writes frames to a stream.
pub(super) struct FrameWriter {
    stream: SendStream,
    small: BytesMut,
    queue: VecDeque<Bytes>,
    queued: usize,
}

impl FrameWriter {
    /// Nothing is sent before it is flushed.
    pub(super) fn new(stream: SendStream) -> Self {
        Self { stream, small: BytesMut::new(), queue: VecDeque::new(), queued: 0 }
    }

    /// Queues a single byte without a frame.
    pub(super) fn push_byte(&mut self, byte: u8) {
        self.small.put_u8(byte);
        self.queued += 1;
    }

    /// Queues a frame that consists of both parts.
    pub(super) fn push(&mut self, head: &[u8], payload: Bytes) {
        let length = u32::try_from(head.len() + payload.len()).unwrap_or(u32::MAX);
        self.small.put_u32_le(length);
        self.small.extend_from_slice(head);
        self.queued += 4 + head.len() + payload.len();
        if payload.len() <= COPIED {
            self.small.extend_from_slice(&payload);
        } else {
            self.queue.push_back(self.small.split().freeze());
            self.queue.push_back(payload);
        }
    }

    /// Bytes that are queued and not yet passed to quinn.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Passes everything that is queued to quinn, which sends it. Nothing is lost if it is not polled to its end.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        if !self.small.is_empty() {
            self.queue.push_back(self.small.split().freeze());
        }
        while !self.queue.is_empty() {
            let written = {
                let write = pin!(self.stream.write_chunks(self.queue.make_contiguous()));
                std::task::ready!(write.poll(cx))?
            };
            self.queued -= written.bytes;
            self.queue.drain(..written.chunks);
        }
        Poll::Ready(Ok(()))
    }

    /// As [`FrameWriter::poll_flush`].
    pub(super) async fn flush(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, payload: Bytes) -> Result<(), WriteError> {
        self.push(&[], payload);
        self.flush().await
    }

    /// The stream itself, to end it or to set its priority.
    pub(super) fn stream(&mut self) -> &mut SendStream {
        &mut self.stream
    }
}
