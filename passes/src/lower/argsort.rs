//! Orders along an axis, by a radix sort from the lowest digit up (Hollerith's; Knuth, The Art of Computer Programming 5.2.5): as many passes over a line as a key has bytes, whatever the elements are.
//!
//! Each element is made a key, an integer without sign that is ordered as the elements are; how often each byte occurs is counted in one pass over all. Each of the passes
//! that follow puts keys and positions, in the order so far, where their byte belongs. That is stable, compares nothing, and each line is sorted by one thread.

use super::Lowering;
use super::cx::{KernelCx, Placed};
use super::expr::ValueEmitter;
use crate::PassError;
use ir::op::argsort::ArgSort;
use ir::{DType, NodeId, Scalar, ScalarOp, TensorType};
use kernel::{Access, Affine, BufRef, BufferId, Expr, IndexExpr, Stmt};

/// Bits of a digit.
const BITS: usize = 8;
/// How many values a digit has.
const VALUES: usize = 1 << BITS;
/// The outermost loop has so many iterations, if there are as many: it is what threads share.
const SHARES: usize = 64;

/// Lines of a tensor `[outer, n, inner]` along its middle.
struct SortedLines {
    operand: BufferId,
    result: BufferId,
    ty: TensorType,
    n: usize,
    inner: usize,
    descending: bool,
    /// The check of digits, and of places in a line, which never fails: it is how a kernel uses a value as an index.
    check: u32,
}

/// A line's elements in the order so far: their keys, and their positions in the operand; without these it is the operand's own order.
struct Ordered {
    keys: BufRef,
    positions: Option<BufRef>,
}

/// Lowers an order.
pub(super) fn lower(lowering: &mut Lowering<'_>, anchor: NodeId, op: &ArgSort) -> Result<(), PassError> {
    let source = lowering.graph.operands(anchor)[0];
    let ty = lowering.graph.ty(source).clone();
    let [outer, n, inner] = op.extents(&ty);
    let lines = SortedLines {
        operand: lowering.operand_buffer(source)?,
        result: lowering.result_buffer(anchor),
        ty,
        n,
        inner,
        descending: op.descending,
        check: lowering.check(anchor, n),
    };
    let mut emit = ValueEmitter::new(lowering, None);
    lines.sort(&mut emit.cx, outer);
    emit.finish("argsort".into());
    Ok(())
}

impl SortedLines {
    fn sort(&self, cx: &mut KernelCx, outer: usize) {
        let loops = [(outer, self.n * self.inner), (self.inner, 1)].into_iter().filter(|(extent, _)| *extent > 1);
        let (extents, steps): (Vec<usize>, Vec<usize>) = loops.unzip();
        let at = cx.open_shared(&extents, SHARES);
        cx.floor = usize::from(!extents.is_empty());
        let start = at.iter().zip(steps).fold(Affine::constant(0), |sum, (at, step)| sum.add(&at.scale(step as i64)));

        let shifts = self.shifts();
        let counts: Vec<BufRef> = shifts.iter().map(|_| cx.local(DType::I32, VALUES)).collect();
        let mut from = Ordered { keys: cx.local(self.key(), self.n), positions: None };
        self.count(cx, &start, from.keys, &shifts, &counts);
        let mut spare = None;
        for (pass, (&shift, &places)) in shifts.iter().zip(&counts).enumerate() {
            first_places(cx, places);
            if pass + 1 == shifts.len() {
                self.distribute(cx, &from, (shift, places), |cx, place, _, position| {
                    let at = start.add(&place.scale(self.inner as i64));
                    let result = cx.param(self.result, DType::I32, self.ty.shape.numel(), Access::Write);
                    cx.store(result, &at, position);
                });
                return;
            }
            let to = spare.take().unwrap_or_else(|| (cx.local(self.key(), self.n), cx.local(DType::I32, self.n)));
            self.distribute(cx, &from, (shift, places), |cx, place, key, position| {
                cx.store(to.0, place, key);
                cx.store(to.1, place, position);
            });
            spare = Some((from.keys, from.positions.unwrap_or_else(|| cx.local(DType::I32, self.n))));
            from = Ordered { keys: to.0, positions: Some(to.1) };
        }
    }

    /// The type of keys.
    fn key(&self) -> DType {
        if self.ty.dtype.size_bytes() == 8 { DType::I64 } else { DType::I32 }
    }

    /// By how many bits a key is shifted for each of its digits, from the lowest. The lower half of a `bf16` as an `f32` is the same in all.
    fn shifts(&self) -> Vec<usize> {
        let bytes = match self.ty.dtype {
            DType::I16 | DType::I8 | DType::U16 | DType::U8 => 0..self.ty.dtype.size_bytes(),
            DType::Bf16 => 2..4,
            dtype => 0..dtype.size_bytes().max(4),
        };
        bytes.map(|byte| byte * BITS).collect()
    }

    /// Stores the keys of the line from `start` on, and counts each digit's values.
    fn count(&self, cx: &mut KernelCx, start: &Affine, keys: BufRef, shifts: &[usize], counts: &[BufRef]) {
        let depth = cx.depth();
        let value = Affine::term(cx.open(VALUES), 1);
        counts.iter().for_each(|&counts| cx.store(counts, &value, number(0)));
        cx.close_to(depth);

        let k = Affine::term(cx.open(self.n), 1);
        let operand = cx.param(self.operand, self.ty.dtype, self.ty.shape.numel(), Access::Read);
        let at = cx.depth();
        let element = cx.load_at(operand, &start.add(&k.scale(self.inner as i64)), at);
        let key = self.key_of(cx, element);
        cx.store(keys, &k, key.expr.clone());
        for (&shift, &counts) in shifts.iter().zip(counts) {
            let digit = self.digit(cx, key.clone(), shift);
            let count = cx.load_at(counts, &digit, at);
            cx.store(counts, &digit, Expr::binary(ScalarOp::ADD, count.expr, number(1)));
        }
        cx.close_to(depth);
    }

    /// The element as an integer without sign that is ordered as elements are.
    fn key_of(&self, cx: &mut KernelCx, element: Placed) -> Placed {
        let key = self.key();
        let constant = |bits: u64| Expr::Const(Scalar::from_bits(bits, key));
        let sign = 1 << (8 * key.size_bytes() - 1);
        let level = element.level;
        let mut bind = |value: Expr| cx.bind(value, level).expr;
        let bits = if self.ty.dtype.is_float() {
            let float = if key == DType::I64 { DType::F64 } else { DType::F32 };
            let x = match self.ty.dtype == float {
                true => element.expr,
                false => bind(Expr::Cast(float, Box::new(element.expr))),
            };
            // One zero, and one not a number above all others.
            let zero = Expr::Const(Scalar::zero(float));
            let is_zero = bind(Expr::binary(ScalarOp::EQ, x.clone(), zero.clone()));
            let x = bind(Expr::Apply(ScalarOp::SELECT, vec![is_zero, zero, x]));
            let is_number = bind(Expr::binary(ScalarOp::EQ, x.clone(), x.clone()));
            let bits = bind(Expr::Bitcast(key, Box::new(x)));
            let bits = bind(Expr::Apply(ScalarOp::SELECT, vec![is_number, bits, constant(sign - 1)]));
            // Of negative numbers the largest bits are the least.
            let is_negative = bind(Expr::binary(ScalarOp::LT, bits.clone(), constant(0)));
            let magnitude = bind(Expr::binary(ScalarOp::XOR, bits.clone(), constant(sign - 1)));
            bind(Expr::Apply(ScalarOp::SELECT, vec![is_negative, magnitude, bits]))
        } else if self.ty.dtype == key {
            element.expr
        } else {
            bind(Expr::Cast(key, Box::new(element.expr)))
        };
        // The lowest of signed numbers is 0: of integers that have fewer bits than a key, by their own upper bit.
        let lowest = match self.ty.dtype {
            dtype if dtype.is_unsigned_int() => 0,
            dtype if dtype.is_signed_int() => 1 << (8 * dtype.size_bytes() - 1),
            _ => sign,
        };
        let flipped = if self.descending { !lowest } else { lowest };
        Placed { expr: bind(Expr::binary(ScalarOp::XOR, bits, constant(flipped))), level }
    }

    /// A key's digit as an index.
    fn digit(&self, cx: &mut KernelCx, key: Placed, shift: usize) -> Affine {
        let constant =
            |value: usize| Placed { expr: Expr::Const(Scalar::from_i64(value as i64, self.key())), level: 0 };
        let shifted = cx.apply(ScalarOp::LSHR, &[key, constant(shift)]);
        let digit = cx.apply(ScalarOp::AND, &[shifted, constant(VALUES - 1)]);
        self.index(cx, digit, VALUES)
    }

    fn index(&self, cx: &mut KernelCx, value: Placed, bound: usize) -> Affine {
        let value_of = IndexExpr::Checked { value: Box::new(value.expr), bound: bound as i64, check: self.check };
        cx.let_index(value_of, value.level)
    }

    /// Gives each element, in the order so far, its place by a digit, which is the next of those for the digit's value; `put` gets the place, the key and the position.
    fn distribute(
        &self,
        cx: &mut KernelCx,
        from: &Ordered,
        (shift, places): (usize, BufRef),
        put: impl FnOnce(&mut KernelCx, &Affine, Expr, Expr),
    ) {
        let depth = cx.depth();
        let k = Affine::term(cx.open(self.n), 1);
        let at = cx.depth();
        let key = cx.load_at(from.keys, &k, at);
        let position = match from.positions {
            Some(positions) => cx.load_at(positions, &k, at),
            None => cx.index_value(&k, DType::I32),
        };
        let digit = self.digit(cx, key.clone(), shift);
        let next = cx.load_at(places, &digit, at);
        let after = Expr::binary(ScalarOp::ADD, next.expr.clone(), number(1));
        cx.store(places, &digit, after);
        let place = self.index(cx, next, self.n);
        put(cx, &place, key.expr, position.expr);
        cx.close_to(depth);
    }
}

/// Makes of the counts of a digit's values where the first element of each belongs.
fn first_places(cx: &mut KernelCx, counts: BufRef) {
    let depth = cx.depth();
    let sum = cx.declare(number(0), depth);
    let value = Affine::term(cx.open(VALUES), 1);
    let at = cx.depth();
    let count = cx.load_at(counts, &value, at);
    cx.store(counts, &value, Expr::Reg(sum));
    cx.push(Stmt::Accumulate { reg: sum, op: ScalarOp::ADD, value: count.expr });
    cx.close_to(depth);
}

/// A count or a position.
fn number(value: i32) -> Expr {
    Expr::Const(Scalar::I32(value))
}
