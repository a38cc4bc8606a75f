//! The lock service (etcd semantics section 12): a lock belongs to the oldest key below its name.

use std::sync::Arc;

use bytes::Bytes;

use super::recipes::{Recipes, below, created_at, found, key_of, oldest, put_op};
use crate::api::proto::v3lockpb as pb;
use crate::api::services::Services;
use crate::api::status;
use crate::model::{Caller, KeyRange, Op, RangeQuery, Refusal, Txn};

/// `Lock`: waits until the lock is the caller's.
pub async fn lock(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::LockRequest,
) -> Result<pb::LockResponse, Refusal> {
    let recipes = Recipes { services: services.clone(), caller };
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
    let answer = |header| Ok(pb::LockResponse { header: Some(header), key: key.clone() });
    match found(&replies, 1) {
        [owner, ..] if owner.create_revision != created => {}
        _ => return answer(entered.header),
    }
    let guard = recipes.guard(key.clone(), created);
    recipes.wait_deleted(range, created - 1).await?;
    let kept = recipes.read(mine).await?;
    if kept.value.is_empty() {
        return Err(Refusal::SessionExpired);
    }
    guard.keep();
    answer(kept.header)
}

/// `Unlock`.
pub async fn unlock(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::UnlockRequest,
) -> Result<pb::UnlockResponse, Refusal> {
    if request.key.is_empty() {
        return Err(status::plain(Refusal::EmptyKey));
    }
    let recipes = Recipes { services: services.clone(), caller };
    Ok(pb::UnlockResponse { header: Some(recipes.delete(request.key).await?) })
}
