//! The key-value service.

use std::sync::Arc;
use std::time::Instant;

use prost::Message;

use super::{conflicts, convert};
use crate::api::gate;
use crate::api::jobs::{Job, WORTH_A_CHECK};
use crate::api::proto::etcdserverpb as pb;
use crate::api::reads::Freshness;
use crate::api::services::Services;
use crate::model::{Caller, Command, OpReply, Refusal, Reply, Txn};

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

/// `Txn`. A large one may have tens of thousands of operations: the connection's thread serves others meanwhile.
pub async fn txn(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::TxnRequest,
) -> Result<pb::TxnResponse, Refusal> {
    let length = request.encoded_len();
    let max_ops = services.settings().max_txn_ops;
    let is_large = length >= WORTH_A_CHECK;
    let Checked { txn, freshness, conflicts } = match is_large {
        true => services.jobs.run(Job::Check, move || Checked::of(request, max_ops)).await?,
        false => Checked::of(request, max_ops)?,
    };
    let reply = if txn.is_read_only() {
        let started = Instant::now();
        let reply = services.reads.txn(&caller, txn, freshness).await?;
        let limit = services.settings().slow_read;
        services.store.figures().answered(started.elapsed(), limit, "read-only txn");
        reply
    } else {
        let command = Command::Txn(txn);
        services.check_quota(&command).await?;
        conflicts?;
        services.check_size(length)?;
        let (command, _room) = services.reads.room_for(command).await?;
        match services.propose(caller, command).await? {
            Reply::Op(reply) => reply,
            other => return Err(convert::unexpected(&other)),
        }
    };
    let OpReply::Txn { revision, succeeded, replies } = reply else {
        return Err(convert::unexpected(&Reply::Op(reply)));
    };
    let converted =
        move || -> Vec<pb::ResponseOp> { replies.into_iter().map(convert::nested_response).collect() };
    let responses = match is_large {
        true => services.jobs.run(Job::Check, move || Ok::<_, Refusal>(converted())).await?,
        false => converted(),
    };
    Ok(pb::TxnResponse { header: Some(services.header_at(revision)), succeeded, responses })
}

/// A transaction that was read.
struct Checked {
    txn: Txn,
    freshness: Freshness,
    /// Only a transaction that writes is refused for them, and the quota comes before.
    conflicts: Result<(), Refusal>,
}

impl Checked {
    fn of(request: pb::TxnRequest, max_ops: usize) -> Result<Self, Refusal> {
        let freshness = Freshness::of(convert::is_serializable(&request));
        let txn = convert::txn(request, max_ops)?;
        let conflicts = conflicts::check(&txn);
        Ok(Self { txn, freshness, conflicts })
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::ops::Range;
    use std::task::Poll;

    use super::*;
    use crate::api::proto::etcdserverpb::request_op::Request;
    use crate::api::rpc::stories::lone_leader;

    fn op(request: Request) -> pb::RequestOp {
        pb::RequestOp { request: Some(request) }
    }

    fn put(key: usize) -> pb::RequestOp {
        let key = key.to_be_bytes().to_vec().into();
        op(Request::RequestPut(pb::PutRequest { key, ..Default::default() }))
    }

    fn nested(keys: Range<usize>) -> pb::RequestOp {
        op(Request::RequestTxn(pb::TxnRequest { success: keys.map(put).collect(), ..Default::default() }))
    }

    #[tokio::test]
    async fn nobody_waits_while_a_large_transaction_is_checked() {
        let (services, _stopper, _dir) = lone_leader().await;
        for (width, is_small) in [(10, true), (60, false)] {
            let mut success: Vec<_> = (0..width).map(|one| nested(one * width..(one + 1) * width)).collect();
            success.push(put(0));
            let request = pb::TxnRequest { success, ..Default::default() };
            let mut checked = Box::pin(txn(&services, Caller::Anonymous, request));
            let at_once = poll_fn(|context| Poll::Ready(checked.as_mut().poll(context))).await;
            assert_eq!(at_once.is_ready(), is_small, "{width} times {width} puts");
            let outcome = match at_once {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => checked.await,
            };
            assert_eq!(outcome.map(drop), Err(Refusal::DuplicateKey));
        }
        services.node.shutdown().await;
    }
}
