//! Graphs inside a graph: the bodies of scans, which use tensors of the graphs around them.

use super::builder::Inner;
use super::{GraphBuilder, Tensor};
use ir::op::scan::BodyPort;
use ir::op::source::Input;
use ir::{Graph, NodeId, Op};

/// What a body's builder knows of the graph around.
pub(crate) struct Parent {
    pub(crate) builder: GraphBuilder,
    /// Nodes of the graph around that the body uses, in the order of its inputs `w0`, `w1`, ...; with the inputs.
    captured: Vec<(NodeId, NodeId)>,
    /// Whether the body is finished: its tensors mean nothing any more.
    pub(crate) is_closed: bool,
}

impl GraphBuilder {
    /// A builder for a body in this graph.
    pub(crate) fn nested(&self, name: &str) -> Self {
        let parent = Parent { builder: self.clone(), captured: vec![], is_closed: false };
        let mut inner = Inner::new(name);
        inner.parent = Some(parent);
        let nested = Self::of(inner);
        nested.set_training(self.is_training());
        nested
    }

    /// The builder around, if this one is a body's.
    pub(crate) fn parent(&self) -> Option<Self> {
        self.inner().parent.as_ref().map(|parent| parent.builder.clone())
    }

    /// The outermost builder.
    pub(crate) fn root(&self) -> Self {
        let mut root = self.clone();
        while let Some(parent) = root.parent() {
            root = parent;
        }
        root
    }

    /// How many builders are around.
    pub(crate) fn depth(&self) -> usize {
        std::iter::successors(self.parent(), Self::parent).count()
    }

    /// The builder that an op on these tensors belongs to: that of the innermost body among them.
    pub(crate) fn innermost(&self, operands: &[&Tensor]) -> Self {
        let builders = operands.iter().map(|t| t.builder());
        builders.fold(self.clone(), |deepest, b| if b.depth() > deepest.depth() { b.clone() } else { deepest })
    }

    /// The node that a tensor is in this graph: its own, or an input that stands for one of a graph around. `None` if the tensor is of neither.
    pub(crate) fn adopt(&self, tensor: &Tensor) -> Option<NodeId> {
        if self.same(tensor.builder()) {
            return tensor.node();
        }
        let outer = self.parent()?.adopt(tensor)?;
        let known = self.inner().parent.as_ref()?.captured.iter().find(|(node, _)| *node == outer).map(|(_, id)| *id);
        if known.is_some() {
            return known;
        }
        let ty = self.parent()?.inner().graph.ty(outer).clone();
        let mut inner = self.inner_mut();
        let number = inner.parent.as_ref()?.captured.len();
        let input = Input { name: BodyPort::invariant(number).to_string(), ty };
        // An input of a type that exists is always added.
        let node = inner.graph.add(Op::Input(input), &[], None).ok()?;
        inner.parent.as_mut()?.captured.push((outer, node));
        Some(node)
    }

    /// True for the builder of a finished body.
    pub(crate) fn is_closed(&self) -> bool {
        self.inner().parent.as_ref().is_some_and(|parent| parent.is_closed)
    }

    /// Finishes a body: its graph, and the nodes around that its inputs `w0`, `w1`, ... stand for.
    pub(crate) fn close(&self) -> Option<(Graph, Vec<NodeId>)> {
        let mut inner = self.inner_mut();
        let graph = inner.graph.clone();
        let parent = inner.parent.as_mut()?;
        parent.is_closed = true;
        Some((graph, parent.captured.iter().map(|(node, _)| *node).collect()))
    }
}
