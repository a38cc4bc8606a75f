//! The lock service (etcd semantics section 12): a lock belongs to the oldest key below its name.

use std::sync::Arc;

use bytes::Bytes;
use tonic::{Request, Response, Status};

use super::recipes::{Recipes, below, created_at, found, key_of, oldest, put_op};
use crate::api::proto::v3lockpb as pb;
use crate::api::proto::v3lockpb::lock_server::Lock;
use crate::api::services::Services;
use crate::api::status;
use crate::model::{KeyRange, Op, RangeQuery, Refusal, Txn};

/// See the module.
pub struct LockService {
    recipes: Recipes,
}

impl LockService {
    /// The service on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { recipes: Recipes { services } }
    }
}

#[tonic::async_trait]
impl Lock for LockService {
    async fn lock(&self, request: Request<pb::LockRequest>) -> Result<Response<pb::LockResponse>, Status> {
        let request = request.into_inner();
        let recipes = &self.recipes;
        let lease = recipes.session(request.lease).await?;
        let (range, key) = (below(&request.name), key_of(&request.name, lease));
        let owner = Op::Range(oldest(range.clone()));
        let mine = RangeQuery::current(KeyRange::single(key.clone()));
        let entered = recipes
            .txn(Txn {
                compares: vec![created_at(&key, 0)],
                success: vec![put_op(&key, Bytes::new(), lease), owner.clone()],
                failure: vec![Op::Range(mine.clone()), owner],
            })
            .await?;
        let (fresh, replies) = entered.value;
        let created = match found(&replies, 0) {
            [kv, ..] if !fresh => kv.create_revision,
            _ => entered.header.revision,
        };
        let answer = |header| Ok(Response::new(pb::LockResponse { header: Some(header), key: key.clone() }));
        match found(&replies, 1) {
            [owner, ..] if owner.create_revision != created => {}
            _ => return answer(entered.header),
        }
        let guard = recipes.guard(key.clone(), created);
        recipes.wait_deleted(range, created - 1).await?;
        let kept = recipes.read(mine).await?;
        if kept.value.is_empty() {
            return Err(Status::unknown("mutex: session is expired"));
        }
        guard.keep();
        answer(kept.header)
    }

    async fn unlock(
        &self,
        request: Request<pb::UnlockRequest>,
    ) -> Result<Response<pb::UnlockResponse>, Status> {
        let key = request.into_inner().key;
        if key.is_empty() {
            return Err(status::plain(&Refusal::EmptyKey));
        }
        let header = self.recipes.delete(key).await?;
        Ok(Response::new(pb::UnlockResponse { header: Some(header) }))
    }
}
