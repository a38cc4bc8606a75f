//! Raft's calls to other members, over a [`Transport`].

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, future};
use openraft::OptionalSend;
use openraft::alias::SnapshotOf;
use openraft::base::BoxFuture;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::checks;
use super::shared::Shared;
use super::state_machine::SnapshotData;
use super::types::{Entry, Peer, RaftVote, Types, from_vote, log_id, position, to_log, to_vote};
use super::wire::{Answer, Ballot, Request, Route, decode, encode};
use crate::model::{LogPosition, MemberId};
use crate::peer::{Channel, MAX_MESSAGE, Transport, TransportError};

/// Most appends in flight to one member.
const PIPELINE: usize = 16;

/// Bytes of appends in flight to one member, if it is more than one: they are encoded, and wait in memory. A disk that
/// flushes 80 MB a second has enough to do for a tenth of a second.
const AHEAD: usize = 8 << 20;

/// Encoding more bytes than this takes so long that other tasks, which send heartbeats, get their turn after it.
const WORTH_A_TURN: usize = 256 << 10;

/// Bytes a second that a member receives and flushes at least: what takes longer is sent again, and it should not be
/// the same entries that its disk is still at.
const SLOWEST: usize = 2 << 20;

/// Delay before a snapshot is offered again to a member without room.
const NO_ROOM: Duration = Duration::from_secs(5);

/// Makes clients.
pub struct Network {
    transport: Arc<dyn Transport>,
    shared: Arc<Shared>,
}

impl Network {
    /// A network over `transport`.
    pub fn new(transport: Arc<dyn Transport>, shared: Arc<Shared>) -> Self {
        Self { transport, shared }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, peer: &Peer) -> Client {
        let to = MemberId(target);
        let route = Route { cluster: self.shared.cluster(), from: self.shared.id(), to };
        let (transport, shared) = (self.transport.clone(), self.shared.clone());
        let ahead = Arc::default();
        Client { transport, shared, route, peer: peer.clone(), channel: Channel::Append, ahead }
    }

    async fn new_heartbeat_client(&mut self, target: u64, peer: &Peer) -> Client {
        Client { channel: Channel::Control, ..self.new_client(target, peer).await }
    }
}

/// The client for one member.
pub struct Client {
    transport: Arc<dyn Transport>,
    shared: Arc<Shared>,
    route: Route,
    peer: Peer,
    channel: Channel,
    ahead: Arc<Ahead>,
}

/// The appends to one member that are not answered yet.
#[derive(Default)]
struct Ahead {
    bytes: AtomicUsize,
    fewer: Notify,
}

impl Ahead {
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn begin(self: &Arc<Self>, bytes: usize) -> Unanswered {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Unanswered(self.clone(), bytes)
    }

    /// Returns when another one may be sent. One task at a time may wait for that.
    async fn room(&self) {
        while self.bytes() >= AHEAD {
            self.fewer.notified().await;
        }
    }
}

/// An append that is not answered yet; it counts its bytes until this is dropped.
struct Unanswered(Arc<Ahead>, usize);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.bytes.fetch_sub(self.1, Ordering::Relaxed);
        self.0.fewer.notify_one();
    }
}

type Fault = RPCError<Types>;

fn fault(error: TransportError) -> Fault {
    match error {
        TransportError::Unreachable(_) => RPCError::Unreachable(Unreachable::new(&error)),
        TransportError::Lost(_) | TransportError::Timeout => RPCError::Network(NetworkError::new(&error)),
    }
}

fn unexpected(answer: &Answer) -> Fault {
    malformed(format!("unexpected answer: {}", answer.name()))
}

fn malformed(error: impl ToString) -> Fault {
    RPCError::Network(NetworkError::from_string(error))
}

impl Client {
    /// Sends a message; it is queued in its channel before this returns.
    fn send(
        &self,
        channel: Channel,
        message: Bytes,
        timeout: Duration,
    ) -> impl Future<Output = Result<Answer, Fault>> + use<> {
        let back = Route { cluster: self.route.cluster, from: self.route.to, to: self.route.from };
        let sent = self.transport.call(self.route.to, &self.peer.urls, channel, message, timeout);
        async move {
            let bytes: Bytes = sent.await.map_err(fault)?;
            decode(&bytes, back).map_err(malformed)
        }
    }

    fn start(
        &self,
        channel: Channel,
        request: &Request,
        timeout: Duration,
    ) -> impl Future<Output = Result<Answer, Fault>> + use<> {
        let sent = encode(self.route, request).map(|bytes| self.send(channel, bytes, timeout));
        async move { sent.map_err(malformed)?.await }
    }

    /// A message with as many entries as fit, and their number.
    fn pack(&self, rpc: &AppendEntriesRequest<Types>) -> Result<(Bytes, usize), String> {
        let mut count = rpc.entries.len();
        loop {
            let entries: Result<Vec<_>, std::io::Error> =
                rpc.entries.iter().take(count).map(to_log).collect();
            let entries = entries.map_err(|error| error.to_string())?;
            let request = Request::Append {
                vote: to_vote(&rpc.vote),
                previous: rpc.prev_log_id.as_ref().map(position),
                entries: entries.into_iter().map(|entry| (entry.position, entry.payload)).collect(),
                committed: rpc.leader_commit.as_ref().map(position),
            };
            let message = encode(self.route, &request).map_err(|error| error.to_string())?;
            if message.len() <= MAX_MESSAGE {
                return Ok((message, count));
            }
            if count <= 1 {
                let index = rpc.entries.first().map(|entry| entry.log_id.index);
                return Err(format!(
                    "entry {index:?} makes a message of {} bytes, at most {MAX_MESSAGE} can be sent",
                    message.len()
                ));
            }
            count /= 2;
        }
    }

    /// Sends entries; returns the bytes of the message and its answer.
    fn append(
        &self,
        rpc: &AppendEntriesRequest<Types>,
        timeout: Duration,
    ) -> (usize, impl Future<Output = Result<AppendEntriesResponse<Types>, Fault>> + use<>) {
        let end = |entries: &[Entry]| entries.last().map(|entry| entry.log_id).or(rpc.prev_log_id);
        let (vote, previous, all) = (to_vote(&rpc.vote), rpc.prev_log_id, end(&rpc.entries));
        let started = self.pack(rpc).map(|(message, count)| {
            let sent = end(rpc.entries.get(..count).unwrap_or_default());
            let unanswered = self.ahead.begin(message.len());
            // What is ahead is received and flushed before it.
            let ahead = self.ahead.bytes();
            let timeout = timeout + Duration::from_secs(1).mul_f64(ahead as f64 / SLOWEST as f64);
            (sent, self.send(self.channel, message, timeout), unanswered)
        });
        let bytes = started.as_ref().map_or(0, |(.., unanswered)| unanswered.1);
        let (shared, own, to) = (self.shared.clone(), self.route.from, self.route.to);
        let empty = rpc.entries.is_empty();
        let begun = Instant::now();
        let answered = async move {
            let lasting = |reason: String| {
                shared.replicas.failed(to, reason.clone(), empty);
                malformed(reason)
            };
            let (sent, answer, _unanswered) = started.map_err(lasting)?;
            if !empty {
                shared.figures.sent_appends.fetch_add(1, Ordering::Relaxed);
            }
            match answer.await.inspect_err(|_| shared.replicas.lost(to))? {
                Answer::Appended => {
                    let took = Some(begun.elapsed());
                    shared.replicas.acknowledged(to, vote, sent.as_ref().map(position), empty, took);
                    Ok(if sent == all {
                        AppendEntriesResponse::Success
                    } else {
                        AppendEntriesResponse::PartialSuccess(sent)
                    })
                }
                Answer::Conflict => {
                    let acknowledged = shared.replicas.acknowledged_to(to, vote);
                    contradict(previous.as_ref().map(position), acknowledged).map_err(lasting)?;
                    Ok(AppendEntriesResponse::Conflict)
                }
                Answer::HigherVote(higher) => {
                    let higher = checks::higher_vote(own, vote, higher).map_err(malformed)?;
                    Ok(AppendEntriesResponse::HigherVote(from_vote(higher)))
                }
                failed @ Answer::Failed(_) => Err(lasting(format!("it answers: {}", failed.name()))),
                other => Err(unexpected(&other)),
            }
        };
        (bytes, answered)
    }

    /// An append was not sent, or not answered in time. Appends on the control channel are heartbeats.
    fn missed(&self) {
        if matches!(self.channel, Channel::Control) {
            self.shared.figures.failed_heartbeats.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn ballot(
        &self,
        pre: bool,
        rpc: VoteRequest<Types>,
        option: &RPCOption,
    ) -> Result<VoteResponse<Types>, Fault> {
        let ballot = Ballot {
            vote: to_vote(&rpc.vote),
            last: rpc.last_log_id.as_ref().map(position),
            transfer: rpc.leadership_transfer,
        };
        let request = if pre { Request::PreVote(ballot) } else { Request::Vote(ballot) };
        match self.start(Channel::Control, &request, option.soft_ttl()).await? {
            Answer::Voted { vote, granted, last } => {
                checks::voted(self.route.from, ballot.vote, vote, last).map_err(malformed)?;
                Ok(VoteResponse::new(from_vote(vote), last.map(log_id), granted))
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// Whether a member can really lack the position before the entries that were sent.
fn contradict(previous: Option<LogPosition>, acknowledged: Option<LogPosition>) -> Result<(), String> {
    match (previous, acknowledged) {
        (None, _) => Err("it misses an entry before the first one".into()),
        (Some(previous), Some(last)) if previous.index <= last.index => Err(format!(
            "it has lost entries that it acknowledged, up to {}: its data are damaged or of an older date; remove the \
             member and add it anew",
            last.index
        )),
        _ => Ok(()),
    }
}

impl RaftNetworkV2<Types> for Client {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, Fault> {
        self.append(&rpc, option.soft_ttl()).1.await
    }

    /// Requests are sent one after another without waiting for answers, as long as not too much is unanswered. Every
    /// answer has its own deadline, because a stream that hangs would block the purging of the log. Nothing happens before
    /// the first request: openraft waits for its backoff inside that stream.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<Types>, Fault>>, Fault>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let timeout = option.soft_ttl();
        let client: &'s Self = self;
        let sent = input.then(move |rpc| async move {
            client.ahead.room().await;
            let (bytes, answer) = client.append(&rpc, timeout);
            if bytes > WORTH_A_TURN {
                yield_now().await;
            }
            let previous = rpc.prev_log_id;
            (previous, rpc.entries.last().map(|entry| entry.log_id).or(previous), answer)
        });
        let answers = sent
            .map(move |(previous, last, answer)| async move {
                let answer = answer.await.inspect_err(|_| client.missed())?;
                // If only a part was accepted, the pipeline ends: later entries cannot follow it.
                let whole = !matches!(&answer, AppendEntriesResponse::PartialSuccess(upto) if *upto != last);
                Ok((answer.into_stream_result(previous, last), whole))
            })
            .buffered(PIPELINE);
        let stream = answers.scan(true, |goes_on, answer| {
            if !*goes_on {
                return future::ready(None);
            }
            *goes_on = matches!(&answer, Ok((Ok(_), true)));
            future::ready(Some(answer.map(|(result, _)| result)))
        });
        Box::pin(async move { Ok(stream.boxed()) })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Fault> {
        self.ballot(false, rpc, &option).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Fault> {
        self.ballot(true, rpc, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: RaftVote,
        snapshot: SnapshotOf<Types, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let broken = |what: String| StreamingError::Network(NetworkError::from_string(what));
        let SnapshotData::Own(reader) = snapshot.snapshot else {
            return Err(broken("a received snapshot is not sent on".into()));
        };
        let Some(last) = snapshot.meta.last_log_id else {
            return Err(broken("the snapshot is empty".into()));
        };
        let stored = &snapshot.meta.last_membership;
        let config = match stored.log_id() {
            Some(at) => {
                let bytes = super::types::encode_config(stored.membership());
                Some((position(at), bytes.map_err(|error| broken(error.to_string()))?))
            }
            None => None,
        };
        let request = Request::Snapshot { vote: to_vote(&vote), position: position(&last), config };
        let bytes = encode(self.route, &request).map_err(|error| broken(error.to_string()))?;
        let sent =
            self.transport.send_snapshot(self.route.to, &self.peer.urls, bytes, reader, option.soft_ttl());
        let mut cancel = std::pin::pin!(cancel);
        let answer = tokio::select! {
            biased;
            answer = sent => answer,
            closed = &mut cancel => return Err(StreamingError::Closed(closed)),
        };
        let bytes = answer.map_err(|error| match error {
            TransportError::Unreachable(_) => StreamingError::Unreachable(Unreachable::new(&error)),
            error => StreamingError::Network(NetworkError::new(&error)),
        })?;
        let back = Route { cluster: self.route.cluster, from: self.route.to, to: self.route.from };
        match decode(&bytes, back) {
            Ok(Answer::Installed(stands)) => {
                let sent = to_vote(&vote);
                let stands = checks::installed(self.route.from, sent, stands).map_err(broken)?;
                if stands == sent {
                    self.shared.replicas.acknowledged(
                        self.route.to,
                        sent,
                        Some(position(&last)),
                        false,
                        None,
                    );
                }
                Ok(SnapshotResponse::new(from_vote(stands)))
            }
            Ok(lacking @ Answer::NoRoom(_)) => {
                let reason = format!("it has no room for a snapshot: {}", lacking.name());
                self.shared.replicas.failed(self.route.to, reason.clone(), false);
                tokio::select! {
                    biased;
                    closed = cancel => return Err(StreamingError::Closed(closed)),
                    () = tokio::time::sleep(NO_ROOM) => {}
                }
                Err(broken(reason))
            }
            Ok(failed @ Answer::Failed(_)) => {
                let reason = format!("it does not take a snapshot: {}", failed.name());
                self.shared.replicas.failed(self.route.to, reason.clone(), false);
                Err(broken(reason))
            }
            Ok(other) => Err(broken(format!("unexpected answer: {}", other.name()))),
            Err(error) => Err(broken(error.to_string())),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, Fault> {
        let request = Request::Transfer {
            from: to_vote(req.from_leader()),
            to: *req.to_node_id(),
            last: req.last_log_id().map(position),
        };
        match self.start(Channel::Control, &request, option.soft_ttl()).await? {
            Answer::Transferring => Ok(Ok(())),
            other => Err(unexpected(&other)),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        // Short at first, because a restarting member is back soon. Never long, because an attempt is cheap.
        let delays = [10, 20, 50, 100, 200].into_iter().chain(std::iter::repeat(250));
        Some(Backoff::new(delays.map(Duration::from_millis)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures_util::FutureExt;
    use parking_lot::Mutex;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::log::{self, Vote};
    use crate::model::{Caller, ClusterId, Command, Proposal, Put, Stamp};
    use crate::peer::{Pending, Pieces};
    use crate::raft::types::{Group, Payload};

    const MEGABYTE: usize = 1 << 20;

    /// A way to a member that answers when it is let.
    #[derive(Clone)]
    struct Way {
        answers: Arc<Semaphore>,
        /// How often another task had its turn.
        turns: Arc<AtomicUsize>,
        /// That number, for each message.
        sent: Arc<Mutex<Vec<usize>>>,
    }

    impl Transport for Way {
        fn call(
            &self,
            to: MemberId,
            _urls: &[String],
            _channel: Channel,
            _request: Bytes,
            _timeout: Duration,
        ) -> Pending<Result<Bytes, TransportError>> {
            self.sent.lock().push(self.turns.load(Ordering::Relaxed));
            let answers = self.answers.clone();
            let route = Route { cluster: ClusterId(1), from: to, to: MemberId(1) };
            Box::pin(async move {
                answers.acquire().await.expect("never closed").forget();
                Ok(encode(route, &Answer::Appended).expect("it can be encoded"))
            })
        }

        fn send_snapshot(
            &self,
            _to: MemberId,
            _urls: &[String],
            _request: Bytes,
            _body: Pieces,
            _timeout: Duration,
        ) -> Pending<Result<Bytes, TransportError>> {
            Box::pin(future::ready(Err(TransportError::Timeout)))
        }
    }

    fn at(index: u64) -> LogPosition {
        LogPosition { term: 1, leader: 1, index }
    }

    /// An append of one entry of a megabyte.
    fn append(index: u64) -> AppendEntriesRequest<Types> {
        let command = Command::Put(Put { value: vec![b'v'; MEGABYTE].into(), ..Put::default() });
        let proposal = Proposal { stamp: Stamp::default(), caller: Caller::Anonymous, command };
        let payload = Payload::Group(Group(Arc::new(log::Group::from(vec![proposal]))));
        AppendEntriesRequest {
            vote: from_vote(Vote { term: 1, voted_for: 1, committed: true }),
            prev_log_id: Some(log_id(at(index - 1))),
            entries: vec![Entry { log_id: log_id(at(index)), payload }],
            leader_commit: None,
        }
    }

    #[tokio::test]
    async fn large_entries_in_flight_have_a_bound_and_others_get_turns_between_them() {
        const ALL: usize = 30;
        let way = Way { answers: Arc::new(Semaphore::new(0)), turns: Arc::default(), sent: Arc::default() };
        let shared = Arc::new(Shared::new(MemberId(1), ClusterId(1), Duration::from_secs(1)));
        let mut client = Network::new(Arc::new(way.clone()), shared).new_client(2, &Peer::default()).await;
        let turns = way.turns.clone();
        let other = tokio::spawn(async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        let appends = futures_util::stream::iter((1..=ALL as u64).map(append));
        let option = RPCOption::new(Duration::from_secs(1));
        let mut answers = client.stream_append(appends, option).await.expect("a stream");
        for _ in 0..100 {
            assert!(answers.next().now_or_never().is_none(), "nothing is answered yet");
            yield_now().await;
        }
        assert_eq!(way.sent.lock().len(), AHEAD / MEGABYTE);
        way.answers.add_permits(ALL);
        let mut answered = 0;
        while answered < ALL {
            if let Some(answer) = answers.next().now_or_never() {
                answer.expect("not the end").expect("no fault").expect("accepted");
                answered += 1;
            }
            yield_now().await;
        }
        let sent = way.sent.lock();
        assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), ALL, "{sent:?}");
        other.abort();
    }
}
