//! Agents, made with the official SDKs, whose users sign in on a page in Chromium. No password,
//! code or token passes through an agent.

use serde_json::{Value, json};
use tempfile::TempDir;
use user_auth_tests::{Options, Server, built, folder, step, totp_code};

use super::chromium::chromium;
use super::real_clients::{Client, free_port};
use super::transcript::Transcript;
use crate::clients::{client, node, script};
use crate::published_tokens::issuer::MASTER_KEY;

/// It looks the same in JSON, in a form and in a URL.
const PASSWORD: &str = "correct-horse-battery-staple";
const AGENT: &str = "Desk agent";

#[derive(Clone, Copy, Debug)]
enum Sdk {
    Python,
    TypeScript1,
    TypeScript2,
}

/// How an agent gets the page to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A client of 2026-07-28 that can open pages is asked to open this one.
    Elicitation,
    /// A client of 2026-07-28 that cannot open pages passes the link on.
    Text,
    /// A client of 2025-11-25 that can open pages is told by an error to open this one.
    Handshake,
}

#[derive(Clone, Copy, Debug)]
enum Connection {
    Http,
    /// By a process of its own, on the store of the server that has the pages.
    Stdio,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Elicitation => "elicitation",
            Way::Text => "text",
            Way::Handshake => "handshake",
        }
    }

    /// Returns how the client names its version of MCP.
    fn version(self) -> &'static str {
        match self {
            Way::Elicitation | Way::Text => r#"/protocolVersion":"2026-07-28""#,
            Way::Handshake => r#""protocolVersion":"2025-11-25""#,
        }
    }
}

/// What an SDK that knows both versions has to do.
const ALL: [(Way, Connection); 5] = [
    (Way::Elicitation, Connection::Http),
    (Way::Elicitation, Connection::Stdio),
    (Way::Text, Connection::Http),
    (Way::Handshake, Connection::Http),
    (Way::Handshake, Connection::Stdio),
];

/// A server with pages, and a Chromium in which users visit them.
struct Scene {
    home: TempDir,
    server: Server,
    store: String,
    chromium: Client,
}

impl Scene {
    fn start() -> Scene {
        let home = folder();
        let address = format!("127.0.0.1:{}", free_port());
        let store = format!("sqlite:{}/user-auth.db", home.path().display());
        let server = Options::new()
            .home(home.path())
            .listen(&address)
            .store(&store)
            .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
            .env("USER_AUTH_PUBLIC_URL", &format!("http://{address}"))
            .env("USER_AUTH_OAUTH_ENABLED", "true")
            .start();
        let mut user = script(node(), "agent_user.mjs", home.path());
        user.env("TMPDIR", home.path()).arg(chromium());
        Scene {
            home,
            server,
            store,
            chromium: Client::start(user),
        }
    }

    /// Registers a user, and returns what the user has to type besides the password: a code of
    /// an app, a recovery code, or nothing.
    fn register(&self, username: &str, way: Way) -> Option<String> {
        let credentials = json!({"username": username, "password": PASSWORD});
        let call = |operation: &str, input: Value| self.server.call(operation, input).unwrap();
        call("register", credentials.clone());
        if way == Way::Text {
            return None;
        }
        let token = call("login", credentials)["access_token"].take();
        let enrolled = call("enroll_totp", json!({"access_token": token}));
        let secret = enrolled["secret"].as_str().unwrap();
        // A code is good once, so the user types the one of the next step, which is good already.
        let code = totp_code(secret, step());
        let confirmed = call("confirm_totp", json!({"access_token": token, "code": code}));
        Some(match way {
            Way::Elicitation => totp_code(secret, step() + 1),
            _ => confirmed["recovery_codes"][0].as_str().unwrap().to_owned(),
        })
    }

    /// Starts an agent whose connection is recorded.
    fn agent(&self, sdk: Sdk, way: Way, connection: Connection, transcript: &Transcript) -> Client {
        let home = self.home.path();
        let typescript = |version: &str| {
            let mut command = script(node(), "typescript_agent.mjs", home);
            command.arg(version);
            command
        };
        let mut command = match sdk {
            Sdk::Python => script(client(".venv/bin/python"), "python_agent.py", home),
            Sdk::TypeScript1 => typescript("1"),
            Sdk::TypeScript2 => typescript("2"),
        };
        command.arg(way.name());
        match connection {
            Connection::Http => command.arg(format!("{}/mcp", transcript.of_http(&self.server))),
            Connection::Stdio => command
                .args(transcript.of_stdio())
                .arg(built("user-auth"))
                .args(["stdio", "--store", &self.store])
                .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
                .env("USER_AUTH_PUBLIC_URL", &self.server.url)
                .env("USER_AUTH_OAUTH_ENABLED", "true"),
        };
        Client::start(command)
    }

    fn assert_signs_in(&mut self, sdk: Sdk, way: Way, connection: Connection) {
        let username = format!("{sdk:?}-{way:?}-{connection:?}").to_lowercase();
        let second_factor = self.register(&username, way);
        let transcript = Transcript::new();
        let mut agent = self.agent(sdk, way, connection, &transcript);
        let shown = agent.wait_for_line(r#"{"url""#);
        let mut user: Value = serde_json::from_str(&shown).unwrap();
        let code = user["code"].as_str().unwrap().to_owned();
        user["agent"] = json!(AGENT);
        user["username"] = json!(username);
        user["password"] = json!(PASSWORD);
        user["second_factor"] = json!(second_factor);
        self.chromium.say(&user.to_string());
        self.chromium.wait_for_line("allowed");
        agent.say("done");
        agent.wait_for_line(&format!("signed in: {username}"));
        agent.wait_for_line("ok");

        let said = transcript.text();
        // The transcript is complete, and can be read.
        let tool = "user-auth_begin_sign_in";
        let last = r#""active":false"#;
        for part in [way.version(), tool, &code, &username, last] {
            assert!(said.contains(part), "{username} lacks {part}:\n{said}");
        }
        let is_asked = said.contains("elicitation/create");
        assert_eq!(is_asked, way == Way::Elicitation, "{username}:\n{said}");
        let is_told = said.contains("-32042");
        assert_eq!(is_told, way == Way::Handshake, "{username}:\n{said}");
        let is_done = said.contains("notifications/elicitation/complete");
        assert_eq!(is_done, way == Way::Handshake, "{username}:\n{said}");
        let is_greeted = said.contains(r#""initialize""#);
        assert_eq!(is_greeted, way == Way::Handshake, "{username}:\n{said}");
        for text in [said, agent.seen.join("\n")] {
            for secret in secrets(second_factor.as_deref()) {
                assert!(!reveals(&text, secret), "{username} has {secret}:\n{text}");
            }
        }
    }

    fn end(mut self) {
        self.chromium.say("");
        self.chromium.wait_for_line("closed");
    }
}

/// Returns what only the browser may see.
fn secrets(second_factor: Option<&str>) -> impl Iterator<Item = &str> {
    // Each access token contains the second, behind its header, and each refresh token the
    // third. The dot is part of it because random ids may contain the letters as well.
    [PASSWORD, ".eyJ", "uar_"].into_iter().chain(second_factor)
}

/// Reports whether a text contains a secret.
fn reveals(text: &str, secret: &str) -> bool {
    if secret.bytes().all(|byte| byte.is_ascii_digit()) {
        // A time or an id may contain the digits by chance.
        let mut words = text.split(|character: char| !character.is_ascii_alphanumeric());
        return words.any(|word| word == secret);
    }
    text.contains(secret)
}

#[test]
fn an_agent_with_the_python_sdk_has_its_user_sign_in_without_seeing_a_secret() {
    let mut scene = Scene::start();
    for (way, connection) in ALL {
        scene.assert_signs_in(Sdk::Python, way, connection);
    }
    scene.end();
}

#[test]
fn an_agent_with_the_typescript_sdk_has_its_user_sign_in_without_seeing_a_secret() {
    let mut scene = Scene::start();
    for connection in [Connection::Http, Connection::Stdio] {
        scene.assert_signs_in(Sdk::TypeScript1, Way::Handshake, connection);
    }
    for (way, connection) in ALL {
        scene.assert_signs_in(Sdk::TypeScript2, way, connection);
    }
    scene.end();
}
