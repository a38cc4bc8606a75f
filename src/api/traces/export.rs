//! The way to the collector: OpenTelemetry's exporter, with counters and a warning around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::api::metrics::Page;

/// How many spans have been exported and lost.
#[derive(Debug, Default)]
pub struct Counts {
    exported: AtomicU64,
    lost: AtomicU64,
    /// The last batch was lost.
    fails: AtomicBool,
}

impl Counts {
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

/// See the module.
#[derive(Debug)]
pub struct Counted {
    exporter: opentelemetry_otlp::SpanExporter,
    address: String,
    counts: Arc<Counts>,
}

impl Counted {
    /// An exporter to a collector, by host and port.
    ///
    /// # Errors
    /// If the address is none.
    pub fn open(address: &str, counts: Arc<Counts>) -> Result<Self, String> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(format!("http://{address}"))
            .build()
            .map_err(|error| format!("distributed-tracing-address {address:?}: {error}"))?;
        Ok(Self { exporter, address: address.to_string(), counts })
    }
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let outcome = self.exporter.export(batch).await;
        match &outcome {
            Ok(()) => {
                self.counts.exported.fetch_add(count, Ordering::Relaxed);
                self.counts.fails.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                self.counts.lost.fetch_add(count, Ordering::Relaxed);
                // The first of several.
                if !self.counts.fails.swap(true, Ordering::Relaxed) {
                    tracing::warn!(address = self.address, %error, "the collector does not take traces; they are lost");
                }
            }
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
