//! Traces (W3C Trace Context): the trace of a request, and the spans from the request
//! over its operations to their calls to the store. Where log lines go is up to the program.
//!
//! A request has a span at level INFO, so that its trace id is in every line logged
//! meanwhile. The spans below it are at DEBUG, and cost nothing unless they are
//! collected.

pub mod otlp;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tracing::{Instrument as _, Span, debug, debug_span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The target of all spans, and of the log line of each request.
pub const TARGET: &str = "user_auth_host::trace";

/// The methods of MCP. Others are not logged, since a client may send anything.
const METHODS: &[&str] = &[
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "server/discover",
    "tools/call",
    "tools/list",
];

tokio::task_local! {
    static CURRENT: Trace;
}

/// The trace of one request, or of one call outside of a request. Cheap to clone, which a
/// span is not.
#[derive(Clone)]
pub(crate) struct Trace(Arc<Traced>);

struct Traced {
    id: TraceId,
    span: Span,
}

impl Trace {
    /// Returns the current trace, or a new one.
    pub(crate) fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_else(|_| {
            let id = RandomIdGenerator::default().new_trace_id();
            let span = info_span!(target: TARGET, "call", trace_id = %id);
            Self::adopted(id, span)
        })
    }

    /// Returns the trace of an HTTP request, which may continue one that its client
    /// began.
    pub(crate) fn of_request(method: &Method, route: &'static str, headers: &HeaderMap) -> Self {
        let remote = headers.get("traceparent").map(|parent| {
            let fields = [
                ("traceparent", Some(parent)),
                ("tracestate", headers.get("tracestate")),
            ];
            let fields = fields.into_iter().filter_map(|(name, value)| {
                Some((name.to_owned(), value?.to_str().ok()?.to_owned()))
            });
            TraceContextPropagator::new().extract(&fields.collect::<HashMap<_, _>>())
        });
        let remote = remote.filter(|remote| remote.span().span_context().is_valid());
        let id = match &remote {
            Some(remote) => remote.span().span_context().trace_id(),
            None => RandomIdGenerator::default().new_trace_id(),
        };
        let span = if otlp::is_started() {
            info_span!(
                target: TARGET,
                "request",
                %method,
                route,
                trace_id = %id,
                otel.name = format!("{method} {route}"),
                otel.kind = "server",
            )
        } else {
            info_span!(target: TARGET, "request", %method, route, trace_id = %id)
        };
        if let Some(remote) = remote {
            // Fails if no exporter of spans is running.
            let _ = span.set_parent(remote);
        }
        Self::adopted(id, span)
    }

    /// Returns the trace of this span, with the id of the exported span if it is exported.
    fn adopted(mut id: TraceId, span: Span) -> Self {
        if otlp::is_started() {
            let context = span.context();
            let exported = context.span().span_context().clone();
            if exported.is_valid() && exported.trace_id() != id {
                id = exported.trace_id();
                span.record("trace_id", tracing::field::display(id));
            }
        }
        Self(Arc::new(Traced { id, span }))
    }

    pub(crate) fn id(&self) -> TraceId {
        self.0.id
    }

    pub(crate) fn span(&self) -> &Span {
        &self.0.span
    }

    /// Returns the span of an operation, within that of another operation that calls
    /// it.
    pub(crate) fn operation(&self, within: Option<&Span>, name: &str) -> Span {
        debug_span!(
            target: TARGET,
            parent: within.unwrap_or(self.span()),
            "operation",
            otel.name = name,
            otel.status_code = tracing::field::Empty,
            error.code = tracing::field::Empty,
        )
    }

    /// Runs the work as part of this trace.
    async fn scope<F: Future>(self, work: F) -> F::Output {
        let span = self.span().clone();
        CURRENT.scope(self, work).instrument(span).await
    }
}

/// Answers an HTTP request as part of its trace, and logs the result.
pub(crate) async fn answered<B>(
    trace: Trace,
    method: Method,
    route: &'static str,
    answer: impl Future<Output = http::Response<B>>,
) -> http::Response<B> {
    let kept = trace.clone();
    let span = kept.span();
    let is_exported = otlp::is_started();
    if is_exported {
        span.set_attribute("http.request.method", method.to_string());
        span.set_attribute("http.route", route);
    }
    let began = Instant::now();
    let response = trace.scope(answer).await;
    let status = response.status();
    if is_exported {
        span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
        if status >= StatusCode::INTERNAL_SERVER_ERROR {
            span.set_status(opentelemetry::trace::Status::error(""));
        }
    }
    debug!(
        target: TARGET,
        parent: span,
        %method,
        route,
        status = status.as_u16(),
        duration_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        "answered"
    );
    response
}

/// Returns the work as part of the current trace, for a task of its own.
pub(crate) fn continued<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let trace = CURRENT.try_with(Trace::clone).ok();
    async move {
        match trace {
            Some(trace) => trace.scope(work).await,
            None => work.await,
        }
    }
}

/// Logs the MCP method of a message.
pub(crate) fn message(body: &[u8]) {
    #[derive(serde::Deserialize)]
    struct Message {
        method: String,
    }
    if !tracing::enabled!(target: TARGET, tracing::Level::DEBUG) {
        return;
    }
    let method = serde_json::from_slice(body).map(|message: Message| message.method);
    let method = match &method {
        Ok(method) => METHODS.iter().find(|known| *known == method),
        Err(_) => None,
    };
    debug!(target: TARGET, mcp_method = method.copied(), "message");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(traceparent: &str) -> TraceId {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("traceparent"),
            traceparent.parse().unwrap(),
        )]);
        Trace::of_request(&Method::GET, "/", &headers).id()
    }

    #[test]
    fn a_valid_trace_is_continued() {
        // The example in the specification (section 3.2.3).
        let id = of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        for no_trace in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "",
        ] {
            let new = of(no_trace).to_string();
            assert_ne!(new, "4bf92f3577b34da6a3ce929d0e0e4736", "{no_trace}");
            assert_ne!(new, "0".repeat(32), "{no_trace}");
        }
    }

    #[tokio::test]
    async fn a_task_can_continue_the_trace() {
        let trace = Trace::of_request(&Method::GET, "/", &HeaderMap::new());
        let ids = async {
            let here = Trace::current().id();
            let there = tokio::spawn(continued(async { Trace::current().id() }));
            assert!(here == there.await.unwrap());
            assert!(here != tokio::spawn(async { Trace::current().id() }).await.unwrap());
            http::Response::new(())
        };
        answered(trace, Method::GET, "/", ids).await;
    }
}
