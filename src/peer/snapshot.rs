//! Snapshots, each on a stream of its own: the request, the body in pieces, an empty frame, length and checksum.
//! Without the last two the receiver takes it for cut off, whatever came before.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::Connection;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::frames::{FrameReader, FrameWriter};
use super::greeting::{Kind, read_answer};
use super::lane::Outcome;
use super::quic::{Serving, Shared};
use super::registry::Peer;
use super::spool::{Spool, Spooled};
use super::transport::{Rejection, TransportError};
use super::tuning::{MAX_CONTROL_FRAME, SNAPSHOT_PIECE, SNAPSHOT_STALL};

/// Pieces between the one who reads and the network.
const AHEAD: usize = 4;

/// The last frame: length and checksum.
const END: usize = 12;

fn end_of(length: u64, checksum: u32) -> Bytes {
    [&length.to_le_bytes()[..], &checksum.to_le_bytes()[..]].concat().into()
}

/// Sends a snapshot and waits for the answer.
pub(super) async fn send(
    connection: Connection,
    peer: Arc<Peer>,
    request: Bytes,
    body: Box<dyn Read + Send>,
    answer_within: Duration,
) -> Outcome {
    let opened = timeout(SNAPSHOT_STALL, connection.open_bi()).await;
    let unsent = |text: String| Err(TransportError::Unreachable(text));
    let (send, recv) = match opened {
        Ok(Ok(streams)) => streams,
        Ok(Err(error)) => return unsent(error.to_string()),
        Err(_) => return unsent("the peer takes no more snapshots".into()),
    };
    // Fails only where the connection has ended, which writing finds at once.
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
        // A stream that is dropped counts as finished; this one is not.
        let _ = writer.stream().reset(Rejection::Malformed(String::new()).code().into());
        // The receiver may have said why it stopped listening.
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

async fn write(
    writer: &mut FrameWriter,
    peer: &Peer,
    request: Bytes,
    body: Box<dyn Read + Send>,
) -> Result<(), String> {
    let mut pieces = read_ahead(body);
    let (mut length, mut checksum) = (0_u64, 0);
    writer.push_byte(Kind::Snapshot as u8);
    writer.push(&[], request);
    while let Some(piece) = pieces.recv().await {
        let piece = piece.map_err(|error| format!("reading the snapshot: {error}"))?;
        length += piece.len() as u64;
        checksum = crc32c::crc32c_append(checksum, &piece);
        writer.push(&[], piece);
        peer.counters.sent_bytes.add(writer.queued());
        let flushed = timeout(SNAPSHOT_STALL, writer.flush()).await;
        flushed.map_err(|_| "the peer takes nothing any more")?.map_err(|error| error.to_string())?;
    }
    writer.push(&[], Bytes::new());
    writer.push(&[], end_of(length, checksum));
    let flushed = timeout(SNAPSHOT_STALL, writer.flush()).await;
    flushed.map_err(|_| "the peer takes nothing any more")?.map_err(|error| error.to_string())?;
    writer.stream().finish().map_err(|error| error.to_string())
}

/// Reads the body on a thread for blocking work, a little ahead. Ends early once the receiver is gone.
fn read_ahead(mut body: Box<dyn Read + Send>) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (pieces, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = BytesMut::zeroed(SNAPSHOT_PIECE);
            let mut filled = 0;
            while filled < piece.len() {
                match body.read(&mut piece[filled..]) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        let _ = pieces.blocking_send(Err(error));
                        return;
                    }
                }
            }
            let is_last = filled < piece.len();
            piece.truncate(filled);
            if filled > 0 && pieces.blocking_send(Ok(piece.freeze())).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// Counts the bytes of one snapshot in the total, and takes them out of it however the snapshot ends.
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

/// Takes a snapshot of a member and hands it to the service, once all of it is there.
pub(super) async fn receive(
    shared: &Shared,
    serving: &Serving,
    peer: &Peer,
    reader: &mut FrameReader,
) -> Result<Bytes, Rejection> {
    let malformed = |error: &dyn std::fmt::Display| Rejection::Malformed(format!("snapshot: {error}"));
    let request = reader.required().await.map_err(|error| malformed(&error))?;
    let Ok(_place) = shared.snapshots.try_acquire() else {
        return Err(Rejection::NotReady("other snapshots are being taken".into()));
    };
    let spool = Spool::begin(shared.options.spool.clone());
    let mut progress = Progress { total: &shared.snapshot_bytes, own: 0 };
    reader.set_limit(SNAPSHOT_PIECE);
    loop {
        let piece = timeout(SNAPSHOT_STALL, reader.required()).await;
        let piece =
            piece.map_err(|_| malformed(&"nothing comes any more"))?.map_err(|error| malformed(&error))?;
        peer.counters.received_bytes.add(piece.len());
        progress.add(piece.len());
        if piece.is_empty() {
            break;
        }
        if spool.add(piece).await.is_err() {
            break;
        }
    }
    let spooled = spool.end().await.map_err(|error| Rejection::NotReady(format!("spooling: {error}")))?;
    reader.set_limit(END);
    let end = reader.required().await.map_err(|error| malformed(&error))?;
    let Spooled { file, length, checksum } = spooled;
    if end != end_of(length, checksum) {
        return Err(malformed(&"length or checksum are not those of the sender"));
    }
    serving.service.snapshot(peer.member, request, file).await
}
