//! Whether rows of a body's leading axis are independent, and the body for a block of them.
//!
//! Each node's value is one of: cut along its first axis, each row depending on the same row of what it is computed from; the same in every
//! block; or equal in all rows, so that it serves a block of any number of rows. What fits none of them keeps the scan whole.

use ir::op::contraction::Dot;
use ir::op::movement::{Broadcast, Reshape, Slice};
use ir::op::source::{Full, Input, Iota};
use ir::{Graph, NodeId, Op, Shape, TensorType};
use std::collections::{BTreeMap, BTreeSet};

/// A body cut in blocks of rows.
pub(super) struct Blocks {
    /// How many blocks.
    pub(super) count: usize,
    /// The body of one block, with the clusters of the whole one.
    pub(super) body: Graph,
    /// The inputs and outputs that are cut, by name.
    pub(super) cut: BTreeSet<String>,
}

/// Blocks have at most that many rows: enough for tiles to reuse what they load of the weights, few enough for threads to share the blocks.
const MOST_ROWS: usize = 16;
/// And at least that many.
const LEAST_ROWS: usize = 6;

/// How a value relates to blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Its first axis is cut.
    Cut,
    /// All of it serves each block.
    Whole,
    /// Its rows are alike; as many as a block has are made.
    Alike,
}

impl Blocks {
    /// The blocks of a body, if its rows are independent and can be cut evenly.
    pub(super) fn of(body: &Graph) -> Option<Self> {
        let inputs: Vec<(NodeId, &Input)> = body.inputs().collect();
        let first = inputs.iter().find(|(_, input)| input.name == "carry0")?;
        let batch = *first.1.ty.shape.first()?;
        let rows = (LEAST_ROWS..=MOST_ROWS.min(batch - 1)).rev().find(|rows| batch.is_multiple_of(*rows))?;
        // Invariants are taken to be weights until they meet rows.
        let mut cut: BTreeSet<NodeId> = BTreeSet::new();
        for (id, input) in &inputs {
            if input.name.starts_with('w') {
                continue;
            }
            if input.ty.shape.first() == Some(&batch) {
                cut.insert(*id);
            } else if input.name.starts_with("carry") {
                return None;
            }
        }
        loop {
            let mut cutter = Cutter { body, batch, rows, kinds: BTreeMap::new() };
            match cutter.classify(&cut) {
                Ok(()) => return cutter.narrow(),
                Err(Some(invariant)) if cut.insert(invariant) => {}
                Err(_) => return None,
            }
        }
    }
}

struct Cutter<'g> {
    body: &'g Graph,
    batch: usize,
    rows: usize,
    kinds: BTreeMap<NodeId, Kind>,
}

/// What keeps a body whole: the invariant that would have to be cut too, if that is all.
type Whole = Option<NodeId>;

impl Cutter<'_> {
    fn classify(&mut self, cut: &BTreeSet<NodeId>) -> Result<(), Whole> {
        for id in self.body.topological() {
            let kind = self.kind(id, cut)?;
            self.kinds.insert(id, kind);
        }
        // What a block carries or gives has its rows.
        for (_, id) in self.body.outputs() {
            if self.kinds[id] == Kind::Whole || self.first(*id) != Some(self.batch) {
                return Err(self.blame(*id));
            }
        }
        Ok(())
    }

    fn first(&self, id: NodeId) -> Option<usize> {
        self.body.ty(id).shape.first().copied()
    }

    /// The invariant to be cut if a whole value is in the way of rows.
    fn blame(&self, id: NodeId) -> Whole {
        let is_port = matches!(self.body.op(id), Op::Input(input) if input.name.starts_with('w'));
        (is_port && self.first(id) == Some(self.batch)).then_some(id)
    }

    fn kind(&self, id: NodeId, cut: &BTreeSet<NodeId>) -> Result<Kind, Whole> {
        let operands = self.body.operands(id);
        let any_cut = operands.iter().any(|o| self.kinds[o] == Kind::Cut);
        match self.body.op(id) {
            Op::Input(_) => Ok(if cut.contains(&id) { Kind::Cut } else { Kind::Whole }),
            // What has a kernel of its own is made whole.
            Op::Full(_) | Op::Iota(_) | Op::Broadcast(_) if self.body.cluster(id).is_some() && !any_cut => {
                Ok(Kind::Whole)
            }
            Op::Full(_) if self.first(id) == Some(self.batch) => Ok(Kind::Alike),
            Op::Iota(op) if op.axis > 0 && self.first(id) == Some(self.batch) => Ok(Kind::Alike),
            Op::Broadcast(op) if !any_cut => {
                let alike = self.first(id) == Some(self.batch) && !op.axes.contains(&0);
                Ok(if alike { Kind::Alike } else { Kind::Whole })
            }
            // A value of alike rows alone stays whole: its users decide by that.
            _ if !any_cut => Ok(Kind::Whole),
            op if self.keeps_rows(id, op)? => Ok(Kind::Cut),
            _ => Err(None),
        }
    }

    /// True if each row of a node is computed from the same row of its operands that are cut.
    fn keeps_rows(&self, id: NodeId, op: &Op) -> Result<bool, Whole> {
        let operands = self.body.operands(id);
        let is_cut = |at: usize| self.kinds[&operands[at]] == Kind::Cut;
        let same_rows = || {
            let whole = operands.iter().find(|o| self.kinds[o] == Kind::Whole);
            whole.map_or(Ok(true), |&o| Err(self.blame(o)))
        };
        match op {
            Op::Elementwise(_) | Op::Cast(_) | Op::CheckIndex(_) => same_rows(),
            Op::Concat(op) => Ok(op.axis > 0 && same_rows()?),
            Op::CumSum(op) => Ok(op.axis > 0),
            Op::TakeAlongAxis(op) => Ok(op.axis > 0 && same_rows()?),
            Op::Broadcast(op) => Ok(op.axes.first() == Some(&0)),
            Op::Dot(op) => Ok(self.dot_keeps_rows(op, operands, [is_cut(0), is_cut(1)])),
            Op::Reduce(op) => Ok(!op.axes.contains(&0)),
            Op::Slice(op) => Ok((op.start[0], op.limit[0], op.stride[0]) == (0, self.batch, 1)),
            Op::Pad(op) => Ok((op.low[0], op.high[0], op.interior[0]) == (0, 0, 0)),
            Op::Permute(op) => Ok(op.perm[0] == 0),
            Op::Reverse(op) => Ok(!op.axes.contains(&0)),
            Op::Reshape(_) => Ok(self.first(id) == Some(self.batch)),
            Op::Gather(_) => Ok(!is_cut(0) && is_cut(1)),
            _ => Ok(false),
        }
    }

    /// True if the first axis of a cut factor becomes the result's first.
    fn dot_keeps_rows(&self, op: &Dot, operands: &[NodeId], cut: [bool; 2]) -> bool {
        let rank = |at: usize| self.body.ty(operands[at]).shape.rank();
        match cut {
            [true, true] => op.batch.first() == Some(&(0, 0)),
            [true, false] => op.batch.is_empty() && op.left_free(rank(0)).first() == Some(&0),
            _ => op.batch.is_empty() && op.left_free(rank(0)).is_empty() && op.right_free(rank(1)).first() == Some(&0),
        }
    }

    /// The body for a block.
    fn narrow(&self) -> Option<Blocks> {
        let mut narrow =
            Narrow { cutter: self, to: Graph::new(self.body.name()), whole: BTreeMap::new(), part: BTreeMap::new() };
        for id in self.body.topological() {
            if self.kinds[&id] == Kind::Alike {
                continue;
            }
            narrow.add(id, self.kinds[&id] == Kind::Cut)?;
        }
        for (name, id) in self.body.outputs() {
            let new = narrow.operand(*id, true)?;
            narrow.to.set_output(name, new);
        }
        let name = |(id, input): (NodeId, &Input)| (self.kinds[&id] == Kind::Cut).then(|| input.name.clone());
        let mut cut: BTreeSet<String> = self.body.inputs().filter_map(name).collect();
        cut.extend(self.body.outputs().iter().map(|(name, _)| name.clone()));
        Some(Blocks { count: self.batch / self.rows, body: narrow.to, cut })
    }
}

/// The body of a block under construction.
struct Narrow<'c, 'g> {
    cutter: &'c Cutter<'g>,
    to: Graph,
    /// Nodes as they are, and for a block.
    whole: BTreeMap<NodeId, NodeId>,
    part: BTreeMap<NodeId, NodeId>,
}

impl Narrow<'_, '_> {
    /// A node as an operand: for a block, or whole.
    fn operand(&mut self, id: NodeId, of_block: bool) -> Option<NodeId> {
        let of_block = match self.cutter.kinds[&id] {
            Kind::Cut => true,
            Kind::Whole => false,
            Kind::Alike => of_block,
        };
        let known = if of_block { self.part.get(&id) } else { self.whole.get(&id) };
        match known {
            Some(&new) => Some(new),
            // Alike rows are made where they are first used; their operands are whole and there already.
            None => self.add(id, of_block),
        }
    }

    fn add(&mut self, id: NodeId, of_block: bool) -> Option<NodeId> {
        let body = self.cutter.body;
        let alike = self.cutter.kinds[&id] == Kind::Alike;
        // The other factor of a cut one, and a table, are whole even where their rows are alike.
        let by_row = of_block && !alike && !matches!(body.op(id), Op::Dot(_) | Op::Gather(_));
        let mut operands = vec![];
        for &operand in body.operands(id) {
            operands.push(self.operand(operand, by_row)?);
        }
        let op = if of_block { self.op(id) } else { body.op(id).clone() };
        let new = self.to.add(op, &operands, body.loc(id).cloned()).ok()?;
        if let Some(cluster) = body.cluster(id) {
            self.to.set_cluster(new, cluster);
        }
        if of_block { &mut self.part } else { &mut self.whole }.insert(id, new);
        Some(new)
    }

    /// The op of a block: attributes that name extents have those of the block.
    fn op(&self, id: NodeId) -> Op {
        let shape = |shape: &Shape| self.shape(shape);
        let ty = |ty: &TensorType| ty.with_shape(self.shape(&ty.shape));
        match self.cutter.body.op(id) {
            Op::Input(op) => Op::Input(Input { name: op.name.clone(), ty: ty(&op.ty) }),
            Op::Full(op) => Op::Full(Full { value: op.value, shape: shape(&op.shape) }),
            Op::Iota(op) => Op::Iota(Iota { ty: ty(&op.ty), axis: op.axis }),
            Op::Broadcast(op) => Op::Broadcast(Broadcast { shape: shape(&op.shape), axes: op.axes.clone() }),
            Op::Reshape(op) => Op::Reshape(Reshape { shape: shape(&op.shape) }),
            Op::Slice(op) => {
                let mut op: Slice = op.clone();
                op.limit[0] = self.cutter.rows;
                Op::Slice(op)
            }
            op => op.clone(),
        }
    }

    fn shape(&self, whole: &Shape) -> Shape {
        let mut dims = whole.dims().to_vec();
        if let Some(first) = dims.first_mut() {
            *first = self.cutter.rows;
        }
        Shape::new(dims).unwrap_or_else(|_| whole.clone())
    }
}
