//! `GET /jwks`: the public keys by which other services verify tokens issued for them.
//!
//! It requires no key, and pages of all origins may read it: the keys are public.

use super::Request;
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::env::Env;
use crate::domain::reporter::Silent;
use crate::domain::sessions::jwks;
use crate::json::JsonText;
use crate::mcp::{self, Refusal, Response};
use crate::ports::Ports;
use crate::settings::Settings;

pub fn answer(request: &Request, settings: &Settings, ports: Ports) -> Result<Response, Refusal> {
    request.require_method(&["GET", "HEAD"])?;
    let caller = Caller {
        principal: Principal::Anonymous,
        source: Source::from_peer(request.peer.as_deref()),
    };
    let call = Call::new(Env { ports, settings }, &caller, &Silent);
    let keys = jwks::document(&call).map_err(|error| Refusal::of(&error, call.now()))?;
    let cache = ("cache-control".to_owned(), jwks::cache_control());
    Ok(mcp::json_response(200, vec![cache], JsonText::of(&keys)))
}
