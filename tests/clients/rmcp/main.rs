//! Signs a user in with rmcp: as a client that registers itself, or as `CLIENT_ID`.
//!
//! Prints the address that the user has to visit, and reads from standard input the address to
//! which the user was sent back. After a refresh it prints "refreshed" and waits for a line; its
//! access was taken away meanwhile, so it asks the user again.
//!
//! Usage: rmcp-sign-in URL

use std::env;
use std::error::Error;
use std::io::stdin;

use rmcp::model::{CallToolRequestParams, ClientConfig};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{
    AuthClient, AuthorizationManager, AuthorizationRequest, CredentialStore as _,
    InMemoryCredentialStore, OAuthState, StoredCredentials,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt as _};

type Failure = Box<dyn Error>;
type Client = RunningService<RoleClient, ClientConfig>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = env::args().nth(1).ok_or("no URL")?;
    let store = InMemoryCredentialStore::new();
    let client = sign_in(&url, &store).await?;
    call(&client).await?;
    let first = credentials(&store).await?;
    let mut expired = first.clone();
    expired.token_received_at = Some(0);
    store.save(expired).await?;
    call(&client).await?;
    let second = credentials(&store).await?;
    if refresh_token(&first)? == refresh_token(&second)? {
        return Err("the token was not refreshed".into());
    }
    println!("refreshed");
    line()?;
    if call(&client).await.is_ok() {
        return Err("the access was taken away".into());
    }
    let client = sign_in(&url, &InMemoryCredentialStore::new()).await?;
    call(&client).await?;
    println!("ok");
    Ok(())
}

async fn sign_in(url: &str, store: &InMemoryCredentialStore) -> Result<Client, Failure> {
    let config = || StreamableHttpClientTransportConfig::with_uri(url);
    let transport =
        StreamableHttpClientTransport::with_client(reqwest::Client::default(), config());
    let error = ClientConfig::default().serve(transport).await;
    let error = error.err().ok_or("the server requires no sign-in")?;
    let challenge = error.auth_challenge().ok_or("no challenge")?;

    let mut manager = AuthorizationManager::new(url).await?;
    manager.set_credential_store(store.clone());
    let mut state = OAuthState::Unauthorized(manager);
    let request = AuthorizationRequest::new("http://127.0.0.1:33418/callback")
        .with_client_name("Desk")
        .with_challenge(challenge);
    let request = match env::var("CLIENT_ID") {
        Ok(id) => request.with_preregistered_client(id),
        Err(_) => request,
    };
    state.start_authorization(request).await?;
    println!("{}", state.get_authorization_url().await?);
    state.handle_callback_url(&line()?).await?;

    let manager = state.into_authorization_manager().ok_or("not signed in")?;
    let client = AuthClient::new(reqwest::Client::default(), manager);
    let transport = StreamableHttpClientTransport::with_client(client, config());
    Ok(ClientConfig::default().serve(transport).await?)
}

async fn call(client: &Client) -> Result<(), Failure> {
    let tool = CallToolRequestParams::new("user-auth_get_capabilities");
    let result = client.call_tool(tool).await?;
    match result.is_error {
        Some(true) => Err("the tool has failed".into()),
        _ => Ok(()),
    }
}

async fn credentials(store: &InMemoryCredentialStore) -> Result<StoredCredentials, Failure> {
    Ok(store.load().await?.ok_or("no credentials")?)
}

fn refresh_token(credentials: &StoredCredentials) -> Result<String, Failure> {
    let tokens = serde_json::to_value(&credentials.token_response)?;
    Ok(tokens["refresh_token"]
        .as_str()
        .ok_or("no refresh token")?
        .to_owned())
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
