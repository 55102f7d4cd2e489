//! What a program is: types, ops, the graph, its verifier, its text form, its reference interpreter, its derivative rules.
//!
//! This page says what a graph means. The reference interpreter ([`eval`]) is the same in code; whatever a compiler makes of a graph
//! has to agree with both.
//!
//! # Programs
//!
//! A [`Graph`] is a directed acyclic graph of ops. Each node is one op applied to the results of other nodes, its operands, and has
//! one result: a tensor. There is no order among nodes but that operands come first, and nodes have no side effects: two nodes
//! of the same op on the same operands are the same value, and either may stand for the other. That is all that
//! makes rewriting a graph safe.
//!
//! A graph meets the world at named ports. An *input* is a tensor that each run brings. A *state* is a tensor that
//! outlives a run: a parameter, an optimizer's moment, a running mean. An *output* names a node whose value a run gives back. An
//! *update* names a state and the node whose value the state has after the run. Names of inputs are distinct, and so are
//! those of states, of outputs and of updates.
//!
//! Only what outputs and updates depend on is part of the program. Other nodes may or may not be evaluated, and what would go wrong in
//! them doesn't count.
//!
//! # Values and types
//!
//! A value is a dense tensor: elements of one [`DType`] at the places of one [`Shape`], in row-major order (the last axis runs
//! fastest). Every node's type is known before anything runs: shapes are static, and a program for another batch size is another
//! graph. An extent is at least 1, so every tensor has an element; a scalar is a tensor of rank 0. There are no strides, views or
//! aliases in the value model: a reshape is a new value, and that it costs nothing is the compiler's business.
//!
//! | Types | Arithmetic |
//! |---|---|
//! | `f32`, `f64` | IEEE 754 |
//! | `bf16`, `f16` | computed in `f32`, rounded to nearest even: once per elementwise op, once per sum |
//! | `i64`, `i32`, `i16`, `i8` | two's complement, wrapping |
//! | `u64`, `u32`, `u16`, `u8` | unsigned, wrapping |
//! | `bool` | logic; stored as a byte, 0 or 1 |
//!
//! Types are never converted silently. `cast` converts: floats round to nearest even; a float becomes an integer by truncation,
//! saturates at the integer's limits, and is 0 for NaN; integers wrap; to `bool` is `!= 0`. Integer division by 0 is 0.
//!
//! # Broadcasting
//!
//! Elementwise ops take operands of equal shape; nothing is repeated implicitly. The op `broadcast` repeats: it says for each axis of
//! its operand which axis of the result it becomes, and the remaining axes of the result repeat the operand. NumPy's convention
//! (align from the right, extents of 1 repeat) belongs to front ends, which spell it out in these terms
//! ([`Builder::broadcast_to`]). So a rewrite rule never has to ask which of two shapes wins.
//!
//! # States
//!
//! All nodes of a run read a state as it was before the run; all updates happen together after the last node. Swapping two states
//! is two updates. A state without an update keeps its value. That an update is computed in place, in the memory of the old
//! value, is an optimization that nothing can observe.
//!
//! # Floats
//!
//! 1. An elementwise op is the IEEE operation on each element, correctly rounded where IEEE asks for it; no op's result
//!    depends on what stands around it. One liberty is allowed: a product that only goes into a sum may be fused with it,
//!    without the rounding in between (fma): it is decided once for a node, so that an element has the same bits wherever it is computed.
//! 2. Minimum and maximum are those of IEEE 754-2019: NaN as soon as one operand is, and -0 is below +0. So are what is made of them: reductions, pooling, `relu`.
//!    Where the *place* of an extremum is asked for (`argmax`, `pool_argmax`, where a gradient goes), it is the first NaN, else the first of the elements that compare
//!    equal to the extremum, as zeros of both signs do. An order (`argsort`) has NaNs above all numbers.
//! 3. A reduction or a contraction may add in any association, since none is the right one: rounding differs between them. A sum of sums counts as one
//!    sum (of 16-bit floats: rounded on the way or not), and n times the same term as n times the term. The terms stay what they are: no factor is taken out of a sum or into it, because the sum may then
//!    overflow where it didn't, or be NaN where it was 0. A sum that is 0 may have either sign. The association is fixed by the shapes and by the machine compiled for, never by the number of threads, by timing or by
//!    addresses.
//!    Products of `bf16` by `bf16` may take magnitudes below the least normal `f32` for zeros: those of factors, and of sums on the way ([`op::contraction::PairProduct`]).
//!    Running sums are added up in an order of their own, in blocks, which is the same on every machine and keeps their error from growing with their length ([`op::cumsum`]).
//! 4. Functions that no machine has as an instruction (exponentials, logarithms, trigonometry, error function) are within a stated number
//!    of units in the last place of the true value ([`scalar::ScalarDef::max_ulp`]), and right at zeros of both signs, infinities,
//!    NaN, subnormals and next to overflow.
//! 5. Nothing is loosened further without being asked: `x - x` isn't 0 (it may be NaN), `x * 0` isn't 0, and a sum isn't
//!    reordered across ops. Which bits a NaN has is not specified.
//!
//! # Randomness
//!
//! There is no hidden generator. A random op is a pure function of its operands (a key and a step), of its stream number and of an
//! element's position, by a counter-based generator ([`op::random`]). The same key and step give the same random bits on every
//! machine and at any number of threads; the next step gives others. What is computed from the bits obeys rule 4. A front end keeps key and step in states or inputs.
//!
//! # Determinism
//!
//! The same program on the same machine with the same inputs and states gives the same bits: run after run, whatever the number of
//! threads. Two machines may differ in rounding where rules 1, 3 and 4 allow it. Compiling is deterministic too: nothing here
//! iterates in an order that a hash or an address decides, so the same graph gives the same text and the same code.
//!
//! # Errors
//!
//! What can be known from types is refused when a node is added, with the rule, the types and the user's source location
//! ([`BuildError`]). What only values can break is an error of the run: an index outside its table. The run
//! then ends with the op's location; its outputs and updates have no value. Nothing is clamped, and nothing
//! outside a tensor is ever read. NaN and infinity are values, not errors.
//!
//! # Derivatives
//!
//! `gradient` stands for the derivative of a scalar by any node, in reverse mode; `stop_gradient` is its operand, as a constant to
//! derivatives; `weighted_mean` is a dot product divided by the sums of its weights, with a gradient of its own. They have a meaning but no code: a pass replaces them, by the rules that stand beside the ops
//! ([`OpRules::derivative`]), before anything runs. Where a function has a corner the rule picks one of the one-sided derivatives or
//! a value between them, always the same.
//!
//! # Example
//!
//! ```
//! use ir::op::source::{Input, State};
//! use ir::{Builder, DType, Graph, Op, Scalar, ScalarOp, Shape, Spec, TensorType, Value};
//! use std::collections::BTreeMap;
//!
//! // A running sum: total += x, and its square as an output.
//! let ty = TensorType::new(DType::F32, Shape::new([3])?);
//! let mut graph = Graph::new("accumulate");
//! let mut build = Builder::new(&mut graph, None);
//! let x = build.add(Op::Input(Input { name: "x".into(), ty: ty.clone() }), &[])?;
//! let total = build.add(Op::State(State { name: "total".into(), ty: ty.clone() }), &[])?;
//! let sum = build.binary(ScalarOp::ADD, total, x)?;
//! let square = build.binary(ScalarOp::MUL, sum, sum)?;
//! graph.set_output("square", square);
//! graph.set_update("total", sum);
//! ir::verify(&graph, Spec::DECLARED)?;
//!
//! // As text, and back.
//! let text = graph.to_string();
//! assert_eq!(
//!     text,
//!     r#"graph "accumulate" {
//!   %0 = input {name="x"} : f32[3]
//!   %1 = state {name="total"} : f32[3]
//!   %2 = add %1, %0 : f32[3]
//!   %3 = mul %2, %2 : f32[3]
//!   output "square" = %3
//!   update "total" = %2
//! }
//! "#
//! );
//! let parsed = Graph::parse(&text)?;
//! assert!(parsed.same_as(&graph));
//!
//! // A run maps inputs and old states to outputs and new states.
//! let value = |f: fn(usize) -> f32| Value::from_fn(ty.clone(), |i| Scalar::F32(f(i)));
//! let inputs = BTreeMap::from([("x".to_string(), value(|i| i as f32))]);
//! let states = BTreeMap::from([("total".to_string(), value(|_| 1.0))]);
//! let outcome = ir::eval::run(&parsed, &inputs, &states)?;
//! assert_eq!(outcome.outputs["square"].as_f32(), Some(&[1.0, 4.0, 9.0][..]));
//! assert_eq!(outcome.states["total"].as_f32(), Some(&[1.0, 2.0, 3.0][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod data;
pub mod diff;
pub mod dot;
mod dtype;
mod error;
pub mod eval;
mod graph;
pub mod lexer;
mod loc;
mod map;
pub mod op;
pub mod scalar;
mod shape;
pub mod shrink;
mod splitmix;
pub mod text;
mod types;
mod value;
pub mod verify;

pub use build::{BuildResult, Builder};
pub use data::Data;
pub use dtype::DType;
pub use error::{BuildError, RuleError};
pub use eval::EvalError;
pub use graph::{Graph, Node, NodeId};
pub use loc::{Loc, Section};
pub use map::{map_of, try_map_of};
pub use op::{Arity, Cotangent, Family, Op, OpDef, OpRules, OperandGradients};
pub use scalar::{Scalar, ScalarOp};
pub use shape::{MAX_RANK, Shape, ShapeError};
pub use splitmix::SplitMix64;
pub use text::ParseError;
pub use types::TensorType;
pub use value::{Value, ValueError};
pub use verify::{Spec, VerifyErrors, verify};
