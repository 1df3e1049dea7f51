//! One call of an operation, from its input to its result: authenticates the caller,
//! checks what it may do, runs the operation, and records the call in the metrics and the
//! audit log.

use std::rc::Rc;

use serde_json::Value;

use super::operation::Operation;
use super::{input, redact, schemas};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority;
use crate::domain::context::Context;
use crate::domain::trail::Trail;
use crate::error::Result;
use crate::ports::Ended;

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

pub(super) fn invoke_one<O: Operation>(input: Value, context: &Context) -> Result<Value> {
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
        trail.shown(context.caller.principal.credential());
        let shown = shown(&input, name, trail);
        let output = run(input, shown, &context)?;
        trail.names(&output);
        Ok(output)
    })
}

fn run_one<O: Operation>(input: Value, shown: Option<String>, context: &Context) -> Result<Value> {
    let operation = input::parse::<O>(O::NAME, input)?;
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

/// Runs a call, and records it in the metrics and the audit log.
pub fn counted<T>(
    name: &'static str,
    context: &Context,
    run: impl FnOnce(&Context) -> Result<T>,
) -> Result<T> {
    let call = Counted::begin(name, context);
    let result = run(&call.context).map_err(|error| error.during(name));
    call.end(result.as_ref().err().map(|error| error.kind.code()));
    result
}

/// One call of an operation, measured from beginning to end.
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
    // Reading the schema is expensive.
    let is_wanted = trail.is_wanted();
    is_wanted.then(|| redact::of(input, &schemas::shape(operation)))?
}
