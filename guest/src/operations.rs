//! The operations of the service.
//!
//! Each operation is one file with its documentation, its input (the struct itself), its
//! output and its `run`. The MCP tool with its description and JSON Schemas, the typed
//! calls and `invoke` of `wit/auth.wit`, the CLI subcommand and the list of capabilities
//! are all derived from it. The documentation of the struct and its fields is what
//! language models read. To add an operation, add its file, its `mod` and its line in
//! [`TABLE`].

mod assign_role;
mod audited;
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
mod input;
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
pub mod schemas;
mod shown;
mod target;
mod unlock_user;
mod verify_audit_chain;
mod verify_token;

use std::rc::Rc;

use schemars::JsonSchema;
#[cfg(test)]
use schemars::Schema;
#[cfg(test)]
use schemars::generate::SchemaSettings;
#[cfg(test)]
use schemars::transform::RecursiveTransform;
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

use crate::domain::actor::Requirement;
use crate::domain::authority;
use crate::domain::context::Context;
use crate::domain::trail::Trail;
use crate::error::{AuthError, Kind, Result};
use crate::ports::Ended;

/// All operations, in the order in which they are listed. The first one changes nothing
/// and needs no input, because some clients try the first tool.
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

/// An operation. The implementing type is its input.
pub trait Operation: DeserializeOwned + JsonSchema {
    /// The name; the MCP tool is `user-auth_<name>`.
    const NAME: &'static str;
    /// The name for people.
    const TITLE: &'static str;
    /// The effect on stored data.
    const EFFECT: Effect;
    /// The requirement on the caller.
    const REQUIRES: Requirement;
    /// The output.
    type Output: Serialize + JsonSchema;

    /// Runs the operation.
    fn run(self, context: &Context) -> Result<Self::Output>;
}

/// Effect of an operation, from which the hints of its MCP tool are derived. An operation
/// is destructive if it ends or replaces something, or lets an account or a key do more
/// than before: clients should ask their user first. No operation reaches beyond this
/// service and the owners of its accounts (`openWorldHint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    Reads,
    /// Adds something on every call, without letting any account or key do more than
    /// before.
    Adds,
    /// Lets an account do more than before, or creates a credential that acts for an
    /// account.
    Widens,
    /// Ends or replaces something on every call.
    Replaces,
    /// Ends something; repeating the call has no further effect.
    Ends,
}

impl Effect {
    /// Returns the annotations of the MCP tool.
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

/// An operation as an entry of [`TABLE`].
pub struct Definition {
    /// [`Operation::NAME`]
    pub name: &'static str,
    /// [`Operation::TITLE`]
    pub title: &'static str,
    /// [`Operation::EFFECT`]
    pub effect: Effect,
    /// Generates the schemas of input and output from the types.
    #[cfg(test)]
    schemas: fn() -> (Value, Value),
    /// [`Operation::REQUIRES`]
    pub requires: Requirement,
    /// Parses an input and runs the operation on it.
    pub invoke: fn(Value, &Context) -> Result<Value>,
}

#[cfg(test)]
impl Definition {
    /// Returns the JSON Schema (2020-12) of the input, including which fields are secret.
    pub fn input_schema(&self) -> Value {
        (self.schemas)().0
    }

    /// Returns the JSON Schema (2020-12) of the output.
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

/// Returns the operation with this name.
pub fn find(name: &str) -> Option<&'static Definition> {
    TABLE.iter().find(|definition| definition.name == name)
}

/// Runs the operation with this name.
///
/// Fails with -32000 if there is no such operation or if the input does not fit it; the
/// error then lists the problem of each field.
pub fn invoke(name: &str, input: Value, context: &Context) -> Result<Value> {
    match find(name) {
        Some(definition) => (definition.invoke)(input, context),
        None => Err(unknown(name)),
    }
}

/// Runs an operation if the caller may, and records the call. `input` is the input for
/// the audit log; it need not contain secrets.
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

/// Returns the error for an unknown operation name.
pub fn unknown(name: &str) -> AuthError {
    let known: Vec<&str> = TABLE.iter().map(|definition| definition.name).collect();
    AuthError::new(Kind::Application, "Unknown operation")
        .detail("operation", shortened(name))
        .detail("known_operations", known)
}

fn invoke_one<O: Operation>(input: Value, context: &Context) -> Result<Value> {
    invoke_any(O::NAME, O::REQUIRES, input, context, run_one::<O>)
}

/// Does everything that is the same for all operations, so that it is compiled only once;
/// `run` is the rest. It receives the part of the input that the audit log may show.
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
        trail.shown(&context.caller.principal);
        let shown = shown(&input, name, trail);
        let output = run(input, shown, &context)?;
        trail.names(&output);
        Ok(output)
    })
}

fn run_one<O: Operation>(input: Value, shown: Option<String>, context: &Context) -> Result<Value> {
    let operation = input::parse::<O>(input)?;
    // Recorded only once all fields are valid: in an invalid input, a secret may stand in
    // the wrong field.
    context.trail.took(shown);
    let output = authorized(operation, context)?;
    // Outputs are plain structs, which always serialize.
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

/// One call of an operation, measured from begin to end.
struct Counted<'a> {
    name: &'static str,
    began_us: u64,
    context: Context<'a>,
}

impl<'a> Counted<'a> {
    fn begin(name: &'static str, context: &Context<'a>) -> Counted<'a> {
        let ports = context.ports;
        let trail = Trail::new(ports.telemetry.operation_began(name));
        trail.shown(&context.caller.principal);
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
    // Reading the schema is expensive.
    let is_wanted = trail.is_wanted();
    is_wanted.then(|| shown::of(input, &schemas::shape(operation)))?
}

/// Returns the schema of an input: the operation's own fields and, if it requires a
/// caller, the field for the access token, for clients that cannot set headers.
#[cfg(test)]
fn input_schema<O: Operation>() -> Value {
    let mut schema = schema::<O>(SchemaSettings::draft2020_12());
    if O::REQUIRES != Requirement::Nothing {
        schema["properties"][input::CALLER] = json!({
            "type": "string",
            "format": "password",
            "description": "The caller's access token; leave it out if it is in the Authorization \
                header.",
        });
    }
    schema
}

/// Returns a schema with all types inlined, for clients that do not follow references.
/// Doc comments are wrapped, but descriptions are not: their lines are joined.
#[cfg(test)]
fn schema<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let join_lines = |schema: &mut Schema| {
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
    };
    let settings = settings
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(RecursiveTransform(join_lines));
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}

/// Returns the beginning of a caller's text, long enough to recognise it.
pub fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
