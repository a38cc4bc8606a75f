//! The dialling side of a lane: requests go out in the order they were placed, answers come back in the same order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::TransportError;
use super::frames::{FrameReader, FrameWriter};
use super::greeting::read_answer;
use super::status::Counters;
use super::transport::Rejection;
use super::tuning::{MAX_IN_FLIGHT, MAX_IN_FLIGHT_BYTES, WRITE_AHEAD};

/// What comes of a request.
pub(super) type Outcome = Result<Bytes, TransportError>;

/// Where a lane's requests are placed. It outlives connections.
pub(super) struct Lane {
    state: Mutex<State>,
    /// The largest request.
    limit: usize,
}

struct State {
    mode: Mode,
    queue: VecDeque<Outgoing>,
    queued_bytes: usize,
    /// Placed and without an outcome yet.
    in_flight: usize,
    waker: Option<Waker>,
}

enum Mode {
    /// No connection: requests fail at once, for this reason.
    Closed(Arc<str>),
    /// A connection is being made, or stands: requests are taken.
    Open,
}

struct Outgoing {
    request: Bytes,
    answer: oneshot::Sender<Outcome>,
}

impl Lane {
    pub(super) fn new(limit: usize) -> Self {
        let mode = Mode::Closed("not connected".into());
        let queue = VecDeque::new();
        Self { state: Mutex::new(State { mode, queue, queued_bytes: 0, in_flight: 0, waker: None }), limit }
    }

    /// Gives a request its place.
    ///
    /// # Errors
    /// Where there is no connection or no room, with the reason; it is surely not sent.
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

    /// Takes requests from now on.
    pub(super) fn open(&self) {
        self.state.lock().mode = Mode::Open;
    }

    /// Takes no more, and gives up those that were not sent.
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
            // Nobody waits any more: that is fine.
            let _ = outgoing.answer.send(Err(TransportError::Unreachable(reason.to_string())));
        }
    }

    /// Moves requests to `writer` until that has enough. True where there are no more; the next one wakes this task.
    /// `done` of those taken before have their outcome.
    fn take(
        &self,
        cx: &Context<'_>,
        done: usize,
        writer: &mut FrameWriter,
        waiting: &mut VecDeque<oneshot::Sender<Outcome>>,
    ) -> bool {
        let mut state = self.state.lock();
        state.in_flight = state.in_flight.saturating_sub(done);
        while writer.queued() < WRITE_AHEAD {
            let Some(Outgoing { request, answer }) = state.queue.pop_front() else {
                state.waker = Some(cx.waker().clone());
                return true;
            };
            state.queued_bytes = state.queued_bytes.saturating_sub(request.len());
            if answer.is_closed() {
                // Given up before it was sent.
                state.in_flight = state.in_flight.saturating_sub(1);
                continue;
            }
            writer.push(&[], request);
            waiting.push_back(answer);
        }
        false
    }

    /// Carries requests and answers over the streams of one connection until one of them ends; returns why.
    pub(super) async fn run(
        &self,
        mut reader: FrameReader,
        mut writer: FrameWriter,
        counters: &Counters,
    ) -> String {
        let mut waiting = VecDeque::new();
        let why = poll_fn(|cx| self.step(cx, &mut reader, &mut writer, &mut waiting, counters)).await;
        for answer in waiting {
            let _ = answer.send(Err(TransportError::Lost(why.clone())));
        }
        why
    }

    fn step(
        &self,
        cx: &mut Context<'_>,
        reader: &mut FrameReader,
        writer: &mut FrameWriter,
        waiting: &mut VecDeque<oneshot::Sender<Outcome>>,
        counters: &Counters,
    ) -> Poll<String> {
        let mut done = 0;
        loop {
            match reader.poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(Some(frame))) => {
                    counters.received_bytes.add(frame.len());
                    let Some(answer) = waiting.pop_front() else {
                        return Poll::Ready("an answer without a request".into());
                    };
                    done += 1;
                    let _ = answer.send(outcome(frame));
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

/// Why a request was not taken.
#[derive(Debug)]
pub(super) enum NotPlaced {
    /// There is no connection.
    Closed(Arc<str>),
    /// It is too large, or too many are waiting.
    NoRoom(String),
}

/// A member that rejects a request has done nothing about it, except where it did not even understand it.
fn outcome(frame: Bytes) -> Outcome {
    read_answer(frame).map_err(|rejection| match rejection {
        Rejection::Malformed(_) | Rejection::Closed(_) => TransportError::Lost(rejection.to_string()),
        rejection => TransportError::Unreachable(rejection.to_string()),
    })
}
