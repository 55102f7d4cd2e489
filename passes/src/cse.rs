//! Common subexpression elimination.
//!
//! # Does
//! Keeps one of all nodes that apply the same op to the same operands; for a commutative op the order of the operands doesn't count.
//! All ops are pure, random ones included (equal streams draw equal numbers), so this holds for every op. The node that comes first
//! in topological order stays, with its source location.
//!
//! # Requires
//! No gradients to be derived: merging a node with an equal one would change what depends on it.
//!
//! # Ensures
//! No two nodes compute the same by their spelling.
//!
//! # Example
//! ```text
//! %2 = add %0, %1 : f32[4]           %2 = add %0, %1 : f32[4]
//! %3 = add %1, %0 : f32[4]      →    %3 = mul %2, %2 : f32[4]
//! %4 = mul %2, %3 : f32[4]
//! ```

use crate::{PassContext, PassError};
use ir::{Graph, NodeId, Op};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// The pass.
///
/// # Errors
/// None.
pub fn run(graph: &mut Graph, _: &PassContext) -> Result<(), PassError> {
    // By a number that equal nodes agree in; nodes of one number are compared.
    let mut seen: BTreeMap<u64, Vec<NodeId>> = BTreeMap::new();
    for id in graph.topological() {
        let bucket = seen.entry(number(graph, id)).or_default();
        match bucket.iter().find(|&&first| are_equal(graph, first, id)) {
            Some(&first) => {
                graph.replace_uses(id, first);
                graph.remove(id);
            }
            None => bucket.push(id),
        }
    }
    Ok(())
}

/// The operands, in ascending order where order doesn't count.
fn operands(graph: &Graph, id: NodeId) -> Cow<'_, [NodeId]> {
    let operands = graph.operands(id);
    match graph.op(id) {
        Op::Elementwise(op) if op.def().laws.commutative && !operands.is_sorted() => {
            let mut operands = operands.to_vec();
            operands.sort_unstable();
            operands.into()
        }
        _ => operands.into(),
    }
}

fn are_equal(graph: &Graph, a: NodeId, b: NodeId) -> bool {
    graph.ty(a) == graph.ty(b) && operands(graph, a) == operands(graph, b) && graph.op(a) == graph.op(b)
}

/// A number that equal nodes have in common, and others hardly ever.
fn number(graph: &Graph, id: NodeId) -> u64 {
    let (op, ty) = (graph.op(id), graph.ty(id));
    let mut number = Fnv(hash(op));
    op.name().bytes().for_each(|byte| number.byte(byte));
    operands(graph, id).iter().for_each(|operand| number.word(operand.index() as u64));
    number.word(ty.dtype as u64);
    ty.shape.iter().for_each(|&extent| number.word(extent as u64));
    number.0
}

/// A number that equal ops have in common, and others hardly ever.
fn hash(op: &Op) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    match op {
        Op::Full(full) => hash.word(full.value.to_bits()),
        // Its elements may be millions; few constants have the same first ones and aren't equal.
        Op::Constant(constant) => {
            let value = &constant.value;
            (0..value.data().len().min(FEW)).for_each(|i| hash.word(value.get(i).to_bits()));
        }
        // What they are stands in the key already.
        Op::Elementwise(_) | Op::Cast(_) => {}
        // Bodies are compared by what they are; scans of the same operands are few.
        Op::Scan(scan) => hash.word(scan.select as u64),
        op => write!(hash, "{op}").unwrap_or_default(),
    }
    hash.0
}

/// Elements of a constant that its hash knows.
const FEW: usize = 64;

/// The hash of Fowler, Noll and Vo of text; words are mixed in whole.
struct Fnv(u64);

impl Fnv {
    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    /// A word at once. The upper bits of a product have to do with all bits of the factor.
    fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.byte(byte));
        Ok(())
    }
}
