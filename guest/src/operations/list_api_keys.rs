use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::create_api_key::{is_in_reach, require_owner_governed};
use super::{Effect, Operation, Toolset};
use crate::dispatch::target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{API_KEYS_WRITE, Grant};
use crate::domain::accounts::username::Username;
use crate::domain::credentials::api_key::{self, ApiKey};
use crate::domain::display_text::DisplayText;
use crate::error::Result;
use crate::types::id::Id;

/// Lists the API keys of an account, including expired ones, without the keys themselves.
///
/// The caller's own keys require a session. Those of another account require
/// `user-auth:api-keys:write`, and the account must not have permissions that the caller
/// lacks. An API key sees itself and those keys of its account that it could create.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListApiKeys {
    /// The account whose keys to list, by id; the caller's own by default.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The account whose keys to list, by user name; the caller's own by default.
    #[serde(default)]
    pub username: Option<Username>,
}

/// The API keys of an account.
#[derive(Serialize, JsonSchema)]
pub struct ApiKeys {
    /// The keys in no particular order, at most 100.
    pub api_keys: Vec<ApiKeyView>,
}

/// An API key as its owner sees it. Times are in RFC 3339.
#[derive(Serialize, JsonSchema)]
pub struct ApiKeyView {
    /// The id of the key, which is not secret.
    pub key_id: Id,
    /// The name of the key.
    pub name: DisplayText,
    /// The most that the key may do.
    pub scopes: Vec<Grant>,
    /// The time at which it was created or last rotated.
    pub created_at: String,
    /// The time at which it expires; absent if it does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The time of its last use, to the minute; absent if it was never used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
}

impl Operation for ListApiKeys {
    const NAME: &'static str = "list_api_keys";
    const TITLE: &'static str = "List API keys";
    const TOOLSET: Option<Toolset> = Some(Toolset::Keys);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::SessionOr(API_KEYS_WRITE);
    type Output = ApiKeys;

    fn run(self, call: &ActorCall) -> Result<ApiKeys> {
        let ports = &call.ports;
        let username = self.username.as_ref();
        let user_id = target::subject(self.user_id, username, API_KEYS_WRITE, call)?;
        let account = Account::find(user_id, ports)?;
        if let Some(account) = &account {
            require_owner_governed(&account.value, call)?;
        }
        let mut api_keys = Vec::new();
        for key in api_key::all_of(user_id, ports)? {
            if is_in_reach(&key.value, call)? {
                api_keys.push(ApiKeyView::from(key.value));
            }
        }
        Ok(ApiKeys { api_keys })
    }
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> ApiKeyView {
        ApiKeyView {
            key_id: key.key_id,
            name: key.name,
            scopes: key.scopes.into(),
            created_at: key.created_at.to_rfc3339(),
            expires_at: key.expires_at.map(|moment| moment.to_rfc3339()),
            last_used_at: key.last_used_at.map(|moment| moment.to_rfc3339()),
        }
    }
}
