//! Runs the component in this program's own engine, linker and stores, as with
//! wasmtime's crates for WASI.
//!
//! `cargo run --release -p user-auth-host --example linker target/release/user-auth.wasm`

use std::error::Error;
use std::sync::Arc;

use tokio::time::timeout;
use user_auth_host::api::{Caller, LoginOutcome, OperationError, Principal, Registration};
use user_auth_host::bindings::{Plugin, PluginPre};
use user_auth_host::store::MemoryStore;
use user_auth_host::{
    CallError, Limits, MasterKey, StoreKeys, UserAuthCtx, UserAuthHost, UserAuthView,
};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The data of this program's stores.
struct MyState {
    /// The state of the component.
    user_auth: UserAuthCtx,
    /// The program's other data.
    tenant: &'static str,
}

impl UserAuthView for MyState {
    fn user_auth(&mut self) -> &mut UserAuthCtx {
        &mut self.user_auth
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: linker COMPONENT")?;
    let limits = Limits::default();
    // With epoch interruption, a component that loops is stopped.
    let engine = Engine::new(Config::new().epoch_interruption(true))?;
    user_auth_host::start_clock(&engine, limits.epoch_tick)?;
    let component = Component::from_file(&engine, file)?;

    let mut linker: Linker<MyState> = Linker::new(&engine);
    user_auth_host::add_to_linker(&mut linker)?;
    // Imports are resolved once, before the first call.
    let pre = PluginPre::new(linker.instantiate_pre(&component)?)?;

    let store = Arc::new(MemoryStore::new());
    let keys = MasterKey::ephemeral()?.unlock(&*store).await?;
    let builder = UserAuthHost::builder()
        .store(store.clone())
        .keys(keys.clone());
    let issuer = ("USER_AUTH_ISSUER", "https://auth.example.com");
    let host = builder.limits(limits).setting(issuer.0, issuer.1).build()?;

    let app = App { pre, host };
    let token = app.typed_calls().await?;
    app.calls_that_want_too_much(store, keys).await?;
    beside_all_of_wasi(&engine, &component, &app.host, &token).await
}

/// The parts that are created once.
struct App {
    pre: PluginPre<MyState>,
    host: UserAuthHost,
}

impl App {
    /// Returns the store of one call, with the limits applied.
    fn store(&self, host: &UserAuthHost) -> Store<MyState> {
        let state = MyState {
            user_auth: host.ctx().with_source("203.0.113.7"),
            tenant: "acme",
        };
        let mut store = Store::new(self.pre.engine(), state);
        user_auth_host::limit_store(&mut store);
        store
    }

    /// Returns a new instance, so that a call cannot read memory that another left
    /// behind.
    async fn instance(&self) -> wasmtime::Result<(Store<MyState>, Plugin)> {
        let mut store = self.store(&self.host);
        let plugin = self.pre.instantiate_async(&mut store).await?;
        Ok((store, plugin))
    }

    async fn typed_calls(&self) -> Result<String, Box<dyn Error>> {
        let caller = visitor();
        let registration = Registration {
            username: "alice".into(),
            password: "correct horse battery staple".into(),
            email: None,
        };
        let (mut store, plugin) = self.instance().await?;
        let auth = plugin.user_auth_plugin_auth();
        let account = auth.call_register(&mut store, &caller, &registration);
        println!("{} has an account", account.await??.username);

        let (mut store, plugin) = self.instance().await?;
        let auth = plugin.user_auth_plugin_auth();
        let (name, password) = (&registration.username, &registration.password);
        let login = auth
            .call_login(&mut store, &caller, name, password)
            .await??;
        let LoginOutcome::Tokens(tokens) = login else {
            return Err("the account has a second factor".into());
        };

        let (mut store, plugin) = self.instance().await?;
        let auth = plugin.user_auth_plugin_auth();
        let token = &tokens.access_token;
        let verified = auth.call_verify_token(&mut store, &caller, token).await??;
        let claims = verified.ok_or("the token is not valid")?;
        let (iss, tenant) = (&claims.iss, store.data().tenant);
        println!("{} is known to {tenant} by {iss}", claims.username);

        let (mut store, plugin) = self.instance().await?;
        let auth = plugin.user_auth_plugin_auth();
        let alice = Caller {
            principal: Principal::AccessToken(token.clone()),
            ..caller
        };
        let check = auth.call_check_permission(&mut store, &alice, "billing:invoices:read");
        println!("may read invoices: {}", check.await??);
        println!("{} instances so far", self.host.metrics().instances.created);
        Ok(token.clone())
    }

    /// Makes calls to the same component and records, under limits that every call
    /// exceeds.
    async fn calls_that_want_too_much(
        &self,
        records: Arc<MemoryStore>,
        keys: StoreKeys,
    ) -> Result<(), Box<dyn Error>> {
        let few_host_calls = Limits {
            host_calls_per_call: 2,
            ..Limits::default()
        };
        let little_memory = Limits {
            memory_bytes: 64 << 10,
            ..Limits::default()
        };
        for limits in [few_host_calls, little_memory] {
            let builder = UserAuthHost::builder().store(records.clone());
            let host = builder.keys(keys.clone()).limits(limits).build()?;
            match self.login(&host).await {
                Err(error) => println!("no answer: {error}"),
                Ok(_) => return Err("the limit was not enforced".into()),
            }
            println!("{} call was aborted", host.metrics().instances.trapped);
        }
        Ok(())
    }

    /// A complete call: with a timeout, and an error that names the exceeded limit.
    async fn login(
        &self,
        host: &UserAuthHost,
    ) -> Result<Result<LoginOutcome, OperationError>, CallError> {
        let mut store = self.store(host);
        let answer = timeout(host.limits().wall_clock_per_call, async {
            let plugin = self.pre.instantiate_async(&mut store).await?;
            let auth = plugin.user_auth_plugin_auth();
            auth.call_login(&mut store, &visitor(), "alice", "a guess")
                .await
        });
        let answer = answer.await;
        let ctx = &store.data().user_auth;
        match answer {
            Ok(answer) => answer.map_err(|error| ctx.failure(&error)),
            Err(_) => Err(ctx.timed_out()),
        }
    }
}

fn visitor() -> Caller {
    Caller {
        principal: Principal::Anonymous,
        source: Some("203.0.113.7".into()),
    }
}

/// The data of stores in a program that links all of WASI for other components.
struct WithWasi {
    user_auth: UserAuthCtx,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl UserAuthView for WithWasi {
    fn user_auth(&mut self) -> &mut UserAuthCtx {
        &mut self.user_auth
    }
}

impl WasiView for WithWasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

async fn beside_all_of_wasi(
    engine: &Engine,
    component: &Component,
    host: &UserAuthHost,
    token: &str,
) -> Result<(), Box<dyn Error>> {
    let mut linker: Linker<WithWasi> = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    user_auth_host::add_only_user_auth_to_linker(&mut linker)?;
    let state = WithWasi {
        user_auth: host.ctx(),
        // The settings have to be passed on here.
        wasi: WasiCtx::builder().envs(host.settings()).build(),
        table: ResourceTable::new(),
    };
    let mut store = Store::new(engine, state);
    user_auth_host::limit_store(&mut store);
    let plugin = Plugin::instantiate_async(&mut store, component, &linker).await?;
    let auth = plugin.user_auth_plugin_auth();
    let caller = visitor();
    let verified = auth.call_verify_token(&mut store, &caller, token);
    // A token of another issuer would not be valid.
    let claims = verified.await??.ok_or("the settings differ")?;
    println!("beside all of WASI: {} again", claims.username);
    Ok(())
}
