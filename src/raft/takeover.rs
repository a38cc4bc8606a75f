//! A member takes the leader's state in the place of its own, which is wrong. Its log and its votes are right and stay:
//! it follows, votes and acknowledges entries all the while, and no promise of it is forgotten.
//!
//! 1. It stops applying ([`super::gate::Gate::hold`]), at an entry A, and asks the leader for its state.
//! 2. The leader makes a checkpoint of its state at an entry S, not before A, and sends it as a snapshot is sent.
//! 3. It is loaded beside the state in use. Once the log here has S committed, the store adopts it; a crash leaves the
//!    one or the other.
//! 4. Applying goes on. Raft passes all entries after A: those up to S are in the state already ([`super::gate::Gate::is_inside`]).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::ask::ask;
use super::gate::Stage;
use super::inner::Inner;
use super::runtime::offload;
use super::types::decode_config;
use super::wire::{Answer, Request, Route, decode, encode};
use crate::model::{LogPosition, MemberId};
use crate::peer::{Channel, Pieces};
use crate::store::{SnapshotHeader, StoreError};

/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);
/// Pause before the next attempt.
const RETRY: Duration = Duration::from_secs(1);
/// How long this member's log may take to have what the leader's state contains.
const BEHIND: Duration = Duration::from_secs(30);
/// How long the receiver of a whole state may take to answer.
const ANSWERS: Duration = Duration::from_secs(600);
/// How long a leader may take to notice that a process to which it sends its state is gone.
const UNNOTICED: Duration = Duration::from_secs(60);
/// Attempts, after which the caller decides.
const ATTEMPTS: u32 = 5;

/// Takes the leader's state in the place of this member's own. Nothing is applied in the meantime.
///
/// # Errors
/// Why the last attempt has failed; the state is the one before, and entries are applied to it again.
pub async fn take_over(inner: &Arc<Inner>) -> Result<(), String> {
    let gate = &inner.shared.gate;
    if gate.is_held() {
        return Err("it is being replaced already".into());
    }
    gate.hold().await;
    let _released = Released(inner);
    let (begun, mut attempts) = (Instant::now(), 0);
    loop {
        if inner.is_stopped() {
            return Err("this member stops".into());
        }
        let why = match try_once(inner).await {
            Ok(()) => return Ok(()),
            // It may still be sending to an earlier process of this member, until it notices that nobody reads.
            Err(Missed::Refused(why)) if begun.elapsed() < UNNOTICED => why,
            Err(Missed::Refused(why) | Missed::Failed(why)) => {
                attempts += 1;
                why
            }
        };
        if attempts == ATTEMPTS {
            return Err(why);
        }
        tracing::info!(why, "the leader's state was not taken over; trying again");
        tokio::time::sleep(RETRY).await;
    }
}

/// Why an attempt brought no state.
enum Missed {
    /// The leader does not send it now.
    Refused(String),
    /// Anything else.
    Failed(String),
}

impl From<String> for Missed {
    fn from(why: String) -> Self {
        Missed::Failed(why)
    }
}

/// Lets entries be applied again when this is dropped.
struct Released<'i>(&'i Inner);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        self.0.shared.gate.set(Stage::Idle);
        self.0.shared.gate.release();
    }
}

async fn try_once(inner: &Arc<Inner>) -> Result<(), Missed> {
    let leader = inner.shared.leader().ok_or_else(|| "there is no leader".to_string())?;
    if leader == inner.shared.id() {
        return Err("this member leads: only a follower can take over a leader's state".to_string().into());
    }
    let gate = &inner.shared.gate;
    gate.set(Stage::Asked(leader));
    let beyond = inner.options.store.applied().map_or(0, |applied| applied.index);
    match ask(inner, leader, Channel::Service, &Request::WantState { beyond }).await {
        Ok(Answer::StateFollows) => Ok(gate.ended().await?),
        Ok(Answer::Failed(why)) => Err(Missed::Refused(format!("member {leader} answers: {why}"))),
        Ok(other) => Err(format!("member {leader} answers: {}", other.name()).into()),
        Err(error) => Err(error.to_string().into()),
    }
}

/// Sends this leader's state to a member that has asked for it, as soon as it contains the entry at `beyond`.
pub fn send_state(inner: &Arc<Inner>, to: MemberId, beyond: u64) -> Answer {
    if !inner.shared.is_leader() || inner.options.store.is_condemned() {
        return Answer::NotLeader;
    }
    // Each costs a checkpoint, a reader of the store and a stream.
    let Some(sending) = Sending::begin(inner, to) else {
        return Answer::Failed("this member's state is on its way to it already".into());
    };
    let sender = inner.clone();
    inner.spawn(async move {
        let _sending = sending;
        match send(&sender, to, beyond).await {
            Ok(index) => {
                tracing::info!(member = %to, index, "sent the state to a member whose own was wrong")
            }
            Err(error) => {
                tracing::warn!(member = %to, %error, "a member's wrong state could not be replaced")
            }
        }
    });
    Answer::StateFollows
}

/// One state is sent to a member at a time: this one, until it is dropped.
struct Sending {
    inner: Arc<Inner>,
    to: MemberId,
}

impl Sending {
    fn begin(inner: &Arc<Inner>, to: MemberId) -> Option<Self> {
        let is_first = inner.states_sent.lock().insert(to);
        is_first.then(|| Self { inner: inner.clone(), to })
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.inner.states_sent.lock().remove(&self.to);
    }
}

async fn send(inner: &Inner, to: MemberId, beyond: u64) -> io::Result<u64> {
    let failed = |error: String| io::Error::other(error);
    let applied =
        tokio::time::timeout(inner.options.request_timeout(), inner.shared.wait_applied(beyond)).await;
    applied.map_err(|_| failed(format!("entry {beyond} is not applied here")))?;
    let store = inner.options.store.clone();
    let reader = offload(move || {
        match store.checkpoint() {
            // On a full disk the previous checkpoint is the newest one.
            Ok(()) | Err(StoreError::Full { .. }) => store.snapshot(),
            Err(error) => Err(error),
        }
    });
    let reader = reader.await?.map_err(io::Error::other)?;
    let header = reader.header();
    let Some(position) = header.position else { return Err(failed("there is no checkpoint".into())) };
    let config = header.raft_membership.clone();
    let Some(peer) = inner.peer(to) else { return Err(failed("it is no member".into())) };
    let route = Route { cluster: inner.shared.cluster(), from: inner.shared.id(), to };
    let request = Request::State { position, config };
    let bytes = encode(route, &request).map_err(|error| failed(error.to_string()))?;
    let sent = inner.options.transport.send_snapshot(to, &peer.urls, bytes, Box::new(reader), ANSWERS).await;
    let bytes = sent.map_err(|error| failed(error.to_string()))?;
    let back = Route { from: to, to: inner.shared.id(), ..route };
    match decode(&bytes, back).map_err(|error| failed(error.to_string()))? {
        Answer::StateTaken => Ok(position.index),
        other => Err(failed(other.name())),
    }
}

/// Receives a leader's state, if this member has asked for it, and puts it in the place of its own.
pub async fn receive(
    inner: &Arc<Inner>,
    from: MemberId,
    position: LogPosition,
    config: Option<(LogPosition, Bytes)>,
    body: Pieces,
) -> Answer {
    let gate = &inner.shared.gate;
    if let Err(why) = gate.begin(from) {
        return Answer::Failed(why);
    }
    match replace(inner, position, config, body).await {
        Ok(()) => {
            gate.set(Stage::Done);
            Answer::StateTaken
        }
        Err(error) => {
            gate.set(Stage::Failed(error.to_string()));
            Answer::Failed(error.to_string())
        }
    }
}

async fn replace(
    inner: &Arc<Inner>,
    position: LogPosition,
    config: Option<(LogPosition, Bytes)>,
    body: Pieces,
) -> io::Result<()> {
    let same =
        move |header: &SnapshotHeader| header.position == Some(position) && header.raft_membership == config;
    let loading = inner.clone();
    let prepared = offload(move || loading.room.prepare(&loading.options.store, body, same)).await?;
    let prepared = prepared.map_err(io::Error::other)?.map_err(io::Error::other)?;
    committed(inner, position).await?;
    let store = inner.options.store.clone();
    let applied = store.applied();
    if applied.is_some_and(|applied| applied.index > position.index) {
        return Err(io::Error::other(format!("it ends at {position:?}, and {applied:?} is applied here")));
    }
    let gate = &inner.shared.gate;
    if !gate.is_held() {
        return Err(io::Error::other("it comes too late"));
    }
    let header = offload(move || store.adopt(prepared)).await?.map_err(io::Error::other)?;
    gate.contains(position.index);
    if let Some((_, bytes)) = &header.raft_membership {
        inner.shared.set_config(&decode_config(bytes)?);
    }
    inner.shared.set_applied(position, true);
    tracing::info!(index = position.index, term = position.term, "took over the leader's state");
    Ok(())
}

/// Waits until the log here has the position, and knows that it is committed. It is what makes a crash harmless: the
/// log that a later start finds holds the last entry of the state.
async fn committed(inner: &Inner, position: LogPosition) -> io::Result<()> {
    let begun = Instant::now();
    while inner.options.log.committed().is_none_or(|committed| committed.index < position.index) {
        if begun.elapsed() >= BEHIND || inner.is_stopped() {
            return Err(io::Error::other(format!("{position:?} is not committed here")));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
