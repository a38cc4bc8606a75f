//! A network inside one process with links that can be cut: for tests and simulations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Node;
use crate::model::MemberId;
use crate::peer::{Channel, MAX_MESSAGE, Pending, Pieces, Transport, TransportError};

/// The network. Clones share it.
#[derive(Clone, Default)]
pub struct Loopback(Arc<Mutex<Links>>);

#[derive(Default)]
struct Links {
    nodes: BTreeMap<MemberId, Node>,
    /// Directions that are cut: from, to.
    cut: BTreeSet<(MemberId, MemberId)>,
    /// Delay of requests and answers; snapshots are not delayed.
    delay: Duration,
    /// Bytes of entries that arrive in a second; `None` for no limit.
    pace: Option<u32>,
    /// Until when entries are on their way.
    busy: BTreeMap<(MemberId, MemberId), Instant>,
    snapshots: u64,
    /// The longest request.
    limit: Limit,
}

impl Links {
    /// When entries that are sent now arrive.
    fn arrival(&mut self, way: (MemberId, MemberId), bytes: usize) -> Option<Instant> {
        let pace = self.pace?;
        let busy = self.busy.entry(way).or_insert_with(Instant::now);
        *busy = Instant::now().max(*busy) + Duration::from_secs_f64(bytes as f64 / f64::from(pace));
        Some(*busy)
    }
}

struct Limit(usize);

impl Default for Limit {
    fn default() -> Self {
        Self(MAX_MESSAGE)
    }
}

impl Loopback {
    /// The transport of one member.
    pub fn from(&self, member: MemberId) -> Arc<dyn Transport> {
        Arc::new(Exit { network: self.clone(), from: member })
    }

    /// Makes a member reachable.
    pub fn attach(&self, member: MemberId, node: Node) {
        self.0.lock().nodes.insert(member, node);
    }

    /// Removes a member.
    pub fn detach(&self, member: MemberId) {
        self.0.lock().nodes.remove(&member);
    }

    /// Cuts a member off, or reconnects it.
    pub fn isolate(&self, member: MemberId, isolated: bool) {
        self.cut(isolated, |from, to| from == member || to == member);
    }

    /// Cuts the outgoing directions of a member, which still receives messages, or restores them.
    pub fn mute(&self, member: MemberId, muted: bool) {
        self.cut(muted, |from, _| from == member);
    }

    fn cut(&self, cut: bool, is_meant: impl Fn(MemberId, MemberId) -> bool) {
        let mut links = self.0.lock();
        let members: Vec<MemberId> = links.nodes.keys().copied().collect();
        let ways = members.iter().flat_map(|from| members.iter().map(move |to| (*from, *to)));
        for way in ways.filter(|(from, to)| from != to && is_meant(*from, *to)) {
            if cut {
                links.cut.insert(way);
            } else {
                links.cut.remove(&way);
            }
        }
    }

    /// Delays each request and each answer by this time.
    pub fn slow_down(&self, delay: Duration) {
        self.0.lock().delay = delay;
    }

    /// From now on so many bytes of entries arrive in a second, one message after the other.
    pub fn narrow(&self, bytes_per_second: u32) {
        self.0.lock().pace = Some(bytes_per_second);
    }

    /// Refuses longer requests than this.
    pub fn limit(&self, bytes: usize) {
        self.0.lock().limit = Limit(bytes);
    }

    /// How many snapshots have been delivered.
    pub fn snapshots(&self) -> u64 {
        self.0.lock().snapshots
    }

    fn node(&self, from: MemberId, to: MemberId) -> Result<Node, TransportError> {
        let links = self.0.lock();
        match links.nodes.get(&to) {
            Some(node) if !links.cut.contains(&(from, to)) => Ok(node.clone()),
            _ => Err(TransportError::Unreachable(format!("no way from {from} to {to}"))),
        }
    }

    fn is_cut(&self, from: MemberId, to: MemberId) -> bool {
        self.0.lock().cut.contains(&(from, to))
    }
}

struct Exit {
    network: Loopback,
    from: MemberId,
}

impl Transport for Exit {
    fn call(
        &self,
        to: MemberId,
        _urls: &[String],
        channel: Channel,
        request: Bytes,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>> {
        let (network, from) = (self.network.clone(), self.from);
        let arrival = match channel {
            Channel::Append => network.0.lock().arrival((from, to), request.len()),
            _ => None,
        };
        Box::pin(async move {
            if request.len() > network.0.lock().limit.0 {
                return Err(TransportError::Unreachable(format!("a request of {} bytes", request.len())));
            }
            let node = network.node(from, to)?;
            let delay = network.0.lock().delay;
            let answer = tokio::time::timeout(timeout, async {
                if let Some(arrival) = arrival {
                    tokio::time::sleep_until(arrival).await;
                }
                tokio::time::sleep(delay).await;
                let answer = node.serve(from, &request).await;
                tokio::time::sleep(delay).await;
                answer
            });
            let answer = answer.await.map_err(|_| TransportError::Timeout)?;
            if network.is_cut(to, from) {
                return Err(TransportError::Lost("the way back is cut".into()));
            }
            answer.map_err(|error| TransportError::Lost(error.to_string()))
        })
    }

    fn send_snapshot(
        &self,
        to: MemberId,
        _urls: &[String],
        request: Bytes,
        body: Pieces,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>> {
        let (network, from) = (self.network.clone(), self.from);
        Box::pin(async move {
            let node = network.node(from, to)?;
            let answer = tokio::time::timeout(timeout, node.serve_snapshot(from, &request, body));
            let answer = answer.await.map_err(|_| TransportError::Timeout)?;
            network.0.lock().snapshots += 1;
            answer.map_err(|error| TransportError::Lost(error.to_string()))
        })
    }

    fn connected_for(&self, to: MemberId) -> Option<Duration> {
        self.network.node(self.from, to).ok().map(|_| Duration::from_secs(60))
    }
}
