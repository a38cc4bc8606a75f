//! Raft's calls to other members, over a [`Transport`].

use std::future::Future;
use std::sync::Arc;
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

use super::shared::Shared;
use super::state_machine::SnapshotData;
use super::types::{Peer, RaftVote, Types, from_vote, log_id, position, to_log, to_vote};
use super::wire::{Answer, Ballot, Request, Route, decode, encode};
use crate::model::MemberId;
use crate::peer::{Lane, Transport, TransportError};

/// Appends on their way to one member at the same time.
const PIPELINE: usize = 16;

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
        Client { transport: self.transport.clone(), route, peer: peer.clone(), lane: Lane::Append }
    }

    async fn new_heartbeat_client(&mut self, target: u64, peer: &Peer) -> Client {
        Client { lane: Lane::Control, ..self.new_client(target, peer).await }
    }
}

/// Speaks to one member.
pub struct Client {
    transport: Arc<dyn Transport>,
    route: Route,
    peer: Peer,
    lane: Lane,
}

type Fault = RPCError<Types>;

fn fault(error: TransportError) -> Fault {
    match error {
        TransportError::Unreachable(_) => RPCError::Unreachable(Unreachable::new(&error)),
        TransportError::Lost(_) | TransportError::Timeout => RPCError::Network(NetworkError::new(&error)),
    }
}

fn unexpected(answer: Answer) -> Fault {
    RPCError::Network(NetworkError::from_string(format!("unexpected answer: {answer:?}")))
}

fn malformed(error: impl ToString) -> Fault {
    RPCError::Network(NetworkError::from_string(error))
}

impl Client {
    /// Sends a request; it takes its place in the lane before this returns.
    fn start(
        &self,
        lane: Lane,
        request: &Request,
        timeout: Duration,
    ) -> impl Future<Output = Result<Answer, Fault>> + use<> {
        let back = Route { cluster: self.route.cluster, from: self.route.to, to: self.route.from };
        let sent = encode(self.route, request)
            .map(|bytes| self.transport.call(self.route.to, &self.peer.urls, lane, bytes, timeout));
        async move {
            let bytes: Bytes = sent.map_err(malformed)?.await.map_err(fault)?;
            decode(&bytes, back).map_err(malformed)
        }
    }

    fn append(
        &self,
        rpc: &AppendEntriesRequest<Types>,
        timeout: Duration,
    ) -> impl Future<Output = Result<AppendEntriesResponse<Types>, Fault>> + use<> {
        let entries: Result<Vec<_>, std::io::Error> = rpc
            .entries
            .iter()
            .map(|entry| to_log(entry).map(|entry| (entry.position, entry.payload)))
            .collect();
        let started = entries.map(|entries| {
            let request = Request::Append {
                vote: to_vote(&rpc.vote),
                previous: rpc.prev_log_id.as_ref().map(position),
                entries,
                committed: rpc.leader_commit.as_ref().map(position),
            };
            self.start(self.lane, &request, timeout)
        });
        async move {
            match started.map_err(malformed)?.await? {
                Answer::Appended => Ok(AppendEntriesResponse::Success),
                Answer::AppendedUpTo(last) => Ok(AppendEntriesResponse::PartialSuccess(last.map(log_id))),
                Answer::Conflict => Ok(AppendEntriesResponse::Conflict),
                Answer::HigherVote(vote) => Ok(AppendEntriesResponse::HigherVote(from_vote(vote))),
                other => Err(unexpected(other)),
            }
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
        match self.start(Lane::Control, &request, option.soft_ttl()).await? {
            Answer::Voted { vote, granted, last } => {
                Ok(VoteResponse::new(from_vote(vote), last.map(log_id), granted))
            }
            other => Err(unexpected(other)),
        }
    }
}

impl RaftNetworkV2<Types> for Client {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, Fault> {
        self.append(&rpc, option.soft_ttl()).await
    }

    /// Requests go out one after the other without waiting for answers; every answer has a deadline of its own, as a
    /// stream that hangs would keep the log from being purged. Nothing happens before the first request is there:
    /// openraft waits out its backoff inside that stream.
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
        let answers = input
            .map(move |rpc| {
                let previous = rpc.prev_log_id;
                let last = rpc.entries.last().map(|entry| entry.log_id).or(previous);
                let answer = client.append(&rpc, timeout);
                async move {
                    let answer = answer.await?;
                    // A part that was taken ends the pipeline: what follows it cannot fit.
                    let whole =
                        !matches!(&answer, AppendEntriesResponse::PartialSuccess(upto) if *upto != last);
                    Ok((answer.into_stream_result(previous, last), whole))
                }
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
        let answer = tokio::select! {
            biased;
            answer = sent => answer,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        let bytes = answer.map_err(|error| match error {
            TransportError::Unreachable(_) => StreamingError::Unreachable(Unreachable::new(&error)),
            error => StreamingError::Network(NetworkError::new(&error)),
        })?;
        let back = Route { cluster: self.route.cluster, from: self.route.to, to: self.route.from };
        match decode(&bytes, back) {
            Ok(Answer::Installed(vote)) => Ok(SnapshotResponse::new(from_vote(vote))),
            Ok(other) => Err(broken(format!("unexpected answer: {other:?}"))),
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
        match self.start(Lane::Control, &request, option.soft_ttl()).await? {
            Answer::Transferring => Ok(Ok(())),
            other => Err(unexpected(other)),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        // Short at first: a member that restarts is back soon. Never long: it costs one small attempt.
        let delays = [10, 20, 50, 100, 200].into_iter().chain(std::iter::repeat(250));
        Some(Backoff::new(delays.map(Duration::from_millis)))
    }
}
