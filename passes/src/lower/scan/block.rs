//! Whether rows of a body's leading axis are independent, and the body for a block of them.
//!
//! Each node's value is one of: cut along its first axis, each row depending on the same row of what it is computed from; the same in every
//! block; or equal in all rows, so that it serves a block of any number of rows. What fits none of them keeps the scan whole.

use crate::lower::lowering::names_invariant;
use ir::op::batch::Along;
use ir::op::scan::{BodyPort, PortRole};
use ir::op::source::Input;
use ir::{Graph, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// A body cut in blocks of rows.
pub(super) struct RowBlocks {
    /// How many blocks.
    pub(super) count: usize,
    /// The body of one block, with the clusters of the whole one.
    pub(super) body: Graph,
    /// The inputs and outputs that are cut.
    pub(super) cut: BTreeSet<BodyPort>,
}

/// Blocks have at most that many rows: enough for tiles to reuse what they load of the weights, few enough for threads to share the blocks.
const MOST_ROWS: usize = 16;
/// And at least that many.
const LEAST_ROWS: usize = 6;

/// How a value relates to blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RowKind {
    /// Its first axis is cut.
    Cut,
    /// All of it serves each block.
    Whole,
    /// Its rows are alike; as many as a block has are made.
    Alike,
}

impl RowBlocks {
    /// The blocks of a body, if its rows are independent and can be cut evenly.
    pub(super) fn of(body: &Graph) -> Option<Self> {
        let inputs: Vec<(NodeId, &Input)> = body.inputs().collect();
        let port = |input: &Input| BodyPort::of_input(&input.name);
        let first = inputs.iter().find(|(_, input)| port(input) == Some(BodyPort::carry(0)))?;
        let batch = *first.1.ty.shape.first()?;
        let rows = (LEAST_ROWS..=MOST_ROWS.min(batch - 1)).rev().find(|rows| batch.is_multiple_of(*rows))?;
        // Invariants are taken to be weights until they meet rows.
        let mut cut: BTreeSet<NodeId> = BTreeSet::new();
        for (id, input) in &inputs {
            if names_invariant(&input.name) {
                continue;
            }
            if input.ty.shape.first() == Some(&batch) {
                cut.insert(*id);
            } else if port(input).is_some_and(|port| port.role == PortRole::Carry) {
                return None;
            }
        }
        loop {
            let mut cutter = RowCutter { body, batch, rows, kinds: BTreeMap::new() };
            match cutter.classify(&cut) {
                Ok(()) => return cutter.narrow(),
                Err(Some(invariant)) if cut.insert(invariant) => {}
                Err(_) => return None,
            }
        }
    }
}

struct RowCutter<'g> {
    body: &'g Graph,
    batch: usize,
    rows: usize,
    kinds: BTreeMap<NodeId, RowKind>,
}

/// What keeps a body whole: the invariant that would have to be cut too, if that is all.
type Whole = Option<NodeId>;

impl RowCutter<'_> {
    fn classify(&mut self, cut: &BTreeSet<NodeId>) -> Result<(), Whole> {
        for id in self.body.topological() {
            let kind = self.kind(id, cut)?;
            self.kinds.insert(id, kind);
        }
        // What a block carries or gives has its rows.
        for (_, id) in self.body.outputs() {
            if self.kinds[id] == RowKind::Whole || self.first(*id) != Some(self.batch) {
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
        let is_invariant = matches!(self.body.op(id), Op::Input(input) if names_invariant(&input.name));
        (is_invariant && self.first(id) == Some(self.batch)).then_some(id)
    }

    fn kind(&self, id: NodeId, cut: &BTreeSet<NodeId>) -> Result<RowKind, Whole> {
        if matches!(self.body.op(id), Op::Input(_)) {
            return Ok(if cut.contains(&id) { RowKind::Cut } else { RowKind::Whole });
        }
        let along = self.along(id);
        if self.body.operands(id).iter().any(|o| self.kinds[o] == RowKind::Cut) {
            return self.keeps_rows(id, &along.ok_or(None)?).map(|()| RowKind::Cut);
        }
        // What has a kernel of its own is made whole; and a value of alike rows alone stays whole: its users decide by that.
        let repeats = along.is_some_and(|along| along.iter().all(Option::is_none));
        let alike = repeats && self.body.cluster(id).is_none() && self.first(id) == Some(self.batch);
        Ok(if alike { RowKind::Alike } else { RowKind::Whole })
    }

    /// The axes of a node's operands that its rows run along, if each row is computed from one of theirs, or from all.
    fn along(&self, id: NodeId) -> Option<Along> {
        self.first(id).and_then(|_| self.body.along(id, 0))
    }

    /// Checks that each row of a node is computed from the same row of its operands that are cut, and that there are only such where it needs one.
    fn keeps_rows(&self, id: NodeId, along: &Along) -> Result<(), Whole> {
        for (operand, axis) in self.body.operands(id).iter().zip(along) {
            match (self.kinds[operand], axis) {
                (RowKind::Cut, Some(0)) | (RowKind::Whole, None) | (RowKind::Alike, Some(0) | None) => {}
                (RowKind::Whole, Some(0)) => return Err(self.blame(*operand)),
                (RowKind::Cut | RowKind::Whole | RowKind::Alike, _) => return Err(None),
            }
        }
        Ok(())
    }

    /// The body for a block.
    fn narrow(&self) -> Option<RowBlocks> {
        let mut narrow =
            Narrow { cutter: self, to: Graph::new(self.body.name()), whole: BTreeMap::new(), part: BTreeMap::new() };
        for id in self.body.topological() {
            if self.kinds[&id] == RowKind::Alike {
                continue;
            }
            narrow.add(id, self.kinds[&id] == RowKind::Cut)?;
        }
        for (name, id) in self.body.outputs() {
            let new = narrow.operand(*id, true)?;
            narrow.to.set_output(name, new);
        }
        let is_cut = |(id, _): &(NodeId, &Input)| self.kinds[id] == RowKind::Cut;
        let inputs = self.body.inputs().filter(is_cut).filter_map(|(_, input)| BodyPort::of_input(&input.name));
        let outputs = self.body.outputs().iter().filter_map(|(name, _)| BodyPort::of_output(name));
        let cut = inputs.chain(outputs).collect();
        Some(RowBlocks { count: self.batch / self.rows, body: narrow.to, cut })
    }
}

/// The body of a block under construction.
struct Narrow<'c, 'g> {
    cutter: &'c RowCutter<'g>,
    to: Graph,
    /// Nodes as they are, and for a block.
    whole: BTreeMap<NodeId, NodeId>,
    part: BTreeMap<NodeId, NodeId>,
}

impl Narrow<'_, '_> {
    /// A node as an operand: for a block, or whole.
    fn operand(&mut self, id: NodeId, of_block: bool) -> Option<NodeId> {
        let of_block = match self.cutter.kinds[&id] {
            RowKind::Cut => true,
            RowKind::Whole => false,
            RowKind::Alike => of_block,
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
        let along = if of_block { self.cutter.along(id).unwrap_or_default() } else { Along::new() };
        let mut operands = vec![];
        for (at, &operand) in body.operands(id).iter().enumerate() {
            // The other factor of a cut one, and a table, are whole even where their rows are alike.
            let by_row = along.get(at).is_some_and(Option::is_some);
            operands.push(self.operand(operand, by_row)?);
        }
        let op = if of_block { self.op(id)? } else { body.op(id).clone() };
        let new = self.to.add(op, &operands, body.loc(id).cloned()).ok()?;
        if let Some(cluster) = body.cluster(id) {
            self.to.set_cluster(new, cluster);
        }
        if of_block { &mut self.part } else { &mut self.whole }.insert(id, new);
        Some(new)
    }

    /// The op of a block: attributes that name extents have those of the block.
    fn op(&self, id: NodeId) -> Option<Op> {
        let rows = self.cutter.rows;
        match self.cutter.body.op(id) {
            Op::Input(Input { name, ty }) => {
                let ty = ty.with_shape(ty.shape.with_extent(0, rows).ok()?);
                Some(Op::Input(Input { name: name.clone(), ty }))
            }
            op => op.resized(0, rows).ok(),
        }
    }
}
