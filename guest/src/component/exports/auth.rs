//! The `auth` interface: the operations as typed calls.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::component::contract::Component;
use crate::component::contract::exports::auth::{
    Account, Caller as WitCaller, Challenge as WitChallenge, Claims, Error, Guest,
    LoginOutcome as WitLoginOutcome, Principal as WitPrincipal, Registration, Tokens as WitTokens,
};
use crate::component::select::{self, ports};
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::sessions::{access_token, jwks};
use crate::error::{AuthError, FieldError, Result as AuthResult};
use crate::json;
use crate::operations::{
    self, CheckPermission, CompleteLogin, Login, LoginOutcome, Logout, RefreshToken, Register,
    Tokens, Verification, VerifyToken,
};
use crate::types::secret::Secret;

impl Guest for Component {
    fn register(caller: WitCaller, registration: Registration) -> Result<Account, Error> {
        run("register", caller, |call| {
            let Registration {
                username,
                password,
                email,
            } = registration;
            let input = json!({"username": username, "email": email});
            let operation = Register {
                username: field("username", username)?,
                password: field("password", Zeroizing::new(password))?,
                email: email.map(|email| field("email", email)).transpose()?,
            };
            let registered = operations::call(operation, &input, call)?;
            Ok(Account {
                user_id: registered.user_id.to_string(),
                username: registered.username.to_string(),
                created_at: registered.created_at,
            })
        })
    }

    fn login(
        caller: WitCaller,
        username: String,
        password: String,
    ) -> Result<WitLoginOutcome, Error> {
        run("login", caller, |call| {
            let input = json!({"username": username});
            let operation = Login {
                username: field("username", username)?,
                password: field("password", Zeroizing::new(password))?,
            };
            operations::call(operation, &input, call).map(login_outcome)
        })
    }

    fn complete_login(
        caller: WitCaller,
        challenge: String,
        code: String,
    ) -> Result<WitTokens, Error> {
        run("complete_login", caller, |call| {
            let operation = CompleteLogin {
                challenge: Secret::new(challenge),
                code: field("code", Zeroizing::new(code))?,
            };
            operations::call(operation, &json!({}), call).map(tokens)
        })
    }

    fn verify_token(caller: WitCaller, token: String) -> Result<Option<Claims>, Error> {
        run("verify_token", caller, |call| {
            let operation = VerifyToken {
                token: Some(Secret::new(token)),
                sign_in_id: None,
                audience: None,
            };
            Ok(match operations::call(operation, &json!({}), call)? {
                Verification::Active(active) => Some(claims(*active)),
                Verification::Inactive => None,
            })
        })
    }

    fn refresh(caller: WitCaller, refresh_token: String) -> Result<WitTokens, Error> {
        run("refresh_token", caller, |call| {
            let operation = RefreshToken {
                refresh_token: Secret::new(refresh_token),
            };
            operations::call(operation, &json!({}), call).map(tokens)
        })
    }

    fn logout(caller: WitCaller, token: String) -> Result<(), Error> {
        run("logout", caller, |call| {
            // An access token is a JWT, and only that has dots in it.
            let (access, refresh) = match token.contains('.') {
                true => (Some(Secret::new(token)), None),
                false => (None, Some(Secret::new(token))),
            };
            let operation = Logout {
                access_token: access,
                refresh_token: refresh,
                sign_in_id: None,
            };
            operations::call(operation, &json!({}), call).map(|_| ())
        })
    }

    fn check_permission(caller: WitCaller, permission: String) -> Result<bool, Error> {
        run("check_permission", caller, |call| {
            let input = json!({"permission": permission});
            let operation = CheckPermission {
                permission: field("permission", permission)?,
                token: None,
                sign_in_id: None,
                audience: None,
            };
            Ok(operations::call(operation, &input, call)?.allowed)
        })
    }

    fn invoke(caller: WitCaller, operation: String, input: String) -> Result<String, Error> {
        run("invoke", caller, |call| {
            let input = json::parse(input.as_bytes()).map_err(|error| {
                AuthError::invalid(vec![FieldError {
                    path: "$".to_owned(),
                    problem: format!(
                        "{} at line {}, column {}",
                        json::problem(&error),
                        error.line(),
                        error.column()
                    ),
                }])
            })?;
            let call = Call {
                offer: call.settings.offer_to_embedders(),
                ..call.clone()
            };
            let output = operations::invoke(&operation, input, &call)?;
            Ok(output.as_str().to_owned())
        })
    }

    fn jwks() -> Result<String, Error> {
        let anonymous = WitCaller {
            principal: WitPrincipal::Anonymous,
            source: None,
        };
        run("jwks", anonymous, |call| {
            Ok(json::text(&jwks::document(call)?))
        })
    }

    fn operations() -> String {
        let views = operations::operations().into_iter().zip(operations::TABLE);
        let views = views.map(|(view, definition)| {
            let mut view = json::to_value(view);
            view["annotations"] = definition.effect.annotations();
            view
        });
        json::text(&Value::Array(views.collect()))
    }
}

fn run<T>(
    operation: &'static str,
    caller: WitCaller,
    body: impl FnOnce(&Call) -> AuthResult<T>,
) -> Result<T, Error> {
    let caller = Caller {
        principal: match caller.principal {
            WitPrincipal::Anonymous => Principal::Anonymous,
            WitPrincipal::AccessToken(token) => Principal::AccessToken(Secret::new(token)),
            WitPrincipal::ApiKey(key) => Principal::ApiKey(Secret::new(key)),
            WitPrincipal::Operator => Principal::Operator,
        },
        source: Source::from_peer(caller.source.as_deref()),
    };
    let result = select::settings(&caller.principal)
        .and_then(|settings| body(&select::call(&settings, &caller)))
        .map_err(|error| error.during(operation));
    result.map_err(|error| Error {
        code: error.kind.code(),
        operation: error.operation.unwrap_or(operation).to_owned(),
        timestamp: ports::all().clock.now().to_rfc3339(),
        details: json::text(&error.details()),
        message: error.message.clone(),
    })
}

/// Parses a value of the domain, or returns the problem of the field.
fn field<F, T: TryFrom<F, Error: ToString>>(name: &str, value: F) -> AuthResult<T> {
    T::try_from(value)
        .map_err(|problem| AuthError::invalid(vec![FieldError::new(name, problem.to_string())]))
}

fn login_outcome(outcome: LoginOutcome) -> WitLoginOutcome {
    match outcome {
        LoginOutcome::Tokens(issued) => WitLoginOutcome::Tokens(tokens(issued)),
        LoginOutcome::Challenge(challenge) => WitLoginOutcome::Challenge(WitChallenge {
            challenge: challenge.challenge.expose().to_owned(),
            expires_in: challenge.expires_in,
            methods: challenge.methods.into_iter().map(str::to_owned).collect(),
        }),
    }
}

fn tokens(tokens: Tokens) -> WitTokens {
    WitTokens {
        access_token: tokens.access_token.expose().to_owned(),
        token_type: tokens.token_type.to_owned(),
        expires_in: tokens.expires_in,
        refresh_token: tokens.refresh_token.expose().to_owned(),
        session_id: tokens.session_id.to_string(),
    }
}

fn claims(claims: access_token::Claims) -> Claims {
    Claims {
        sub: claims.sub.to_string(),
        username: claims.username.to_string(),
        iss: claims.iss,
        aud: claims.aud,
        exp: claims.exp,
        iat: claims.iat,
        jti: claims.jti.to_string(),
        sid: claims.sid.to_string(),
        scope: claims.scope,
        auth_time: claims.auth_time,
        acr: claims.acr,
        amr: claims.amr,
    }
}
