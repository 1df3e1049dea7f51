//! Setting a new password: the operation `confirm_password_reset`, as a page.

use super::form::{Field, Form};
use super::page::{self, Forms, MessagePage};
use super::visit::Visit;
use super::{NEW_PASSWORD, RESET_PASSWORD, SIGN_IN, mailed_code, sign_in, sign_up};
use crate::error::{ErrorKind, Result};
use crate::mcp::Response;
use crate::operations::{ConfirmPasswordReset, Operation};

/// What is wrong with a form, by field.
#[derive(Default)]
struct Problems {
    form: Option<&'static str>,
    code: Option<&'static str>,
    password: Option<&'static str>,
}

/// Shows the page.
pub fn show(visit: &Visit) -> Result<Response> {
    match mailed_code::keep(NEW_PASSWORD, visit) {
        Some(response) => Ok(response),
        None => form(visit, 200, &Problems::default(), &visit.return_to()),
    }
}

fn form(visit: &Visit, status: u16, problems: &Problems, return_to: &str) -> Result<Response> {
    let texts = visit.texts();
    let hint = format!("{} {}", sign_up::password_hint(visit), texts.ends_all);
    let mut fields = Vec::from_iter(mailed_code::field(problems.code, visit));
    fields.push(Field {
        hint: &hint,
        problem: problems.password,
        ..sign_up::new_password(texts.new_password, visit)
    });
    let form = Form {
        heading: texts.choose_password,
        text: None,
        client: None,
        problem: problems.form,
        action: NEW_PASSWORD,
        hidden: vec![("return_to", return_to)],
        fields,
        button: texts.change_password,
        links: vec![(
            visit.link(RESET_PASSWORD, return_to),
            texts.send_another_code,
        )],
    };
    form.respond(status, visit)
}

/// Takes the form.
pub fn submit(visit: &Visit) -> Result<Response> {
    let texts = visit.texts();
    if !visit.is_of_own_form()? {
        return Ok(page::error(403, visit.frame(), texts.form_expired));
    }
    let return_to = sign_in::checked(visit.typed("return_to"), visit);
    let code = mailed_code::read(visit).unwrap_or_default();
    let input = [
        ("code", code.as_str()),
        ("new_password", visit.typed("password")),
    ];
    let Err(error) = visit.invoke(ConfirmPasswordReset::NAME, &input, None) else {
        return Ok(changed(visit, return_to));
    };
    let mut problems = Problems::default();
    match error.kind {
        ErrorKind::Invalid(_) => problems.password = Some(texts.bad_password),
        ErrorKind::Authentication => problems.code = Some(texts.wrong_mailed_code),
        _ => problems.form = Some(page::words(&error, texts)),
    }
    let mut response = form(visit, page::status(&error), &problems, return_to)?;
    response.headers.extend(page::retry_after(&error));
    if problems.code.is_some() {
        response.headers.push(mailed_code::forget(visit));
    }
    Ok(response)
}

/// Says that the password is changed. The session of the browser, if it had one, may be that
/// of another account, so it stays as it is.
fn changed(visit: &Visit, return_to: &str) -> Response {
    let texts = visit.texts();
    let sign_in = visit.link(SIGN_IN, return_to);
    let page = MessagePage {
        frame: visit.frame(),
        heading: texts.password_changed,
        text: texts.password_changed_text,
        link: Some((&sign_in, texts.sign_in)),
    };
    let mut response = page::respond(200, &page, Forms::Own);
    response.headers.push(mailed_code::forget(visit));
    response
}
