//! What a program is: types, ops, the graph, its verifier, its text form, its reference interpreter, its derivative rules.

mod build;
pub mod dot;
mod dtype;
mod error;
pub mod eval;
mod graph;
pub mod op;
pub mod patch;
pub mod scalar;
mod shape;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
mod types;
mod value;
pub mod verify;

pub use build::{Builder, Built};
pub use dtype::DType;
pub use error::{BuildError, Loc, RuleError};
pub use eval::EvalError;
pub use graph::{Graph, Node, NodeId};
pub use op::{Arity, Cotangent, Family, Op, OpRules, OperandGradients};
pub use patch::{Patch, PatchError};
pub use scalar::{Scalar, ScalarOp};
pub use shape::{MAX_RANK, Shape, ShapeError};
pub use text::ParseError;
pub use types::TensorType;
pub use value::{Data, Value, ValueError};
pub use verify::{Spec, VerifyErrors, verify};
