//! The reference evaluation: one step after the other.

use super::{BodyPort, PortRole, Scan};
use crate::eval::{RunError, Watch, run_watched};
use crate::{EvalError, Value, map_of};
use std::collections::BTreeMap;

/// All results of a scan, by number. Operands have the types that the op's rule accepts.
///
/// # Errors
/// What an op of the body fails with.
pub(crate) fn results(scan: &Scan, operands: &[&Value], watch: &mut Watch<'_>) -> Result<Vec<Value>, EvalError> {
    let body = &scan.body;
    let inputs = body.inputs();
    let carried = body.carries().len();
    let mut carries: Vec<Value> = operands[..carried].iter().map(|&v| v.clone()).collect();
    let mut steps: Vec<Vec<Value>> = vec![Vec::with_capacity(scan.length); body.stacked().len()];
    for step in 0..scan.length {
        let at = if scan.reverse { scan.length - 1 - step } else { step };
        let values = inputs.iter().zip(operands).enumerate().map(|(i, (&input, operand))| {
            let value = match input.role {
                PortRole::Carry => carries[i].clone(),
                PortRole::Sequence => operand.part(at),
                PortRole::Invariant | PortRole::Stacked => (*operand).clone(),
            };
            (input.to_string(), value)
        });
        let mut outcome = run_watched(body.graph(), &map_of(values), &BTreeMap::new(), watch).map_err(inner)?.outputs;
        let mut take = |port: BodyPort| outcome.remove(&port.to_string()).ok_or(MISSING);
        for (i, carry) in carries.iter_mut().enumerate() {
            *carry = take(BodyPort::carry(i))?;
        }
        for (i, stack) in steps.iter_mut().enumerate() {
            stack.push(take(BodyPort::stacked(i))?);
        }
    }
    if scan.reverse {
        steps.iter_mut().for_each(|stack| stack.reverse());
    }
    let stacked = steps.iter().filter_map(|stack| Value::stack(stack));
    Ok(carries.into_iter().chain(stacked).collect())
}

/// A body has all outputs that its ports name.
const MISSING: EvalError = EvalError::NotEvaluable { op: "scan", why: "its body lacks an output" };

/// What went wrong in the body. Ports and types have been checked before, so it is an op on its operands.
fn inner(error: RunError) -> EvalError {
    match error {
        RunError::Op { error, .. } => error,
        _ => EvalError::NotEvaluable { op: "scan", why: "its body is not valid: verify the graph" },
    }
}
