//! The endpoints for operators: health, readiness, the server card and metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use user_auth_tests::{PASSWORD, Server};

use super::{Guarded, fetch, keys_only, plugin, secret, serve};
use crate::attacks::failures::Fragile;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_its_store_is_healthy_but_not_ready() {
    let store = Arc::new(Fragile::default());
    let plugin = plugin(store.clone()).build().unwrap();
    let url = serve(plugin).await;
    let get = async |path: &str| fetch(&format!("{url}{path}"), None).await;
    let (status, body) = get("/ready").await;
    let expected = json!({"status": "ready", "store": "ok", "component": "ok"});
    assert_eq!((status, body), (200, expected));

    store.set_broken(Some("get"));
    // The result is cached for a second.
    let (status, body) = loop {
        let (status, body) = get("/ready").await;
        if status != 200 {
            break (status, body);
        }
    };
    let expected = json!({
        "status": "unavailable",
        "store": "unavailable",
        "component": "ok",
        "reason": "the store cannot be read",
    });
    assert_eq!((status, body), (503, expected));
    let (status, body) = get("/health").await;
    assert_eq!((status, &body["status"]), (200, &json!("ok")));
    assert_eq!(body["name"], "user-auth");
}

#[test]
fn the_server_card_matches_the_server_info() {
    let guarded = Guarded::start(keys_only());
    let key = guarded.program("robot", &[]);
    let answer = guarded.server.get("/mcp/server-card", &[]);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let card = answer.json();
    let ask = |method: &str| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}});
        let key = [("x-api-key", secret(&key))];
        guarded.server.post(&key, body.to_string()).json()["result"].clone()
    };
    let initialized = ask("initialize");
    for field in ["name", "title", "version", "description"] {
        assert_eq!(card[field], initialized["serverInfo"][field], "{field}");
        assert!(card[field].is_string());
    }
    assert_eq!(card["capabilities"], initialized["capabilities"]);
    let names = |list: &Value| -> Vec<Value> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["name"].clone()).collect()
    };
    assert_eq!(names(&card["tools"]), names(&ask("tools/list")["tools"]));
    let remote = &card["remotes"][0];
    assert_eq!(remote["type"], "streamable-http");
    assert_eq!(remote["url"], format!("{}/mcp", guarded.server.url));
    assert_eq!(remote["supportedProtocolVersions"][0], "2026-07-28");
    assert_eq!(remote["headers"][0]["name"], "X-API-Key");
    assert_eq!(remote["headers"][0]["isRequired"], true);

    let open = Server::start().get("/mcp/server-card", &[]).json();
    assert_eq!(open["authentication"], json!({"required": false}));
    assert!(open["remotes"][0].get("headers").is_none());
}

#[test]
fn the_server_card_has_the_public_address_behind_a_proxy() {
    for (trusted, scheme) in [(json!(["127.0.0.1"]), "https"), (json!([]), "http")] {
        let guarded = Guarded::start(json!({"trusted_proxies": trusted}));
        let card = guarded
            .server
            .get("/mcp/server-card", &[("x-forwarded-proto", "https")]);
        let url = card.json()["remotes"][0]["url"].clone();
        assert!(
            url.as_str()
                .unwrap()
                .starts_with(&format!("{scheme}://127.0.0.1")),
            "{url}"
        );
    }
}

/// Returns the samples by name and labels of a text, and asserts that the text follows the
/// OpenMetrics format.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut types = BTreeMap::new();
    let mut samples = BTreeMap::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            assert_eq!(lines.peek(), None, "nothing follows the end");
            return samples;
        }
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (keyword, name) = (words.next().unwrap(), words.next().unwrap());
            let text = words.next().unwrap();
            match keyword {
                "TYPE" => assert!(types.insert(name, text).is_none(), "{name} twice"),
                "UNIT" => assert!(name.ends_with(&format!("_{text}")), "{line}"),
                keyword => assert_eq!(keyword, "HELP", "{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
            "{name}"
        );
        let (family, kind) = types
            .iter()
            .filter(|(family, _)| name.starts_with(**family))
            .max_by_key(|(family, _)| family.len())
            .unwrap_or_else(|| panic!("{name} has no type"));
        let suffixes: &[&str] = match *kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_sum", "_count", "_bucket"],
            kind => panic!("{kind}"),
        };
        assert!(suffixes.contains(&&name[family.len()..]), "{line}: {kind}");
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0, "{line}");
        assert!(samples.insert(series.to_owned(), value).is_none(), "{line}");
    }
    panic!("no end");
}

fn call(server: &Server, operation: &str, input: Value, key: &str) {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": input});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    server.post(&[("x-api-key", key)], body.to_string());
}

#[test]
fn metrics_have_the_format_of_prometheus() {
    let mut security = keys_only();
    security["rate_limiting"] = json!({"requests_per_minute": 1, "burst_size": 6});
    let guarded = Guarded::start(security);
    let key = guarded.program("prometheus", &["user-auth:metrics:read"]);
    let key = secret(&key);
    let credentials = json!({"username": "alice", "password": PASSWORD});
    call(&guarded.server, "register", credentials.clone(), key);
    call(&guarded.server, "login", credentials, key);
    let wrong = json!({"username": "alice", "password": "this is not the one"});
    call(&guarded.server, "login", wrong, key);
    for _ in 0..3 {
        assert_eq!(guarded.ping(&[]).status, 401);
    }
    let by_key = [("x-api-key", key)];
    let answer = guarded.server.get("/metrics", &by_key);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let content_type = answer.header("content-type").unwrap();
    assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"));
    let samples = samples(&answer.text);
    let value = |series: &str| {
        let sample = samples.get(series);
        *sample.unwrap_or_else(|| panic!("no {series} in {}", answer.text))
    };
    let login = |outcome: &str| {
        let labels = format!("operation=\"login\",outcome=\"{outcome}\"");
        value(&format!("user_auth_operations_total{{{labels}}}"))
    };
    assert_eq!((login("success"), login("authentication")), (1.0, 1.0));
    let latency = |name: &str, le: &str| {
        value(&format!(
            "user_auth_operation_duration_seconds_{name}{{{le}operation=\"login\"}}"
        ))
    };
    assert_eq!(latency("count", ""), 2.0);
    assert!(latency("sum", "") > 0.0);
    let bucket = |le: &str| {
        samples
            .iter()
            .find(|(series, _)| {
                series.starts_with("user_auth_operation_duration_seconds_bucket")
                    && series.contains("operation=\"login\"")
                    && series.contains(&format!("le=\"{le}\""))
            })
            .map(|(_, value)| *value)
    };
    assert_eq!(bucket("+Inf"), Some(2.0));
    assert!(bucket("0.00025") < Some(2.0), "a hash takes longer");
    let http = |labels: &str| value(&format!("user_auth_http_requests_total{{{labels}}}"));
    assert_eq!(http("path=\"/mcp\",status=\"200\""), 3.0);
    assert_eq!(http("path=\"/mcp\",status=\"401\""), 3.0);
    assert_eq!(value("user_auth_http_unauthenticated_total"), 3.0);
    assert_eq!(value("user_auth_http_rate_limited_total"), 0.0);
    assert_eq!(value("user_auth_password_hash_completed_total"), 3.0);
    assert_eq!(value("user_auth_store_info{kind=\"sqlite\"}"), 1.0);
    assert!(value("user_auth_store_commits_total") >= 2.0);
    assert_eq!(value("user_auth_delivery_delivered_total"), 0.0);
    assert!(value("user_auth_instances_created_total") >= 6.0);
    assert!(value("user_auth_uptime_seconds") > 0.0);
    #[cfg(target_os = "linux")]
    assert!(value("process_resident_memory_bytes") > 1e6);
    let names: BTreeSet<&str> = samples
        .keys()
        .map(|s| s.split('{').next().unwrap())
        .collect();
    assert!(names.contains("user_auth_build_info"));
}

#[test]
fn metrics_are_restricted_to_callers_that_may_read_them_where_callers_need_a_credential() {
    with_restricted_metrics(&Guarded::start(keys_only()));
    let signed_in = json!({"authentication": {"type": "oauth"}});
    let guarded = Guarded::start_with(signed_in, |options| {
        options
            .env("USER_AUTH_PUBLIC_URL", "https://auth.example.com")
            .env("USER_AUTH_OAUTH_ENABLED", "true")
    });
    with_restricted_metrics(&guarded);
    let card = guarded.server.get("/mcp/server-card", &[]).json();
    assert_eq!(card["authentication"]["required"], true);
}

fn with_restricted_metrics(guarded: &Guarded) {
    let get = |headers: &[(&str, &str)]| guarded.server.get("/metrics", headers);
    let none = get(&[]);
    assert_eq!(none.status, 401);
    let challenge = none.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("ApiKey "), "{challenge}");
    assert_eq!(get(&[("x-api-key", "uak_x")]).status, 401);
    let robot = guarded.program("robot", &[]);
    let refused = get(&[("x-api-key", secret(&robot))]);
    assert_eq!(refused.status, 403);
    assert!(
        refused.text.contains("user-auth:metrics:read"),
        "{}",
        refused.text
    );
    let reader = guarded.program("reader", &["user-auth:metrics:read"]);
    assert_eq!(get(&[("x-api-key", secret(&reader))]).status, 200);
}

/// The number of sent messages would reveal whether a reset request matched an account.
#[test]
fn public_metrics_do_not_reveal_message_counts() {
    let server = Server::start();
    let answer = server.get("/metrics", &[]);
    assert_eq!(answer.status, 200);
    samples(&answer.text);
    assert!(!answer.text.contains("delivery"), "{}", answer.text);
    // A page whose host name was rebound to this address gets nothing.
    let rebound = server.get("/metrics", &[("origin", "http://evil.example")]);
    assert_eq!(rebound.status, 403);
    for number in 0..20 {
        server.get(&format!("/{number}"), &[]);
    }
    let answer = server.get("/metrics", &[]);
    let other = "user_auth_http_requests_total{path=\"other\",status=\"404\"}";
    assert_eq!(samples(&answer.text).get(other), Some(&20.0));
}
