//! Downgrades: the cluster's version is lowered first, and the members' programs are exchanged after that.

use std::sync::Arc;

use super::convert;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::downgrade_request::DowngradeAction;
use crate::api::services::Services;
use crate::auth::Need;
use crate::model::{Caller, Command, Refusal, Reply, Version};

/// `Downgrade`.
pub async fn run(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::DowngradeRequest,
) -> Result<pb::DowngradeResponse, Refusal> {
    services.store.check(&caller, Need::Root)?;
    let action = DowngradeAction::try_from(request.action).map_err(|_| Refusal::UnknownDowngradeAction)?;
    match action {
        DowngradeAction::Validate => drop(validate(services, &request.version).await?),
        DowngradeAction::Enable => {
            let target = validate(services, &request.version).await?;
            propose(services, caller, Some(target)).await?;
        }
        DowngradeAction::Cancel => {
            services.reads.read_index().await?;
            // etcd, too, answers OK if no downgrade is in progress.
            if services.store.downgrade().is_some() {
                propose(services, caller, None).await?;
            }
        }
    }
    let version = services.store.cluster_version().as_deref().and_then(Version::parse);
    Ok(pb::DowngradeResponse {
        header: Some(services.header()),
        version: version.map(|version| version.to_string()).unwrap_or_default(),
    })
}

async fn propose(services: &Services, caller: Caller, target: Option<Version>) -> Result<(), Refusal> {
    match services.propose(caller, Command::Downgrade(target)).await? {
        Reply::Done { .. } => Ok(()),
        other => Err(convert::unexpected(&other)),
    }
}

async fn validate(services: &Services, target: &str) -> Result<Version, Refusal> {
    let target = Version::parse(target).ok_or(Refusal::WrongDowngradeVersionFormat)?;
    services.reads.read_index().await?;
    services.store.check_downgrade(target)?;
    Ok(target)
}
