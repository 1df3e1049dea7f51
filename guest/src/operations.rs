//! The operations of the service.
//!
//! Each operation is one file with its documentation, its input (the struct itself), its
//! output and its `run`. The MCP tool with its description and JSON Schemas, the typed
//! calls and `invoke` of `wit/auth.wit`, the CLI subcommand and the list of capabilities
//! are all derived from it. The documentation of the struct and its fields is what
//! language models read. To add an operation, add its file, its `mod` and its line in
//! [`TABLE`].

mod assign_role;
mod begin_sign_in;
mod change_password;
mod check_permission;
mod complete_login;
mod complete_sign_in;
mod confirm_email;
mod confirm_password_reset;
mod confirm_totp;
mod create_api_key;
mod create_client;
mod create_recovery_codes;
mod create_service_account;
mod define_resource;
mod define_role;
mod delete_client;
mod delete_resource;
mod delete_role;
mod delete_user;
mod disable_totp;
mod disable_user;
mod enable_user;
mod enroll_totp;
mod execute_primary_operation;
mod explain_permissions;
mod force_password_reset;
mod get_capabilities;
mod get_session;
mod get_user;
mod import_users;
mod introspect_token;
mod issue_token;
mod list_api_keys;
mod list_clients;
mod list_grants;
mod list_resources;
mod list_roles;
mod list_sessions;
mod list_signing_keys;
mod list_users;
mod login;
mod logout;
mod query_audit;
mod refresh_token;
mod register;
mod request_email_change;
mod request_email_verification;
mod request_password_reset;
mod reset_second_factor;
mod revoke_api_key;
mod revoke_grant;
mod revoke_other_sessions;
mod revoke_role;
mod revoke_session;
mod revoke_token;
mod revoke_user_sessions;
mod rotate_api_key;
mod rotate_client_secret;
mod rotate_signing_key;
mod unlock_user;
mod update_client;
mod verify_audit_chain;
mod verify_token;

pub use assign_role::AssignRole;
pub use begin_sign_in::{BeginSignIn, begun};
pub use change_password::ChangePassword;
pub use check_permission::{CheckPermission, Decision};
pub use complete_login::CompleteLogin;
pub use complete_sign_in::CompleteSignIn;
pub use confirm_email::ConfirmEmail;
pub use confirm_password_reset::ConfirmPasswordReset;
pub use confirm_totp::ConfirmTotp;
pub use create_api_key::{CreateApiKey, NewApiKey};
pub use create_client::CreateClient;
pub use create_recovery_codes::CreateRecoveryCodes;
pub use create_service_account::CreateServiceAccount;
pub use define_resource::DefineResource;
pub use define_role::DefineRole;
pub use delete_client::DeleteClient;
pub use delete_resource::DeleteResource;
pub use delete_role::DeleteRole;
pub use delete_user::DeleteUser;
pub use disable_totp::DisableTotp;
pub use disable_user::DisableUser;
pub use enable_user::EnableUser;
pub use enroll_totp::EnrollTotp;
pub use execute_primary_operation::ExecutePrimaryOperation;
pub use explain_permissions::ExplainPermissions;
pub use force_password_reset::ForcePasswordReset;
pub use get_capabilities::{GetCapabilities, operations};
pub use get_session::{GetSession, SessionView};
pub use get_user::{GetUser, UserView};
pub use import_users::ImportUsers;
pub use introspect_token::{IntrospectToken, introspect_for_client, introspect_own_key};
pub use issue_token::IssueToken;
pub use list_api_keys::ListApiKeys;
pub use list_clients::ListClients;
pub use list_grants::{GrantView, ListGrants};
pub use list_resources::ListResources;
pub use list_roles::ListRoles;
pub use list_sessions::ListSessions;
pub use list_signing_keys::ListSigningKeys;
pub use list_users::ListUsers;
pub use login::{Login, LoginOutcome, Tokens};
pub use logout::Logout;
pub use query_audit::QueryAudit;
pub use refresh_token::RefreshToken;
pub use register::{Register, Registered};
pub use request_email_change::RequestEmailChange;
pub use request_email_verification::RequestEmailVerification;
pub use request_password_reset::RequestPasswordReset;
pub use reset_second_factor::ResetSecondFactor;
pub use revoke_api_key::RevokeApiKey;
pub use revoke_grant::RevokeGrant;
pub use revoke_other_sessions::RevokeOtherSessions;
pub use revoke_role::RevokeRole;
pub use revoke_session::RevokeSession;
pub use revoke_token::RevokeToken;
pub use revoke_user_sessions::RevokeUserSessions;
pub use rotate_api_key::RotateApiKey;
pub use rotate_client_secret::RotateClientSecret;
pub use rotate_signing_key::RotateSigningKey;
pub use unlock_user::UnlockUser;
pub use update_client::UpdateClient;
pub use verify_audit_chain::VerifyAuditChain;
pub use verify_token::{Verification, VerifyToken};

pub use crate::dispatch::call::call;
pub use crate::dispatch::definition::Definition;
pub use crate::dispatch::operation::{Effect, Operation};
pub use crate::domain::access::toolset::{Offer, Toolset, Withheld};

use crate::dispatch::definition::define;
use crate::dispatch::input::shortened;
use crate::domain::call::Call;
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::json::{JsonText, Node};

/// All operations, in the order in which they are listed. The first one changes nothing
/// and needs no input, because some clients try the first tool.
pub static TABLE: &[Definition] = &[
    define::<GetCapabilities>(),
    define::<ExecutePrimaryOperation>(),
    define::<Register>(),
    define::<Login>(),
    define::<CompleteLogin>(),
    define::<BeginSignIn>(),
    define::<CompleteSignIn>(),
    define::<VerifyToken>(),
    define::<RefreshToken>(),
    define::<Logout>(),
    define::<GetSession>(),
    define::<ListSessions>(),
    define::<RevokeSession>(),
    define::<RevokeOtherSessions>(),
    define::<ListGrants>(),
    define::<RevokeGrant>(),
    define::<ChangePassword>(),
    define::<EnrollTotp>(),
    define::<ConfirmTotp>(),
    define::<DisableTotp>(),
    define::<CreateRecoveryCodes>(),
    define::<RequestPasswordReset>(),
    define::<ConfirmPasswordReset>(),
    define::<RequestEmailVerification>(),
    define::<RequestEmailChange>(),
    define::<ConfirmEmail>(),
    define::<DefineRole>(),
    define::<ListRoles>(),
    define::<DeleteRole>(),
    define::<AssignRole>(),
    define::<RevokeRole>(),
    define::<CheckPermission>(),
    define::<ExplainPermissions>(),
    define::<ListUsers>(),
    define::<GetUser>(),
    define::<DisableUser>(),
    define::<EnableUser>(),
    define::<UnlockUser>(),
    define::<RevokeUserSessions>(),
    define::<ResetSecondFactor>(),
    define::<DeleteUser>(),
    define::<ImportUsers>(),
    define::<ForcePasswordReset>(),
    define::<CreateServiceAccount>(),
    define::<CreateApiKey>(),
    define::<ListApiKeys>(),
    define::<RotateApiKey>(),
    define::<RevokeApiKey>(),
    define::<CreateClient>(),
    define::<ListClients>(),
    define::<UpdateClient>(),
    define::<RotateClientSecret>(),
    define::<DeleteClient>(),
    define::<DefineResource>(),
    define::<ListResources>(),
    define::<DeleteResource>(),
    define::<IssueToken>(),
    define::<IntrospectToken>(),
    define::<RevokeToken>(),
    define::<ListSigningKeys>(),
    define::<RotateSigningKey>(),
    define::<QueryAudit>(),
    define::<VerifyAuditChain>(),
];

/// Returns the operation with this name.
pub fn find(name: &str) -> Option<&'static Definition> {
    TABLE.iter().find(|definition| definition.name == name)
}

/// Why an operation cannot be called by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is none with this name.
    Unknown,
    /// There is one, but it is not offered.
    Withheld(Withheld),
}

/// Returns the operation with this name if it is offered.
pub fn offered(name: &str, offer: Offer) -> std::result::Result<&'static Definition, Missing> {
    let definition = find(name).ok_or(Missing::Unknown)?;
    match definition.withheld(offer) {
        None => Ok(definition),
        Some(withheld) => Err(Missing::Withheld(withheld)),
    }
}

/// Returns the names of the operations that are offered.
pub fn names(offer: Offer) -> impl Iterator<Item = &'static str> {
    let offered = TABLE.iter().filter(move |it| it.withheld(offer).is_none());
    offered.map(|definition| definition.name)
}

impl Missing {
    /// Adds the reason to the beginning of an error message.
    pub fn explain(self, message: &str) -> String {
        match self {
            Missing::Unknown => message.to_owned(),
            Missing::Withheld(withheld) => format!("{message}: {}", withheld.problem()),
        }
    }

    /// Returns what can be done about it, if that is more than to use another name.
    pub fn action(self) -> Option<String> {
        match self {
            Missing::Unknown => None,
            Missing::Withheld(withheld) => Some(withheld.action()),
        }
    }
}

/// Runs the operation with this name.
///
/// Fails with -32000 if no such operation is offered or if the input does not fit it; the
/// error then lists the problem of each field.
pub fn invoke(name: &str, input: Node, call: &Call) -> Result<JsonText> {
    match offered(name, call.offer) {
        Ok(definition) => (definition.invoke)(input, call),
        Err(missing) => Err(unknown(name, missing, call.offer)),
    }
}

/// Returns the error for the name of an operation that cannot be called.
pub fn unknown(name: &str, missing: Missing, offer: Offer) -> AuthError {
    let message = missing.explain("Unknown operation");
    let error = AuthError::new(ErrorKind::Application, message)
        .because(Cause::UnknownOperation)
        .detail("operation", shortened(name))
        .detail("known_operations", names(offer).collect::<Vec<_>>());
    match missing.action() {
        None => error,
        Some(action) => error.detail("action", action),
    }
}
