//! Clients and resource servers of OAuth: registered from the command line and over HTTP,
//! with every race settled by the store.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};
use user_auth_tests::{Options, Server, command, folder};

const CALLBACK: &str = "https://app.example.com/callback";
const NOTES: &str = "https://notes.example.com/mcp";
const PARALLEL: usize = 8;

fn run(home: &Path, arguments: &[&str]) -> Output {
    let mut command = command(home);
    command.arg("call").args(arguments).output().unwrap()
}

/// Runs an operation as the operator.
fn call(home: &Path, arguments: &[&str]) -> Value {
    let output = run(home, arguments);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// Posts to the route of an operation.
fn post(server: &Server, tokens: &Value, operation: &str, input: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let path = format!("/api/{operation}");
    let answer = server.post_to(&path, &[("authorization", &bearer)], input.to_string());
    (answer.status, answer.json())
}

#[test]
fn administrators_register_clients_and_resource_servers_by_every_door() {
    let home = folder();
    let start = || Options::new().home(home.path()).start();
    let server = start();
    let alice = server.new_session("alice");
    let bob = server.new_session("bob");
    call(
        home.path(),
        &["assign_role", "username=alice", "role=admin"],
    );

    // From the command line.
    let uris = format!("redirect_uris={CALLBACK},http://localhost/callback");
    let client = call(
        home.path(),
        &[
            "create_client",
            "client_name=An app",
            &uris,
            "token_endpoint_auth_method=client_secret_basic",
        ],
    );
    let secret = client["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("uas_"), "{client}");
    let wrong = run(
        home.path(),
        &[
            "create_client",
            "client_name=An app",
            "redirect_uris=http://app.example.com",
        ],
    );
    let text = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        text.contains("redirect_uris") && text.contains("https"),
        "{text}"
    );

    // As a tool of MCP.
    let own = json!({"access_token": alice["access_token"]});
    let listed = server.call("list_clients", own).unwrap();
    assert_eq!(listed["clients"].as_array().unwrap().len(), 1);
    assert_eq!(listed["clients"][0]["client_id"], client["client_id"]);
    assert!(!listed.to_string().contains(secret));

    // Over HTTP.
    let input = json!({
        "resource": format!("{NOTES}/"),
        "resource_name": "Notes",
        "scopes": [{"scope": "notes:read", "description": "Read your notes"}],
    });
    assert_eq!(post(&server, &bob, "define_resource", &input).0, 403);
    let (status, defined) = post(&server, &alice, "define_resource", &input);
    assert_eq!((status, &defined["resource"]), (200, &json!(NOTES)));
    let id = json!({"client_id": client["client_id"]});
    assert_eq!(post(&server, &bob, "rotate_client_secret", &id).0, 403);
    let (status, rotated) = post(&server, &alice, "rotate_client_secret", &id);
    assert_eq!(status, 200);
    assert_ne!(rotated["client_secret"], client["client_secret"]);

    // They outlive the server, and their secrets are nowhere in its files.
    server.stop();
    for entry in walk(home.path()) {
        let content = std::fs::read(&entry).unwrap();
        for secret in [secret, rotated["client_secret"].as_str().unwrap()] {
            let secret = &secret.as_bytes()["uas_".len()..];
            let is_in_file = content.windows(secret.len()).any(|part| part == secret);
            assert!(!is_in_file, "{}", entry.display());
        }
    }
    let server = start();
    let (_, resources) = post(&server, &alice, "list_resources", &json!({}));
    assert_eq!(resources["resources"], json!([defined]));
    let (_, deleted) = post(
        &server,
        &alice,
        "delete_resource",
        &json!({"resource": NOTES}),
    );
    assert_eq!(deleted, json!({"resource": NOTES}));
    let (_, deleted) = post(&server, &alice, "delete_client", &id);
    assert_eq!(deleted, id);
    assert_eq!(call(home.path(), &["list_clients"])["clients"], json!([]));
    assert_eq!(
        call(home.path(), &["list_resources"])["resources"],
        json!([])
    );
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(walk(&path)),
            false => files.push(path),
        }
    }
    files
}

/// Calls an operation many times at once, half of them by each server.
fn at_once(
    servers: &[Server; 2],
    tokens: &Value,
    operation: &str,
    input: &Value,
) -> Vec<(u16, Value)> {
    let barrier = Barrier::new(PARALLEL);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..PARALLEL)
            .map(|number| {
                let (barrier, server) = (&barrier, &servers[number % 2]);
                scope.spawn(move || {
                    barrier.wait();
                    post(server, tokens, operation, input)
                })
            })
            .collect();
        let answers = threads.into_iter().map(|thread| thread.join().unwrap());
        answers.collect()
    })
}

#[test]
fn of_parallel_changes_by_two_servers_none_is_lost_and_each_deletion_happens_once() {
    let home = folder();
    let start = || Options::new().home(home.path()).start();
    let servers = [start(), start()];
    let alice = servers[0].new_session("alice");
    call(
        home.path(),
        &["assign_role", "username=alice", "role=admin"],
    );
    let once = |answers: Vec<(u16, Value)>| {
        let done = answers.iter().filter(|(status, _)| *status == 200);
        assert_eq!(done.count(), 1, "{answers:?}");
    };

    let input = json!({"client_name": "An app", "redirect_uris": [CALLBACK]});
    let created = at_once(&servers, &alice, "create_client", &input);
    let created: BTreeSet<String> = created
        .iter()
        .map(|(_, client)| client["client_id"].as_str().unwrap().to_owned())
        .collect();
    let (_, listed) = post(&servers[1], &alice, "list_clients", &json!({}));
    let listed = listed["clients"].as_array().unwrap();
    assert_eq!((created.len(), listed.len()), (PARALLEL, PARALLEL));
    let id = json!({"client_id": created.first()});
    once(at_once(&servers, &alice, "delete_client", &id));
    let (_, listed) = post(&servers[1], &alice, "list_clients", &json!({}));
    assert_eq!(listed["clients"].as_array().unwrap().len(), PARALLEL - 1);

    let input = json!({"resource": NOTES, "resource_name": "Notes"});
    let defined = at_once(&servers, &alice, "define_resource", &input);
    assert!(
        defined.iter().all(|(status, _)| *status == 200),
        "{defined:?}"
    );
    let (_, listed) = post(&servers[0], &alice, "list_resources", &json!({}));
    assert_eq!(listed["resources"].as_array().unwrap().len(), 1);
    let input = json!({"resource": NOTES});
    once(at_once(&servers, &alice, "delete_resource", &input));
}
