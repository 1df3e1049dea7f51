//! The calls of a plugin: one function for each function that the component exports.

use std::sync::Arc;

use tracing::error;

use super::Plugin;
use super::response_check::flaw;
use crate::api::{
    Account, Caller, Claims, HttpRequest, LoginOutcome, McpRequest, McpResponse, OperationError,
    Registration, Route, Swept, Tokens, Unavailable,
};
use crate::embed::client::{ClientHandle, NoClient};
use crate::error::CallError;
use crate::trace;

/// Declares the calls of `auth` that pass texts: `name(arguments) -> output`. All take the
/// caller first, and charge its source.
macro_rules! typed_calls {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        impl Plugin {
            $(
                $(#[$doc])*
                pub async fn $name(
                    &self,
                    caller: Caller,
                    $($argument: $type),*
                ) -> Result<Result<$output, OperationError>, CallError> {
                    let source = caller.source.clone();
                    let arguments = (&caller, $($argument),*);
                    self.call(no_client(), source, |of| &of.$name, arguments).await
                }
            )*
        }
    };
}

typed_calls! {
    /// Calls any operation by its name; input and output are JSON objects.
    invoke(operation: &str, input: &str) -> String;

    /// Calls `login`, which begins a session or, if the account has a second factor,
    /// returns a challenge for [`Plugin::complete_login`].
    login(username: &str, password: &str) -> LoginOutcome;

    /// Calls `complete_login`, which begins the session of a challenge. The code comes
    /// from an authenticator app, or is a recovery code.
    complete_login(challenge: &str, code: &str) -> Tokens;

    /// Calls `verify_token`. Returns `None` for anything that is not a valid access
    /// token of a live session.
    verify_token(token: &str) -> Option<Claims>;

    /// Calls `refresh_token`, which exchanges a refresh token for new tokens. For a grace
    /// the old refresh token still returns the same new one.
    refresh(refresh_token: &str) -> Tokens;

    /// Calls `logout`, which ends the session of an access or a refresh token.
    logout(token: &str) -> ();

    /// Calls `check_permission`, which returns whether the caller has this permission.
    check_permission(permission: &str) -> bool;
}

impl Plugin {
    /// Handles one MCP message of the local operator. Errors in the message are reported
    /// in the response; `Err` means that there is none.
    pub async fn handle(
        &self,
        request: McpRequest,
        client: ClientHandle,
    ) -> Result<McpResponse, CallError> {
        trace::message(&request.body);
        let answered = self.call(client, None, |of| &of.mcp_handle, (&request,));
        self.checked(answered.await?)
    }

    /// Answers one request that came by HTTP. Errors in the request are reported in the
    /// response; `Err` means that there is none.
    pub async fn handle_http(
        &self,
        request: &HttpRequest,
        client: ClientHandle,
    ) -> Result<McpResponse, CallError> {
        let source = request.peer.clone();
        trace::message(&request.body);
        let answered = self.call(client, source, |of| &of.http_handle, (request,));
        self.checked(answered.await?)
    }

    /// Checks the API key of a request that the host answers by itself. Returns the
    /// response to a request without a valid one, if keys are required.
    pub async fn admit(&self, request: HttpRequest) -> Result<Option<McpResponse>, CallError> {
        let source = request.peer.clone();
        let refusal = self.call(no_client(), source, |of| &of.http_admit, (&request,));
        let refusal: Option<McpResponse> = refusal.await?;
        refusal.map(|refusal| self.checked(refusal)).transpose()
    }

    /// Returns the routes of the component.
    pub async fn routes(&self) -> Result<Vec<Route>, CallError> {
        self.call(no_client(), None, |of| &of.http_routes, ()).await
    }

    /// Calls `register`, which creates an account.
    pub async fn register(
        &self,
        caller: Caller,
        registration: Registration,
    ) -> Result<Result<Account, OperationError>, CallError> {
        let source = caller.source.clone();
        let arguments = (&caller, &registration);
        self.call(no_client(), source, |of| &of.register, arguments)
            .await
    }

    /// Returns the public keys of tokens for other services: a JSON Web Key Set (RFC
    /// 7517), which may be kept for an hour.
    pub async fn jwks(&self) -> Result<Result<String, OperationError>, CallError> {
        self.call(no_client(), None, |of| &of.jwks, ()).await
    }

    /// Returns all operations: a JSON array of objects with `name`, `title`,
    /// `description`, `input_schema` and `output_schema`.
    pub async fn operations(&self) -> Result<String, CallError> {
        self.call(no_client(), None, |of| &of.operations, ()).await
    }

    /// Deletes expired sessions, after looking at no more than `limit` of them,
    /// starting at `after`.
    pub async fn sweep(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Result<Swept, Unavailable>, CallError> {
        self.call(no_client(), None, |of| &of.sweep, (after, limit))
            .await
    }

    /// Returns the response if it may be forwarded.
    fn checked(&self, answer: McpResponse) -> Result<McpResponse, CallError> {
        let Some(flaw) = flaw(&answer, self.limits()) else {
            return Ok(answer);
        };
        let failure = CallError::Malformed(flaw);
        error!(error = %failure, "a call was aborted");
        Err(failure)
    }
}

fn no_client() -> ClientHandle {
    Arc::new(NoClient)
}
