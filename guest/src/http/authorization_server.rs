//! The routes of the authorization server, which there are if it is switched on: its
//! metadata, its token endpoint, and its pages.

use super::request::{JSON, Request, only, read};
use super::{Body, Form, Pages, Rate, Route};
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::env::Env;
use crate::domain::reporter::Silent;
use crate::json::JsonText;
use crate::mcp::{self, Refusal, Response};
use crate::oauth::client_configuration::{self, ClientRequest};
use crate::oauth::error::OAuthError;
use crate::oauth::metadata::{self, AUTHORIZE, REGISTER, Reader, TOKEN, USERINFO};
use crate::oauth::parameters::{MAX_BYTES, Parameters};
use crate::oauth::{registration, token, userinfo};
use crate::ports::Ports;
use crate::settings::{ClientRegistration, OAuth, Settings};
use crate::web::visit::Visit;
use crate::web::{
    AGENT_SIGN_IN, APPROVE, APPS, CONSENT, SECOND_FACTOR, SIGN_IN, SIGN_OUT, STYLE, page,
};
use crate::web::{NEW_PASSWORD, RESET_PASSWORD, SIGN_UP, VERIFY_EMAIL};
use crate::web::{agent_sign_in, approve, apps, authorize, consent, new_password, reset_password};
use crate::web::{sign_in, sign_out, sign_up, verify_email};

/// The place of the metadata (RFC 8414 section 3), before the path of the issuer. Some
/// clients look for it after that path.
const METADATA: &str = "/.well-known/oauth-authorization-server";
/// The place of the same for clients that sign users in (OpenID Connect Discovery 1.0 section
/// 4), after the path of the issuer. Some clients look for it before that path.
const OPENID: &str = "/.well-known/openid-configuration";
/// The place of the metadata of `/mcp` as a resource server (RFC 9728 section 3.1), before its
/// path. Some clients look for it without that path.
const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";
/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";
/// Changes with the program and its settings only, but both may be replaced at any time.
const STYLE_CACHE: &str = "public, max-age=3600";

/// What answers at a route of the authorization server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Metadata,
    OpenId,
    ProtectedResource,
    Token,
    UserInfo,
    Register,
    Authorize,
    SignIn,
    SecondFactor,
    SignUp,
    ResetPassword,
    NewPassword,
    VerifyEmail,
    Consent,
    AgentSignIn,
    Approve,
    Apps,
    SignOut,
    Style,
}

/// The paths below the issuer.
const LOCAL: [(&str, Endpoint); 16] = [
    (TOKEN, Endpoint::Token),
    (USERINFO, Endpoint::UserInfo),
    (REGISTER, Endpoint::Register),
    (AUTHORIZE, Endpoint::Authorize),
    (SIGN_IN, Endpoint::SignIn),
    (SECOND_FACTOR, Endpoint::SecondFactor),
    (SIGN_UP, Endpoint::SignUp),
    (RESET_PASSWORD, Endpoint::ResetPassword),
    (NEW_PASSWORD, Endpoint::NewPassword),
    (VERIFY_EMAIL, Endpoint::VerifyEmail),
    (CONSENT, Endpoint::Consent),
    (AGENT_SIGN_IN, Endpoint::AgentSignIn),
    (APPROVE, Endpoint::Approve),
    (APPS, Endpoint::Apps),
    (SIGN_OUT, Endpoint::SignOut),
    (STYLE, Endpoint::Style),
];

/// Returns the paths of its routes below the issuer.
pub fn local_paths(oauth: &OAuth) -> impl Iterator<Item = &'static str> {
    local(oauth).map(|(path, _)| path)
}

fn local(oauth: &OAuth) -> impl Iterator<Item = (&'static str, Endpoint)> {
    LOCAL.into_iter().filter(|(_, endpoint)| match endpoint {
        Endpoint::Register => oauth.registration == ClientRegistration::Open,
        Endpoint::SignUp => oauth.sign_up,
        Endpoint::ResetPassword | Endpoint::NewPassword | Endpoint::VerifyEmail => {
            oauth.has_delivery
        }
        _ => true,
    })
}

/// Returns the places of its metadata, from the root of its host. A request for the
/// metadata of another issuer on this host finds nothing.
pub fn metadata_paths(oauth: &OAuth) -> Vec<String> {
    let mut paths = around(METADATA, oauth);
    paths.extend(around(OPENID, oauth));
    paths
}

/// Returns the places of a document, before and after the path of the issuer.
fn around(place: &str, oauth: &OAuth) -> Vec<String> {
    let issuer = oauth.public_url.path();
    let mut paths = vec![format!("{place}{issuer}")];
    if !issuer.is_empty() {
        paths.push(format!("{issuer}{place}"));
    }
    paths
}

/// Returns the places of the metadata of `/mcp`.
pub fn protected_resource_paths(oauth: &OAuth) -> Vec<String> {
    let issuer = oauth.public_url.path();
    let mut paths = vec![format!("{PROTECTED_RESOURCE}{issuer}/mcp")];
    if issuer.is_empty() {
        paths.push(PROTECTED_RESOURCE.to_owned());
    }
    paths
}

/// Returns the route of a path, of which `local` is what comes after the path of the
/// issuer.
pub fn route(path: &str, local: &str, oauth: &OAuth) -> Option<Route> {
    let is_among = |paths: Vec<String>| paths.iter().any(|known| known == path);
    let endpoint = if is_among(around(METADATA, oauth)) {
        Endpoint::Metadata
    } else if is_among(around(OPENID, oauth)) {
        Endpoint::OpenId
    } else if is_among(protected_resource_paths(oauth)) {
        Endpoint::ProtectedResource
    } else {
        self::local(oauth).find(|(known, _)| *known == local)?.1
    };
    let takes_body = !matches!(
        endpoint,
        Endpoint::Metadata
            | Endpoint::OpenId
            | Endpoint::ProtectedResource
            | Endpoint::UserInfo
            | Endpoint::Style
    );
    Some(Route {
        pages: match endpoint {
            Endpoint::Metadata
            | Endpoint::OpenId
            | Endpoint::ProtectedResource
            | Endpoint::Token
            | Endpoint::UserInfo
            | Endpoint::Register => Pages::Public,
            // Other pages may lead here, but must not read anything.
            _ => Pages::None,
        },
        rate: Rate::Caller,
        body: match takes_body {
            true => Body::Content,
            false => Body::Ignored,
        },
        errors: match endpoint {
            Endpoint::Token | Endpoint::UserInfo | Endpoint::Register => Form::OAuth,
            _ => Form::Plain,
        },
        requires_api_key: false,
        endpoint: super::Endpoint::AuthorizationServer(endpoint),
    })
}

/// Answers a request to one of its routes.
pub fn answer(
    endpoint: Endpoint,
    request: &Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Result<Response, Refusal> {
    let Some(oauth) = &settings.oauth else {
        return Err(super::not_found(request.path()));
    };
    let caller = Caller {
        principal: Principal::Anonymous,
        source: Source::from_peer(request.peer.as_deref()),
    };
    let call = Call::new(Env { ports, settings }, &caller, &Silent);
    match endpoint {
        Endpoint::Metadata | Endpoint::OpenId => {
            request.require_method(&["GET", "HEAD"])?;
            let reader = match endpoint {
                Endpoint::OpenId => Reader::RelyingParty,
                _ => Reader::Client,
            };
            let document = metadata::document(reader, oauth, &call);
            Ok(public(
                document.map_err(|error| Refusal::of(&error, call.now()))?,
            ))
        }
        Endpoint::ProtectedResource => {
            request.require_method(&["GET", "HEAD"])?;
            let document = metadata::protected_resource(oauth, &call);
            let document = document.ok_or_else(|| super::not_found(request.path()))?;
            Ok(public(JsonText::of(&document)))
        }
        Endpoint::Token => token_endpoint(request, body, &call),
        Endpoint::UserInfo => {
            request.require_method(&["GET", "POST"])?;
            Ok(userinfo::answer(text(request, "authorization")?, &call))
        }
        Endpoint::Register => registration_endpoint(request, body, oauth, &call),
        Endpoint::Style => {
            request.require_method(&["GET", "HEAD"])?;
            Ok(style(oauth))
        }
        endpoint => visit(endpoint, request, body, oauth, &call),
    }
}

/// Returns a document that all may read and keep for a while.
fn public(document: JsonText) -> Response {
    let max_age = format!("public, max-age={}", metadata::MAX_AGE_SECONDS);
    let cache = ("cache-control".to_owned(), max_age);
    mcp::json_response(200, vec![cache], document)
}

fn token_endpoint(
    request: &Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    call: &Call,
) -> Result<Response, Refusal> {
    request.require_method(&["POST"])?;
    request.require_no_query()?;
    request.require_content(FORM)?;
    let form = read(body)?;
    let authorization = text(request, "authorization")?;
    Ok(match Parameters::parse(&form) {
        Some(form) => token::answer(&form, authorization, call),
        None => OAuthError::invalid_request("the form is too long, or not UTF-8").respond(),
    })
}

fn registration_endpoint(
    request: &Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    oauth: &OAuth,
    call: &Call,
) -> Result<Response, Refusal> {
    request.require_method(&["POST", "GET", "PUT", "DELETE"])?;
    let body = match request.method.as_str() {
        "POST" | "PUT" => {
            request.require_content(JSON)?;
            read(body)?
        }
        _ => Vec::new(),
    };
    if request.method == "POST" {
        request.require_no_query()?;
        return Ok(registration::answer(&body, oauth, call));
    }
    let request = ClientRequest {
        method: &request.method,
        query: request.query(),
        authorization: text(request, "authorization")?,
        body: &body,
    };
    Ok(client_configuration::answer(&request, oauth, call))
}

fn visit(
    endpoint: Endpoint,
    request: &Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    oauth: &OAuth,
    call: &Call,
) -> Result<Response, Refusal> {
    request.require_method(match endpoint {
        Endpoint::SecondFactor | Endpoint::Consent => &["POST"],
        _ => &["GET", "HEAD", "POST"],
    })?;
    let is_post = request.method == "POST";
    let form = match is_post {
        true => {
            request.require_content(FORM)?;
            let form = Parameters::parse(&read(body)?);
            let problem = format!("the form is not UTF-8, or has more than {MAX_BYTES} bytes");
            form.ok_or_else(|| Refusal::new(400, &problem))?
        }
        false => Parameters::default(),
    };
    let cookies = request.headers.iter().filter(|(name, _)| name == "cookie");
    let visit = Visit {
        call: call.clone(),
        oauth,
        query: request.query(),
        form,
        cookies: cookies
            .filter_map(|(_, value)| str::from_utf8(value).ok())
            .collect(),
        accept_language: text(request, "accept-language")?,
        origin: text(request, "origin")?,
        fetch_site: text(request, "sec-fetch-site")?,
        fetch_dest: text(request, "sec-fetch-dest")?,
    };
    let answered = match (endpoint, is_post) {
        (Endpoint::Authorize, false) => authorize::show(&visit),
        (Endpoint::Authorize, true) => Ok(authorize::submit(&visit)),
        (Endpoint::SignIn, false) => sign_in::show(&visit),
        (Endpoint::SignIn, true) => sign_in::submit(&visit),
        (Endpoint::SecondFactor, _) => sign_in::submit_second(&visit),
        (Endpoint::SignUp, false) => sign_up::show(&visit),
        (Endpoint::SignUp, true) => sign_up::submit(&visit),
        (Endpoint::ResetPassword, false) => reset_password::show(&visit),
        (Endpoint::ResetPassword, true) => reset_password::submit(&visit),
        (Endpoint::NewPassword, false) => new_password::show(&visit),
        (Endpoint::NewPassword, true) => new_password::submit(&visit),
        (Endpoint::VerifyEmail, false) => verify_email::show(&visit),
        (Endpoint::VerifyEmail, true) => verify_email::submit(&visit),
        (Endpoint::Consent, _) => consent::submit(&visit),
        (Endpoint::AgentSignIn, false) => agent_sign_in::show(&visit),
        (Endpoint::AgentSignIn, true) => agent_sign_in::submit(&visit),
        (Endpoint::Approve, false) => approve::show(&visit),
        (Endpoint::Approve, true) => approve::submit(&visit),
        (Endpoint::Apps, false) => apps::show(&visit),
        (Endpoint::Apps, true) => apps::submit(&visit),
        (Endpoint::SignOut, false) => sign_out::show(&visit),
        (Endpoint::SignOut, true) => sign_out::submit(&visit),
        (_, _) => return Err(super::not_found(request.path())),
    };
    let mut response = answered.unwrap_or_else(|error| page::failure(&error, visit.frame()));
    if oauth.public_url.is_https() {
        // RFC 6797. It says nothing of the domains below, which may belong to others.
        let field = ("strict-transport-security", "max-age=31536000");
        response
            .headers
            .push((field.0.to_owned(), field.1.to_owned()));
    }
    Ok(response)
}

/// Returns the only value of a header.
fn text<'a>(request: &'a Request, name: &str) -> Result<Option<&'a str>, Refusal> {
    let value = only(&request.headers, name).map_err(|_| super::request::repeated(name))?;
    let text = value.map(str::from_utf8).transpose();
    text.map_err(|_| Refusal::new(400, &format!("the header {name} is not UTF-8")))
}

fn style(oauth: &OAuth) -> Response {
    let mut css = include_str!("../../templates/style.css").to_owned();
    if let Some(accent) = &oauth.accent {
        css.push_str(&accent.css());
    }
    let fields = [
        ("content-type", "text/css; charset=utf-8"),
        ("cache-control", STYLE_CACHE),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    Response {
        status: 200,
        headers: fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        body: Some(css.into_bytes()),
    }
}
