//! The other end of [`crate::peer::Transport`]: what this member answers to others.

use std::io;

use bytes::Bytes;
use futures_util::future::join_all;
use openraft::alias::SnapshotMetaOf;
use openraft::errors::RaftError;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest};
use openraft::storage::Snapshot;

use super::members;
use super::node::Node;
use super::reads::{Round, own_round};
use super::runtime::offload;
use super::signal::Sender;
use super::state_machine::{SnapshotData, meta_of};
use super::types::{Entry, Types, from_log, from_vote, log_id, position, to_vote};
use super::wire::{Answer, Ballot, Request, Route, WireError, decode, encode};
use crate::log::{self, Payload, Vote};
use crate::model::{Command, LogPosition, MemberChange, MemberId, Refusal};
use crate::peer::Pieces;

/// Entries that wait to be applied before a member takes no more of them: its leader sends them again, and heartbeats,
/// which carry none, go on.
pub const MAX_UNAPPLIED: u64 = 1 << 16;

impl Node {
    /// Answers a request of another member. The transport vouches for `from`. Requests of one lane are to be handed in
    /// in the order they came, without waiting for the answers of those before.
    ///
    /// # Errors
    /// [`WireError`] where the message is not for this member or not understood; close the connection.
    pub async fn serve(&self, from: MemberId, request: &[u8]) -> Result<Bytes, WireError> {
        let here = self.route_from(from);
        let request: Request = decode(request, here)?;
        let answer = self.answer(request).await.unwrap_or_else(|error| Answer::Failed(error.to_string()));
        encode(Route { from: here.to, to: here.from, ..here }, &answer)
    }

    /// Takes a snapshot of another member while it arrives in `body`.
    ///
    /// # Errors
    /// As [`Node::serve`].
    pub async fn serve_snapshot(
        &self,
        from: MemberId,
        request: &[u8],
        body: Pieces,
    ) -> Result<Bytes, WireError> {
        let here = self.route_from(from);
        let Request::Snapshot { vote, position, config } = decode(request, here)? else {
            return Err(WireError::Malformed("a snapshot without its header".into()));
        };
        let answer = match meta_of(Some(position), config.as_ref()) {
            Ok(meta) => self.install(vote, meta, body).await,
            Err(error) => Err(error),
        };
        let answer = answer.unwrap_or_else(|error| Answer::Failed(error.to_string()));
        encode(Route { from: here.to, to: here.from, ..here }, &answer)
    }

    fn route_from(&self, from: MemberId) -> Route {
        Route { cluster: self.0.shared.cluster(), from, to: self.0.shared.id() }
    }

    async fn answer(&self, request: Request) -> Result<Answer, io::Error> {
        match request {
            Request::Append { vote, previous, entries, committed } => {
                self.append(vote, previous, entries, committed).await
            }
            Request::Vote(ballot) => self.vote(ballot, false).await,
            Request::PreVote(ballot) => self.vote(ballot, true).await,
            Request::Transfer { from, to, last } => {
                let request = TransferLeaderRequest::new(from_vote(from), to, last.map(log_id));
                match self.raft()?.handle_transfer_leader(request).await.map_err(io::Error::other)? {
                    Ok(()) => Ok(Answer::Transferring),
                    Err(error) => Err(io::Error::other(error)),
                }
            }
            Request::Propose(commands) => Ok(self.propose_for_other(commands).await),
            Request::ReadIndex => match own_round(&self.0).await {
                Round::Index(index) => Ok(Answer::ReadIndex(index)),
                Round::LeaderChanged => Ok(Answer::NotLeader),
                Round::Again => Err(io::Error::other("no quorum")),
                Round::Stopped => Err(io::Error::other("stopped")),
            },
            Request::Desk(question) => Ok(Answer::Desk(self.0.at_desk(question).await)),
            Request::Snapshot { .. } => Err(io::Error::other("a snapshot without its body")),
        }
    }

    fn raft(&self) -> Result<&super::node::Raft, io::Error> {
        self.0.raft().ok_or_else(|| io::Error::other("not started"))
    }

    async fn append(
        &self,
        vote: Vote,
        previous: Option<LogPosition>,
        entries: Vec<(LogPosition, Payload)>,
        committed: Option<LogPosition>,
    ) -> Result<Answer, io::Error> {
        if !entries.is_empty() && self.0.shared.backlog() > MAX_UNAPPLIED {
            return Err(io::Error::other("too many entries wait to be applied"));
        }
        let entries: Result<Vec<Entry>, io::Error> = entries
            .into_iter()
            .map(|(position, payload)| from_log(log::Entry { position, payload }))
            .collect();
        let request = AppendEntriesRequest::<Types> {
            vote: from_vote(vote),
            prev_log_id: previous.map(log_id),
            entries: entries?,
            leader_commit: committed.map(log_id),
        };
        Ok(match self.raft()?.append_entries(request).await.map_err(fatal)? {
            AppendEntriesResponse::Success => Answer::Appended,
            AppendEntriesResponse::PartialSuccess(upto) => Answer::AppendedUpTo(upto.as_ref().map(position)),
            AppendEntriesResponse::Conflict => Answer::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Answer::HigherVote(to_vote(&vote)),
        })
    }

    async fn vote(&self, ballot: Ballot, pre: bool) -> Result<Answer, io::Error> {
        let mut request = VoteRequest::<Types>::new(from_vote(ballot.vote), ballot.last.map(log_id));
        request.leadership_transfer = ballot.transfer;
        let raft = self.raft()?;
        let response = if pre { raft.pre_vote(request).await } else { raft.vote(request).await };
        let response = response.map_err(fatal)?;
        Ok(Answer::Voted {
            vote: to_vote(&response.vote),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(position),
        })
    }

    async fn propose_for_other(&self, commands: Vec<Command>) -> Answer {
        let _underway = Underway::new(&self.0.for_others);
        if !self.0.shared.is_leader() || self.0.is_stopped() {
            return Answer::NotLeader;
        }
        if let [Command::Member(change)] = commands.as_slice()
            && !matches!(change, MemberChange::Publish { .. })
        {
            // Where leadership goes elsewhere on the way (this member is to be removed, say), the one who asked takes it
            // there itself: an answer through a member that is being removed could get lost with it.
            return match members::lead_change(&self.0, change, true).await {
                Err(Refusal::NotLeader) => Answer::NotLeader,
                outcome => Answer::Proposed { outcomes: vec![outcome], index: 0 },
            };
        }
        let mut index = 0;
        let mut outcomes = Vec::with_capacity(commands.len());
        for outcome in join_all(commands.into_iter().map(|command| self.0.outcome(command))).await {
            outcomes.push(outcome.map(|(reply, at)| {
                index = index.max(at);
                reply
            }));
        }
        Answer::Proposed { outcomes, index }
    }

    async fn install(
        &self,
        vote: Vote,
        meta: SnapshotMetaOf<Types>,
        body: Pieces,
    ) -> Result<Answer, io::Error> {
        let store = self.0.options.store.clone();
        // Raft hears of it once it is there: what is left then takes no time.
        let prepared = offload(move || store.prepare(body)).await?.map_err(io::Error::other)?;
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(Box::new(prepared)) };
        let response =
            self.raft()?.install_full_snapshot(from_vote(vote), snapshot).await.map_err(io::Error::other)?;
        Ok(Answer::Installed(to_vote(&response.vote)))
    }
}

/// Counts a group of commands of another member until this is dropped.
struct Underway<'a>(&'a Sender<usize>);

impl<'a> Underway<'a> {
    fn new(count: &'a Sender<usize>) -> Self {
        count.send_if_modified(|count| {
            *count += 1;
            true
        });
        Self(count)
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.send_if_modified(|count| {
            *count -= 1;
            true
        });
    }
}

fn fatal(error: RaftError<Types>) -> io::Error {
    io::Error::other(error.to_string())
}
