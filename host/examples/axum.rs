//! A web server whose routes are guarded by the plugin: one middleware authenticates
//! requests, and another checks the permissions of the user.
//!
//! `cargo run --release -p user-auth-host --example axum target/release/user-auth.wasm`
//!
//! Prints its address, and ends on SIGINT, on SIGTERM or when its standard input ends.
//! alice may read `/reports` and bob may not; both have the password below.
//!
//! ```sh
//! TOKEN=$(curl -s $URL/login -d '{"username": "alice", "password": "correct horse battery staple"}' | jq -r .access_token)
//! curl -i $URL/me -H "Authorization: Bearer $TOKEN"
//! ```

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use user_auth_host::api::{Caller, Claims, LoginOutcome, OperationError, Principal, Registration};
use user_auth_host::store::MemoryStore;
use user_auth_host::{CallError, Plugin, StoreKeys};

const PASSWORD: &str = "correct horse battery staple";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let component = std::env::args().nth(1).ok_or("usage: axum COMPONENT")?;
    let plugin = Plugin::builder()
        .component(component)
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral()?)
        .build()?;
    prepare(&plugin).await?;

    // Installed before the address is known to anyone.
    let end = told_to_end()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let service = routes(plugin).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(end)
        .await?;
    Ok(())
}

/// Creates two users, and a role that one of them has.
async fn prepare(plugin: &Plugin) -> Result<(), Box<dyn Error>> {
    let operator = Caller {
        principal: Principal::Operator,
        source: None,
    };
    for username in ["alice", "bob"] {
        let registration = Registration {
            username: username.into(),
            password: PASSWORD.into(),
            email: None,
        };
        plugin.register(operator.clone(), registration).await??;
    }
    let role = json!({"role": "analyst", "permissions": ["reports:read"]}).to_string();
    plugin
        .invoke(operator.clone(), "define_role", &role)
        .await??;
    let grant = json!({"username": "alice", "role": "analyst"}).to_string();
    plugin.invoke(operator, "assign_role", &grant).await??;
    Ok(())
}

fn routes(plugin: Plugin) -> Router {
    let may_read = from_fn_with_state((plugin.clone(), "reports:read"), permitted);
    let guarded = Router::new()
        .route("/me", get(me))
        .route("/reports", get(reports).layer(may_read))
        .route("/logout", post(logout))
        // Layers run from last to first: authentication comes before authorization.
        .route_layer(from_fn_with_state(plugin.clone(), authenticated));
    Router::new()
        .route("/login", post(login))
        .merge(guarded)
        .with_state(plugin)
}

/// The session of a request, which guarded handlers and further layers find among its
/// extensions.
#[derive(Clone)]
struct Session {
    caller: Caller,
    token: String,
    claims: Claims,
}

/// Admits requests with a valid access token.
async fn authenticated(
    State(plugin): State<Plugin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(token) = bearer(request.headers()).map(str::to_owned) else {
        // RFC 6750 section 3.1: a request without credentials gets no error code.
        return unauthorized("Bearer", "log in first");
    };
    let anonymous = caller(Principal::Anonymous, peer);
    let claims = match plugin.verify_token(anonymous, &token).await {
        Ok(Ok(Some(claims))) => claims,
        Ok(Ok(None)) => return unauthorized(r#"Bearer error="invalid_token""#, "log in again"),
        Ok(Err(error)) => return refused(&error),
        Err(error) => return unanswered(&error),
    };
    request.extensions_mut().insert(Session {
        caller: caller(Principal::AccessToken(token.clone()), peer),
        token,
        claims,
    });
    next.run(request).await
}

/// Admits requests of users with the permission.
async fn permitted(
    State((plugin, permission)): State<(Plugin, &'static str)>,
    Extension(session): Extension<Session>,
    request: Request,
    next: Next,
) -> Response {
    match plugin.check_permission(session.caller, permission).await {
        Ok(Ok(true)) => next.run(request).await,
        Ok(Ok(false)) => {
            let challenge = r#"Bearer error="insufficient_scope""#;
            let head = [(header::WWW_AUTHENTICATE, challenge)];
            (StatusCode::FORBIDDEN, head, "you lack the permission\n").into_response()
        }
        Ok(Err(error)) => refused(&error),
        Err(error) => unanswered(&error),
    }
}

async fn login(
    State(plugin): State<Plugin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: String,
) -> Response {
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let (Some(username), Some(password)) = (body["username"].as_str(), body["password"].as_str())
    else {
        return (StatusCode::BAD_REQUEST, "send username and password\n").into_response();
    };
    let caller = caller(Principal::Anonymous, peer);
    let tokens = match plugin.login(caller, username, password).await {
        Ok(Ok(LoginOutcome::Tokens(tokens))) => tokens,
        // A complete server would pass the challenge on, and have a route for the
        // response.
        Ok(Ok(LoginOutcome::Challenge(_))) => {
            return (
                StatusCode::NOT_IMPLEMENTED,
                "second factors are not supported\n",
            )
                .into_response();
        }
        Ok(Err(error)) => return refused(&error),
        Err(error) => return unanswered(&error),
    };
    let tokens = json!({
        "access_token": tokens.access_token,
        "token_type": tokens.token_type,
        "expires_in": tokens.expires_in,
    });
    let head = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (head, tokens.to_string()).into_response()
}

async fn logout(State(plugin): State<Plugin>, Extension(session): Extension<Session>) -> Response {
    match plugin.logout(session.caller, &session.token).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => refused(&error),
        Err(error) => unanswered(&error),
    }
}

async fn me(Extension(session): Extension<Session>) -> String {
    format!("you are {}\n", session.claims.username)
}

async fn reports(Extension(session): Extension<Session>) -> String {
    format!("reports for {}\n", session.claims.username)
}

fn caller(principal: Principal, peer: SocketAddr) -> Caller {
    Caller {
        principal,
        source: Some(peer.ip().to_string()),
    }
}

/// Returns the token of `Authorization: Bearer`, whose scheme is case-insensitive (RFC
/// 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorized(challenge: &'static str, advice: &'static str) -> Response {
    let head = [(header::WWW_AUTHENTICATE, challenge)];
    (StatusCode::UNAUTHORIZED, head, format!("{advice}\n")).into_response()
}

/// Returns the response for an operation that failed, with the matching HTTP status.
fn refused(error: &OperationError) -> Response {
    let status = match error.code {
        -32001 => return unauthorized("Bearer", "wrong user name or password"),
        -32002 => StatusCode::FORBIDDEN,
        -32003 => StatusCode::TOO_MANY_REQUESTS,
        -32004 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, format!("{}\n", error.message)).into_response()
}

/// Returns the response for a call to which the component did not respond.
fn unanswered(error: &CallError) -> Response {
    let seconds = error.retry_after().as_secs().to_string();
    let head = [(header::RETRY_AFTER, seconds)];
    (StatusCode::SERVICE_UNAVAILABLE, head, "try again later\n").into_response()
}

/// Installs the handlers for the events that end the program, and returns a future that
/// completes with the first of them.
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    let (closed, stdin_ended) = tokio::sync::oneshot::channel();
    // A thread of its own, since the program does not wait for it to end.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = closed.send(());
    });
    let signalled = signalled()?;
    Ok(async move {
        tokio::select! {
            _ = stdin_ended => {}
            () = signalled => {}
        }
    })
}

#[cfg(unix)]
fn signalled() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signalled() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
