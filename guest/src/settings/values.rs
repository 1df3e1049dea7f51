//! The values of variables.

use std::fmt;

use super::{
    Approvals, ClientDocuments, ClientRegistration, PasswordTools, PublicUrl, ToolErrors,
    public_url,
};
use crate::domain::access::toolset::Toolsets;
use crate::ports::Algorithm;

/// A setting with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    pub(super) name: String,
    value: String,
    expected: String,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InvalidSetting {
            name,
            value,
            expected,
        } = self;
        write!(f, "{name} is '{value}'; expected {expected}")
    }
}

pub(super) fn text(name: &str, value: &str) -> Result<String, InvalidSetting> {
    if value.is_empty() || value.chars().count() > 256 || value.chars().any(char::is_control) {
        return Err(invalid(name, value, "1 to 256 characters of text"));
    }
    Ok(value.to_owned())
}

pub(super) fn number(name: &str, value: &str, low: u64, high: u64) -> Result<u64, InvalidSetting> {
    match value.parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(invalid(
            name,
            value,
            &format!("a whole number from {low} to {high}"),
        )),
    }
}

pub(super) fn tool_errors(name: &str, value: &str) -> Result<ToolErrors, InvalidSetting> {
    match value {
        "auto" => Ok(ToolErrors::Auto),
        "result" => Ok(ToolErrors::Result),
        "error" => Ok(ToolErrors::Error),
        _ => Err(invalid(name, value, "auto, result or error")),
    }
}

pub(super) fn password_tools(name: &str, value: &str) -> Result<PasswordTools, InvalidSetting> {
    match value {
        "auto" => Ok(PasswordTools::Auto),
        "on" => Ok(PasswordTools::On),
        "off" => Ok(PasswordTools::Off),
        _ => Err(invalid(name, value, "auto, on or off")),
    }
}

pub(super) fn toolsets(name: &str, value: &str) -> Result<Toolsets, InvalidSetting> {
    Toolsets::parse(value)
        .map_err(|unknown| invalid_entry(name, value, unknown, Toolsets::EXPECTED))
}

pub(super) fn approvals(name: &str, value: &str) -> Result<Approvals, InvalidSetting> {
    let parsed = Approvals::parse(value);
    parsed.map_err(|unknown| invalid_entry(name, value, unknown, Approvals::EXPECTED))
}

pub(super) fn client_registration(
    name: &str,
    value: &str,
) -> Result<ClientRegistration, InvalidSetting> {
    match value {
        "open" => Ok(ClientRegistration::Open),
        "off" => Ok(ClientRegistration::Off),
        _ => Err(invalid(name, value, "open or off")),
    }
}

pub(super) fn on_or_off(name: &str, value: &str) -> Result<bool, InvalidSetting> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(invalid(name, value, "on or off")),
    }
}

pub(super) fn client_documents(name: &str, value: &str) -> Result<ClientDocuments, InvalidSetting> {
    match value {
        "public" => Ok(ClientDocuments::Public),
        "loopback" => Ok(ClientDocuments::Loopback),
        "off" => Ok(ClientDocuments::Off),
        _ => Err(invalid(name, value, "public, loopback or off")),
    }
}

pub(super) fn signing_algorithm(name: &str, value: &str) -> Result<Algorithm, InvalidSetting> {
    match value {
        "es256" => Ok(Algorithm::Es256),
        "eddsa" => Ok(Algorithm::Eddsa),
        "rs256" => Ok(Algorithm::Rs256),
        _ => Err(invalid(name, value, "es256, eddsa or rs256")),
    }
}

pub(super) fn public_url(name: &str, value: &str) -> Result<PublicUrl, InvalidSetting> {
    PublicUrl::parse(value).ok_or_else(|| invalid(name, value, public_url::EXPECTED))
}

pub(super) fn boolean(name: &str, value: &str) -> Result<bool, InvalidSetting> {
    value
        .parse()
        .map_err(|_| invalid(name, value, "true or false"))
}

/// Names the entry of a list that is wrong, unless it is the only one.
fn invalid_entry(name: &str, value: &str, entry: &str, expected: &str) -> InvalidSetting {
    match entry == value {
        true => invalid(name, value, expected),
        false => invalid(
            name,
            value,
            &format!("{expected}; '{entry}' is none of them"),
        ),
    }
}

pub(super) fn invalid(name: &str, value: &str, expected: &str) -> InvalidSetting {
    InvalidSetting {
        name: name.to_owned(),
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}
