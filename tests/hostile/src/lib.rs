//! A component that fits the contract and misbehaves: the body of the request names the
//! deed.

#![cfg(target_family = "wasm")]

mod answers;
mod floods;
mod greed;
mod hoards;
mod probe;
mod records;

wit_bindgen::generate!({
    world: "plugin",
    path: "../../wit",
});

use exports::user_auth::plugin::{auth, http, maintenance, mcp};
use user_auth::plugin::types;

struct Hostile;

export!(Hostile);

impl mcp::Guest for Hostile {
    fn handle(request: mcp::Request) -> mcp::Response {
        answer(&request.body)
    }
}

fn answer(body: &[u8]) -> mcp::Response {
    let body = String::from_utf8_lossy(body).into_owned();
    let deed = body.trim_matches(['"', '\n']);
    match deed {
        "loop" => hoards::endless_loop(),
        "memory" => hoards::memory(),
        "recursion" => hoards::recursion(),
        "handles" => hoards::handles(),
        "trap" => std::process::abort(),
        "exit" => std::process::exit(0),
        "host-calls" => floods::host_calls(),
        "log" => floods::log(),
        "print" => floods::print(),
        "notifications" => floods::notifications(),
        "operations" => floods::operations(),
        "message" => return answers::json(floods::message()),
        "remember" => _ = hoards::remember(),
        "probe" => return answers::json(probe::report()),
        "records" => return answers::json(records::show()),
        "begin" => records::begin(),
        "host-records" => return answers::json(records::of_the_host()),
        "fill" => greed::fill(),
        // Whatever the host answers, the component does not respond to its own caller.
        "one-name" => then_trap(greed::one_name),
        "many-names" => then_trap(greed::many_names),
        "page" => then_trap(greed::page),
        "long-names" => then_trap(greed::long_names),
        "large-batch" => then_trap(greed::large_batch),
        "reads" => greed::reads(),
        "writes" => greed::writes(),
        "long-line" => then_trap(greed::long_line),
        "long-label" => then_trap(greed::long_label),
        "long-message" => then_trap(greed::long_message),
        "refused-keys" => return answers::json(greed::refused_keys()),
        "long-password" => return answers::json(greed::long_password()),
        "empty-lines" => greed::empty_lines(),
        "refusals" => greed::refusals(),
        "many-operations" => greed::many_operations(),
        "ids" => greed::ids(),
        "sleep" => greed::sleep(),
        "long-poll" => then_trap(greed::long_poll),
        "random" => greed::random(),
        "commit-trap" => records::commit_and_trap(),
        "conflict-trap" => records::conflict_and_trap(),
        "refused-trap" => records::refused_and_trap(),
        // The deed as the method of a message with an id.
        message if message.contains(r#""method":"loop""#) => hoards::endless_loop(),
        _ => {}
    }
    answers::named(deed).unwrap_or_else(|| {
        let remembered = hoards::remembered();
        answers::json(format!("{{\"did\":{deed:?},\"remembered\":{remembered}}}"))
    })
}

fn then_trap(deed: fn()) -> ! {
    deed();
    std::process::abort()
}

/// The form of errors of JSON-RPC.
const ERROR: &str = r#"{"error":$error,"id":$id,"jsonrpc":"2.0"}"#;

impl http::Guest for Hostile {
    fn routes() -> Vec<http::Route> {
        vec![http::Route {
            path: "/mcp".to_owned(),
            pages: http::PageClass::Listed,
            rate: http::RateClass::Caller,
            body: http::BodyClass::Json(http::JsonBody {
                id: "/id".to_owned(),
                verifications: Vec::new(),
            }),
            errors: http::ErrorForm {
                operation: "mcp".to_owned(),
                refused: ERROR.to_owned(),
                unavailable: ERROR.to_owned(),
            },
            requires_api_key: true,
        }]
    }

    fn handle(request: http::Request) -> mcp::Response {
        answer(&request.body)
    }

    fn admit(_: http::Request) -> Option<mcp::Response> {
        std::process::abort()
    }
}

fn refused<T>() -> Result<T, types::Error> {
    Err(types::Error {
        code: -32000,
        message: "hostile".to_owned(),
        operation: "hostile".to_owned(),
        timestamp: String::new(),
        details: "{}".to_owned(),
    })
}

impl auth::Guest for Hostile {
    fn register(_: auth::Caller, _: auth::Registration) -> Result<auth::Account, auth::Error> {
        refused()
    }

    fn login(_: auth::Caller, _: String, _: String) -> Result<auth::LoginOutcome, auth::Error> {
        refused()
    }

    fn complete_login(_: auth::Caller, _: String, _: String) -> Result<auth::Tokens, auth::Error> {
        refused()
    }

    fn verify_token(_: auth::Caller, _: String) -> Result<Option<auth::Claims>, auth::Error> {
        refused()
    }

    fn refresh(_: auth::Caller, _: String) -> Result<auth::Tokens, auth::Error> {
        refused()
    }

    fn logout(_: auth::Caller, _: String) -> Result<(), auth::Error> {
        refused()
    }

    fn check_permission(_: auth::Caller, _: String) -> Result<bool, auth::Error> {
        refused()
    }

    fn invoke(_: auth::Caller, _: String, _: String) -> Result<String, auth::Error> {
        refused()
    }

    fn jwks() -> Result<String, auth::Error> {
        refused()
    }

    fn operations() -> String {
        "[]".to_owned()
    }
}

impl maintenance::Guest for Hostile {
    fn sweep(_: Option<String>, _: u32) -> Result<maintenance::Swept, maintenance::Unavailable> {
        Ok(maintenance::Swept {
            examined: 0,
            deleted: 0,
            next: None,
        })
    }
}
