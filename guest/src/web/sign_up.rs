//! Creating an account: the operation `register`, as a page.

use super::form::{Field, Form};
use super::page;
use super::visit::Visit;
use super::{SIGN_IN, SIGN_UP, VERIFY_EMAIL, sign_in};
use crate::domain::credentials::password;
use crate::domain::sessions::browser;
use crate::error::{AuthError, ErrorKind, Result};
use crate::mcp::Response;
use crate::operations::{LoginOutcome, Operation, Register, RequestEmailVerification};

/// What is wrong with a form, by field.
#[derive(Default)]
struct Problems {
    form: Option<&'static str>,
    username: Option<&'static str>,
    email: Option<&'static str>,
    password: Option<&'static str>,
}

/// Shows the page.
pub fn show(visit: &Visit) -> Result<Response> {
    form(visit, 200, &Problems::default(), &visit.return_to())
}

fn form(visit: &Visit, status: u16, problems: &Problems, return_to: &str) -> Result<Response> {
    let texts = visit.texts();
    let password_hint = password_hint(visit);
    let mut fields = vec![
        Field {
            value: visit.typed("username"),
            problem: problems.username,
            ..Field::text("username", texts.new_username, "username")
        },
        Field {
            problem: problems.password,
            hint: &password_hint,
            ..new_password(texts.password, visit)
        },
    ];
    // Without messages an address could never be verified.
    if visit.oauth.has_delivery {
        let email = Field {
            hint: texts.email_hint,
            value: visit.typed("email"),
            problem: problems.email,
            kind: "email",
            is_required: false,
            ..Field::text("email", texts.email, "email")
        };
        fields.insert(1, email);
    }
    let form = Form {
        heading: texts.sign_up,
        text: None,
        client: None,
        problem: problems.form,
        action: SIGN_UP,
        hidden: vec![("return_to", return_to)],
        fields,
        button: texts.sign_up,
        links: vec![(visit.link(SIGN_IN, return_to), texts.has_account)],
    };
    form.respond(status, visit)
}

/// Returns a field for a password that is about to be set.
pub fn new_password<'a>(label: &'a str, visit: &Visit) -> Field<'a> {
    let min = visit.call.settings.password_min_length;
    Field {
        // In units of UTF-16, of which a text has at least as many as characters.
        length: (min, password::MAX_BYTES),
        ..Field::password(label, "new-password")
    }
}

/// Returns what is asked of such a password.
pub fn password_hint(visit: &Visit) -> String {
    let texts = visit.texts();
    let min = visit.call.settings.password_min_length;
    format!("{} {min} {}", texts.at_least, texts.characters)
}

/// Takes the form: creates the account, and signs its owner in.
pub fn submit(visit: &Visit) -> Result<Response> {
    if !visit.is_of_own_form()? {
        let text = visit.texts().form_expired;
        return Ok(page::error(403, visit.frame(), text));
    }
    let return_to = sign_in::checked(visit.typed("return_to"), visit);
    // Fields that were left empty are missing.
    let named = ["username", "email", "password"].map(|name| (name, visit.typed(name)));
    let mut input = named.to_vec();
    input.retain(|(_, typed)| !typed.is_empty());
    if let Err(error) = visit.invoke(Register::NAME, &input, None) {
        let problems = problems_of(&error, visit);
        let mut response = form(visit, page::status(&error), &problems, return_to)?;
        response.headers.extend(page::retry_after(&error));
        return Ok(response);
    }
    let outcome = sign_in::log_in(visit.typed("username"), visit.typed("password"), visit)?;
    if !visit.typed("email").is_empty() && send_code(&outcome, visit)? {
        return sign_in::go_on(outcome, &visit.link(VERIFY_EMAIL, return_to), visit);
    }
    sign_in::go_on(outcome, return_to, visit)
}

fn problems_of(error: &AuthError, visit: &Visit) -> Problems {
    let texts = visit.texts();
    let mut problems = Problems::default();
    match &error.kind {
        ErrorKind::Invalid(fields) => {
            for field in fields {
                match field.path.as_str() {
                    "$.username" => problems.username = Some(texts.bad_username),
                    "$.email" => problems.email = Some(texts.bad_email),
                    _ => problems.password = Some(texts.bad_password),
                }
            }
        }
        ErrorKind::Application => problems.username = Some(texts.username_taken),
        _ => problems.form = Some(page::words(error, texts)),
    }
    problems
}

/// Sends a code to the address of the new account. Returns `false` if none is sent: the
/// account is there, and its owner can ask for another code.
fn send_code(outcome: &LoginOutcome, visit: &Visit) -> Result<bool> {
    let LoginOutcome::Tokens(tokens) = outcome else {
        return Ok(false);
    };
    let Some(session) = browser::session(tokens.refresh_token.expose(), &visit.call)? else {
        return Ok(false);
    };
    let sent = visit.invoke(RequestEmailVerification::NAME, &[], Some(&session));
    Ok(sent.is_ok())
}
