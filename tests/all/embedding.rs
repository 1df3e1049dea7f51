//! Programs that embed the component: the examples, run as their headers document.

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use ureq::Agent;
use user_auth_tests::{PASSWORD, built};

/// Runs an example to its end and returns its output.
fn run_example(name: &str) -> String {
    let output = Command::new(built(&format!("examples/{name}")))
        .arg(built("user-auth.wasm"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_plugin_offers_typed_calls() {
    let printed = run_example("embed");
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        lines[0].starts_with("alice is logged in until "),
        "{printed}"
    );
    let permissions = [
        "billing:invoices:read: true",
        "billing:invoices:write: false",
    ];
    assert_eq!(lines[1..], permissions);
}

#[test]
fn the_component_runs_in_an_embedders_linker() {
    let printed = run_example("linker");
    let lines: Vec<&str> = printed.lines().collect();
    let expected = [
        "alice has an account",
        "alice is known to acme by https://auth.example.com",
        "may read invoices: false",
        "4 instances so far",
        "no answer: the component called the host too often",
        "1 call was aborted",
        "no answer: the component ran out of memory",
        "1 call was aborted",
        "beside all of WASI: alice again",
    ];
    assert_eq!(lines, expected);
}

mod own_store {
    use super::*;

    /// Returns the lines below a heading.
    fn section<'a>(printed: &'a str, heading: &str) -> Vec<&'a str> {
        let (_, below) = printed.split_once(&format!("{heading}\n")).unwrap();
        let lines = below.lines().map_while(|line| line.strip_prefix("  "));
        lines.collect()
    }

    #[test]
    fn an_embedder_sets_policy_and_limits_and_reads_metrics() {
        let printed = run_example("own_store");
        let policy = [
            "register: refused by the policy: accounts need an address at example.com",
            "register: done",
            "delete_user: refused by the policy: visitors may not call this",
            "list_users: refused by the policy: the operator must call from this machine",
            "list_users: done",
        ];
        assert_eq!(section(&printed, "The policy:"), policy);

        let limits = ["the first:  done", "the second: too many calls are running"];
        assert_eq!(section(&printed, "The limits: two logins at once"), limits);

        // Requests refused before they reach the component are not counted.
        let numbers = section(&printed, "The numbers:");
        for operation in ["list_users", "login", "register"] {
            let counted = format!("{operation}: calls 1, failures 0, ");
            assert!(
                numbers.iter().any(|line| line.starts_with(&counted)),
                "{printed}"
            );
        }
        assert!(
            !numbers.iter().any(|line| line.starts_with("delete_user")),
            "{printed}"
        );
        assert!(
            numbers
                .iter()
                .any(|line| line.starts_with("store \"map\": ")),
            "{printed}"
        );
        assert!(numbers.contains(&"passwords hashed: 2"), "{printed}");
        assert!(numbers.contains(&"instances: 3"), "{printed}");
    }
}

mod axum {
    use super::*;

    struct Example {
        child: Child,
        url: String,
        agent: Agent,
    }

    /// Returns status, challenge and body.
    type Answer = (u16, Option<String>, String);

    impl Example {
        fn start() -> Example {
            let mut child = Command::new(built("examples/axum"))
                .arg(built("user-auth.wasm"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut url = String::new();
            let stdout = child.stdout.as_mut().unwrap();
            BufReader::new(stdout).read_line(&mut url).unwrap();
            let agent = Agent::config_builder().http_status_as_error(false);
            Example {
                child,
                url: url.trim_end().to_owned(),
                agent: agent.build().into(),
            }
        }

        fn get(&self, path: &str, authorization: Option<&str>) -> Answer {
            let mut request = self.agent.get(format!("{}{path}", self.url));
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            answer(request.call().unwrap())
        }

        fn post(&self, path: &str, authorization: &str, body: &Value) -> Answer {
            let request = self.agent.post(format!("{}{path}", self.url));
            let request = request.header("authorization", authorization);
            answer(request.send(body.to_string()).unwrap())
        }

        /// Logs in, and returns the header field with the token.
        fn log_in(&self, username: &str) -> String {
            let credentials = json!({"username": username, "password": PASSWORD});
            let (status, _, body) = self.post("/login", "", &credentials);
            assert_eq!(status, 200, "{body}");
            let tokens: Value = serde_json::from_str(&body).unwrap();
            format!("Bearer {}", tokens["access_token"].as_str().unwrap())
        }

        /// Waits for the program to end by itself, after the end of its input or a signal.
        fn end(mut self, signal: Option<&str>) {
            let pid = self.child.id().to_string();
            match signal {
                Some(signal) => drop(Command::new("kill").args([signal, &pid]).status()),
                None => drop(self.child.stdin.take()),
            }
            let status = self.child.wait().unwrap();
            assert!(status.success(), "{signal:?}: {status}");
        }
    }

    impl Drop for Example {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
        let challenge = response.headers().get("www-authenticate");
        let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
        let mut body = String::new();
        let mut reader = response.body_mut().as_reader();
        reader.read_to_string(&mut body).unwrap();
        (response.status().as_u16(), challenge, body)
    }

    #[test]
    fn a_guarded_route_requires_a_valid_token() {
        let example = Example::start();
        let (status, challenge, _) = example.get("/me", None);
        assert_eq!((status, challenge.as_deref()), (401, Some("Bearer")));
        // Values that are not tokens, and a scheme other than Bearer.
        let (status, challenge, _) = example.get("/me", Some("Bearer eyJhbGciOiJFZERTQSJ9.e30."));
        let invalid = Some(r#"Bearer error="invalid_token""#);
        assert_eq!((status, challenge.as_deref()), (401, invalid));
        assert_eq!(example.get("/me", Some("Basic YWxpY2U6eA==")).0, 401);

        let alice = example.log_in("alice");
        let (status, _, body) = example.get("/me", Some(&alice));
        assert_eq!((status, body.as_str()), (200, "you are alice\n"));

        let (status, _, _) = example.post("/logout", &alice, &json!({}));
        assert_eq!(status, 204);
        let (status, challenge, _) = example.get("/me", Some(&alice));
        assert_eq!((status, challenge.as_deref()), (401, invalid));
        example.end(None);
    }

    #[test]
    fn a_permission_is_required_where_it_is_needed() {
        let example = Example::start();
        assert_eq!(example.get("/reports", None).0, 401);
        let bob = example.log_in("bob");
        assert_eq!(example.get("/me", Some(&bob)).2, "you are bob\n");
        let (status, challenge, body) = example.get("/reports", Some(&bob));
        let insufficient = Some(r#"Bearer error="insufficient_scope""#);
        assert_eq!(
            (status, challenge.as_deref()),
            (403, insufficient),
            "{body}"
        );

        let alice = example.log_in("alice");
        let (status, _, body) = example.get("/reports", Some(&alice));
        assert_eq!((status, body.as_str()), (200, "reports for alice\n"));
        example.end(Some("-TERM"));
    }

    #[test]
    fn a_wrong_password_is_refused() {
        let example = Example::start();
        let guess = json!({"username": "alice", "password": "some wrong password"});
        let (status, challenge, _) = example.post("/login", "", &guess);
        assert_eq!((status, challenge.as_deref()), (401, Some("Bearer")));
        assert_eq!(example.post("/login", "", &json!("alice")).0, 400);
        example.end(Some("-INT"));
    }
}
