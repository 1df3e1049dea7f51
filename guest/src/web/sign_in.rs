//! Signing in: the operations `login` and `complete_login`, as pages.

use serde_json::json;
use zeroize::Zeroizing;

use super::cookies::Cookie;
use super::form::{Field, Form};
use super::page::{self, Forms, StartPage};
use super::visit::Visit;
use super::{
    AGENT_SIGN_IN, APPROVE, APPS, RESET_PASSWORD, SECOND_FACTOR, SIGN_IN, SIGN_UP, VERIFY_EMAIL,
    texts::Texts,
};
use crate::domain::accounts::username::Username;
use crate::domain::credentials::password::TypedPassword;
use crate::domain::credentials::second_factor::Code;
use crate::error::{AuthError, ErrorKind, Result};
use crate::mcp::Response;
use crate::oauth::metadata::AUTHORIZE;
use crate::oauth::parameters;
use crate::operations::{self, CompleteLogin, Login, LoginOutcome, Logout, Operation};
use crate::types::secret::Secret;

/// Shows the start page to a user who is signed in, and else the page to sign in.
pub fn show(visit: &Visit) -> Result<Response> {
    let query = parameters::Parameters::parse(visit.query.as_bytes()).unwrap_or_default();
    let return_to = checked(query.first("return_to").unwrap_or_default(), visit);
    match visit.session()? {
        Some(session) if return_to.is_empty() => {
            let (form_token, set_cookie) = visit.form_token()?;
            let page = StartPage {
                frame: visit.frame(),
                username: session.username.as_str(),
                form_token: &form_token,
            };
            let mut response = page::respond(200, &page, Forms::Own);
            response.headers.extend(set_cookie);
            Ok(response)
        }
        _ => ask(visit, return_to, None),
    }
}

/// Shows the page to sign in, on the way to `return_to`, for a client with this name.
pub fn ask(visit: &Visit, return_to: &str, client: Option<&str>) -> Result<Response> {
    form(visit, 200, None, "", return_to, client)
}

fn form(
    visit: &Visit,
    status: u16,
    problem: Option<&str>,
    username: &str,
    return_to: &str,
    client: Option<&str>,
) -> Result<Response> {
    let texts = visit.texts();
    let is_at_fault = problem.is_some();
    let mut links = Vec::new();
    if visit.oauth.has_delivery {
        links.push((visit.link(RESET_PASSWORD, return_to), texts.forgot_password));
    }
    if visit.oauth.sign_up {
        links.push((visit.link(SIGN_UP, return_to), texts.sign_up));
    }
    let form = Form {
        heading: texts.sign_in,
        text: None,
        client,
        problem,
        action: SIGN_IN,
        hidden: vec![("return_to", return_to)],
        fields: vec![
            Field {
                value: username,
                is_at_fault,
                ..Field::text("username", texts.username, "username")
            },
            Field {
                is_at_fault,
                ..Field::password(texts.password, "current-password")
            },
        ],
        button: texts.sign_in,
        links,
    };
    form.respond(status, visit)
}

/// Takes the form with user name and password.
pub fn submit(visit: &Visit) -> Result<Response> {
    let texts = visit.texts();
    if !visit.is_of_own_form()? {
        return Ok(page::error(403, visit.frame(), texts.form_expired));
    }
    let typed = |name: &str| visit.form.first(name).unwrap_or_default();
    let (username, return_to) = (typed("username"), checked(typed("return_to"), visit));
    match log_in(username, typed("password"), visit) {
        Ok(outcome) => go_on(outcome, return_to, visit),
        Err(error) => {
            let problem = problem(&error, texts.wrong_credentials, texts);
            let status = page::status(&error);
            let mut response = form(visit, status, Some(problem), username, return_to, None)?;
            response.headers.extend(page::retry_after(&error));
            Ok(response)
        }
    }
}

/// Signs the user in, or asks for the second factor.
pub fn go_on(outcome: LoginOutcome, return_to: &str, visit: &Visit) -> Result<Response> {
    match outcome {
        LoginOutcome::Tokens(tokens) => signed_in(visit, &tokens.refresh_token, return_to),
        LoginOutcome::Challenge(asked) => {
            second(visit, 200, None, asked.challenge.expose(), return_to)
        }
    }
}

/// Logs in with what the user has typed.
pub fn log_in(username: &str, password: &str, visit: &Visit) -> Result<LoginOutcome> {
    let wrong = || AuthError::new(ErrorKind::Authentication, "Invalid user name or password");
    let operation = Login {
        username: Username::try_from(username.to_owned()).map_err(|_| wrong())?,
        password: TypedPassword::try_from(password.to_owned()).map_err(|_| wrong())?,
    };
    let shown = json!({"username": username});
    operations::call(operation, &shown, &visit.call)
}

/// Takes the form with the code of the second factor.
pub fn submit_second(visit: &Visit) -> Result<Response> {
    let texts = visit.texts();
    if !visit.is_of_own_form()? {
        return Ok(page::error(403, visit.frame(), texts.form_expired));
    }
    let typed = |name: &str| visit.form.first(name).unwrap_or_default();
    let (challenge, return_to) = (typed("challenge"), checked(typed("return_to"), visit));
    match complete(challenge, typed("code"), visit) {
        Ok(refresh_token) => signed_in(visit, &refresh_token, return_to),
        Err(error) => {
            let problem = problem(&error, texts.wrong_code, texts);
            let status = page::status(&error);
            let mut response = second(visit, status, Some(problem), challenge, return_to)?;
            response.headers.extend(page::retry_after(&error));
            Ok(response)
        }
    }
}

fn complete(challenge: &str, code: &str, visit: &Visit) -> Result<Secret> {
    let operation = CompleteLogin {
        challenge: Secret::new(challenge.to_owned()),
        code: Code::try_from(Zeroizing::new(code.to_owned()))
            .map_err(|_| AuthError::invalid_code())?,
    };
    let tokens = operations::call(operation, &json!({}), &visit.call)?;
    Ok(tokens.refresh_token)
}

fn second(
    visit: &Visit,
    status: u16,
    problem: Option<&str>,
    challenge: &str,
    return_to: &str,
) -> Result<Response> {
    let texts = visit.texts();
    let again = match return_to {
        "" => visit.link(SIGN_IN, ""),
        return_to => return_to.to_owned(),
    };
    let form = Form {
        heading: texts.second_factor,
        text: None,
        client: None,
        problem,
        action: SECOND_FACTOR,
        hidden: vec![("return_to", return_to), ("challenge", challenge)],
        fields: vec![Field {
            hint: texts.code_hint,
            is_at_fault: problem.is_some(),
            length: (0, 64),
            ..Field::text("code", texts.code, "one-time-code")
        }],
        button: texts.go_on,
        links: vec![(again, texts.start_again)],
    };
    form.respond(status, visit)
}

/// Gives the browser its new session, ends the one that it had, and sends the user where
/// the user wants to go.
fn signed_in(visit: &Visit, refresh_token: &Secret, return_to: &str) -> Result<Response> {
    let public_url = &visit.oauth.public_url;
    if let Some(before) = visit.cookie(Cookie::Session) {
        end(&before, visit)?;
    }
    let mut response = page::see_other(match return_to {
        "" => format!("{}{SIGN_IN}", public_url.path()),
        return_to => return_to.to_owned(),
    });
    let lasts = Some(visit.call.settings.session_absolute);
    let set = Cookie::Session.set(refresh_token.expose(), lasts, public_url.is_https());
    response.headers.push(set);
    // A form that was shown before is not valid after it.
    let delete = Cookie::Form.delete(public_url.is_https());
    response.headers.push(delete);
    Ok(response)
}

/// Ends the session of a cookie, if it has one.
pub fn end(cookie: &str, visit: &Visit) -> Result<()> {
    match visit.invoke(Logout::NAME, &[("refresh_token", cookie)], None) {
        Ok(()) => Ok(()),
        Err(error) if error.kind == ErrorKind::Authentication => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns the address that a user wants to go to if it is one of an authorization request,
/// of a sign-in for an agent, of an approval, of the connected apps or of the verification of an
/// address here, and else nothing: a form could lead anywhere otherwise.
pub fn checked<'a>(return_to: &'a str, visit: &Visit) -> &'a str {
    let path = return_to.strip_prefix(visit.oauth.public_url.path());
    if path.is_some_and(|path| path == APPS || path == VERIFY_EMAIL) {
        return return_to;
    }
    let query = path.and_then(|path| {
        let mut pages = [AUTHORIZE, AGENT_SIGN_IN, APPROVE].into_iter();
        pages.find_map(|page| path.strip_prefix(page))
    });
    let is_good = query.is_some_and(|query| query.starts_with('?'))
        && return_to
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_good { return_to } else { "" }
}

/// Returns the words for a failure, which is `typed` if what was typed is at fault.
pub fn problem(error: &AuthError, typed: &'static str, texts: &'static Texts) -> &'static str {
    match error.kind {
        ErrorKind::RateLimit { .. } | ErrorKind::ResourceUnavailable { .. } => {
            page::words(error, texts)
        }
        _ => typed,
    }
}
