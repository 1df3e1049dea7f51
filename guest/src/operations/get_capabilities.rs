use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Definition, Effect, Operation, TABLE};
use crate::dispatch::schemas::{self, Schemas};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorContext;
use crate::domain::sessions::login_challenge;
use crate::domain::throttle;
use crate::error::{Kind, Result};
use crate::json;
use crate::mcp::protocol;

/// Tells in short what this service is and does: the names of its operations, the
/// policies and limits in force, its errors and the protocol versions that it speaks.
/// With `operation` it describes that one instead, with the schemas of its input and
/// output. Changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetCapabilities {
    /// The operation to describe, such as login; leave it out for the summary.
    #[serde(default)]
    pub operation: Option<String>,
}

/// What this service is and does, or one of its operations.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("type" = "object"))]
pub enum Capabilities {
    /// All of it in short.
    Summary(Box<Summary>),
    /// One operation.
    Operation(Box<OperationView>),
}

/// What this service is and does.
#[derive(Serialize, JsonSchema)]
pub struct Summary {
    /// The name of the module.
    pub module: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it is concerned with.
    pub domain: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The names of what it can do, for `invoke`, the command line and
    /// `data.operation`.
    pub operations: Vec<&'static str>,
    /// What stands before the name of an operation in that of its MCP tool.
    pub tool_prefix: &'static str,
    /// The rules in force.
    pub policies: Policies,
    /// The limits in force.
    pub limits: Limits,
    /// What can go wrong.
    pub errors: Vec<ErrorView>,
    /// The versions of MCP that it speaks, newest first.
    pub protocol_versions: Vec<&'static str>,
}

/// An operation.
#[derive(Serialize, JsonSchema)]
pub struct OperationView {
    /// Its name, for `invoke`, the command line and `data.operation`.
    pub name: &'static str,
    /// The MCP tool that runs it.
    pub tool: String,
    /// Its name for people.
    pub title: &'static str,
    /// What it does.
    pub description: String,
    /// JSON Schema of its input.
    pub input_schema: Map<String, Value>,
    /// JSON Schema of its output.
    pub output_schema: Map<String, Value>,
}

/// The rules in force.
#[derive(Serialize, JsonSchema)]
pub struct Policies {
    /// The fewest characters that a new password has.
    pub password_min_length: usize,
    /// The most bytes that a password has.
    pub password_max_bytes: usize,
    /// How passwords are hashed.
    pub password_hash: String,
    /// What there is for a second factor, for those who want one.
    pub second_factor: &'static str,
    /// How access tokens are signed.
    pub access_token_algorithm: &'static str,
    /// How long an access token is good.
    pub access_token_ttl_seconds: u64,
    /// Each refresh token is good for one use; a second use ends the session.
    pub refresh_token_rotation: bool,
    /// A session that is not refreshed for so long is over.
    pub session_idle_seconds: u64,
    /// No session outlives this.
    pub session_absolute_seconds: u64,
    /// How long a code is good that was sent to an owner.
    pub code_ttl_seconds: u64,
    /// The `iss` of access tokens.
    pub issuer: String,
    /// The `aud` of access tokens.
    pub audience: String,
    /// The services that `issue_token` gives tokens for.
    pub other_audiences: Vec<String>,
}

/// The limits in force.
#[derive(Serialize, JsonSchema)]
pub struct Limits {
    /// Failed logins for one user name from one source within the window, those
    /// under way included.
    pub login_attempts_per_username_and_source: i64,
    /// Attempts on one password, or on the codes of one app, that may follow each
    /// other without a success, of all sources together that never had one.
    pub attempts_without_success: i64,
    /// Failed logins from one source within the window.
    pub login_failures_per_source: i64,
    /// Accounts that one source may register within the window.
    pub registrations_per_source: i64,
    /// The window.
    pub login_failure_window_seconds: u64,
    /// Codes of a second factor that may be tried on one account from one source
    /// within the window, until one is right.
    pub second_factor_attempts_per_user_and_source: i64,
    /// Codes that may be tried on one challenge.
    pub codes_per_challenge: i64,
    /// How long a challenge can be answered.
    pub challenge_ttl_seconds: u64,
    /// Codes that are sent for one account, or to one address, within an hour.
    pub codes_per_account_and_hour: i64,
    /// Messages in one JSON-RPC batch.
    pub batch_messages: usize,
}

/// An error.
#[derive(Serialize, JsonSchema)]
pub struct ErrorView {
    /// Its code.
    pub code: i32,
    /// What it means.
    pub meaning: &'static str,
}

impl Operation for GetCapabilities {
    const NAME: &'static str = "get_capabilities";
    const TITLE: &'static str = "What this service can do";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Capabilities;

    fn run(self, context: &ActorContext) -> Result<Capabilities> {
        match self.operation {
            None => Ok(Capabilities::Summary(Box::new(Summary::new(context)))),
            Some(name) => describe(&name).map(|it| Capabilities::Operation(Box::new(it))),
        }
    }
}

impl Summary {
    fn new(context: &ActorContext) -> Summary {
        let settings = context.settings;
        let throttling = &settings.throttling;
        Summary {
            module: "UserAuth",
            version: env!("CARGO_PKG_VERSION"),
            domain: "authentication",
            description: "Registers users, logs them in, and tells other services whose a token is",
            operations: TABLE.iter().map(|definition| definition.name).collect(),
            tool_prefix: protocol::TOOL_PREFIX,
            policies: Policies {
                password_min_length: settings.password_min_length,
                password_max_bytes: crate::domain::credentials::password::MAX_BYTES,
                password_hash: format!(
                    "argon2id, {} KiB, {} passes",
                    settings.argon2_memory_kib, settings.argon2_iterations
                ),
                second_factor: "totp (RFC 6238: SHA-1, 6 digits, 30 seconds), recovery codes",
                access_token_algorithm: "HS256",
                access_token_ttl_seconds: settings.access_token_ttl.as_secs(),
                refresh_token_rotation: true,
                session_idle_seconds: settings.session_idle.as_secs(),
                session_absolute_seconds: settings.session_absolute.as_secs(),
                code_ttl_seconds: settings.code_ttl.as_secs(),
                issuer: settings.issuer.clone(),
                audience: settings.audience.clone(),
                other_audiences: settings.other_audiences.clone(),
            },
            limits: Limits {
                login_attempts_per_username_and_source: throttling.attempts_per_source,
                attempts_without_success: throttling.consecutive_attempts,
                login_failures_per_source: throttling.failures_per_source,
                registrations_per_source: throttling.registrations_per_source,
                login_failure_window_seconds: throttling.window.as_secs(),
                second_factor_attempts_per_user_and_source: throttling.attempts_per_source,
                codes_per_challenge: login_challenge::MAX_CODES,
                challenge_ttl_seconds: login_challenge::TTL.as_secs(),
                codes_per_account_and_hour: throttle::MAX_CODES,
                batch_messages: protocol::MAX_BATCH,
            },
            errors: Kind::ALL
                .iter()
                .map(|kind| ErrorView {
                    code: kind.code(),
                    meaning: kind.meaning(),
                })
                .collect(),
            protocol_versions: protocol::SUPPORTED_VERSIONS.to_vec(),
        }
    }
}

/// The operation of this name, or of the tool of this name.
fn describe(name: &str) -> Result<OperationView> {
    let own = name.strip_prefix(protocol::TOOL_PREFIX).unwrap_or(name);
    let Some(definition) = super::find(own) else {
        return Err(super::unknown(name));
    };
    Ok(OperationView::new(definition, schemas::of(own)))
}

/// All operations, as `auth.operations` lists them: what is secret in an input has
/// there the format `password`, for programs that ask people for it.
pub fn operations() -> Vec<OperationView> {
    TABLE
        .iter()
        .zip(schemas::all())
        .map(|(definition, mut schemas)| {
            schemas.mark_secrets(definition.name);
            OperationView::new(definition, schemas)
        })
        .collect()
}

impl OperationView {
    fn new(definition: &Definition, schemas: Schemas) -> OperationView {
        let fields = |schema: Value| json::into_fields(schema).unwrap_or_default();
        OperationView {
            name: definition.name,
            tool: protocol::tool_name(definition.name),
            title: definition.title,
            description: schemas.description().to_owned(),
            input_schema: fields(schemas.input),
            output_schema: fields(schemas.output),
        }
    }
}
