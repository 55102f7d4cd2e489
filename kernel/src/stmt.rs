//! Statements.

use crate::{Affine, BufRef, Expr, IndexExpr, IndexVar, Micro, Reg, ScalarOp};

/// How a loop runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LoopKind {
    /// One iteration after the other.
    Serial,
    /// Iterations are independent and may run on several threads. Only as the one outermost statement of a kernel: the compiled
    /// kernel takes a range of iterations.
    Parallel,
    /// A strip: the body is straight-line vector code (`Let`, `Store`, `Accumulate`, `Assign` on vectors), one vector an iteration.
    /// An emitter may run it with other means than its general ones.
    Vector,
}

/// A statement.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stmt {
    /// Runs the body with `var` = 0, 1, ... `extent - 1`; the extent is at least 1.
    /// Text: `for i0 in 0..32 { .. }`, `parallel i0 in 0..32 { .. }`, `vector i0 in 0..32 { .. }`.
    For {
        /// The index variable.
        var: IndexVar,
        /// How many iterations.
        extent: usize,
        /// How it runs.
        kind: LoopKind,
        /// What runs.
        body: Vec<Stmt>,
    },
    /// Binds an index. Text: `let i3 = (i0 + 1) / 4`.
    LetIndex {
        /// The variable.
        var: IndexVar,
        /// Its value.
        value: IndexExpr,
    },
    /// Binds a value that doesn't change. Text: `let v1 = add(v0, 1.0f32)`.
    Let {
        /// The value's name.
        reg: Reg,
        /// The value.
        value: Expr,
    },
    /// Declares an accumulator with its first value. Text: `var v2 = 0.0f32`.
    Decl {
        /// The accumulator.
        reg: Reg,
        /// The first value; it gives the type and the lanes.
        init: Expr,
    },
    /// Folds into an accumulator: `reg = op(reg, value)`. Text: `v2 add= mul(v0, v1)`.
    Accumulate {
        /// The accumulator.
        reg: Reg,
        /// A commutative, associative op.
        op: ScalarOp,
        /// What is folded in.
        value: Expr,
    },
    /// Sets an accumulator. Text: `v2 = fma(v0, v1, v2)`.
    Assign {
        /// The accumulator.
        reg: Reg,
        /// The new value.
        value: Expr,
    },
    /// Writes a value; lane `l` at `index + l`. Text: `store p1[i0*4] = v3`.
    Store {
        /// Where to.
        buf: BufRef,
        /// Element index of lane 0.
        index: Affine,
        /// What.
        value: Expr,
    },
    /// Runs one of two bodies. Text: `if lt(v1, v2) { .. } else { .. }`.
    If {
        /// A scalar `bool`.
        condition: Expr,
        /// Where it holds.
        then: Vec<Stmt>,
        /// Where not; may be empty.
        otherwise: Vec<Stmt>,
    },
    /// A tile of a contraction.
    Micro(Box<Micro>),
}

impl Stmt {
    /// A loop that runs one iteration after the other.
    pub fn serial(var: IndexVar, extent: usize, body: Vec<Self>) -> Self {
        Self::For { var, extent, kind: LoopKind::Serial, body }
    }
}
