//! Calls of agents that need the user's approval, over two processes.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};
use user_auth_tests::postgres::database;
use user_auth_tests::{PASSWORD, Server, command};

use super::browser::{Browser, Page};
use super::processes::{environment, scene, start};
use super::{ISSUER, REDIRECT, Scene, operate_with};

const MCP: &str = "http://localhost:8000/mcp";
const SCOPE: &str = "user-auth:signing-keys:write";
const PARALLEL: usize = 20;

/// Returns an access token of a client for this service itself.
fn token(scene: &Scene, browser: &Browser) -> String {
    let target = scene.target_for(MCP, SCOPE);
    let page = browser.get(&target);
    let page = browser.submit(&page, &[("decision", "allow")]);
    let (_, code) = page
        .header("location")
        .unwrap()
        .split_once("code=")
        .unwrap();
    let answer = scene.token(&[
        ("grant_type", "authorization_code"),
        ("code", code.split('&').next().unwrap()),
        ("code_verifier", &scene.verifier),
        ("redirect_uri", REDIRECT),
    ]);
    assert_eq!(answer.json()["scope"], SCOPE, "{}", answer.text);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// Rotates the signing key as an agent, and returns the code of the error if there is one.
fn rotate(server: &Server, token: &str) -> (Option<i64>, Value) {
    let authorization = format!("Bearer {token}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", authorization.as_str()),
    ];
    let answer = server
        .post_to("/api/rotate_signing_key", &headers, "{}")
        .json();
    (answer["error"]["code"].as_i64(), answer)
}

fn signed_in(server: &Server) -> Browser {
    let browser = Browser::new(server);
    let page = browser.get("/sign-in");
    let page = browser.submit(&page, &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(page.status, 303, "{}", page.text);
    browser
}

/// The page is opened at one process, and the calls go to both.
fn one_of_many_calls_is_approved(url: Option<&str>) {
    let environment = environment(url);
    let scene = scene(&environment);
    let role = json!({"username": "alice", "role": "admin"});
    operate_with(&environment, &scene.home, "assign_role", &role);
    let other = start(&scene.home, &environment);
    let browser = signed_in(&scene.server);
    let token = token(&scene, &browser);
    let (code, asked) = rotate(&other, &token);
    assert_eq!(code, Some(-32002), "{asked}");
    let uri = asked["error"]["data"]["details"]["approval_uri"].as_str();
    let page: Page = browser.get(uri.unwrap().strip_prefix(ISSUER).unwrap());
    assert!(page.text.contains("rotate_signing_key"), "{}", page.text);
    let page = browser.submit(&page, &[("decision", "allow")]);
    assert!(page.text.contains("You have approved it"), "{}", page.text);
    let servers = [&scene.server, &other];
    let codes: Vec<Option<i64>> = thread::scope(|scope| {
        let calls: Vec<_> = (0..PARALLEL)
            .map(|caller| {
                let (server, token) = (servers[caller % 2], &token);
                scope.spawn(move || rotate(server, token).0)
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let done = codes.iter().filter(|code| code.is_none()).count();
    assert_eq!(done, 1, "{codes:?}");
    assert!(
        codes.iter().flatten().all(|code| *code == -32002),
        "{codes:?}"
    );
}

#[test]
fn of_many_calls_to_two_processes_on_one_file_one_is_approved() {
    one_of_many_calls_is_approved(None);
}

#[test]
fn of_many_calls_to_two_processes_on_postgres_one_is_approved() {
    one_of_many_calls_is_approved(Some(&database()));
}

/// The program shows the default of the component, and does not pass it on.
#[test]
fn the_configuration_shows_the_operations_that_the_component_asks_for() {
    let environment = environment(None);
    let scene = scene(&environment);
    let mut show = command(scene.home.path());
    show.envs(environment.iter().copied());
    let shown = show.args(["config", "show", "--json"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let shown = shown["oauth"]["approvals"].as_array().unwrap();
    let shown: BTreeSet<&str> = shown.iter().map(|name| name.as_str().unwrap()).collect();
    let asked: BTreeSet<String> = [
        "users:read",
        "users:write",
        "roles:read",
        "roles:write",
        "api-keys:write",
        "signing-keys:write",
        "clients:read",
        "clients:write",
        "resources:read",
        "resources:write",
        "audit:read",
        "tokens:introspect",
    ]
    .iter()
    .flat_map(|name| {
        let input = json!({"username": "alice", "permission": format!("user-auth:{name}")});
        let explained = operate_with(&environment, &scene.home, "explain_permissions", &input);
        let operations = explained["decision"]["operations"].as_array().unwrap();
        let asked = operations.iter().filter(|it| it["needs_approval"] == true);
        let names = asked.map(|it| it["operation"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    })
    .collect();
    assert_eq!(asked, shown.into_iter().map(str::to_owned).collect());
}
