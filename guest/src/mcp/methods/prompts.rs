//! Prompts: instructions that help an agent with the work that people have with
//! accounts. None takes a secret as an argument: arguments end up in transcripts.

use serde_json::{Value, json};

use crate::error::ErrorCode;
use crate::json::{Fields, Node};
use crate::mcp::error::RpcError;
use crate::mcp::method_request::{MethodRequest, MethodResult};
use crate::mcp::protocol::STATIC_TTL_MS;
use crate::operations::{self, Offer};
use crate::unicode::printable::is_deceptive;

/// Longer arguments are cut: they are names and codes.
const MAX_ARGUMENT_CHARS: usize = 200;

struct Prompt {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    /// The operations that its text tells the agent to call.
    needs: &'static [&'static str],
    arguments: &'static [Argument],
    text: fn(&Arguments, Offer) -> String,
}

struct Argument {
    name: &'static str,
    description: &'static str,
    required: bool,
    candidates: fn() -> Vec<String>,
}

/// The arguments of one `prompts/get`.
struct Arguments<'a>(&'a Fields<'a>);

static PROMPTS: [Prompt; 3] = [
    Prompt {
        name: "sign_up_user",
        title: "Sign a user up",
        description: "Register a user, log in, and check that it worked.",
        needs: &["register", "login", "verify_token"],
        arguments: &[
            Argument {
                name: "username",
                description: "The requested user name",
                required: true,
                candidates: Vec::new,
            },
            Argument {
                name: "email",
                description: "The user's email address",
                required: false,
                candidates: Vec::new,
            },
        ],
        text: sign_up_user,
    },
    Prompt {
        name: "diagnose_login_failure",
        title: "Find out why a login fails",
        description: "Find the cause of a failed login and the steps that the user can take.",
        needs: &["complete_login"],
        arguments: &[
            Argument {
                name: "username",
                description: "The user name of the user who cannot log in",
                required: true,
                candidates: Vec::new,
            },
            Argument {
                name: "error_code",
                description: "The code of the error, if there was one",
                required: false,
                candidates: error_codes,
            },
        ],
        text: diagnose_login_failure,
    },
    Prompt {
        name: "end_compromised_sessions",
        title: "End compromised sessions",
        description: "End the sessions whose tokens may be in wrong hands.",
        needs: &[
            "login",
            "complete_login",
            "list_sessions",
            "revoke_session",
            "revoke_other_sessions",
            "logout",
            "change_password",
            "verify_token",
        ],
        arguments: &[
            Argument {
                name: "username",
                description: "The user name of the owner of the sessions",
                required: true,
                candidates: Vec::new,
            },
            Argument {
                name: "reason",
                description: "What happened",
                required: false,
                candidates: reasons,
            },
        ],
        text: end_compromised_sessions,
    },
];

/// `prompts/list`
pub fn list(request: &MethodRequest) -> MethodResult {
    request.first_page()?;
    let prompts: Vec<Value> = offered(request.call.offer).map(Prompt::to_json).collect();
    Ok(request
        .era
        .cached(json!({"prompts": prompts}), STATIC_TTL_MS, "private"))
}

/// `prompts/get`
pub fn get(request: &MethodRequest) -> MethodResult {
    let name = request.text("name")?;
    let offer = request.call.offer;
    let Some(prompt) = offered(offer).find(|prompt| prompt.name == name) else {
        let known: Vec<&str> = offered(offer).map(|prompt| prompt.name).collect();
        return Err(RpcError::invalid_params("Unknown prompt")
            .data(json!({"known_prompts": known}))
            .into());
    };
    let arguments = prompt.arguments(request.object("arguments")?)?;
    Ok(json!({
        "description": prompt.description,
        "messages": [{
            "role": "user",
            "content": {"type": "text", "text": (prompt.text)(&arguments, offer)},
        }],
    }))
}

/// Returns the prompts whose operations are all offered.
fn offered(offer: Offer) -> impl Iterator<Item = &'static Prompt> {
    PROMPTS
        .iter()
        .filter(move |prompt| prompt.needs.iter().all(|name| can_run(name, offer)))
}

fn can_run(operation: &str, offer: Offer) -> bool {
    operations::offered(operation, offer).is_ok()
}

/// Returns the suggested values for an argument of a prompt.
pub fn candidates(prompt: &str, argument: &str, offer: Offer) -> Vec<String> {
    let prompt = offered(offer).find(|known| known.name == prompt);
    let mut arguments = prompt.into_iter().flat_map(|prompt| prompt.arguments);
    match arguments.find(|known| known.name == argument) {
        Some(argument) => (argument.candidates)(),
        None => Vec::new(),
    }
}

impl Prompt {
    fn to_json(&self) -> Value {
        let arguments: Vec<Value> = self
            .arguments
            .iter()
            .map(|argument| {
                json!({
                    "name": argument.name,
                    "description": argument.description,
                    "required": argument.required,
                })
            })
            .collect();
        json!({
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "arguments": arguments,
        })
    }

    fn arguments<'a>(&self, given: &'a Fields<'a>) -> Result<Arguments<'a>, RpcError> {
        for argument in self.arguments {
            let name = argument.name;
            match given.get(name) {
                Some(Node::Text(_)) => {}
                None | Some(Node::Null) if !argument.required => {}
                Some(_) => {
                    return Err(RpcError::invalid_params(&format!(
                        "$.params.arguments.{name}: expected a string"
                    )));
                }
                None => {
                    return Err(RpcError::invalid_params(&format!(
                        "$.params.arguments.{name}: is missing"
                    )));
                }
            }
        }
        Ok(Arguments(given))
    }
}

impl Arguments<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let text = self.0.get(name)?.as_str()?;
        let plain = text.chars().filter(|c| !is_deceptive(*c));
        Some(plain.take(MAX_ARGUMENT_CHARS).collect())
    }

    fn or_empty(&self, name: &str) -> String {
        self.get(name).unwrap_or_default()
    }
}

fn sign_up_user(arguments: &Arguments, _: Offer) -> String {
    let username = arguments.or_empty("username");
    let email = match arguments.get("email") {
        Some(email) => format!(" and the email address '{email}'"),
        None => String::new(),
    };
    format!(
        "Sign up a user with the user name '{username}'{email}.\n\
         1. Read the password policy with user-auth_get_capabilities.\n\
         2. Get a password from the user, by a way that keeps it out of this conversation if \
         there is one. Never make one up and show it.\n\
         3. Call user-auth_register. If the user name is taken, ask for another; if a field is \
         refused, say which and why, as details.fields does.\n\
         4. Call user-auth_login with the same name and password, then user-auth_verify_token \
         with the access token, and confirm that it is active and that sub is the user_id of \
         step 3.\n\
         5. Tell the user that the account is ready, with user name and user id. Do not repeat \
         the password or any token."
    )
}

fn diagnose_login_failure(arguments: &Arguments, _: Offer) -> String {
    let username = arguments.or_empty("username");
    let error = match arguments.get("error_code") {
        Some(code) => format!("The login ended with the error code {code}."),
        None => "Ask for the error code and the details of the failed login.".to_owned(),
    };
    let meanings: Vec<String> = ErrorCode::ALL
        .iter()
        .map(|kind| format!("   {}: {}", kind.code(), kind.meaning()))
        .collect();
    format!(
        "Find out why the user '{username}' cannot log in. {error}\n\
         1. Look at what the code means:\n{}\n\
         2. With -32001 the user name or the password is wrong, and the service will not say \
         which: ask the user to check both; user \
         names are case-insensitive.\n\
         3. If the login returned a challenge instead of an error, the password was right: call \
         user-auth_complete_login with the challenge and a code from the user's app or a recovery \
         code. If that returns -32001, the code was wrong or already used, or the challenge has \
         expired: use the next code that the app shows, and check the clock of the phone. A user \
         who has lost both the app and the recovery codes needs an administrator to reset the \
         second factor.\n\
         4. With -32003 there were too many failures from one place: wait for \
         details.retry_after_seconds; every further try is refused until then.\n\
         5. With -32000 read details.fields: it says which field is missing or malformed.\n\
         6. With -32004 read mcp://user-auth/health and mcp://user-auth/metrics: is the store \
         reachable, is the hash queue full? Try again after details.retry_after_seconds.\n\
         7. Say what you found and what the user can do. Do not ask for the password.",
        meanings.join("\n")
    )
}

fn end_compromised_sessions(arguments: &Arguments, offer: Offer) -> String {
    let username = arguments.or_empty("username");
    let reason = match arguments.get("reason") {
        Some(reason) => format!(" Reason: {reason}."),
        None => String::new(),
    };
    let can_revoke = ["list_grants", "revoke_grant"]
        .iter()
        .all(|name| can_run(name, offer));
    let grants = match can_revoke {
        true => {
            " Do the same with the access of clients: user-auth_list_grants shows it, and \
             user-auth_revoke_grant takes it away."
        }
        false => "",
    };
    format!(
        "End the sessions of the user '{username}' whose tokens may be in wrong hands.{reason}\n\
         1. Ask the user to log in with user-auth_login, and with user-auth_complete_login if that \
         returns a challenge, or use an access token of a session that the user trusts.\n\
         2. Call user-auth_list_sessions with it, and go through the sessions with the user: when \
         and how each began, and which one is current.\n\
         3. End each session that the user does not know with user-auth_revoke_session; in doubt \
         end all others at once with user-auth_revoke_other_sessions. Tokens that you hold of a \
         session can also be ended with user-auth_logout.{grants}\n\
         4. If another person may know the password, ask the user to change it with \
         user-auth_change_password, which requires a recent login and ends all other sessions \
         too.\n\
         5. Check with user-auth_verify_token that the tokens you know of answer active: false.\n\
         6. Say which sessions have ended, by session id. Do not repeat any token or password."
    )
}

fn error_codes() -> Vec<String> {
    ErrorCode::ALL
        .iter()
        .map(|kind| kind.code().to_string())
        .collect()
}

fn reasons() -> Vec<String> {
    [
        "a device was lost",
        "a token was found in a log",
        "an unknown session was seen",
        "the password was disclosed",
    ]
    .map(str::to_owned)
    .to_vec()
}
