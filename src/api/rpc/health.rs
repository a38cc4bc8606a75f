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
    services: &Arc<Services>,
    _caller: Caller,
    request: HealthCheckRequest,
) -> Result<HealthCheckResponse, Refusal> {
    if !request.service.is_empty() {
        return Err(Refusal::UnknownService);
    }
    Ok(answer(now(services)))
}

/// A member whose state is wrong serves nothing.
fn now(services: &Services) -> ServingStatus {
    if services.store.is_condemned() { ServingStatus::NotServing } else { ServingStatus::Serving }
}

/// `Watch`: the status now. The stream ends if this member's state is found wrong, and stays open otherwise.
pub async fn watch(
    services: &Arc<Services>,
    _caller: Caller,
    request: HealthCheckRequest,
) -> Result<Changes, Refusal> {
    let status = match request.service.as_str() {
        "" => now(services),
        _ => ServingStatus::ServiceUnknown,
    };
    let first = stream::once(async move { Ok(answer(status)) });
    Ok(Box::pin(first.chain(stream::pending())))
}
