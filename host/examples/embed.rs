//! Runs the component inside your own program, with typed calls: registers an account,
//! logs in, verifies the token, and checks a permission.
//!
//! `cargo run --release -p user-auth-host --example embed target/release/user-auth.wasm`

use std::sync::Arc;

use user_auth_host::api::{Caller, LoginOutcome, Principal, Registration};
use user_auth_host::store::SqliteStore;
use user_auth_host::{MasterKey, Plugin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let component = std::env::args().nth(1).ok_or("usage: embed COMPONENT")?;
    let folder = tempfile::tempdir()?;
    let store = Arc::new(SqliteStore::open(&folder.path().join("users.db"))?);
    let master_key = MasterKey::load_or_create(&folder.path().join("master.key"))?;
    // A key other than that of the database is refused.
    let keys = master_key.unlock(&*store).await?;
    let plugin = Plugin::builder()
        .component(component)
        .store(store)
        .keys(keys)
        .setting("USER_AUTH_ISSUER", "https://auth.example.com")
        .build()?;

    // The caller and its address, by which failed logins are throttled.
    let caller = Caller {
        principal: Principal::Anonymous,
        source: Some("203.0.113.7".into()),
    };
    let password = "correct horse battery staple";
    let registration = Registration {
        username: "alice".into(),
        password: password.into(),
        email: None,
    };
    // The first `?` is for a component that did not respond, the second for an
    // operation that failed.
    let account = plugin.register(caller.clone(), registration).await??;
    let tokens = match plugin.login(caller.clone(), "alice", password).await?? {
        LoginOutcome::Tokens(tokens) => tokens,
        // The account has a second factor, so the login needs a code.
        LoginOutcome::Challenge(asked) => {
            let code = std::io::read_to_string(std::io::stdin())?;
            let code = code.trim();
            let login = plugin.complete_login(caller.clone(), &asked.challenge, code);
            login.await??
        }
    };

    let claims = plugin.verify_token(caller.clone(), &tokens.access_token);
    let claims = claims.await??.ok_or("the token is not valid")?;
    assert_eq!(claims.sub, account.user_id);
    println!("{} is logged in until {}", claims.username, claims.exp);

    // Operations without a typed method are called by name. The operator may do
    // everything.
    let operator = Caller {
        principal: Principal::Operator,
        source: None,
    };
    let role = r#"{"role": "clerk", "permissions": ["billing:invoices:read"]}"#;
    plugin
        .invoke(operator.clone(), "define_role", role)
        .await??;
    let grant = r#"{"username": "alice", "role": "clerk"}"#;
    plugin.invoke(operator, "assign_role", grant).await??;
    let alice = Caller {
        principal: Principal::AccessToken(tokens.access_token),
        ..caller
    };
    for permission in ["billing:invoices:read", "billing:invoices:write"] {
        let allowed = plugin.check_permission(alice.clone(), permission).await??;
        println!("{permission}: {allowed}");
    }
    Ok(())
}
