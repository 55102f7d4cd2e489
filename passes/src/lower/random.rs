//! Random elements: Philox 4x32-10 in 64-bit integer arithmetic, see [`ir::op::random`] for which word is whose.
//!
//! A block of Philox is four words, of four neighbouring uniform elements. Where rows are made of whole blocks, the blocks of a row are
//! computed side by side, each word of all blocks to a scratch buffer, then put in the elements' order. Elsewhere each element
//! computes its block.

use super::cx::{Placed, flatten};
use super::expr::Emit;
use crate::PassError;
use ir::op::random::{Random, RandomKind, uniform_bits};
use ir::{DType, NodeId, Op, Scalar, ScalarOp};
use kernel::{Affine, BufRef, Expr};

/// Rows that are worth a scratch buffer, and fit the first-level cache with it, have so many elements.
const ROW: std::ops::RangeInclusive<usize> = 32..=2048;

const MULTIPLIERS: [i64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [i64; 2] = [0x9E37_79B9, 0xBB67_AE85];
const LOW_WORD: i64 = 0xFFFF_FFFF;

fn word(emit: &Emit<'_, '_>, value: i64) -> Placed {
    emit.cx.constant(Scalar::I64(value))
}

fn low(emit: &mut Emit<'_, '_>, value: Placed) -> Placed {
    let mask = word(emit, LOW_WORD);
    emit.cx.apply(ScalarOp::AND, &[value, mask])
}

fn high(emit: &mut Emit<'_, '_>, value: Placed) -> Placed {
    let by = word(emit, 32);
    emit.cx.apply(ScalarOp::SHR, &[value, by])
}

fn xor(emit: &mut Emit<'_, '_>, a: Placed, b: Placed) -> Placed {
    emit.cx.apply(ScalarOp::XOR, &[a, b])
}

/// The four words of a block, each in the low half of an `i64`.
fn block(emit: &mut Emit<'_, '_>, mut counter: [Placed; 4], mut key: [Placed; 2]) -> [Placed; 4] {
    for round in 0..10 {
        if round > 0 {
            for (k, weyl) in key.iter_mut().zip(WEYL) {
                let step = word(emit, weyl);
                let sum = emit.cx.apply(ScalarOp::ADD, &[k.clone(), step]);
                *k = low(emit, sum);
            }
        }
        let [c0, c1, c2, c3] = counter;
        let (m0, m1) = (word(emit, MULTIPLIERS[0]), word(emit, MULTIPLIERS[1]));
        let p0 = emit.cx.apply(ScalarOp::MUL, &[c0, m0]);
        let p1 = emit.cx.apply(ScalarOp::MUL, &[c2, m1]);
        let (h0, h1) = (high(emit, p0.clone()), high(emit, p1.clone()));
        let (x0, x2) = (xor(emit, h1, c1), xor(emit, h0, c3));
        let (x0, x2) = (xor(emit, x0, key[0].clone()), xor(emit, x2, key[1].clone()));
        counter = [x0, low(emit, p1), x2, low(emit, p0)];
    }
    counter
}

/// The upper bits of a word (the low half of an `i64`, or an `i32`) that a type holds exactly, as a fraction of 1.
fn fraction(emit: &mut Emit<'_, '_>, word: Placed, of: DType, plus: i64, dtype: DType) -> Placed {
    let width = i64::from(uniform_bits(dtype));
    let by = emit.cx.constant(Scalar::from_i64(32 - width, of));
    let bits = emit.cx.apply(ScalarOp::SHR, &[word, by]);
    let offset = emit.cx.constant(Scalar::from_i64(plus, of));
    let bits = if plus == 0 { bits } else { emit.cx.apply(ScalarOp::ADD, &[bits, offset]) };
    let float = emit.cx.bind(Expr::Cast(dtype, Box::new(bits.expr)), bits.level);
    let unit = emit.cx.constant(Scalar::from_f64((width as f64).exp2().recip(), dtype));
    emit.cx.apply(ScalarOp::MUL, &[float, unit])
}

fn pick(emit: &mut Emit<'_, '_>, words: [Placed; 4], lane: &Affine) -> Placed {
    if lane.is_constant() {
        return words[(lane.offset() & 3) as usize].clone();
    }
    let lane = emit.cx.index_value(lane, DType::I64);
    let [first, rest @ ..] = words;
    rest.into_iter().enumerate().fold(first, |chosen, (i, candidate)| {
        let number = word(emit, i as i64 + 1);
        let here = emit.cx.apply(ScalarOp::EQ, &[lane.clone(), number]);
        emit.cx.apply(ScalarOp::SELECT, &[here, candidate, chosen])
    })
}

/// The words of block `number` of a random node.
fn numbered_block(
    emit: &mut Emit<'_, '_>,
    node: NodeId,
    op: &Random,
    number: &Affine,
) -> Result<[Placed; 4], PassError> {
    let operands = emit.lowering.graph.operands(node).to_vec();
    let (key, step) = (emit.value(operands[0], &[])?, emit.value(operands[1], &[])?);
    let number = emit.cx.index_value(number, DType::I64);
    let counter = [low(emit, number), word(emit, i64::from(op.stream)), low(emit, step.clone()), high(emit, step)];
    let key = [low(emit, key.clone()), high(emit, key)];
    Ok(block(emit, counter, key))
}

/// Whether the elements of a node are rows of whole blocks, and more than one row.
pub(super) fn has_rows(op: &Random) -> bool {
    let row = op.ty.shape.last().copied().unwrap_or(1);
    op.kind == RandomKind::Uniform && op.ty.shape.rank() > 1 && row.is_multiple_of(op.per_block()) && ROW.contains(&row)
}

/// Draws the row of a node at `outer`, all coordinates but the last: the scratch buffer with its words, in the elements' order.
pub(super) fn draw_row(emit: &mut Emit<'_, '_>, node: NodeId, outer: &[Affine]) -> Result<BufRef, PassError> {
    let Op::Random(op) = emit.lowering.graph.op(node).clone() else {
        return Err(emit.lowering.defect(node, "random elements are drawn of a random node"));
    };
    let start: Vec<Affine> = outer.iter().cloned().chain([Affine::constant(0)]).collect();
    let start = flatten(&start, &op.ty.shape);
    let row = op.ty.shape[op.ty.shape.rank() - 1];
    let (words_of, blocks) = (op.per_block(), row / op.per_block());
    let (by_word, in_order) = (emit.cx.local(DType::I32, row), emit.cx.local(DType::I32, row));
    let depth = emit.cx.depth();
    let at = Affine::term(emit.cx.open(blocks), 1);
    let (first, _) = emit.cx.div_rem(&start, words_of as i64);
    let words = numbered_block(emit, node, &op, &first.add(&at))?;
    for (number, word) in words.into_iter().enumerate() {
        let half = Expr::Cast(DType::I32, Box::new(word.expr));
        emit.cx.store(by_word, &at.clone().plus((number * blocks) as i64), half);
    }
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    let at = Affine::term(emit.cx.open(blocks), 1);
    for number in 0..words_of {
        let word = emit.cx.load(by_word, &at.clone().plus((number * blocks) as i64));
        emit.cx.store(in_order, &at.scale(words_of as i64).plus(number as i64), word.expr);
    }
    emit.cx.close_to(depth);
    Ok(in_order)
}

/// The element of a node at `at`, whose row has been drawn.
pub(super) fn row_element(emit: &mut Emit<'_, '_>, node: NodeId, row: BufRef, at: &[Affine]) -> Placed {
    let dtype = emit.lowering.graph.ty(node).dtype;
    let depth = emit.cx.depth();
    let along = at.last().cloned().unwrap_or_default();
    let word = emit.cx.load_at(row, &along, depth);
    fraction(emit, word, DType::I32, 0, dtype)
}

/// The element of a random node at `at`.
pub(super) fn element(emit: &mut Emit<'_, '_>, node: NodeId, op: &Random, at: &[Affine]) -> Result<Placed, PassError> {
    let flat = flatten(at, &op.ty.shape);
    let (number, lane) = emit.cx.div_rem(&flat, op.per_block() as i64);
    let words = numbered_block(emit, node, op, &number)?;
    let dtype = op.ty.dtype;
    match op.kind {
        RandomKind::Uniform => {
            let chosen = pick(emit, words, &lane);
            Ok(fraction(emit, chosen, DType::I64, 0, dtype))
        }
        RandomKind::Normal if dtype.size_bytes() == 2 => {
            let value = normal(emit, words, &lane, DType::F32);
            Ok(emit.cx.bind(Expr::Cast(dtype, Box::new(value.expr)), value.level))
        }
        RandomKind::Normal => Ok(normal(emit, words, &lane, dtype)),
    }
}

/// Box and Muller: `sqrt(-2 ln u1)` times the cosine (even elements) or the sine (odd ones) of `2 pi u2`.
fn normal(emit: &mut Emit<'_, '_>, words: [Placed; 4], lane: &Affine, dtype: DType) -> Placed {
    let [w0, w1, ..] = words;
    let u1 = fraction(emit, w0, DType::I64, 1, dtype);
    let u2 = fraction(emit, w1, DType::I64, 0, dtype);
    let constant = |emit: &Emit<'_, '_>, v: f64| emit.cx.constant(Scalar::from_f64(v, dtype));
    let log = emit.cx.apply(ScalarOp::LOG, &[u1]);
    let minus_two = constant(emit, -2.0);
    let square = emit.cx.apply(ScalarOp::MUL, &[log, minus_two]);
    let radius = emit.cx.apply(ScalarOp::SQRT, &[square]);
    let tau = constant(emit, std::f64::consts::TAU);
    let angle = emit.cx.apply(ScalarOp::MUL, &[u2, tau]);
    let cosine = emit.cx.apply(ScalarOp::COS, std::slice::from_ref(&angle));
    let sine = emit.cx.apply(ScalarOp::SIN, &[angle]);
    let lane = emit.cx.index_value(lane, DType::I64);
    let zero = word(emit, 0);
    let even = emit.cx.apply(ScalarOp::EQ, &[lane, zero]);
    let factor = emit.cx.apply(ScalarOp::SELECT, &[even, cosine, sine]);
    emit.cx.apply(ScalarOp::MUL, &[radius, factor])
}
