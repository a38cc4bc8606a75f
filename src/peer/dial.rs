//! Makes a connection: tries all addresses of a member in parallel, until one admits this member.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use quinn::{Connection, ConnectionError, TransportErrorCode, VarInt};
use tokio::time::Instant;

use super::address::Target;
use super::clock::Sample;
use super::frames::{FrameError, FrameReader, FrameWriter};
use super::greeting::{Greeting, Kind, Purpose, Reply, Welcome, close, decode, encode};
use super::port::Shared;
use super::tls::{certificates, client_config};
use super::transport::Rejection;
use super::tuning::{self, ALPN, MAX_ADDRESSES, MAX_GREETING, PROTOCOL, STAGGER};
use crate::model::MemberId;
use crate::pki::Holder;

/// The reason for repeating a connection whose handshake was overtaken by new certificates or a new revocation list.
pub(super) const EXCHANGED: &str = "certificates were exchanged during the handshake";

/// A connection on which this member was admitted.
pub(super) struct Dialled {
    pub connection: Connection,
    pub address: SocketAddr,
    pub welcome: Welcome,
    /// The first comparison of clocks.
    pub sample: Sample,
    /// The greeting's stream, for further comparisons.
    pub probes: (FrameReader, FrameWriter),
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Nobody answered, or the name has no address.
    Unreachable(String),
    /// A server answered and refused, or was refused.
    Rejected(String, Rejection),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(text) => f.write_str(text),
            Self::Rejected(address, rejection) => write!(f, "{address}: {rejection}"),
        }
    }
}

/// Connects to the member at `urls`; `to` is zero for any member.
pub(super) async fn dial(
    shared: &Arc<Shared>,
    urls: &[String],
    purpose: Purpose,
    to: MemberId,
) -> Result<Dialled, Failure> {
    let mut failures = Vec::new();
    let mut addresses = VecDeque::new();
    let names = &shared.names;
    let lookups = urls.iter().take(MAX_ADDRESSES).map(|url| async move {
        let target = Target::parse(url)?;
        let found = names.find(&target.host, target.port).await?;
        Ok::<_, String>(
            found.into_iter().map(move |address| (target.host.clone(), address)).collect::<Vec<_>>(),
        )
    });
    for found in join_all(lookups).await {
        match found {
            Ok(found) => {
                addresses.extend(found.into_iter().filter(|new| !addresses.contains(new)).collect::<Vec<_>>())
            }
            Err(text) => failures.push(Failure::Unreachable(text)),
        }
    }
    addresses.truncate(MAX_ADDRESSES);
    race(shared, addresses, purpose, to, &mut failures).await.ok_or_else(|| most_telling(failures))
}

async fn race(
    shared: &Arc<Shared>,
    mut addresses: VecDeque<(String, SocketAddr)>,
    purpose: Purpose,
    to: MemberId,
    failures: &mut Vec<Failure>,
) -> Option<Dialled> {
    let mut running = FuturesUnordered::new();
    loop {
        if let Some((host, address)) = addresses.pop_front() {
            running.push(attempt(shared, host, address, purpose, to));
        } else if running.is_empty() {
            return None;
        }
        let stagger = tokio::time::sleep(STAGGER);
        tokio::select! {
            Some(result) = running.next() => match result {
                Ok(dialled) => return Some(dialled),
                Err(failure) => failures.push(failure),
            },
            () = stagger, if !addresses.is_empty() => {}
        }
    }
}

/// A refusal is more informative than no answer.
fn most_telling(failures: Vec<Failure>) -> Failure {
    let refused = failures.iter().find(|failure| matches!(failure, Failure::Rejected(..))).cloned();
    refused.unwrap_or_else(|| {
        let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
        Failure::Unreachable(if texts.is_empty() { "no peer URL".into() } else { texts.join("; ") })
    })
}

async fn attempt(
    shared: &Arc<Shared>,
    host: String,
    address: SocketAddr,
    purpose: Purpose,
    to: MemberId,
) -> Result<Dialled, Failure> {
    let limit = tuning::attempt(shared.options.election);
    match tokio::time::timeout(limit, connect(shared, &host, address, purpose, to)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Unreachable(format!("{address}: no answer within {limit:?}"))),
    }
}

async fn connect(
    shared: &Arc<Shared>,
    host: &str,
    address: SocketAddr,
    purpose: Purpose,
    to: MemberId,
) -> Result<Dialled, Failure> {
    let unreachable = |text: &dyn std::fmt::Display| Failure::Unreachable(format!("{address}: {text}"));
    let exit = shared.exits.to(address).ok_or_else(|| unreachable(&"this machine has no such addresses"))?;
    let reloads = shared.options.credentials.reloads();
    let config =
        client_config(&shared.options.credentials, &shared.dialling).map_err(|text| unreachable(&text))?;
    let name = shared.options.credentials.server_name(host);
    let connecting = exit.connect_with(config, address, name).map_err(|error| unreachable(&error))?;
    let connection = connecting.await.map_err(|error| why(address, &error))?;
    let mut result = greet(shared, &connection, address, purpose, to).await;
    if result.is_ok() && shared.options.credentials.reloads() != reloads {
        result = Err(Failure::Rejected(address.to_string(), Rejection::NotReady(EXCHANGED.into())));
    }
    if let Err(Failure::Rejected(_, rejection)) = &result
        && rejection.is_final()
    {
        // Only the member itself can report that in its name.
        let says = Holder { member: to, cluster: shared.identity().cluster };
        if let Err(error) = shared.options.credentials.check_holder(&certificates(&connection), says) {
            result = Err(Failure::Rejected(address.to_string(), Rejection::Certificate(error.to_string())));
        }
    }
    if let Err(Failure::Rejected(_, rejection)) = &result {
        // If the other side has closed it already, this has no effect.
        close(&connection, rejection);
    }
    result
}

async fn greet(
    shared: &Arc<Shared>,
    connection: &Connection,
    address: SocketAddr,
    purpose: Purpose,
    to: MemberId,
) -> Result<Dialled, Failure> {
    let rejected = |rejection| Failure::Rejected(address.to_string(), rejection);
    let own = shared.identity();
    let (send, recv) = connection.open_bi().await.map_err(|error| why(address, &error))?;
    let (mut reader, mut writer) = (FrameReader::new(recv, MAX_GREETING), FrameWriter::new(send));
    // The stream can only be closed together with the connection, which the next read reports.
    let _ = writer.stream().set_priority(Kind::Greeting.priority());
    let greeting = greeting(shared, purpose, to);
    let asked = Instant::now();
    writer.push_byte(Kind::Greeting as u8);
    let sent = writer.send(encode(&greeting)).await;
    let frame = match reader.required().await {
        Ok(frame) => frame,
        Err(FrameError::Read(_)) if sent.is_err() || connection.close_reason().is_some() => {
            let reason = connection.close_reason().unwrap_or(ConnectionError::LocallyClosed);
            return Err(why(address, &reason));
        }
        Err(error) => return Err(rejected(Rejection::Malformed(error.to_string()))),
    };
    let round_trip = asked.elapsed();
    let welcome = match decode::<Reply>(&frame).map_err(rejected)? {
        Reply::Welcome(welcome) => welcome,
        Reply::Refused(rejection) => return Err(rejected(rejection)),
    };
    let says = Holder { member: welcome.member, cluster: welcome.cluster };
    let chain = certificates(connection);
    let checked = shared.options.credentials.check_holder(&chain, says);
    checked.map_err(|error| rejected(Rejection::Certificate(error.to_string())))?;
    if to.0 != 0 && welcome.cluster != own.cluster {
        return Err(rejected(Rejection::OtherCluster { here: welcome.cluster, there: own.cluster }));
    }
    if to.0 != 0 && welcome.member != to {
        return Err(rejected(Rejection::OtherMember { here: welcome.member, there: to }));
    }
    let sample = Sample::new(shared.options.clock.now_ms(), welcome.clock_ms, round_trip);
    Ok(Dialled { connection: connection.clone(), address, welcome, sample, probes: (reader, writer) })
}

fn greeting(shared: &Shared, purpose: Purpose, to: MemberId) -> Greeting {
    let own = shared.identity();
    let serving = shared.serving.load();
    let service = serving.as_ref().map(|serving| &serving.service).filter(|_| purpose == Purpose::Member);
    Greeting {
        protocol: PROTOCOL,
        purpose,
        cluster: own.cluster,
        epoch: service.map(|service| service.epoch()).unwrap_or_default(),
        from: own.member,
        to,
        incarnation: shared.options.incarnation,
        progress: service.map(|service| service.progress()).unwrap_or_default(),
        acknowledged: service.and_then(|service| service.acknowledged(to)),
        clock_ms: shared.options.clock.now_ms(),
        version: shared.options.version.clone(),
    }
}

/// TLS alerts, which quinn converts to error codes.
const UNKNOWN_CA: u8 = 48;
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// The reason for the end of a connection.
pub(super) fn why(address: SocketAddr, error: &ConnectionError) -> Failure {
    let rejected = |rejection| Failure::Rejected(address.to_string(), rejection);
    let crypto = |code: TransportErrorCode, who: &str, reason: &str| {
        let alert = u64::from(code).checked_sub(0x100).and_then(|alert| u8::try_from(alert).ok())?;
        let reason = reason.trim_start_matches("invalid peer certificate: ");
        let own = reason.strip_prefix("Other(OtherError(").and_then(|text| text.strip_suffix("))"));
        let reason = own.unwrap_or(reason);
        Some(match (alert, reason) {
            (NO_APPLICATION_PROTOCOL, _) => {
                Rejection::Protocol(format!("this member speaks {}", String::from_utf8_lossy(ALPN)))
            }
            // The same alert means that the revocation list is too old.
            (UNKNOWN_CA, "UnknownIssuer") => Rejection::Stranger,
            _ => Rejection::Certificate(format!("{who}: {reason}")),
        })
    };
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let code = VarInt::into_inner(close.error_code);
            rejected(Rejection::from_close(code, &String::from_utf8_lossy(&close.reason)))
        }
        ConnectionError::ConnectionClosed(close) => {
            let reason = String::from_utf8_lossy(&close.reason);
            match crypto(close.error_code, "the peer does not accept that of this member", &reason) {
                Some(rejection) => rejected(rejection),
                None => Failure::Unreachable(format!("{address}: {error}")),
            }
        }
        ConnectionError::TransportError(failed) => {
            match crypto(failed.code, "that of the peer", &failed.reason) {
                Some(rejection) => rejected(rejection),
                None => Failure::Unreachable(format!("{address}: {error}")),
            }
        }
        ConnectionError::VersionMismatch => rejected(Rejection::Protocol("another version of QUIC".into())),
        ConnectionError::Reset => Failure::Unreachable(format!("{address}: the peer was restarted")),
        error => Failure::Unreachable(format!("{address}: {error}")),
    }
}
