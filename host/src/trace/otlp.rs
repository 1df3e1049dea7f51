//! Exports spans to an OpenTelemetry collector: OTLP over HTTP, in protobuf.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::Handle;
use tracing::{info, warn};
use url::Url;

/// Timeout of the collector for one batch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of the program waits for the last batch.
const FLUSH: Duration = Duration::from_secs(3);

/// Whether an exporter is running that uses the details of exported spans.
static IS_STARTED: AtomicBool = AtomicBool::new(false);

pub(super) fn is_started() -> bool {
    IS_STARTED.load(Relaxed)
}

/// Sends spans until it is finished.
pub struct Otlp {
    provider: SdkTracerProvider,
}

impl Otlp {
    /// Starts an exporter that posts to this URL, with tasks on this runtime.
    ///
    /// The error is a message for users.
    pub fn start(url: &Url, runtime: Handle) -> Result<Self, String> {
        if url.scheme() != "http" {
            return Err(format!(
                "spans are sent over http only, to a collector on this machine or beside it, \
                 not over {}",
                url.scheme()
            ));
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_endpoint(url.as_str())
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| error.to_string())?;
        let resource = Resource::builder()
            .with_service_name("user-auth")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            // A caller must not decide what is sampled here.
            .with_sampler(Sampler::AlwaysOn)
            .with_batch_exporter(Exporter {
                inner: Arc::new(exporter),
                runtime,
                is_failing: AtomicBool::new(false),
            })
            .build();
        IS_STARTED.store(true, Relaxed);
        Ok(Self { provider })
    }

    /// Returns the tracer whose spans are sent.
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("user-auth")
    }

    /// Sends the remaining spans, for at most three seconds. Blocks the thread, and
    /// needs the runtime to be running.
    pub fn finish(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            warn!(%error, "the last spans may be lost");
        }
    }
}

/// Batches are collected on a separate thread and sent by a task, since the client
/// needs a runtime.
#[derive(Debug)]
struct Exporter {
    inner: Arc<opentelemetry_otlp::SpanExporter>,
    runtime: Handle,
    is_failing: AtomicBool,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let inner = Arc::clone(&self.inner);
        let sent = self.runtime.spawn(async move { inner.export(batch).await });
        let sent = match sent.await {
            Ok(sent) => sent,
            Err(ended) => Err(OTelSdkError::InternalFailure(ended.to_string())),
        };
        match &sent {
            Ok(()) if self.is_failing.swap(false, Relaxed) => info!("spans are sent again"),
            Err(error) if !self.is_failing.swap(true, Relaxed) => {
                warn!(%error, "spans cannot be sent and are lost until this is over");
            }
            _ => {}
        }
        sent
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}
