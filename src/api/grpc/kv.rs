//! The key-value service.

use std::sync::Arc;
use std::time::Instant;

use prost::Message;
use tonic::{Request, Response, Status};

use super::limited::Places;
use super::range_stream::{self, Chunks};
use super::{conflicts, convert, read, unexpected};
use crate::api::gate::Gate;
use crate::api::jobs::Job;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::kv_server::Kv;
use crate::api::services::Services;
use crate::model::{Caller, Command, OpReply, Refusal, Reply};

/// Streams of ranges that are on their way at a time. Each has read a chunk ahead of its client.
const RANGE_STREAMS: usize = 256;

/// See the module.
pub struct KvService {
    services: Arc<Services>,
    range_streams: Places,
}

impl KvService {
    /// The service on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services, range_streams: Places::new(RANGE_STREAMS) }
    }

    async fn range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, Refusal> {
        let serializable = request.serializable;
        Gate::admit_read(&self.services, serializable)?;
        let query = convert::range(request)?;
        let started = Instant::now();
        if !serializable {
            self.services.read_index().await?;
        }
        let result = read::range(&self.services, query).await?;
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
        match self.services.node.propose(Caller::Anonymous, command).await? {
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
        match self.services.node.propose(Caller::Anonymous, Command::Delete(delete)).await? {
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
            let reply = read::txn(&self.services, txn).await?;
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
            match self.services.node.propose(Caller::Anonymous, command).await? {
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
        let outcome = self
            .services
            .node
            .propose(Caller::Anonymous, Command::Compact { revision: request.revision })
            .await;
        // As in etcd, a compaction that was done before still waits for the deletion that is under way.
        if request.physical && matches!(outcome, Ok(_) | Err(Refusal::Compacted { .. })) {
            let store = self.services.store.clone();
            let work = move || store.wait_compacted(request.revision);
            self.services.jobs.run(Job::Wait, work).await?;
        }
        outcome?;
        Ok(pb::CompactionResponse { header: Some(self.services.header()) })
    }
}

#[tonic::async_trait]
impl Kv for KvService {
    type RangeStreamStream = Chunks;

    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        Ok(Response::new(self.range(request.into_inner()).await?))
    }

    async fn range_stream(&self, request: Request<pb::RangeRequest>) -> Result<Response<Chunks>, Status> {
        let place = self.range_streams.take()?;
        Ok(Response::new(range_stream::open(self.services.clone(), request.into_inner(), place).await?))
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
