//! The health service of gRPC (`grpc.health.v1`): the server as a whole, under the empty name, and nothing else.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};

use crate::api::proto::health::health_check_response::ServingStatus;
use crate::api::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::api::services::Services;
use crate::model::{Caller, Refusal};

/// The messages of a watch.
pub type Changes = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Refusal>> + Send>>;

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

/// `Check`.
pub async fn check(
    _services: &Arc<Services>,
    _caller: Caller,
    request: HealthCheckRequest,
) -> Result<HealthCheckResponse, Refusal> {
    if !request.service.is_empty() {
        return Err(Refusal::UnknownService);
    }
    Ok(answer(ServingStatus::Serving))
}

/// `Watch`: the status now, and the stream stays open: it never changes while the server serves.
pub async fn watch(
    _services: &Arc<Services>,
    _caller: Caller,
    request: HealthCheckRequest,
) -> Result<Changes, Refusal> {
    let status = match request.service.as_str() {
        "" => ServingStatus::Serving,
        _ => ServingStatus::ServiceUnknown,
    };
    let now = stream::once(async move { Ok(answer(status)) });
    Ok(Box::pin(now.chain(stream::pending())))
}
