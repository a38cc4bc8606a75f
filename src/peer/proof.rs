//! Decides which process of a member is the member. Two processes with one identity, each with a copy of the member's
//! data, could vote twice in one term. So an unknown process is admitted only when it is clear that there is no other
//! one: the process that answers at the member's own peer URLs is the member; if none does, the one that is connected
//! already.

use std::sync::Arc;
use std::time::Duration;

use quinn::Connection;
use tokio::time::{Instant, sleep, timeout_at};

use super::dial::{Dialled, dial};
use super::greeting::{Purpose, close};
use super::port::Shared;
use super::registry::{Entry, Peer, is_elsewhere};
use super::transport::Rejection;
use super::tuning::proof;
use crate::model::MemberId;

/// Interval at which incoming packets are checked.
const LOOK: Duration = Duration::from_millis(10);

/// Admits a process of a member that passed all other checks. A restarted member answers at its own URLs, so it waits
/// one round trip, whatever the state of its earlier connections.
///
/// # Errors
/// [`Rejection::Copy`].
pub(super) async fn enter(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    urls: &[String],
    connection: &Connection,
    incarnation: u64,
) -> Result<Entry, Rejection> {
    let _turn = peer.proving.lock().await;
    if !peer.is_at_home(incarnation) {
        prove(shared, peer, urls, incarnation).await?;
    }
    Ok(peer.enters(connection, incarnation))
}

async fn prove(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    urls: &[String],
    incarnation: u64,
) -> Result<(), Rejection> {
    let deadline = Instant::now() + proof(shared.options.election);
    let others = peer.others(incarnation);
    let before: Vec<u64> = others.iter().map(received).collect();
    let asked = dial(shared, urls, Purpose::Ask, peer.member);
    if let Ok(Ok(Dialled { connection, address, welcome, .. })) = timeout_at(deadline, asked).await {
        close(&connection, &Rejection::Closed("it was only asked who is there".into()));
        peer.found_at_home(welcome.incarnation, address);
        if welcome.incarnation == incarnation {
            return Ok(());
        }
        return Err(Rejection::Copy(is_elsewhere(peer.member, address)));
    }
    let mut others: Vec<(Connection, u64)> = others.into_iter().zip(before).collect();
    loop {
        others.retain(|(other, _)| other.close_reason().is_none());
        if let Some((other, _)) = others.iter().find(|(other, before)| received(other) > *before) {
            return Err(Rejection::Copy(format!(
                "another process of member {} is connected from {}, and none answers at the member's peer URLs: \
                 whoever comes second runs on a copy of its data",
                peer.member,
                other.remote_address().ip()
            )));
        }
        if others.is_empty() || Instant::now() >= deadline {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// The number of packets received. From a live process some arrive within a third of the idle timeout.
fn received(connection: &Connection) -> u64 {
    connection.stats().udp_rx.datagrams
}

/// The address at which another process of this very member answers, if one does at `urls`.
pub(super) async fn other_self(shared: &Arc<Shared>, urls: &[String]) -> Option<std::net::SocketAddr> {
    let own = shared.identity();
    let deadline = Instant::now() + proof(shared.options.election);
    for url in urls {
        let asked = dial(shared, std::slice::from_ref(url), Purpose::Ask, own.member);
        let Ok(Ok(Dialled { connection, address, welcome, .. })) = timeout_at(deadline, asked).await else {
            continue;
        };
        close(&connection, &Rejection::Closed("it was only asked who is there".into()));
        if own.member != MemberId(0) && welcome.incarnation != shared.options.incarnation {
            return Some(address);
        }
    }
    None
}
