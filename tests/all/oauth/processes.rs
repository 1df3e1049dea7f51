//! Several processes on one store, and processes that are killed: clients get the same
//! tokens from all, and no code is lost or exchanged by half.

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::thread;

use serde_json::{Value, json};
use user_auth_tests::postgres::database;
use user_auth_tests::{Answer, Options, PASSWORD, Server, folder};

use super::browser::{Browser, encode};
use super::{FILES, ISSUER, REDIRECT, Scene, VERIFIER, operate_with};
use crate::postgres::MASTER_KEY;

const PARALLEL: usize = 20;
const CODES: usize = 24;
const KILL_AFTER: usize = 8;

/// The environment of processes that share a PostgreSQL database, or none for those that
/// share the file in their home.
pub(super) fn environment(url: Option<&str>) -> Vec<(&str, &str)> {
    let common = [
        ("USER_AUTH_PUBLIC_URL", ISSUER),
        ("USER_AUTH_OAUTH_ENABLED", "true"),
    ];
    let store = url.map(|url| {
        [
            ("USER_AUTH_STORE", url),
            ("USER_AUTH_MASTER_KEY", MASTER_KEY),
        ]
    });
    common
        .into_iter()
        .chain(store.into_iter().flatten())
        .collect()
}

pub(super) fn start(home: &tempfile::TempDir, environment: &[(&str, &str)]) -> Server {
    let options = Options::new().home(home.path());
    let set = |options: Options, (name, value): &(&str, &str)| match *name {
        "USER_AUTH_STORE" => options.store(value),
        name => options.env(name, value),
    };
    environment.iter().fold(options, set).start()
}

pub(super) fn scene(environment: &[(&str, &str)]) -> Scene {
    let home = folder();
    let server = start(&home, environment);
    server.new_session("alice");
    let scopes = json!([{"scope": "files:read", "description": "Read your files"}]);
    let resource = json!({"resource": FILES, "resource_name": "Files", "scopes": scopes});
    operate_with(environment, &home, "define_resource", &resource);
    let client = json!({"client_name": "Desk", "redirect_uris": [REDIRECT]});
    let client = operate_with(environment, &home, "create_client", &client);
    Scene {
        home,
        server,
        client_id: client["client_id"].as_str().unwrap().to_owned(),
        verifier: VERIFIER.replace([' ', ','], "-"),
    }
}

impl Scene {
    /// Returns this many codes, for each of which the user has agreed.
    pub(super) fn codes(&self, number: usize) -> Vec<String> {
        let browser = Browser::new(&self.server);
        let page = browser.get("/sign-in");
        let page = browser.submit(&page, &[("username", "alice"), ("password", PASSWORD)]);
        assert_eq!(page.status, 303, "{}", page.text);
        let code = || {
            let page = browser.get(&self.target());
            let page = browser.submit(&page, &[("decision", "allow"), ("scope", "files:read")]);
            let location = page.header("location").unwrap();
            let (_, code) = location.split_once("code=").unwrap();
            code.split('&').next().unwrap().to_owned()
        };
        (0..number).map(|_| code()).collect()
    }

    pub(super) fn code_form(&self, code: &str) -> String {
        encode(&[
            ("client_id", &self.client_id),
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", &self.verifier),
            ("redirect_uri", REDIRECT),
        ])
    }

    pub(super) fn refresh_form(&self, refresh_token: &str) -> String {
        encode(&[
            ("client_id", &self.client_id),
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ])
    }
}

pub(super) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub(super) fn refresh_token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["refresh_token"].as_str().unwrap().to_owned()
}

/// A26.
fn one_successor_for_all(url: Option<&str>) {
    let environment = environment(url);
    let scene = scene(&environment);
    let other = start(&scene.home, &environment);
    let servers = [&scene.server, &other];
    let code = scene.codes(1).remove(0);
    let mut current = refresh_token(&other.post_to("/token", &[FORM], scene.code_form(&code)));
    for _ in 0..3 {
        let form = scene.refresh_form(&current);
        let successors: BTreeSet<String> = thread::scope(|scope| {
            let refreshes: Vec<_> = (0..PARALLEL)
                .map(|caller| {
                    let (server, form) = (servers[caller % 2], &form);
                    scope.spawn(move || refresh_token(&server.post_to("/token", &[FORM], form)))
                })
                .collect();
            let answers = refreshes.into_iter().map(|refresh| refresh.join().unwrap());
            answers.collect()
        });
        assert_eq!(successors.len(), 1, "{successors:?}");
        current = successors.into_iter().next().unwrap();
    }
}

#[test]
fn attack_a26_two_processes_on_one_file_lead_to_one_successor() {
    one_successor_for_all(None);
}

#[test]
fn attack_a26_two_processes_on_postgres_lead_to_one_successor() {
    one_successor_for_all(Some(&database()));
}

/// Of many exchanges of one code one wins. The others are valid second requests: they end what
/// the first has begun, which may have been a thief.
fn one_exchange_wins_and_the_others_end_it(url: Option<&str>) {
    let environment = environment(url);
    let scene = scene(&environment);
    let other = start(&scene.home, &environment);
    let servers = [&scene.server, &other];
    for code in scene.codes(2) {
        let form = scene.code_form(&code);
        let answers: Vec<Answer> = thread::scope(|scope| {
            let exchanges: Vec<_> = (0..PARALLEL)
                .map(|caller| {
                    let (server, form) = (servers[caller % 2], &form);
                    scope.spawn(move || server.post_to("/token", &[FORM], form))
                })
                .collect();
            let answers = exchanges.into_iter().map(|exchange| exchange.join());
            answers.collect::<Result<_, _>>().unwrap()
        });
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.status == 200);
        assert_eq!(won.len(), 1);
        for answer in lost {
            assert_eq!(answer.json()["error"], "invalid_grant", "{}", answer.text);
        }
        let form = scene.refresh_form(&refresh_token(won[0]));
        let refreshed = other.post_to("/token", &[FORM], form);
        assert_eq!(refreshed.json()["error"], "invalid_grant");
    }
}

#[test]
fn attack_a04_of_many_exchanges_of_one_code_by_two_processes_one_wins() {
    one_exchange_wins_and_the_others_end_it(None);
}

#[test]
fn attack_a04_of_many_exchanges_of_one_code_on_postgres_one_wins() {
    one_exchange_wins_and_the_others_end_it(Some(&database()));
}

/// Every exchange that was answered has begun a grant, every other code still works or has
/// begun none.
fn no_code_is_exchanged_by_half(url: Option<&str>) {
    let environment = environment(url);
    let mut scene = scene(&environment);
    let codes = scene.codes(CODES);
    let (progress, exchanged) = channel();
    let answered: Vec<Option<String>> = thread::scope(|scope| {
        let scene = &scene;
        let exchanges: Vec<_> = codes
            .iter()
            .map(|code| {
                let (server, form) = (&scene.server, scene.code_form(code));
                let progress = progress.clone();
                scope.spawn(move || {
                    let answer = server.try_post_to("/token", &[FORM], form).ok()?;
                    let token = refresh_token(&answer);
                    let _ = progress.send(());
                    Some(token)
                })
            })
            .collect();
        drop(progress);
        for _ in 0..KILL_AFTER {
            exchanged.recv().unwrap();
        }
        let pid = scene.server.pid().to_string();
        let killed = std::process::Command::new("kill")
            .args(["-KILL", &pid])
            .status();
        assert!(killed.unwrap().success());
        let exchanges = exchanges.into_iter();
        exchanges.map(|exchange| exchange.join().unwrap()).collect()
    });
    let server = start(&scene.home, &environment);
    std::mem::replace(&mut scene.server, server).kill();
    let mut alive = 0;
    for (code, answered) in codes.iter().zip(answered) {
        let is_answered = answered.is_some();
        let form = match answered {
            Some(token) => scene.refresh_form(&token),
            None => scene.code_form(code),
        };
        let answer = scene.server.post_to("/token", &[FORM], form);
        match answer.status {
            200 => alive += 1,
            // The killed server had exchanged it, and its answer was lost.
            _ if !is_answered => assert_eq!(answer.json()["error"], "invalid_grant"),
            _ => panic!("{}", answer.text),
        }
    }
    let login = json!({"username": "alice", "password": PASSWORD});
    let tokens = scene.server.call("login", login).unwrap();
    let input = json!({"access_token": tokens["access_token"]});
    let grants = scene.server.call("list_grants", input).unwrap();
    let grants: &Vec<Value> = grants["grants"].as_array().unwrap();
    assert_eq!(grants.len(), alive);
}

#[test]
fn a_kill_during_exchanges_of_codes_leaves_none_half_exchanged() {
    no_code_is_exchanged_by_half(None);
}

#[test]
fn a_kill_during_exchanges_of_codes_on_postgres_leaves_none_half_exchanged() {
    no_code_is_exchanged_by_half(Some(&database()));
}
