use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Definition, Effect, Offer, Operation, TABLE, Toolset};
use crate::dispatch::offered::Offered;
use crate::dispatch::schemas::{self, Schemas};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::sessions::login_challenge;
use crate::domain::throttle;
use crate::error::{ErrorCode, Result};
use crate::mcp::protocol;

/// Returns a summary of this service: the operations that you have, by toolset, the policies
/// and limits in force, error codes and protocol versions. With `operation`, it instead
/// returns the description and schemas of that operation. Changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetCapabilities {
    /// The operation to describe, such as `login`; leave it out for the summary.
    #[serde(default)]
    pub operation: Option<String>,
}

/// The summary of this service, or the description of one operation.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("type" = "object"))]
pub enum Capabilities {
    /// The summary of this service.
    Summary(Box<Summary>),
    /// The description of one operation.
    Operation(Box<OperationView>),
}

/// The summary of this service.
#[derive(Serialize, JsonSchema)]
pub struct Summary {
    /// The name of the module.
    pub module: &'static str,
    /// The version of the module.
    pub version: &'static str,
    /// The subject of the module.
    pub domain: &'static str,
    /// The purpose of the module.
    pub description: &'static str,
    /// The names of the operations that the caller has, for `invoke`, the command line and
    /// `data.operation`.
    pub operations: Vec<&'static str>,
    /// The same names by toolset, without those that are always there.
    pub toolsets: Map<String, Value>,
    /// The toolsets that are not switched on.
    pub toolsets_off: Vec<&'static str>,
    /// Whether only operations are there that change nothing.
    pub read_only: bool,
    /// The prefix that turns the name of an operation into that of its MCP tool.
    pub tool_prefix: &'static str,
    /// The policies in force.
    pub policies: Policies,
    /// The limits in force.
    pub limits: Limits,
    /// The error codes.
    pub errors: Vec<ErrorView>,
    /// The supported versions of MCP, newest first.
    pub protocol_versions: Vec<&'static str>,
}

/// The description of an operation.
#[derive(Serialize, JsonSchema)]
pub struct OperationView {
    /// The name, for `invoke`, the command line and `data.operation`.
    pub name: &'static str,
    /// The MCP tool that runs it.
    pub tool: String,
    /// The name for people.
    pub title: &'static str,
    /// The description of its MCP tool.
    pub description: String,
    /// The JSON Schema of its input.
    pub input_schema: Map<String, Value>,
    /// The JSON Schema of its output.
    pub output_schema: Map<String, Value>,
}

/// The policies in force.
#[derive(Serialize, JsonSchema)]
pub struct Policies {
    /// The minimum length of a new password, in characters.
    pub password_min_length: usize,
    /// The maximum length of a password, in bytes.
    pub password_max_bytes: usize,
    /// The algorithm and parameters of password hashes.
    pub password_hash: String,
    /// The optional second factors.
    pub second_factor: &'static str,
    /// The signature algorithm of access tokens.
    pub access_token_algorithm: &'static str,
    /// The lifetime of an access token.
    pub access_token_ttl_seconds: u64,
    /// Whether each use of a refresh token replaces it; its use after the grace ends the
    /// session.
    pub refresh_token_rotation: bool,
    /// How long a replaced refresh token still returns the same new one.
    pub refresh_grace_seconds: u64,
    /// A session ends if it is not refreshed for this long.
    pub session_idle_seconds: u64,
    /// The maximum lifetime of a session.
    pub session_absolute_seconds: u64,
    /// The lifetime of a code sent to an owner.
    pub code_ttl_seconds: u64,
    /// The `iss` of access tokens.
    pub issuer: String,
    /// The `aud` of access tokens.
    pub audience: String,
    /// The services that `issue_token` issues tokens for.
    pub other_audiences: Vec<String>,
}

/// The limits in force.
#[derive(Serialize, JsonSchema)]
pub struct Limits {
    /// Failed logins for one user name from one source per window, including logins in
    /// progress.
    pub login_attempts_per_username_and_source: i64,
    /// Consecutive attempts on one password, or on the codes of one app, without a
    /// success, by all sources together that have never succeeded.
    pub attempts_without_success: i64,
    /// Failed logins from one source per window.
    pub login_failures_per_source: i64,
    /// Accounts that one source may register per window.
    pub registrations_per_source: i64,
    /// The length of the window.
    pub login_failure_window_seconds: u64,
    /// Codes of a second factor that one source may try on one account per window, until
    /// one is correct.
    pub second_factor_attempts_per_user_and_source: i64,
    /// Codes that may be tried on one challenge.
    pub codes_per_challenge: i64,
    /// The lifetime of a challenge.
    pub challenge_ttl_seconds: u64,
    /// Codes sent for one account, or to one address, per hour.
    pub codes_per_account_and_hour: i64,
    /// Messages in one JSON-RPC batch.
    pub batch_messages: usize,
}

/// An error code.
#[derive(Serialize, JsonSchema)]
pub struct ErrorView {
    /// The code.
    pub code: i32,
    /// The meaning of the code.
    pub meaning: &'static str,
}

impl Operation for GetCapabilities {
    const NAME: &'static str = "get_capabilities";
    const TITLE: &'static str = "Describe this service";
    const TOOLSET: Option<Toolset> = None;
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Nothing;
    type Output = Capabilities;

    fn run(self, call: &ActorCall) -> Result<Capabilities> {
        match self.operation {
            None => Ok(Capabilities::Summary(Box::new(Summary::new(call)?))),
            Some(name) => {
                describe(&name, call.offer).map(|it| Capabilities::Operation(Box::new(it)))
            }
        }
    }
}

impl Summary {
    fn new(call: &ActorCall) -> Result<Summary> {
        let offered = Offered::to(call)?;
        let mut operations = Vec::new();
        let mut toolsets = Map::new();
        for definition in TABLE {
            if !offered.has(definition)? {
                continue;
            }
            operations.push(definition.name);
            if let Some(toolset) = definition.toolset {
                let names = toolsets.entry(toolset.name());
                let names = names.or_insert_with(|| Value::Array(Vec::new()));
                names
                    .as_array_mut()
                    .into_iter()
                    .for_each(|names| names.push(definition.name.into()));
            }
        }
        let off = Toolset::ALL.into_iter();
        let off = off.filter(|toolset| !call.offer.toolsets.contains(*toolset));
        let settings = call.settings;
        let throttling = &settings.throttling;
        Ok(Summary {
            module: "UserAuth",
            version: env!("CARGO_PKG_VERSION"),
            domain: "authentication",
            description: "Registers users, logs them in, and lets other services verify who a \
                token belongs to",
            operations,
            toolsets,
            toolsets_off: off.map(Toolset::name).collect(),
            read_only: call.offer.read_only,
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
                refresh_grace_seconds: settings.refresh_grace.as_secs(),
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
            errors: ErrorCode::ALL
                .iter()
                .map(|kind| ErrorView {
                    code: kind.code(),
                    meaning: kind.meaning(),
                })
                .collect(),
            protocol_versions: protocol::SUPPORTED_VERSIONS.to_vec(),
        })
    }
}

/// Describes the operation with this name, or with this tool name, if it is offered.
fn describe(name: &str, offer: Offer) -> Result<OperationView> {
    let own = name.strip_prefix(protocol::TOOL_PREFIX).unwrap_or(name);
    let definition = super::offered(own, offer);
    let definition = definition.map_err(|missing| super::unknown(name, missing, offer))?;
    let schemas = schemas::of(own);
    Ok(OperationView::new(
        definition,
        schemas,
        schemas.input.value(),
    ))
}

/// Returns all operations as `auth.operations` lists them: secret inputs have the format
/// `password`, for programs that ask people for them.
pub fn operations() -> Vec<OperationView> {
    TABLE
        .iter()
        .zip(schemas::all())
        .map(|(definition, schemas)| {
            let mut input = schemas.input.value();
            schemas::mark_secrets(&mut input, definition.name);
            OperationView::new(definition, schemas, input)
        })
        .collect()
}

impl OperationView {
    fn new(definition: &Definition, schemas: Schemas, input: Value) -> OperationView {
        OperationView {
            name: definition.name,
            tool: protocol::tool_name(definition.name),
            title: definition.title,
            description: schemas.description.string(),
            input_schema: keywords(input),
            output_schema: keywords(schemas.output.value()),
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "inputs and outputs are objects, as a test checks"
)]
fn keywords(schema: Value) -> Map<String, Value> {
    let keywords = match schema {
        Value::Object(keywords) => Some(keywords),
        _ => None,
    };
    keywords.expect("a schema of an object is an object")
}
