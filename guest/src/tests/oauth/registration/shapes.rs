//! The shapes of clients that cannot run here: what they register or have in their metadata
//! document, as published but for ids, and the redirect URIs that they then use.

use serde_json::{Value, json};

use super::super::{Browser, REDIRECT, Scene, text};
use crate::ports::Document;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a public client says about itself.
fn public(name: &str, redirect_uris: &[&str]) -> Value {
    json!({
        "client_name": name,
        "redirect_uris": redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
}

fn with(mut metadata: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    metadata
}

/// What clients register, and where they then send their users.
fn registrations() -> Vec<(Value, Vec<&'static str>)> {
    let cursor = [
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "http://localhost:8787/callback",
    ];
    let code = [
        "https://insiders.vscode.dev/redirect",
        "https://vscode.dev/redirect",
        "http://127.0.0.1/",
        "http://127.0.0.1:33418/",
    ];
    let grants = ["authorization_code", "refresh_token", DEVICE_CODE];
    let of_code = json!({
        "client_uri": "https://code.visualstudio.com",
        "grant_types": grants,
        "application_type": "native",
    });
    let claude = ["https://claude.ai/api/mcp/auth_callback"];
    vec![
        (public("Cursor", &cursor), cursor.to_vec()),
        (
            with(public("Visual Studio Code", &code), &of_code),
            // The first port may be in use.
            vec![code[1], code[3], "http://127.0.0.1:51234/"],
        ),
        (
            with(public("Claude", &claude), &json!({"scope": "files:read"})),
            claude.to_vec(),
        ),
        (
            public("Claude Code", &["http://localhost:3118/callback"]),
            vec!["http://localhost:61023/callback"],
        ),
        (
            public("ChatGPT", &["https://chatgpt.com/connector/oauth/aBc_123"]),
            vec!["https://chatgpt.com/connector/oauth/aBc_123"],
        ),
        (
            public("Codex", &["http://127.0.0.1:40123/callback/x7Qm"]),
            vec!["http://127.0.0.1:40123/callback/x7Qm"],
        ),
        (
            public("OpenCode", &["http://127.0.0.1:19876/mcp/oauth/callback"]),
            vec!["http://127.0.0.1:19876/mcp/oauth/callback"],
        ),
        // It listens at another port than it has registered.
        (
            public("GitHub Copilot CLI", &["http://127.0.0.1:40001/"]),
            vec!["http://127.0.0.1:40002/"],
        ),
        (
            public("Gemini CLI", &["http://localhost:7777/oauth/callback"]),
            vec!["http://localhost:7777/oauth/callback"],
        ),
        // An older mcp-remote.
        (
            json!({
                "redirect_uris": ["http://localhost:3334/oauth/callback"],
                "token_endpoint_auth_method": "none",
                "client_uri": "https://example.com",
                "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d",
            }),
            vec!["http://localhost:3334/oauth/callback"],
        ),
    ]
}

/// The URLs of metadata documents with what these contain, and where the clients then send their
/// users.
fn documents() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let loopback = ["http://localhost/callback", "http://127.0.0.1/callback"];
    let at_any_port = vec![
        "http://localhost:3118/callback",
        "http://127.0.0.1:52011/callback",
        "http://localhost/callback",
    ];
    let claude = [
        "https://claude.ai/api/mcp/auth_callback",
        "https://claude.com/api/mcp/auth_callback",
    ];
    let code = ["http://127.0.0.1:33418/", "https://vscode.dev/redirect"];
    vec![
        (
            "https://claude.ai/oauth/claude-code-client-metadata",
            with(
                public("Claude Code", &loopback),
                &json!({"client_uri": "https://claude.ai"}),
            ),
            at_any_port.clone(),
        ),
        (
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            with(
                public("Claude", &claude),
                // Although it is public.
                &json!({"grant_types": ["authorization_code", "refresh_token", JWT_BEARER]}),
            ),
            claude.to_vec(),
        ),
        (
            "https://vscode.dev/oauth/client-metadata.json",
            with(
                public("Visual Studio Code", &code),
                &json!({
                    "logo_uri": "https://code.visualstudio.com/assets/branding/code-stable.png",
                    "grant_types": ["authorization_code", "refresh_token", DEVICE_CODE],
                    "application_type": "native",
                    "client_uri": "https://vscode.dev/product",
                }),
            ),
            vec![code[0], code[1], "http://127.0.0.1:50111/"],
        ),
        (
            "https://chatgpt.com/oauth/codex/client.json",
            public("Codex", &loopback),
            at_any_port.clone(),
        ),
        (
            "https://opencode.ai/oauth/opencode/client.json",
            with(
                public("opencode", &loopback),
                &json!({"client_uri": "https://opencode.ai", "application_type": "native"}),
            ),
            at_any_port,
        ),
        (
            "https://zed.dev/oauth/client-metadata.json",
            public("Zed", &loopback[1..]),
            vec!["http://127.0.0.1:50321/callback"],
        ),
    ]
}

/// Signs a user in at the client, which refreshes its tokens once.
fn signs_in(scene: &Scene, redirect_uri: &str) {
    let browser = Browser::signed_in(scene);
    let at = ("redirect_uri", redirect_uri);
    let page = browser.get(&format!("/authorize?{}", scene.query(&[at])));
    assert_eq!(page.status, 200, "{redirect_uri}: {}", page.body);
    let page = browser.decide(&page, "allow", &["files:read"]);
    let location = page.header("location");
    assert!(location.starts_with(redirect_uri), "{location}");
    let code = page.answer().first("code").unwrap().to_owned();
    let (status, tokens) = scene.exchange(&code, &[at]);
    assert_eq!(status, 200, "{redirect_uri}: {tokens}");
    let (status, tokens) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
    assert_eq!(status, 200, "{redirect_uri}: {tokens}");
}

#[test]
fn well_known_clients_register_and_sign_users_in() {
    for (metadata, uses) in registrations() {
        let mut scene = Scene::new();
        let client = scene.registered(&metadata);
        assert_eq!(client["redirect_uris"], metadata["redirect_uris"]);
        let name = metadata["client_name"].as_str();
        let shown = name.map_or_else(|| text(&client["client_id"]), str::to_owned);
        assert_eq!(client["client_name"], shown.as_str());
        scene.client_id = text(&client["client_id"]);
        for redirect_uri in uses {
            signs_in(&scene, redirect_uri);
        }
    }
}

impl Scene {
    /// Returns a scene whose client has this metadata document.
    fn of_document(url: &str, metadata: &Value) -> Scene {
        let mut scene = Scene::new();
        scene.client_id = url.to_owned();
        let document = with(metadata.clone(), &json!({"client_id": url}));
        let document = Document {
            body: document.to_string().into_bytes(),
            fresh_for: None,
        };
        let mut documents = scene.world.documents.borrow_mut();
        documents.insert(url.to_owned(), document);
        drop(documents);
        scene
    }
}

#[test]
fn well_known_clients_with_a_metadata_document_sign_users_in() {
    for (url, metadata, uses) in documents() {
        let scene = Scene::of_document(url, &metadata);
        for redirect_uri in uses {
            signs_in(&scene, redirect_uri);
        }
        let browser = Browser::signed_in(&scene);
        let elsewhere = scene.query(&[("redirect_uri", REDIRECT)]);
        let page = browser.get(&format!("/authorize?{elsewhere}"));
        assert_eq!((page.status, page.header("location")), (400, ""), "{url}");
    }
}

/// Its document permits `none` as well, but only its key proves that it is ChatGPT.
#[test]
fn chatgpt_is_held_to_its_key() {
    let url = "https://chatgpt.com/oauth/client.json";
    let redirect_uri = "https://chatgpt.com/connector_platform_oauth_redirect";
    let of_key = json!({
        "client_uri": "https://chatgpt.com/",
        "logo_uri": "https://persistent.oaistatic.com/sonic/misc/openai-logo.png",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg": "RS256",
        "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
    });
    let metadata = with(public("ChatGPT", &[redirect_uri]), &of_key);
    let scene = Scene::of_document(url, &metadata);
    let browser = Browser::signed_in(&scene);
    let at = ("redirect_uri", redirect_uri);
    let page = browser.get(&format!("/authorize?{}", scene.query(&[at])));
    assert!(page.body.contains(">chatgpt.com<"), "{}", page.body);
    let page = browser.decide(&page, "allow", &["files:read"]);
    let code = page.answer().first("code").unwrap().to_owned();
    let (status, error) = scene.exchange(&code, &[at]);
    assert_eq!((status, &error["error"]), (401, &json!("invalid_client")));
}
