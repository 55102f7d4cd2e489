//! What a machine does: programs of loops over buffers, with a text form, a verifier and an interpreter.
//!
//! A [`Program`] owns buffers, kernels and an ordered list of launches. A kernel is a function of its parameters (pointers to
//! elements): nested loops whose bodies load, compute and store. Vector widths, tiles, unrolling and what runs in parallel stand in the kernel and
//! show in its text, so that emitters have nothing to decide but what is inside of a tile ([`Micro`]) and which instructions a statement is.
//!
//! - Types: [`Program`], [`Kernel`], [`Stmt`], [`Expr`], [`Affine`], [`Micro`]; each doc comment gives the text form.
//! - Making and changing them: [`Fresh`], [`Types`], [`walk`], [`vectorize_body`], [`Kernel::canonical`].
//! - [`text`]: programs print (`Display`) and parse (`FromStr`). [`mod@verify`]: what machine code may rely on. [`mod@eval`]: the
//!   interpreter.

mod affine;
mod buffer;
mod canonical;
pub mod eval;
mod expr;
mod fingerprint;
mod fresh;
mod interval;
mod kernel;
mod micro;
mod stmt;
mod target;
pub mod text;
mod typing;
mod unused;
mod vectorize;
pub mod verify;
pub mod walk;
mod work;

pub use affine::{Affine, IndexExpr, IndexVar};
pub use buffer::{Buffer, BufferId, BufferKind, Check, Launch, Origin, Program, join_origins};
pub use canonical::CodePool;
pub use expr::{BufRef, Expr, Reg};
pub use fingerprint::Fingerprint;
pub use fresh::Fresh;
pub use interval::{Interval, Ranges};
pub use ir::{DType, Data, Scalar, ScalarOp, scalar};
pub use kernel::{Access, Code, Kernel, Local, Param};
pub use micro::{Micro, ReduceDim, TileOperand, TileSums, dot_pair, dot_quad};
pub use stmt::{LoopKind, Stmt};
pub use target::{Caches, InstructionSet, Target, TargetError, TileTarget, parse_size};
pub use typing::{MAX_LANES, TypeError, Types, ValueType, check_foldable};
pub use vectorize::vectorize_body;
pub use verify::{InPlaceProofs, Spec, VerifyError, VerifyErrors, in_place_safe, verify, verify_but, verify_kernel};
pub use work::Work;
