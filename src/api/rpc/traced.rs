//! The place of traces: around the handlers, whatever the interface.

use std::any::Any;

use opentelemetry::Context;
use opentelemetry::context::FutureExt;

use crate::api::services::Services;

/// Runs a handler, in a span that says what its request names if traces are exported.
pub async fn traced<Q: Any, F: Future>(
    services: &Services,
    request: Q,
    handler: impl FnOnce(Q) -> F,
) -> F::Output {
    match span(services, &request) {
        None => handler(request).await,
        Some(context) => Box::pin(handler(request).with_context(context)).await,
    }
}

/// The context of a span for a request of a stream; the span ends when it is dropped.
pub fn span(services: &Services, request: &dyn Any) -> Option<Context> {
    services.traces.get()?.request(request)
}
