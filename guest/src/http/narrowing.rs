//! The part of the offered operations that a connection asks for, by its address or by its
//! header fields. It can only be less than what the settings offer.
//!
//! The names of the fields, and what they hold, are those of GitHub's MCP server, so that
//! the configurations of clients look alike.

use super::request::{Request, only, repeated};
use crate::dispatch::input::shortened;
use crate::domain::access::toolset::{Offer, Toolsets};
use crate::mcp::Refusal;
use crate::oauth::parameters::{Parameters, Repeated};

/// The query parameter with a list of toolsets.
const PARAMETER: &str = "toolsets";
/// The header field with a list of toolsets.
const TOOLSETS: &str = "x-mcp-toolsets";
/// The header field that asks for operations that change nothing.
const READ_ONLY: &str = "x-mcp-readonly";

/// What means no in `X-MCP-Readonly`. Anything else means yes, so that no spelling lets a
/// connection change what it should not.
const NO: [&str; 7] = ["", "false", "f", "no", "n", "0", "off"];

/// Returns the part of an offer that a request asks for. A list without a name counts as left
/// out. Fails for an unknown toolset: to ignore its name could offer more than was meant.
pub fn narrow(mut offer: Offer, request: &Request, by_path: bool) -> Result<Offer, Refusal> {
    let query = Parameters::parse(request.query().as_bytes())
        .ok_or_else(|| Refusal::new(400, "the query of the address cannot be read"))?;
    if let Some(name) = query.names().find(|name| is_misspelt(name)) {
        let name = shortened(name);
        let message = format!(
            "the parameter {name} is not known; expected {PARAMETER}, or the path /mcp/readonly"
        );
        return Err(Refusal::new(400, &message));
    }
    let by_query = query.only(PARAMETER).map_err(|Repeated(name)| {
        let message = format!("the parameter {name} occurs more than once");
        Refusal::new(400, &message)
    })?;
    let by_header = field(request, TOOLSETS)?;
    for (place, list) in [
        ("the parameter toolsets", by_query),
        ("the header X-MCP-Toolsets", by_header.as_deref()),
    ] {
        if let Some(list) = list.filter(|list| !list.trim().is_empty()) {
            offer = offer.narrowed(toolsets(place, list)?, false);
        }
    }
    let asked = field(request, READ_ONLY)?.unwrap_or_default();
    let by_header = !NO.contains(&asked.trim().to_ascii_lowercase().as_str());
    Ok(offer.narrowed(Toolsets::ALL, by_path || by_header))
}

/// Reports whether the name of a parameter was meant to be the one that there is. Clients may
/// add others, which mean nothing here.
fn is_misspelt(name: &str) -> bool {
    let meant = name.to_ascii_lowercase().replace(['-', '_'], "");
    name != PARAMETER && ["tool", "readonly"].iter().any(|it| meant.contains(it))
}

fn toolsets(place: &str, list: &str) -> Result<Toolsets, Refusal> {
    Toolsets::parse(list).map_err(|_| {
        let message = format!(
            "{place} names an unknown toolset; expected {}",
            Toolsets::EXPECTED
        );
        Refusal::new(400, &message)
    })
}

fn field(request: &Request, name: &str) -> Result<Option<String>, Refusal> {
    let value = only(&request.headers, name).map_err(|_| repeated(name))?;
    Ok(value.map(|value| String::from_utf8_lossy(value).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::toolset::Toolset;

    fn asked(target: &str, headers: &[(&str, &str)]) -> Result<Offer, Refusal> {
        let headers = headers.iter();
        let request = Request {
            method: "POST".to_owned(),
            target: target.to_owned(),
            authority: None,
            tls: false,
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
            api_key_header: "X-API-Key".to_owned(),
            peer: None,
        };
        let usual = Offer {
            toolsets: Toolsets::USUAL,
            ..Offer::EVERYTHING
        };
        narrow(usual, &request, false)
    }

    fn names(offer: Offer) -> Vec<&'static str> {
        let on = Toolset::ALL.into_iter();
        let on = on.filter(|toolset| offer.toolsets.contains(*toolset));
        on.map(Toolset::name).collect()
    }

    #[test]
    fn query_and_header_narrow_together_and_never_widen() {
        let usual = ["auth", "account", "tokens"];
        for (target, headers, expected) in [
            ("/mcp", &[][..], &usual[..]),
            ("/mcp?toolsets=all", &[], &usual),
            ("/mcp?toolsets=", &[(TOOLSETS, " ")], &usual),
            (
                "/mcp?page=1&toolsets=auth%2Ctokens",
                &[],
                &["auth", "tokens"],
            ),
            ("/mcp?toolsets=auth,users", &[], &["auth"]),
            ("/mcp", &[(TOOLSETS, "tokens, users")], &["tokens"]),
            (
                "/mcp?toolsets=auth,tokens",
                &[(TOOLSETS, "tokens,account")],
                &["tokens"],
            ),
            ("/mcp?toolsets=users", &[(TOOLSETS, "all")], &[]),
        ] {
            let offer = asked(target, headers).unwrap();
            assert_eq!(names(offer), expected, "{target} {headers:?}");
            assert!(!offer.read_only);
        }
    }

    #[test]
    fn only_a_clear_no_leaves_a_connection_able_to_change_something() {
        for (value, expected) in [
            ("true", true),
            ("yes", true),
            ("flase", true),
            (" False ", false),
            ("0", false),
            ("", false),
        ] {
            let offer = asked("/mcp", &[(READ_ONLY, value)]).unwrap();
            assert_eq!(offer.read_only, expected, "{value}");
        }
    }

    #[test]
    fn unclear_and_unknown_toolsets_are_rejected() {
        let refused = |target, headers: &[(&str, &str)]| {
            let refusal = asked(target, headers).unwrap_err();
            assert_eq!(refusal.status, 400);
            refusal.error["message"].as_str().unwrap().to_owned()
        };
        for message in [
            refused("/mcp?toolsets=auth,user", &[]),
            refused("/mcp", &[(TOOLSETS, "user")]),
        ] {
            assert!(
                message.contains("auth, account, tokens, users"),
                "{message}"
            );
        }
        refused("/mcp?toolsets=auth&toolsets=tokens", &[]);
        refused("/mcp?toolsets=%ff", &[]);
        for misspelt in [
            "/mcp?toolset=auth",
            "/mcp?Toolsets=auth",
            "/mcp?x-mcp-toolsets=auth",
            "/mcp?tools=auth",
        ] {
            let message = refused(misspelt, &[]);
            assert!(message.contains("expected toolsets"), "{message}");
        }
        refused("/mcp?read_only=true", &[]);
        refused("/mcp", &[(TOOLSETS, "auth"), (TOOLSETS, "auth")]);
        refused("/mcp", &[(READ_ONLY, "false"), (READ_ONLY, "true")]);
    }
}
