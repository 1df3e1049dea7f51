//! Signs a user in with rmcp, and calls tools.
//!
//! It registers itself, unless there is a `CLIENT_ID` (and `CLIENT_SECRET`) from an administrator
//! or the `CLIENT_METADATA_URL` of a document about it.
//!
//! Prints the address that the user has to visit, and reads from standard input the address to
//! which the user was sent back, and the steps.
//!
//! Usage: rmcp-sign-in URL

use std::env;
use std::error::Error;
use std::io::stdin;

use rmcp::model::{CallToolRequestParams, ClientConfig};
use rmcp::service::{RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{
    AuthClient, AuthorizationManager, AuthorizationRequest, CredentialStore as _,
    InMemoryCredentialStore, OAuthState,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt as _};

type Failure = Box<dyn Error>;
type Client = RunningService<RoleClient, ClientConfig>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = env::args().nth(1).ok_or("no URL")?;
    let store = InMemoryCredentialStore::new();
    let mut client: Option<Client> = None;
    loop {
        let step = line()?;
        if step.is_empty() {
            return Ok(());
        }
        if step == "expire" {
            let mut expired = store.load().await?.ok_or("no credentials")?;
            expired.token_received_at = Some(0);
            store.save(expired).await?;
            continue;
        }
        let before = refresh_token(&store).await?;
        let tool = step.strip_prefix("call ").ok_or("no such step")?;
        let challenge = match &client {
            None => Some(challenge(&url).await?),
            Some(client) => match call(client, tool).await {
                Ok(()) => None,
                Err(error) => Some(match error.auth_challenge() {
                    Some(challenge) => challenge.to_owned(),
                    None => self::challenge(&url).await?,
                }),
            },
        };
        if let Some(challenge) = challenge {
            let signed_in = sign_in(&url, &store, &challenge).await?;
            call(&signed_in, tool).await?;
            client = Some(signed_in);
        }
        match before.is_some() && before != refresh_token(&store).await? {
            true => println!("called, refreshed"),
            false => println!("called"),
        }
    }
}

/// Returns the challenge that a client without a token gets.
async fn challenge(url: &str) -> Result<String, Failure> {
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    let transport = StreamableHttpClientTransport::with_client(reqwest::Client::default(), config);
    let error = ClientConfig::default().serve(transport).await;
    let error = error.err().ok_or("the server requires no sign-in")?;
    Ok(error.auth_challenge().ok_or("no challenge")?.to_owned())
}

async fn sign_in(
    url: &str,
    store: &InMemoryCredentialStore,
    challenge: &str,
) -> Result<Client, Failure> {
    let mut manager = AuthorizationManager::new(url).await?;
    manager.set_credential_store(store.clone());
    let mut state = OAuthState::Unauthorized(manager);
    let mut request = AuthorizationRequest::new("http://127.0.0.1:33418/callback")
        .with_client_name("Desk")
        .with_challenge(challenge);
    if let Ok(id) = env::var("CLIENT_ID") {
        request = request.with_preregistered_client(id);
    }
    if let Ok(secret) = env::var("CLIENT_SECRET") {
        request = request.with_client_secret(secret);
    }
    if let Ok(url) = env::var("CLIENT_METADATA_URL") {
        request = request.with_client_metadata_url(url);
    }
    state.start_authorization(request).await?;
    println!("{}", state.get_authorization_url().await?);
    state.handle_callback_url(&line()?).await?;

    let manager = state.into_authorization_manager().ok_or("not signed in")?;
    let client = AuthClient::new(reqwest::Client::default(), manager);
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    let transport = StreamableHttpClientTransport::with_client(client, config);
    Ok(ClientConfig::default().serve(transport).await?)
}

async fn call(client: &Client, tool: &str) -> Result<(), ServiceError> {
    let tool = CallToolRequestParams::new(tool.to_owned());
    let result = client.call_tool(tool).await?;
    assert_ne!(result.is_error, Some(true), "{result:?}");
    Ok(())
}

async fn refresh_token(store: &InMemoryCredentialStore) -> Result<Option<String>, Failure> {
    let Some(credentials) = store.load().await? else {
        return Ok(None);
    };
    let tokens = serde_json::to_value(&credentials.token_response)?;
    Ok(tokens["refresh_token"].as_str().map(str::to_owned))
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
