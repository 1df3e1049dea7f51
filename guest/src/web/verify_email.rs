//! Verifying an email address: the operation `confirm_email`, as a page.

use super::form::Form;
use super::page::{self, Forms, MessagePage};
use super::visit::Visit;
use super::{SIGN_IN, VERIFY_EMAIL, mailed_code, sign_in};
use crate::error::{ErrorKind, Result};
use crate::mcp::Response;
use crate::operations::{ConfirmEmail, Operation};

/// Shows the page, after the user has signed in: the code alone is not enough.
pub fn show(visit: &Visit) -> Result<Response> {
    if let Some(response) = mailed_code::keep(VERIFY_EMAIL, visit) {
        return Ok(response);
    }
    if visit.session()?.is_none() {
        return sign_in::ask(visit, &visit.link(VERIFY_EMAIL, ""), None);
    }
    form(visit, 200, None, None, &visit.return_to())
}

fn form(
    visit: &Visit,
    status: u16,
    problem: Option<&str>,
    code_problem: Option<&'static str>,
    return_to: &str,
) -> Result<Response> {
    let texts = visit.texts();
    let form = Form {
        heading: texts.verify_email,
        text: None,
        client: None,
        problem,
        action: VERIFY_EMAIL,
        hidden: vec![("return_to", return_to)],
        fields: Vec::from_iter(mailed_code::field(code_problem, visit)),
        button: texts.verify,
        links: vec![(next(return_to, visit), texts.verify_later)],
    };
    form.respond(status, visit)
}

/// Returns the address at which the user goes on.
fn next(return_to: &str, visit: &Visit) -> String {
    match return_to {
        "" => visit.link(SIGN_IN, ""),
        return_to => return_to.to_owned(),
    }
}

/// Takes the form.
pub fn submit(visit: &Visit) -> Result<Response> {
    let texts = visit.texts();
    if !visit.is_of_own_form()? {
        return Ok(page::error(403, visit.frame(), texts.form_expired));
    }
    let Some(session) = visit.session()? else {
        return Ok(page::see_other(visit.link(VERIFY_EMAIL, "")));
    };
    let return_to = sign_in::checked(visit.typed("return_to"), visit);
    let code = mailed_code::read(visit).unwrap_or_default();
    let input = [("code", code.as_str())];
    let Err(error) = visit.invoke(ConfirmEmail::NAME, &input, Some(&session)) else {
        let next = next(return_to, visit);
        let page = MessagePage {
            frame: visit.frame(),
            heading: texts.email_verified,
            text: texts.email_verified_text,
            link: Some((&next, texts.go_on)),
        };
        let mut response = page::respond(200, &page, Forms::Own);
        response.headers.push(mailed_code::forget(visit));
        return Ok(response);
    };
    let (problem, code_problem) = match error.kind {
        ErrorKind::Authentication => (None, Some(texts.wrong_mailed_code)),
        ErrorKind::Application => (Some(texts.email_taken), None),
        _ => (Some(page::words(&error, texts)), None),
    };
    let status = page::status(&error);
    let mut response = form(visit, status, problem, code_problem, return_to)?;
    response.headers.extend(page::retry_after(&error));
    if code_problem.is_some() {
        response.headers.push(mailed_code::forget(visit));
    }
    Ok(response)
}
