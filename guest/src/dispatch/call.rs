//! One call of an operation, from its input to its result: authenticates the caller,
//! checks what it may do, asks for the user's approval where that is required, runs the
//! operation, and records the call in the metrics and the audit log.

use serde_json::Value;

use super::operation::Operation;
use super::{input, next_step, redact, schemas};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::access::toolset::Offer;
use crate::domain::actor_id::ActorId;
use crate::domain::call::Call;
use crate::domain::call_recorder::CallRecorder;
use crate::domain::caller::Principal;
use crate::domain::delegations::approval::{self, Question};
use crate::error::{AuthError, Result};
use crate::json::{self, JsonText, Node};
use crate::ports::{Audit, Credential, Ended, Ports};
use crate::settings::PublicUrl;
use crate::types::id::Id;

/// Runs an operation if the caller may, and records the call. `input` is the input for
/// the audit log; it need not contain secrets.
pub fn call<O: Operation>(operation: O, input: &Value, call: &Call) -> Result<O::Output> {
    counted(O::NAME, call, |call, facts| {
        facts.input = facts.shown(&input.into(), O::NAME);
        let output = operation.run(&authority::authorize(O::REQUIRES, call)?)?;
        if facts.are_wanted {
            note_account(&JsonText::of(&output), call);
        }
        Ok(output)
    })
}

pub(super) fn invoke_one<O: Operation>(input: Node, call: &Call) -> Result<JsonText> {
    invoke_any(O::NAME, O::REQUIRES, input, call, run_one::<O>)
}

/// Does everything that is the same for all operations, so that it is compiled only once;
/// `run` is the rest. It receives the part of the input that the audit log may show.
fn invoke_any(
    name: &'static str,
    requires: Requirement,
    mut input: Node,
    call: &Call,
    run: Run,
) -> Result<JsonText> {
    counted(name, call, |call, facts| {
        let caller = input::take_caller(requires, &mut input, call.caller)?;
        let call = Call {
            caller: caller.as_ref().unwrap_or(call.caller),
            ..call.clone()
        };
        facts.credential = call.caller.principal.credential();
        let mut asked = Asked {
            name,
            requires,
            shown: facts.shown(&input, name),
            kept: is_asked(name, requires, &call).then(|| input.clone()),
        };
        let output = run(input, &mut asked, &call, facts)?;
        if facts.are_wanted {
            note_account(&output, &call);
        }
        Ok(output)
    })
}

/// What is kept of an input that the operation consumes.
struct Asked<'a> {
    /// The name of the operation.
    name: &'static str,
    /// What the operation requires of its caller.
    requires: Requirement,
    /// The part that the audit log may show.
    shown: Option<String>,
    /// The input itself, if the user of an agent would have to approve it.
    kept: Option<Node<'a>>,
}

type Run = fn(Node, &mut Asked<'_>, &Call, &mut Facts) -> Result<JsonText>;

fn run_one<O: Operation>(
    input: Node,
    asked: &mut Asked<'_>,
    call: &Call,
    facts: &mut Facts,
) -> Result<JsonText> {
    let operation = input::parse::<O>(O::NAME, input)?;
    let acting = asked.begin(call, facts)?;
    Ok(JsonText::of(&operation.run(&acting)?))
}

impl Asked<'_> {
    /// Begins to run the operation on a valid input: authenticates the caller, and asks for the
    /// user's approval where that is required.
    #[inline(never)]
    fn begin<'a>(&mut self, call: &Call<'a>, facts: &mut Facts) -> Result<ActorCall<'a>> {
        // Recorded only once all fields are valid: in an invalid input, a secret may stand in
        // the wrong field.
        facts.input = self.shown.take();
        let acting = authority::authorize(self.requires, call)?;
        // Callers that act for themselves need no approval.
        let (Some(input), Some(agent)) = (&self.kept, acting.agent()) else {
            return Ok(acting);
        };
        let public_url = call
            .settings
            .public_url
            .as_ref()
            .map_or("", PublicUrl::as_str);
        let question = Question {
            page: format!("{public_url}{}", approval::PAGE),
            operation: self.name,
            exact: json::to_vec(input),
            shown: redact::for_page(input, &schemas::shape(self.name)),
        };
        let approval_id = approval::require(&question, agent, &acting)?;
        Ok(acting.approved(approval_id))
    }
}

/// Reports whether the user of an agent would have to approve this call.
fn is_asked(name: &str, requires: Requirement, call: &Call) -> bool {
    let oauth = call.settings.oauth.as_ref();
    matches!(call.caller.principal, Principal::AccessToken(_))
        && oauth.is_some_and(|oauth| oauth.approvals.include(name, requires.permission()))
}

/// Runs a call, and records it in the metrics and the audit log.
pub fn counted<T>(
    name: &'static str,
    call: &Call,
    run: impl FnOnce(&Call, &mut Facts) -> Result<T>,
) -> Result<T> {
    let mut counted = Counted::begin(name, call);
    let recorder = CallRecorder::default();
    let call = Call {
        recorder: Some(&recorder),
        ..call.clone()
    };
    let result = run(&call, &mut counted.facts);
    let credential = counted.facts.credential;
    let (offer, has_pages) = (call.offer, call.settings.oauth.is_some());
    let result = result
        .map_err(|error| with_next_step(error, name, credential, offer, has_pages).during(name));
    let code = result.as_ref().err().map(|error| error.kind.code());
    counted.end(code, &recorder, &call.ports);
    result
}

/// Adds the next step to the details of an error, unless an inner operation has done so.
#[cold]
#[inline(never)]
fn with_next_step(
    error: AuthError,
    operation: &str,
    credential: Credential,
    offer: Offer,
    has_pages: bool,
) -> AuthError {
    if error.operation.is_some() {
        return error;
    }
    match next_step::after(&error, operation, credential, offer, has_pages) {
        Some(next) => error.detail("next", next),
        None => error,
    }
}

/// One call of an operation, measured from beginning to end.
struct Counted {
    name: &'static str,
    began_us: u64,
    facts: Facts,
}

impl Counted {
    fn begin(name: &'static str, call: &Call) -> Counted {
        Counted {
            name,
            facts: Facts {
                are_wanted: call.ports.telemetry.operation_began(name),
                credential: call.caller.principal.credential(),
                input: None,
            },
            began_us: call.ports.clock.monotonic_us(),
        }
    }

    fn end(self, code: Option<i32>, recorder: &CallRecorder, ports: &Ports) {
        ports.telemetry.operation_ended(&Ended {
            operation: self.name,
            code,
            duration_us: ports.clock.monotonic_us().saturating_sub(self.began_us),
            audit: self.facts.are_wanted.then(|| self.facts.audit(recorder)),
        });
    }
}

/// The facts of a call that the dispatcher itself knows, for the host's audit log; the
/// [`CallRecorder`] has those that the rules find out.
pub struct Facts {
    /// Unless the host wants them, nothing is kept that costs time or memory.
    are_wanted: bool,
    /// The kind of credential that the caller presented.
    credential: Credential,
    /// What the audit log may show of the input.
    input: Option<String>,
}

impl Facts {
    /// Returns what the audit log may show of an input, if it is wanted.
    fn shown(&self, input: &Node, operation: &str) -> Option<String> {
        // Reading the schema is expensive.
        self.are_wanted
            .then(|| redact::of(input, &schemas::shape(operation)))?
    }

    /// Returns the audit facts of the operation after it has ended.
    ///
    /// The input of unauthenticated calls about unknown accounts is omitted: an unknown
    /// user name may be a password that was typed into the wrong field.
    fn audit(self, recorder: &CallRecorder) -> Audit {
        let actor = recorder.actor();
        let account = recorder.account();
        let is_attributable = actor != ActorId::Anonymous || account.is_some();
        let session_id = match actor {
            ActorId::User { session_id, .. } => Some(session_id),
            ActorId::Anonymous | ActorId::ApiKey(_) | ActorId::Operator => None,
        };
        Audit {
            credential: self.credential,
            actor: (actor != ActorId::Anonymous).then(|| actor.name()),
            session_id,
            account,
            input: self.input.filter(|_| is_attributable),
        }
    }
}

/// Records the account that the result of the operation names, if any.
fn note_account(output: &JsonText, call: &Call) {
    let output = output.node();
    let id = output.get("user_id").or(output.get("sub"));
    let id = id.and_then(Node::as_str);
    if let Some(Ok(id)) = id.map(|id| Id::try_from(id.to_owned())) {
        call.record_account(id);
    }
}
