//! One call of an operation, from its input to its end: who calls, whether they may, and
//! what is counted and logged of it.

use std::rc::Rc;

use serde_json::Value;

use super::operation::Operation;
use super::{input, redact, schemas};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority;
use crate::domain::context::Context;
use crate::domain::trail::Trail;
use crate::error::Result;
use crate::json;
use crate::ports::Ended;

/// Runs an operation, if the caller may, and counts it. `input` is what it was called
/// with, for the audit log; secrets are best left out.
pub fn call<O: Operation>(operation: O, input: &Value, context: &Context) -> Result<O::Output> {
    counted(O::NAME, context, |context| {
        let trail = &context.trail;
        trail.took(shown(input, O::NAME, trail));
        let output = authorized(operation, context)?;
        if trail.is_wanted() {
            trail.names(&json::to_value(&output));
        }
        Ok(output)
    })
}

pub(super) fn invoke_one<O: Operation>(input: Value, context: &Context) -> Result<Value> {
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
    let operation = input::parse::<O>(O::NAME, input)?;
    // Where fields are wrong, a secret may stand in one that is for none.
    context.trail.took(shown);
    let output = authorized(operation, context)?;
    Ok(json::to_value(output))
}

fn authorized<O: Operation>(operation: O, context: &Context) -> Result<O::Output> {
    operation.run(&authority::authorize(O::REQUIRES, context)?)
}

/// Counts a call, and tells the audit log of it.
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
