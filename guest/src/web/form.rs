//! Pages with one form that people fill in.

use askama::Template;

use super::page::{self, Forms, Frame};
use super::visit::Visit;
use crate::error::Result;
use crate::mcp::Response;

/// A page with one form.
pub struct Form<'a> {
    /// The heading, which is the title as well.
    pub heading: &'a str,
    /// What the form is for, if its fields do not say it.
    pub text: Option<&'a str>,
    /// The client that waits for the user.
    pub client: Option<&'a str>,
    /// What went wrong before, apart from single fields.
    pub problem: Option<&'a str>,
    /// The path that takes the form, below the issuer.
    pub action: &'a str,
    /// Names and values that the form brings back.
    pub hidden: Vec<(&'a str, &'a str)>,
    /// The fields.
    pub fields: Vec<Field<'a>>,
    /// The words on the button.
    pub button: &'a str,
    /// Addresses that lead elsewhere, and the words for them.
    pub links: Vec<(String, &'a str)>,
}

/// A field of a form.
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its label.
    pub label: &'a str,
    /// What it is for.
    pub hint: &'a str,
    /// What was wrong with it.
    pub problem: Option<&'a str>,
    /// Whether the problem of the form is about this field, too.
    pub is_at_fault: bool,
    /// What was typed before.
    pub value: &'a str,
    /// The type of the input: `text`, `email` or `password`.
    pub kind: &'a str,
    /// What browsers fill in.
    pub autocomplete: &'a str,
    /// Whether it has to be filled in.
    pub is_required: bool,
    /// The smallest and the largest number of characters.
    pub length: (usize, usize),
}

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage<'a> {
    frame: Frame<'a>,
    form: &'a Form<'a>,
    form_token: &'a str,
}

impl Form<'_> {
    /// Returns the page as the response to a visit.
    pub fn respond(&self, status: u16, visit: &Visit) -> Result<Response> {
        let (form_token, set_cookie) = visit.form_token()?;
        let page = FormPage {
            frame: visit.frame(),
            form: self,
            form_token: &form_token,
        };
        let mut response = page::respond(status, &page, Forms::Own);
        response.headers.extend(set_cookie);
        Ok(response)
    }

    /// Reports whether the focus begins in this field: the first one with a problem.
    fn begins_at(&self, field: &Field) -> bool {
        let wrong = self.fields.iter().find(|field| field.problem.is_some());
        wrong.is_some_and(|wrong| wrong.name == field.name)
    }
}

impl<'a> Field<'a> {
    /// Returns a field for a text that has to be filled in.
    pub fn text(name: &'a str, label: &'a str, autocomplete: &'a str) -> Field<'a> {
        Field {
            name,
            label,
            hint: "",
            problem: None,
            is_at_fault: false,
            value: "",
            kind: "text",
            autocomplete,
            is_required: true,
            // The maximum length of an address, which a user name may be.
            length: (0, 254),
        }
    }

    /// Returns a field for a password.
    pub fn password(label: &'a str, autocomplete: &'a str) -> Field<'a> {
        Field {
            kind: "password",
            length: (0, 1024),
            ..Field::text("password", label, autocomplete)
        }
    }

    /// Returns the ids of the texts that describe the field.
    fn described_by(&self) -> String {
        let mut ids = Vec::new();
        if !self.hint.is_empty() {
            ids.push(format!("{}-hint", self.name));
        }
        if self.problem.is_some() {
            ids.push(format!("{}-problem", self.name));
        }
        if self.is_at_fault {
            ids.push("problem".to_owned());
        }
        ids.join(" ")
    }

    fn is_invalid(&self) -> bool {
        self.problem.is_some() || self.is_at_fault
    }
}
