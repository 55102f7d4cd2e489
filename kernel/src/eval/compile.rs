//! Kernels in a form that runs without looking anything up: names become slots.

use super::ArenaSpan;
use super::strip::Strip;
use crate::{
    Affine, BufRef, DType, Expr, IndexExpr, IndexVar, Kernel, LoopKind, Micro, ReduceDim, Reg, Scalar, ScalarOp, Stmt,
    TileOperand, Types,
};
use std::collections::BTreeMap;

/// An affine index over slots.
#[derive(Clone, Debug)]
pub(super) struct SlotIndex {
    pub(super) terms: Vec<(usize, i64)>,
    pub(super) offset: i64,
}

/// Parameters, then locals.
pub(super) type BufferSlot = usize;

/// An expression; evaluated lane by lane.
#[derive(Clone, Debug)]
pub(super) enum ExprCode {
    Const(Scalar),
    Reg(usize),
    Index { index: SlotIndex, dtype: DType, stride: i64 },
    Load { buf: BufferSlot, index: SlotIndex, stride: i64 },
    Apply1(ScalarOp, Box<Self>),
    Apply2(ScalarOp, Box<[Self; 2]>),
    Apply3(ScalarOp, Box<[Self; 3]>),
    Cast(DType, Box<Self>),
    Bitcast(DType, Box<Self>),
    Splat(Box<Self>),
    Fold { op: ScalarOp, value: Box<Self>, lanes: usize },
}

#[derive(Clone, Debug)]
pub(super) enum BytecodeInstr {
    For {
        var: usize,
        extent: i64,
        parallel: bool,
        body: Vec<Self>,
        /// The same body for all iterations at once, if it is that simple.
        strip: Option<Box<Strip>>,
    },
    LetIndex {
        var: usize,
        value: IndexCode,
    },
    /// `Let`, `Decl` and `Assign` alike.
    Set {
        reg: usize,
        lanes: usize,
        value: ExprCode,
        /// Whether it is an `Assign`.
        again: bool,
    },
    Accumulate {
        reg: usize,
        lanes: usize,
        op: ScalarOp,
        value: ExprCode,
    },
    Store {
        buf: BufferSlot,
        index: SlotIndex,
        lanes: usize,
        value: ExprCode,
    },
    If {
        condition: ExprCode,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    Micro(Box<MicroStep>),
}

#[derive(Clone, Debug)]
pub(super) enum IndexCode {
    Affine(SlotIndex),
    Div(SlotIndex, i64),
    Rem(SlotIndex, i64),
    Clamp(SlotIndex, i64, i64),
    Checked { value: ExprCode, bound: i64, check: u32 },
}

#[derive(Clone, Debug)]
pub(super) struct TileFactor {
    pub(super) buf: BufferSlot,
    pub(super) base: SlotIndex,
    pub(super) stride: i64,
}

#[derive(Clone, Debug)]
pub(super) struct MicroStep {
    pub(super) m: i64,
    pub(super) n: i64,
    pub(super) a: TileFactor,
    pub(super) b: TileFactor,
    pub(super) reduce: Vec<ReduceDim>,
    pub(super) dtype: DType,
    /// The place of the sums.
    pub(super) c: TileFactor,
    pub(super) accumulate: bool,
}

/// A kernel that can be run.
#[derive(Clone, Debug)]
pub(super) struct Bytecode {
    pub(super) body: Vec<BytecodeInstr>,
    pub(super) params: usize,
    pub(super) locals: Vec<ArenaSpan>,
    pub(super) index_slots: usize,
    pub(super) reg_slots: usize,
}

impl Bytecode {
    /// A kernel that the verifier passed but for bounds; its locals take memory from `end` on.
    pub(super) fn new(kernel: &Kernel, end: &mut usize) -> Self {
        let locals = kernel.locals.iter().map(|local| {
            let start = *end;
            *end = end.saturating_add(local.len.saturating_mul(local.dtype.size_bytes()));
            ArenaSpan { start, len: local.len, dtype: local.dtype }
        });
        let locals: Vec<ArenaSpan> = locals.collect();
        // A verified kernel has types; one that hasn't isn't run.
        let types = Types::of_kernel(kernel).unwrap_or_default();
        let params = kernel.params.len();
        let mut compiler = Compiler { types, params, indices: BTreeMap::new(), regs: BTreeMap::new(), reg_slots: 0 };
        let body = compiler.body(&kernel.body);
        Self { body, params, locals, index_slots: compiler.indices.len(), reg_slots: compiler.reg_slots }
    }
}

struct Compiler {
    types: Types,
    params: usize,
    indices: BTreeMap<IndexVar, usize>,
    regs: BTreeMap<Reg, usize>,
    reg_slots: usize,
}

impl Compiler {
    fn index_slot(&mut self, var: IndexVar) -> usize {
        let next = self.indices.len();
        *self.indices.entry(var).or_insert(next)
    }

    fn reg_lanes(&self, reg: Reg) -> usize {
        self.types.reg(reg).map_or(1, |ty| usize::from(ty.lanes))
    }

    /// The slot of the first lane.
    fn reg_slot(&mut self, reg: Reg) -> usize {
        let (next, lanes) = (self.reg_slots, self.reg_lanes(reg));
        let slot = *self.regs.entry(reg).or_insert(next);
        if slot == next {
            self.reg_slots += lanes;
        }
        slot
    }

    fn buffer(&self, buf: BufRef) -> BufferSlot {
        match buf {
            BufRef::Param(p) => p as usize,
            BufRef::Local(l) => self.params + l as usize,
        }
    }

    fn index(&mut self, index: &Affine) -> SlotIndex {
        SlotIndex {
            terms: index.terms().iter().map(|&(v, c)| (self.index_slot(v), c)).collect(),
            offset: index.offset(),
        }
    }

    fn body(&mut self, body: &[Stmt]) -> Vec<BytecodeInstr> {
        body.iter().map(|s| self.step(s)).collect()
    }

    fn step(&mut self, stmt: &Stmt) -> BytecodeInstr {
        match stmt {
            Stmt::For { var, extent, kind, body } => {
                let (var, body) = (self.index_slot(*var), self.body(body));
                let parallel = *kind == LoopKind::Parallel;
                let strip = if parallel { None } else { Strip::of(var, &body).map(Box::new) };
                BytecodeInstr::For { var, extent: *extent as i64, parallel, body, strip }
            }
            Stmt::LetIndex { var, value } => {
                let value = self.index_node(value);
                BytecodeInstr::LetIndex { var: self.index_slot(*var), value }
            }
            Stmt::Let { reg, value } | Stmt::Decl { reg, init: value } | Stmt::Assign { reg, value } => {
                let value = self.node(value);
                let again = matches!(stmt, Stmt::Assign { .. });
                BytecodeInstr::Set { reg: self.reg_slot(*reg), lanes: self.reg_lanes(*reg), value, again }
            }
            Stmt::Accumulate { reg, op, value } => {
                let value = self.node(value);
                BytecodeInstr::Accumulate { reg: self.reg_slot(*reg), lanes: self.reg_lanes(*reg), op: *op, value }
            }
            Stmt::Store { buf, index, value } => {
                let lanes = self.types.type_of(value).map_or(1, |ty| usize::from(ty.lanes));
                BytecodeInstr::Store {
                    buf: self.buffer(*buf),
                    index: self.index(index),
                    lanes,
                    value: self.node(value),
                }
            }
            Stmt::If { condition, then, otherwise } => BytecodeInstr::If {
                condition: self.node(condition),
                then: self.body(then),
                otherwise: self.body(otherwise),
            },
            Stmt::Micro(micro) => BytecodeInstr::Micro(Box::new(self.micro(micro))),
        }
    }

    fn micro(&mut self, micro: &Micro) -> MicroStep {
        MicroStep {
            m: micro.m as i64,
            n: micro.n as i64,
            a: self.factor(&micro.a),
            b: self.factor(&micro.b),
            reduce: micro.reduce.clone(),
            dtype: self.types.element(micro.a.buf).unwrap_or(DType::F32),
            c: TileFactor { buf: self.buffer(micro.c.buf), base: self.index(&micro.c.base), stride: micro.c.stride },
            accumulate: micro.c.accumulate,
        }
    }

    fn factor(&mut self, operand: &TileOperand) -> TileFactor {
        TileFactor { buf: self.buffer(operand.buf), base: self.index(&operand.base), stride: operand.stride }
    }

    fn index_node(&mut self, value: &IndexExpr) -> IndexCode {
        match value {
            IndexExpr::Affine(a) => IndexCode::Affine(self.index(a)),
            IndexExpr::Div(a, by) => IndexCode::Div(self.index(a), *by),
            IndexExpr::Rem(a, by) => IndexCode::Rem(self.index(a), *by),
            IndexExpr::Clamp(a, lo, hi) => IndexCode::Clamp(self.index(a), *lo, *hi),
            IndexExpr::Checked { value, bound, check } => {
                IndexCode::Checked { value: self.node(value), bound: *bound, check: *check }
            }
        }
    }

    fn node(&mut self, expr: &Expr) -> ExprCode {
        match expr {
            Expr::Const(value) => ExprCode::Const(*value),
            Expr::Reg(reg) => ExprCode::Reg(self.reg_slot(*reg)),
            Expr::Index { index, dtype, stride, .. } => {
                ExprCode::Index { index: self.index(index), dtype: *dtype, stride: *stride }
            }
            Expr::Load { buf, index, stride, .. } => {
                ExprCode::Load { buf: self.buffer(*buf), index: self.index(index), stride: *stride }
            }
            Expr::Apply(op, args) => self.apply(*op, args),
            Expr::Cast(dtype, value) => ExprCode::Cast(*dtype, Box::new(self.node(value))),
            Expr::Bitcast(dtype, value) => ExprCode::Bitcast(*dtype, Box::new(self.node(value))),
            Expr::Splat(_, value) => ExprCode::Splat(Box::new(self.node(value))),
            Expr::Fold(op, value) => {
                let lanes = self.types.type_of(value).map_or(1, |ty| usize::from(ty.lanes));
                ExprCode::Fold { op: *op, value: Box::new(self.node(value)), lanes }
            }
        }
    }

    fn apply(&mut self, op: ScalarOp, args: &[Expr]) -> ExprCode {
        match args {
            [a] => ExprCode::Apply1(op, Box::new(self.node(a))),
            [a, b] => ExprCode::Apply2(op, Box::new([self.node(a), self.node(b)])),
            [a, b, c] => ExprCode::Apply3(op, Box::new([self.node(a), self.node(b), self.node(c)])),
            // No scalar op has another number of operands; the verifier has counted them.
            _ => ExprCode::Const(Scalar::F32(f32::NAN)),
        }
    }
}
