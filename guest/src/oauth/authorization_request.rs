//! Authorization requests (RFC 6749 section 4.1.1): what a client asks a user for.

use super::error::OAuthError;
use super::metadata_document;
use super::parameters::{self, Parameters};
use crate::domain::call::Call;
use crate::domain::clients::client::Client;
use crate::domain::clients::client_id::ClientId;
use crate::domain::clients::redirect_uri::RedirectUri;
use crate::domain::delegations::code_challenge::CodeChallenge;
use crate::domain::delegations::identity_scope::IdentityScope;
use crate::domain::env::Env;
use crate::domain::resources::resource::{self, Resource, ResourceScope};
use crate::domain::resources::resource_url::ResourceUrl;
use crate::domain::resources::scope::Scope;
use crate::error::AuthError;
use crate::storage::record;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// The longest `state` and `nonce`.
const MAX_STATE_BYTES: usize = 2048;

/// A request that can be put to a user.
pub struct AuthorizationRequest {
    /// Who asks.
    pub client: Client,
    /// What is asked for: the resource server, as it is defined now.
    pub resource: Resource,
    /// What is asked of the resource server.
    pub wanted: Wanted,
    /// What the client wants to know of the user.
    pub identity: Vec<IdentityScope>,
    /// What the id token has to repeat.
    pub nonce: Option<String>,
    /// The challenge whose verifier the client will show.
    pub challenge: CodeChallenge,
    /// What the sign-in of the user has to be like.
    pub sign_in: SignIn,
    /// Where the answer goes.
    pub answer_to: AnswerTo,
}

/// What a client asks of a resource server.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Nothing: it wants to know who the user is.
    Nothing,
    /// What this service chooses.
    Default,
    /// These scopes.
    Scopes(Scope),
}

/// What the sign-in of the user has to be like (OpenID Connect Core 1.0 section 3.1.2.1).
#[derive(Clone, Copy, Debug)]
pub enum SignIn {
    /// Any will do.
    Any,
    /// It has to be new.
    New,
    /// It may be this many seconds old.
    MaxAge(u64),
}

impl SignIn {
    /// Reports whether a sign-in at this time is good enough.
    pub fn accepts(self, auth_time: Timestamp, now: Timestamp) -> bool {
        match self {
            SignIn::Any => true,
            SignIn::New => false,
            SignIn::MaxAge(seconds) => now.seconds() <= auth_time.seconds().saturating_add(seconds),
        }
    }
}

/// Where the answer to a request goes.
pub struct AnswerTo {
    /// The redirect URI, which is one of the client's.
    pub redirect_uri: RedirectUri,
    /// Whether an error may go there without a question to the user (OAuth 2.1 section
    /// 7.13.2). Administrators vouch for the addresses of the clients that they register. The
    /// address of another client is trusted only if it is a loopback address, since no
    /// website that imitates another can receive answers there.
    pub is_trusted: bool,
    state: Option<String>,
    issuer: String,
}

/// Which state of its metadata document a client is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentState {
    /// The current one, which may have to be fetched.
    Current,
    /// The one that is stored, such as the one that the user was shown.
    Known,
}

/// Why a request cannot be put to a user.
pub enum Unfit {
    /// It is not clear who asks or where the answer may go: the user is told, and nobody
    /// else (RFC 6749 section 4.1.2.1).
    Unanswerable(UnanswerableReason),
    /// The client is told.
    Refused(Box<AnswerTo>, OAuthError),
    /// This service cannot decide now.
    Failed(AuthError),
}

/// Why nobody but the user can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnanswerableReason {
    /// The request is not a query of parameters that occur once.
    Malformed,
    /// There is no such client.
    UnknownClient,
    /// The client refers to a metadata document that cannot be used.
    UnusableDocument,
    /// The redirect URI is not one of the client's.
    UnknownRedirectUri,
}

impl AnswerTo {
    /// Returns the URL that tells the client an error.
    pub fn error(&self, error: &OAuthError) -> String {
        self.url(
            "error",
            error.code,
            Some(("error_description", &error.description)),
        )
    }

    /// Returns the URL that gives the client a code.
    pub fn code(&self, code: &Secret) -> String {
        self.url("code", code.expose(), None)
    }

    /// Every answer names the issuer (RFC 9207).
    fn url(&self, name: &str, value: &str, more: Option<(&str, &str)>) -> String {
        let state = self.state.as_deref().map(|state| ("state", state));
        let all = [
            Some((name, value)),
            more,
            state,
            Some(("iss", &*self.issuer)),
        ];
        let all: Vec<(&str, &str)> = all.into_iter().flatten().collect();
        self.redirect_uri.with_query(&parameters::encode(&all))
    }
}

impl AuthorizationRequest {
    /// Reads a request from the query of its URL.
    pub fn read(
        query: &str,
        document: DocumentState,
        call: &Call,
    ) -> Result<AuthorizationRequest, Unfit> {
        let malformed = || Unfit::Unanswerable(UnanswerableReason::Malformed);
        let query = Parameters::parse(query.as_bytes()).ok_or_else(malformed)?;
        let client = client(&query, document, call)?;
        let redirect_uri = redirect_uri(&query, &client)?;
        let state = query.only("state");
        let answer_to = AnswerTo {
            is_trusted: client.is_verified() || redirect_uri.is_loopback(),
            redirect_uri,
            state: state.ok().flatten().map(str::to_owned),
            issuer: call.settings.issuer.clone(),
        };
        match Asked::read(&query, call) {
            Ok(asked) => Ok(AuthorizationRequest {
                client,
                resource: asked.resource,
                wanted: asked.wanted,
                identity: asked.identity,
                nonce: asked.nonce,
                challenge: asked.challenge,
                sign_in: asked.sign_in,
                answer_to,
            }),
            Err(Problem::OfRequest(error)) => Err(Unfit::Refused(Box::new(answer_to), error)),
            Err(Problem::OfService(error)) => Err(Unfit::Failed(error)),
        }
    }

    /// Returns the scopes to put to a user who has these available, or `None` if none of
    /// those that the client asks for is among them.
    pub fn scopes_of<'a>(
        &self,
        available: Vec<&'a ResourceScope>,
    ) -> Option<Vec<&'a ResourceScope>> {
        let asked = match &self.wanted {
            Wanted::Nothing => return Some(Vec::new()),
            Wanted::Default => {
                let unrestricted = available.into_iter().filter(|scope| !scope.restricted);
                return Some(unrestricted.collect());
            }
            Wanted::Scopes(asked) => asked,
        };
        let is_asked = |scope: &&ResourceScope| asked.tokens().any(|it| it == scope.scope.as_str());
        // Where the user has nothing to choose from, access does not depend on the choice.
        let is_choice = !available.is_empty() && self.identity.is_empty();
        let found: Vec<&ResourceScope> = available.into_iter().filter(is_asked).collect();
        (!found.is_empty() || !is_choice).then_some(found)
    }
}

fn client(query: &Parameters, document: DocumentState, call: &Call) -> Result<Client, Unfit> {
    let malformed = |_| Unfit::Unanswerable(UnanswerableReason::Malformed);
    let unknown = || Unfit::Unanswerable(UnanswerableReason::UnknownClient);
    let id = query.only("client_id").map_err(malformed)?;
    let id = ClientId::try_from(id.unwrap_or_default().to_owned()).map_err(|_| unknown())?;
    if let ClientId::Document(url) = &id {
        if !metadata_document::is_supported(call) {
            return Err(unknown());
        }
        if document == DocumentState::Current {
            let client = metadata_document::current(url, call).map_err(Unfit::Failed)?;
            return client.ok_or(Unfit::Unanswerable(UnanswerableReason::UnusableDocument));
        }
    }
    let client = record::read::<Client>(Client::key(&id), &call.ports).map_err(Unfit::Failed)?;
    client.map(|client| client.value).ok_or_else(unknown)
}

/// Returns the redirect URI of a request. Only a client that has a single one may leave it
/// out.
fn redirect_uri(query: &Parameters, client: &Client) -> Result<RedirectUri, Unfit> {
    let unknown = || Unfit::Unanswerable(UnanswerableReason::UnknownRedirectUri);
    let malformed = |_| Unfit::Unanswerable(UnanswerableReason::Malformed);
    let Some(asked) = query.only("redirect_uri").map_err(malformed)? else {
        return match client.redirect_uris.as_slice() {
            [only] => Ok(only.clone()),
            _ => Err(unknown()),
        };
    };
    let asked = RedirectUri::try_from(asked.to_owned()).map_err(|_| unknown())?;
    match client.redirect_uris.permit(&asked) {
        true => Ok(asked),
        false => Err(unknown()),
    }
}

/// What is left of a request once it is clear who asks.
struct Asked {
    resource: Resource,
    wanted: Wanted,
    identity: Vec<IdentityScope>,
    nonce: Option<String>,
    challenge: CodeChallenge,
    sign_in: SignIn,
}

enum Problem {
    OfRequest(OAuthError),
    OfService(AuthError),
}

impl<E: Into<OAuthError>> From<E> for Problem {
    fn from(error: E) -> Problem {
        Problem::OfRequest(error.into())
    }
}

impl Asked {
    fn read(query: &Parameters, env: &Env) -> Result<Asked, Problem> {
        let invalid = |problem: &str| OAuthError::invalid_request(problem);
        for name in ["state", "nonce"] {
            if query
                .only(name)?
                .is_some_and(|value| value.len() > MAX_STATE_BYTES)
            {
                return Err(invalid(&format!("the parameter '{name}' is too long")).into());
            }
        }
        for (name, code) in [
            ("request", "request_not_supported"),
            ("request_uri", "request_uri_not_supported"),
        ] {
            if query.first(name).is_some() {
                let problem = format!("the parameter '{name}' is not supported");
                return Err(OAuthError::new(code, problem).into());
            }
        }
        match query.only("response_type")? {
            Some("code") => {}
            None => return Err(invalid("the parameter 'response_type' is missing").into()),
            Some(_) => {
                let problem = "the parameter 'response_type' must be code";
                return Err(OAuthError::new("unsupported_response_type", problem).into());
            }
        }
        if query
            .only("response_mode")?
            .is_some_and(|mode| mode != "query")
        {
            return Err(invalid("the parameter 'response_mode' must be query").into());
        }
        let sign_in = sign_in(query)?;
        let challenge = challenge(query)?;
        let scope = scope(query)?;
        let identity = scope.as_ref().map_or_else(Vec::new, IdentityScope::asked);
        let wanted = match scope.and_then(|scope| scope.of_resource()) {
            Some(scope) => Wanted::Scopes(scope),
            // A client that names a resource server wants more than a sign-in: some clients
            // of MCP ask for `openid` wherever they connect.
            None if !identity.is_empty() && query.first("resource").is_none() => Wanted::Nothing,
            None => Wanted::Default,
        };
        let resource = match wanted {
            Wanted::Nothing => own_resource(env),
            _ => resource(query, env)?,
        };
        let known = resource.scopes.as_slice();
        let is_known = |asked: &str| known.iter().any(|scope| scope.scope.as_str() == asked);
        if let Wanted::Scopes(asked) = &wanted
            && !known.is_empty()
            && identity.is_empty()
            && !asked.tokens().any(is_known)
        {
            let problem = "the resource server has none of these scopes";
            return Err(OAuthError::new("invalid_scope", problem).into());
        }
        Ok(Asked {
            resource,
            wanted,
            identity,
            nonce: query.only("nonce")?.map(str::to_owned),
            challenge,
            sign_in,
        })
    }
}

/// Every client has to use the method S256 (RFC 9700 section 2.1.1). Without a method, a
/// challenge is `plain` (RFC 7636 section 4.3).
fn challenge(query: &Parameters) -> Result<CodeChallenge, OAuthError> {
    let invalid = OAuthError::invalid_request;
    let Some(challenge) = query.only("code_challenge")? else {
        return Err(invalid("the parameter 'code_challenge' is missing"));
    };
    if query.only("code_challenge_method")? != Some("S256") {
        return Err(invalid(
            "the parameter 'code_challenge_method' must be S256",
        ));
    }
    let problem = "the parameter 'code_challenge' must be a SHA-256 in base64url";
    CodeChallenge::parse(challenge).ok_or_else(|| invalid(problem))
}

fn sign_in(query: &Parameters) -> Result<SignIn, OAuthError> {
    let prompt = query.only("prompt")?.unwrap_or_default();
    let mut words = prompt.split(' ');
    if words.clone().any(|word| word == "none") {
        // A page is shown each time: nobody else can tell whether the user agrees.
        let problem = "the user has to be asked, so 'prompt' cannot be none";
        return Err(OAuthError::new("interaction_required", problem));
    }
    if words.any(|word| word == "login") {
        return Ok(SignIn::New);
    }
    match query.only("max_age")?.map(str::parse) {
        None => Ok(SignIn::Any),
        // Any sign-in is older than that once the consent page is shown.
        Some(Ok(0)) => Ok(SignIn::New),
        Some(Ok(seconds)) => Ok(SignIn::MaxAge(seconds)),
        Some(Err(_)) => {
            let problem = "the parameter 'max_age' must be a number of seconds";
            Err(OAuthError::invalid_request(problem))
        }
    }
}

/// Returns the scope that a client asks for. One without a token is no scope (RFC 6749 section
/// 3.3), but clients whose configuration has none send it empty: it counts as left out.
pub(super) fn scope(parameters: &Parameters) -> Result<Option<Scope>, OAuthError> {
    let scope = parameters.only("scope")?.map(Scope::parse).transpose();
    scope.map_err(|expected| OAuthError::new("invalid_scope", format!("'scope': {expected}")))
}

/// Returns this service itself, whose tokens let a client ask who the user is.
#[expect(
    clippy::expect_used,
    reason = "only an authorization server reads authorization requests"
)]
fn own_resource(env: &Env) -> Resource {
    Resource::own(env.settings).expect("an authorization server is a resource server")
}

/// Returns the resource server of a request. Clients of older versions of MCP name none,
/// which is clear only if a single one is defined, or none but this service itself.
fn resource(query: &Parameters, env: &Env) -> Result<Resource, Problem> {
    let invalid = |problem: &str| Problem::OfRequest(OAuthError::new("invalid_target", problem));
    let Ok(named) = query.only("resource") else {
        return Err(invalid("there is more than one parameter 'resource'"));
    };
    let found = match named {
        Some(named) => {
            let url = ResourceUrl::try_from(named.to_owned());
            let url = url.map_err(|expected| invalid(&format!("'resource': {expected}")))?;
            Resource::find(&url, env).map_err(Problem::OfService)?
        }
        None => {
            let mut all = resource::all(&env.ports).map_err(Problem::OfService)?;
            let last = all.pop().or_else(|| Resource::own(env.settings));
            if !all.is_empty() {
                return Err(invalid("the parameter 'resource' is missing"));
            }
            last
        }
    };
    found.ok_or_else(|| invalid("there is no such resource server"))
}
