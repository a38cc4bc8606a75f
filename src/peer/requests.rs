//! The dialling side of a channel, the stream for one kind of request: requests are sent in the order in which they
//! were queued, each with a number; answers carry the number of their request and arrive in any order.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::frames::{FrameReader, FrameWriter};
use super::greeting::{PART, read_answer};
use super::status::Counters;
use super::transport::{Rejection, TransportError};
use super::tuning::{MAX_ANSWER, MAX_IN_FLIGHT, MAX_IN_FLIGHT_BYTES, WRITE_AHEAD};

/// The outcome of a request.
pub(super) type Outcome = Result<Bytes, TransportError>;

/// The queue of a channel. It outlives connections.
pub(super) struct Requests {
    state: Mutex<State>,
    /// The largest request.
    limit: usize,
}

struct State {
    mode: Mode,
    queue: VecDeque<Outgoing>,
    queued_bytes: usize,
    /// Requests in the queue or sent, without an outcome yet.
    in_flight: usize,
    waker: Option<Waker>,
}

enum Mode {
    /// There is no connection: requests fail at once, for this reason.
    Closed(Arc<str>),
    /// A connection exists or is being made: requests are accepted.
    Open,
}

struct Outgoing {
    request: Bytes,
    answer: oneshot::Sender<Outcome>,
}

impl Requests {
    pub(super) fn new(limit: usize) -> Self {
        let mode = Mode::Closed("not connected".into());
        let queue = VecDeque::new();
        Self { state: Mutex::new(State { mode, queue, queued_bytes: 0, in_flight: 0, waker: None }), limit }
    }

    /// Queues a request.
    ///
    /// # Errors
    /// If there is no connection or no room, with the reason; the request is certainly not sent.
    pub(super) fn place(&self, request: Bytes) -> Result<oneshot::Receiver<Outcome>, NotPlaced> {
        if request.len() > self.limit {
            let text = format!("a request of {} bytes, at most {} are allowed", request.len(), self.limit);
            return Err(NotPlaced::NoRoom(text));
        }
        let mut state = self.state.lock();
        if let Mode::Closed(reason) = &state.mode {
            return Err(NotPlaced::Closed(reason.clone()));
        }
        let too_large = state.queued_bytes > 0 && state.queued_bytes + request.len() > MAX_IN_FLIGHT_BYTES;
        if state.in_flight >= MAX_IN_FLIGHT || too_large {
            return Err(NotPlaced::NoRoom("too many requests are waiting".into()));
        }
        let (answer, outcome) = oneshot::channel();
        state.in_flight += 1;
        state.queued_bytes += request.len();
        state.queue.push_back(Outgoing { request, answer });
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(outcome)
    }

    /// Accepts requests from now on.
    pub(super) fn open(&self) {
        self.state.lock().mode = Mode::Open;
    }

    /// Accepts no more requests, and drops those that were not sent.
    pub(super) fn close(&self, reason: &Arc<str>) {
        let unsent = {
            let mut state = self.state.lock();
            state.mode = Mode::Closed(reason.clone());
            state.queued_bytes = 0;
            state.in_flight = 0;
            state.waker = None;
            std::mem::take(&mut state.queue)
        };
        for outgoing in unsent {
            // The caller may have stopped waiting; that is fine.
            let _ = outgoing.answer.send(Err(TransportError::Unreachable(reason.to_string())));
        }
    }

    /// Moves requests to `writer` until it has enough. True if there are no more; the next one wakes this task. `done`
    /// is the number of earlier requests that have their outcome.
    fn take(&self, cx: &Context<'_>, done: usize, writer: &mut FrameWriter, waiting: &mut Waiting) -> bool {
        let mut state = self.state.lock();
        state.in_flight = state.in_flight.saturating_sub(done);
        while writer.queued() < WRITE_AHEAD {
            let Some(Outgoing { request, answer }) = state.queue.pop_front() else {
                state.waker = Some(cx.waker().clone());
                return true;
            };
            state.queued_bytes = state.queued_bytes.saturating_sub(request.len());
            if answer.is_closed() {
                // The caller gave up before it was sent.
                state.in_flight = state.in_flight.saturating_sub(1);
                continue;
            }
            writer.push(&waiting.add(answer).to_le_bytes(), request);
        }
        false
    }

    /// Sends requests and receives answers over the streams of one connection until one of them ends; returns why.
    pub(super) async fn run(
        &self,
        mut reader: FrameReader,
        mut writer: FrameWriter,
        counters: &Counters,
    ) -> String {
        let mut waiting = Waiting::default();
        let why = poll_fn(|cx| self.step(cx, &mut reader, &mut writer, &mut waiting, counters)).await;
        for answer in waiting.answers.into_values() {
            let _ = answer.send(Err(TransportError::Lost(why.clone())));
        }
        why
    }

    fn step(
        &self,
        cx: &mut Context<'_>,
        reader: &mut FrameReader,
        writer: &mut FrameWriter,
        waiting: &mut Waiting,
        counters: &Counters,
    ) -> Poll<String> {
        let mut done = 0;
        loop {
            match reader.poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(Some(frame))) => {
                    counters.received_bytes.add(frame.len());
                    match waiting.take(frame) {
                        Ok(answered) => done += usize::from(answered),
                        Err(why) => return Poll::Ready(why.into()),
                    }
                }
                Poll::Ready(Ok(None)) => return Poll::Ready("the peer ended the stream".into()),
                Poll::Ready(Err(error)) => return Poll::Ready(error.to_string()),
            }
        }
        loop {
            let before = writer.queued();
            let is_all = self.take(cx, std::mem::take(&mut done), writer, waiting);
            counters.sent_bytes.add(writer.queued() - before);
            match writer.poll_flush(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(error.to_string()),
                Poll::Ready(Ok(())) if !is_all => {}
                _ => return Poll::Pending,
            }
        }
    }
}

/// The requests of one connection without an answer yet, by their numbers.
#[derive(Default)]
struct Waiting {
    answers: HashMap<u32, oneshot::Sender<Outcome>>,
    next: u32,
    /// The first frames of an answer that takes several frames.
    begun: Option<(u32, BytesMut)>,
}

impl Waiting {
    /// Assigns a number to a request.
    fn add(&mut self, answer: oneshot::Sender<Outcome>) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.answers.insert(number, answer);
        number
    }

    /// Takes a frame; true if it completes an answer. An invalid frame ends the stream.
    fn take(&mut self, mut frame: Bytes) -> Result<bool, &'static str> {
        let number = frame.try_get_u32_le().map_err(|_| "an answer without a number")?;
        if !self.answers.contains_key(&number) {
            return Err("an answer without a request");
        }
        let is_part = frame.first() == Some(&PART);
        if is_part || self.begun.is_some() {
            let (begun, mut bytes) = self.begun.take().unwrap_or((number, BytesMut::new()));
            // Only the last frame has the kind of the answer: it is put in front.
            let kind = frame.split_to(frame.len().min(1));
            if begun != number || bytes.len() + frame.len() > MAX_ANSWER {
                return Err("an answer in parts that do not fit together");
            }
            if bytes.is_empty() {
                bytes.extend_from_slice(&kind);
            }
            bytes.extend_from_slice(&frame);
            if is_part {
                self.begun = Some((begun, bytes));
                return Ok(false);
            }
            if let (Some(first), Some(kind)) = (bytes.first_mut(), kind.first()) {
                *first = *kind;
            }
            frame = bytes.freeze();
        }
        if let Some(answer) = self.answers.remove(&number) {
            // The caller may have stopped waiting.
            let _ = answer.send(outcome(frame));
        }
        Ok(true)
    }
}

/// Why a request was not accepted.
#[derive(Debug)]
pub(super) enum NotPlaced {
    /// There is no connection.
    Closed(Arc<str>),
    /// It is too large, or too many are waiting.
    NoRoom(String),
}

/// A member that rejects a request has done nothing about it, unless it could not parse it.
fn outcome(frame: Bytes) -> Outcome {
    read_answer(frame).map_err(|rejection| match rejection {
        Rejection::Malformed(_) | Rejection::Closed(_) => TransportError::Lost(rejection.to_string()),
        rejection => TransportError::Unreachable(rejection.to_string()),
    })
}
