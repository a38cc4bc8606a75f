//! Incoming connections: handshake, greeting, and the decision.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Endpoint, Incoming, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::dial::{EXCHANGED, Failure, why};
use super::frames::{FrameReader, FrameWriter};
use super::greeting::{Greeting, Kind, Purpose, Reply, Welcome, close, encode};
use super::port::{Place, Serving, Shared};
use super::proof;
use super::serve::{self, Admitted};
use super::tls::{certificates, server_config};
use super::transport::{Caller, Rejection};
use super::tuning::{
    HANDSHAKE, MAX_ASKERS, MAX_CALLERS, MAX_GREETING, MAX_HANDSHAKES, STREAMS_ASKER, STREAMS_MEMBER, WINDOW,
};
use crate::model::MemberId;
use crate::pki::Holder;

/// A refused caller: by its member id if that is known, otherwise by its address.
struct Refused {
    who: String,
    rejection: Rejection,
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
    let config = server_config(&shared.options.credentials, &shared.listening)
        .map_err(|text| stranger(Rejection::NotReady(text)))?;
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

async fn hear(connection: &Connection) -> Result<(Greeting, (FrameReader, FrameWriter)), Rejection> {
    let malformed = |error: &dyn std::fmt::Display| Rejection::Malformed(error.to_string());
    let (send, mut recv) = connection.accept_bi().await.map_err(|error| malformed(&error))?;
    if Kind::of(&mut recv).await? != Kind::Greeting {
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
    if is_member && serving.service.was_once(greeting.cluster) {
        return Err(Rejection::Recovered { here: serving.cluster });
    }
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
    let (here, there) = (serving.service.epoch(), greeting.epoch);
    if here != there {
        return Err(Rejection::OtherEpoch { here, there });
    }
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
