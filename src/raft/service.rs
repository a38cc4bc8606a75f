//! The answering side of [`crate::peer::Transport`]: this member's answers to others.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use openraft::errors::RaftError;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest};
use openraft::storage::Snapshot;

use super::checks::{self, Append};
use super::commands;
use super::inner::Inner;
use super::members;
use super::node::Node;
use super::reads::{Round, own_round};
use super::runtime::offload;
use super::settings::MAX_UNAPPLIED;
use super::signal::Sender;
use super::state_machine::{SnapshotData, meta_of};
use super::takeover;
use super::types::{Entry, Types, from_log, from_vote, log_id, position, to_vote};
use super::wire::{Answer, Ballot, Request, Route, WireError, decode, encode};
use crate::log::{self, Payload, Vote};
use crate::model::{Caller, Command, LogPosition, MemberChange, MemberId, Planted, Refusal, is_planted};
use crate::peer::Pieces;
use crate::store::SnapshotHeader;

/// How long an answer that waits for the log's disk sleeps before it looks again.
const WRITTEN: Duration = Duration::from_millis(10);

impl Node {
    /// Answers a request of another member. The transport has verified `from`. Requests of one channel must be passed
    /// in their order of arrival, without waiting for the answers of earlier ones.
    ///
    /// # Errors
    /// [`WireError`] if the message is not for this member or cannot be decoded; close the connection.
    pub async fn serve(&self, from: MemberId, request: &[u8]) -> Result<Bytes, WireError> {
        let here = self.route_from(from);
        let request: Request = decode(request, here)?;
        let answer = answered(self.answer(from, request).await)?;
        encode(Route { from: here.to, to: here.from, ..here }, &answer)
    }

    /// Receives a snapshot of another member while it arrives in `body`.
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
        let answer = match decode(request, here)? {
            Request::Snapshot { vote, position, config } => {
                answered(self.install(from, vote, position, config, body).await)?
            }
            Request::State { position, config } => {
                takeover::receive(&self.0, from, position, config, body).await
            }
            _ => return Err(WireError::Malformed("a snapshot without its header".into())),
        };
        encode(Route { from: here.to, to: here.from, ..here }, &answer)
    }

    fn route_from(&self, from: MemberId) -> Route {
        Route { cluster: self.0.shared.cluster(), from, to: self.0.shared.id() }
    }

    async fn answer(&self, from: MemberId, request: Request) -> Result<Answer, Fault> {
        match request {
            Request::Append { vote, previous, entries, committed } => {
                self.append(from, vote, previous, entries, committed).await
            }
            Request::Vote(ballot) => self.vote(from, ballot, false).await,
            Request::PreVote(ballot) => self.vote(from, ballot, true).await,
            Request::Transfer { from: leader, to, last } => {
                checks::transfer(from, leader, last, &self.0.options.log).map_err(Fault::Untrue)?;
                if to == self.0.shared.id().0 && self.0.options.store.is_condemned() {
                    return Err(io::Error::other("its state is wrong: it does not lead").into());
                }
                let from = leader;
                let request = TransferLeaderRequest::new(from_vote(from), to, last.map(log_id));
                match self.raft()?.handle_transfer_leader(request).await.map_err(io::Error::other)? {
                    Ok(()) => Ok(Answer::Transferring),
                    Err(error) => Err(io::Error::other(error).into()),
                }
            }
            Request::Propose(asked) => Ok(self.propose_for_other(asked).await),
            Request::ReadIndex => match own_round(&self.0).await {
                Round::Index(index) => Ok(Answer::ReadIndex(index)),
                Round::LeaderChanged => Ok(Answer::NotLeader),
                Round::Again => Err(io::Error::other("no quorum").into()),
                Round::Stopped => Err(io::Error::other("stopped").into()),
            },
            Request::Service { topic, question } => {
                Ok(Answer::Service(self.0.topics.answer(topic, question).await))
            }
            Request::WantState { beyond } => Ok(takeover::send_state(&self.0, from, beyond)),
            Request::Snapshot { .. } | Request::State { .. } => {
                Err(Fault::Untrue("a snapshot without its body".into()))
            }
        }
    }

    fn raft(&self) -> Result<&super::inner::Raft, io::Error> {
        self.0.raft().ok_or_else(|| io::Error::other("not started"))
    }

    async fn append(
        &self,
        from: MemberId,
        vote: Vote,
        previous: Option<LogPosition>,
        entries: Vec<(LogPosition, Payload)>,
        committed: Option<LogPosition>,
    ) -> Result<Answer, Fault> {
        let raft = self.raft()?;
        if !entries.is_empty() && self.0.shared.backlog() > MAX_UNAPPLIED {
            return Err(io::Error::other("too many entries wait to be applied").into());
        }
        let places: Vec<LogPosition> = entries.iter().map(|(position, _)| *position).collect();
        let said = Append { from, vote, previous, entries: &places, committed };
        let committed = said.check(&self.0.options.log).map_err(Fault::Untrue)?;
        let entries: Result<Vec<Entry>, io::Error> = entries
            .into_iter()
            .map(|(position, payload)| from_log(log::Entry { position, payload }))
            .collect();
        let entries = entries.map_err(|error| Fault::Untrue(error.to_string()))?;
        if let Some(committed) = committed {
            self.0.settle(committed)?;
        }
        // Its arrival confirms the leader, however long the request takes here; but only after the whole message was
        // found valid.
        self.0.shared.hear(vote.term, MemberId(vote.voted_for));
        if !entries.is_empty() {
            self.0.shared.figures.received_appends.fetch_add(1, Ordering::Relaxed);
        }
        let request = AppendEntriesRequest::<Types> {
            vote: from_vote(vote),
            prev_log_id: previous.map(log_id),
            entries,
            leader_commit: committed.map(log_id),
        };
        Ok(match raft.append_entries(request).await.map_err(fatal)? {
            AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_) => {
                self.written(places.last().copied().or(previous)).await?;
                Answer::Appended
            }
            AppendEntriesResponse::Conflict => Answer::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Answer::HigherVote(to_vote(&vote)),
        })
    }

    /// Waits until the log has everything up to this position on disk. Raft takes the flush of a vote for the flush of
    /// all entries before it, but on a full disk votes are written before entries that wait for room.
    async fn written(&self, upto: Option<LogPosition>) -> Result<(), Fault> {
        let Some(upto) = upto else { return Ok(()) };
        while !self.0.options.log.is_written(upto) && !is_planted(Planted::UnflushedEntries) {
            if self.0.is_stopped() || !self.0.options.log.holds(upto) {
                return Err(io::Error::other("its entries were not written").into());
            }
            if let Some(error) = self.0.options.log.failure() {
                return Err(io::Error::from(error).into());
            }
            tokio::time::sleep(WRITTEN).await;
        }
        Ok(())
    }

    async fn vote(&self, from: MemberId, ballot: Ballot, pre: bool) -> Result<Answer, Fault> {
        checks::ballot(from, ballot.vote, ballot.last, &self.0.options.log).map_err(Fault::Untrue)?;
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

    async fn propose_for_other(&self, asked: Vec<(Caller, Command)>) -> Answer {
        let _underway = Underway::new(&self.0.for_others);
        // Replies come from the state; one that is wrong gives none.
        if !self.0.shared.is_leader() || self.0.is_stopped() || self.0.options.store.is_condemned() {
            return Answer::NotLeader;
        }
        if let [(caller, Command::Member(change))] = asked.as_slice()
            && !matches!(change, MemberChange::Publish { .. })
        {
            // If leadership moves to another member in the meantime (for example because this one is being removed),
            // the asking member sends the request there itself: an answer through a member that is being removed could
            // get lost.
            return match members::lead_change(&self.0, caller, change, true).await {
                Err(Refusal::NotLeader) => Answer::NotLeader,
                Ok((reply, index)) => Answer::Proposed { outcomes: vec![Ok(reply)], index },
                Err(refusal) => Answer::Proposed { outcomes: vec![Err(refusal)], index: 0 },
            };
        }
        let mut index = 0;
        let mut outcomes = Vec::with_capacity(asked.len());
        let proposed = asked.into_iter().map(|(caller, command)| commands::outcome(&self.0, caller, command));
        for outcome in join_all(proposed).await {
            outcomes.push(outcome.map(|(reply, at)| {
                index = index.max(at);
                reply
            }));
        }
        Answer::Proposed { outcomes, index }
    }

    /// Receives a snapshot. Its body is not read before the leader's vote is accepted, and not at all if it holds no
    /// more than this member has.
    async fn install(
        &self,
        from: MemberId,
        vote: Vote,
        last: LogPosition,
        config: Option<(LogPosition, Bytes)>,
        body: Pieces,
    ) -> Result<Answer, Fault> {
        let (raft, store, log) = (self.raft()?, &self.0.options.store, &self.0.options.log);
        let at = config.as_ref().map(|(at, _)| *at);
        checks::snapshot(from, vote, last, at, log).map_err(Fault::Untrue)?;
        let meta = meta_of(Some(last), config.as_ref()).map_err(|error| Fault::Untrue(error.to_string()))?;
        let held = store.raft_membership();
        if matches!((&held, &config), (Some((held, is)), Some((at, says))) if held == at && is != says) {
            return Err(Fault::Untrue(format!("another configuration at {at:?}")));
        }
        let nothing = AppendEntriesRequest::<Types> {
            vote: from_vote(vote),
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        };
        if let AppendEntriesResponse::HigherVote(higher) =
            raft.append_entries(nothing).await.map_err(fatal)?
        {
            return Ok(Answer::Installed(to_vote(&higher)));
        }
        if self.0.has(last)? {
            self.written(Some(last)).await?;
            return Ok(Answer::Installed(vote));
        }
        let same = move |header: &SnapshotHeader| {
            let place = |at: LogPosition| (at.term, at.index);
            let configured = |config: &Option<(LogPosition, Bytes)>| {
                config.as_ref().map(|(at, config)| (place(*at), config.clone()))
            };
            header.position.map(place) == Some(place(last))
                && configured(&header.raft_membership) == configured(&config)
        };
        // Raft is informed after it is loaded: the rest is quick.
        let inner = self.0.clone();
        let prepared = offload(move || inner.room.prepare(&inner.options.store, body, same)).await?;
        let prepared = match prepared.map_err(io::Error::other)? {
            Ok(prepared) => prepared,
            Err(lacking) => return Ok(Answer::NoRoom(lacking)),
        };
        if self.0.has(last)? {
            self.written(Some(last)).await?;
            return Ok(Answer::Installed(vote));
        }
        self.0.settle(last)?;
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(Box::new(prepared)) };
        let response =
            raft.install_full_snapshot(from_vote(vote), snapshot).await.map_err(io::Error::other)?;
        Ok(Answer::Installed(to_vote(&response.vote)))
    }
}

impl Inner {
    /// The highest position that is committed here, in the log or in the store.
    fn committed_here(&self) -> Option<LogPosition> {
        let known = [self.options.log.committed(), self.options.store.applied()];
        known.into_iter().flatten().max_by_key(|at| at.index)
    }

    /// The highest position that is committed here, or that a leader reports as committed.
    fn settled(&self) -> Option<LogPosition> {
        [*self.said.lock(), self.committed_here()].into_iter().flatten().max_by_key(|at| at.index)
    }

    /// True if a snapshot up to `last` holds no more than is committed here. What a leader only reports as committed does
    /// not count: its entries have not arrived if raft refused the message.
    fn has(&self, last: LogPosition) -> Result<bool, Fault> {
        self.is_beyond(last)?;
        Ok(self.committed_here().is_some_and(|own| own.index >= last.index))
    }

    /// Whether `last` is beyond what is known to be committed; an error if both cannot be committed.
    fn is_beyond(&self, last: LogPosition) -> Result<bool, Fault> {
        match self.settled() {
            Some(own) if last.index > own.index && last.term >= own.term => Ok(true),
            Some(own) if last.index <= own.index && last.term <= own.term => Ok(false),
            Some(own) => Err(Fault::Untrue(format!("{last:?} is committed, as is {own:?} here"))),
            None => Ok(true),
        }
    }

    /// Records how far entries are committed according to a leader. Of any two such positions, from any leaders and in
    /// any order, the one with the higher index must not have a lower term.
    fn settle(&self, committed: LogPosition) -> Result<(), Fault> {
        if self.is_beyond(committed)? {
            *self.said.lock() = Some(committed);
        }
        Ok(())
    }
}

/// Why a request gets no regular answer.
enum Fault {
    /// It cannot be true, and is refused.
    Untrue(checks::Untrue),
    /// It could not be done.
    Failed(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Failed(error)
    }
}

fn answered(result: Result<Answer, Fault>) -> Result<Answer, WireError> {
    match result {
        Ok(answer) => Ok(answer),
        Err(Fault::Untrue(what)) => Err(WireError::Untrue(what)),
        Err(Fault::Failed(error)) => Ok(Answer::Failed(error.to_string())),
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
