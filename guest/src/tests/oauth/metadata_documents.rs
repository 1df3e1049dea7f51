//! Clients that identify themselves by a metadata document: what is accepted, when it is
//! fetched, and what people see.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Browser, ISSUER, Scene, claims, operator, text};
use crate::domain::clients::client::Client;
use crate::domain::clients::client_id::ClientId;
use crate::domain::clients::document_url::DocumentUrl;
use crate::oauth::metadata_document;
use crate::ports::Document;
use crate::settings::ClientDocuments;

const URL: &str = "https://app.example/oauth/client.json";
const LOCAL: &str = "http://127.0.0.1/cb";
const SITE: &str = "https://app.example/cb";

fn document() -> Value {
    json!({
        "client_id": URL,
        "client_name": "Pad",
        "redirect_uris": [LOCAL, SITE],
        "token_endpoint_auth_method": "none",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut document = document();
    document[name] = value;
    document
}

impl Scene {
    /// Returns a scene whose client has a metadata document.
    fn with_document() -> Scene {
        let mut scene = Scene::new();
        scene.client_id = URL.to_owned();
        scene.publish(&document().to_string(), None);
        scene
    }

    /// Puts the document of the client on the web.
    fn publish(&self, body: &str, fresh_for: Option<u64>) {
        let document = Document {
            body: body.as_bytes().to_vec(),
            fresh_for: fresh_for.map(Duration::from_secs),
        };
        let mut documents = self.world.documents.borrow_mut();
        documents.insert(URL.to_owned(), document);
    }

    /// Signs a user in, who lets the client read files.
    fn give_access(&self) {
        let browser = Browser::signed_in(self);
        let page = browser.get(&self.authorize(&[]));
        let page = browser.decide(&page, "allow", &["files:read"]);
        let code = page.answer().first("code").unwrap().to_owned();
        let (status, tokens) = self.exchange(&code, &[("redirect_uri", LOCAL)]);
        assert_eq!(status, 200, "{tokens}");
    }

    fn fetches(&self) -> usize {
        self.world.fetched.borrow().len()
    }

    fn authorize(&self, changes: &[(&str, &str)]) -> String {
        let local = [("redirect_uri", LOCAL)];
        format!("/authorize?{}", self.query(&[&local, changes].concat()))
    }
}

fn is_unusable(browser: &Browser, target: &str) {
    let page = browser.get(target);
    assert_eq!((page.status, page.header("location")), (400, ""));
    assert!(page.body.contains("a document on the web"), "{}", page.body);
}

#[test]
fn a_client_with_a_document_gets_access_after_consent() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    let page = browser.get(&scene.authorize(&[]));
    // Nobody vouches for the name, and the document has a host.
    assert!(page.body.contains("Nobody here has checked this name"));
    assert!(page.body.contains(">app.example<"), "{}", page.body);
    let page = browser.decide(&page, "allow", &["files:read"]);
    let code = page.answer().first("code").unwrap().to_owned();
    let (status, tokens) = scene.exchange(&code, &[("redirect_uri", LOCAL)]);
    assert_eq!(status, 200, "{tokens}");
    let claims = claims(&tokens["access_token"]);
    assert_eq!(claims["client_id"], URL);
    let (status, refreshed) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
    assert_eq!(status, 200, "{refreshed}");
    assert_eq!(scene.fetches(), 1);

    let listed = operator(&scene.world, "list_clients", json!({}));
    let clients = listed["clients"].as_array().unwrap();
    let listed = clients
        .iter()
        .find(|client| client["client_id"] == URL)
        .unwrap();
    assert_eq!(listed["registration"], "document");
    operator(&scene.world, "delete_client", json!({"client_id": URL}));
    let (status, error) = scene.refresh(&text(&refreshed["refresh_token"]), &[]);
    assert_eq!((status, &error["error"]), (401, &json!("invalid_client")));
    // It comes back with its next request, and what users gave to it before does not.
    scene.world.pass(1);
    Browser::new(&scene).get(&scene.authorize(&[]));
    assert_eq!(scene.fetches(), 2);
    let (status, error) = scene.refresh(&text(&refreshed["refresh_token"]), &[]);
    assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
}

#[test]
fn a_user_takes_the_access_of_a_client_with_a_document_away() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    let page = browser.get(&scene.authorize(&[]));
    let page = browser.decide(&page, "allow", &["files:read"]);
    let code = page.answer().first("code").unwrap().to_owned();
    let (_, tokens) = scene.exchange(&code, &[("redirect_uri", LOCAL)]);
    let apps = browser.get("/apps");
    let origin = "chosen by the website <strong class=\"url\">app.example<";
    assert!(apps.body.contains(origin), "{}", apps.body);
    let fields = [
        ("form_token", apps.field("form_token")),
        ("client_id", URL.to_owned()),
    ];
    let fields = fields
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(browser.post("/apps", &fields).status, 303);
    let (status, error) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
    assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
}

/// It is treated like a client that registered itself.
#[test]
fn no_error_leads_to_the_website_of_a_client_with_a_document() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    let wrong = [("scope", "unknown")];
    let page = browser.get(&scene.authorize(&[&wrong[..], &[("redirect_uri", SITE)]].concat()));
    assert_eq!((page.status, page.header("location")), (400, ""));
    assert!(page.body.contains("Go back to app.example<"));
    let page = browser.get(&scene.authorize(&wrong));
    assert!(page.header("location").starts_with(LOCAL));
}

#[test]
fn the_document_lists_the_redirect_uris() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    for wrong in [
        "https://evil.example/cb",
        "https://app.example/cb/",
        "http://127.0.0.1/other",
    ] {
        let page = browser.get(&scene.authorize(&[("redirect_uri", wrong)]));
        assert_eq!((page.status, page.header("location")), (400, ""), "{wrong}");
        assert!(page.body.contains("not registered for it"), "{}", page.body);
    }
    // Any port of this machine.
    let page = browser.get(&scene.authorize(&[("redirect_uri", "http://127.0.0.1:5000/cb")]));
    assert_eq!(page.status, 200);
}

/// A19, A21.
#[test]
fn attack_a21_a_document_that_means_something_else_is_refused() {
    let url = DocumentUrl::try_from(URL.to_owned()).unwrap();
    let parse = |body: &str| metadata_document::parse(&url, body.as_bytes());
    assert!(parse(&document().to_string()).is_ok());
    let mut without_method = document();
    without_method
        .as_object_mut()
        .unwrap()
        .remove("token_endpoint_auth_method");
    assert!(parse(&without_method.to_string()).is_ok());
    let private = |name: &str| {
        let mut key = json!({"kty": "EC", "crv": "P-256", "x": "x", "y": "y"});
        key[name] = json!("secret");
        with(
            "jwks",
            json!({"keys": [{"kty": "RSA", "n": "n", "e": "AQAB"}, key]}),
        )
    };
    let text = document().to_string();
    for wrong in [
        with("client_id", json!("https://app.example/oauth/Client.json")),
        with("client_id", json!("https://app.example/oauth/client.json ")),
        with("client_id", json!([URL])),
        with("client_id", Value::Null),
        with("client_name", Value::Null),
        with("client_name", json!("\u{200b}")),
        with("client_secret", json!("secret")),
        with("client_secret", Value::Null),
        with("client_secret_expires_at", json!(0)),
        with("token_endpoint_auth_method", json!("client_secret_basic")),
        with("token_endpoint_auth_method", json!("client_secret_post")),
        with("token_endpoint_auth_method", json!("client_secret_jwt")),
        with("token_endpoint_auth_method", json!("tls_client_auth")),
        with("grant_types", json!(["client_credentials"])),
        with("response_types", json!(["token"])),
        with("redirect_uris", json!([])),
        with("redirect_uris", Value::Null),
        with("redirect_uris", json!(["http://app.example/cb"])),
        with("redirect_uris", json!(["javascript:alert(1)"])),
        with("redirect_uris", json!(["https://*.app.example/cb"])),
        with("redirect_uris", json!(["pad:/cb"])),
        private("d"),
        private("k"),
    ] {
        assert!(parse(&wrong.to_string()).is_err(), "{wrong}");
    }
    for wrong in [
        String::new(),
        "<!doctype html>".to_owned(),
        "[]".to_owned(),
        text[..text.len() - 1].to_owned(),
        text.replacen('{', "{\"client_id\":\"https://evil.example/\",", 1),
        text.replacen('{', "{\"redirect_uris\":[\"https://evil.example/cb\"],", 1),
    ] {
        assert!(parse(&wrong).is_err(), "{wrong}");
    }
}

/// A18: the rest of these URLs is refused by the host of the component.
#[test]
fn attack_a18_what_is_no_url_of_a_document_is_not_fetched() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    for id in [
        "https://127.0.0.1/client.json",
        "https://localhost./client.json",
        "https://app.example/oauth/client.json?x",
        "http://app.example/oauth/client.json",
        "https://app.example",
    ] {
        let page = browser.get(&scene.authorize(&[("client_id", id)]));
        assert_eq!((page.status, page.header("location")), (400, ""), "{id}");
        assert!(page.body.contains("not known here"), "{}", page.body);
    }
    assert_eq!(scene.fetches(), 0);
}

/// AS-13: failures are not kept as documents, but not repeated at once either.
#[test]
fn attack_a19_a_document_that_cannot_be_used_is_fetched_again_after_a_moment() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    let target = scene.authorize(&[]);
    scene.world.documents.borrow_mut().clear();
    is_unusable(&browser, &target);
    assert_eq!(scene.fetches(), 1);
    scene.publish(&document().to_string(), None);
    scene.world.pass(29);
    is_unusable(&browser, &target);
    assert_eq!(scene.fetches(), 1);
    scene.world.pass(1);
    assert_eq!(browser.get(&target).status, 200);
    assert_eq!(scene.fetches(), 2);
    // Longer than it may be.
    let long = with("x", json!("y".repeat(5 << 10)));
    scene.publish(&long.to_string(), None);
    scene.world.pass(300);
    is_unusable(&browser, &target);
}

/// AS-13: at least five minutes, at most a day, and in between as long as its server says.
#[test]
fn a_document_is_kept_as_long_as_its_server_says_within_bounds() {
    for (fresh_for, kept) in [
        (None, 300),
        (Some(0), 300),
        (Some(3_600), 3_600),
        (Some(10_000_000), 86_400),
    ] {
        let scene = Scene::with_document();
        scene.publish(&document().to_string(), fresh_for);
        let authorize = || {
            let browser = Browser::new(&scene);
            // The sign-in page.
            assert_eq!(browser.get(&scene.authorize(&[])).status, 200);
        };
        scene.give_access();
        scene.world.pass(kept - 1);
        authorize();
        assert_eq!(scene.fetches(), 1, "{fresh_for:?}");
        scene.world.pass(1);
        authorize();
        assert_eq!(scene.fetches(), 2, "{fresh_for:?}");
    }
}

#[test]
fn attack_a20_a_changed_document_does_not_change_what_a_user_has_agreed_to() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    let page = browser.get(&scene.authorize(&[("redirect_uri", SITE)]));
    let changed = with("redirect_uris", json!([LOCAL, "https://evil.example/cb"]));
    scene.publish(&changed.to_string(), None);
    // Another user has it fetched.
    scene.world.pass(300);
    let code = {
        let page = browser.get(&scene.authorize(&[]));
        let page = browser.decide(&page, "allow", &["files:read"]);
        page.answer().first("code").unwrap().to_owned()
    };
    assert_eq!(scene.fetches(), 2);
    // The first page was about an address that the client no longer has.
    let answer = browser.decide(&page, "allow", &["files:read"]);
    assert_eq!((answer.status, answer.header("location")), (400, ""));
    // The code is good for the address to which it was sent, whatever the document says.
    let key = Client::key(&ClientId::try_from(URL.to_owned()).unwrap());
    let stored = String::from_utf8(scene.world.stored(&key).unwrap()).unwrap();
    let swapped = stored.replace(LOCAL, "http://127.0.0.1/evil");
    scene.world.tamper(&key, Some(swapped.into_bytes()));
    let (status, tokens) = scene.exchange(&code, &[("redirect_uri", LOCAL)]);
    assert_eq!(status, 200, "{tokens}");
}

#[test]
fn a_consent_page_that_was_open_for_long_needs_no_other_fetch() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    let page = browser.get(&scene.authorize(&[]));
    scene.world.pass(400);
    scene.world.documents.borrow_mut().clear();
    let page = browser.decide(&page, "allow", &["files:read"]);
    assert!(page.header("location").starts_with(LOCAL));
    // A new one does.
    is_unusable(&browser, &scene.authorize(&[]));
}

#[test]
fn one_source_makes_this_service_fetch_few_documents() {
    let scene = Scene::with_document();
    let browser = Browser::new(&scene);
    for n in 0..10 {
        let id = format!("https://app.example/{n}");
        is_unusable(&browser, &scene.authorize(&[("client_id", &id)]));
    }
    let page = browser.get(&scene.authorize(&[("client_id", "https://app.example/10")]));
    assert_eq!(page.status, 429, "{}", page.body);
    assert_eq!(scene.fetches(), 10);
}

#[test]
fn attack_a23_the_texts_of_a_document_are_shown_as_text_and_cut() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    let name = "<script>x</script>\u{202e}evil\u{200b}".repeat(40);
    let mut wild = with("client_name", json!(name));
    wild["logo_uri"] = json!("javascript:alert(1)");
    wild["policy_uri"] = json!("https://policy.evil.example");
    scene.publish(&wild.to_string(), None);
    let page = browser.get(&scene.authorize(&[]));
    assert!(page.body.contains("&#60;script&#62;x"), "{}", page.body);
    for wrong in [
        "<script",
        "\u{202e}",
        "\u{200b}",
        "javascript:",
        "policy.evil",
    ] {
        assert!(!page.body.contains(wrong), "{wrong}");
    }
    assert!(page.body.matches("evil").count() < 10);
}

/// A22: a program that imitates a known one by its document.
#[test]
fn attack_a22_people_are_warned_that_any_program_here_can_have_this_name() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    for _ in 0..2 {
        let page = browser.get(&scene.authorize(&[]));
        assert!(page.body.contains("Any program on this computer"));
        assert!(page.body.contains(">app.example<"));
        browser.decide(&page, "allow", &["files:read"]);
    }
}

#[test]
fn documents_can_be_switched_off_and_are_announced_where_they_work() {
    let mut scene = Scene::with_document();
    let announced = |scene: &Scene| {
        let metadata = "/.well-known/oauth-authorization-server";
        let response = scene.send("GET", metadata, &[], "");
        let document: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
        assert_eq!(document["issuer"], ISSUER);
        document
            .get("client_id_metadata_document_supported")
            .cloned()
    };
    assert_eq!(announced(&scene), Some(json!(true)));
    let oauth = scene.world.settings.oauth.as_mut().unwrap();
    oauth.client_documents = ClientDocuments::Off;
    assert_eq!(announced(&scene), None);
    let browser = Browser::signed_in(&scene);
    let page = browser.get(&scene.authorize(&[]));
    assert_eq!(page.status, 400);
    assert!(page.body.contains("not known here"));
    assert_eq!(scene.fetches(), 0);
}

#[test]
fn a_document_is_recorded_when_it_is_new_or_has_changed() {
    let scene = Scene::with_document();
    let browser = Browser::new(&scene);
    let recorded = || {
        let audited = scene.world.audited.borrow();
        let of_documents = audited.iter();
        of_documents
            .filter(|it| it["operation"] == "fetch_client_document")
            .count()
    };
    browser.get(&scene.authorize(&[]));
    assert_eq!(recorded(), 1);
    scene.world.pass(300);
    browser.get(&scene.authorize(&[]));
    assert_eq!((scene.fetches(), recorded()), (2, 1));
    scene.publish(&with("client_name", json!("Bank")).to_string(), None);
    scene.world.pass(300);
    browser.get(&scene.authorize(&[]));
    assert_eq!(recorded(), 2);
}

/// Anyone can have browsers load this page as an image, and the number of fetches is limited.
#[test]
fn a_page_that_the_user_does_not_see_has_nothing_fetched() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    let target = scene.authorize(&[]);
    let load = |dest| browser.request("GET", &target, &[("sec-fetch-dest", dest)], "");
    for dest in ["image", "iframe", "empty", "script", ""] {
        assert_eq!(load(dest).status, 400, "{dest}");
    }
    assert_eq!(scene.fetches(), 0);
    assert_eq!(load("document").status, 200);
    assert_eq!(scene.fetches(), 1);
    scene.world.pass(300);
    assert_eq!(load("iframe").status, 200);
    assert_eq!(scene.fetches(), 1);
}

#[test]
fn a_known_client_is_not_shut_out_when_the_fetches_are_used_up() {
    let scene = Scene::with_document();
    scene.give_access();
    let used_up = || {
        let browser = Browser::new(&scene);
        for n in 0..100 {
            let id = format!("https://app.example/{n}");
            if browser.get(&scene.authorize(&[("client_id", &id)])).status == 429 {
                return;
            }
        }
        panic!("the fetches have no limit");
    };
    let browser = Browser::new(&scene);
    let status = || browser.get(&scene.authorize(&[])).status;
    scene.world.pass(300);
    used_up();
    let fetched = scene.fetches();
    assert_eq!(status(), 200);
    assert_eq!(scene.fetches(), fetched);
    // But not for ever.
    scene.world.pass(86_400 - 1);
    used_up();
    assert_eq!(status(), 200);
    scene.world.pass(1);
    used_up();
    assert_eq!(status(), 429);
}

#[test]
fn a_client_that_is_not_used_has_its_place_for_an_hour() {
    let scene = Scene::with_document();
    let key = Client::key(&ClientId::try_from(URL.to_owned()).unwrap());
    scene.publish(&document().to_string(), Some(86_400));
    Browser::new(&scene).get(&scene.authorize(&[]));
    scene.world.pass(3_599);
    assert!(scene.world.stored(&key).is_some());
    scene.world.pass(1);
    assert!(scene.world.stored(&key).is_none());
}

/// An id token for such a client would have the audience of access tokens.
#[test]
fn a_client_cannot_have_the_url_of_a_resource_server() {
    let scene = Scene::with_document();
    let browser = Browser::signed_in(&scene);
    assert_eq!(browser.get(&scene.authorize(&[])).status, 200);
    let scope = json!({"scope": "pads:read", "description": "Read pads"});
    let resource = json!({"resource": URL, "resource_name": "Pads", "scopes": [scope]});
    operator(&scene.world, "define_resource", resource);
    is_unusable(&browser, &scene.authorize(&[]));
}
