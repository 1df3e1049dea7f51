//! An OpenTelemetry collector for tests, which accepts spans as OTLP over HTTP.

use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as AnyValue};
use opentelemetry_proto::tonic::trace::v1::Span as ProtoSpan;
use prost::Message as _;

use crate::http::{Request, answer};

/// Accepts spans at an address of its own.
pub struct Collector {
    /// The base URL: `http://127.0.0.1:PORT`.
    pub url: String,
    spans: Mutex<Receiver<Span>>,
}

/// A span as it was received.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace id, in hexadecimal.
    pub trace_id: String,
    /// The span id, in hexadecimal.
    pub span_id: String,
    /// The parent span id, in hexadecimal; empty for a root span.
    pub parent_id: String,
    /// The name of the span.
    pub name: String,
    /// The kind: 1 within a process, 2 the server of a request, 3 its client.
    pub kind: i32,
    /// The attributes, as text.
    pub attributes: Vec<(String, String)>,
    /// The attributes of the resource that sent the span.
    pub resource: Vec<(String, String)>,
}

impl Span {
    /// Returns an attribute of the span.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        text_of(&self.attributes, name)
    }

    /// Returns an attribute of the sender.
    pub fn resource(&self, name: &str) -> Option<&str> {
        text_of(&self.resource, name)
    }
}

impl Collector {
    /// Starts a collector.
    pub fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, spans) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(request) = Request::read(&stream) else {
                    continue;
                };
                let status = match received(&request) {
                    Some(received) => {
                        // The test may be over.
                        received
                            .into_iter()
                            .for_each(|span| drop(sender.send(span)));
                        200
                    }
                    None => 400,
                };
                answer(stream, status, b"");
            }
        });
        Collector {
            url: format!("http://{address}"),
            spans: Mutex::new(spans),
        }
    }

    /// Returns the spans received so far.
    pub fn spans(&self) -> Vec<Span> {
        let spans = self.spans.lock().expect("no thread failed");
        spans.try_iter().collect()
    }
}

fn received(request: &Request) -> Option<Vec<Span>> {
    let is_export = request.method == "POST"
        && request.path == "/v1/traces"
        && request.header("content-type") == Some("application/x-protobuf");
    if !is_export {
        return None;
    }
    let export = ExportTraceServiceRequest::decode(request.body.as_slice()).ok()?;
    let mut spans = Vec::new();
    for of_resource in export.resource_spans {
        let resource = texts(of_resource.resource.unwrap_or_default().attributes);
        let of_scopes = of_resource.scope_spans.into_iter();
        let all = of_scopes.flat_map(|of_scope| of_scope.spans);
        spans.extend(all.map(|span| span_of(span, resource.clone())));
    }
    Some(spans)
}

fn span_of(span: ProtoSpan, resource: Vec<(String, String)>) -> Span {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut attributes = texts(span.attributes);
    let status = span.status.unwrap_or_default();
    attributes.push((
        "status".to_owned(),
        format!("{} {}", status.code, status.message),
    ));
    for event in span.events {
        attributes.push(("event".to_owned(), event.name));
        attributes.extend(texts(event.attributes));
    }
    Span {
        trace_id: hex(span.trace_id),
        span_id: hex(span.span_id),
        parent_id: hex(span.parent_span_id),
        name: span.name,
        kind: span.kind,
        attributes,
        resource,
    }
}

fn texts(attributes: Vec<KeyValue>) -> Vec<(String, String)> {
    let texts = attributes.into_iter().map(|attribute| {
        let text = match attribute.value.and_then(|any| any.value) {
            Some(AnyValue::StringValue(text)) => text,
            other => format!("{other:?}"),
        };
        (attribute.key, text)
    });
    texts.collect()
}

fn text_of<'a>(texts: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, text) = texts.iter().find(|(known, _)| known == name)?;
    Some(text)
}
