//! The gRPC services, one file each, and the way a request takes to them.
//!
//! [`Grpc::call`] is the only entrance: it finds the method's rule, asks the gate, and hands the request to the
//! service, within the caller's deadline. Unary calls take the short way of [`unary`]; streams, and requests that are
//! compressed, take tonic's.

mod auth;
mod cluster;
mod conflicts;
pub mod convert;
pub mod deadline;
mod downgrade;
mod election;
mod health;
mod kv;
pub mod lease;
mod limited;
mod lock;
mod maintenance;
mod range_stream;
mod read;
mod recipes;
#[cfg(test)]
mod recipes_tests;
mod reflection;
mod snapshot;
#[cfg(test)]
mod stories;
pub mod unary;
pub mod watch;

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::body::ReplyBody;
use super::gate::leash::{Leashed, Tally, code_of, leash};
use super::gate::{self, Gate, Kind, Rpc, Rule};
use super::proto::etcdserverpb::auth_server::{Auth, AuthServer};
use super::proto::etcdserverpb::cluster_server::{Cluster, ClusterServer};
use super::proto::etcdserverpb::kv_server::{Kv, KvServer};
use super::proto::etcdserverpb::lease_server::{Lease, LeaseServer};
use super::proto::etcdserverpb::maintenance_server::{Maintenance, MaintenanceServer};
use super::proto::health::health_server::{Health, HealthServer};
use super::proto::v3electionpb::election_server::{Election, ElectionServer};
use super::proto::v3lockpb::lock_server::{Lock, LockServer};
use super::services::Services;
use super::status;
use crate::model::{Refusal, Reply};

/// All services behind one entrance. Cheap to clone.
#[derive(Clone)]
pub struct Grpc {
    services: Arc<Services>,
    gate: Gate,
    kv: Arc<kv::KvService>,
    cluster: Arc<cluster::ClusterService>,
    maintenance: Arc<maintenance::MaintenanceService>,
    auth: Arc<auth::AuthService>,
    health: Arc<health::HealthService>,
    lease: Arc<lease::LeaseService>,
    watch: watch::WatchService,
    lock: Arc<lock::LockService>,
    election: Arc<election::ElectionService>,
    reflection: Option<reflection::Reflection>,
}

impl Grpc {
    /// All services on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self {
            gate: Gate::new(services.clone()),
            kv: Arc::new(kv::KvService::new(services.clone())),
            cluster: Arc::new(cluster::ClusterService::new(services.clone())),
            maintenance: Arc::new(maintenance::MaintenanceService::new(services.clone())),
            auth: Arc::new(auth::AuthService::new(services.clone())),
            health: Arc::new(health::HealthService),
            lease: Arc::new(lease::LeaseService::new(services.clone())),
            watch: watch::WatchService::new(services.clone()),
            lock: Arc::new(lock::LockService::new(services.clone())),
            election: Arc::new(election::ElectionService::new(services.clone())),
            reflection: reflection::Reflection::new()
                .inspect_err(|error| tracing::error!(%error, "server reflection is not offered"))
                .ok(),
            services,
        }
    }

    /// Answers one request, whatever it is.
    pub async fn call<B>(&self, request: Request<B>) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<tonic::codegen::StdError> + std::fmt::Display + Send + 'static,
    {
        let Some(rule) = gate::find(request.uri().path()) else {
            return unknown_method(request.uri().path()).into_http();
        };
        self.services.metrics.started(rule);
        let started = Instant::now();
        let answer = match rule.kind {
            Kind::Unary => self.answer_unary(rule, request, started).await,
            // On the heap, as every other rare way: what is held here is allocated for each request.
            Kind::ServerStream | Kind::Bidirectional => {
                Box::pin(self.open_stream(rule, request, started)).await
            }
        };
        let took = started.elapsed();
        if took >= self.services.settings().slow_request && rule.kind == Kind::Unary {
            tracing::warn!(method = rule.path, took_ms = took.as_millis() as u64, "slow request");
        }
        answer.unwrap_or_else(|status| {
            self.services.metrics.handled(rule, status.code(), took);
            status.into_http()
        })
    }

    async fn answer_unary<B>(
        &self,
        rule: &'static Rule,
        request: Request<B>,
        started: Instant,
    ) -> Result<Response<ReplyBody>, Status>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<tonic::codegen::StdError> + std::fmt::Display + Send + 'static,
    {
        self.gate.admit(rule, request.headers())?;
        let limit = deadline::timeout_of(request.headers());
        if is_compressed(request.headers())? {
            let answer = Box::pin(self.through_tonic(rule, request, true));
            let response = deadline::within(limit, answer).await.ok_or_else(status::deadline_exceeded)??;
            self.services.metrics.handled(rule, code_of(response.headers()), started.elapsed());
            return Ok(response.map(ReplyBody::Tonic));
        }
        let answer = pin!(self.unary(rule, request));
        let message = deadline::within(limit, answer).await.ok_or_else(status::deadline_exceeded)??;
        self.services.metrics.sent(rule, 1, message.len().saturating_sub(unary::PREFIX));
        self.services.metrics.handled(rule, Code::Ok, started.elapsed());
        let mut response = Response::new(ReplyBody::Message(message));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        Ok(response)
    }

    async fn open_stream<B>(
        &self,
        rule: &'static Rule,
        request: Request<B>,
        started: Instant,
    ) -> Result<Response<ReplyBody>, Status>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<tonic::codegen::StdError> + std::fmt::Display + Send + 'static,
    {
        self.gate.admit(rule, request.headers())?;
        let limit = deadline::timeout_of(request.headers());
        let end = limit.and_then(|limit| tokio::time::Instant::now().checked_add(limit));
        let requires_leader = gate::requires_leader(request.headers());
        let compressed = is_compressed(request.headers())?;
        let opened = pin!(self.through_tonic(rule, request, compressed));
        let response = deadline::within(limit, opened).await.ok_or_else(status::deadline_exceeded)??;
        if response.headers().contains_key("grpc-status") {
            self.services.metrics.handled(rule, code_of(response.headers()), started.elapsed());
            return Ok(response.map(ReplyBody::Tonic));
        }
        let tally = Tally::new(self.services.metrics.clone(), rule, started);
        let leash = leash(self.services.clone(), end, requires_leader);
        Ok(response.map(|body| ReplyBody::Stream(Leashed::new(body, leash, tally))))
    }

    /// The short way.
    async fn unary<B>(&self, rule: &Rule, request: Request<B>) -> Result<Bytes, Status>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        let (parts, mut body) = request.into_parts();
        let message = unary::read_message(&mut body, self.services.settings().max_receive_bytes()).await?;
        self.services.metrics.received(rule, 1, message.len());
        let call = Call {
            metadata: MetadataMap::from_headers(parts.headers),
            extensions: parts.extensions,
            message,
        };
        match rule.rpc {
            Rpc::Range => call.run(|request| self.kv.range(request)).await,
            Rpc::Put => call.run(|request| self.kv.put(request)).await,
            Rpc::Txn => call.run(|request| self.kv.txn(request)).await,
            Rpc::DeleteRange => call.run(|request| self.kv.delete_range(request)).await,
            Rpc::Compact => call.run(|request| self.kv.compact(request)).await,
            Rpc::MemberList => call.run(|request| self.cluster.member_list(request)).await,
            Rpc::MemberAdd => call.run(|request| self.cluster.member_add(request)).await,
            Rpc::MemberRemove => call.run(|request| self.cluster.member_remove(request)).await,
            Rpc::MemberUpdate => call.run(|request| self.cluster.member_update(request)).await,
            Rpc::MemberPromote => call.run(|request| self.cluster.member_promote(request)).await,
            Rpc::Status => call.run(|request| self.maintenance.status(request)).await,
            Rpc::Alarm => call.run(|request| self.maintenance.alarm(request)).await,
            Rpc::Defragment => call.run(|request| self.maintenance.defragment(request)).await,
            Rpc::Hash => call.run(|request| self.maintenance.hash(request)).await,
            Rpc::HashKv => call.run(|request| self.maintenance.hash_kv(request)).await,
            Rpc::MoveLeader => call.run(|request| self.maintenance.move_leader(request)).await,
            Rpc::Downgrade => call.run(|request| self.maintenance.downgrade(request)).await,
            Rpc::HealthCheck => call.run(|request| self.health.check(request)).await,
            _ => self.unary_lease(rule, call).await,
        }
    }

    async fn unary_lease(&self, rule: &Rule, call: Call) -> Result<Bytes, Status> {
        match rule.rpc {
            Rpc::LeaseGrant => call.run(|request| self.lease.lease_grant(request)).await,
            Rpc::LeaseRevoke => call.run(|request| self.lease.lease_revoke(request)).await,
            Rpc::LeaseTimeToLive => call.run(|request| self.lease.lease_time_to_live(request)).await,
            Rpc::LeaseLeases => call.run(|request| self.lease.lease_leases(request)).await,
            Rpc::Lock => call.run(|request| self.lock.lock(request)).await,
            Rpc::Unlock => call.run(|request| self.lock.unlock(request)).await,
            Rpc::Campaign => call.run(|request| Election::campaign(&*self.election, request)).await,
            Rpc::Proclaim => call.run(|request| Election::proclaim(&*self.election, request)).await,
            Rpc::Leader => call.run(|request| Election::leader(&*self.election, request)).await,
            Rpc::Resign => call.run(|request| Election::resign(&*self.election, request)).await,
            _ => self.unary_auth(rule, call).await,
        }
    }

    async fn unary_auth(&self, rule: &Rule, call: Call) -> Result<Bytes, Status> {
        match rule.rpc {
            Rpc::Authenticate => call.run(|request| self.auth.authenticate(request)).await,
            Rpc::AuthStatus => call.run(|request| self.auth.auth_status(request)).await,
            Rpc::AuthEnable => call.run(|request| self.auth.auth_enable(request)).await,
            Rpc::AuthDisable => call.run(|request| self.auth.auth_disable(request)).await,
            Rpc::UserAdd => call.run(|request| self.auth.user_add(request)).await,
            Rpc::UserGet => call.run(|request| self.auth.user_get(request)).await,
            Rpc::UserList => call.run(|request| self.auth.user_list(request)).await,
            Rpc::UserDelete => call.run(|request| self.auth.user_delete(request)).await,
            Rpc::UserChangePassword => call.run(|request| self.auth.user_change_password(request)).await,
            Rpc::UserGrantRole => call.run(|request| self.auth.user_grant_role(request)).await,
            Rpc::UserRevokeRole => call.run(|request| self.auth.user_revoke_role(request)).await,
            Rpc::RoleAdd => call.run(|request| self.auth.role_add(request)).await,
            Rpc::RoleGet => call.run(|request| self.auth.role_get(request)).await,
            Rpc::RoleList => call.run(|request| self.auth.role_list(request)).await,
            Rpc::RoleDelete => call.run(|request| self.auth.role_delete(request)).await,
            Rpc::RoleGrantPermission => call.run(|request| self.auth.role_grant_permission(request)).await,
            Rpc::RoleRevokePermission => call.run(|request| self.auth.role_revoke_permission(request)).await,
            _ => Err(unknown_method(rule.path)),
        }
    }

    /// The long way: streams, and whatever is compressed.
    async fn through_tonic<B>(
        &self,
        rule: &Rule,
        mut request: Request<B>,
        compressed: bool,
    ) -> Result<Response<tonic::body::Body>, Status>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError> + Send + 'static,
    {
        // etcd answers compressed where it was asked compressed, whatever else the client would accept.
        if !compressed {
            request.headers_mut().remove("grpc-accept-encoding");
        } else {
            request.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("gzip"));
        }
        let limit = self.services.settings().max_receive_bytes();
        // A service joins here with one line, too.
        let response = match rule.service {
            "etcdserverpb.KV" => tonic_server!(KvServer, self.kv, limit).call(request).await,
            "etcdserverpb.Cluster" => tonic_server!(ClusterServer, self.cluster, limit).call(request).await,
            "etcdserverpb.Maintenance" => {
                tonic_server!(MaintenanceServer, self.maintenance, limit).call(request).await
            }
            "etcdserverpb.Auth" => tonic_server!(AuthServer, self.auth, limit).call(request).await,
            "etcdserverpb.Lease" => tonic_server!(LeaseServer, self.lease, limit).call(request).await,
            "etcdserverpb.Watch" => Ok(self.watch.serve(request, limit).await),
            "v3lockpb.Lock" => tonic_server!(LockServer, self.lock, limit).call(request).await,
            "v3electionpb.Election" => {
                tonic_server!(ElectionServer, self.election, limit).call(request).await
            }
            "grpc.health.v1.Health" => tonic_server!(HealthServer, self.health, limit).call(request).await,
            "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" => {
                let Some(reflection) = &self.reflection else {
                    return Err(unknown_method(rule.path));
                };
                let older = rule.rpc == Rpc::ReflectionAlpha;
                reflection.call(older, request.map(tonic::body::Body::new)).await
            }
            _ => return Err(unknown_method(rule.path)),
        };
        match response {
            Ok(mut response) => {
                status::reword(response.headers_mut());
                Ok(response)
            }
            Err(never) => match never {},
        }
    }
}

/// A generated server around a shared service.
macro_rules! tonic_server {
    ($server:ident, $service:expr, $limit:expr) => {
        $server::from_arc($service.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size($limit)
    };
}
use tonic_server;

/// A reply of another kind than the command's: a bug, told rather than hidden.
fn unexpected(reply: &Reply) -> Refusal {
    tracing::error!(?reply, "unexpected reply to a command");
    Refusal::Internal("unexpected reply to a command".into())
}

/// A unary request, read but not decoded.
pub(crate) struct Call {
    metadata: MetadataMap,
    extensions: http::Extensions,
    message: Bytes,
}

impl Call {
    /// Decodes the request, runs `handler`, encodes the answer.
    pub(crate) async fn run<Q, A, F, R>(self, handler: F) -> Result<Bytes, Status>
    where
        Q: Message + Default,
        A: Message,
        F: FnOnce(tonic::Request<Q>) -> R,
        R: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        let request = unary::decode(self.message)?;
        let answer = handler(tonic::Request::from_parts(self.metadata, self.extensions, request)).await?;
        unary::encode(answer.get_ref())
    }
}

/// Whether the request is compressed, in a way that can be undone.
fn is_compressed(headers: &HeaderMap) -> Result<bool, Status> {
    match headers.get("grpc-encoding").map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(other) => Err(Status::unimplemented(format!(
            "grpc: Decompressor is not installed for grpc-encoding \"{}\"",
            String::from_utf8_lossy(other)
        ))),
    }
}

/// What grpc-go says to a path that leads nowhere.
fn unknown_method(path: &str) -> Status {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) else {
        return Status::unimplemented(format!("malformed method name: \"{path}\""));
    };
    if gate::has_service(service) {
        Status::unimplemented(format!("unknown method {method} for service {service}"))
    } else {
        Status::unimplemented(format!("unknown service {service}"))
    }
}
