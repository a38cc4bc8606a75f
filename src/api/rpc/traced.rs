//! The place of traces: around the handlers, whatever the interface.

use std::any::Any;

use opentelemetry::Context;
use opentelemetry::context::FutureExt;

use crate::api::rules::Rpc;
use crate::api::services::Services;
use crate::model::Refusal;

/// Runs a handler, in a span that says what its request names if traces are exported; see [`still_served`] for its answer.
pub async fn traced<Q: Any, A, F: Future<Output = Result<A, Refusal>>>(
    services: &Services,
    rpc: Rpc,
    request: Q,
    handler: impl FnOnce(Q) -> F,
) -> Result<A, Refusal> {
    let answer = match span(services, &request) {
        None => handler(request).await,
        Some(context) => Box::pin(handler(request).with_context(context)).await,
    }?;
    still_served(services, rpc)?;
    Ok(answer)
}

/// Refuses an answer if this member's state was found wrong while the call was under way: it may come from it. A stream
/// that has begun is ended by its leash.
pub fn still_served(services: &Services, rpc: Rpc) -> Result<(), Refusal> {
    match services.store.is_condemned() && !rpc.needs_no_state() {
        // What was written stays written.
        true => Err(if rpc.only_reads() { Refusal::Corrupt } else { Refusal::TimeoutLeaderFailed }),
        false => Ok(()),
    }
}

/// The context of a span for a request of a stream; the span ends when it is dropped.
pub fn span(services: &Services, request: &dyn Any) -> Option<Context> {
    services.traces.get()?.request(request)
}
