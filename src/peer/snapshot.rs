//! Snapshots, each on a stream of its own: the request, the body in pieces, an empty frame, the length of the body.
//! Without the last two the receiver considers it incomplete, whatever came before. QUIC guarantees that nothing is
//! changed on the way.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quinn::Connection;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::frames::{FrameReader, FrameWriter};
use super::greeting::{Kind, read_answer};
use super::port::{Serving, Shared};
use super::registry::Peer;
use super::requests::Outcome;
use super::transport::{Pieces, Rejection, TransportError};
use super::tuning::{MAX_CONTROL_FRAME, SNAPSHOT_PIECE, SNAPSHOT_STALL};

/// Pieces buffered between the network and the reader or writer of the snapshot.
const AHEAD: usize = 16;

/// The last frame: the length of the body.
const END: usize = 8;

fn end_of(length: u64) -> Bytes {
    Bytes::copy_from_slice(&length.to_le_bytes())
}

/// Sends a snapshot and waits for the answer.
pub(super) async fn send(
    connection: Connection,
    peer: Arc<Peer>,
    request: Bytes,
    body: Pieces,
    answer_within: Duration,
) -> Outcome {
    let opened = timeout(SNAPSHOT_STALL, connection.open_bi()).await;
    let unsent = |text: String| Err(TransportError::Unreachable(text));
    let (send, recv) = match opened {
        Ok(Ok(streams)) => streams,
        Ok(Err(error)) => return unsent(error.to_string()),
        Err(_) => return unsent("the peer takes no more snapshots".into()),
    };
    // Fails only if the connection has ended, which the next write reports.
    let _ = send.set_priority(Kind::Snapshot.priority());
    let (mut reader, mut writer) = (FrameReader::new(recv, MAX_CONTROL_FRAME), FrameWriter::new(send));
    let lost = |text: String| TransportError::Lost(text);
    let sent = tokio::select! {
        biased;
        // An answer before the end is a refusal.
        early = reader.required() => return answer(early.map_err(|error| lost(error.to_string()))?),
        sent = write(&mut writer, &peer, request, body) => sent,
    };
    if let Err(text) = sent {
        // A stream that is dropped counts as finished; this one is not finished.
        let _ = writer.stream().reset(Rejection::Malformed(String::new()).code().into());
        // The receiver may have said why it stopped reading.
        return match timeout(Duration::from_millis(100), reader.required()).await {
            Ok(Ok(frame)) => answer(frame),
            _ => Err(lost(text)),
        };
    }
    match timeout(answer_within, reader.required()).await {
        Ok(Ok(frame)) => answer(frame),
        Ok(Err(error)) => Err(lost(error.to_string())),
        Err(_) => Err(TransportError::Timeout),
    }
}

fn answer(frame: Bytes) -> Outcome {
    read_answer(frame).map_err(|rejection| TransportError::Lost(rejection.to_string()))
}

async fn write(writer: &mut FrameWriter, peer: &Peer, request: Bytes, body: Pieces) -> Result<(), String> {
    let mut pieces = read_ahead(body);
    let mut length = 0_u64;
    writer.push_byte(Kind::Snapshot as u8);
    writer.push(&[], request);
    let mut batch = Vec::new();
    while pieces.recv_many(&mut batch, AHEAD).await > 0 {
        for piece in batch.drain(..) {
            let piece = piece.map_err(|error| format!("reading the snapshot: {error}"))?;
            length += piece.len() as u64;
            writer.push(&[], piece);
        }
        peer.counters.sent_bytes.add(writer.queued());
        flush(writer).await?;
    }
    writer.push(&[], Bytes::new());
    writer.push(&[], end_of(length));
    flush(writer).await?;
    writer.stream().finish().map_err(|error| error.to_string())
}

async fn flush(writer: &mut FrameWriter) -> Result<(), String> {
    let flushed = timeout(SNAPSHOT_STALL, writer.flush()).await;
    flushed.map_err(|_| "the peer takes nothing any more")?.map_err(|error| error.to_string())
}

/// Reads the body on a thread for blocking work, a few pieces ahead. Ends early if the receiver is gone.
fn read_ahead(body: Pieces) -> mpsc::Receiver<io::Result<Bytes>> {
    let (pieces, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        for piece in body {
            let mut rest = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    let _ = pieces.blocking_send(Err(error));
                    return;
                }
            };
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(SNAPSHOT_PIECE));
                if pieces.blocking_send(Ok(piece)).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

/// Counts the bytes of one snapshot in the total, and subtracts them again when the snapshot ends in any way.
struct Progress<'a> {
    total: &'a AtomicU64,
    own: u64,
}

impl Progress<'_> {
    fn add(&mut self, bytes: usize) {
        self.own += bytes as u64;
        self.total.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.own, Ordering::Relaxed);
    }
}

/// A snapshot on its way from the network to its consumer.
struct Arriving {
    /// `None` after the last piece.
    pieces: mpsc::Receiver<Option<Bytes>>,
    is_over: bool,
}

impl Iterator for Arriving {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.is_over {
            return None;
        }
        let next = self.pieces.blocking_recv();
        self.is_over = !matches!(next, Some(Some(_)));
        match next {
            Some(piece) => piece.map(Ok),
            None => Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the snapshot was cut off"))),
        }
    }
}

/// Receives a snapshot of a member; the service reads it while it arrives.
pub(super) async fn receive(
    shared: &Shared,
    serving: &Serving,
    peer: &Peer,
    reader: &mut FrameReader,
) -> Result<Bytes, Rejection> {
    let request = reader.required().await.map_err(malformed)?;
    let Ok(_place) = shared.snapshots.try_acquire() else {
        return Err(Rejection::NotReady("other snapshots are being taken".into()));
    };
    let (sender, pieces) = mpsc::channel(AHEAD);
    let mut taken =
        serving.service.snapshot(peer.member, request, Box::new(Arriving { pieces, is_over: false }));
    let mut progress = Progress { total: &shared.snapshot_bytes, own: 0 };
    {
        let mut passed = pin!(pass_on(peer, reader, sender, &mut progress));
        tokio::select! {
            // An answer before the end is a refusal.
            answer = &mut taken => return answer,
            passed = &mut passed => passed?,
        }
    }
    taken.await
}

/// Passes on the pieces. Only if all of them have arrived is the end passed on.
async fn pass_on(
    peer: &Peer,
    reader: &mut FrameReader,
    pieces: mpsc::Sender<Option<Bytes>>,
    progress: &mut Progress<'_>,
) -> Result<(), Rejection> {
    reader.set_limit(SNAPSHOT_PIECE);
    loop {
        let piece = next(reader).await?;
        if piece.is_empty() {
            break;
        }
        peer.counters.received_bytes.add(piece.len());
        progress.add(piece.len());
        if pieces.send(Some(piece)).await.is_err() {
            // The consumer stopped reading: its answer says why.
            return Ok(());
        }
    }
    reader.set_limit(END);
    if next(reader).await? != end_of(progress.own) {
        return Err(malformed("the length is not that of the sender"));
    }
    // The consumer may be gone.
    let _ = pieces.send(None).await;
    Ok(())
}

async fn next(reader: &mut FrameReader) -> Result<Bytes, Rejection> {
    let frame = timeout(SNAPSHOT_STALL, reader.required()).await;
    frame.map_err(|_| malformed("nothing comes any more"))?.map_err(malformed)
}

fn malformed(error: impl ToString) -> Rejection {
    Rejection::Malformed(format!("snapshot: {}", error.to_string()))
}
