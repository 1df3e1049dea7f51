//! Forgotten passwords: the operation `request_password_reset`, as a page.

use super::form::{Field, Form};
use super::page;
use super::visit::Visit;
use super::{NEW_PASSWORD, RESET_PASSWORD, SIGN_IN, mailed_code, sign_in};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::email::Email;
use crate::domain::accounts::username::Username;
use crate::error::{ErrorKind, Result};
use crate::mcp::Response;
use crate::operations::{Operation, RequestPasswordReset};

/// Shows the page.
pub fn show(visit: &Visit) -> Result<Response> {
    form(visit, 200, None, &visit.return_to())
}

fn form(visit: &Visit, status: u16, problem: Option<&str>, return_to: &str) -> Result<Response> {
    let texts = visit.texts();
    let form = Form {
        heading: texts.reset_password,
        text: None,
        client: None,
        problem,
        action: RESET_PASSWORD,
        hidden: vec![("return_to", return_to)],
        fields: vec![Field {
            hint: texts.reset_hint,
            ..Field::text("username", texts.username, "username")
        }],
        button: texts.send_code,
        links: vec![(visit.link(SIGN_IN, return_to), texts.back)],
    };
    form.respond(status, visit)
}

/// Takes the form. The answer is the same whether there is something to send or not.
pub fn submit(visit: &Visit) -> Result<Response> {
    if !visit.is_of_own_form()? {
        let text = visit.texts().form_expired;
        return Ok(page::error(403, visit.frame(), text));
    }
    let return_to = sign_in::checked(visit.typed("return_to"), visit);
    let typed = visit.typed("username");
    let input = [(field_of(typed, visit)?, typed)];
    match visit.invoke(RequestPasswordReset::NAME, &input, None) {
        // No account can have that name.
        Err(error) if matches!(error.kind, ErrorKind::Invalid(_)) => {}
        Err(error) => {
            let problem = page::words(&error, visit.texts());
            let mut response = form(visit, page::status(&error), Some(problem), return_to)?;
            response.headers.extend(page::retry_after(&error));
            return Ok(response);
        }
        Ok(()) => {}
    }
    let mut response = page::see_other(visit.link(NEW_PASSWORD, return_to));
    // A code from before is about to be replaced.
    response.headers.push(mailed_code::forget(visit));
    Ok(response)
}

/// Returns the field of the operation for what was typed. As at a login, a verified address
/// goes before a user name.
fn field_of(typed: &str, visit: &Visit) -> Result<&'static str> {
    let Ok(username) = Username::try_from(typed.to_owned()) else {
        return Ok("username");
    };
    let Ok(email) = Email::try_from(typed.to_owned()) else {
        return Ok("username");
    };
    // Both are looked up, so that the work is always the same.
    let is_verified = Account::id_of_email(&email, &visit.call)?.is_some();
    let is_name = Account::id_of(&username, &visit.call.ports)?.is_some();
    Ok(match is_verified || !is_name {
        true => "email",
        false => "username",
    })
}
