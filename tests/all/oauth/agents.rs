//! Agents that have their user sign in on a page, with the official Python SDK.

use serde_json::json;
use user_auth_tests::{Options, PASSWORD, Server, built, folder};

use super::Browser;
use super::real_clients::{Client, free_port};
use crate::clients::{client, script};
use crate::published_tokens::issuer::MASTER_KEY;

/// How an agent is connected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connection {
    Http,
    /// By a process of its own, on the store of the server that has the pages.
    Stdio,
}

/// Signs in on the page of a sign-in for an agent, and agrees.
fn visit(server: &Server, url: &str) {
    let browser = Browser::new(server);
    let target = url.strip_prefix(&server.url).expect(url);
    let page = browser.get(target);
    assert_eq!(page.status, 303, "{}", page.text);
    let page = browser.get(page.header("location").unwrap());
    let page = browser.submit(&page, &[("username", "alice"), ("password", PASSWORD)]);
    let page = browser.get(page.header("location").unwrap());
    assert!(page.text.contains("Desk agent"), "{}", page.text);
    let page = browser.submit(&page, &[("decision", "allow")]);
    assert_eq!(page.status, 200, "{}", page.text);
}

fn assert_signs_in(mode: &str, connection: Connection) {
    let home = folder();
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let store = format!("sqlite:{}/user-auth.db", home.path().display());
    let server = Options::new()
        .home(home.path())
        .listen(&address)
        .store(&store)
        .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
        .env("USER_AUTH_PUBLIC_URL", &url)
        .env("USER_AUTH_OAUTH_ENABLED", "true")
        .start();
    server
        .call(
            "register",
            json!({"username": "alice", "password": PASSWORD}),
        )
        .unwrap();
    let mut command = script(client(".venv/bin/python"), "python_agent.py", home.path());
    command.arg(mode);
    match connection {
        Connection::Http => command.arg(format!("{url}/mcp")),
        Connection::Stdio => command
            .arg(built("user-auth"))
            .args(["stdio", "--store", &store])
            .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
            .env("USER_AUTH_PUBLIC_URL", &url)
            .env("USER_AUTH_OAUTH_ENABLED", "true"),
    };
    let mut agent = Client::start(command);
    let page = agent.wait_for_line(&url);
    visit(&server, &page);
    agent.say("done");
    agent.wait_for_line("ok");
    let seen = agent.seen.join("\n");
    assert!(seen.contains("alice"), "{seen}");
    // The tokens of this service begin with these.
    for secret in [PASSWORD, "eyJ", "uar_"] {
        assert!(!seen.contains(secret), "{secret}: {seen}");
    }
}

#[test]
fn a_client_of_2026_07_28_opens_the_page_over_http() {
    assert_signs_in("2026-07-28", Connection::Http);
}

#[test]
fn a_client_of_2026_07_28_opens_the_page_over_stdio() {
    assert_signs_in("2026-07-28", Connection::Stdio);
}

#[test]
fn an_older_client_passes_the_link_on_over_http() {
    assert_signs_in("legacy", Connection::Http);
}

#[test]
fn an_older_client_passes_the_link_on_over_stdio() {
    assert_signs_in("legacy", Connection::Stdio);
}
