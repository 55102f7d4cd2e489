//! Random elements: Philox 4x32-10, see [`ir::op::random`] for which word is whose.
//!
//! A cluster that draws has nothing but random nodes and what is computed from them place by place, so that its space is one row of elements. The row
//! is cut into chunks. For each the blocks are computed side by side, in the lower halves of 64-bit integers, and their words put in a scratch buffer,
//! where they stand in the elements' order; then a loop over the chunk makes elements of the words.

use super::Lowering;
use super::cx::Placed;
use super::expr::ValueEmitter;
use crate::PassError;
use crate::fuse::cluster::outputs;
use ir::op::random::{GROUP, Random, RandomKind, SIDE, uniform_bits};
use ir::{DType, NodeId, Op, Scalar, ScalarOp};
use kernel::{Affine, BufRef, Expr};

/// Elements of a chunk, whole groups: with their words they stay in the first-level cache.
const CHUNK: usize = 32 * GROUP;

const MULTIPLIERS: [i64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [i64; 2] = [0x9E37_79B9, 0xBB67_AE85];

fn word(emit: &ValueEmitter<'_, '_>, value: i64) -> Placed {
    emit.cx.constant(Scalar::I64(value))
}

fn high(emit: &mut ValueEmitter<'_, '_>, value: Placed) -> Placed {
    let by = word(emit, 32);
    emit.cx.apply(ScalarOp::LSHR, &[value, by])
}

fn xor(emit: &mut ValueEmitter<'_, '_>, a: Placed, b: Placed) -> Placed {
    emit.cx.apply(ScalarOp::XOR, &[a, b])
}

/// The four words of a block, each in the lower half of an `i64`. So are the counter and the key; upper halves are anything.
fn block(emit: &mut ValueEmitter<'_, '_>, mut counter: [Placed; 4], mut key: [Placed; 2]) -> [Placed; 4] {
    for round in 0..10 {
        if round > 0 {
            for (k, weyl) in key.iter_mut().zip(WEYL) {
                let step = word(emit, weyl);
                *k = emit.cx.apply(ScalarOp::ADD, &[k.clone(), step]);
            }
        }
        let [c0, c1, c2, c3] = counter;
        let (m0, m1) = (word(emit, MULTIPLIERS[0]), word(emit, MULTIPLIERS[1]));
        let p0 = emit.cx.apply(ScalarOp::MUL_HALVES, &[c0, m0]);
        let p1 = emit.cx.apply(ScalarOp::MUL_HALVES, &[c2, m1]);
        let (h0, h1) = (high(emit, p0.clone()), high(emit, p1.clone()));
        let (x0, x2) = (xor(emit, c1, key[0].clone()), xor(emit, c3, key[1].clone()));
        counter = [xor(emit, h1, x0), p1, xor(emit, h0, x2), p0];
    }
    counter
}

/// The upper bits of a word that a type holds exactly, and so many more of their unit, as a fraction of 1.
fn fraction(emit: &mut ValueEmitter<'_, '_>, word: Placed, plus: i32, dtype: DType) -> Placed {
    let width = uniform_bits(dtype);
    let by = emit.cx.constant(Scalar::I32(32 - width as i32));
    let bits = emit.cx.apply(ScalarOp::LSHR, &[word, by]);
    let offset = emit.cx.constant(Scalar::I32(plus));
    let bits = if plus == 0 { bits } else { emit.cx.apply(ScalarOp::ADD, &[bits, offset]) };
    let float = emit.cx.bind(Expr::Cast(dtype, Box::new(bits.expr)), bits.level);
    let unit = emit.cx.constant(Scalar::from_f64(f64::from(width).exp2().recip(), dtype));
    emit.cx.apply(ScalarOp::MUL, &[float, unit])
}

/// Some chunk of the row of elements.
struct Chunk {
    /// Its first element, and that element's block.
    start: Affine,
    block: Affine,
    len: usize,
}

/// Draws a chunk of a node: the scratch buffer with its words, in the elements' order.
fn draw(emit: &mut ValueEmitter<'_, '_>, node: NodeId, op: &Random, chunk: &Chunk) -> Result<BufRef, PassError> {
    let operands = emit.lowering.graph.operands(node).to_vec();
    let (key, step) = (emit.value(operands[0], &[])?, emit.value(operands[1], &[])?);
    let groups = chunk.len.div_ceil(GROUP);
    let words = emit.cx.local(DType::I32, groups * GROUP);
    let depth = emit.cx.depth();
    let at = emit.cx.open_all(&[groups, SIDE]);
    let number = chunk.block.add(&at[0].scale(SIDE as i64)).add(&at[1]);
    let number = emit.cx.index_value(&number, DType::I64);
    let counter = [number, word(emit, i64::from(op.stream)), step.clone(), high(emit, step)];
    let key = [key.clone(), high(emit, key)];
    let first = at[0].scale(GROUP as i64).add(&at[1]);
    for (i, word) in block(emit, counter, key).into_iter().enumerate() {
        let half = Expr::Cast(DType::I32, Box::new(word.expr));
        emit.cx.store(words, &first.clone().plus((i * SIDE) as i64), half);
    }
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    if op.kind == RandomKind::Normal { Ok(normals(emit, words, groups, computed_in(op.ty.dtype))) } else { Ok(words) }
}

/// The type that normal numbers of a type are computed in.
fn computed_in(dtype: DType) -> DType {
    if dtype.size_bytes() == 2 { DType::F32 } else { dtype }
}

/// The scratch buffer with the normal numbers of words, by Box and Muller: of the words `a` and `b` of a pair they are `sqrt(-2 ln u1)` times the
/// cosine and the sine of `2 pi u2`.
fn normals(emit: &mut ValueEmitter<'_, '_>, words: BufRef, groups: usize, dtype: DType) -> BufRef {
    let result = emit.cx.local(dtype, groups * GROUP);
    let depth = emit.cx.depth();
    let at = emit.cx.open_all(&[2 * groups, SIDE]);
    let first = at[0].scale(2 * SIDE as i64).add(&at[1]);
    let second = first.clone().plus(SIDE as i64);
    let level = emit.cx.depth();
    let (a, b) = (emit.cx.load_at(words, &first, level), emit.cx.load_at(words, &second, level));
    let (u1, u2) = (fraction(emit, a, 1, dtype), fraction(emit, b, 0, dtype));
    let constant = |emit: &ValueEmitter<'_, '_>, v: f64| emit.cx.constant(Scalar::from_f64(v, dtype));
    let log = emit.cx.apply(ScalarOp::LOG, &[u1]);
    let minus_two = constant(emit, -2.0);
    let square = emit.cx.apply(ScalarOp::MUL, &[log, minus_two]);
    let radius = emit.cx.apply(ScalarOp::SQRT, &[square]);
    let tau = constant(emit, std::f64::consts::TAU);
    let angle = emit.cx.apply(ScalarOp::MUL, &[u2, tau]);
    for (op, to) in [(ScalarOp::COS, first), (ScalarOp::SIN, second)] {
        let factor = emit.cx.apply(op, std::slice::from_ref(&angle));
        let value = emit.cx.apply(ScalarOp::MUL, &[radius.clone(), factor]);
        emit.cx.store(result, &to, value.expr);
    }
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    result
}

/// An element of a node whose chunk has been drawn.
fn element(emit: &mut ValueEmitter<'_, '_>, op: &Random, drawn: BufRef, along: &Affine) -> Placed {
    let level = emit.cx.depth();
    let value = emit.cx.load_at(drawn, along, level);
    let dtype = op.ty.dtype;
    match op.kind {
        RandomKind::Uniform => fraction(emit, value, 0, dtype),
        RandomKind::Normal if computed_in(dtype) == dtype => value,
        RandomKind::Normal => emit.cx.bind(Expr::Cast(dtype, Box::new(value.expr)), value.level),
    }
}

/// Lowers a cluster that draws: a kernel for its whole chunks, which threads share, and one for the rest.
pub(super) fn lower(lowering: &mut Lowering<'_>, cluster: u32, nodes: &[NodeId]) -> Result<(), PassError> {
    let name = lowering.kernel_name(nodes);
    let numel = lowering.graph.ty(nodes[0]).shape.numel();
    let (chunks, rest) = (numel / CHUNK, numel % CHUNK);
    if chunks > 0 {
        let mut emit = ValueEmitter::new(lowering, Some(cluster));
        let number = Affine::term(emit.cx.open(chunks), 1);
        emit.cx.floor = 1;
        let (start, block) = (number.scale(CHUNK as i64), number.scale((CHUNK / 4) as i64));
        lower_chunk(&mut emit, nodes, cluster, &Chunk { start, block, len: CHUNK })?;
        emit.finish(name.clone());
    }
    if rest > 0 {
        let mut emit = ValueEmitter::new(lowering, Some(cluster));
        let start = chunks * CHUNK;
        let (start, block) = (Affine::constant(start as i64), Affine::constant((start / 4) as i64));
        lower_chunk(&mut emit, nodes, cluster, &Chunk { start, block, len: rest })?;
        emit.finish(name);
    }
    Ok(())
}

fn lower_chunk(
    emit: &mut ValueEmitter<'_, '_>,
    nodes: &[NodeId],
    cluster: u32,
    chunk: &Chunk,
) -> Result<(), PassError> {
    let graph = emit.lowering.graph;
    let mut drawn = vec![];
    for &node in nodes {
        if let Op::Random(op) = graph.op(node) {
            drawn.push((node, op, draw(emit, node, op, chunk)?));
        }
    }
    let depth = emit.cx.depth();
    let along = Affine::term(emit.cx.open(chunk.len), 1);
    // Coordinates of which all but the last are 0, however large that one is, are at the right place of the row.
    let rank = graph.ty(nodes[0]).shape.rank();
    let mut at = vec![Affine::constant(0); rank];
    if let Some(last) = at.last_mut() {
        *last = chunk.start.add(&along);
    }
    for (node, op, buf) in drawn {
        let value = element(emit, op, buf, &along);
        emit.values.set(node, at.clone(), value);
    }
    for node in outputs(graph, cluster, nodes) {
        let value = emit.value(node, &at)?;
        emit.store_node(node, &at, value.expr);
    }
    emit.cx.close_to(depth);
    emit.values.drop_below(depth);
    Ok(())
}
