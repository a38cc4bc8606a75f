//! The maintenance service.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, stream};

use super::convert;
use crate::api::jobs::Job;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::api::reads::Limited;
use crate::api::services::Services;
use crate::auth::Need;
use crate::model::{Alarm, AlarmKind, Caller, Command, MemberId, Refusal, Reply, Version};

/// The messages of a snapshot.
pub type Blobs = Pin<Box<dyn Stream<Item = Result<pb::SnapshotResponse, Refusal>> + Send>>;

/// `Status`: from this member's own knowledge, leader or not.
pub async fn status(
    services: &Arc<Services>,
    caller: Caller,
    _request: pb::StatusRequest,
) -> Result<pb::StatusResponse, Refusal> {
    services.store.check(&caller, Need::User)?;
    let node = services.node.status();
    let sizes = services.store.sizes();
    let downgrade = services.store.downgrade();
    let mut errors = Vec::new();
    if node.leader.is_none() {
        errors.push("etcdserver: no leader".to_string());
    }
    if services.store.is_condemned() {
        // The alarms that are known here may be wrong, too.
        errors.push(crate::api::status::text(&Refusal::Corrupt).to_string());
    }
    errors.extend(services.store.alarms().iter().chain(&full_disk(services)).map(alarm_text));
    Ok(pb::StatusResponse {
        header: Some(services.header()),
        version: services.server_version(),
        db_size: clamp(sizes.allocated),
        leader: node.leader.map_or(0, |leader| leader.0),
        raft_index: node.committed,
        raft_term: node.term,
        raft_applied_index: node.applied,
        errors,
        db_size_in_use: clamp(sizes.in_use),
        is_learner: node.is_learner,
        storage_version: services.storage_version(),
        db_size_quota: sizes.quota.map_or(-1, clamp),
        downgrade_info: Some(pb::DowngradeInfo {
            enabled: downgrade.is_some(),
            target_version: downgrade.map(Version::of_cluster).unwrap_or_default(),
        }),
    })
}

/// `Alarm`.
pub async fn alarm(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AlarmRequest,
) -> Result<pb::AlarmResponse, Refusal> {
    let kind = convert::alarm_kind(request.alarm);
    let alarm = |kind| Alarm { member: MemberId(request.member_id), kind };
    let command = match (AlarmAction::try_from(request.action), kind) {
        (Ok(AlarmAction::Get), kind) => Command::AlarmList { kind },
        (Ok(AlarmAction::Activate), Some(kind)) => Command::AlarmRaise(alarm(kind)),
        (Ok(AlarmAction::Deactivate), Some(kind)) => Command::AlarmClear(alarm(kind)),
        (Ok(AlarmAction::Activate | AlarmAction::Deactivate), None) | (Err(_), _) => {
            services.store.check(&caller, Need::Root)?;
            return Ok(pb::AlarmResponse { header: Some(services.header()), alarms: Vec::new() });
        }
    };
    let lists = matches!(command, Command::AlarmList { .. });
    match services.propose(caller, command).await? {
        Reply::Alarms { mut alarms, .. } => {
            let asked = lists && kind != Some(AlarmKind::Corrupt);
            let own = full_disk(services).filter(|own| asked && !alarms.contains(own));
            alarms.extend(own);
            let alarms = alarms.iter().map(convert::alarm).collect();
            Ok(pb::AlarmResponse { header: Some(services.header()), alarms })
        }
        other => Err(convert::unexpected(&other)),
    }
}

/// `Defragment`.
pub async fn defragment(
    services: &Arc<Services>,
    caller: Caller,
    _request: pb::DefragmentRequest,
) -> Result<pb::DefragmentResponse, Refusal> {
    services.store.check(&caller, Need::Root)?;
    let store = services.store.clone();
    services.jobs.run(Job::Wait, move || store.defragment()).await?;
    Ok(pb::DefragmentResponse { header: None })
}

/// `Hash`.
pub async fn hash(
    services: &Arc<Services>,
    caller: Caller,
    _request: pb::HashRequest,
) -> Result<pb::HashResponse, Refusal> {
    let hash = services.reads.hash(&caller).await?;
    Ok(pb::HashResponse { header: Some(services.header()), hash })
}

/// `HashKV`.
pub async fn hash_kv(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::HashKvRequest,
) -> Result<pb::HashKvResponse, Refusal> {
    let hash = services.reads.hash_kv(&caller, request.revision).await?;
    Ok(pb::HashKvResponse {
        header: Some(services.header()),
        hash: hash.hash,
        compact_revision: hash.compact_revision,
        hash_revision: hash.hash_revision,
    })
}

/// `Snapshot`.
pub async fn snapshot(
    services: &Arc<Services>,
    caller: Caller,
    _request: pb::SnapshotRequest,
) -> Result<Blobs, Refusal> {
    let (snapshot, place) = services.reads.snapshot(&caller)?;
    let version = services.storage_version();
    let blobs = stream::try_unfold((snapshot, version), |(mut snapshot, version)| async move {
        let message = snapshot.next().await?.map(|blob| pb::SnapshotResponse {
            header: None,
            remaining_bytes: blob.remaining,
            blob: blob.bytes,
            version: version.clone(),
        });
        Ok(message.map(|message| (message, (snapshot, version))))
    });
    Ok(Box::pin(Limited::new(Box::pin(blobs), place)))
}

/// `MoveLeader`.
pub async fn move_leader(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::MoveLeaderRequest,
) -> Result<pb::MoveLeaderResponse, Refusal> {
    services.store.check(&caller, Need::Root)?;
    let target = MemberId(request.target_id);
    if !services.node.status().is_leader {
        return Err(Refusal::NotLeader);
    }
    let members = services.store.members();
    if !members.iter().any(|member| member.id == target && !member.learner && !member.pending) {
        return Err(Refusal::BadLeaderTransferee);
    }
    if target != services.member_id() {
        services.node.transfer(target).await?;
    }
    Ok(pb::MoveLeaderResponse { header: None })
}

/// The alarm of this member alone while its disk is full. It is not raised in the cluster, whose other members may have
/// room, and nobody has to disarm it.
fn full_disk(services: &Services) -> Option<Alarm> {
    let full = services.node.is_disk_full();
    full.then(|| Alarm { member: services.member_id(), kind: AlarmKind::NoSpace })
}

fn clamp(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// An alarm in the form in which etcd 3.7 shows it among the errors of a status.
fn alarm_text(alarm: &Alarm) -> String {
    let kind = match alarm.kind {
        AlarmKind::NoSpace => "NOSPACE",
        AlarmKind::Corrupt => "CORRUPT",
    };
    match alarm.member.0 {
        0 => format!("alarm:{kind}"),
        member => format!("memberID:{member} alarm:{kind}"),
    }
}
