//! Downgrades, as far as they make sense: kvd has one version, so a target can be checked but not reached.

use std::sync::Arc;

use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::downgrade_request::DowngradeAction;
use crate::api::services::Services;
use crate::auth::Need;
use crate::model::{Caller, Refusal};

/// `Downgrade`.
pub async fn run(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::DowngradeRequest,
) -> Result<pb::DowngradeResponse, Refusal> {
    services.store.check(&caller, Need::Root)?;
    let action = DowngradeAction::try_from(request.action).map_err(|_| Refusal::UnknownDowngradeAction)?;
    match action {
        DowngradeAction::Validate => validate(services, &request.version).await?,
        DowngradeAction::Enable => {
            validate(services, &request.version).await?;
            return Err(Refusal::NotSupported("kvd has no earlier version to downgrade to".into()));
        }
        // etcd, too, answers OK if no downgrade is in progress.
        DowngradeAction::Cancel => {}
    }
    let version = services.store.cluster_version().as_deref().and_then(minor_version);
    Ok(pb::DowngradeResponse {
        header: Some(services.header()),
        version: version.map(|(major, minor)| format!("{major}.{minor}")).unwrap_or_default(),
    })
}

/// The target must be one minor version below the cluster's.
async fn validate(services: &Services, target: &str) -> Result<(), Refusal> {
    let target = minor_version(target).ok_or(Refusal::WrongDowngradeVersionFormat)?;
    services.reads.read_index().await?;
    let cluster = services.store.cluster_version().as_deref().and_then(minor_version);
    let (major, minor) = cluster.ok_or(Refusal::ClusterVersionUnavailable)?;
    if minor == 0 || target != (major, minor - 1) {
        return Err(Refusal::InvalidDowngradeTarget);
    }
    Ok(())
}

/// Major and minor of `X.Y` or `X.Y.Z`.
fn minor_version(text: &str) -> Option<(u64, u64)> {
    let numbers: Vec<u64> = text.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    match numbers[..] {
        [major, minor] | [major, minor, _] => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::minor_version;

    #[test]
    fn versions() {
        assert_eq!(minor_version("3.6"), Some((3, 6)));
        assert_eq!(minor_version("3.6.0"), Some((3, 6)));
        for bad in ["", "3", "3.6.0.1", "3.x", "v3.6", "-3.6", "3..6"] {
            assert_eq!(minor_version(bad), None, "{bad}");
        }
    }
}
