//! Maintains the outgoing connection to one member while it is used, with the channels on it.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use quinn::Connection;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::clock::Sample;
use super::dial::{Dialled, Failure, dial, why};
use super::frames::{FrameReader, FrameWriter};
use super::greeting::{Echo, Probe, Purpose, close, decode, encode};
use super::link::{Link, Live};
use super::port::Shared;
use super::registry::Peer;
use super::requests::{NotPlaced, Outcome};
use super::transport::{self, Rejection};
use super::tuning::{ATTEMPT, BACKOFF, NUMBERED, PROBE, SHORT_LIVED, STAGGER, patience};

/// Queues a request in a channel to a member; a connection is made if there is none.
///
/// # Errors
/// If the request is certainly not sent, with the reason.
pub(super) fn place(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    urls: &[String],
    channel: transport::Channel,
    request: Bytes,
) -> Result<oneshot::Receiver<Outcome>, String> {
    let starts = want(shared, peer, urls);
    let channel = peer.link.channel(channel);
    match channel.place(request.clone()) {
        Ok(outcome) => Ok(outcome),
        // Between the two calls the task may have ended because there was nothing to do.
        Err(NotPlaced::Closed(reason)) if starts || !want(shared, peer, urls) => Err(reason.to_string()),
        Err(NotPlaced::Closed(_)) => channel.place(request).map_err(|error| match error {
            NotPlaced::Closed(reason) => reason.to_string(),
            NotPlaced::NoRoom(reason) => reason,
        }),
        Err(NotPlaced::NoRoom(reason)) => Err(reason),
    }
}

/// Records that the connection is wanted. True if this has started the task.
fn want(shared: &Arc<Shared>, peer: &Arc<Peer>, urls: &[String]) -> bool {
    let link = &peer.link;
    let mut state = link.state.lock();
    state.wanted = Instant::now();
    if *state.urls != *urls {
        state.urls = urls.into();
    }
    if state.running || state.ended {
        return false;
    }
    state.running = true;
    link.open_channels();
    drop(state);
    shared.handle.spawn(keep(shared.clone(), peer.clone()));
    true
}

/// The connection to a member, made if there is none; waits for it as long as calls do.
pub(super) async fn connection(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    urls: &[String],
) -> Result<Connection, String> {
    want(shared, peer, urls);
    let mut live = peer.link.live.subscribe();
    let found = tokio::time::timeout(patience(shared.options.election), live.wait_for(Option::is_some)).await;
    match found {
        Ok(Ok(live)) => {
            live.as_ref().map(|live| live.connection.clone()).ok_or_else(|| "not connected".into())
        }
        _ => Err(peer.link.problem().unwrap_or_else(|| "not connected".into())),
    }
}

/// Maintains the connection to a member until it is no longer wanted.
async fn keep(shared: Arc<Shared>, peer: Arc<Peer>) {
    let link = &peer.link;
    let name = peer.member.to_string();
    let mut pause = BACKOFF.0;
    // Calls wait for the first attempt only; after that they fail at once until there is a connection.
    let mut first = true;
    loop {
        let began = Instant::now();
        let attempted = tokio::select! {
            attempted = attempt(&shared, &peer, first) => attempted,
            () = is_back(link) => {
                first = true;
                link.open_channels();
                continue;
            }
        };
        let failure = match attempted {
            Ok(dialled) => {
                shared.journal.went_well(false, &name);
                link.state.lock().problem = None;
                let address = dialled.address;
                tracing::info!(remote_peer_id = name, %address, "peer became active");
                let since = Instant::now();
                let failure = carry(&shared, &peer, dialled).await;
                peer.counters.disconnects.add(1);
                tracing::info!(remote_peer_id = name, reason = %failure, "peer became inactive");
                first = since.elapsed() >= SHORT_LIVED;
                failure
            }
            Err(failure) => {
                first = false;
                failure
            }
        };
        report(&shared, &peer, &name, &failure);
        link.close_channels(&failure.to_string());
        link.state.lock().problem = Some(failure.to_string());
        if link.stops() || shared.is_closed() {
            link.close_channels("not connected");
            return;
        }
        if first {
            pause = BACKOFF.0;
            link.open_channels();
        } else {
            let pausing = tokio::time::sleep(pause.saturating_sub(began.elapsed()).max(BACKOFF.0));
            tokio::select! {
                () = pausing => {}
                () = link.heard.notified() => {}
            }
            pause = (pause * 2).min(BACKOFF.1);
        }
    }
}

/// Returns when the member connects to this one while an attempt to reach it has been running for some time: the next
/// packet of that attempt may be due much later than the first one of a new attempt.
async fn is_back(link: &Link) {
    tokio::time::sleep(STAGGER).await;
    link.heard.notified().await;
}

fn report(shared: &Shared, peer: &Peer, name: &str, failure: &Failure) {
    match failure {
        Failure::Rejected(_, Rejection::Closed(_)) => {}
        Failure::Rejected(address, rejection) => {
            shared.journal.refused_by(name, address, rejection);
            if rejection.is_final() {
                shared.judged(peer.member, Some(rejection));
            }
        }
        Failure::Unreachable(text) => {
            if peer.link.state.lock().problem.as_ref() != Some(text) {
                shared.journal.unreachable(name, text);
            }
        }
    }
}

async fn attempt(shared: &Arc<Shared>, peer: &Arc<Peer>, first: bool) -> Result<Dialled, Failure> {
    let urls = peer.link.state.lock().urls.clone();
    let mut dialling = pin!(dial(shared, &urls, Purpose::Member, peer.member));
    if first {
        tokio::select! {
            result = &mut dialling => return result,
            () = tokio::time::sleep(patience(shared.options.election)) => {
                peer.link.close_channels("connecting");
            }
        }
    }
    dialling.await
}

/// Serves channels and probes over a connection until it ends; returns why it did.
async fn carry(shared: &Arc<Shared>, peer: &Arc<Peer>, dialled: Dialled) -> Failure {
    let Dialled { connection, address, welcome, sample, probes } = dialled;
    let link = &peer.link;
    peer.met(Some(address), &welcome.version);
    peer.probed(sample);
    peer.found_at_home(welcome.incarnation, address);
    shared.judged(peer.member, None);
    let mut tasks = JoinSet::new();
    for index in 0..link.channels().len() {
        let opened = tokio::time::timeout(ATTEMPT, connection.open_bi()).await;
        let Ok(Ok((send, recv))) = opened else {
            return lost(&connection, address, "no streams were granted");
        };
        let peer = peer.clone();
        tasks.spawn(async move {
            let (channel, kind, limit) = peer.link.channels()[index];
            // Fails only if the connection has ended, which the channel reports at once.
            let _ = send.set_priority(kind.priority());
            let (reader, mut writer) = (FrameReader::new(recv, limit + NUMBERED), FrameWriter::new(send));
            writer.push_byte(kind as u8);
            channel.run(reader, writer, &peer.counters).await
        });
    }
    tasks.spawn(probe(shared.clone(), peer.clone(), probes, sample));
    link.open_channels();
    let (incarnation, since) = (welcome.incarnation, Instant::now());
    link.live.send_replace(Some(Live { connection: connection.clone(), incarnation, since }));
    if link.state.lock().ended {
        close(&connection, &Rejection::Removed);
    }
    let failure = tokio::select! {
        error = connection.closed() => why(address, &error),
        Some(ended) = tasks.join_next() => {
            let text = ended.unwrap_or_else(|error| error.to_string());
            lost(&connection, address, &text)
        }
    };
    link.live.send_replace(None);
    // No task of this connection may use the channels after they are opened for the next one.
    link.close_channels(&failure.to_string());
    tasks.shutdown().await;
    failure
}

/// Closes a connection from which nothing more is expected.
fn lost(connection: &Connection, address: std::net::SocketAddr, text: &str) -> Failure {
    if let Some(error) = connection.close_reason() {
        return why(address, &error);
    }
    close(connection, &Rejection::Closed(text.to_owned()));
    Failure::Unreachable(format!("{address}: {text}"))
}

/// Compares clocks at intervals. Ends only with the connection.
async fn probe(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    (mut reader, mut writer): (FrameReader, FrameWriter),
    mut sample: Sample,
) -> String {
    loop {
        let trip = u32::try_from(sample.round_trip.as_millis()).unwrap_or(u32::MAX);
        let asked = Instant::now();
        let clock_ms = shared.options.clock.now_ms();
        let sent = writer.send(encode(&Probe { clock_ms, measured: Some((sample.ahead_ms, trip)) })).await;
        let frame = match (sent, reader.required().await) {
            (Ok(()), Ok(frame)) => frame,
            (Err(error), _) => return error.to_string(),
            (_, Err(error)) => return error.to_string(),
        };
        let Ok(Echo { clock_ms }) = decode::<Echo>(&frame) else {
            return "an echo that is none".into();
        };
        sample = Sample::new(shared.options.clock.now_ms(), clock_ms, asked.elapsed());
        peer.probed(sample);
        tokio::time::sleep(PROBE).await;
    }
}
