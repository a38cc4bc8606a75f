//! The health service of gRPC (`grpc.health.v1`): the server as a whole, under the empty name, and nothing else.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Response, Status};

use crate::api::proto::health::health_check_response::ServingStatus;
use crate::api::proto::health::health_server::Health;
use crate::api::proto::health::{HealthCheckRequest, HealthCheckResponse};

/// See the module.
pub struct HealthService;

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !request.get_ref().service.is_empty() {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(answer(ServingStatus::Serving)))
    }

    /// The status now, and the stream stays open: it never changes while the server serves.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let status = match request.get_ref().service.as_str() {
            "" => ServingStatus::Serving,
            _ => ServingStatus::ServiceUnknown,
        };
        let now = stream::once(async move { Ok(answer(status)) });
        Ok(Response::new(Box::pin(now.chain(stream::pending()))))
    }
}
