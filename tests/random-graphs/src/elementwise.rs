//! Random elementwise ops, drawn from the table of scalar ops: a new one takes part without a change here.

use super::generator::{Generator, Known};
use ir::op::elementwise::Cast;
use ir::scalar::{TypeClass, Typing};
use ir::{DType, Op, ScalarOp, TensorType};

/// What jumps: a last bit of difference in an operand can become a large one.
const JUMPS: [&str; 6] = ["floor", "ceil", "round", "trunc", "sign", "rem"];
/// From a bound of the operands to a bound of the result.
type Growth = fn(f64) -> f64;

/// What is harmless on any finite float, and a bound of the result for operands bounded by `b`.
const HARMLESS: [(&str, Growth); 14] = [
    ("add", |b| 2.0 * b),
    ("sub", |b| 2.0 * b),
    ("mul", |b| b * b),
    ("fma", |b| b * b + b),
    ("neg", |b| b),
    ("abs", |b| b),
    ("relu", |b| b),
    ("min", |b| b),
    ("max", |b| b),
    ("tanh", |_| 1.0),
    ("sigmoid", |_| 1.0),
    ("erf", |_| 1.0),
    ("sin", |_| 1.0),
    ("cos", |_| 1.0),
];
/// Harmless ones whose result is exact where the operands are.
const EXACT: [&str; 5] = ["neg", "abs", "relu", "min", "max"];
/// The bound of what the other functions make of operands from [0.5, 2].
const TAMED_BOUND: f64 = 16.0;

impl Generator<'_> {
    pub(super) fn elementwise(&mut self) {
        if self.rng.one_in(8) {
            return self.cast();
        }
        let ops: Vec<ScalarOp> = ScalarOp::all().collect();
        let op = self.rng.pick(&ops);
        match op.def().typing {
            Typing::Same(class) => self.same(op, class),
            Typing::Compare(class) => self.compare(op, class),
            Typing::Select => self.select(),
        }
    }

    /// An element type of the limits that is in the class, if there is one.
    fn dtype_in(&mut self, class: TypeClass) -> Option<DType> {
        let fitting: Vec<DType> = self.limits.dtypes.iter().copied().filter(|&d| class.contains(d)).collect();
        if fitting.is_empty() { None } else { Some(self.rng.pick(&fitting)) }
    }

    /// `count` operands of one type.
    fn operands(&mut self, dtype: DType, count: usize) -> Vec<Known> {
        let first = self.any_of(dtype);
        let first = self.settled(first);
        let ty = self.ty(first);
        let mut operands = vec![first];
        while operands.len() < count {
            let next = self.like(&ty);
            operands.push(self.settled(next));
        }
        operands
    }

    fn exact_operands(&mut self, dtype: DType, count: usize) -> Vec<Known> {
        let first = self.any_of(dtype);
        let ty = self.ty(first);
        (0..count).map(|_| self.exact_like(&ty)).collect()
    }

    fn same(&mut self, op: ScalarOp, class: TypeClass) {
        let Some(dtype) = self.dtype_in(class) else { return };
        let (name, arity) = (op.name(), op.arity());
        let op = Op::Elementwise(op);
        if !dtype.is_float() {
            let operands = self.exact_operands(dtype, arity);
            self.add(op, &operands, true, 0.0);
        } else if JUMPS.contains(&name) {
            let mut operands = self.exact_operands(dtype, arity);
            if name == "rem" {
                // Only a remainder by a whole power of two is exact, and a divisor of 0 would give NaN.
                let ty = self.ty(operands[0]);
                operands[1] = self.full(2.0, &ty);
            }
            let bound = operands[0].bound + 1.0;
            self.add(op, &operands, true, bound);
        } else if let Some((_, grow)) = HARMLESS.iter().find(|(n, _)| *n == name) {
            let operands = self.operands(dtype, arity);
            let bound = operands.iter().map(|k| k.bound).fold(0.0, f64::max);
            self.add(op, &operands, EXACT.contains(&name), grow(bound));
        } else {
            let operands: Vec<Known> = self.operands(dtype, arity).into_iter().map(|x| self.tamed(x)).collect();
            self.add(op, &operands, false, TAMED_BOUND);
        }
    }

    fn compare(&mut self, op: ScalarOp, class: TypeClass) {
        if let Some(dtype) = self.dtype_in(class) {
            let operands = self.exact_operands(dtype, op.arity());
            self.add(Op::Elementwise(op), &operands, true, 0.0);
        }
    }

    fn select(&mut self) {
        let Some(dtype) = self.dtype_in(TypeClass::Any) else { return };
        let on = self.any_of(dtype);
        let ty = self.ty(on);
        let off = self.like(&ty);
        let condition = self.exact_like(&TensorType::new(DType::Bool, ty.shape));
        let bound = on.bound.max(off.bound);
        self.add(Op::Elementwise(ScalarOp::SELECT), &[condition, on, off], true, bound);
    }

    fn cast(&mut self) {
        let from = self.rng.pick(&self.limits.dtypes);
        let to = self.rng.pick(&self.limits.dtypes);
        let x = self.any_of(from);
        let jumps = from.is_float() && !to.is_float();
        let ty = self.ty(x);
        let x = if jumps { self.exact_like(&ty) } else { x };
        // Integers may be anything up to 2^31 after a few products; those without a sign wrap at 0.
        let bound = match from {
            DType::U64 if to.is_float() => 2e19,
            from if from.is_int() && to.is_float() => 1e10,
            _ => x.bound.max(1.0),
        };
        let exact = to.size_bytes() >= from.size_bytes() || !to.is_float();
        self.add(Op::Cast(Cast { dtype: to }), &[x], exact, bound);
    }
}
