//! One GET of a document, at an address that was checked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT,
};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::address::is_public;
use super::quota::Place;
use super::target::Target;
use super::{Document, FetchError};
use crate::limits::Limits;

/// The head of a response.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Returns the addresses of a host name, each with this port.
type Resolver =
    fn(String, u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Fetches documents.
pub(super) struct Fetcher {
    connect_timeout: Duration,
    resolver: Resolver,
    /// Read at the first fetch: most programs fetch nothing, and a machine may have no
    /// certificates.
    tls: OnceCell<Arc<ClientConfig>>,
}

impl Fetcher {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            connect_timeout: limits.document_connect,
            resolver: |host, port| {
                Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
            },
            tls: OnceCell::new(),
        }
    }

    /// Fetches a document of at most `max_bytes`. The name is resolved once: what it means a
    /// moment later does not matter.
    pub(super) async fn fetch(
        &self,
        target: &Target,
        max_bytes: usize,
        place: &Arc<Place>,
    ) -> Result<Document, FetchError> {
        let tls = self.tls.get_or_try_init(client_config).await?;
        let addresses = checked(self.resolve(target, place).await?, target)?;
        let stream = self.connect(&addresses).await?;
        let stream = encrypted(stream, target, tls).await?;
        get(stream, target, max_bytes).await
    }

    /// Returns the addresses of the host. The resolver of the system cannot be stopped: it
    /// keeps the place until it answers, even if the fetch has ended.
    async fn resolve(
        &self,
        target: &Target,
        place: &Arc<Place>,
    ) -> Result<Vec<SocketAddr>, FetchError> {
        let resolved = (self.resolver)(target.host.clone(), target.port);
        let place = Arc::clone(place);
        let resolving = tokio::spawn(async move {
            let resolved = resolved.await;
            drop(place);
            resolved
        });
        let resolved = resolving.await.map_err(io::Error::from).flatten();
        resolved.map_err(|_| FetchError::Unusable("the host is unknown"))
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, FetchError> {
        for address in addresses {
            if let Ok(Ok(stream)) = timeout(self.connect_timeout, TcpStream::connect(address)).await
            {
                return Ok(stream);
            }
        }
        Err(FetchError::Unusable("the server cannot be reached"))
    }
}

/// Returns the addresses if all of them may be connected to.
fn checked(addresses: Vec<SocketAddr>, target: &Target) -> Result<Vec<SocketAddr>, FetchError> {
    let is_good = |address: IpAddr| match target.is_loopback {
        true => address.is_loopback(),
        false => is_public(address),
    };
    match addresses.iter().all(|address| is_good(address.ip())) {
        _ if addresses.is_empty() => Err(FetchError::Unusable("the host has no address")),
        true => Ok(addresses),
        false => Err(FetchError::Unusable(
            "the host has an address that is not public",
        )),
    }
}

async fn client_config() -> Result<Arc<ClientConfig>, FetchError> {
    let unavailable = |reason: String| FetchError::Unavailable {
        reason,
        retry_after: None,
    };
    let read = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let read = read.map_err(|error| unavailable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read.certs);
    if roots.is_empty() {
        let reason = "the system has no root certificates to fetch documents with";
        return Err(unavailable(reason.to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unavailable(error.to_string()))?;
    let config = config.with_root_certificates(roots);
    Ok(Arc::new(config.with_no_client_auth()))
}

async fn encrypted(
    stream: TcpStream,
    target: &Target,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, FetchError> {
    let name = ServerName::try_from(target.host.clone());
    let name = name.map_err(|_| FetchError::Unusable("the host is no name for TLS"))?;
    let connected = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    let connected: io::Result<_> = connected.await;
    connected.map_err(|_| FetchError::Unusable("the server has no valid certificate"))
}

async fn get(
    stream: TlsStream<TcpStream>,
    target: &Target,
    max_bytes: usize,
) -> Result<Document, FetchError> {
    let failed = |_| FetchError::Unusable("the server does not speak HTTP");
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD_BYTES);
    let (mut sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(&target.path)
        .header(HOST, target.origin())
        .header(ACCEPT, "application/json")
        .header(ACCEPT_ENCODING, "identity")
        .header(USER_AGENT, concat!("user-auth/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Unusable("the URL cannot be requested"))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(FetchError::Unusable(
            "the status of the response is not 200",
        ));
    }
    let only = |name: HeaderName| only(&head.headers, &name);
    if !only(CONTENT_TYPE).is_some_and(is_json) {
        return Err(FetchError::Unusable("the document is not JSON"));
    }
    if head.headers.contains_key(CONTENT_ENCODING) && only(CONTENT_ENCODING) != Some("identity") {
        return Err(FetchError::Unusable("the document is encoded"));
    }
    let fresh_for = fresh_for(&head.headers);
    let body = Limited::new(body, max_bytes).collect().await;
    let body = body.map_err(|_| FetchError::Unusable("the document is too long, or cut off"))?;
    Ok(Document {
        body: body.to_bytes().into(),
        fresh_for,
    })
}

/// Returns the value of a header field that occurs once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    Some(value.to_str().ok()?.trim())
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/");
    subtype.is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

/// Returns for how many seconds a response may be kept (RFC 9111 section 4.2), or `None` if
/// it does not say. A response that must not be kept, or not without another request, has
/// 0.
fn fresh_for(headers: &HeaderMap) -> Option<u32> {
    let fields = headers.get_all(CACHE_CONTROL).iter();
    let fields = fields.filter_map(|value| value.to_str().ok());
    let mut fresh = None;
    for directive in fields.flat_map(|field| field.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(0),
            "max-age" => {
                let seconds = value.trim().trim_matches('"').parse::<u64>();
                // Of two that differ, the shorter; one that cannot be read permits nothing.
                let seconds = seconds.unwrap_or(0);
                fresh = Some(fresh.map_or(seconds, |other: u64| other.min(seconds)));
            }
            _ => {}
        }
    }
    let age = only(headers, &AGE).and_then(|age| age.parse::<u64>().ok());
    let fresh = fresh?.saturating_sub(age.unwrap_or(0));
    Some(u32::try_from(fresh).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
