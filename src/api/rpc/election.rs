//! The election service (etcd semantics section 12): the leader is the oldest key below the election's name.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::convert;
use super::recipes::{Recipes, below, created_at, found, key_of, oldest, put_op};
use crate::api::proto::etcdserverpb::ResponseHeader;
use crate::api::proto::v3electionpb as pb;
use crate::api::reads::Watching;
use crate::api::services::Services;
use crate::model::{Caller, Delete, Event, EventKind, KeyRange, KeyValue, Op, RangeQuery, Refusal, Txn};
use crate::watch::FeedItem;

/// The messages of an observation.
pub type Observed = Pin<Box<dyn Stream<Item = Result<pb::LeaderResponse, Refusal>> + Send>>;

/// `Campaign`: waits until the caller leads.
pub async fn campaign(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::CampaignRequest,
) -> Result<pb::CampaignResponse, Refusal> {
    let recipes = Recipes { services: services.clone(), caller };
    let lease = recipes.session(request.lease).await?;
    let key = key_of(&request.name, lease);
    let mine = RangeQuery::current(KeyRange::single(key.clone()));
    let entered = recipes
        .txn(Txn {
            compares: vec![created_at(&key, 0)],
            success: vec![put_op(&key, request.value.clone(), lease)],
            failure: vec![Op::Range(mine)],
        })
        .await?;
    let (fresh, replies) = entered.value;
    let mut leader =
        pb::LeaderKey { name: request.name.clone(), key: key.clone(), rev: entered.header.revision, lease };
    if let ([kv, ..], false) = (found(&replies, 0), fresh) {
        leader.rev = kv.create_revision;
        if kv.value != request.value
            && let Err(refusal) = announce(&recipes, &leader, request.value).await
        {
            // As in etcd, a candidate that could not proclaim leaves the election.
            let _ = step_down(&recipes, &leader).await;
            return Err(refusal);
        }
    }
    let guard = recipes.guard(key, leader.rev);
    recipes.wait_deleted(below(&request.name), leader.rev - 1).await?;
    guard.keep();
    Ok(pb::CampaignResponse { header: Some(entered.header), leader: Some(leader) })
}

/// `Proclaim`.
pub async fn proclaim(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::ProclaimRequest,
) -> Result<pb::ProclaimResponse, Refusal> {
    let recipes = Recipes { services: services.clone(), caller };
    let leader = request.leader.ok_or(Refusal::LeaderKeyMissing)?;
    let header = announce(&recipes, &leader, request.value).await?;
    Ok(pb::ProclaimResponse { header: Some(header) })
}

/// `Leader`.
pub async fn leader(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::LeaderRequest,
) -> Result<pb::LeaderResponse, Refusal> {
    let recipes = Recipes { services: services.clone(), caller };
    let read = recipes.read(oldest(below(&request.name))).await?;
    match read.value.into_iter().next() {
        Some(kv) => Ok(response(read.header, kv)),
        None => Err(Refusal::NobodyElected),
    }
}

/// `Observe`.
pub async fn observe(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::LeaderRequest,
) -> Result<Observed, Refusal> {
    let recipes = Recipes { services: services.clone(), caller };
    let (sender, receiver) = mpsc::channel(1);
    let range = below(&request.name);
    tokio::spawn(async move {
        let gone = sender.clone();
        tokio::select! {
            () = gone.closed() => {}
            Err(refusal) = follow(&recipes, &range, &sender) => {
                // Fails only if the receiver is gone.
                let _ = sender.send(Err(refusal)).await;
            }
        }
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// `Resign`.
pub async fn resign(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::ResignRequest,
) -> Result<pb::ResignResponse, Refusal> {
    let recipes = Recipes { services: services.clone(), caller };
    let leader = request.leader.ok_or(Refusal::LeaderKeyMissing)?;
    Ok(pb::ResignResponse { header: Some(step_down(&recipes, &leader).await?) })
}

/// Puts the leader's value, if it still leads.
async fn announce(
    recipes: &Recipes,
    leader: &pb::LeaderKey,
    value: Bytes,
) -> Result<ResponseHeader, Refusal> {
    let lease = recipes.session(leader.lease).await?;
    let done = recipes
        .txn(Txn {
            compares: vec![created_at(&leader.key, leader.rev)],
            success: vec![put_op(&leader.key, value, lease)],
            failure: Vec::new(),
        })
        .await?;
    if done.value.0 { Ok(done.header) } else { Err(Refusal::NotElected) }
}

/// Deletes the leader's key, if it is still there.
async fn step_down(recipes: &Recipes, leader: &pb::LeaderKey) -> Result<ResponseHeader, Refusal> {
    let delete = Delete { range: KeyRange::single(leader.key.clone()), prev_kv: false };
    let done = recipes
        .txn(Txn {
            compares: vec![created_at(&leader.key, leader.rev)],
            success: vec![Op::Delete(delete)],
            failure: Vec::new(),
        })
        .await?;
    Ok(done.header)
}

fn response(header: ResponseHeader, kv: KeyValue) -> pb::LeaderResponse {
    pb::LeaderResponse { header: Some(header), kv: Some(convert::key_value(kv)) }
}

type Leaders = mpsc::Sender<Result<pb::LeaderResponse, Refusal>>;

/// Sends the leader, then each new value and each new leader. Returns only on an error.
async fn follow(recipes: &Recipes, range: &KeyRange, leaders: &Leaders) -> Result<(), Refusal> {
    loop {
        let read = recipes.read(oldest(range.clone())).await?;
        let (header, kv) = match read.value.into_iter().next() {
            Some(kv) => (read.header, kv),
            None => {
                let mut feed = recipes.watch(range.clone(), read.header.revision)?;
                let put = first_put(&mut feed).await?;
                (recipes.services.header_at(put.mod_revision), put)
            }
        };
        let mut feed = recipes.watch(KeyRange::single(kv.key.clone()), header.revision + 1)?;
        // Fails only if the receiver is gone; this task is then about to be dropped.
        let _ = leaders.send(Ok(response(header, kv))).await;
        'leading: loop {
            for event in next_events(&mut feed).await? {
                if event.kind == EventKind::Delete {
                    break 'leading;
                }
                let header = recipes.services.header_at(event.kv.mod_revision);
                let _ = leaders.send(Ok(response(header, event.kv))).await;
            }
        }
    }
}

async fn first_put(feed: &mut Watching) -> Result<KeyValue, Refusal> {
    loop {
        let put = next_events(feed).await?.into_iter().find(|event| event.kind == EventKind::Put);
        if let Some(event) = put {
            return Ok(event.kv);
        }
    }
}

/// The next events, or the end of the stream (etcd ends it without a reason).
async fn next_events(feed: &mut Watching) -> Result<Vec<Event>, Refusal> {
    loop {
        match feed.next().await {
            FeedItem::Events { runs, .. } => {
                return Ok(runs.iter().flat_map(|run| run.events()).cloned().collect());
            }
            FeedItem::Progress(_) => {}
            FeedItem::Compacted(_) | FeedItem::Denied | FeedItem::Failed(_) => {
                return Err(Refusal::ContextCanceled);
            }
        }
    }
}
