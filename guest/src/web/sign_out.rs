//! Signing out.

use super::cookies::Cookie;
use super::page;
use super::visit::Visit;
use super::{SIGN_IN, SIGN_OUT, sign_in};
use crate::error::Result;
use crate::mcp::Response;

/// Says that the user is signed out, or leads to the page where that can be done.
pub fn show(visit: &Visit) -> Result<Response> {
    if visit.session()?.is_some() {
        let path = visit.oauth.public_url.path();
        return Ok(page::see_other(format!("{path}{SIGN_IN}")));
    }
    let texts = visit.texts();
    let frame = visit.frame();
    Ok(page::message(
        200,
        frame,
        texts.signed_out,
        texts.signed_out_text,
    ))
}

/// Takes the form that signs the user out.
pub fn submit(visit: &Visit) -> Result<Response> {
    if !visit.is_of_own_form()? {
        let text = visit.texts().form_expired;
        return Ok(page::error(403, visit.frame(), text));
    }
    if let Some(cookie) = visit.cookie(Cookie::Session) {
        sign_in::end(&cookie, visit)?;
    }
    let public_url = &visit.oauth.public_url;
    let mut response = page::see_other(format!("{}{SIGN_OUT}", public_url.path()));
    let is_https = public_url.is_https();
    response.headers.push(Cookie::Session.delete(is_https));
    response.headers.push(Cookie::Form.delete(is_https));
    Ok(response)
}
