//! Toolsets and read-only connections, through each door of MCP.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio as Pipe};
use std::sync::Arc;

use serde_json::{Value, json};
use user_auth_host::api::{Caller, Principal};
use user_auth_host::store::MemoryStore;
use user_auth_host::{Plugin, StoreKeys};
use user_auth_tests::{Options, PASSWORD, Server, Stdio, built, command, folder};

/// The most that the list of a fresh caller may cost.
const MAX_BYTES: usize = 16 * 1024;

fn names(tools: &Value) -> BTreeSet<String> {
    let tools = tools
        .as_array()
        .unwrap_or_else(|| panic!("no list: {tools}"));
    let names = tools.iter().map(|tool| tool["name"].as_str().unwrap());
    names
        .map(|name| name.strip_prefix("user-auth_").unwrap().to_owned())
        .collect()
}

/// Returns the names of the tools that a server lists at a path.
fn listed(server: &Server, path: &str, headers: &[(&str, &str)]) -> BTreeSet<String> {
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    names(&server.post_to(path, headers, list).json()["result"]["tools"])
}

fn call(operation: &str, arguments: &Value) -> String {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

/// Runs the program to its end, with nothing on its input.
fn run(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Output, String) {
    let mut command = command(home);
    command.args(arguments).envs(variables.iter().copied());
    let output = command.stdin(Pipe::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

#[test]
fn a_fresh_client_on_stdio_gets_the_usual_tools_in_16_kb() {
    let mut client = Stdio::with_usual_toolsets(&["--store", "memory"]);
    let tools = client.tools();
    let length = json!({"tools": tools}).to_string().len();
    assert!(length <= MAX_BYTES, "{length} bytes");
    let tools = names(&tools.into());
    assert!(tools.contains("login") && tools.contains("get_capabilities"));
    assert!(!tools.contains("delete_user"));
    let inner = json!({"data": {"operation": "list_users"}});
    for (operation, input) in [
        ("list_users", json!({})),
        ("execute_primary_operation", inner),
    ] {
        let single = client.call(operation, input.clone()).to_string();
        client.send(format!("[{}]", call(operation, &input)));
        for answer in [single, client.receive().to_string()] {
            assert!(
                answer.contains("the toolset users is not switched on"),
                "{answer}"
            );
            assert!(answer.contains("--toolsets"), "{answer}");
        }
    }
}

#[test]
fn a_client_on_stdio_gets_more_only_if_the_command_line_says_so() {
    let of = |arguments: &[&str]| {
        let arguments = [&["--store", "memory"], arguments].concat();
        let mut client = Stdio::with_usual_toolsets(&arguments);
        names(&client.tools().into())
    };
    let all = of(&["--operator"]);
    assert!(all.contains("delete_user") && all.len() > 50);
    assert_eq!(of(&["--toolsets", "all"]), all);
    let users = of(&["--toolsets", "users,audit"]);
    assert!(users.contains("list_users") && users.contains("query_audit"));
    assert!(!users.contains("login"));
    let reads = of(&["--operator", "--read-only"]);
    assert!(reads.contains("list_users"));
    assert!(!reads.contains("delete_user") && !reads.contains("login"));
}

#[test]
fn stdio_says_at_the_start_what_its_client_may_do() {
    let home = folder();
    let of = |arguments: &[&str]| {
        let arguments = [&["stdio", "--store", "memory"], arguments].concat();
        let (output, said) = run(home.path(), &arguments, &[]);
        (output.status.code(), said)
    };
    let (code, said) = of(&[]);
    assert_eq!(code, Some(0), "{said}");
    for part in ["auth,account,tokens", "--toolsets", "--operator"] {
        assert!(said.contains(part), "{said}");
    }
    let (_, said) = of(&["--operator"]);
    assert!(said.contains("all toolsets"), "{said}");
    let (code, said) = of(&["--toolsets", "auth,user"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("'auth,user'"), "{said}");
    assert!(
        said.contains("auth, account, tokens, users, roles"),
        "{said}"
    );
    let (code, _) = of(&["--toolsets", "auth", "--operator"]);
    assert_eq!(code, Some(2));
}

#[test]
fn a_fresh_caller_by_http_gets_the_usual_tools_in_16_kb() {
    let server = Options::new().with_usual_toolsets().start();
    let result = server.rpc("tools/list", json!({}))["result"].take();
    let length = result.to_string().len();
    assert!(length <= MAX_BYTES, "{length} bytes");
    let usual = names(&result["tools"]);
    assert!(usual.contains("login") && !usual.contains("list_users"));
    let refused = server.call("list_users", json!({})).unwrap_err();
    assert_eq!(refused["code"], -32602);
    let problem = "Unknown tool: the toolset users is not switched on";
    assert_eq!(refused["message"], problem);
    // The pages of the guide call operations that are not of MCP.
    let api = server.post_to("/api/list_users", &[], "{}");
    assert_eq!(api.status, 401);

    assert_eq!(listed(&server, "/mcp?toolsets=all", &[]), usual);
    let auth = listed(&server, "/mcp?toolsets=auth,users", &[]);
    assert!(auth.contains("login") && !auth.contains("list_users"));
    assert!(!auth.contains("list_sessions"));
    let account = listed(&server, "/mcp", &[("X-MCP-Toolsets", "account")]);
    assert!(account.contains("list_sessions") && !account.contains("login"));
    let summary = server.call("get_capabilities", json!({})).unwrap();
    assert!(summary.to_string().len() <= 4096);
    assert_eq!(summary["toolsets_off"][0], "users");
}

#[test]
fn a_read_only_address_changes_nothing() {
    let server = Server::start();
    let register = call(
        "register",
        &json!({"username": "alice", "password": PASSWORD}),
    );
    for (path, headers) in [
        ("/mcp/readonly", &[][..]),
        ("/mcp", &[("X-MCP-Readonly", "true")]),
    ] {
        let answer = server.post_to(path, headers, &register).json();
        let problem = "Unknown tool: this connection is read-only";
        assert_eq!(answer["error"]["message"], problem);
        assert!(!listed(&server, path, headers).contains("register"));
        assert!(listed(&server, path, headers).contains("verify_token"));
    }
    let answer = server.post(&[], register).json();
    assert_eq!(answer["result"]["isError"], false, "the name was free");

    let server = Options::new().arg("--read-only").start();
    let refused = server.call("register", json!({})).unwrap_err();
    assert_eq!(
        refused["message"],
        "Unknown tool: this connection is read-only"
    );
}

#[test]
fn an_unknown_toolset_in_a_request_is_an_error_that_names_the_known_ones() {
    let server = Server::start();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    for (path, headers) in [
        ("/mcp?toolsets=user", &[][..]),
        ("/mcp", &[("X-MCP-Toolsets", "user")]),
    ] {
        let answer = server.post_to(path, headers, &ping);
        assert_eq!(answer.status, 400);
        let message = answer.json()["error"]["message"].to_string();
        assert!(
            message.contains("auth, account, tokens, users"),
            "{message}"
        );
    }
}

#[test]
fn the_operators_command_line_has_all_operations() {
    let home = folder();
    let variables = [
        ("USER_AUTH_MCP_TOOLSETS", "auth"),
        ("USER_AUTH_MCP_READ_ONLY", "true"),
    ];
    let arguments = ["call", "create_service_account", "username=bot"];
    let (output, said) = run(home.path(), &arguments, &variables);
    assert!(output.status.success(), "{said}");
    let users = home.path().join("users.jsonl");
    std::fs::write(&users, json!({"username": "bob"}).to_string()).unwrap();
    let arguments = ["import", users.to_str().unwrap()];
    let (output, said) = run(home.path(), &arguments, &variables);
    assert!(output.status.success(), "{said}");
}

#[tokio::test]
async fn an_embedder_gets_everything_unless_it_sets_toolsets() {
    let operator = || Caller {
        principal: Principal::Operator,
        source: None,
    };
    for (toolsets, is_there) in [(None, true), (Some("auth"), false), (Some("users"), true)] {
        let mut builder = Plugin::builder()
            .component(built("user-auth.wasm"))
            .store(Arc::new(MemoryStore::new()))
            .keys(StoreKeys::ephemeral().unwrap());
        if let Some(toolsets) = toolsets {
            builder = builder.setting("USER_AUTH_MCP_TOOLSETS", toolsets);
        }
        let plugin = builder.build().unwrap();
        let inner = json!({"data": {"operation": "list_users"}}).to_string();
        for (operation, input) in [("list_users", "{}"), ("execute_primary_operation", &inner)] {
            let answer = plugin.invoke(operator(), operation, input).await.unwrap();
            assert_eq!(answer.is_ok(), is_there, "{toolsets:?}: {operation}");
            if let Err(error) = answer {
                let said = format!("{} {}", error.message, error.details);
                let expected = "the toolset users is not switched on";
                assert!(said.contains(expected), "{said}");
            }
        }
    }
}
