//! The cluster service.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{convert, unexpected};
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::cluster_server::Cluster;
use crate::api::services::Services;
use crate::model::{Caller, Command, Member, MemberChange, MemberId, Refusal, Reply};

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

/// Makes a change; the members afterwards come with the reply.
async fn change(
    services: &Services,
    change: MemberChange,
) -> Result<(Option<Member>, Vec<pb::Member>), Refusal> {
    match services.node.propose(Caller::Anonymous, Command::Member(change)).await? {
        Reply::Members { member, members } => {
            Ok((member, members.into_iter().map(convert::member).collect()))
        }
        other => Err(unexpected(&other)),
    }
}

/// A new member, its id made of its URLs and the time as etcd makes it.
///
/// Seconds are the time's unit: the id of one that was added and removed within this second is gone for ever, so the
/// next one free is taken. (etcd says "member not found" then.)
fn new_member(request: pb::MemberAddRequest, now_ms: i64, removed: &[MemberId]) -> Result<Member, Refusal> {
    let now = now_ms / 1000;
    let mut member = Member::added(request.peer_ur_ls, request.is_learner, now)?;
    for later in 1..=removed.len() as i64 {
        if !removed.contains(&member.id) {
            break;
        }
        member = Member::added(member.peer_urls, request.is_learner, now + later)?;
    }
    Ok(member)
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
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        let services = &self.services;
        let added = new_member(request.into_inner(), services.node.now_ms(), &services.store.removed())?;
        let (member, members) = change(&self.services, MemberChange::Add(added.clone())).await?;
        let header = Some(self.services.header_without_revision());
        let member = Some(convert::member(member.unwrap_or(added)));
        Ok(Response::new(pb::MemberAddResponse { header, member, members }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        let remove = MemberChange::Remove(MemberId(request.get_ref().id));
        let (_, members) = change(&self.services, remove).await?;
        let header = Some(self.services.header_without_revision());
        Ok(Response::new(pb::MemberRemoveResponse { header, members }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let request = request.into_inner();
        let update = MemberChange::Update { id: MemberId(request.id), peer_urls: request.peer_ur_ls };
        let (_, members) = change(&self.services, update).await?;
        let header = Some(self.services.header_without_revision());
        Ok(Response::new(pb::MemberUpdateResponse { header, members }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        let promote = MemberChange::Promote(MemberId(request.get_ref().id));
        let (_, members) = change(&self.services, promote).await?;
        let header = Some(self.services.header_without_revision());
        Ok(Response::new(pb::MemberPromoteResponse { header, members }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_goes_by_the_clock_that_is_given() {
        let request =
            pb::MemberAddRequest { peer_ur_ls: vec!["http://10.0.0.9:2380".into()], is_learner: true };
        let id = |now_ms| new_member(request.clone(), now_ms, &[]).expect("a good request").id;
        // etcd counts whole seconds.
        assert_eq!(id(1_700_000_000_999), id(1_700_000_000_000));
        assert_ne!(id(1_700_000_001_000), id(1_700_000_000_000));
    }
}
