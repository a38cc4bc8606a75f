//! The election service (etcd semantics section 12): the leader is the oldest key below the election's name.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::convert;
use super::recipes::{Recipes, below, created_at, found, key_of, oldest, put_op};
use crate::api::proto::etcdserverpb::ResponseHeader;
use crate::api::proto::v3electionpb as pb;
use crate::api::proto::v3electionpb::election_server::Election;
use crate::api::services::Services;
use crate::model::{Delete, Event, EventKind, KeyRange, KeyValue, Op, RangeQuery, Txn};
use crate::watch::{Feed, FeedItem};

/// See the module.
pub struct ElectionService {
    recipes: Recipes,
}

impl ElectionService {
    /// The service on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { recipes: Recipes { services } }
    }

    async fn proclaim(&self, leader: &pb::LeaderKey, value: Bytes) -> Result<ResponseHeader, Status> {
        let lease = self.recipes.session(leader.lease).await?;
        let done = self
            .recipes
            .txn(Txn {
                compares: vec![created_at(&leader.key, leader.rev)],
                success: vec![put_op(&leader.key, value, lease)],
                failure: Vec::new(),
            })
            .await?;
        if done.value.0 { Ok(done.header) } else { Err(Status::unknown("election: not leader")) }
    }

    async fn resign(&self, leader: &pb::LeaderKey) -> Result<ResponseHeader, Status> {
        let delete = Delete { range: KeyRange::single(leader.key.clone()), prev_kv: false };
        let done = self
            .recipes
            .txn(Txn {
                compares: vec![created_at(&leader.key, leader.rev)],
                success: vec![Op::Delete(delete)],
                failure: Vec::new(),
            })
            .await?;
        Ok(done.header)
    }
}

fn leader_of(leader: Option<pb::LeaderKey>) -> Result<pb::LeaderKey, Status> {
    leader.ok_or_else(|| Status::unknown("\"leader\" field must be provided"))
}

#[tonic::async_trait]
impl Election for ElectionService {
    type ObserveStream = Pin<Box<dyn Stream<Item = Result<pb::LeaderResponse, Status>> + Send>>;

    async fn campaign(
        &self,
        request: Request<pb::CampaignRequest>,
    ) -> Result<Response<pb::CampaignResponse>, Status> {
        let request = request.into_inner();
        let lease = self.recipes.session(request.lease).await?;
        let key = key_of(&request.name, lease);
        let mine = RangeQuery::current(KeyRange::single(key.clone()));
        let entered = self
            .recipes
            .txn(Txn {
                compares: vec![created_at(&key, 0)],
                success: vec![put_op(&key, request.value.clone(), lease)],
                failure: vec![Op::Range(mine)],
            })
            .await?;
        let (fresh, replies) = entered.value;
        let mut leader = pb::LeaderKey {
            name: request.name.clone(),
            key: key.clone(),
            rev: entered.header.revision,
            lease,
        };
        if let ([kv, ..], false) = (found(&replies, 0), fresh) {
            leader.rev = kv.create_revision;
            if kv.value != request.value
                && let Err(status) = self.proclaim(&leader, request.value).await
            {
                // As in etcd, who could not proclaim does not stay in the race.
                let _ = self.resign(&leader).await;
                return Err(status);
            }
        }
        let guard = self.recipes.guard(key, leader.rev);
        self.recipes.wait_deleted(below(&request.name), leader.rev - 1).await?;
        guard.keep();
        Ok(Response::new(pb::CampaignResponse { header: Some(entered.header), leader: Some(leader) }))
    }

    async fn proclaim(
        &self,
        request: Request<pb::ProclaimRequest>,
    ) -> Result<Response<pb::ProclaimResponse>, Status> {
        let request = request.into_inner();
        let header = self.proclaim(&leader_of(request.leader)?, request.value).await?;
        Ok(Response::new(pb::ProclaimResponse { header: Some(header) }))
    }

    async fn leader(
        &self,
        request: Request<pb::LeaderRequest>,
    ) -> Result<Response<pb::LeaderResponse>, Status> {
        let read = self.recipes.read(oldest(below(&request.into_inner().name))).await?;
        match read.value.into_iter().next() {
            Some(kv) => Ok(Response::new(response(read.header, kv))),
            None => Err(Status::unknown("election: no leader")),
        }
    }

    async fn observe(
        &self,
        request: Request<pb::LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        let range = below(&request.into_inner().name);
        let recipes = self.recipes.clone();
        tokio::spawn(async move {
            let gone = sender.clone();
            tokio::select! {
                () = gone.closed() => {}
                Err(status) = observe(&recipes, &range, &sender) => {
                    // Fails only where nobody listens any more.
                    let _ = sender.send(Err(status)).await;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn resign(
        &self,
        request: Request<pb::ResignRequest>,
    ) -> Result<Response<pb::ResignResponse>, Status> {
        let header = self.resign(&leader_of(request.into_inner().leader)?).await?;
        Ok(Response::new(pb::ResignResponse { header: Some(header) }))
    }
}

fn response(header: ResponseHeader, kv: KeyValue) -> pb::LeaderResponse {
    pb::LeaderResponse { header: Some(header), kv: Some(convert::key_value(kv)) }
}

type Leaders = mpsc::Sender<Result<pb::LeaderResponse, Status>>;

/// Sends the leader, then each new value and each new leader. Returns only on an error.
async fn observe(recipes: &Recipes, range: &KeyRange, leaders: &Leaders) -> Result<(), Status> {
    loop {
        let read = recipes.read(oldest(range.clone())).await?;
        let (header, kv) = match read.value.into_iter().next() {
            Some(kv) => (read.header, kv),
            None => {
                let feed = recipes.watch(range.clone(), read.header.revision);
                let put = first_put(&feed).await?;
                (recipes.services.header_at(put.mod_revision), put)
            }
        };
        let feed = recipes.watch(KeyRange::single(kv.key.clone()), header.revision + 1);
        // Fails only where nobody listens any more; then this is about to be dropped.
        let _ = leaders.send(Ok(response(header, kv))).await;
        'leading: loop {
            for event in next_events(&feed).await? {
                if event.kind == EventKind::Delete {
                    break 'leading;
                }
                let header = recipes.services.header_at(event.kv.mod_revision);
                let _ = leaders.send(Ok(response(header, event.kv))).await;
            }
        }
    }
}

async fn first_put(feed: &Feed) -> Result<KeyValue, Status> {
    loop {
        let put = next_events(feed).await?.into_iter().find(|event| event.kind == EventKind::Put);
        if let Some(event) = put {
            return Ok(event.kv);
        }
    }
}

/// The next events, or the end of the stream (etcd ends it without a word of why).
async fn next_events(feed: &Feed) -> Result<Vec<Event>, Status> {
    loop {
        match feed.next().await {
            FeedItem::Events { runs, .. } => {
                return Ok(runs.iter().flat_map(|run| run.events()).cloned().collect());
            }
            FeedItem::Progress(_) => {}
            FeedItem::Compacted(_) | FeedItem::Failed(_) => {
                return Err(Status::cancelled("context canceled"));
            }
        }
    }
}
