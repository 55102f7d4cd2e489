//! The language in which graphs are declared: a [`GraphBuilder`] for ports and sources, [`Tensor`] handles with operators and methods.
//!
//! Operators can't return a `Result`. A call that breaks a rule records a [`Diagnostic`] with the user's file and line and gives a
//! poisoned tensor; [`GraphBuilder::finish`] returns all diagnostics as one [`ModelErrors`].
//!
//! Element types never mix silently: `f32 + i32` is an error that asks for a cast. Rust numbers take the tensor's element type.
//!
//! ```
//! use gradc::dsl::{f32, GraphBuilder};
//! let g = GraphBuilder::new("example");
//! let x = g.input("x", f32([4, 3]));
//! let centred = &x - x.mean_keepdims([-1]);
//! g.output("y", &(centred * 2.0 + 1.0).relu());
//! assert!(g.finish().is_ok());
//! ```
//!
//! What goes wrong says where:
//!
//! ```
//! use gradc::dsl::{f32, GraphBuilder};
//! let g = GraphBuilder::new("example");
//! let x = g.input("x", f32([32, 784]));
//! let w = g.input("w", f32([512, 10]));
//! g.output("y", &x.matmul(&w).exp());
//! let errors = g.finish().unwrap_err();
//! assert!(errors.to_string().ends_with(
//!     "matmul of f32[32,784] and f32[512,10]: contracted extents must be equal, 784 and 512"));
//! ```

mod axes;
mod builder;
mod contract;
mod einsum;
mod elementwise;
mod error;
mod index;
mod initializer;
mod layer;
mod mask;
mod movement;
mod nested;
mod numeric;
mod operators;
mod parallel;
mod pattern;
mod picks;
mod policy;
mod random;
mod reduce;
mod reparametrize;
pub mod sampling;
mod scan;
mod scope;
mod select;
pub(crate) mod setting;
mod sort;
mod step;
mod tensor;
#[cfg(test)]
mod tests;
mod trigonometric;
mod types;
mod while_loop;
mod window;

pub use builder::{GraphBuilder, KEY, LEARNING_RATE, STEP};
pub use error::{Diagnostic, ModelErrors};
pub use initializer::{
    Distribution, Fan, Fill, Initializer, constant, glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal,
    lecun_uniform, normal, ones, orthogonal, truncated_normal, uniform, zeros,
};
pub use ir::op::window::Window;
pub use ir::{DType, Shape, TensorType};
pub use layer::{LayerId, LayerRecord};
pub(crate) use parallel::{LOCAL, LOSS_SHARE, RANK, SAMPLE_SHARE, SUM};
pub(crate) use pattern::captures;
pub use policy::Policy;
pub use reduce::Cumulative;
pub use scan::{Scan, Scanned, scan};
pub(crate) use scope::{Squash, first_free};
pub use select::{Parameter, Select};
pub use step::{StateRole, StateSpec, Step};
pub use tensor::{Operand, Tensor};
pub use types::{TypeSpec, bf16, bool_, f16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64};
pub use while_loop::while_loop;
