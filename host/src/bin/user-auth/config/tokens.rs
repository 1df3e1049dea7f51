//! `tokens`: tokens, sessions and codes. The component validates the values.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// Tokens, sessions and codes.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tokens {
    /// The `iss` of access tokens, and the name of the service in authenticator apps.
    /// Default: `server.public_url` if there is one, or else `user-auth`.
    #[schemars(
        length(min = 1, max = 256),
        extend("x-env" = "USER_AUTH_ISSUER")
    )]
    pub(crate) issuer: Option<String>,
    /// The `aud` of access tokens.
    #[schemars(
        length(min = 1, max = 256),
        extend("x-env" = "USER_AUTH_AUDIENCE")
    )]
    pub(crate) audience: String,
    /// The services for which `issue_token` issues tokens; each has a name of its own.
    #[serde(deserialize_with = "names")]
    #[schemars(extend("x-env" = "USER_AUTH_OTHER_AUDIENCES"))]
    pub(crate) other_audiences: Vec<String>,
    /// The algorithm that signs tokens for other services, whose public keys are at `/jwks`.
    #[schemars(extend("x-env" = "USER_AUTH_SIGNING_ALGORITHM"))]
    pub(crate) signing_algorithm: SigningAlgorithm,
    /// Lifetime of an access token in seconds.
    #[schemars(
        range(min = 1, max = 86_400),
        extend("x-env" = "USER_AUTH_ACCESS_TOKEN_TTL_SECONDS")
    )]
    pub(crate) access_token_ttl_seconds: u64,
    /// Lifetime of a session that is not refreshed, in seconds.
    #[schemars(
        range(min = 1, max = 31_622_400),
        extend("x-env" = "USER_AUTH_SESSION_IDLE_SECONDS")
    )]
    pub(crate) session_idle_seconds: u64,
    /// Maximum lifetime of a session in seconds.
    #[schemars(
        range(min = 1, max = 31_622_400),
        extend("x-env" = "USER_AUTH_SESSION_ABSOLUTE_SECONDS")
    )]
    pub(crate) session_absolute_seconds: u64,
    /// How long a refresh token that was used still returns the same next token, in seconds.
    /// With 0, its second use ends the session.
    #[schemars(
        range(min = 0, max = 600),
        extend("x-env" = "USER_AUTH_REFRESH_GRACE_SECONDS")
    )]
    pub(crate) refresh_grace_seconds: u64,
    /// Maximum age of a login for operations that require a recent one, in seconds.
    #[schemars(
        range(min = 1, max = 86_400),
        extend("x-env" = "USER_AUTH_FRESH_SESSION_SECONDS")
    )]
    pub(crate) fresh_session_seconds: u64,
    /// Lifetime of a code that was sent to an account owner, in seconds.
    #[schemars(
        range(min = 1, max = 600),
        extend("x-env" = "USER_AUTH_CODE_TTL_SECONDS")
    )]
    pub(crate) code_ttl_seconds: u64,
}

/// The algorithm of tokens for other services.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SigningAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    Eddsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: "user-auth".to_owned(),
            other_audiences: Vec::new(),
            signing_algorithm: SigningAlgorithm::Es256,
            access_token_ttl_seconds: 900,
            session_idle_seconds: 1_209_600,
            session_absolute_seconds: 2_592_000,
            refresh_grace_seconds: 120,
            fresh_session_seconds: 300,
            code_ttl_seconds: 600,
        }
    }
}

/// The component expects one text, separated by commas.
fn names<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let names: Vec<String> = Deserialize::deserialize(input)?;
    if names.iter().any(|name| name.contains(',')) {
        Err(de::Error::custom(
            "the name of a service cannot contain a comma",
        ))
    } else {
        Ok(names)
    }
}
