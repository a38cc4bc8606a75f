//! The maintenance service.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::limited::Places;
use super::snapshot::{self, Blobs};
use super::{convert, downgrade, unexpected};
use crate::api::jobs::Job;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::api::proto::etcdserverpb::maintenance_server::Maintenance;
use crate::api::services::{ETCD_VERSION, STORAGE_VERSION, Services};
use crate::model::{Alarm, AlarmKind, Caller, Command, MemberId, Refusal, Reply};

/// Snapshots that are read at a time. Each keeps pages of the store from being used again.
const SNAPSHOTS: usize = 16;

/// See the module.
pub struct MaintenanceService {
    services: Arc<Services>,
    snapshots: Places,
}

impl MaintenanceService {
    /// The service on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services, snapshots: Places::new(SNAPSHOTS) }
    }

    /// Answers from what this member knows, leader or not.
    fn status(&self) -> pb::StatusResponse {
        let node = self.services.node.status();
        let sizes = self.services.store.sizes();
        let mut errors = Vec::new();
        if node.leader.is_none() {
            errors.push("etcdserver: no leader".to_string());
        }
        errors.extend(self.services.store.alarms().iter().chain(&self.full_disk()).map(alarm_text));
        pb::StatusResponse {
            header: Some(self.services.header()),
            version: ETCD_VERSION.into(),
            db_size: clamp(sizes.allocated),
            leader: node.leader.map_or(0, |leader| leader.0),
            raft_index: node.committed,
            raft_term: node.term,
            raft_applied_index: node.applied,
            errors,
            db_size_in_use: clamp(sizes.in_use),
            is_learner: node.is_learner,
            storage_version: STORAGE_VERSION.into(),
            db_size_quota: sizes.quota.map_or(-1, clamp),
            downgrade_info: Some(pb::DowngradeInfo::default()),
        }
    }

    async fn alarm(&self, request: pb::AlarmRequest) -> Result<pb::AlarmResponse, Refusal> {
        let kind = convert::alarm_kind(request.alarm);
        let alarm = |kind| Alarm { member: MemberId(request.member_id), kind };
        let command = match (AlarmAction::try_from(request.action), kind) {
            (Ok(AlarmAction::Get), kind) => Command::AlarmList { kind },
            (Ok(AlarmAction::Activate), Some(kind)) => Command::AlarmRaise(alarm(kind)),
            (Ok(AlarmAction::Deactivate), Some(kind)) => Command::AlarmClear(alarm(kind)),
            (Ok(AlarmAction::Activate | AlarmAction::Deactivate), None) | (Err(_), _) => {
                return Ok(pb::AlarmResponse { header: Some(self.services.header()), alarms: Vec::new() });
            }
        };
        let lists = matches!(command, Command::AlarmList { .. });
        match self.services.node.propose(Caller::Anonymous, command).await? {
            Reply::Alarms { mut alarms, .. } => {
                let asked = lists && kind != Some(AlarmKind::Corrupt);
                let own = self.full_disk().filter(|own| asked && !alarms.contains(own));
                alarms.extend(own);
                let alarms = alarms.iter().map(convert::alarm).collect();
                Ok(pb::AlarmResponse { header: Some(self.services.header()), alarms })
            }
            other => Err(unexpected(&other)),
        }
    }

    /// The alarm of this member alone while its disk is full. It is not raised in the cluster, which may have room, and
    /// nobody has to disarm it.
    fn full_disk(&self) -> Option<Alarm> {
        let full = self.services.node.is_disk_full();
        full.then(|| Alarm { member: self.services.member_id(), kind: AlarmKind::NoSpace })
    }

    async fn move_leader(&self, target: MemberId) -> Result<(), Refusal> {
        if !self.services.node.status().is_leader {
            return Err(Refusal::NotLeader);
        }
        let members = self.services.store.members();
        if !members.iter().any(|member| member.id == target && !member.learner && !member.pending) {
            return Err(Refusal::BadLeaderTransferee);
        }
        if target == self.services.member_id() {
            return Ok(());
        }
        self.services.node.transfer(target).await
    }
}

fn clamp(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// An alarm as etcd 3.7 prints it among the errors of a status.
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

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    type SnapshotStream = Blobs;

    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, Status> {
        Ok(Response::new(self.status()))
    }

    async fn alarm(&self, request: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        Ok(Response::new(self.alarm(request.into_inner()).await?))
    }

    async fn defragment(
        &self,
        _request: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        let store = self.services.store.clone();
        self.services.jobs.run(Job::Wait, move || store.defragment()).await?;
        Ok(Response::new(pb::DefragmentResponse { header: None }))
    }

    async fn hash(&self, _request: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        let store = self.services.store.clone();
        let hash = self.services.jobs.run(Job::Whole, move || store.hash()).await?;
        Ok(Response::new(pb::HashResponse { header: Some(self.services.header()), hash }))
    }

    async fn hash_kv(
        &self,
        request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        let store = self.services.store.clone();
        let revision = request.get_ref().revision;
        let hash = self.services.jobs.run(Job::Whole, move || store.hash_kv(revision)).await?;
        Ok(Response::new(pb::HashKvResponse {
            header: Some(self.services.header()),
            hash: hash.hash,
            compact_revision: hash.compact_revision,
            hash_revision: hash.hash_revision,
        }))
    }

    async fn snapshot(&self, _request: Request<pb::SnapshotRequest>) -> Result<Response<Blobs>, Status> {
        let place = self.snapshots.take()?;
        Ok(Response::new(snapshot::open(self.services.clone(), place)))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        self.move_leader(MemberId(request.get_ref().target_id)).await?;
        Ok(Response::new(pb::MoveLeaderResponse { header: None }))
    }

    async fn downgrade(
        &self,
        request: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        Ok(Response::new(downgrade::run(&self.services, request.into_inner()).await?))
    }
}
