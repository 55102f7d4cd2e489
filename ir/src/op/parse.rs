//! Ops from their text form, by the names in their records. What an op reads from its attributes stands beside the op.

use super::OpDef;
use super::attr::AttrMap;
use crate::{Op, RuleError, ScalarOp, TensorType};

/// The op of that name with these attributes; `ty` is the type that the text gives its result.
///
/// # Errors
/// If there is no such op, or an attribute is missing, has a wrong kind or is not the op's.
pub fn parse_op(name: &str, mut attrs: AttrMap, ty: &TensorType) -> Result<Op, RuleError> {
    let op = match Op::from_attrs(name, &mut attrs, ty) {
        Some(op) => op?,
        None => Op::Elementwise(ScalarOp::from_name(name).ok_or_else(|| format!("there is no op `{name}`"))?),
    };
    attrs.finish()?;
    Ok(op)
}

/// Every name that [`parse_op`] knows: first the ops of the table, then the scalar ops.
pub fn op_names() -> impl Iterator<Item = &'static str> {
    Op::DEFS.iter().copied().flatten().map(|def| def.name).chain(ScalarOp::all().map(ScalarOp::name))
}

/// Which of the records has that name.
pub(super) fn number_of(name: &str, defs: &[OpDef]) -> Option<usize> {
    defs.iter().position(|def| def.name == name)
}
