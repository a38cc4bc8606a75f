//! The key-value service.

use std::sync::Arc;
use std::time::Instant;

use prost::Message;

use super::{conflicts, convert};
use crate::api::gate;
use crate::api::jobs::Job;
use crate::api::proto::etcdserverpb as pb;
use crate::api::reads::Freshness;
use crate::api::services::Services;
use crate::model::{Caller, Command, OpReply, Refusal, Reply};

/// `Range`.
pub async fn range(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::RangeRequest,
) -> Result<pb::RangeResponse, Refusal> {
    let freshness = Freshness::of(request.serializable);
    gate::admit_read(services, freshness)?;
    let query = convert::range(request)?;
    let started = Instant::now();
    let result = services.reads.range(&caller, query, freshness).await?;
    let figures = services.store.figures();
    figures.ranged();
    figures.answered(started.elapsed(), services.settings().slow_read, "read-only range");
    let header = services.header_at(result.revision);
    Ok(convert::range_response(result, Some(header)))
}

/// `Put`.
pub async fn put(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::PutRequest,
) -> Result<pb::PutResponse, Refusal> {
    let length = request.encoded_len();
    let checked = convert::check_put(&request);
    let command = Command::Put(convert::put(request));
    services.check_quota(&command).await?;
    checked?;
    services.check_size(length)?;
    match services.propose(caller, command).await? {
        Reply::Op(OpReply::Put { revision, prev_kv }) => Ok(pb::PutResponse {
            header: Some(services.header_at(revision)),
            prev_kv: prev_kv.map(convert::key_value),
        }),
        other => Err(convert::unexpected(&other)),
    }
}

/// `DeleteRange`.
pub async fn delete_range(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::DeleteRangeRequest,
) -> Result<pb::DeleteRangeResponse, Refusal> {
    let length = request.encoded_len();
    let delete = convert::delete(request)?;
    services.check_size(length)?;
    let (command, _room) = services.reads.room_for(Command::Delete(delete)).await?;
    match services.propose(caller, command).await? {
        Reply::Op(OpReply::Delete { revision, deleted, prev_kvs }) => Ok(pb::DeleteRangeResponse {
            header: Some(services.header_at(revision)),
            deleted,
            prev_kvs: prev_kvs.into_iter().map(convert::key_value).collect(),
        }),
        other => Err(convert::unexpected(&other)),
    }
}

/// `Txn`.
pub async fn txn(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::TxnRequest,
) -> Result<pb::TxnResponse, Refusal> {
    let length = request.encoded_len();
    let freshness = Freshness::of(convert::is_serializable(&request));
    let txn = convert::txn(request, services.settings().max_txn_ops)?;
    let reply = if txn.is_read_only() {
        let started = Instant::now();
        let reply = services.reads.txn(&caller, txn, freshness).await?;
        let limit = services.settings().slow_read;
        services.store.figures().answered(started.elapsed(), limit, "read-only txn");
        reply
    } else {
        let command = Command::Txn(txn);
        services.check_quota(&command).await?;
        if let Command::Txn(txn) = &command {
            conflicts::check(txn)?;
        }
        services.check_size(length)?;
        let (command, _room) = services.reads.room_for(command).await?;
        match services.propose(caller, command).await? {
            Reply::Op(reply) => reply,
            other => return Err(convert::unexpected(&other)),
        }
    };
    match reply {
        OpReply::Txn { revision, succeeded, replies } => Ok(pb::TxnResponse {
            header: Some(services.header_at(revision)),
            succeeded,
            responses: replies.into_iter().map(convert::nested_response).collect(),
        }),
        other => Err(convert::unexpected(&Reply::Op(other))),
    }
}

/// `Compact`.
pub async fn compact(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::CompactionRequest,
) -> Result<pb::CompactionResponse, Refusal> {
    let outcome = services.propose(caller, Command::Compact { revision: request.revision }).await;
    // As in etcd, a repeated compaction still waits for the removal that is in progress.
    if request.physical && matches!(outcome, Ok(_) | Err(Refusal::Compacted { .. })) {
        let store = services.store.clone();
        let work = move || store.wait_compacted(request.revision);
        services.jobs.run(Job::Wait, work).await?;
    }
    outcome?;
    Ok(pb::CompactionResponse { header: Some(services.header()) })
}
