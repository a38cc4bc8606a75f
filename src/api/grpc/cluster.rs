//! The cluster service.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tonic::{Request, Response, Status};

use super::{convert, unexpected};
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::cluster_server::Cluster;
use crate::api::services::Services;
use crate::model::{Command, Member, MemberChange, MemberId, Refusal, Reply};

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
    match services.node.propose(Command::Member(change)).await? {
        Reply::Members { member, members } => {
            Ok((member, members.into_iter().map(convert::member).collect()))
        }
        other => Err(unexpected(&other)),
    }
}

/// A new member, its id made of its URLs and the time as etcd makes it.
fn new_member(request: pb::MemberAddRequest) -> Result<Member, Refusal> {
    let mut peer_urls: Vec<String> = request.peer_ur_ls.iter().map(|url| url.trim().to_string()).collect();
    if peer_urls.is_empty() || !peer_urls.iter().all(|url| is_peer_url(url)) {
        return Err(Refusal::MemberBadUrls);
    }
    peer_urls.sort_unstable();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(Member {
        id: MemberId::compute(&peer_urls, "", Some(now as i64)),
        name: String::new(),
        peer_urls,
        client_urls: Vec::new(),
        learner: request.is_learner,
        // A voter catches up first, then the leader lets it vote.
        pending: !request.is_learner,
    })
}

/// What etcd accepts, and `quic`: scheme and authority with a port, or a Unix socket; no path.
fn is_peer_url(url: &str) -> bool {
    match url.split_once("://") {
        Some(("http" | "https" | "quic", rest)) => rest.rsplit_once(':').is_some_and(|(host, port)| {
            let bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
            let plain = !host.contains(['/', '@', '?', '#', ' ']);
            bare && plain && !port.is_empty() && port.parse::<u16>().is_ok()
        }),
        Some(("unix" | "unixs", rest)) => !rest.is_empty(),
        _ => false,
    }
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
        let added = new_member(request.into_inner())?;
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
    use super::is_peer_url;

    #[test]
    fn urls() {
        for good in
            ["http://10.0.0.1:2380", "https://a.b:1", "quic://[::1]:2380", "unix:///run/x", "http://a:0"]
        {
            assert!(is_peer_url(good), "{good}");
        }
        for bad in
            ["", "a:1", "ftp://a:1", "http://a", "http://a:b", "http://a:1/path", "http://::1:2", "http://a:"]
        {
            assert!(!is_peer_url(bad), "{bad}");
        }
    }
}
