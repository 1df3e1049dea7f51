use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::verify_token::VerificationView;
use super::{Effect, Operation, Toolset};
use crate::dispatch::call::counted;
use crate::domain::access::actor::{self, Requirement};
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{self, Grant, MAX_SCOPE_BYTES, TOKENS_INTROSPECT};
use crate::domain::accounts::role;
use crate::domain::actor_id::ActorId;
use crate::domain::call::Call;
use crate::domain::clients::client_id::ClientId;
use crate::domain::credentials::api_key::ApiKey;
use crate::domain::delegations::client_token;
use crate::domain::delegations::identity_scope::IdentityScope;
use crate::domain::sessions::access_token::Claims;
use crate::domain::sessions::bearer::Bearer;
use crate::domain::sessions::refresh_token::RefreshToken;
use crate::domain::sessions::session::Session;
use crate::error::Result;
use crate::types::id::Id;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// Checks a token that a service has received: an access token, a refresh token or an API
/// key. Returns the claims of an active token, and only `{"active": false}` for anything
/// else.
///
/// This is the introspection of RFC 7662. Changes nothing. Requires
/// `user-auth:tokens:introspect`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectToken {
    /// The token.
    pub token: Secret,
    /// The audience that an access token must have, if not this service.
    #[serde(default)]
    pub audience: Option<String>,
}

/// The claims of an active token.
#[derive(JsonSchema)]
#[schemars(with = "IntrospectionView")]
pub enum Introspection {
    /// An access token with these claims.
    AccessToken(Box<Claims>),
    /// A valid access token, as its client may see it: with the user name only if the user has
    /// agreed to that.
    OfClient(Box<Claims>),
    /// The current refresh token of this session.
    RefreshToken(Box<Session>),
    /// An API key.
    ApiKey(KeyInfo),
    /// Anything else.
    Inactive,
}

/// An active API key.
pub struct KeyInfo {
    /// The id of the key.
    pub key_id: Id,
    /// The account that the key belongs to.
    pub user_id: Id,
    /// When the key expires, if it does.
    pub expires_at: Option<Timestamp>,
    /// The current permissions of the key, separated by blanks.
    pub scope: String,
}

/// An introspection as JSON.
#[derive(Default, Serialize, JsonSchema)]
struct IntrospectionView<'a> {
    /// The same fields as in `verify_token`.
    #[serde(flatten)]
    verification: VerificationView<'a>,
    /// The kind of token: `access_token`, `refresh_token` or `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// The id of the API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<Id>,
}

impl Operation for IntrospectToken {
    const NAME: &'static str = "introspect_token";
    const TITLE: &'static str = "Introspect a token";
    const TOOLSET: Option<Toolset> = Some(Toolset::Tokens);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(TOKENS_INTROSPECT);
    type Output = Introspection;

    fn run(self, call: &ActorCall) -> Result<Introspection> {
        let token = self.token.expose();
        let own = call.settings.audience.as_str();
        let audience = self.audience.as_deref().unwrap_or(own);
        if let Some(bearer) = Bearer::of(audience, token, call)? {
            let claims = bearer.current_claims();
            return Ok(Introspection::AccessToken(Box::new(claims)));
        }
        if let Some(session) = of_refresh_token(token, call)? {
            return Ok(Introspection::RefreshToken(Box::new(session)));
        }
        let key = of_api_key(token, call)?;
        Ok(key.map_or(Introspection::Inactive, Introspection::ApiKey))
    }
}

impl Serialize for Introspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let view = match self {
            Introspection::AccessToken(claims) => IntrospectionView {
                verification: VerificationView::active(claims),
                token_type: Some("access_token"),
                key_id: None,
            },
            Introspection::OfClient(claims) => {
                let identity = IdentityScope::among(claims.scope.split(' '));
                let mut verification = VerificationView::active(claims);
                if !identity.contains(&IdentityScope::Profile) {
                    verification.username = None;
                }
                IntrospectionView {
                    verification,
                    token_type: Some("access_token"),
                    key_id: None,
                }
            }
            Introspection::RefreshToken(session) => IntrospectionView {
                verification: VerificationView {
                    active: true,
                    sub: Some(session.user_id),
                    sid: Some(session.session_id),
                    exp: Some(session.idle_expires_at.min(session.expires_at).seconds()),
                    ..VerificationView::default()
                },
                token_type: Some("refresh_token"),
                key_id: None,
            },
            Introspection::ApiKey(key) => IntrospectionView {
                verification: VerificationView {
                    active: true,
                    sub: Some(key.user_id),
                    exp: key.expires_at.map(Timestamp::seconds),
                    scope: Some(&key.scope),
                    ..VerificationView::default()
                },
                token_type: Some("api_key"),
                key_id: Some(key.key_id),
            },
            Introspection::Inactive => IntrospectionView::default(),
        };
        view.serialize(serializer)
    }
}

/// Returns the session of the current refresh token, which introspection does not use up.
fn of_refresh_token(token: &str, call: &Call) -> Result<Option<Session>> {
    let ports = &call.ports;
    let Some(token) = RefreshToken::parse(token, ports)? else {
        return Ok(None);
    };
    let Some(session) = Session::read(token.session_id(), ports)? else {
        return Ok(None);
    };
    let session = session.value;
    let account = Account::find(session.user_id, ports)?;
    // It ends with its client and its resource server, too.
    let is_alive = match &session.delegation {
        Some(delegation) => delegation.parties(call)?.is_some(),
        None => true,
    };
    let is_good = is_alive
        && session.is_current(&token, ports)?
        && account.is_some_and(|account| session.is_alive(&account.value, call.now()));
    Ok(is_good.then_some(session))
}

/// Introspects a token of a client for that client, which has authenticated. The tokens of
/// others are inactive to it.
pub fn introspect_for_client(
    token: &str,
    client_id: &ClientId,
    call: &Call,
) -> Result<Introspection> {
    let session = client_token::session(token, call)?;
    let delegation = session.and_then(|session| session.value.delegation);
    let Some(delegation) = delegation.filter(|it| it.client_id == *client_id) else {
        return Ok(Introspection::Inactive);
    };
    if let Some(bearer) = Bearer::of(delegation.resource.as_str(), token, call)? {
        return Ok(Introspection::OfClient(Box::new(bearer.current_claims())));
    }
    let session = of_refresh_token(token, call)?;
    Ok(session.map_or(Introspection::Inactive, |session| {
        Introspection::RefreshToken(Box::new(session))
    }))
}

/// Introspects the API key that the caller authenticates with. This requires no
/// permission, and counts as a use of the key.
pub fn introspect_own_key(key: &Secret, call: &Call) -> Result<Option<KeyInfo>> {
    counted(IntrospectToken::NAME, call, |call, _| {
        let Some((own, _)) = actor::api_key(key, call)? else {
            return Ok(None);
        };
        call.record_actor(ActorId::ApiKey(own.value.key_id));
        of_api_key(key.expose(), call)
    })
}

/// The `scope` is what the key may do now, since services rely on it.
fn of_api_key(secret: &str, call: &Call) -> Result<Option<KeyInfo>> {
    let ports = &call.ports;
    let Some(key) = ApiKey::authenticate(secret, ports)? else {
        return Ok(None);
    };
    let key = key.value;
    let account = Account::find(key.user_id, ports)?;
    let Some(account) = account.filter(|account| account.value.is_active()) else {
        return Ok(None);
    };
    let granted = role::granted(&account.value.roles, ports)?;
    let effective = permission::summary(key.effective(&granted), MAX_SCOPE_BYTES);
    let scopes: Vec<&str> = effective.iter().map(Grant::as_str).collect();
    Ok(Some(KeyInfo {
        key_id: key.key_id,
        user_id: key.user_id,
        expires_at: key.expires_at,
        scope: scopes.join(" "),
    }))
}
