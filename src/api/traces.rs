//! Traces (`--enable-distributed-tracing`): a span for each call, below the one that its caller names in `traceparent`
//! (W3C Trace Context), and inside it one with what the request names; both as etcd's are named and filled. Values are in
//! none of them.
//!
//! A call runs in the context of its span, so that whoever begins one inside it needs no parameter for its parent. Spans
//! are exported in batches by a thread of OpenTelemetry's; a request waits for none of them. What the collector does not
//! take is lost and counted.
//!
//! * `named`: what spans say of a request. `export`: the way to the collector.

mod export;
mod named;

use std::any::Any;
use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tonic::Code;

use super::client::Client;
use super::metrics::{Page, Source};
use super::rules::Rule;
use export::{Counts, Queue};
use named::named;

/// Where spans go, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The collector, which takes OTLP over gRPC: host and port (`--distributed-tracing-address`).
    pub address: String,
    /// The service's name (`--distributed-tracing-service-name`).
    pub service: String,
    /// The member's name among those of the service (`--distributed-tracing-instance-id`); none if it is empty.
    pub instance: String,
    /// How many of a million traces are exported that begin here (`--distributed-tracing-sampling-rate`). One that a
    /// caller has begun is exported if the caller exports it.
    pub per_million: u32,
}

/// The traces of a member.
pub struct Traces {
    provider: SdkTracerProvider,
    calls: SdkTracer,
    requests: SdkTracer,
    counts: Arc<Counts>,
}

impl Traces {
    /// Exports spans to a collector. It is connected to when there is something to export. Must be called on a runtime,
    /// which makes the connection.
    ///
    /// # Errors
    /// If the address is none.
    pub fn open(options: &Options) -> Result<Self, String> {
        let counts = Arc::<Counts>::default();
        let queue = Queue::open(&options.address, counts.clone())?;
        let mut resource = Resource::builder_empty().with_service_name(options.service.clone());
        if !options.instance.is_empty() {
            resource =
                resource.with_attribute(KeyValue::new("service.instance.id", options.instance.clone()));
        }
        let begun_here = match options.per_million {
            0 => Sampler::AlwaysOff,
            count => Sampler::TraceIdRatioBased(f64::from(count) / 1e6),
        };
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue)
            .with_resource(resource.build())
            .with_sampler(Sampler::ParentBased(Box::new(begun_here)))
            .build();
        let version = env!("CARGO_PKG_VERSION");
        let scope = |name: &'static str| InstrumentationScope::builder(name).with_version(version).build();
        let (calls, requests) =
            (provider.tracer_with_scope(scope("kvd/grpc")), provider.tracer_with_scope(scope("kvd")));
        Ok(Self { provider, calls, requests, counts })
    }

    /// A call begins.
    pub fn call(&self, rule: &'static Rule, headers: &HeaderMap, client: &Client) -> Call {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        // Without the slash before it.
        let name = rule.path.get(1..).unwrap_or_default();
        let mut attributes =
            vec![KeyValue::new("rpc.method", name), KeyValue::new("rpc.system.name", "grpc")];
        if let Some(local) = client.local {
            attributes.push(KeyValue::new("server.address", local.ip().to_canonical().to_string()));
            attributes.push(KeyValue::new("server.port", i64::from(local.port())));
        }
        let builder = self.calls.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
        Call { context: parent.with_span(builder.start_with_context(&self.calls, &parent)), is_over: false }
    }

    /// The context of a span inside the current one that says what a request names; `None` if it names nothing, or if no
    /// span of this trace is exported. The span ends when its context is dropped.
    pub fn request(&self, request: &dyn Any) -> Option<Context> {
        let current = Context::current();
        if !current.span().is_recording() {
            return None;
        }
        let (name, attributes) = named(request)?;
        let builder = self.requests.span_builder(name).with_attributes(attributes);
        let span = builder.start_with_context(&self.requests, &current);
        Some(current.with_span(span))
    }

    /// Exports what is left. Blocks for some seconds at most.
    pub fn close(&self) {
        // What is lost has been counted and logged by the exporter.
        let _ = self.provider.shutdown();
    }
}

impl Source for Traces {
    fn write(&self, page: &mut Page) {
        self.counts.write(page);
    }
}

/// Something happens in the current span, if there is one.
pub fn event(name: &'static str) {
    Context::map_current(|context| {
        if context.has_active_span() {
            context.span().add_event(name, Vec::new());
        }
    });
}

/// The span of a call. A call that is dropped before its end was cancelled.
pub struct Call {
    context: Context,
    is_over: bool,
}

impl Call {
    /// What runs in it is inside the span.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The call has ended.
    pub fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("rpc.response.status_code", canonical(code)));
            let is_the_servers = matches!(
                code,
                Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::Unimplemented
                    | Code::Internal
                    | Code::Unavailable
                    | Code::DataLoss
            );
            if is_the_servers {
                span.set_status(Status::error(code.description()));
            }
            span.end();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The longest field of a parent that is read, in bytes.
const MAX_FIELD: usize = 512;

/// Metadata, for the parent that is named there.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        // Longer ones need not be passed on (W3C Trace Context section 3.3.1.5): a span keeps it for as long as it lives.
        self.0.get(key)?.to_str().ok().filter(|value| value.len() <= MAX_FIELD)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// A code's name in gRPC's own documents, which traces use.
fn canonical(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_a_caller_says_of_its_trace_takes_little_memory() {
        let mut headers = HeaderMap::new();
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.insert("traceparent", HeaderValue::from_static(parent));
        let mut kept = |state: String| {
            headers.insert("tracestate", HeaderValue::from_str(&state).expect("ASCII"));
            let found =
                TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(&headers));
            let context = found.span().span_context().clone();
            assert!(context.is_valid() && context.is_sampled());
            context.trace_state().header().len()
        };
        assert_eq!(kept("vendor=value".into()), 12);
        assert_eq!(kept(format!("vendor={}", "v".repeat(50_000))), 0);
        assert_eq!(kept((0..5000).map(|n| format!("v{n}=x,")).collect()), 0);
    }
}
