//! Processes that are killed while clients refresh what users let them do: each client goes on
//! with the token that it has.

use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use user_auth_tests::postgres::database;
use user_auth_tests::{PASSWORD, Server};

use super::Scene;
use super::processes::{FORM, environment, refresh_token, scene, start};

const GRANTS: usize = 6;
const KILLS: usize = 4;
/// Refreshes that have been answered before each kill.
const KILL_AFTER: usize = 30;
/// How often a server may tell one client that it is busy.
const MAX_BUSY: usize = 10_000;
/// The longest time between two refreshes.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn kills_during_refreshes_by_clients_strand_none_and_fork_no_grant() {
    kill_during_refreshes(None);
}

#[test]
fn kills_during_refreshes_by_clients_on_postgres_strand_none_and_fork_no_grant() {
    kill_during_refreshes(Some(&database()));
}

/// Two processes of a client share each grant, and refresh it until the server is killed.
/// After that each goes on with the last token that it received, whether or not the killed
/// server had already replaced it. So it goes several times.
fn kill_during_refreshes(url: Option<&str>) {
    let mut environment = environment(url);
    // The longest, since a busy machine may take its time to start a server.
    environment.push(("USER_AUTH_REFRESH_GRACE_SECONDS", "600"));
    let mut scene = scene(&environment);
    let mut pairs: Vec<[String; 2]> = scene
        .codes(GRANTS)
        .iter()
        .map(|code| {
            let answer = scene
                .server
                .post_to("/token", &[FORM], scene.code_form(code));
            let token = refresh_token(&answer);
            [token.clone(), token]
        })
        .collect();
    for _ in 0..KILLS {
        pairs = refreshed_until_a_kill(&scene, &pairs);
        let server = start(&scene.home, &environment);
        std::mem::replace(&mut scene.server, server).kill();
        for pair in &mut pairs {
            let answers = pair.each_ref().map(|token| successor(&scene, token));
            // The first may have been a generation behind the second.
            assert_eq!(successor(&scene, &pair[0]), answers[1]);
            *pair = answers;
        }
    }
    let login = json!({"username": "alice", "password": PASSWORD});
    let tokens = scene.server.call("login", login).unwrap();
    let own = json!({"access_token": tokens["access_token"]});
    let grants = scene.server.call("list_grants", own.clone()).unwrap();
    assert_eq!(grants["grants"].as_array().unwrap().len(), GRANTS);
    let examined = verify(&scene.server, own);
    assert!(examined > KILLS * KILL_AFTER / 2, "{examined}");
}

/// Returns the token that takes the place of this one.
fn successor(scene: &Scene, token: &str) -> String {
    let form = scene.refresh_form(token);
    refresh_token(&scene.server.post_to("/token", &[FORM], form))
}

fn refreshed_until_a_kill(scene: &Scene, pairs: &[[String; 2]]) -> Vec<[String; 2]> {
    let (progress, refreshed) = channel();
    thread::scope(|scope| {
        let clients: Vec<_> = pairs
            .iter()
            .map(|pair| {
                pair.each_ref().map(|token| {
                    let progress = progress.clone();
                    scope.spawn(move || last_before_the_kill(scene, token, &progress))
                })
            })
            .collect();
        // Otherwise the test would wait after all clients have given up.
        drop(progress);
        for _ in 0..KILL_AFTER {
            refreshed.recv_timeout(PATIENCE).unwrap();
        }
        let pid = scene.server.pid().to_string();
        let killed = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.unwrap().success());
        let pairs = clients.into_iter();
        pairs
            .map(|pair| pair.map(|client| client.join().unwrap()))
            .collect()
    })
}

/// Refreshes until the connection breaks, and returns the last token that was received.
fn last_before_the_kill(scene: &Scene, token: &str, progress: &Sender<()>) -> String {
    let mut token = token.to_owned();
    let mut busy = 0;
    loop {
        let form = scene.refresh_form(&token);
        let Ok(answer) = scene.server.try_post_to("/token", &[FORM], form) else {
            return token;
        };
        // It is busy, and the token has not been used up.
        if answer.status == 503 {
            busy += 1;
            assert!(busy < MAX_BUSY, "{}", answer.text);
            continue;
        }
        let Ok(Value::Object(answer)) = serde_json::from_str(&answer.text) else {
            return token;
        };
        let next = answer.get("refresh_token").and_then(Value::as_str);
        token = next.unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        let _ = progress.send(());
    }
}

/// Verifies the audit trail of an account, and returns the number of its records.
fn verify(server: &Server, mut input: Value) -> usize {
    let mut examined = 0;
    loop {
        let page = server.call("verify_audit_chain", input.clone()).unwrap();
        assert_eq!(page["intact"], true, "{page}");
        examined += page["examined"].as_u64().unwrap() as usize;
        if page["next_seq"].is_null() {
            return examined;
        }
        input["after_seq"] = page["next_seq"].clone();
        input["previous"] = page["next_previous"].clone();
    }
}
