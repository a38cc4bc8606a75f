//! The cluster service.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::cluster_server::Cluster;
use crate::api::services::Services;
use crate::model::Refusal;

/// See the module.
pub struct ClusterService {
    services: Arc<Services>,
}

impl ClusterService {
    /// The service on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    fn members(&self) -> Vec<pb::Member> {
        self.services.store.members().into_iter().map(convert::member).collect()
    }
}

/// Changes of membership are made by raft's recipes, which are not there yet.
fn not_yet<T>() -> Result<T, Status> {
    Err(Refusal::NotSupported("kvd does not change the membership of a running cluster yet".into()).into())
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        if request.get_ref().linearizable {
            self.services.read_index().await?;
        }
        let header = Some(self.services.header_without_revision());
        Ok(Response::new(pb::MemberListResponse { header, members: self.members() }))
    }

    async fn member_add(
        &self,
        _request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        not_yet()
    }

    async fn member_remove(
        &self,
        _request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        not_yet()
    }

    async fn member_update(
        &self,
        _request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        not_yet()
    }

    async fn member_promote(
        &self,
        _request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        not_yet()
    }
}
