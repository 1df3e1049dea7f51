//! The authorization endpoint (RFC 6749 section 3.1): who asks, and whether the user has to
//! sign in before the consent page is shown.

use super::page::{self, Forms, MessagePage};
use super::visit::Visit;
use super::{consent, sign_in};
use crate::domain::clients::redirect_uri::Receiver;
use crate::error::Result;
use crate::mcp::Response;
use crate::oauth::authorization_request::{
    AnswerTo, AuthorizationRequest, DocumentState, UnanswerableReason, Unfit,
};
use crate::oauth::error::OAuthError;
use crate::oauth::metadata::AUTHORIZE;
use crate::oauth::parameters;

/// Answers an authorization request.
pub fn show(visit: &Visit) -> Result<Response> {
    // Otherwise any page could have the browsers of its visitors use up the limited number of
    // fetches.
    let document = match visit.is_visible() {
        true => DocumentState::Current,
        false => DocumentState::Known,
    };
    let request = match AuthorizationRequest::read(visit.query, document, &visit.call) {
        Ok(request) => request,
        Err(unfit) => return Ok(explain(unfit, visit)),
    };
    let now = visit.call.now();
    let session = visit.session()?;
    let session = session.filter(|session| request.sign_in.accepts(session.auth_time, now));
    let Some(session) = session else {
        let base = visit.oauth.public_url.path();
        // Otherwise the user would be asked to sign in again and again.
        let fields = visit
            .query
            .split('&')
            .filter(|field| !is_about_sign_in(field));
        let query = fields.collect::<Vec<_>>().join("&");
        let return_to = format!("{base}{AUTHORIZE}?{query}");
        // A name that nobody has checked is shown on the consent page alone, with a warning.
        let name = request.client.client_name.as_str();
        return sign_in::ask(
            visit,
            &return_to,
            request.client.is_verified().then_some(name),
        );
    };
    consent::show(&request, &session, visit)
}

/// Takes an authorization request by POST, which OpenID Connect permits (Core section
/// 3.1.2.1). Browsers send the cookie of the session with the redirect, and not with a form
/// of another site.
pub fn submit(visit: &Visit) -> Response {
    let base = visit.oauth.public_url.path();
    page::see_other(format!("{base}{AUTHORIZE}?{}", visit.form.to_query()))
}

/// Tells a client an error: by a redirect where the answer may go without a question, and
/// else by a page with a link, which names where it leads.
pub fn tell_client(answer_to: &AnswerTo, error: &OAuthError, visit: &Visit) -> Response {
    let url = answer_to.error(error);
    if answer_to.is_trusted {
        return page::see_other(url);
    }
    let texts = visit.texts();
    let (status, heading) = match error.code {
        "access_denied" => (200, texts.denied),
        _ => (400, texts.error),
    };
    let receiver = match answer_to.redirect_uri.receiver() {
        Receiver::Website(host) => host,
        Receiver::Scheme(_) => answer_to.redirect_uri.as_str(),
        Receiver::ThisMachine => texts.this_computer,
    };
    let words = format!("{} {receiver}", texts.back_to);
    let page = MessagePage {
        frame: visit.frame(),
        heading,
        text: texts.not_sent_back,
        link: Some((&url, &words)),
    };
    page::respond(status, &page, Forms::Own)
}

fn is_about_sign_in(field: &str) -> bool {
    let name = field.split('=').next().unwrap_or_default();
    parameters::decode(name).is_some_and(|name| matches!(&*name, "prompt" | "max_age"))
}

/// Tells why a request is not put to the user: the client, if it is clear that it is the
/// client, and else the user.
pub fn explain(unfit: Unfit, visit: &Visit) -> Response {
    let texts = visit.texts();
    let (status, text) = match unfit {
        Unfit::Refused(answer_to, error) => return tell_client(&answer_to, &error, visit),
        Unfit::Failed(error) => return page::failure(&error, visit.frame()),
        Unfit::Unanswerable(reason) => match reason {
            UnanswerableReason::Malformed => (400, texts.malformed_request),
            UnanswerableReason::UnknownClient => (400, texts.unknown_client),
            UnanswerableReason::UnusableDocument => (400, texts.unusable_document),
            UnanswerableReason::UnknownRedirectUri => (400, texts.unknown_redirect_uri),
        },
    };
    page::error(status, visit.frame(), text)
}
