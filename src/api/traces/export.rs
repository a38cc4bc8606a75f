//! The way to the collector: OpenTelemetry's queue and exporter, with counters and a warning around them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

use crate::api::metrics::Page;

/// Spans that have ended and that the collector has not taken yet. Beyond that they are lost: a slow collector holds no
/// memory.
const WAITING: usize = 2048;

/// How many spans have been exported and lost.
#[derive(Debug, Default)]
pub struct Counts {
    exported: AtomicU64,
    lost: AtomicU64,
    /// Spans on their way.
    waiting: AtomicUsize,
    /// The last batch was lost, or there was no room for the last span.
    fails: AtomicBool,
}

impl Counts {
    /// So many spans are lost. The first of several are logged.
    fn lost(&self, count: u64, address: &str, why: &dyn std::fmt::Display) {
        self.lost.fetch_add(count, Ordering::Relaxed);
        if !self.fails.swap(true, Ordering::Relaxed) {
            tracing::warn!(address, %why, "the collector does not take traces; they are lost");
        }
    }

    /// As metrics.
    pub fn write(&self, page: &mut Page) {
        let exported = self.exported.load(Ordering::Relaxed);
        page.counter(
            "kvd_trace_spans_exported_total",
            "Spans that the collector of traces has taken.",
            exported,
        );
        let lost = self.lost.load(Ordering::Relaxed);
        page.counter(
            "kvd_trace_spans_lost_total",
            "Spans that the collector of traces did not take; check --distributed-tracing-address.",
            lost,
        );
    }
}

/// The queue: it takes what there is room for, and counts the rest. OpenTelemetry's own drops that without a number.
#[derive(Debug)]
pub struct Queue {
    batches: BatchSpanProcessor,
    address: String,
    counts: Arc<Counts>,
}

impl Queue {
    /// The queue to a collector, by host and port.
    ///
    /// # Errors
    /// If the address is none.
    pub fn open(address: &str, counts: Arc<Counts>) -> Result<Self, String> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(format!("http://{address}"))
            .build()
            .map_err(|error| format!("distributed-tracing-address {address:?}: {error}"))?;
        Ok(Self::before(exporter, address, counts))
    }

    fn before(exporter: impl SpanExporter + 'static, address: &str, counts: Arc<Counts>) -> Self {
        let address = address.to_string();
        let counted = Counted { exporter, address: address.clone(), counts: counts.clone() };
        let config = BatchConfigBuilder::default().with_max_queue_size(WAITING).build();
        let batches = BatchSpanProcessor::builder(counted).with_batch_config(config).build();
        Self { batches, address, counts }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.counts.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            return self.counts.lost(1, &self.address, &"it is too slow");
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// The exporter behind the queue.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    address: String,
    counts: Arc<Counts>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let outcome = self.exporter.export(batch).await;
        self.counts.waiting.fetch_sub(count, Ordering::Relaxed);
        match &outcome {
            Ok(()) => {
                self.counts.exported.fetch_add(count as u64, Ordering::Relaxed);
                self.counts.fails.store(false, Ordering::Relaxed);
            }
            Err(error) => self.counts.lost(count as u64, &self.address, error),
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use parking_lot::Mutex;

    use super::*;

    /// A collector that takes nothing while the lock is held.
    #[derive(Debug, Default)]
    struct Slow(Arc<Mutex<()>>);

    impl SpanExporter for Slow {
        async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
            drop(self.0.lock());
            Ok(())
        }
    }

    #[test]
    fn what_a_slow_collector_does_not_take_is_counted() {
        let (counts, slow) = (Arc::<Counts>::default(), Slow::default());
        let lock = slow.0.clone();
        let queue = Queue::before(slow, "a:1", counts.clone());
        let provider = SdkTracerProvider::builder().with_span_processor(queue).build();
        let tracer = provider.tracer("test");
        let numbers = || [&counts.exported, &counts.lost].map(|count| count.load(Ordering::Relaxed));
        let held = lock.lock();
        for _ in 0..WAITING + 10 {
            drop(tracer.start("a span"));
        }
        assert_eq!(numbers(), [0, 10]);
        drop(held);
        provider.force_flush().expect("taken");
        assert_eq!(numbers(), [WAITING as u64, 10]);
        drop(tracer.start("a span"));
        provider.shutdown().expect("taken");
        assert_eq!(numbers(), [WAITING as u64 + 1, 10], "there is room again");
    }
}
