//! Runs the component with this program's own store, limits and policy, and reads the
//! metrics.
//!
//! `cargo run --release -p user-auth-host --example own_store target/release/user-auth.wasm`

mod store;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use user_auth_host::api::{Caller, Principal};
use user_auth_host::{CallError, Limits, MasterKey, Plugin};

use self::store::MapStore;

const PASSWORD: &str = "correct horse battery staple";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let component = std::env::args()
        .nth(1)
        .ok_or("usage: own_store COMPONENT")?;
    let store = Arc::new(MapStore::new());
    let keys = MasterKey::ephemeral()?.unlock(&*store).await?;
    let limits = Limits {
        memory_bytes: 16 << 20,
        cpu_per_call: Duration::from_millis(250),
        // One call at a time and no queue: so small only to demonstrate the limit.
        concurrent_calls: 1,
        waiting_calls: 0,
        ..Limits::default()
    };
    let plugin = Plugin::builder()
        .component(component)
        .store(store.clone())
        .keys(keys)
        .limits(limits)
        .build()?;
    let service = Service { plugin };

    println!("The policy:");
    let registration =
        |name: &str, email: &str| json!({"username": name, "password": PASSWORD, "email": email});
    let mallory = registration("mallory", "mallory@elsewhere.test");
    service.tell(visitor(), "register", mallory).await;
    let alice = registration("alice", "alice@example.com");
    service.tell(visitor(), "register", alice).await;
    let anybody = json!({"username": "alice"});
    service.tell(visitor(), "delete_user", anybody).await;
    let operator = |source: Option<&str>| Caller {
        principal: Principal::Operator,
        source: source.map(str::to_owned),
    };
    let from_afar = operator(Some("203.0.113.7"));
    service.tell(from_afar, "list_users", json!({})).await;
    service.tell(operator(None), "list_users", json!({})).await;

    println!("\nThe limits: two logins at once");
    let login = || json!({"username": "alice", "password": PASSWORD});
    let (first, second) = tokio::join!(
        service.call(visitor(), "login", login()),
        service.call(visitor(), "login", login()),
    );
    println!("  the first:  {}", outcome(&first));
    println!("  the second: {}", outcome(&second));

    println!("\nThe numbers:");
    let metrics = service.plugin.metrics();
    for operation in &metrics.operations {
        let (name, calls) = (&operation.operation, operation.calls);
        let (failures, slowest) = (operation.failures, operation.max_us);
        println!("  {name}: calls {calls}, failures {failures}, slowest {slowest} µs");
    }
    let (kind, commits) = (&metrics.store.kind, metrics.store.commits);
    println!(
        "  store {kind:?}: {} records after {commits} commits",
        store.len()
    );
    println!("  passwords hashed: {}", metrics.password_hash.completed);
    println!("  instances: {}", metrics.instances.created);
    Ok(())
}

fn visitor() -> Caller {
    Caller {
        principal: Principal::Anonymous,
        source: Some("203.0.113.7".into()),
    }
}

/// The plugin behind this program's policy.
struct Service {
    plugin: Plugin,
}

/// The reason why a call did not return a result.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("refused by the policy: {0}")]
    Policy(&'static str),
    #[error("{0}")]
    NoAnswer(#[from] CallError),
    #[error("refused by the component: {0}")]
    Operation(String),
}

impl Service {
    async fn call(&self, caller: Caller, operation: &str, input: Value) -> Result<Value, Refusal> {
        permit(&caller, operation, &input).map_err(Refusal::Policy)?;
        let input = input.to_string();
        let answer = self.plugin.invoke(caller, operation, &input).await?;
        let output = answer.map_err(|error| Refusal::Operation(error.message))?;
        Ok(serde_json::from_str(&output).unwrap_or_default())
    }

    async fn tell(&self, caller: Caller, operation: &str, input: Value) {
        let said = outcome(&self.call(caller, operation, input).await);
        println!("  {operation}: {said}");
    }
}

/// Checks the policy: refused calls never reach the component.
fn permit(caller: &Caller, operation: &str, input: &Value) -> Result<(), &'static str> {
    const FOR_VISITORS: [&str; 5] = [
        "register",
        "login",
        "complete_login",
        "refresh_token",
        "verify_token",
    ];
    match &caller.principal {
        Principal::Operator if caller.source.is_some() => {
            return Err("the operator must call from this machine");
        }
        Principal::Anonymous if !FOR_VISITORS.contains(&operation) => {
            return Err("visitors may not call this");
        }
        _ => {}
    }
    let email = input["email"].as_str().unwrap_or_default();
    if operation == "register" && !email.ends_with("@example.com") {
        return Err("accounts need an address at example.com");
    }
    Ok(())
}

fn outcome(answer: &Result<Value, Refusal>) -> String {
    match answer {
        Ok(_) => "done".to_owned(),
        Err(refusal) => refusal.to_string(),
    }
}
