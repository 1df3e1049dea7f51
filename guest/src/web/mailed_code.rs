//! The codes that messages bring as a link.
//!
//! A link that works without scripts has its code in the query, where the history of the
//! browser and the log of a proxy would keep it. So the first page only moves the code into a
//! cookie, and sends the browser on to the address without it. Opening the link uses nothing
//! up: programs that check mail open links, too.

use super::cookies::Cookie;
use super::form::Field;
use super::page;
use super::visit::Visit;
use crate::domain::credentials::email_code::Code;
use crate::mcp::Response;
use crate::oauth::parameters::Parameters;

/// Returns the response that moves the code of a link into a cookie, if the query has one.
pub fn keep(page: &str, visit: &Visit) -> Option<Response> {
    let query = Parameters::parse(visit.query.as_bytes())?;
    let code = query.first("code")?;
    let public_url = &visit.oauth.public_url;
    let mut response = page::see_other(format!("{}{page}", public_url.path()));
    let lasts = Some(visit.call.settings.code_ttl);
    // Only what has the form of a code is put into a header field.
    response.headers.push(match Code::parse(code) {
        Some(code) => Cookie::Code.set(code.to_secret().expose(), lasts, public_url.is_https()),
        None => Cookie::Code.delete(public_url.is_https()),
    });
    Some(response)
}

/// Returns the field for the code, unless the browser has one without a problem already.
pub fn field<'a>(problem: Option<&'a str>, visit: &'a Visit) -> Option<Field<'a>> {
    let texts = visit.texts();
    let value = visit.typed("code");
    let is_kept = value.is_empty() && visit.cookie(Cookie::Code).is_some();
    (!is_kept || problem.is_some()).then(|| Field {
        hint: texts.enter_code,
        problem,
        value,
        length: (0, 128),
        ..Field::text("code", texts.code, "off")
    })
}

/// Returns the code that was typed, or else the one in the cookie.
pub fn read(visit: &Visit) -> Option<String> {
    let typed = visit.form.first("code").map(str::to_owned);
    typed.or_else(|| visit.cookie(Cookie::Code))
}

/// Returns the header field that deletes the cookie.
pub fn forget(visit: &Visit) -> (String, String) {
    Cookie::Code.delete(visit.oauth.public_url.is_https())
}
