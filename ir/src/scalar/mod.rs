//! Scalar ops: functions from elements to an element, shared by the graph IR (as elementwise ops) and the kernel IR.
//!
//! Every op is one `static` [`ScalarDef`] in the file of its family and an entry of that file's `OPS`. Passes, text, interpreters
//! and derivative rules read the record; nothing else lists ops by name. An op that a target does not have as an instruction
//! carries an expansion: a straight-line [`ScalarProgram`] of simpler ops, which a kernel pass inlines.

pub(crate) mod arith;
mod bits;
mod compare;
mod def;
mod erf;
mod expand;
mod exponential;
mod fused;
mod normal;
mod power;
mod program;
mod rounding;
mod trigonometric;
mod value;

pub use def::{Cost, Derivative, Laws, ScalarDef, ScalarOp, TypeClass, Typing};
pub use expand::polynomials;
pub use fused::add_scaled;
pub use program::{Instr, ProgramBuilder, Reg, ScalarProgram};
pub use value::Scalar;

/// The families' tables, in the order in which documentation lists them.
static FAMILIES: [&[&ScalarDef]; 8] =
    [arith::OPS, bits::OPS, compare::OPS, rounding::OPS, power::OPS, exponential::OPS, normal::OPS, trigonometric::OPS];
