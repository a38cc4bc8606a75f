//! The cluster service.

use std::sync::Arc;

use super::convert;
use crate::api::proto::etcdserverpb as pb;
use crate::api::reads::Freshness;
use crate::api::services::Services;
use crate::auth::Need;
use crate::model::{Caller, Command, Member, MemberChange, MemberId, Refusal, Reply};

/// `MemberList`.
pub async fn member_list(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::MemberListRequest,
) -> Result<pb::MemberListResponse, Refusal> {
    services.reads.fresh(Freshness::of(!request.linearizable)).await?;
    services.store.check(&caller, Need::User)?;
    let members = services.store.members().into_iter().map(convert::member).collect();
    Ok(pb::MemberListResponse { header: Some(services.header_without_revision()), members })
}

/// `MemberAdd`.
pub async fn member_add(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::MemberAddRequest,
) -> Result<pb::MemberAddResponse, Refusal> {
    let added = new_member(request, services.node.now_ms(), &services.store.removed())?;
    let (member, members) = change(services, caller, MemberChange::Add(added.clone())).await?;
    let member = Some(convert::member(member.unwrap_or(added)));
    Ok(pb::MemberAddResponse { header: Some(services.header_without_revision()), member, members })
}

/// `MemberRemove`.
pub async fn member_remove(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::MemberRemoveRequest,
) -> Result<pb::MemberRemoveResponse, Refusal> {
    let (_, members) = change(services, caller, MemberChange::Remove(MemberId(request.id))).await?;
    Ok(pb::MemberRemoveResponse { header: Some(services.header_without_revision()), members })
}

/// `MemberUpdate`.
pub async fn member_update(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::MemberUpdateRequest,
) -> Result<pb::MemberUpdateResponse, Refusal> {
    let update = MemberChange::Update { id: MemberId(request.id), peer_urls: request.peer_ur_ls };
    let (_, members) = change(services, caller, update).await?;
    Ok(pb::MemberUpdateResponse { header: Some(services.header_without_revision()), members })
}

/// `MemberPromote`.
pub async fn member_promote(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::MemberPromoteRequest,
) -> Result<pb::MemberPromoteResponse, Refusal> {
    let (_, members) = change(services, caller, MemberChange::Promote(MemberId(request.id))).await?;
    Ok(pb::MemberPromoteResponse { header: Some(services.header_without_revision()), members })
}

/// Makes a change; the reply has the members after it.
async fn change(
    services: &Services,
    caller: Caller,
    change: MemberChange,
) -> Result<(Option<Member>, Vec<pb::Member>), Refusal> {
    match services.propose(caller, Command::Member(change)).await? {
        Reply::Members { member, members } => {
            Ok((member, members.into_iter().map(convert::member).collect()))
        }
        other => Err(convert::unexpected(&other)),
    }
}

/// A new member, with an id computed from its URLs and the time, as in etcd.
///
/// The time is in seconds: the id of a member that was added and removed within this second is never used again, so the
/// next free one is taken. (etcd answers "member not found" in that case.)
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
