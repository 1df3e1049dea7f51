//! What people see of clients that registered themselves, and where they are sent.

use serde_json::{Value, json};

use super::{LOCAL, SITE, confidential, public, tokens};
use crate::tests::oauth::{Browser, PASSWORD, Scene, guarded, text};

/// A23.
#[test]
fn what_a_client_says_of_itself_is_shown_as_text_and_cut() {
    let scene = Scene::new();
    let mut metadata = public(LOCAL);
    metadata["client_name"] =
        json!("<script>x</script>\u{202e}evil\r\n\u{200b}\u{2066}".repeat(200));
    metadata["logo_uri"] = json!("javascript:alert(1)");
    metadata["tos_uri"] = json!("https://tos.evil.example");
    let client = scene.registered(&metadata);
    let name = text(&client["client_name"]);
    assert_eq!(name.chars().count(), 100);
    assert!(name.starts_with("<script>x</script>evil<script>"), "{name}");
    let browser = Browser::new(&scene);
    let target = scene.of_client(&client, LOCAL, &[]);
    let sign_in = browser.get(&target);
    let back = browser.sign_in(&sign_in, "alice", PASSWORD);
    let consent = browser.get(back.header("location"));
    // Where a password is typed, nobody speaks who was not checked.
    assert!(!sign_in.body.contains("evil"), "{}", sign_in.body);
    let shown = "x&#60;/script&#62;evil";
    assert!(consent.body.contains(shown), "{}", consent.body);
    for page in [&sign_in.body, &consent.body] {
        for wrong in ["<script", "\u{202e}", "\u{2066}", "javascript:", "tos.evil"] {
            assert!(!page.contains(wrong), "{wrong}");
        }
    }
}
#[test]
fn people_are_told_each_time_that_nobody_has_verified_the_client() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let client = scene.registered(&public(LOCAL));
    let site = scene.registered(&public(SITE));
    for _ in 0..2 {
        let page = browser.get(&scene.of_client(&client, LOCAL, &[]));
        assert!(page.body.contains("registered itself here, unverified"));
        assert!(page.body.contains("Any program on this computer"));
        let page = browser.decide(&page, "allow", &["files:read"]);
        assert!(page.header("location").starts_with(LOCAL));
    }
    let page = browser.get(&scene.of_client(&site, SITE, &[]));
    assert!(page.body.contains("registered itself here, unverified"));
    assert!(page.body.contains("site.example") && !page.body.contains("Any program"));
    let page = browser.get(&format!("/authorize?{}", scene.query(&[])));
    assert!(
        !page.body.contains("unverified"),
        "an administrator registered it"
    );
}

#[test]
fn connected_apps_show_that_nobody_has_verified_the_client() {
    let scene = Scene::new();
    let client = scene.registered(&public(LOCAL));
    let (status, _) = tokens(&scene, &client, LOCAL);
    assert_eq!(status, 200);
    let page = Browser::signed_in(&scene).get("/apps");
    assert!(page.body.contains("registered itself here, unverified"));
}

/// A20.
#[test]
fn a_decision_counts_only_for_what_the_page_has_said() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let client = scene.registered(&confidential());
    // The only registered address, which the request need not name.
    let target = scene.of_client(&client, "", &[]);
    let page = browser.get(&target);
    assert!(page.body.contains("site.example"), "{}", page.body);
    for changed in [
        json!({"client_name": "Site", "redirect_uris": ["https://evil.example/cb"]}),
        json!({"client_name": "Bank", "redirect_uris": [SITE]}),
    ] {
        let mut changed = changed;
        changed["client_id"] = client["client_id"].clone();
        let token = &client["registration_access_token"];
        let (status, _) = scene.manage("PUT", &client, token, &changed.to_string());
        assert_eq!(status, 200);
        let answer = browser.decide(&page, "allow", &["files:read"]);
        assert_eq!((answer.status, answer.header("location")), (403, ""));
    }
}

/// A scheme may look like a host, or hide one.
#[test]
fn people_are_shown_the_whole_of_an_address_with_a_scheme_of_its_own() {
    let scene = Scene::new();
    let browser = Browser::signed_in(&scene);
    let uri = "claude.ai:/api/mcp/auth_callback";
    let client = scene.registered(&public(uri));
    let page = browser.get(&scene.of_client(&client, uri, &[]));
    assert!(page.body.contains(&format!(">{uri}<")), "{}", page.body);
    assert!(page.body.contains("Any program on this computer"));
}

/// A09.
#[test]
fn people_are_not_sent_to_the_website_of_an_unverified_client_with_an_error() {
    let scene = Scene::new();
    let guest = Browser::new(&scene);
    let browser = Browser::signed_in(&scene);
    let site = scene.registered(&public(SITE));
    let program = scene.registered(&public("com.example.pad:/cb"));
    let local = scene.registered(&public(LOCAL));
    for (browser, changes, code) in [
        (&guest, &[("scope", "unknown")][..], "invalid_scope"),
        (&guest, &[("prompt", "none")], "interaction_required"),
        (&guest, &[("code_challenge", "")], "invalid_request"),
        (&browser, &[("scope", "files:admin")], "invalid_scope"),
    ] {
        for (client, uri, host) in [
            (&site, SITE, "Go back to site.example<"),
            (
                &program,
                "com.example.pad:/cb",
                "Go back to com.example.pad:/cb<",
            ),
        ] {
            let page = browser.get(&scene.of_client(client, uri, changes));
            assert_eq!(
                (page.status, page.header("location")),
                (400, ""),
                "{changes:?}"
            );
            assert!(page.body.contains(host), "{}", page.body);
            assert!(
                page.body.contains(&format!("href=\"{uri}?error")),
                "{}",
                page.body
            );
            assert!(
                page.body.contains(&format!("error&#61;{code}"))
                    || page.body.contains(&format!("error={code}")),
                "{}",
                page.body
            );
            assert!(page.body.contains("noopener noreferrer"));
        }
        let page = browser.get(&scene.of_client(&local, LOCAL, changes));
        assert_eq!(
            page.answer().first("error"),
            Some(code),
            "a program waits for it"
        );
    }
    let deny = |client: &Value, uri: &str| {
        let page = browser.get(&scene.of_client(client, uri, &[]));
        browser.decide(&page, "deny", &[])
    };
    let page = deny(&site, SITE);
    assert_eq!((page.status, page.header("location")), (200, ""));
    assert!(
        page.body.contains("Access was not allowed"),
        "{}",
        page.body
    );
    assert!(page.body.contains("Go back to site.example<"));
    assert!(page.body.contains("iss") && page.body.contains("a%20state"));
    assert_eq!(
        deny(&local, LOCAL).answer().first("error"),
        Some("access_denied")
    );
    assert_eq!(scene.count("authorization-code/"), 0);
}

/// A50.
#[test]
fn no_client_that_registered_itself_administrates_this_service() {
    let scene = guarded();
    let client = scene.registered(&public(LOCAL));
    let browser = Browser::signed_in(&scene);
    let own = "https://auth.example/mcp";
    let users = ("scope", "user-auth:users:read");
    let page = browser.get(&scene.of_client(&client, LOCAL, &[("resource", own), users]));
    assert!(!page.body.contains("type=\"checkbox\""), "{}", page.body);
    // Nor with a form that asks for it all the same.
    let page = browser.decide(&page, "allow", &["user-auth:users:read"]);
    let code = page.answer().first("code").unwrap().to_owned();
    let client_id = text(&client["client_id"]);
    let changes = [
        ("client_id", &*client_id),
        ("redirect_uri", LOCAL),
        ("resource", own),
    ];
    let (status, tokens) = scene.exchange(&code, &changes);
    assert_eq!((status, &tokens["scope"]), (200, &json!("")));
}
