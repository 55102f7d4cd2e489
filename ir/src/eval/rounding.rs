//! How much of a graph's results is rounding: the graph is evaluated again with every rounding moved a little, and what moves with it is not to be compared.
//!
//! Two right evaluations of one graph differ, as sums are added in another order, products are fused into sums, functions are approximated. How far results may
//! differ follows from the graph on the values given: a difference of two large numbers has few digits, a product has nearly all. So no fixed tolerance
//! is right. [`trial`] is an evaluation in which the result of each op that rounds is moved, at each element, up or down by some units in its last
//! place, by more for a sum of large terms; [`bound`] is how far trials strayed from the plain evaluation.
//! (The idea is that of Vignes's CESTAC method: "A stochastic arithmetic for reliable scientific computation", Math. Comput. Simul. 35, 1993.)
//!
//! What doesn't round isn't moved: elements that are copied, chosen, or compared. So results that are exact have the bound 0. Where an op jumps (a comparison, `floor`,
//! an `argmax`, a conversion to integers) and its operand is so near the step that trials fall on both sides, its result differs between trials: such a truth
//! value or integer is said to be undetermined, and so is what is chosen by it, if that differs; no right evaluation need have either. Where all trials fall on one
//! side, the element is compared as any other. Some trials decide as the plain evaluation did, whatever they find: where it met a tie, which any move ends, no
//! other trial would show what rounds on the way that it took.
//!
//! ```
//! use ir::eval::rounding;
//! use ir::{Graph, Scalar, Value};
//! use std::collections::BTreeMap;
//!
//! let graph = Graph::parse(r#"graph "g" {
//!   %0 = input {name="x"} : f32[1]
//!   %1 = exp %0 : f32[1]
//!   %2 = add %1, %0 : f32[1]
//!   %3 = sub %2, %1 : f32[1]
//!   output "well" = %1
//!   output "badly" = %3
//! }"#)?;
//! let x = Value::splat(Scalar::F32(6.0), ir::Shape::new([1])?);
//! let inputs = BTreeMap::from([("x".to_string(), x)]);
//! let (plain, decisions) = rounding::plain(&graph, &inputs, &BTreeMap::new())?;
//! let mut trials = vec![];
//! for number in 0..rounding::TRIALS {
//!     let trial = rounding::trial(&graph, &inputs, &BTreeMap::new(), &decisions, number, rounding::Moved::NearMiddle)?;
//!     trials.push(trial.outputs);
//! }
//! let relative = |name: &str| {
//!     let of_trials: Vec<&Value> = trials.iter().map(|trial| &trial[name]).collect();
//!     rounding::bound(&plain.outputs[name], &of_trials)[0] / plain.outputs[name].get(0).as_f64()
//! };
//! assert!(relative("well") < 1e-5);
//! // The difference of 409 and 403 has two digits less.
//! assert!(relative("badly") > 1e-4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::run::run_watched;
use super::{RunError, RunResults};
use crate::op::random::{Random, RandomKind, philox};
use crate::op::reduce::{Reduce, ReduceKind};
use crate::op::window::{Pool, PoolKind};
use crate::{DType, EvalError, Family, Graph, NodeId, Op, Scalar, ScalarOp, Shape, TensorType, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// As many trials see nearly all steps that lie within reach, and come near the worst of a sum of a few roundings.
pub const TRIALS: u32 = 10;
/// Of so many trials one decides as the plain evaluation.
const DECIDED: u32 = 3;
/// How far an op's result is moved on average, in units in the last place of what it adds up: several times what one rounding is, so that what evaluations
/// differ by is well within what trials do. One move may be half of that or one and a half: equal ones would cancel each other.
const UNITS: f64 = 4.0;
/// The bound, in terms of how far the trials strayed. With 2 one of 5,000 models of sequences was beyond it by a half: the gradient of a bias that is nearly all
/// cancellation, after three steps.
const SPREADS: f64 = 4.0;

/// Which roundings to 16 bits a trial moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moved {
    /// Those of numbers that lie near the middle between two: the other one may be right, and nothing else.
    NearMiddle,
    /// Every one. Of the many elements of several steps in a row some lie so near the middle that few trials come down on the other side, and none may: what is made of
    /// them is then compared as if it were sure.
    All,
}

/// What ops that jump decided in a plain evaluation, in the order of evaluation.
#[derive(Clone, Debug)]
pub struct Decisions(Vec<Value>);

/// Evaluates a graph as [`super::run`] does, and notes what was decided.
///
/// # Errors
/// As [`super::run`].
pub fn plain(
    graph: &Graph,
    inputs: &BTreeMap<String, Value>,
    states: &BTreeMap<String, Value>,
) -> Result<(RunResults, Decisions), RunError> {
    let mut decisions = Decisions(vec![]);
    let outcome = run_watched(graph, inputs, states, &mut |graph, node, operands, value| {
        match decides_by(graph.op(node), operands, value.ty()) {
            Some(By::Result) => decisions.0.push(value.clone()),
            Some(By::First) => decisions.0.push(operands[0].clone()),
            None => {}
        }
        Ok(())
    })?;
    Ok((outcome, decisions))
}

/// Evaluates a graph with the roundings moved, in another way for each number. Inputs and states are as [`super::run`] takes them; to follow several steps, give
/// each trial the states that the same one had after the step before, and the decisions of the plain evaluation of this step.
///
/// # Errors
/// As [`super::run`]. An index that is made of rounded numbers may be out of range in a trial alone.
pub fn trial(
    graph: &Graph,
    inputs: &BTreeMap<String, Value>,
    states: &BTreeMap<String, Value>,
    decisions: &Decisions,
    number: u32,
    moved: Moved,
) -> Result<RunResults, RunError> {
    let mut decided = (number % DECIDED == DECIDED - 1).then(|| decisions.0.iter());
    let mut moves = Moves { trial: number, nodes: 0, moved };
    run_watched(graph, inputs, states, &mut |graph, node, operands, value| {
        let op = graph.op(node);
        if let Some(decided) = &mut decided
            && let Some(by) = decides_by(op, operands, value.ty())
            && let Some(decision) = decided.next()
        {
            *value = match by {
                By::Result => decision.clone(),
                By::First => op.rules().eval(&[&[decision], &operands[1..]].concat(), value.ty())?,
            };
        }
        moves.apply(graph, node, operands, value)
    })
}

/// What a decision is.
enum By {
    /// The result.
    Result,
    /// Which elements of the first operand are the largest.
    First,
}

/// What an op decides, if a small change of an operand may change it altogether.
fn decides_by(op: &Op, operands: &[&Value], ty: &TensorType) -> Option<By> {
    let float = || operands.iter().any(|operand| operand.ty().dtype.is_float());
    match op {
        Op::PoolMaxGrad(_) | Op::PoolMaxTake(_) => Some(By::First),
        Op::Elementwise(op) if STEPS.contains(&op.name()) => Some(By::Result),
        _ => (!ty.dtype.is_float() && float()).then_some(By::Result),
    }
}

/// Functions that are constant but for steps.
const STEPS: [&str; 5] = ["sign", "floor", "ceil", "round", "trunc"];

/// How far each element of a right evaluation may be from the plain one's, by what trials made of it. Infinite where that is anything: where trials
/// disagree in a truth value or an integer, or on whether a number is finite.
pub fn bound(plain: &Value, trials: &[&Value]) -> Vec<f64> {
    (0..plain.data().len()).map(|i| bound_at(i, plain, trials)).collect()
}

/// As [`bound`], of the element at one place.
pub(super) fn bound_at(i: usize, plain: &Value, trials: &[&Value]) -> f64 {
    let (of, float) = (plain.get(i).as_f64(), plain.ty().dtype.is_float());
    trials.iter().fold(0.0f64, |bound, trial| {
        let moved = trial.get(i).as_f64();
        let same = of == moved || of.is_nan() && moved.is_nan();
        let distance = if same { 0.0 } else { SPREADS * (of - moved).abs() };
        bound.max(if same || float && distance.is_finite() { distance } else { f64::INFINITY })
    })
}

/// The moves of one trial.
struct Moves {
    trial: u32,
    /// How many nodes have been evaluated.
    nodes: u32,
    moved: Moved,
}

impl Moves {
    fn apply(&mut self, graph: &Graph, node: NodeId, operands: &[&Value], value: &mut Value) -> Result<(), EvalError> {
        self.nodes += 1;
        let op = graph.op(node);
        let dtype = value.ty().dtype;
        let Some(unit) = unit_of(dtype) else { return Ok(()) };
        let Some(rounding) = rounding(op, operands, value.ty()) else { return Ok(()) };
        // 16-bit floats are computed in `f32`: only where that lies near the middle of two of them may another one be right.
        let unrounded = match op {
            _ if dtype.size_bytes() == 2 => Some(in_f32(op, operands, value.ty())?),
            _ => None,
        };
        let sizes = match rounding.sizes {
            Sizes::Own => None,
            Sizes::Of(op, operands) => {
                let ty = unrounded.as_ref().unwrap_or(value).ty().clone();
                let operands: Vec<&Value> = operands.iter().collect();
                Some(op.rules().eval(&operands, &ty)?)
            }
        };
        let halves = match self.moved {
            _ if !dtype.is_short_float() => 0.0,
            Moved::All => 2.0,
            Moved::NearMiddle => f64::from(u8::from(goes_into_a_sum(graph, node))),
        };
        // In every other trial all elements go the same way, as they do where a function is off to one side.
        let mut directions = Directions::of(self);
        let together = self.trial.is_multiple_of(2).then(|| directions.at(u32::MAX));
        let data = value.data_mut();
        for i in 0..data.len() {
            let of = data.get(i).as_f64();
            let plain = unrounded.as_ref().map_or(of, |unrounded| unrounded.get(i).as_f64());
            let size = sizes.as_ref().map(|sizes| sizes.get(i).as_f64()).filter(|size| size.is_finite());
            let size = size.unwrap_or(0.0).max(plain.abs());
            if size == 0.0 || !plain.is_finite() {
                continue;
            }
            let mut by = (UNITS * rounding.units * unit * size).max(UNITS * smallest(dtype));
            if halves > 0.0 && of != plain {
                by = by.max(halves * half_a_unit(dtype, plain));
            }
            let direction = together.unwrap_or_else(|| directions.at(i as u32));
            data.set(i, Scalar::from_f64(plain + by * direction, dtype));
        }
        Ok(())
    }
}

/// Which way a trial moves the elements of a node: random numbers, sixteen at a time.
struct Directions {
    trial: u32,
    node: u32,
    /// The numbers of the last sixteen elements that were asked for, and which those are.
    words: (u32, [u32; 4]),
}

impl Directions {
    fn of(moves: &Moves) -> Self {
        let (trial, node) = (moves.trial, moves.nodes);
        Self { trial, node, words: (0, Self::words(trial, node, 0)) }
    }

    fn words(trial: u32, node: u32, sixteen: u32) -> [u32; 4] {
        philox([trial, 0], [node, sixteen, 0, 0])
    }

    /// Up or down, from a half to one and a half.
    fn at(&mut self, element: u32) -> f64 {
        let sixteen = element / 16;
        if self.words.0 != sixteen {
            self.words = (sixteen, Self::words(self.trial, self.node, sixteen));
        }
        let byte = self.words.1[element as usize / 4 % 4].to_le_bytes()[element as usize % 4];
        let size = 0.5 + f64::from(byte >> 1) / 127.0;
        if byte & 1 == 1 { size } else { -size }
    }
}

/// The unit in the last place at 1 of the type that a float type is computed in.
fn unit_of(dtype: DType) -> Option<f64> {
    match dtype {
        DType::F64 => Some(f64::EPSILON),
        dtype if dtype.is_float() => Some(f64::from(f32::EPSILON)),
        _ => None,
    }
}

/// The distance between numbers next to zero of the type that a float type is computed in.
fn smallest(dtype: DType) -> f64 {
    if dtype == DType::F64 { f64::from_bits(1) } else { f64::from(f32::from_bits(1)) }
}

/// Whether a sum is a term of another one, moved or negated in between: the two count as one sum, which need not be rounded to 16 bits on the way.
fn goes_into_a_sum(graph: &Graph, node: NodeId) -> bool {
    if !adds_up(graph.op(node)) {
        return false;
    }
    let (mut seen, mut open) = (BTreeSet::from([node]), vec![node]);
    while let Some(node) = open.pop() {
        for user in graph.users(node) {
            let op = graph.op(user);
            if matches!(op, Op::Reduce(Reduce { kind: ReduceKind::Sum, .. })) {
                return true;
            }
            let moves = op.family() == Family::Movement || *op == Op::Elementwise(ScalarOp::NEG);
            if moves && seen.insert(user) {
                open.push(user);
            }
        }
    }
    false
}

/// How far rounding to a type of 16 bits moves a number at most, or a bit further.
fn half_a_unit(dtype: DType, of: f64) -> f64 {
    let (unit, smallest) = if dtype == DType::F16 { (2f64.powi(-11), 2f64.powi(-25)) } else { (2f64.powi(-8), 0.0) };
    (unit * of.abs()).max(smallest)
}

/// How an op rounds.
struct Rounding {
    /// In units in the last place, of the sizes.
    units: f64,
    sizes: Sizes,
}

/// What roundings are relative to.
enum Sizes {
    /// The result.
    Own,
    /// The result of this op for these operands: the sum of the magnitudes of all that is added up.
    Of(Op, Vec<Value>),
}

/// How an op rounds a float result; not at all if that is nothing but elements of its operands.
fn rounding(op: &Op, operands: &[&Value], ty: &TensorType) -> Option<Rounding> {
    let magnitudes = |op: &Op| {
        let magnitudes = operands.iter().map(|operand| magnitude(operand)).collect();
        Sizes::Of(op.clone(), magnitudes)
    };
    let terms = operands.iter().map(|operand| operand.data().len()).max().unwrap_or(1) as f64;
    // A sum in any order that adds halves to halves.
    let sum = Some(Rounding { units: 1.0 + terms.log2(), sizes: magnitudes(op) });
    match op {
        Op::Elementwise(op) => scalar_rounding(*op, magnitudes),
        op if adds_up(op) => sum,
        // Each factor's rounding is one of the product.
        Op::Reduce(Reduce { kind: ReduceKind::Prod, .. }) => {
            Some(Rounding { units: terms / ty.shape.numel() as f64, sizes: Sizes::Own })
        }
        // Which places the sums go to depends on the first operand's signs.
        Op::PoolMaxGrad(_) => {
            let operands = vec![operands[0].clone(), magnitude(operands[1])];
            Some(Rounding { units: 1.0 + terms.log2(), sizes: Sizes::Of(op.clone(), operands) })
        }
        // A cosine near its zeros is as exact as one of 1 is.
        Op::Random(Random { kind: RandomKind::Normal, .. }) => {
            Some(Rounding { units: 4.0, sizes: Sizes::Of(ones(&ty.shape), vec![]) })
        }
        Op::PairProduct(_) => Some(Rounding { units: 1.0 + terms.log2(), sizes: Sizes::Own }),
        _ => None,
    }
}

/// Ops each of whose elements is a sum of numbers or products.
fn adds_up(op: &Op) -> bool {
    matches!(
        op,
        Op::Reduce(Reduce { kind: ReduceKind::Sum, .. })
            | Op::Pool(Pool { kind: PoolKind::Sum, .. })
            | Op::CumSum(_)
            | Op::Dot(_)
            | Op::Conv(_)
            | Op::ConvInputGrad(_)
            | Op::ConvWeightGrad(_)
            | Op::WeightedMean(_)
            | Op::ScatterAdd(_)
            | Op::Unpool(_)
            | Op::PoolSumGrad(_)
    )
}

fn ones(shape: &Shape) -> Op {
    Op::Full(crate::op::source::Full { value: Scalar::F32(1.0), shape: shape.clone() })
}

/// Ops whose result is one of the operands, its negative, or exact where it isn't.
const EXACT: [&str; 11] = ["neg", "abs", "sign", "min", "max", "relu", "select", "floor", "ceil", "round", "trunc"];

fn scalar_rounding(op: ScalarOp, magnitudes: impl Fn(&Op) -> Sizes) -> Option<Rounding> {
    let units = 1.0 + f64::from(op.def().max_ulp);
    let sizes = match op.name() {
        name if EXACT.contains(&name) || STEPS.contains(&name) => return None,
        "add" | "sub" => magnitudes(&Op::Elementwise(ScalarOp::ADD)),
        "fma" => magnitudes(&Op::Elementwise(op)),
        // A remainder is as exact as what multiples of the divisor were taken from.
        "rem" => magnitudes(&Op::Elementwise(ScalarOp::MAX)),
        _ => Sizes::Own,
    };
    Some(Rounding { units, sizes })
}

/// The absolute values of floats; others as they are, for they are indices and conditions.
fn magnitude(value: &Value) -> Value {
    let dtype = value.ty().dtype;
    if !dtype.is_float() {
        return value.clone();
    }
    let ty = TensorType::new(widened(dtype), value.ty().shape.clone());
    let wide = if ty.dtype == dtype { Cow::Borrowed(value.data()) } else { Cow::Owned(value.data().cast(ty.dtype)) };
    Value::new(ty.clone(), ScalarOp::ABS.eval_each(&[&wide], ty.dtype)).expect("as many elements as the value has")
}

/// The type that a type is computed in.
fn widened(dtype: DType) -> DType {
    if matches!(dtype, DType::F16 | DType::Bf16) { DType::F32 } else { dtype }
}

/// What an op makes of 16-bit floats before it rounds its result to one.
fn in_f32(op: &Op, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
    let wide = |value: &&Value| {
        let ty = TensorType::new(widened(value.ty().dtype), value.ty().shape.clone());
        Value::from_fn(ty.clone(), |i| value.get(i).cast(ty.dtype))
    };
    let operands: Vec<Value> = operands.iter().map(wide).collect();
    let operands: Vec<&Value> = operands.iter().collect();
    let random =
        |random: &Random| Random { ty: TensorType::new(DType::F32, random.ty.shape.clone()), ..random.clone() };
    let op = if let Op::Random(of) = op { &Op::Random(random(of)) } else { op };
    op.rules().eval(&operands, &TensorType::new(DType::F32, ty.shape.clone()))
}
