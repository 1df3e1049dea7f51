//! The main workflow over HTTP.

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server};

/// Asserts the form that every failure of an operation has.
pub fn assert_error_object(error: &Value, code: i64, operation: &str) {
    assert_eq!(error["code"], code, "{error}");
    assert!(error["message"].is_string(), "{error}");
    assert_eq!(error["data"]["operation"], operation, "{error}");
    assert_eq!(error["data"]["module"], "UserAuth", "{error}");
    assert!(error["data"]["details"].is_object(), "{error}");
    let timestamp = error["data"]["timestamp"].as_str().unwrap_or_default();
    assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{error}");
}

#[test]
fn a_user_registers_logs_in_is_verified_refreshes_and_logs_out() {
    for store in ["memory", "sqlite"] {
        let options = Options::new();
        let server = match store {
            "memory" => options.store("memory").start(),
            _ => options.start(),
        };
        let credentials = json!({"username": "Alice", "password": PASSWORD});
        let account = server.call("register", credentials.clone()).unwrap();
        assert_eq!(account["username"], "alice");
        let tokens = server.call("login", credentials).unwrap();
        assert_eq!(tokens["token_type"], "Bearer");
        assert_eq!(tokens["expires_in"], 900);

        let token = json!({"token": tokens["access_token"]});
        let verified = server.call("verify_token", token.clone()).unwrap();
        assert_eq!(verified["active"], true);
        assert_eq!(verified["sub"], account["user_id"]);
        assert_eq!(verified["username"], "alice");
        assert_eq!(verified["sid"], tokens["session_id"]);
        let lifetime = verified["exp"].as_u64().unwrap() - verified["iat"].as_u64().unwrap();
        assert_eq!(lifetime, 900);

        let access_token = json!({"access_token": tokens["access_token"]});
        let session = server.call("get_session", access_token).unwrap();
        assert_eq!(session["user_id"], account["user_id"]);
        assert_eq!(session["amr"], json!(["pwd"]));

        let refresh_token = json!({"refresh_token": tokens["refresh_token"]});
        let renewed = server.call("refresh_token", refresh_token).unwrap();
        assert_eq!(renewed["session_id"], tokens["session_id"]);
        let logout = json!({"refresh_token": renewed["refresh_token"]});
        server.call("logout", logout).unwrap();
        for tokens in [&tokens, &renewed] {
            let token = json!({"token": tokens["access_token"]});
            assert_eq!(
                server.call("verify_token", token).unwrap(),
                json!({"active": false})
            );
        }
        let again = json!({"refresh_token": renewed["refresh_token"]});
        let error = server.call("refresh_token", again).unwrap_err();
        assert_error_object(&error, -32001, "refresh_token");
    }
}

#[test]
fn an_account_and_its_session_survive_a_restart() {
    let home = user_auth_tests::folder();
    let options = || {
        let options = Options::new().home(home.path());
        options.env("USER_AUTH_REFRESH_GRACE_SECONDS", "0")
    };
    let server = options().start();
    let tokens = server.new_session("alice");
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
    let server = options().start();
    let token = json!({"token": tokens["access_token"]});
    assert_eq!(server.call("verify_token", token).unwrap()["active"], true);
    let used = json!({"refresh_token": tokens["refresh_token"]});
    server.call("refresh_token", used.clone()).unwrap();
    drop(server);
    let server = options().start();
    let error = server.call("refresh_token", used).unwrap_err();
    assert_error_object(&error, -32001, "refresh_token");
}

#[test]
fn a_request_needs_only_the_content_type_header() {
    let server = Server::start();
    let body = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}"#;
    let answer = server.post(&[], body);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let tools = answer.json()["result"]["tools"].as_array().unwrap().len();
    let capabilities = server.call("get_capabilities", json!({})).unwrap();
    assert_eq!(tools, capabilities["operations"].as_array().unwrap().len());
    let answer = server.rpc("initialize", json!({}));
    assert_eq!(answer["result"]["serverInfo"]["name"], "user-auth");
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let answer = server.post(&[], notification);
    assert_eq!((answer.status, answer.text.as_str()), (202, ""));
}

#[test]
fn a_trailing_slash_makes_no_difference() {
    let server = Server::start();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let answer = server.post_to("/mcp/", &[], ping);
    assert_eq!((answer.status, &answer.json()["result"]), (200, &json!({})));
    assert_eq!(server.post_to("/mcp//", &[], ping).status, 404);
    assert_eq!(server.get("/mcp/", &[]).header("allow"), Some("POST"));
    // The same policy applies to it.
    let answer = server.post_to("/mcp/", &[("origin", "https://evil.example")], ping);
    assert_eq!(answer.status, 403);
    let metrics = server.get("/metrics", &[]).text;
    assert!(metrics.contains(r#"path="/mcp",status="405""#), "{metrics}");
}

#[test]
fn a_compressed_body_is_refused_with_the_reason() {
    let server = Server::start();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for coding in ["gzip", "br", "GZIP", "identity, gzip"] {
        let answer = server.post(&[("content-encoding", coding)], ping);
        assert_eq!(answer.status, 415, "{coding}");
        let message = answer.json()["error"]["message"].clone();
        assert!(
            message.as_str().unwrap().contains("Content-Encoding"),
            "{message}"
        );
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
    }
    let answer = server.post(&[("content-encoding", "identity")], ping);
    assert_eq!(answer.status, 200);
}

#[test]
fn an_empty_cursor_returns_the_first_page() {
    let server = Server::start();
    for method in [
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    ] {
        let whole = server.rpc(method, json!({}));
        assert!(whole["result"].is_object(), "{whole}");
        assert_eq!(server.rpc(method, json!({"cursor": ""})), whole, "{method}");
        for cursor in [json!("x"), json!(" "), json!(0)] {
            let answer = server.rpc(method, json!({"cursor": cursor}));
            assert_eq!(answer["error"]["code"], -32602, "{method} {cursor}");
        }
    }
}

#[test]
fn an_unsupported_version_is_named_with_its_header() {
    let server = Server::start();
    for method in ["ping", "tools/list", "server/discover"] {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}});
        let headers = [("mcp-protocol-version", "2099-01-01")];
        let answer = server.post(&headers, body.to_string());
        assert_eq!(answer.status, 400, "{method}");
        let error = &answer.json()["error"];
        assert_eq!(error["code"], -32022, "{method}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("mcp-protocol-version"),
            "{method}: {message}"
        );
        assert_eq!(error["data"]["requested"], "2099-01-01", "{method}");
        assert_eq!(error["data"]["supported"][0], "2026-07-28", "{method}");
    }
    // A client may begin a new handshake with the header of an earlier connection.
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}});
    let headers = [("mcp-protocol-version", "2099-01-01")];
    assert_eq!(server.post(&headers, body.to_string()).status, 200);
}

#[test]
fn health_does_not_call_the_component() {
    let server = Server::start();
    let answer = server.get("/health", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["status"], "ok");
}

#[test]
fn the_response_is_a_stream_only_if_notifications_precede_it() {
    let server = Server::start();
    let register = |username: &str, meta: Value, accept: &str| {
        let body = json!({
            "jsonrpc": "2.0", "id": "r", "method": "tools/call",
            "params": {
                "name": "user-auth_register",
                "arguments": {"username": username, "password": PASSWORD},
                "_meta": meta,
            },
        });
        server.post(&[("accept", accept)], body.to_string())
    };
    let both = "application/json, text/event-stream";
    let plain = register("a", json!({}), both);
    assert_eq!(plain.header("content-type"), Some("application/json"));
    let not_accepted = register("b", json!({"progressToken": 1}), "application/json");
    assert_eq!(
        not_accepted.header("content-type"),
        Some("application/json")
    );

    let stream = register("c", json!({"progressToken": "token"}), both);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let messages: Vec<Value> = stream
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let (answer, notifications) = messages.split_last().unwrap();
    assert_eq!(answer["id"], "r");
    assert_eq!(answer["result"]["structuredContent"]["username"], "c");
    assert_eq!(notifications.len(), 3);
    for (done, notification) in notifications.iter().enumerate() {
        assert_eq!(notification["method"], "notifications/progress");
        assert_eq!(notification["params"]["progressToken"], "token");
        assert_eq!(notification["params"]["progress"], done);
    }
}

#[test]
fn a_batch_gets_a_batch_response() {
    let server = Server::start();
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
            "name": "user-auth_verify_token", "arguments": {"token": "x"}}},
        {"jsonrpc": "2.0", "id": 3, "method": "no/such"},
    ]);
    let answers = server.post(&[], batch.to_string()).json();
    assert_eq!(answers.as_array().unwrap().len(), 3);
    assert_eq!(answers[0]["result"], json!({}));
    assert_eq!(
        answers[1]["result"]["structuredContent"],
        json!({"active": false})
    );
    assert_eq!(answers[2]["error"]["code"], -32601);
}

#[test]
fn metrics_are_current() {
    let server = Server::start();
    let before = server.resource("mcp://user-auth/metrics");
    assert!(before["operations"]["login"].is_null());
    server.new_session("alice");
    let wrong = json!({"username": "alice", "password": "not the right one"});
    server.call("login", wrong).unwrap_err();
    let after = server.resource("mcp://user-auth/metrics");
    let login = &after["operations"]["login"];
    assert_eq!(
        (&login["calls"], &login["failures"]),
        (&json!(2), &json!(1))
    );
    let latency = |name: &str| login["latency_us"][name].as_u64().unwrap();
    assert!(0 < latency("p50") && latency("p50") <= latency("p99"));
    assert!(latency("p99") <= latency("max"));
    assert_eq!(after["password_hash"]["completed"], 3);
    assert_eq!(after["store"]["kind"], "sqlite");
    assert!(after["store"]["commits"].as_u64() >= Some(3));
    let created = |metrics: &Value| metrics["instances"]["created"].as_u64().unwrap();
    assert_eq!(
        created(&after) - created(&before),
        4,
        "each call has an instance of its own"
    );
    assert!(after["instances"]["peak_memory_bytes"].as_u64() > Some(0));
}

#[test]
fn a_session_is_readable_as_a_resource_by_its_owner() {
    let server = Server::start();
    let tokens = server.new_session("alice");
    let uri = format!(
        "mcp://user-auth/sessions/{}",
        tokens["session_id"].as_str().unwrap()
    );
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri},
    });
    let anonymous = server.post(&[], body.to_string());
    assert_eq!(anonymous.status, 200, "handshake clients read nothing else");
    assert_error_object(&anonymous.json()["error"], -32001, "mcp");
    let modern = json!({"uri": uri, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }});
    let modern = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": modern});
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "resources/read"),
        ("mcp-name", uri.as_str()),
    ];
    let anonymous = server.post(&headers, modern.to_string());
    assert_eq!(anonymous.status, 401);
    assert!(
        anonymous
            .header("www-authenticate")
            .unwrap()
            .starts_with("Bearer")
    );
    assert_error_object(&anonymous.json()["error"], -32001, "mcp");
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let owner = server.post(&[("authorization", &bearer)], body.to_string());
    assert!(owner.text.contains("alice"));
}

#[test]
fn a_request_in_flight_finishes_before_the_shutdown() {
    let server = Server::start();
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "user-auth_register",
            "arguments": {"username": "alice", "password": PASSWORD},
            "_meta": {"progressToken": 1},
        },
    });
    // The first notification shows that the request is in flight.
    let mut stream = raw_post(&server, &body.to_string());
    let begun = read_until(&mut stream, "notifications/progress");
    server.terminate();
    let rest = read_until_closed(&mut stream);
    assert!(
        format!("{begun}{rest}").contains(r#""username":"alice""#),
        "{begun}{rest}"
    );
    let (status, _) = server.ended();
    assert!(status.success(), "{status}");
}

fn raw_post(server: &Server, body: &str) -> std::net::TcpStream {
    use std::io::Write;
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream
}

fn read_until(stream: &mut std::net::TcpStream, text: &str) -> String {
    use std::io::Read;
    let mut seen = String::new();
    let mut buffer = [0; 1024];
    while !seen.contains(text) {
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "closed after: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    seen
}

fn read_until_closed(stream: &mut std::net::TcpStream) -> String {
    use std::io::Read;
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    rest
}
