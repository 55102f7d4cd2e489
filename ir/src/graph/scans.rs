//! The nodes that are one scan, and the replacement of their bodies.

use super::{Graph, NodeId};
use crate::op::scan::{Body, Scan};
use crate::{BuildError, Op};

impl Graph {
    /// The nodes that are one scan with `id`, which is one of them, each with the number of its result, by ascending id. None if `id` is no scan.
    pub fn same_scan(&self, id: NodeId) -> Vec<(NodeId, usize)> {
        let Op::Scan(scan) = self.op(id) else { return vec![] };
        let operands = self.operands(id);
        let member = |other: NodeId| match self.op(other) {
            Op::Scan(o) if self.operands(other) == operands && o.is_same_scan(scan) => Some((other, o.select)),
            _ => None,
        };
        match operands.first() {
            Some(&first) => self.users(first).into_iter().filter_map(member).collect(),
            None => self.ids().filter_map(member).collect(),
        }
    }

    /// All scans: the nodes of each, by ascending first node.
    pub fn scans(&self) -> Vec<Vec<NodeId>> {
        let mut scans: Vec<Vec<NodeId>> = vec![];
        for id in self.ids().filter(|&id| matches!(self.op(id), Op::Scan(_))) {
            if !scans.iter().any(|nodes| nodes.contains(&id)) {
                scans.push(self.same_scan(id).into_iter().map(|(node, _)| node).collect());
            }
        }
        scans
    }

    /// Gives a scan another body with the same ports.
    ///
    /// # Errors
    /// If the body's ports have other types. The node is then as before.
    pub fn set_body(&mut self, id: NodeId, body: Body) -> Result<(), BuildError> {
        let Op::Scan(scan) = self.op(id) else { return Ok(()) };
        let op = Op::Scan(Scan { body, ..scan.clone() });
        let types: Vec<_> = self.operands(id).iter().map(|&o| self.ty(o)).collect();
        let fail = |rule| BuildError {
            op: op.to_string(),
            operands: types.iter().map(|&t| t.clone()).collect(),
            rule,
            loc: self.loc(id).cloned(),
        };
        let ty = op.rules().infer(&types).map_err(fail)?;
        if ty != *self.ty(id) {
            return Err(fail(format!("the body's result is {ty}, the node is {}", self.ty(id)).into()));
        }
        self.touch();
        self.dag[id.raw()].op = op;
        Ok(())
    }
}
