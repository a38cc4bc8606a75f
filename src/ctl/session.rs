//! Locks and elections: a key with a lease below a name, and the oldest one has it.

use std::time::{Duration, Instant};

use tonic::Status;

use super::client::Client;
use super::failure::Failure;
use super::keys::prefix_end;
use super::target::Target;
use super::watcher::Watcher;
use crate::api::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::api::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::api::proto::etcdserverpb::request_op::Request;
use crate::api::proto::etcdserverpb::response_op::Response;
use crate::api::proto::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest, PutRequest, RangeRequest,
    RangeResponse, RequestOp, TxnRequest, WatchCreateRequest,
};
use crate::api::proto::mvccpb::event::EventType;
use crate::client::text;

/// The pause after a renewal that failed.
const PAUSE: Duration = Duration::from_millis(500);

fn failed(status: Status) -> Failure {
    Failure::error(text(&status))
}

/// A lease, and what is held with it.
pub(super) struct Session<'a> {
    target: &'a Target,
    client: Client<'a>,
    lease: i64,
    ttl: i64,
}

/// A key that waits for its turn, or has it.
pub(super) struct Place {
    pub(super) key: Vec<u8>,
    /// The revision in which it was created.
    created: i64,
}

impl<'a> Session<'a> {
    /// Grants a lease of `ttl` seconds.
    pub(super) async fn begin(target: &'a Target, ttl: i64) -> Result<Self, Failure> {
        let mut client = Client::open(target).await?;
        let request = LeaseGrantRequest { ttl, id: 0 };
        let granted =
            client.ask_forever(async |to| to.lease.lease_grant(request).await).await.map_err(failed)?;
        Ok(Self { target, client, lease: granted.id, ttl: granted.ttl })
    }

    /// Renews the lease, with a connection of its own; returns when it has ended.
    pub(super) async fn kept(target: &Target, lease: i64, ttl: i64) {
        let mut ends = Instant::now() + Duration::from_secs(ttl.unsigned_abs());
        let mut client = None;
        while Instant::now() < ends {
            let connected = match client.take() {
                Some(client) => Some(client),
                None => Client::open(target).await.ok(),
            };
            let Some(mut open) = connected else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let renewed = open.ask(async |to| {
                let request = tokio_stream::once(LeaseKeepAliveRequest { id: lease });
                let mut answers = to.lease.lease_keep_alive(request).await?.into_inner();
                let answer = answers.message().await?;
                answer.map(tonic::Response::new).ok_or_else(|| Status::unavailable("the stream ended"))
            });
            match renewed.await {
                Ok(answer) if answer.ttl <= 0 => return,
                Ok(answer) => {
                    let life = Duration::from_secs(answer.ttl.unsigned_abs());
                    ends = Instant::now() + life;
                    tokio::time::sleep((life + Duration::from_secs(1)) / 3).await;
                    client = Some(open);
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// What [`Self::kept`] needs.
    pub(super) fn lease(&self) -> (i64, i64) {
        (self.lease, self.ttl)
    }

    /// Puts a key with `value` below `name`; one that is there is only changed.
    pub(super) async fn enter(&mut self, name: &[u8], value: &[u8]) -> Result<Place, Failure> {
        let key = [name, b"/", format!("{:x}", self.lease).as_bytes()].concat();
        let put = PutRequest {
            key: key.clone().into(),
            value: value.to_vec().into(),
            lease: self.lease,
            ..Default::default()
        };
        let get = RangeRequest { key: key.clone().into(), ..Default::default() };
        let request = TxnRequest {
            compare: vec![created_at(&key, 0)],
            success: vec![RequestOp { request: Some(Request::RequestPut(put)) }],
            failure: vec![RequestOp { request: Some(Request::RequestRange(get)) }],
        };
        let answer =
            self.client.ask_forever(async |to| to.kv.txn(request.clone()).await).await.map_err(failed)?;
        let there = answer.responses.into_iter().find_map(|one| match one.response {
            Some(Response::ResponseRange(range)) => range.kvs.into_iter().next(),
            _ => None,
        });
        let created = there.map(|kv| kv.create_revision);
        let created = created.or(answer.header.map(|header| header.revision)).unwrap_or_default();
        Ok(Place { key, created })
    }

    /// Waits until no older key is below `name`.
    pub(super) async fn turn(&mut self, name: &[u8], place: &Place) -> Result<(), Failure> {
        let prefix = [name, b"/"].concat();
        let older = RangeRequest {
            range_end: prefix_end(&prefix).into(),
            key: prefix.into(),
            limit: 1,
            sort_order: SortOrder::Descend.into(),
            sort_target: SortTarget::Create.into(),
            max_create_revision: place.created - 1,
            ..Default::default()
        };
        loop {
            let found = self.range(older.clone()).await?;
            let Some(before) = found.kvs.into_iter().next() else { return Ok(()) };
            let revision = found.header.map_or(0, |header| header.revision);
            self.until_deleted(before.key, revision).await?;
        }
    }

    async fn until_deleted(&self, key: bytes::Bytes, revision: i64) -> Result<(), Failure> {
        let request = WatchCreateRequest { key, start_revision: revision, ..Default::default() };
        let mut watcher = Watcher::new(Client::open(self.target).await?, request);
        loop {
            let answer = watcher.next().await.map_err(|ended| {
                Failure::error(ended.error.unwrap_or_else(|| "lost watcher waiting for delete".to_string()))
            })?;
            if answer.events.iter().any(|event| event.r#type() == EventType::Delete) {
                return Ok(());
            }
        }
    }

    /// Reads keys.
    pub(super) async fn range(&mut self, request: RangeRequest) -> Result<RangeResponse, Failure> {
        self.client.ask_forever(async |to| to.kv.range(request.clone()).await).await.map_err(failed)
    }

    /// Reads the place's own key.
    pub(super) async fn own(&mut self, place: &Place) -> Result<RangeResponse, Failure> {
        self.range(RangeRequest { key: place.key.clone().into(), ..Default::default() }).await
    }

    /// The first of the keys below `name`: whoever has it.
    pub(super) async fn first(&mut self, name: &[u8]) -> Result<RangeResponse, Failure> {
        let prefix = [name, b"/"].concat();
        let request = RangeRequest {
            range_end: prefix_end(&prefix).into(),
            key: prefix.into(),
            limit: 1,
            sort_order: SortOrder::Ascend.into(),
            sort_target: SortTarget::Create.into(),
            ..Default::default()
        };
        self.range(request).await
    }

    /// Deletes the key, if it is still the one that was put.
    pub(super) async fn leave(&mut self, place: &Place) -> Result<(), Failure> {
        let delete = DeleteRangeRequest { key: place.key.clone().into(), ..Default::default() };
        let request = TxnRequest {
            compare: vec![created_at(&place.key, place.created)],
            success: vec![RequestOp { request: Some(Request::RequestDeleteRange(delete)) }],
            failure: Vec::new(),
        };
        self.client.ask_forever(async |to| to.kv.txn(request.clone()).await).await.map(drop).map_err(failed)
    }
}

fn created_at(key: &[u8], revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key: key.to_vec().into(),
        range_end: Default::default(),
        target_union: Some(TargetUnion::CreateRevision(revision)),
    }
}
