//! `guest/examples/javascript/index.html` in Chromium, driven through WebDriver.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use user_auth_tests::folder;

use super::{Running, TOUR, build_javascript, number_after, repository};

/// Calls back with the text of the element once it is no longer `running`.
const WAIT: &str = "
    const done = arguments[0];
    const state = document.querySelector('#state');
    const look = () => state.textContent !== 'running' && done(state.textContent);
    new MutationObserver(look).observe(state, { childList: true });
    look();";

/// A browser with an empty profile.
struct Browser {
    agent: Agent,
    session: String,
    _driver: Running,
    _home: TempDir,
}

impl Browser {
    fn start() -> Browser {
        let home = folder();
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").env("HOME", home.path());
        let (driver, line) = Running::start(&mut driver, "started successfully on port");
        let port = number_after(&line, "on port");
        let agent: Agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(90)))
            .build()
            .into();
        let profile = home.path().join("profile");
        let arguments = [
            "--headless",
            // Chromium has no sandbox for root, and the page is our own.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "timeouts": {"script": 60_000, "pageLoad": 60_000},
        });
        let wanted = json!({"capabilities": {"alwaysMatch": capabilities}});
        let driver_url = format!("http://127.0.0.1:{port}");
        let begun = post(&agent, &format!("{driver_url}/session"), &wanted);
        let id = begun["sessionId"].as_str().expect("a session");
        Browser {
            session: format!("{driver_url}/session/{id}"),
            agent,
            _driver: driver,
            _home: home,
        }
    }

    fn open(&self, url: &str) {
        post(
            &self.agent,
            &format!("{}/url", self.session),
            &json!({"url": url}),
        );
    }

    /// Runs a script in the page and returns what it calls back with, or with `sync` its
    /// return value.
    fn run(&self, how: &str, script: &str) -> Value {
        let url = format!("{}/execute/{how}", self.session);
        post(&self.agent, &url, &json!({"script": script, "args": []}))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session, and the driver after it.
        let _ = self.agent.delete(&self.session).call();
    }
}

fn post(agent: &Agent, url: &str, body: &Value) -> Value {
    let mut answer = agent.post(url).send_json(body).expect("WebDriver responds");
    let mut answer: Value = answer.body_mut().read_json().expect("JSON");
    answer["value"].take()
}

#[test]
fn a_web_page_hosts_the_component_with_its_own_store() {
    build_javascript();
    let mut files = Command::new("python3");
    files
        .current_dir(repository())
        .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]);
    let (_files, line) = Running::start(&mut files, "Serving HTTP on");
    let port = number_after(&line, "port");

    let browser = Browser::start();
    browser.open(&format!(
        "http://127.0.0.1:{port}/guest/examples/javascript/"
    ));
    let state = browser.run("async", WAIT);
    let lines = browser.run(
        "sync",
        "return document.querySelector('#lines').textContent",
    );
    assert_eq!(lines, TOUR, "{state}");
    assert!(state.as_str().unwrap().starts_with("done"), "{state}");
}
