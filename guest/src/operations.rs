//! The operations: the unit of the system.
//!
//! Each is one file with its documentation, its input (the struct itself), its
//! output and its `run`. The MCP tool with its description and JSON Schemas, the
//! typed and the `invoke` call of `wit/auth.wit`, the CLI subcommand and the
//! listing of capabilities are all made of that. To add an operation, add its
//! file, its `mod` and its line in [`TABLE`].

mod assign_role;
mod change_password;
mod check_permission;
mod complete_login;
mod confirm_email;
mod confirm_password_reset;
mod confirm_totp;
mod create_api_key;
mod create_recovery_codes;
mod create_service_account;
mod define_role;
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
mod revoke_other_sessions;
mod revoke_role;
mod revoke_session;
mod revoke_token;
mod revoke_user_sessions;
mod rotate_api_key;
mod rotate_signing_key;
mod unlock_user;
mod verify_audit_chain;
mod verify_token;

use std::rc::Rc;

use schemars::JsonSchema;
#[cfg(test)]
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use assign_role::AssignRole;
pub use change_password::ChangePassword;
pub use check_permission::{CheckPermission, Decision};
pub use complete_login::CompleteLogin;
pub use confirm_email::ConfirmEmail;
pub use confirm_password_reset::ConfirmPasswordReset;
pub use confirm_totp::ConfirmTotp;
pub use create_api_key::{CreateApiKey, NewApiKey};
pub use create_recovery_codes::CreateRecoveryCodes;
pub use create_service_account::CreateServiceAccount;
pub use define_role::DefineRole;
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
pub use introspect_token::{IntrospectToken, introspect_own_key};
pub use issue_token::IssueToken;
pub use list_api_keys::ListApiKeys;
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
pub use revoke_other_sessions::RevokeOtherSessions;
pub use revoke_role::RevokeRole;
pub use revoke_session::RevokeSession;
pub use revoke_token::RevokeToken;
pub use revoke_user_sessions::RevokeUserSessions;
pub use rotate_api_key::RotateApiKey;
pub use rotate_signing_key::RotateSigningKey;
pub use unlock_user::UnlockUser;
pub use verify_audit_chain::VerifyAuditChain;
pub use verify_token::{Verification, VerifyToken};

use crate::dispatch::{input, redact, schemas};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorContext};
use crate::domain::context::Context;
use crate::domain::trail::Trail;
use crate::error::{AuthError, Kind, Result};
use crate::ports::Ended;

/// All operations, in the order in which they are listed. The first one has no
/// effect and needs no input: some clients try what comes first.
pub static TABLE: &[Definition] = &[
    define::<GetCapabilities>(),
    define::<ExecutePrimaryOperation>(),
    define::<Register>(),
    define::<Login>(),
    define::<CompleteLogin>(),
    define::<VerifyToken>(),
    define::<RefreshToken>(),
    define::<Logout>(),
    define::<GetSession>(),
    define::<ListSessions>(),
    define::<RevokeSession>(),
    define::<RevokeOtherSessions>(),
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
    define::<IssueToken>(),
    define::<IntrospectToken>(),
    define::<RevokeToken>(),
    define::<ListSigningKeys>(),
    define::<RotateSigningKey>(),
    define::<QueryAudit>(),
    define::<VerifyAuditChain>(),
];

/// One operation. The type itself is its input.
pub trait Operation: DeserializeOwned + JsonSchema {
    /// Its name: `user-auth_<name>` is the tool.
    const NAME: &'static str;
    /// Its name for people.
    const TITLE: &'static str;
    /// What it does to the world.
    const EFFECT: Effect;
    /// What it requires of its caller.
    const REQUIRES: Requirement;
    /// What it gives.
    type Output: Serialize + JsonSchema;

    /// Does it.
    fn run(self, context: &ActorContext) -> Result<Self::Output>;
}

/// What an operation does to the world: the hints of an MCP tool. An operation is
/// called destructive if it ends or replaces something, or lets an account or a key do
/// more than before: a client should ask its user first. No operation reaches beyond
/// this service and the owners of its accounts (`openWorldHint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing.
    Reads,
    /// It adds something at each call, and no account or key can do more than before.
    Adds,
    /// It lets an account do more than before, or makes a credential that acts for one.
    Widens,
    /// It ends or replaces something, each time anew.
    Replaces,
    /// It ends something; doing so twice is doing so once.
    Ends,
}

impl Effect {
    /// As the annotations of an MCP tool.
    pub fn annotations(self, title: &str) -> Value {
        json!({
            "title": title,
            "readOnlyHint": self == Effect::Reads,
            "destructiveHint": !matches!(self, Effect::Reads | Effect::Adds),
            "idempotentHint": matches!(self, Effect::Reads | Effect::Ends),
            "openWorldHint": false,
        })
    }
}

/// An operation as a value.
pub struct Definition {
    /// [`Operation::NAME`]
    pub name: &'static str,
    /// [`Operation::TITLE`]
    pub title: &'static str,
    /// [`Operation::EFFECT`]
    pub effect: Effect,
    /// The schemas of input and output, made of the types.
    #[cfg(test)]
    pub(crate) schemas: fn() -> (Value, Value),
    /// [`Operation::REQUIRES`]
    pub requires: Requirement,
    /// Runs it on an input that is yet to be parsed.
    pub invoke: fn(Value, &Context) -> Result<Value>,
}

#[cfg(test)]
impl Definition {
    /// JSON Schema (2020-12) of the input, with what is secret in it.
    pub fn input_schema(&self) -> Value {
        (self.schemas)().0
    }

    /// JSON Schema (2020-12) of the output.
    pub fn output_schema(&self) -> Value {
        (self.schemas)().1
    }
}

const fn define<O: Operation>() -> Definition {
    Definition {
        name: O::NAME,
        title: O::TITLE,
        effect: O::EFFECT,
        #[cfg(test)]
        schemas: || {
            let output = SchemaSettings::draft2020_12().for_serialize();
            (input_schema::<O>(), schema::<O::Output>(output))
        },
        requires: O::REQUIRES,
        invoke: invoke_one::<O>,
    }
}

/// The operation of this name.
pub fn find(name: &str) -> Option<&'static Definition> {
    TABLE.iter().find(|definition| definition.name == name)
}

/// Runs the operation of this name.
///
/// Fails with -32000 when there is none, or when the input does not fit it, and
/// says field by field what is wrong.
pub fn invoke(name: &str, input: Value, context: &Context) -> Result<Value> {
    match find(name) {
        Some(definition) => (definition.invoke)(input, context),
        None => Err(unknown(name)),
    }
}

/// Runs an operation, if the caller may, and counts it. `input` is what it was called
/// with, for the audit log; secrets are best left out.
pub fn call<O: Operation>(operation: O, input: &Value, context: &Context) -> Result<O::Output> {
    counted(O::NAME, context, |context| {
        let trail = &context.trail;
        trail.took(shown(input, O::NAME, trail));
        let output = authorized(operation, context)?;
        if trail.is_wanted() {
            trail.names(&serde_json::to_value(&output).unwrap_or_default());
        }
        Ok(output)
    })
}

/// The error for a name that no operation has.
pub fn unknown(name: &str) -> AuthError {
    let known: Vec<&str> = TABLE.iter().map(|definition| definition.name).collect();
    AuthError::new(Kind::Application, "Unknown operation")
        .detail("operation", shortened(name))
        .detail("known_operations", known)
}

fn invoke_one<O: Operation>(input: Value, context: &Context) -> Result<Value> {
    invoke_any(O::NAME, O::REQUIRES, input, context, run_one::<O>)
}

/// What is the same for all operations is not made once more for each: `run` is all
/// that differs. It is told what of the input may be shown.
fn invoke_any(
    name: &'static str,
    requires: Requirement,
    mut input: Value,
    context: &Context,
    run: fn(Value, Option<String>, &Context) -> Result<Value>,
) -> Result<Value> {
    counted(name, context, |context| {
        let caller = input::take_caller(requires, &mut input, context.caller)?;
        let context = Context {
            caller: caller.as_ref().unwrap_or(context.caller),
            ..context.clone()
        };
        let trail = &context.trail;
        trail.shown(context.caller.principal.credential());
        let shown = shown(&input, name, trail);
        let output = run(input, shown, &context)?;
        trail.names(&output);
        Ok(output)
    })
}

fn run_one<O: Operation>(input: Value, shown: Option<String>, context: &Context) -> Result<Value> {
    let operation = input::parse::<O>(input)?;
    // Where fields are wrong, a secret may stand in one that is for none.
    context.trail.took(shown);
    let output = authorized(operation, context)?;
    // Outputs are plain structs, which JSON can always say.
    Ok(serde_json::to_value(output).unwrap_or_default())
}

fn authorized<O: Operation>(operation: O, context: &Context) -> Result<O::Output> {
    operation.run(&authority::authorize(O::REQUIRES, context)?)
}

fn counted<T>(
    name: &'static str,
    context: &Context,
    run: impl FnOnce(&Context) -> Result<T>,
) -> Result<T> {
    let call = Counted::begin(name, context);
    let result = run(&call.context).map_err(|error| error.during(name));
    call.end(result.as_ref().err().map(|error| error.kind.code()));
    result
}

/// One call of an operation, from its beginning to its end.
struct Counted<'a> {
    name: &'static str,
    began_us: u64,
    context: Context<'a>,
}

impl<'a> Counted<'a> {
    fn begin(name: &'static str, context: &Context<'a>) -> Counted<'a> {
        let ports = context.ports;
        let trail = Trail::new(ports.telemetry.operation_began(name));
        trail.shown(context.caller.principal.credential());
        Counted {
            name,
            began_us: ports.clock.monotonic_us(),
            context: Context {
                trail: Rc::new(trail),
                ..context.clone()
            },
        }
    }

    fn end(&self, code: Option<i32>) {
        let Context { ports, trail, .. } = &self.context;
        ports.telemetry.operation_ended(&Ended {
            operation: self.name,
            code,
            duration_us: ports.clock.monotonic_us().saturating_sub(self.began_us),
            audit: trail.is_wanted().then(|| trail.audit()),
        });
    }
}

fn shown(input: &Value, operation: &str, trail: &Trail) -> Option<String> {
    // The schema is costly to read.
    let is_wanted = trail.is_wanted();
    is_wanted.then(|| redact::of(input, &schemas::shape(operation)))?
}

/// What an operation takes: its own fields, and where it requires a caller a
/// field to say who that is, for clients that cannot set headers.
#[cfg(test)]
fn input_schema<O: Operation>() -> Value {
    let mut schema = schema::<O>(SchemaSettings::draft2020_12());
    if O::REQUIRES != Requirement::Nothing {
        schema["properties"][input::CALLER] = json!({
            "type": "string",
            "format": "password",
            "description": "The access token of who calls; leave it out where a header says so.",
        });
    }
    schema
}

/// With all types in place, for clients that do not follow references.
#[cfg(test)]
fn schema<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let settings = settings.with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}

/// Enough of what somebody sent to recognise it.
pub fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
