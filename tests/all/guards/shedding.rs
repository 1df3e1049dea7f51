//! Load beyond what a server accepts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use user_auth_host::Limits;
use user_auth_host::store::MemoryStore;
use user_auth_tests::built;

use super::{plugin, serve};
use crate::http::assert_error_object;

/// Sends calls that never end by themselves, ten times as many as there are slots.
#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_limit_are_refused_at_once_with_their_id() {
    let plugin = plugin(Arc::new(MemoryStore::new()))
        .component(built("user-auth-hostile.wasm"))
        .limits(Limits {
            concurrent_calls: 1,
            waiting_calls: 1,
            // Longer than the test may take: a refused caller has not waited.
            call_queue_wait: Duration::from_secs(600),
            cpu_per_call: Duration::from_secs(5),
            ..Limits::default()
        })
        .build()
        .unwrap();
    let url = serve(plugin).await + "/mcp";
    let mut calls = tokio::task::JoinSet::new();
    for id in 0..20 {
        let url = url.clone();
        calls.spawn_blocking(move || post(&url, &json!({"id": id, "method": "loop"}), id));
    }
    let mut refused = 0;
    while let Some(answer) = calls.join_next().await {
        refused += usize::from(answer.unwrap());
    }
    assert!(refused >= 18, "{refused} of 20, with places for 2");
}

/// Returns whether the call was refused before it began.
fn post(url: &str, body: &Value, id: i64) -> bool {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent
        .post(url)
        .header("content-type", "application/json")
        .send(body.to_string())
        .unwrap();
    if answer.status() == 200 {
        return false;
    }
    assert_eq!(answer.status(), 503);
    let retry_after = answer.headers()["retry-after"].to_str().unwrap().to_owned();
    let body: Value = answer.body_mut().read_json().unwrap();
    assert_eq!(body["id"], id);
    assert_error_object(&body["error"], -32004, "mcp");
    // A call that was ended has five seconds in its answer.
    retry_after == "1"
}
