//! `host/deploy/nginx`: nginx in front of a page, with our server beside it.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use user_auth_tests::{Options, Server, built, command, folder};

use super::{Running, repository, succeed};

/// A guarded page, with nginx and the server that guards it.
struct Guarded {
    server: Server,
    nginx: Nginx,
    home: TempDir,
}

struct Nginx {
    url: String,
    agent: Agent,
    _running: Running,
}

/// The response of nginx.
struct Answer {
    status: u16,
    challenge: Option<String>,
    text: String,
}

impl Guarded {
    fn start() -> Guarded {
        Guarded::start_with("/billing:read")
    }

    /// Starts both; the location `/invoices/` requires this permission.
    fn start_with(asked: &str) -> Guarded {
        let home = folder();
        let server = Options::new().home(home.path()).start();
        let own = server.url.trim_start_matches("http://");
        let [guard, page] = free_ports();
        let folder = home.path().join("nginx");
        fs::create_dir(&folder).unwrap();
        for name in ["nginx.conf", "user-auth.conf"] {
            let text = fs::read_to_string(repository().join("host/deploy/nginx").join(name));
            let text = text
                .unwrap()
                .replace("127.0.0.1:8000", own)
                .replace("127.0.0.1:8080", &format!("127.0.0.1:{guard}"))
                .replace("127.0.0.1:9000", &format!("127.0.0.1:{page}"))
                .replace("/_verify/billing:read", &format!("/_verify{asked}"))
                // Makes nginx report when it has started.
                .replace("error_log stderr;", "error_log stderr notice;")
                // Makes the page show also what it must not receive.
                .replace("You are", "[$http_authorization$http_x_api_key] You are");
            fs::write(folder.join(name), text).unwrap();
        }
        let mut nginx = Command::new(program());
        nginx.args(["-e", "stderr", "-p"]).arg(&folder);
        nginx.arg("-c").arg(folder.join("nginx.conf"));
        let (running, _) = Running::start(&mut nginx, "start worker process");
        let agent = Agent::config_builder().http_status_as_error(false).build();
        let nginx = Nginx {
            url: format!("http://127.0.0.1:{guard}"),
            agent: agent.into(),
            _running: running,
        };
        Guarded {
            server,
            nginx,
            home,
        }
    }

    /// Registers a user, logs in, and returns the id and the header field.
    fn session(&self) -> (String, String) {
        let tokens = self.server.new_session("alice");
        let verified = json!({"token": tokens["access_token"]});
        let verified = self.server.call("verify_token", verified).unwrap();
        let token = tokens["access_token"].as_str().unwrap();
        (id(&verified["sub"]), format!("Bearer {token}"))
    }

    /// Runs an operation as the operator of the machine.
    fn operate(&self, arguments: &[&str]) -> Value {
        let mut command = command(self.home.path());
        serde_json::from_str(&succeed(command.arg("call").args(arguments))).unwrap()
    }
}

impl Nginx {
    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.call().expect("nginx responds");
        let challenge = answer.headers().get("www-authenticate");
        Answer {
            status: answer.status().as_u16(),
            challenge: challenge.map(|value| value.to_str().unwrap().to_owned()),
            text: answer.body_mut().read_to_string().unwrap(),
        }
    }
}

fn id(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Returns the nginx of the machine, or the one that `make` has unpacked.
fn program() -> PathBuf {
    let unpacked = built("user-auth").with_file_name("../tools/nginx/usr/sbin/nginx");
    let mut places = vec![PathBuf::from("/usr/sbin/nginx"), unpacked];
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path).map(|folder| folder.join("nginx")));
    let found = places.into_iter().find(|place| place.exists());
    found.expect("nginx is missing; run `make test`")
}

fn free_ports() -> [u16; 2] {
    // Both ports are held before either is released, so that they differ.
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

#[test]
fn a_request_without_a_valid_credential_gets_a_challenge() {
    let guarded = Guarded::start();
    let answer = guarded.nginx.get("/", &[]);
    assert_eq!(answer.status, 401);
    assert_eq!(answer.challenge.unwrap(), "Bearer realm=\"user-auth\"");
    assert!(!answer.text.contains("You are"), "{}", answer.text);
    let answer = guarded
        .nginx
        .get("/", &[("authorization", "Bearer made-up")]);
    assert_eq!(answer.status, 401);
    assert!(answer.challenge.unwrap().contains("invalid_token"));
    // The location that nginx asks internally is closed to clients.
    for path in ["/_verify", "/_verify/billing:read"] {
        let answer = guarded
            .nginx
            .get(path, &[("authorization", "Bearer made-up")]);
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[test]
fn the_page_gets_the_verified_identity_and_no_forged_one() {
    let guarded = Guarded::start();
    let (user_id, authorization) = guarded.session();
    let headers = [
        ("authorization", authorization.as_str()),
        ("x-auth-subject", "admin"),
        ("X_Auth_Subject", "admin"),
        ("x-auth-scopes", "everything"),
    ];
    let answer = guarded.nginx.get("/", &headers);
    assert_eq!(answer.status, 200);
    // The page does not see credentials that could act for the client.
    let expected = format!("[] You are {user_id}, with the scopes 'self'.\n");
    assert_eq!(answer.text, expected);
}

#[test]
fn a_location_can_require_a_permission() {
    let guarded = Guarded::start();
    let (user_id, authorization) = guarded.session();
    let headers = [("authorization", authorization.as_str())];
    let answer = guarded.nginx.get("/invoices/1", &headers);
    assert_eq!(answer.status, 403);
    assert!(answer.challenge.unwrap().contains("insufficient_scope"));
    assert!(!answer.text.contains("You are"), "{}", answer.text);

    guarded.operate(&["define_role", "role=clerk", "permissions:=[\"billing:*\"]"]);
    guarded.operate(&["assign_role", "username=alice", "role=clerk"]);
    let answer = guarded.nginx.get("/invoices/1", &headers);
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains(&user_id), "{}", answer.text);
    assert_eq!(guarded.nginx.get("/invoices/1", &[]).status, 401);
}

/// A permission that is requested in another way than in the example file admits no client,
/// instead of every logged-in one.
#[test]
fn a_wrongly_written_permission_requirement_admits_no_client() {
    for asked in [
        "?permission=billing:read",
        "/?permission=billing:read",
        "/",
        "/billing:read/",
        "/billing:read&x",
        "/Billing:Read",
        "_billing:read",
        "billing:read",
    ] {
        let guarded = Guarded::start_with(asked);
        let (_, authorization) = guarded.session();
        let headers = [("authorization", authorization.as_str())];
        assert_eq!(guarded.nginx.get("/", &headers).status, 200, "{asked}");
        let answer = guarded.nginx.get("/invoices/1", &headers);
        assert_eq!(answer.status, 503, "{asked}: {}", answer.text);
        assert!(!answer.text.contains("You are"), "{asked}: {}", answer.text);
    }
}

/// The client's query is not part of the query to `/verify`.
#[test]
fn a_client_cannot_change_the_verification_request() {
    let guarded = Guarded::start();
    let (_, authorization) = guarded.session();
    let headers = [("authorization", authorization.as_str())];
    for query in ["?permission=a", "?audience=x", "?&"] {
        assert_eq!(
            guarded.nginx.get(&format!("/{query}"), &headers).status,
            200,
            "{query}"
        );
        let answer = guarded.nginx.get(&format!("/invoices/1{query}"), &headers);
        assert_eq!(answer.status, 403, "{query}");
    }
}

#[test]
fn a_program_is_admitted_with_its_api_key() {
    let guarded = Guarded::start();
    let account = guarded.operate(&["create_service_account", "username=robot"]);
    let user_id = id(&account["user_id"]);
    let owner = format!("user_id={user_id}");
    let key = guarded.operate(&["create_api_key", "name=first", &owner]);
    let answer = guarded
        .nginx
        .get("/", &[("x-api-key", key["api_key"].as_str().unwrap())]);
    assert_eq!(answer.status, 200);
    let expected = format!("[] You are {user_id},");
    assert!(answer.text.starts_with(&expected), "{}", answer.text);
}

#[test]
fn a_logout_takes_effect_at_once() {
    let guarded = Guarded::start();
    let (_, authorization) = guarded.session();
    let headers = [("authorization", authorization.as_str())];
    assert_eq!(guarded.nginx.get("/", &headers).status, 200);
    let token = authorization.strip_prefix("Bearer ").unwrap();
    guarded
        .server
        .call("logout", json!({"access_token": token}))
        .unwrap();
    assert_eq!(guarded.nginx.get("/", &headers).status, 401);
}

#[test]
fn no_client_is_admitted_while_the_server_is_down() {
    let guarded = Guarded::start();
    let (_, authorization) = guarded.session();
    guarded.server.stop();
    let headers = [("authorization", authorization.as_str())];
    let answer = guarded.nginx.get("/", &headers);
    assert_eq!(answer.status, 503);
    assert!(!answer.text.contains("You are"), "{}", answer.text);
}
