//! The key-value service.

use std::sync::Arc;
use std::time::Instant;

use prost::Message;
use tonic::{Request, Response, Status};

use super::range_stream::{self, Chunks};
use super::{conflicts, convert, unexpected};
use crate::api::gate::Gate;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::kv_server::Kv;
use crate::api::services::Services;
use crate::model::{Command, Op, OpReply, RangeQuery, RangeResult, Refusal, Reply, SortTarget, Txn};
use crate::store::Store;

/// See the module.
pub struct KvService {
    services: Arc<Services>,
}

impl KvService {
    /// The service on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    async fn range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, Refusal> {
        let serializable = request.serializable;
        Gate::admit_read(&self.services, serializable)?;
        let query = convert::range(request)?;
        let started = Instant::now();
        if !serializable {
            self.services.read_index().await?;
        }
        let result = read(&self.services.store, query).await?;
        let figures = self.services.store.figures();
        figures.ranged();
        figures.answered(started.elapsed(), self.services.settings().slow_read, "read-only range");
        let header = self.services.header_at(result.revision);
        Ok(convert::range_response(result, Some(header)))
    }

    async fn put(&self, request: pb::PutRequest) -> Result<pb::PutResponse, Refusal> {
        let length = request.encoded_len();
        let checked = convert::check_put(&request);
        let command = Command::Put(convert::put(request));
        self.services.check_quota(&command).await?;
        checked?;
        self.services.check_size(length)?;
        match self.services.node.propose(command).await? {
            Reply::Op(OpReply::Put { revision, prev_kv }) => Ok(pb::PutResponse {
                header: Some(self.services.header_at(revision)),
                prev_kv: prev_kv.map(convert::key_value),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn delete_range(
        &self,
        request: pb::DeleteRangeRequest,
    ) -> Result<pb::DeleteRangeResponse, Refusal> {
        let length = request.encoded_len();
        let delete = convert::delete(request)?;
        self.services.check_size(length)?;
        match self.services.node.propose(Command::Delete(delete)).await? {
            Reply::Op(OpReply::Delete { revision, deleted, prev_kvs }) => Ok(pb::DeleteRangeResponse {
                header: Some(self.services.header_at(revision)),
                deleted,
                prev_kvs: prev_kvs.into_iter().map(convert::key_value).collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn txn(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, Refusal> {
        let length = request.encoded_len();
        let serializable = convert::is_serializable(&request);
        let txn = convert::txn(request, self.services.settings().max_txn_ops)?;
        let reply = if txn.is_read_only() {
            let started = Instant::now();
            if !serializable {
                self.services.read_index().await?;
            }
            let reply = read_txn(&self.services.store, txn).await?;
            let limit = self.services.settings().slow_read;
            self.services.store.figures().answered(started.elapsed(), limit, "read-only txn");
            reply
        } else {
            let command = Command::Txn(txn);
            self.services.check_quota(&command).await?;
            if let Command::Txn(txn) = &command {
                conflicts::check(txn)?;
            }
            self.services.check_size(length)?;
            match self.services.node.propose(command).await? {
                Reply::Op(reply) => reply,
                other => return Err(unexpected(&other)),
            }
        };
        match reply {
            OpReply::Txn { revision, succeeded, replies } => Ok(pb::TxnResponse {
                header: Some(self.services.header_at(revision)),
                succeeded,
                responses: replies.into_iter().map(convert::nested_response).collect(),
            }),
            other => Err(unexpected(&Reply::Op(other))),
        }
    }

    async fn compact(&self, request: pb::CompactionRequest) -> Result<pb::CompactionResponse, Refusal> {
        let outcome = self.services.node.propose(Command::Compact { revision: request.revision }).await;
        // As in etcd, a compaction that was done before still waits for the deletion that is under way.
        if request.physical && matches!(outcome, Ok(_) | Err(Refusal::Compacted { .. })) {
            let store = self.services.store.clone();
            super::blocking(move || store.wait_compacted(request.revision)).await?;
        }
        outcome?;
        Ok(pb::CompactionResponse { header: Some(self.services.header()) })
    }
}

/// Most keys that are read on the connection's own thread, which serves others, too. A longer range goes to a thread
/// where it may take its time.
const READ_HERE: i64 = 128;

/// Reads a range as etcd 3.7 answers it: keys without values come without their leases, unless they were sorted by
/// value.
async fn read(store: &Store, query: RangeQuery) -> Result<RangeResult, Refusal> {
    let leaseless = query.keys_only && query.sort.target != SortTarget::Value;
    let mut result = match read_here(store, &query)? {
        Some(result) => result,
        None => {
            let store = store.clone();
            super::blocking(move || Ok::<_, Refusal>(store.range(&query))).await??
        }
    };
    if leaseless {
        for kv in &mut result.kvs {
            kv.lease = 0;
        }
    }
    Ok(result)
}

/// The answer, where it takes few keys to find it.
fn read_here(store: &Store, query: &RangeQuery) -> Result<Option<RangeResult>, Refusal> {
    if query.range.as_single().is_some() {
        return store.range(query).map(Some);
    }
    if !query.sort.is_key_order() || !query.bounds.is_unbounded() {
        return Ok(None);
    }
    let limit = if query.limit > 0 { query.limit.min(READ_HERE) } else { READ_HERE };
    let keys_only = query.keys_only || query.count_only;
    let mut part = store.page(&RangeQuery { limit, keys_only, count_only: false, ..query.clone() })?;
    if part.more {
        // What is beyond must be counted at least.
        return Ok(None);
    }
    if query.count_only {
        part.kvs.clear();
    }
    Ok(Some(part))
}

async fn read_txn(store: &Store, txn: Txn) -> Result<OpReply, Refusal> {
    let is_quick = |op: &Op| matches!(op, Op::Range(query) if query.range.as_single().is_some());
    if txn.success.iter().chain(&txn.failure).all(is_quick)
        && txn.compares.iter().all(|compare| compare.range.as_single().is_some())
    {
        return store.read_txn(&txn);
    }
    let store = store.clone();
    super::blocking(move || Ok::<_, Refusal>(store.read_txn(&txn))).await?
}

#[tonic::async_trait]
impl Kv for KvService {
    type RangeStreamStream = Chunks;

    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        Ok(Response::new(self.range(request.into_inner()).await?))
    }

    async fn range_stream(&self, request: Request<pb::RangeRequest>) -> Result<Response<Chunks>, Status> {
        Ok(Response::new(range_stream::open(self.services.clone(), request.into_inner()).await?))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        Ok(Response::new(self.put(request.into_inner()).await?))
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        Ok(Response::new(self.delete_range(request.into_inner()).await?))
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        Ok(Response::new(self.txn(request.into_inner()).await?))
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        Ok(Response::new(self.compact(request.into_inner()).await?))
    }
}
