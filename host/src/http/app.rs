//! The server as its routes see it: the component, the rules for callers, and what is
//! counted and limited. It knows no route.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use tokio_util::sync::CancellationToken;
use user_auth_origins::authority::Authority;

use super::admission::rate_limit::{self, KeyHash, Limiter};
use super::admission::shares::{NoMore, Share, Shares, Turn};
use super::admission::write_timeout::InFlight;
use super::body::Response;
use super::counters::Counters;
use super::fields::fields;
use super::policy::Policy;
use super::respond::{Wording, finish};
use super::routes::health::ReadinessCache;
use super::routes::table::RouteTable;
use crate::api::HttpRequest;
use crate::error::CallError;
use crate::plugin::Plugin;

/// The server, as its routes see it.
pub(crate) struct App {
    pub(crate) plugin: Plugin,
    pub(crate) routes: RouteTable,
    pub(crate) policy: Policy,
    /// Whether the component requires an API key.
    pub(crate) requires_key: bool,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) shares: Shares,
    pub(crate) counters: Counters,
    pub(crate) readiness: ReadinessCache,
    pub(crate) stopping: CancellationToken,
    pub(crate) started: Instant,
}

/// The client of a connection.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    pub(crate) in_flight: InFlight,
}

impl App {
    /// Returns whether an API key is required but missing.
    pub(crate) fn lacks_key(&self, headers: &HeaderMap) -> bool {
        self.requires_key && self.policy.key_header.key(headers).is_none()
    }

    /// Returns the share of this address.
    pub(crate) fn share(&self, from: IpAddr) -> Share {
        self.shares.of(from.into())
    }

    /// Acquires a slot for a call from this address; `Err` is the response if there is
    /// none.
    pub(crate) async fn turn(&self, from: IpAddr) -> Result<Turn, Response> {
        let turn = self.share(from).turn().await;
        turn.map_err(|NoMore| Wording::default().unavailable(&CallError::Busy))
    }

    /// Counts a request against the rate limit of its API key or, without one, of its
    /// address. `Err` is the number of seconds to wait before the next try.
    pub(crate) fn check_rate(
        &self,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<Option<KeyHash>, u64> {
        let key = self.limited_key(headers);
        self.count(key.as_ref(), from, Limiter::check)?;
        Ok(key)
    }

    /// Returns the key that a request counts against if the key proves valid.
    pub(crate) fn limited_key(&self, headers: &HeaderMap) -> Option<KeyHash> {
        // Keys that are never verified prove nothing.
        let counts = self.limiter.is_some() && self.requires_key;
        let key = counts.then(|| self.policy.key_header.key(headers));
        key.flatten().map(|key| rate_limit::hash(&key))
    }

    /// Returns whether this key has rates of its own.
    pub(crate) fn knows(&self, key: &KeyHash) -> bool {
        let limiter = self.limiter.as_ref();
        limiter.is_some_and(|limiter| limiter.knows(key))
    }

    /// Counts a request with `check`. `Err` is the number of seconds to wait before the
    /// next try.
    pub(crate) fn count(
        &self,
        key: Option<&KeyHash>,
        from: IpAddr,
        check: impl Fn(&Limiter, Option<&KeyHash>, IpAddr) -> Result<(), u64>,
    ) -> Result<(), u64> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        check(limiter, key, from).inspect_err(|_| {
            self.counters.rate_limited.inc();
        })
    }

    /// Records whether the component accepted the API key.
    pub(crate) fn record_key_result(&self, response: Response, key: Option<KeyHash>) -> Response {
        if !self.requires_key {
            return response;
        }
        let is_refused = response.status() == StatusCode::UNAUTHORIZED
            && response
                .headers()
                .get(WWW_AUTHENTICATE)
                .is_some_and(|challenge| challenge.as_bytes().starts_with(b"ApiKey "));
        if is_refused {
            self.counters.unauthenticated.inc();
        }
        if let (Some(limiter), Some(key)) = (&self.limiter, key) {
            if is_refused {
                limiter.mark_invalid(&key);
            } else if response.status().is_success() {
                // Any other answer leaves open whether the component looked at the key.
                limiter.mark_valid(key);
            }
        }
        response
    }

    /// Returns a request, without its body, as the component gets it.
    pub(crate) fn request(
        &self,
        parts: &Parts,
        peer: IpAddr,
        named: Option<&Authority>,
    ) -> HttpRequest {
        let Self { policy, .. } = self;
        let headers = &parts.headers;
        let target = parts.uri.path_and_query();
        HttpRequest {
            method: parts.method.as_str().to_owned(),
            target: target.map_or_else(|| parts.uri.path().to_owned(), ToString::to_string),
            authority: named.map(ToString::to_string),
            tls: policy.https || policy.proxies.says_https(peer, headers),
            headers: fields(headers, &policy.key_header),
            api_key_header: policy.key_header.as_str().to_owned(),
            peer: Some(policy.proxies.client_ip(peer, headers).to_string()),
            body: Vec::new(),
        }
    }

    /// Asks the component to verify the API key of a request; `Err` is the response if it
    /// rejects the key.
    pub(crate) async fn authenticate_key(
        &self,
        request: HttpRequest,
        key: Option<KeyHash>,
    ) -> Result<(), Response> {
        match self.plugin.admit(request).await {
            Ok(None) => {
                if let (Some(limiter), Some(key)) = (&self.limiter, key) {
                    limiter.mark_valid(key);
                }
                Ok(())
            }
            Ok(Some(refusal)) => {
                let refusal = finish(refusal);
                Err(self.record_key_result(refusal, key))
            }
            Err(error) => Err(Wording::default().unavailable(&error)),
        }
    }
}
