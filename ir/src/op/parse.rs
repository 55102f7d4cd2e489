//! Ops from their text form: the other place, besides [`Op::rules`], that lists all ops.

use super::attr::AttrMap;
use crate::{Op, RuleError, TensorType};

/// The op of that name with these attributes; `ty` is the type that the text gives its result.
///
/// # Errors
/// If there is no such op, or an attribute is missing, has a wrong kind or is not the op's.
pub fn parse_op(name: &str, attrs: AttrMap, ty: &TensorType) -> Result<Op, RuleError> {
    let _ = (attrs, ty);
    Err(format!("there is no op `{name}`").into())
}
