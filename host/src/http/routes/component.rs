//! The routes of the component: a request in, its response out.
//!
//! The host knows of a route only its [`RouteClass`].

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use http::header::ACCEPT;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use user_auth_origins::authority::Authority;

use super::sse;
use super::table::{BodyUse, RouteClass};
use crate::api::RateClass;
use crate::embed::client::NoClient;
use crate::error::CallError;
use crate::http::admission::bodies::{self, Kept};
use crate::http::admission::rate_limit::{KeyHash, Limiter};
use crate::http::admission::shares::NoMore;
use crate::http::app::{App, Caller};
use crate::http::body::Response;
use crate::http::respond::{Failed, plain};

/// Number of bytes kept of a body that is rejected regardless of its content: enough to
/// find the id of a message. The memory for bodies is reserved for other callers.
const REFUSED_BYTES: usize = 4 << 10;

pub(crate) async fn handle(
    app: &App,
    caller: &Caller,
    named: Option<&Authority>,
    route: &Arc<RouteClass>,
    request: Request<Incoming>,
) -> Response {
    let (parts, body) = request.into_parts();
    let peer = caller.peer.ip();
    let from = app.policy.proxies.client_ip(peer, &parts.headers);
    let share = app.share(from);
    let key = app.limited_key(&parts.headers);
    let is_known = key.as_ref().is_some_and(|key| app.knows(key));
    let charge = |is_verification| match check(route, is_known, is_verification) {
        Some(check) => app.count(key.as_ref(), from, check),
        None => Ok(()),
    };
    // The body decides for which rate of a known key it counts.
    let by_body = match &route.body {
        BodyUse::Json(outliner) if is_known => Some(outliner),
        BodyUse::Json(_) | BodyUse::Ignored | BodyUse::Content => None,
    };
    let mut charged = match by_body {
        Some(_) => Ok(()),
        None => charge(false),
    };
    let is_refused = charged.is_err() || route.requires_api_key && app.lacks_key(&parts.headers);
    let kept = match route.body {
        BodyUse::Ignored => Ok(Kept {
            body: Vec::new(),
            memory: share.clone().memory(),
        }),
        // Read even if it is refused: most clients listen for an answer only once they have
        // sent everything, and the id of their request is in it.
        BodyUse::Content | BodyUse::Json(_) => {
            let keep = match is_refused {
                true => REFUSED_BYTES,
                false => app.plugin.limits().body_bytes,
            };
            let memory = share.clone().memory();
            bodies::read(body, keep, memory, app.plugin.limits(), &route.wording()).await
        }
    };
    let Kept { body, memory } = match kept {
        Ok(kept) => kept,
        Err(refusal) => return refusal,
    };
    if let Some(outliner) = by_body {
        charged = charge(outliner.outline(&body).is_verification);
    }
    if let Err(seconds) = charged {
        return route.wording_for(&body).limited(seconds);
    }
    let mut request = app.request(&parts, peer, named);
    request.body = body;
    // A request without a body has been in flight from its beginning.
    let is_read = !matches!(route.body, BodyUse::Ignored);
    let guard = is_read.then(|| caller.in_flight.begin());
    let turn = match share.turn().await {
        Ok(turn) => turn,
        Err(NoMore) => {
            return route
                .wording_for(&request.body)
                .unavailable(&CallError::Busy);
        }
    };
    let plugin = app.plugin.clone();
    let asked = Arc::clone(route);
    let running = turn.share();
    // The future of a call takes kilobytes. It is passed on by reference, so that it is not
    // copied again and again.
    let call = |client| {
        async move {
            let answered = pin!(plugin.handle_http(&request, client));
            let answered = running.run(answered).await;
            drop(memory);
            answered.map_err(|error| Failed {
                wording: asked.wording_for(&request.body),
                error,
            })
        }
        .boxed()
    };
    let response = if takes_events(&parts.headers) {
        sse::answer(call, route.wording()).await
    } else {
        plain(call(Arc::new(NoClient)).await)
    };
    // Where no key is required, the component may not have looked at one.
    let key = key.filter(|_| route.requires_api_key);
    let mut response = app.record_key_result(response, key);
    response.body_mut().begin(guard);
    response.body_mut().keep(turn);
    response
}

/// Counts a request against a rate.
type Check = fn(&Limiter, Option<&KeyHash>, IpAddr) -> Result<(), u64>;

/// Returns the rate that a request counts for, or `None` if it counts for none.
fn check(route: &RouteClass, is_known: bool, is_verification: bool) -> Option<Check> {
    match route.rate {
        RateClass::None => None,
        RateClass::Caller if is_verification => Some(Limiter::check_verification),
        RateClass::Caller => Some(Limiter::check),
        // A proxy without a key asks on behalf of all its visitors.
        RateClass::Verifier if !is_known && !route.requires_api_key => None,
        RateClass::Verifier => Some(Limiter::check_verification),
    }
}

/// Returns whether the client explicitly accepts a stream. A wildcard does not count:
/// a client that sends `*/*`, such as curl, accepts JSON as well.
fn takes_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().unwrap_or_default();
            named.eq_ignore_ascii_case("text/event-stream")
                && !parts
                    .filter_map(|parameter| parameter.strip_prefix("q="))
                    .any(is_zero)
        })
}

/// RFC 9110 §12.4.2: a weight of 0 means 'not acceptable'.
fn is_zero(weight: &str) -> bool {
    weight.trim().parse() == Ok(0.0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_stream_must_be_asked_for_by_name() {
        for (accept, expected) in [
            ("application/json, text/event-stream", true),
            ("text/event-stream;q=0.5", true),
            ("text/event-stream;q=0", false),
            ("*/*", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(takes_events(&headers), expected, "{accept}");
        }
    }
}
