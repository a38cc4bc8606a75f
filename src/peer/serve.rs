//! The answering side of a connection: channels, snapshots, questions, clock probes.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use quinn::{Connection, RecvStream, SendStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::clock::Sample;
use super::dial::{Failure, why};
use super::frames::{FrameReader, FrameWriter};
use super::greeting::{Echo, Kind, PART, Probe, answer, close, decode, encode};
use super::port::{Place, Serving, Shared};
use super::registry::{Entry, Peer};
use super::transport::{Caller, Channel, Rejection};
use super::tuning::{
    HANDSHAKE, MAX_ANSWER, MAX_CONTROL_FRAME, MAX_FRAME, MAX_IN_FLIGHT, MAX_IN_FLIGHT_BYTES, MAX_QUESTION,
    NUMBERED, SERVICE_DEADLINE, WRITE_AHEAD,
};
use super::{ask, snapshot};

/// A caller that was admitted.
pub(super) struct Admitted {
    pub connection: Connection,
    pub serving: Arc<Serving>,
    pub caller: Caller,
    /// Its place in the member's record; none for a caller that only asks.
    pub entry: Option<Entry>,
    /// The stream of the greeting, for clock probes.
    pub probes: (FrameReader, FrameWriter),
    /// Its place among the callers that only ask.
    pub place: Place,
}

/// Serves a caller until its connection ends.
pub(super) async fn run(shared: Arc<Shared>, admitted: Admitted) {
    let Admitted { connection, serving, caller, entry, probes, place } = admitted;
    let address = connection.remote_address();
    let Some(entry) = entry else {
        let mut tasks = JoinSet::new();
        tasks.spawn(question(connection.clone(), serving, caller));
        tokio::select! {
            _ = connection.closed() => {}
            // The asking side closes the connection after it has read the answer.
            _ = tasks.join_next() => drop(timeout(HANDSHAKE, connection.closed()).await),
        }
        close(&connection, &Rejection::Closed("the question is answered".into()));
        return;
    };
    let peer = entry.peer.clone();
    let name = caller.member.to_string();
    shared.journal.went_well(true, &name);
    peer.link.heard();
    tracing::debug!(remote_peer_id = name, %address, "a peer has connected");
    let mut tasks = JoinSet::new();
    tasks.spawn(echo(shared.clone(), peer.clone(), probes));
    let rejection = loop {
        tokio::select! {
            accepted = connection.accept_bi() => match accepted {
                Ok((send, recv)) => {
                    let (shared, serving, peer) = (shared.clone(), serving.clone(), peer.clone());
                    tasks.spawn(async move { stream(&shared, &serving, &peer, send, recv).await });
                }
                Err(error) => break match why(address, &error) {
                    Failure::Rejected(_, rejection) => rejection,
                    Failure::Unreachable(text) => Rejection::Closed(text),
                },
            },
            Some(ended) = tasks.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(rejection)) => break rejection,
                Err(error) => break Rejection::Malformed(error.to_string()),
            }
        }
    };
    close(&connection, &rejection);
    drop(place);
    drop(entry);
    match rejection {
        rejection if rejection.is_final() => shared.judged(caller.member, Some(&rejection)),
        Rejection::Closed(reason) => tracing::debug!(remote_peer_id = name, reason, "a peer has gone"),
        other => shared.journal.refused(&name, &address.to_string(), &other),
    }
}

/// Answers clock probes.
async fn echo(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    (mut reader, mut writer): (FrameReader, FrameWriter),
) -> Result<(), Rejection> {
    while let Ok(Some(frame)) = reader.next().await {
        let probe: Probe = decode(&frame)?;
        if let Some((ahead_ms, trip)) = probe.measured {
            let round_trip = std::time::Duration::from_millis(trip.into());
            peer.clock.note(peer.member, Sample { ahead_ms, round_trip }.turned());
        }
        let echo = Echo { clock_ms: shared.options.clock.now_ms() };
        if writer.send(encode(&echo)).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn question(connection: Connection, serving: Arc<Serving>, caller: Caller) -> Result<(), Rejection> {
    let asked = timeout(HANDSHAKE, async {
        let accepted = connection.accept_bi().await;
        let (send, mut recv) = accepted.map_err(|error| Rejection::Closed(error.to_string()))?;
        match Kind::of(&mut recv).await? {
            Kind::Question => Ok((FrameReader::new(recv, MAX_QUESTION), FrameWriter::new(send))),
            other => Err(Rejection::Malformed(format!("a stream {other:?} of one who only asks"))),
        }
    });
    let nothing = || Rejection::Malformed("no question came".into());
    let (mut reader, mut writer) = asked.await.map_err(|_| nothing())??;
    ask::serve(&serving, &caller, &mut reader, &mut writer).await
}

/// Serves one stream of a member. An error ends the connection.
async fn stream(
    shared: &Shared,
    serving: &Serving,
    peer: &Peer,
    send: SendStream,
    mut recv: RecvStream,
) -> Result<(), Rejection> {
    let kind = timeout(HANDSHAKE, Kind::of(&mut recv)).await;
    let kind = kind.map_err(|_| Rejection::Malformed("a stream that says nothing".into()))??;
    // Fails only if the connection has ended, which the next read reports.
    let _ = send.set_priority(kind.priority());
    let writer = FrameWriter::new(send);
    let (channel, limit) = match kind {
        Kind::Control => (Channel::Control, MAX_CONTROL_FRAME),
        Kind::Append => (Channel::Append, MAX_FRAME),
        Kind::Forward => (Channel::Forward, MAX_FRAME),
        Kind::Service => (Channel::Service, MAX_CONTROL_FRAME),
        Kind::Snapshot => return take_snapshot(shared, serving, peer, recv, writer).await,
        other => return Err(Rejection::Malformed(format!("a stream {other:?} where none is due"))),
    };
    let server = ChannelServer {
        serving,
        peer,
        channel,
        limit,
        reader: FrameReader::new(recv, limit + NUMBERED),
        writer,
        answers: FuturesUnordered::new(),
        in_flight: 0,
        in_flight_bytes: 0,
        is_ended: false,
    };
    server.run().await
}

async fn take_snapshot(
    shared: &Shared,
    serving: &Serving,
    peer: &Peer,
    recv: RecvStream,
    mut writer: FrameWriter,
) -> Result<(), Rejection> {
    let mut reader = FrameReader::new(recv, MAX_CONTROL_FRAME);
    let transfer = peer.counters.snapshots_received.begin();
    let result = snapshot::receive(shared, serving, peer, &mut reader).await;
    if result.is_ok() {
        transfer.done();
    }
    if let Err(rejection) = &result {
        peer.counters.received_failures.add(1);
        tracing::warn!(remote_peer_id = %peer.member, reason = %rejection, "a snapshot was not taken");
    }
    let (head, payload) = answer(result);
    writer.push(&[head], payload);
    // The sender may have given up, which it is free to do.
    let _ = writer.flush().await;
    let _ = writer.stream().finish();
    Ok(())
}

/// The number and the size of a request, and its answer.
type Answered = (u32, usize, Result<Bytes, Rejection>);

/// Serves one channel: passes requests to the service as they arrive, and sends answers when they are ready.
struct ChannelServer<'a> {
    serving: &'a Serving,
    peer: &'a Peer,
    channel: Channel,
    limit: usize,
    reader: FrameReader,
    writer: FrameWriter,
    /// Polled for the first time in the order in which they were added.
    answers: FuturesUnordered<Pin<Box<dyn Future<Output = Answered> + Send>>>,
    in_flight: usize,
    in_flight_bytes: usize,
    is_ended: bool,
}

impl ChannelServer<'_> {
    async fn run(mut self) -> Result<(), Rejection> {
        poll_fn(|cx| self.step(cx)).await
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        loop {
            let mut moved = self.take_answers(cx)?;
            match self.writer.poll_flush(cx) {
                Poll::Ready(Ok(())) | Poll::Pending => {}
                // The error of the connection says more than that of the stream.
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
            }
            moved |= self.take_requests(cx)?;
            if self.is_ended && self.in_flight == 0 && self.writer.queued() == 0 {
                return Poll::Ready(Ok(()));
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    fn take_answers(&mut self, cx: &mut Context<'_>) -> Result<bool, Rejection> {
        let mut moved = false;
        while self.in_flight > 0 && self.writer.queued() < WRITE_AHEAD {
            let Poll::Ready(Some((number, size, result))) = Pin::new(&mut self.answers).poll_next(cx) else {
                break;
            };
            moved = true;
            self.in_flight -= 1;
            self.in_flight_bytes -= size;
            if let Err(rejection) = &result {
                self.peer.counters.received_failures.add(1);
                if matches!(rejection, Rejection::Malformed(_) | Rejection::Removed) {
                    return Err(rejection.clone());
                }
            }
            self.put_answer(number, result);
        }
        Ok(moved)
    }

    /// Queues an answer, in parts if it is longer than a frame.
    fn put_answer(&mut self, number: u32, result: Result<Bytes, Rejection>) {
        let (mut kind, mut payload) = answer(result);
        if payload.len() > MAX_ANSWER {
            let text = format!("the answer has {} bytes, at most {MAX_ANSWER} are allowed", payload.len());
            tracing::warn!(remote_peer_id = %self.peer.member, reason = text, "an answer was not sent");
            (kind, payload) = answer(Err(Rejection::Malformed(text)));
        }
        loop {
            let part = payload.split_to(payload.len().min(self.limit));
            let [a, b, c, d] = number.to_le_bytes();
            self.peer.counters.sent_bytes.add(part.len() + 4 + NUMBERED);
            self.writer.push(&[a, b, c, d, if payload.is_empty() { kind } else { PART }], part);
            if payload.is_empty() {
                return;
            }
        }
    }

    fn take_requests(&mut self, cx: &mut Context<'_>) -> Result<bool, Rejection> {
        let mut moved = false;
        while !self.is_ended
            && self.in_flight < MAX_IN_FLIGHT
            && self.in_flight_bytes < MAX_IN_FLIGHT_BYTES
            && self.writer.queued() < WRITE_AHEAD
        {
            match self.reader.poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(Some(mut request))) => {
                    moved = true;
                    let number = request.try_get_u32_le();
                    let number =
                        number.map_err(|_| Rejection::Malformed("a request without a number".into()))?;
                    let size = request.len();
                    self.peer.counters.received_bytes.add(size + 8);
                    self.in_flight += 1;
                    self.in_flight_bytes += size;
                    let answering = self.serving.service.call(self.peer.member, self.channel, request);
                    self.answers.push(Box::pin(async move {
                        let answered = timeout(SERVICE_DEADLINE, answering).await;
                        // It may have been done, and the caller must treat it that way.
                        let late = |_| Err(Rejection::Closed("no answer in time".into()));
                        (number, size, answered.unwrap_or_else(late))
                    }));
                }
                Poll::Ready(Ok(None)) => (self.is_ended, moved) = (true, true),
                Poll::Ready(Err(super::frames::FrameError::Read(_))) => (self.is_ended, moved) = (true, true),
                Poll::Ready(Err(error)) => return Err(Rejection::Malformed(error.to_string())),
            }
        }
        Ok(moved)
    }
}
