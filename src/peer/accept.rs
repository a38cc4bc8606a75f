//! Incoming connections: handshake, greeting, and the decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, Incoming, RecvStream, ServerConfig, ValidationTokenConfig, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::dial::{EXCHANGED, Failure, certificates, why};
use super::frames::{FrameReader, FrameWriter};
use super::greeting::{Greeting, Kind, Purpose, Reply, Welcome, encode};
use super::quic::{Serving, Shared};
use super::registry::{Entry, close};
use super::transport::{Caller, Rejection};
use super::tuning::{
    ALPN, HANDSHAKE, MAX_ASKERS, MAX_CALLERS, MAX_GREETING, MAX_HANDSHAKES, STREAMS_ASKER, STREAMS_MEMBER,
    WINDOW,
};
use super::{proof, serve};
use crate::model::MemberId;
use crate::pki::Holder;

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

/// A refused caller: by its member id if that is known, otherwise by its address.
struct Refused {
    who: String,
    rejection: Rejection,
}

/// One of a limited number of places; dropping it frees it.
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>) -> Self {
        taken.fetch_add(1, Ordering::AcqRel);
        Self(taken.clone())
    }

    fn number(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// quinn's settings for incoming connections, with the present TLS credentials.
pub(super) fn server_config(shared: &Shared) -> Result<ServerConfig, String> {
    new_server_config(&shared.options.credentials, &shared.listening)
}

/// The same from its parts.
pub(super) fn new_server_config(
    credentials: &crate::pki::Credentials,
    transport: &Arc<quinn::TransportConfig>,
) -> Result<ServerConfig, String> {
    let tls = credentials.server().map_err(|error| error.to_string())?;
    let mut tls = rustls::ServerConfig::clone(&tls);
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    config
        .transport_config(transport.clone())
        .validation_token_config(tokens)
        .migration(false)
        .max_incoming(2 * MAX_HANDSHAKES)
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(1 << 20);
    Ok(config)
}

/// Accepts connections on one socket, until it is closed.
pub(super) async fn run(shared: Arc<Shared>, endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        let place = Place::take(&shared.handshakes);
        if place.number() > 2 * MAX_HANDSHAKES {
            incoming.refuse();
        } else if place.number() > MAX_HANDSHAKES && incoming.may_retry() {
            // `may_retry` says that this cannot fail; if it fails anyway, the other side tries again by itself.
            let _ = incoming.retry();
        } else {
            shared.handle.spawn(receive(shared.clone(), incoming, place));
        }
    }
}

async fn receive(shared: Arc<Shared>, incoming: Incoming, place: Place) {
    let address = incoming.remote_address();
    let result = timeout(HANDSHAKE, admit(&shared, incoming)).await;
    drop(place);
    let Refused { who, rejection } = match result {
        Ok(Ok(admitted)) => return serve::run(shared, admitted).await,
        Ok(Err(refused)) => refused,
        Err(_) => {
            let rejection = Rejection::Malformed(format!("no greeting within {HANDSHAKE:?}"));
            Refused { who: address.ip().to_string(), rejection }
        }
    };
    if !matches!(rejection, Rejection::Closed(_)) {
        shared.journal.refused(&who, &address.to_string(), &rejection);
    }
}

async fn admit(shared: &Arc<Shared>, incoming: Incoming) -> Result<Admitted, Refused> {
    let address = incoming.remote_address();
    let stranger = |rejection| Refused { who: address.ip().to_string(), rejection };
    let ended = |failure| match failure {
        Failure::Rejected(_, rejection) => stranger(rejection),
        Failure::Unreachable(text) => stranger(Rejection::Closed(text)),
    };
    let reloads = shared.options.credentials.reloads();
    let config = server_config(shared).map_err(|text| stranger(Rejection::NotReady(text)))?;
    let connecting = incoming.accept_with(Arc::new(config)).map_err(|error| ended(why(address, &error)))?;
    let connection = connecting.await.map_err(|error| ended(why(address, &error)))?;
    let result = hear(&connection).await;
    let (greeting, probes) = match result {
        Ok(heard) => heard,
        Err(rejection) => {
            // If the caller has closed the connection, its own reason counts.
            let rejection = match connection.close_reason().map(|error| why(address, &error)) {
                Some(Failure::Rejected(_, rejection)) => rejection,
                _ => rejection,
            };
            close(&connection, &rejection);
            return Err(stranger(rejection));
        }
    };
    let caller = Caller { member: greeting.from, cluster: greeting.cluster, address: address.to_string() };
    let judgement = if shared.options.credentials.reloads() == reloads {
        judge(shared, &greeting, &caller, &certificates(&connection))
    } else {
        Err(Rejection::NotReady(EXCHANGED.into()))
    };
    let judgement = match judgement {
        Ok((serving, place)) if greeting.purpose == Purpose::Member => {
            let (peer, urls) = (shared.peers.peer(greeting.from), serving.service.peer_urls(greeting.from));
            let entered = proof::enter(shared, &peer, &urls, &connection, greeting.incarnation).await;
            entered.map(|entry| (serving, place, Some(entry)))
        }
        judgement => judgement.map(|(serving, place)| (serving, place, None)),
    };
    match judgement {
        Ok((serving, place, entry)) => {
            let admitted = Admitted { connection, serving, caller, entry, probes, place };
            welcome(shared, admitted, &greeting.version).await
        }
        Err(rejection) => {
            refuse(&connection, probes.1, &rejection).await;
            let known = greeting.from != MemberId(0) && !matches!(rejection, Rejection::Certificate(_));
            let who = if known { greeting.from.to_string() } else { address.ip().to_string() };
            Err(Refused { who, rejection })
        }
    }
}

/// The first byte of a stream.
pub(super) async fn kind(recv: &mut RecvStream) -> Result<Kind, Rejection> {
    let mut byte = [0];
    recv.read_exact(&mut byte).await.map_err(|error| Rejection::Malformed(error.to_string()))?;
    let [byte] = byte;
    Kind::read(byte).ok_or_else(|| Rejection::Malformed(format!("a stream of the unknown kind {byte}")))
}

async fn hear(connection: &Connection) -> Result<(Greeting, (FrameReader, FrameWriter)), Rejection> {
    let malformed = |error: &dyn std::fmt::Display| Rejection::Malformed(error.to_string());
    let (send, mut recv) = connection.accept_bi().await.map_err(|error| malformed(&error))?;
    if kind(&mut recv).await? != Kind::Greeting {
        return Err(Rejection::Malformed("the first stream is no greeting".into()));
    }
    // Fails only if the connection has ended, which the next read reports.
    let _ = send.set_priority(Kind::Greeting.priority());
    let mut reader = FrameReader::new(recv, MAX_GREETING);
    let frame = reader.required().await.map_err(|error| malformed(&error))?;
    let mut writer = FrameWriter::new(send);
    match Greeting::read(&frame) {
        Ok(greeting) => Ok((greeting, (reader, writer))),
        Err(rejection) => {
            writer.push(&[], encode(&Reply::Refused(rejection.clone())));
            finish(&mut writer).await;
            Err(rejection)
        }
    }
}

/// Decides whether a caller is admitted, and by which service.
fn judge(
    shared: &Shared,
    greeting: &Greeting,
    caller: &Caller,
    chain: &[CertificateDer<'_>],
) -> Result<(Arc<Serving>, Place), Rejection> {
    let says = Holder { member: caller.member, cluster: caller.cluster };
    let checked = shared.options.credentials.check_holder(chain, says);
    checked.map_err(|error| Rejection::Certificate(error.to_string()))?;
    if greeting.incarnation == shared.options.incarnation {
        return Err(Rejection::Closed("this is the very process that calls".into()));
    }
    let serving = shared.serving.load_full();
    let serving = serving.ok_or_else(|| Rejection::NotReady("this member is starting".into()))?;
    let is_member = greeting.purpose == Purpose::Member;
    if is_member && greeting.cluster != serving.cluster {
        return Err(Rejection::OtherCluster { here: serving.cluster, there: greeting.cluster });
    }
    let anybody = !is_member && greeting.to == MemberId(0);
    if greeting.to != serving.member && !anybody {
        return Err(Rejection::OtherMember { here: serving.member, there: greeting.to });
    }
    if caller.member == serving.member {
        shared.journal.copied(&caller.member.to_string(), &caller.address);
    }
    if !is_member {
        let place = Place::take(&shared.askers);
        if place.number() > MAX_ASKERS {
            return Err(Rejection::NotReady("too many are asking".into()));
        }
        return Ok((serving, place));
    }
    if caller.member == serving.member {
        return Err(Rejection::Copy("the caller says that it is this very member".into()));
    }
    let place = Place::take(&shared.callers);
    if place.number() > MAX_CALLERS {
        return Err(Rejection::NotReady("too many connections".into()));
    }
    serving.service.admit(caller)?;
    compare(shared, &serving, greeting)?;
    Ok((serving, place))
}

/// Whether either of the two lacks what it has acknowledged to the other: its disk was exchanged for an older copy.
fn compare(shared: &Shared, serving: &Serving, greeting: &Greeting) -> Result<(), Rejection> {
    let (caller, own) = (greeting.from, serving.service.progress());
    if let Some(acknowledged) = greeting.acknowledged.filter(|acknowledged| own.lacks(acknowledged)) {
        let outdated = Rejection::Outdated(acknowledged);
        shared.judged(caller, Some(&outdated));
        return Err(Rejection::NotReady(outdated.to_string()));
    }
    match serving.service.acknowledged(caller) {
        Some(acknowledged) if greeting.progress.lacks(&acknowledged) => {
            Err(Rejection::Outdated(acknowledged))
        }
        _ => Ok(()),
    }
}

async fn welcome(shared: &Shared, mut admitted: Admitted, version: &str) -> Result<Admitted, Refused> {
    let Admitted { connection, serving, caller, entry, probes, .. } = &mut admitted;
    let streams = match entry {
        Some(entry) => {
            connection.set_receive_window(VarInt::from_u32(WINDOW));
            entry.peer.met(None, version);
            STREAMS_MEMBER
        }
        None => STREAMS_ASKER,
    };
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(streams));
    let welcome = Welcome {
        cluster: serving.cluster,
        member: serving.member,
        incarnation: shared.options.incarnation,
        clock_ms: shared.options.clock.now_ms(),
        version: shared.options.version.clone(),
    };
    let sent = probes.1.send(encode(&Reply::Welcome(welcome))).await;
    sent.map_err(|error| Refused {
        who: caller.member.to_string(),
        rejection: Rejection::Closed(error.to_string()),
    })?;
    Ok(admitted)
}

/// Refuses a caller: sends the whole reason on the stream, then closes the connection.
async fn refuse(connection: &Connection, mut writer: FrameWriter, rejection: &Rejection) {
    writer.push(&[], encode(&Reply::Refused(rejection.clone())));
    finish(&mut writer).await;
    close(connection, rejection);
}

/// Sends what is queued and waits a moment until it has arrived, because closing would overtake it.
async fn finish(writer: &mut FrameWriter) {
    const MOMENT: Duration = Duration::from_millis(500);
    let _ = timeout(MOMENT, async {
        writer.flush().await.ok()?;
        writer.stream().finish().ok()?;
        writer.stream().stopped().await.ok()
    })
    .await;
}
