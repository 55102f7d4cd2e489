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
use ir::{Graph, NodeId, Op, TensorType};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// What equal nodes agree in. Attributes have no order: their hash stands for them, and nodes in a bucket are compared.
type Key = (&'static str, Vec<NodeId>, TensorType, u64);

/// The pass.
///
/// # Errors
/// None.
pub fn run(graph: &mut Graph, _: &PassContext) -> Result<(), PassError> {
    let mut seen: BTreeMap<Key, Vec<NodeId>> = BTreeMap::new();
    for id in graph.topological() {
        let bucket = seen.entry(key(graph, id)).or_default();
        match bucket.iter().find(|&&first| graph.op(first) == graph.op(id)) {
            Some(&first) => {
                graph.replace_uses(id, first);
                graph.remove(id);
            }
            None => bucket.push(id),
        }
    }
    Ok(())
}

fn key(graph: &Graph, id: NodeId) -> Key {
    let node = graph.node(id);
    let mut operands = node.operands().to_vec();
    if let Op::Elementwise(op) = node.op()
        && op.def().laws.commutative
    {
        operands.sort_unstable();
    }
    (node.op().name(), operands, node.ty().clone(), hash(node.op()))
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

/// The hash of Fowler, Noll and Vo.
struct Fnv(u64);

impl Fnv {
    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }

    fn word(&mut self, word: u64) {
        word.to_le_bytes().into_iter().for_each(|byte| self.byte(byte));
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.byte(byte));
        Ok(())
    }
}
