//! The requests with which the edge build is compared.

use serde_json::{Value, json};
use ureq::Agent;

use super::PAGE;

/// A request of the table.
pub(super) struct Asked {
    pub(super) what: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// The answer to a request, without the parts that may differ.
#[derive(Debug, PartialEq)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

pub(super) fn request_of(what: &'static str, method: &'static str, path: &'static str) -> Asked {
    Asked {
        what,
        method,
        path,
        headers: Vec::new(),
        body: String::new(),
    }
}

pub(super) fn message(what: &'static str, body: Value) -> Asked {
    let mut request_of = request_of(what, "POST", "/mcp").with("content-type", "application/json");
    request_of.body = body.to_string();
    request_of
}

pub(super) fn tool(what: &'static str, name: &str, arguments: Value) -> Asked {
    let name = format!("user-auth_{name}");
    let params = json!({"name": name, "arguments": arguments});
    message(
        what,
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}),
    )
}

pub(super) fn api(what: &'static str, path: &'static str, input: Value) -> Asked {
    Asked {
        body: input.to_string(),
        ..request_of(what, "POST", path).with("content-type", "application/json")
    }
}

pub(super) fn form(what: &'static str, path: &'static str, form: &str) -> Asked {
    Asked {
        body: form.to_owned(),
        ..request_of(what, "POST", path).with("content-type", "application/x-www-form-urlencoded")
    }
}

impl Asked {
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Asked {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn bearer(self, token: &str) -> Asked {
        self.with("authorization", &format!("Bearer {token}"))
    }

    pub(super) fn of(&self, server: &str) -> Answered {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build()
            .into();
        let mut request = ureq::http::Request::builder()
            .method(self.method)
            .uri(format!("{server}{}", self.path));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut response = match self.method {
            "POST" => agent.run(request.body(self.body.clone()).unwrap()),
            _ => agent.run(request.body(()).unwrap()),
        }
        .unwrap_or_else(|error| panic!("{server}: {}: {error}", self.what));
        // Header fields of the connection differ between servers.
        let of_connection = [
            "connection",
            "content-length",
            "date",
            "keep-alive",
            "transfer-encoding",
        ];
        let mut headers: Vec<String> = response
            .headers()
            .iter()
            .filter(|(name, _)| !of_connection.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        Answered {
            status: response.status().as_u16(),
            headers,
            body: without_time(&response.body_mut().read_to_string().unwrap()),
        }
    }
}

/// Removes the time.
pub(super) fn without_time(body: &str) -> String {
    let mut text = body.to_owned();
    for field in ["timestamp\\\":\\\"", "timestamp\":\"", "uptime_seconds\":"] {
        let mut from = 0;
        while let Some(at) = text[from..].find(field) {
            let begin = from + at + field.len();
            let is_time = |c: char| c.is_ascii_digit() || "-:.TZ".contains(c);
            let length = text[begin..].find(|c| !is_time(c)).unwrap();
            text.replace_range(begin..begin + length, "…");
            from = begin;
        }
    }
    text
}

/// Returns the table of requests; `token` is a valid token of a user who may read invoices.
pub(super) fn table(token: &str) -> Vec<Asked> {
    let verify = |what, path| request_of(what, "GET", path).bearer(token);
    let rpc = |method: &str| json!({"jsonrpc": "2.0", "id": 7, "method": method});
    vec![
        request_of("health", "GET", "/health"),
        request_of("health by another method", "POST", "/health"),
        request_of("nowhere", "GET", "/nowhere"),
        request_of("another method", "GET", "/mcp"),
        verify("verify", "/verify"),
        verify(
            "verify, permitted",
            "/verify?permission=billing:invoices:read",
        ),
        verify(
            "verify, encoded",
            "/verify?permission=billing%3Ainvoices%3Aread",
        ),
        verify("verify, not permitted", "/verify?permission=billing:write"),
        verify("verify, no permission at all", "/verify?permission=A%20B"),
        verify(
            "verify, an encoded name",
            "/verify?%70ermission=billing:write",
        ),
        verify("verify, no value", "/verify?permission"),
        verify("verify, an empty value", "/verify?permission="),
        verify("verify, an empty query", "/verify?"),
        verify("verify, an empty parameter", "/verify?&"),
        verify("verify, no name", "/verify?=billing:invoices:read"),
        verify(
            "verify, a misspelt name",
            "/verify?permision=billing:invoices:read",
        ),
        verify(
            "verify, a name in upper case",
            "/verify?Permission=billing:invoices:read",
        ),
        verify("verify, an audience", "/verify?audience=notes"),
        verify(
            "verify, a permission and an audience",
            "/verify?permission=billing:invoices:read&audience=notes",
        ),
        verify(
            "verify, two permissions",
            "/verify?permission=billing:invoices:read&permission=billing:write",
        ),
        verify(
            "verify, two permissions, one encoded",
            "/verify?permission=billing:invoices:read&%70ermission=billing:write",
        ),
        verify(
            "verify, an encoded mistake",
            "/verify?%50ermission=billing:invoices:read",
        ),
        verify("verify, encoded twice", "/verify?%2570ermission=a"),
        verify("verify, encoded wrongly", "/verify?permission=%f&x%zz=%"),
        verify("verify, no text", "/verify?permission=%ff"),
        verify("verify, no text in a name", "/verify?%ff=a"),
        verify("verify, a plus", "/verify?permission=a+b&c+d=e"),
        verify(
            "verify, another separator",
            "/verify?permission=a;permission=b",
        ),
        verify("verify, a path below", "/verify/"),
        request_of("verify with two keys", "GET", "/verify")
            .with("x-api-key", "a")
            .with("x-api-key", "b"),
        request_of("verify with one method twice", "GET", "/verify")
            .bearer(token)
            .with("mcp-method", "a")
            .with("mcp-method", "b"),
        request_of("verify a key as a token", "GET", "/verify").bearer("uak_made-up"),
        request_of("verify a key in both places", "GET", "/verify")
            .bearer("uak_made-up")
            .with("x-api-key", "uak_made-up"),
        request_of("verify two keys in two places", "GET", "/verify")
            .bearer("uak_made-up")
            .with("x-api-key", "uak_another"),
        request_of("verify a token and a key", "GET", "/verify")
            .bearer(token)
            .with("x-api-key", "uak_made-up"),
        request_of("verify another scheme", "GET", "/verify")
            .with("authorization", "Basic uak_made-up"),
        request_of("verify, anonymous", "GET", "/verify"),
        request_of("verify by POST", "POST", "/verify").bearer(token),
        request_of("verify a bad token", "GET", "/verify").bearer("a.b.c"),
        request_of("verify a changed token", "GET", "/verify").bearer(&format!("{token}A")),
        request_of("verify with two tokens", "GET", "/verify")
            .bearer(token)
            .bearer(token),
        message("ping", rpc("ping")),
        message("the tools", rpc("tools/list")),
        Asked {
            path: "/mcp?toolsets=auth%2Ctokens",
            ..message("the tools of two toolsets", rpc("tools/list"))
        },
        message("the tools of a toolset", rpc("tools/list")).with("x-mcp-toolsets", "account"),
        message("an unknown toolset", rpc("tools/list")).with("x-mcp-toolsets", "accounts"),
        Asked {
            path: "/mcp/readonly",
            ..message("the tools that only read", rpc("tools/list"))
        },
        Asked {
            path: "/mcp/readonly",
            ..tool("a change where one may only read", "logout", json!({}))
        },
        Asked {
            path: "/mcp/",
            ..message("ping with a slash", rpc("ping"))
        },
        Asked {
            path: "/mcp//",
            ..message("ping with two slashes", rpc("ping"))
        },
        Asked {
            path: "/mcp?permission=a&permission=b",
            ..message("ping with a query", rpc("ping"))
        },
        message("ping in gzip", rpc("ping")).with("content-encoding", "gzip"),
        message("ping in no coding", rpc("ping")).with("content-encoding", "identity"),
        message("two content types", rpc("ping")).with("content-type", "text/plain"),
        message("two versions", rpc("ping"))
            .with("mcp-protocol-version", "2025-11-25")
            .with("mcp-protocol-version", "2099-01-01"),
        message("an unknown version", rpc("ping")).with("mcp-protocol-version", "2099-01-01"),
        message(
            "an empty cursor",
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": ""}}),
        ),
        message(
            "another cursor",
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "x"}}),
        ),
        tool("a key as a token", "list_roles", json!({})).bearer("uak_made-up"),
        tool("two keys in two places", "list_roles", json!({}))
            .bearer("uak_made-up")
            .with("x-api-key", "uak_another"),
        message("the prompts", rpc("prompts/list")),
        message("the resources", rpc("resources/list")),
        message("an unknown method", rpc("nothing/there")),
        message(
            "a notification",
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        ),
        message("no message", json!([])),
        message(
            "a handshake",
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            }}),
        ),
        tool("a token", "verify_token", json!({"token": token})),
        tool("a bad token", "verify_token", json!({"token": "a.b.c"})),
        tool("no token", "verify_token", json!({})),
        tool(
            "an unknown field",
            "verify_token",
            json!({"token": 7, "tokn": "x"}),
        ),
        tool(
            "a good permission",
            "check_permission",
            json!({"token": token, "permission": "billing:invoices:read"}),
        ),
        tool(
            "a bad permission",
            "check_permission",
            json!({"token": token, "permission": "billing:write"}),
        ),
        tool(
            "the caller's own permission",
            "check_permission",
            json!({"permission": "billing:invoices:read"}),
        )
        .bearer(token),
        tool("no password", "register", json!({"username": "bob"})),
        tool("an unknown tool", "no_such_thing", json!({})),
        tool("capabilities", "get_capabilities", json!({})),
        Asked {
            body: "{".to_owned(),
            ..message("no JSON", json!(0))
        },
        request_of(
            "the server card by another method",
            "POST",
            "/mcp/server-card",
        ),
        api("an operation", "/api/verify_token", json!({"token": token})),
        api(
            "an operation on a bad token",
            "/api/verify_token",
            json!({"token": "a.b.c"}),
        ),
        api(
            "an operation without its input",
            "/api/verify_token",
            json!({}),
        ),
        api(
            "an operation with a query",
            "/api/verify_token?audience=a",
            json!({"token": token}),
        ),
        api("an operation on no object", "/api/verify_token", json!([])),
        api(
            "an operation by its caller",
            "/api/check_permission",
            json!({"permission": "billing:invoices:read"}),
        )
        .bearer(token),
        api(
            "an operation without its caller",
            "/api/list_roles",
            json!({}),
        ),
        api("an operation in gzip", "/api/verify_token", json!({}))
            .with("content-encoding", "gzip"),
        api(
            "an operation from a page that may",
            "/api/verify_token",
            json!({}),
        )
        .with("origin", PAGE),
        Asked {
            body: "{".to_owned(),
            ..api("an operation on no JSON", "/api/verify_token", json!({}))
        },
        Asked {
            body: r#"{"token": "a", "token": "b"}"#.to_owned(),
            ..api("an operation on two tokens", "/api/verify_token", json!({}))
        },
        Asked {
            body: String::new(),
            ..api(
                "an operation without a body",
                "/api/get_capabilities",
                json!({}),
            )
        },
        request_of("an operation by another method", "GET", "/api/verify_token"),
        form("introspection, anonymous", "/introspect", "token=a"),
        form("introspection without a token", "/introspect", ""),
        form(
            "introspection of two tokens",
            "/introspect",
            "token=a&token=b",
        ),
        form(
            "introspection with an unknown parameter",
            "/introspect",
            "token=a&resource=b",
        ),
        form("introspection of no text", "/introspect", "token=%ff"),
        form(
            "introspection by Basic without base64",
            "/introspect",
            "token=a",
        )
        .with("authorization", "Basic !"),
        form("introspection by another scheme", "/introspect", "token=a")
            .with("authorization", "Digest a"),
        form("introspection by two keys", "/introspect", "token=a")
            .with("authorization", "Basic YTp1YWtfYQ==")
            .with("x-api-key", "uak_b"),
        form("introspection by an unknown key", "/introspect", "token=a")
            .with("authorization", "Basic YTp1YWtfYQ=="),
        form(
            "introspection from a page that may",
            "/introspect",
            "token=a",
        )
        .with("origin", PAGE),
        api(
            "introspection in JSON",
            "/introspect",
            json!({"token": "a"}),
        ),
        request_of(
            "introspection by another method",
            "GET",
            "/introspect?token=a",
        ),
        form(
            "introspection with a query",
            "/introspect?audience=a",
            "token=a",
        ),
        form("revocation of nothing known", "/revoke", "token=a.b.c"),
        form("revocation of an audience", "/revoke", "token=a&audience=b"),
        form("revocation in gzip", "/revoke", "token=a").with("content-encoding", "gzip"),
        request_of("revocation by another method", "DELETE", "/revoke"),
        request_of("the description", "GET", "/openapi.json"),
        request_of("the description for a page", "GET", "/openapi.json")
            .with("origin", "https://docs.example.com"),
        request_of("the description before a page", "OPTIONS", "/openapi.json")
            .with("origin", "https://docs.example.com")
            .with("access-control-request-method", "GET"),
        request_of("the description by another method", "POST", "/openapi.json"),
        request_of("the keys before a page", "OPTIONS", "/jwks")
            .with("origin", "https://docs.example.com")
            .with("access-control-request-method", "GET"),
        request_of("the keys by another method", "POST", "/jwks"),
        request_of("an unknown operation", "POST", "/api/no_such_thing"),
        request_of("no operation", "POST", "/api/"),
        message("a page that may", rpc("ping")).with("origin", PAGE),
        message("a page that may, with its port", rpc("ping"))
            .with("origin", "https://app.example.com:443"),
        message("a page that may, in other letters", rpc("ping"))
            .with("origin", "HTTPS://App.Example.Com"),
        message("a page one label below", rpc("ping"))
            .with("origin", "https://a.pages.example.com"),
        message("a program", rpc("ping")).with("origin", "tauri://localhost"),
        message("a program that asks", rpc("ping"))
            .with("origin", "tauri://localhost")
            .with("access-control-request-method", "POST"),
        request_of("a browser asks", "OPTIONS", "/mcp")
            .with("origin", PAGE)
            .with("access-control-request-method", "POST")
            .with(
                "access-control-request-headers",
                "content-type,traceparent,tracestate,baggage",
            ),
        Asked {
            headers: vec![("content-type", "text/plain".to_owned())],
            ..message("another content type", rpc("ping"))
        },
        Asked {
            body: " ".repeat((1 << 20) + 1),
            ..message("too much", json!(0))
        },
    ]
}
