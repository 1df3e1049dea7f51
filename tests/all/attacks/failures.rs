//! Failures of what the service depends on: every caller is refused, and no change is left
//! half done.
//!
//! Neither the clock nor the random source can fail in WASI, and key derivation does no
//! I/O.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use user_auth_host::api::{Caller, Principal};
use user_auth_host::store::{Entry, MemoryStore, Mutation, Outcome, Page, Store, StoreError};
use user_auth_host::{Limits, Plugin, StoreKeys};
use user_auth_tests::PASSWORD;

const NEW_PASSWORD: &str = "another good long password";

/// A store in which one kind of call can be made to fail.
#[derive(Default)]
pub(crate) struct Fragile {
    store: MemoryStore,
    broken: Mutex<Option<&'static str>>,
}

impl Fragile {
    pub(crate) fn set_broken(&self, call: Option<&'static str>) {
        *self.broken.lock().unwrap() = call;
    }

    fn check(&self, call: &str) -> Result<(), StoreError> {
        match *self.broken.lock().unwrap() {
            Some(broken) if broken == call => Err(StoreError::Unavailable(
                "/var/lib/database: no space left".to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Fragile {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.check("get")?;
        self.store.get(keys).await
    }

    async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError> {
        self.check("commit")?;
        self.store.commit(batch).await
    }

    async fn add(&self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StoreError> {
        self.check("add")?;
        self.store.add(key, delta, ttl).await
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        self.check("scan")?;
        self.store.scan(prefix, after, limit).await
    }

    async fn purge(&self, limit: u32) -> Result<u32, StoreError> {
        self.store.purge(limit).await
    }
}

async fn invoke(plugin: &Plugin, operation: &str, input: Value) -> Result<Value, Value> {
    let anonymous = Caller {
        principal: Principal::Anonymous,
        source: Some("203.0.113.7".into()),
    };
    let input = input.to_string();
    match plugin.invoke(anonymous, operation, &input).await.unwrap() {
        Ok(output) => Ok(serde_json::from_str(&output).unwrap()),
        Err(error) => {
            let shown = format!("{error:?}");
            assert!(!shown.contains("database"), "{shown}");
            Err(json!({"code": error.code, "message": error.message}))
        }
    }
}

fn credentials(username: &str) -> Value {
    json!({"username": username, "password": PASSWORD})
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_34_every_caller_is_refused_while_the_store_fails() {
    let store = Arc::new(Fragile::default());
    let keys = StoreKeys::ephemeral().unwrap();
    let plugin = super::plugin(store.clone(), keys, Limits::default());
    invoke(&plugin, "register", credentials("alice"))
        .await
        .unwrap();
    let tokens = invoke(&plugin, "login", credentials("alice"))
        .await
        .unwrap();
    let (access, refresh) = (&tokens["access_token"], &tokens["refresh_token"]);
    let key = json!({"access_token": access, "name": "k"});
    let key = invoke(&plugin, "create_api_key", key).await.unwrap();
    let wrong = json!({"username": "alice", "password": "this is not the password"});
    let own = json!({"access_token": access});
    let change = json!({
        "access_token": access,
        "current_password": PASSWORD,
        "new_password": NEW_PASSWORD,
    });

    let changes = [
        ("register", credentials("bob")),
        ("login", credentials("alice")),
        ("login", wrong.clone()),
        ("login", credentials("unknown")),
        ("refresh_token", json!({"refresh_token": refresh})),
        ("change_password", change.clone()),
        ("enroll_totp", own.clone()),
        (
            "create_api_key",
            json!({"access_token": access, "name": "another"}),
        ),
        ("request_password_reset", json!({"username": "alice"})),
        ("revoke_token", json!({"token": key["api_key"]})),
        ("logout", json!({"access_token": access})),
    ];
    let mut reads = vec![
        ("verify_token", json!({"token": access})),
        (
            "check_permission",
            json!({"token": access, "permission": "users:read"}),
        ),
        ("get_session", own.clone()),
    ];
    reads.extend(changes.clone());
    let guesses = vec![
        ("login", credentials("alice")),
        ("login", wrong),
        ("login", credentials("unknown")),
        ("change_password", change),
        ("request_password_reset", json!({"username": "alice"})),
    ];
    let lists = vec![("list_sessions", own.clone()), ("list_api_keys", own)];
    for (broken, operations) in [
        ("get", reads),
        ("commit", changes.into()),
        ("add", guesses),
        ("scan", lists),
    ] {
        store.set_broken(Some(broken));
        for (operation, input) in operations {
            let answer = invoke(&plugin, operation, input).await;
            let error = answer.expect_err(&format!("{operation} without {broken}"));
            assert_eq!(error["code"], -32004, "{operation} without {broken}");
        }
    }

    store.set_broken(None);
    let verify = json!({"token": access});
    let verified = invoke(&plugin, "verify_token", verify).await.unwrap();
    assert_eq!(verified["active"], true, "nothing was done");
    let refresh = json!({"refresh_token": refresh});
    let own = invoke(&plugin, "refresh_token", refresh).await.unwrap();
    let own = json!({"access_token": own["access_token"]});
    let listed = invoke(&plugin, "list_sessions", own.clone()).await.unwrap();
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1));
    let listed = invoke(&plugin, "list_api_keys", own).await.unwrap();
    assert_eq!(listed["api_keys"].as_array().map(Vec::len), Some(1));
    invoke(&plugin, "login", credentials("alice"))
        .await
        .unwrap();
    invoke(&plugin, "register", credentials("bob"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_34_every_caller_is_refused_while_hashing_fails() {
    let store = Arc::new(MemoryStore::new());
    let keys = StoreKeys::ephemeral().unwrap();
    let plugin = super::plugin(store.clone(), keys.clone(), Limits::default());
    invoke(&plugin, "register", credentials("alice"))
        .await
        .unwrap();
    // No configured hash can run in this little memory.
    let limits = Limits {
        hash_memory_kib: 1024,
        ..Limits::default()
    };
    let failing = super::plugin(store, keys, limits);
    let wrong = json!({"username": "alice", "password": "this is not the password"});
    let mut errors = Vec::new();
    for (operation, input) in [
        ("login", credentials("alice")),
        ("login", wrong),
        ("login", credentials("unknown")),
        ("register", credentials("bob")),
    ] {
        let answer = invoke(&failing, operation, input).await;
        errors.push(answer.expect_err(operation));
    }
    assert_eq!(errors[0]["code"], -32004);
    errors.dedup();
    assert_eq!(errors.len(), 1, "{errors:?}");
    invoke(&plugin, "register", credentials("bob"))
        .await
        .unwrap();
    invoke(&plugin, "login", credentials("alice"))
        .await
        .unwrap();
}
