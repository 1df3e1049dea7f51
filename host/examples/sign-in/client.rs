//! Has the user sign in by browser, and calls a tool: rmcp.
//!
//! `cargo run --bin client [URL]`

use std::env;
use std::error::Error;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::get;
use rmcp::model::{CallToolRequestParams, ClientConfig};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt as _, service::RunningService};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Sender, channel};

type Failure = Box<dyn Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://localhost:9000/mcp");
    let client = connect(url).await?;
    let result = client
        .call_tool(CallToolRequestParams::new("whoami"))
        .await?;
    let text = result.content.first().and_then(|block| block.as_text());
    println!(
        "You are {}",
        text.ok_or("the tool answered without a text")?.text
    );
    client.cancel().await?;
    Ok(())
}

/// Connects to the server. If it refuses that, its challenge says where the user signs in.
async fn connect(url: &str) -> Result<RunningService<RoleClient, ClientConfig>, Failure> {
    let config = || StreamableHttpClientTransportConfig::with_uri(url);
    let transport =
        StreamableHttpClientTransport::with_client(reqwest::Client::default(), config());
    let challenge = match ClientConfig::default().serve(transport).await {
        Ok(client) => return Ok(client),
        Err(error) => match error.auth_challenge() {
            Some(challenge) => challenge.to_owned(),
            None => return Err(error.into()),
        },
    };
    let state = sign_in(url, challenge).await?;
    let manager = state
        .into_authorization_manager()
        .ok_or("the user has not signed in")?;
    let client = AuthClient::new(reqwest::Client::default(), manager);
    let transport = StreamableHttpClientTransport::with_client(client, config());
    Ok(ClientConfig::default().serve(transport).await?)
}

async fn sign_in(url: &str, challenge: String) -> Result<OAuthState, Failure> {
    // The page to which the browser returns: any free port, on this machine only.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let redirect_uri = format!("http://{}/callback", listener.local_addr()?);
    let (sender, mut answers) = channel(1);
    let routes = Router::new()
        .route("/callback", get(answer))
        .with_state(sender);
    let page = tokio::spawn(async move { axum::serve(listener, routes).await });

    let mut state = OAuthState::new(url, None).await?;
    let request = AuthorizationRequest::new(&redirect_uri).with_client_name("Example");
    state
        .start_authorization(request.with_challenge(challenge))
        .await?;
    println!(
        "Visit this address to sign in:\n{}",
        state.get_authorization_url().await?
    );
    let query = answers.recv().await.ok_or("the page has failed")?;
    state
        .handle_callback_url(&format!("{redirect_uri}?{query}"))
        .await?;
    page.abort();
    Ok(state)
}

async fn answer(State(sender): State<Sender<String>>, RawQuery(query): RawQuery) -> &'static str {
    // The first answer counts; a browser may ask again.
    let _ = sender.try_send(query.unwrap_or_default());
    "You can close this window."
}
