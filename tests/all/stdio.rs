//! The main workflow over standard input and output.

use serde_json::{Value, json};
use user_auth_tests::{PASSWORD, Stdio};

#[test]
fn a_session_lasts_from_the_handshake_to_the_end_of_input() {
    let mut client = Stdio::start(&[]);
    client.request(0, "initialize", json!({"protocolVersion": "2025-11-25"}));
    assert_eq!(client.receive()["result"]["protocolVersion"], "2025-11-25");
    client.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let credentials = json!({"username": "alice", "password": PASSWORD});
    client.call("register", credentials.clone());
    let answer = client.call("login", credentials);
    let tokens = &answer["result"]["structuredContent"];
    let answer = client.call("verify_token", json!({"token": tokens["access_token"]}));
    assert_eq!(answer["result"]["structuredContent"]["active"], true);
    let uri = format!(
        "mcp://user-auth/sessions/{}",
        tokens["session_id"].as_str().unwrap()
    );
    client.request(2, "resources/read", json!({"uri": uri}));
    assert!(
        client.receive().to_string().contains("alice"),
        "the operator may read it"
    );
    let (status, rest) = client.finish();
    assert!(status.success(), "{status}");
    assert_eq!(rest, Vec::<Value>::new());
}

#[test]
fn a_modern_client_needs_no_handshake() {
    let mut client = Stdio::start(&["--store", "memory"]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    client.request("d", "server/discover", json!({"_meta": meta}));
    let answer = client.receive();
    assert_eq!(answer["id"], "d");
    assert_eq!(answer["result"]["supportedVersions"][0], "2026-07-28");
}

#[test]
fn a_malformed_message_gets_an_error_and_the_next_one_works() {
    let mut client = Stdio::start(&["--store", "memory"]);
    for (line, code) in [
        (&b"{"[..], -32700),
        (b"\xff\xfe", -32700),
        (b"[]", -32600),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no/such\"}",
            -32601,
        ),
    ] {
        client.send(line);
        assert_eq!(client.receive()["error"]["code"], code);
    }
    client.send(vec![b'x'; 2 * 1024 * 1024]);
    assert_eq!(client.receive()["error"]["code"], -32600);
    client.send("");
    client.request(9, "ping", json!({}));
    assert_eq!(client.receive()["id"], 9);
}

#[test]
fn requests_in_flight_at_the_end_of_input_are_answered() {
    let mut client = Stdio::start(&["--store", "memory"]);
    for id in 0..6 {
        let arguments = json!({"username": format!("user{id}"), "password": PASSWORD});
        let params = json!({"name": "user-auth_register", "arguments": arguments});
        client.request(id, "tools/call", params);
    }
    let (status, answers) = client.finish();
    assert!(status.success(), "{status}");
    let mut ids: Vec<i64> = answers
        .iter()
        .map(|answer| answer["id"].as_i64().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3, 4, 5]);
    assert!(
        answers
            .iter()
            .all(|answer| answer["result"]["isError"] == false)
    );
}

#[test]
fn a_cancelled_request_gets_no_answer_and_leaves_nothing_behind() {
    let slow = [
        "--set=passwords.argon2_memory_kib=65536",
        "--set=passwords.argon2_iterations=10",
    ];
    let mut client = Stdio::start(&["--store", "memory", slow[0], slow[1]]);
    let account = json!({"username": "alice", "password": PASSWORD});
    let params = json!({
        "name": "user-auth_register",
        "arguments": account,
        "_meta": {"progressToken": "p"},
    });
    client.request("slow", "tools/call", params);
    // The call has begun to hash, which takes much longer than the next line.
    assert_eq!(client.receive()["method"], "notifications/progress");
    let cancel = json!({
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": "slow"},
    });
    client.send(cancel.to_string());
    client.request("next", "ping", json!({}));
    assert_eq!(client.receive()["id"], "next");
    let answer = client.call("login", account);
    assert_eq!(answer["error"]["code"], -32001, "there is no such account");
}

#[test]
fn log_notifications_follow_the_level_that_was_set() {
    let reuse = |level: &str| {
        let strict = "tokens.refresh_grace_seconds=0";
        let mut client = Stdio::start(&["--store", "memory", "--set", strict]);
        client.request(0, "logging/setLevel", json!({"level": level}));
        assert_eq!(client.receive()["result"], json!({}));
        let credentials = json!({"username": "alice", "password": PASSWORD});
        client.call("register", credentials.clone());
        let answer = client.call("login", credentials);
        let refresh_token = answer["result"]["structuredContent"]["refresh_token"].clone();
        let refresh = json!({"refresh_token": refresh_token});
        client.call("refresh_token", refresh.clone());
        client.call("refresh_token", refresh)
    };
    let told = reuse("warning");
    assert_eq!(told["method"], "notifications/message");
    assert_eq!(told["params"]["level"], "warning");
    assert_eq!(told["params"]["data"]["event"], "refresh_token_reused");
    assert_eq!(reuse("error")["error"]["code"], -32001);
}
