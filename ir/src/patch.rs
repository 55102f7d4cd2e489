//! Patches: new nodes and what they replace, made beside a graph and applied to it at once.
//!
//! A rewrite rule reads the graph, builds what it wants with a [`Builder`] inside the patch, and says which node each
//! result replaces. Nothing happens to the graph until [`Patch::apply`], which either applies all of it or nothing. (The idea is
//! that of `ModelPatch` in the tract inference engine.)
//!
//! ```
//! use ir::{Graph, Patch, ScalarOp};
//!
//! let mut graph = Graph::parse(r#"graph "g" {
//!   %0 = input {name="x"} : f32[3]
//!   %1 = neg %0 : f32[3]
//!   %2 = neg %1 : f32[3]
//!   output "y" = %2
//! }"#)?;
//! let ids: Vec<_> = graph.topological();
//! let mut patch = Patch::new();
//! let x = patch.tap(&graph, ids[0])?;
//! let y = patch.build().unary(ScalarOp::ABS, x)?;
//! patch.replace(ids[2], y);
//! patch.apply(&mut graph)?;
//! assert_eq!(graph.op(graph.outputs()[0].1).name(), "abs");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::op::source::Input;
use crate::{BuildError, Builder, Graph, NodeId, Op, TensorType};
use std::collections::{BTreeMap, BTreeSet};

/// New nodes for a graph, and the nodes they replace. Ids of the patch and ids of the graph are different things.
#[derive(Clone, Debug)]
pub struct Patch {
    graph: Graph,
    /// Stand-ins in the patch for nodes of the graph.
    taps: BTreeMap<NodeId, NodeId>,
    /// (node of the graph, node of the patch)
    replacements: Vec<(NodeId, NodeId)>,
}

/// Why a patch can't be applied, or a node not be tapped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatchError {
    /// Not a node of the graph.
    #[error("{0} is not a node of the graph")]
    Unknown(NodeId),
    /// Not a node of the patch.
    #[error("{0} is not a node of the patch")]
    NotInPatch(NodeId),
    /// A node is replaced by two others.
    #[error("{0} is replaced twice")]
    Twice(NodeId),
    /// A replacement has another type.
    #[error("{old} is {want}, its replacement {got}")]
    Type {
        /// The node replaced.
        old: NodeId,
        /// Its type.
        want: TensorType,
        /// The type of the replacement.
        got: TensorType,
    },
    /// A node would depend on itself.
    #[error("a replacement of {0} depends on what uses {0}")]
    Cycle(NodeId),
    /// The graph refuses a node that the patch accepted.
    #[error(transparent)]
    Build(Box<BuildError>),
}

impl Default for Patch {
    fn default() -> Self {
        Self::new()
    }
}

impl Patch {
    /// A patch that does nothing.
    pub fn new() -> Self {
        Self { graph: Graph::new("patch"), taps: BTreeMap::new(), replacements: Vec::new() }
    }

    /// A stand-in, in the patch, for a node of the graph. It stands for the node as it is: if the patch replaces that node
    /// too, what the patch builds goes on using the old one.
    ///
    /// # Errors
    /// If `node` is not a node of `graph`.
    pub fn tap(&mut self, graph: &Graph, node: NodeId) -> Result<NodeId, PatchError> {
        if !graph.contains(node) {
            return Err(PatchError::Unknown(node));
        }
        if let Some((&tap, _)) = self.taps.iter().find(|(_, n)| **n == node) {
            return Ok(tap);
        }
        let input = Input { name: node.to_string(), ty: graph.ty(node).clone() };
        let tap = self.graph.add(Op::Input(input), &[], None).map_err(|e| PatchError::Build(Box::new(e)))?;
        self.taps.insert(tap, node);
        Ok(tap)
    }

    /// Adds nodes to the patch. They take over the location of the node that the patch replaces first.
    pub fn build(&mut self) -> Builder<'_> {
        Builder::new(&mut self.graph, None)
    }

    /// Says that all uses of `old`, a node of the graph, are to become uses of `new`, a node of the patch (or a tap).
    pub fn replace(&mut self, old: NodeId, new: NodeId) {
        self.replacements.push((old, new));
    }

    /// Adds the nodes that replacements need and makes the replacements; says which nodes were added. Replaced nodes stay
    /// where they are, without users, for [`Graph::sweep`].
    ///
    /// # Errors
    /// If a node doesn't exist, is replaced twice or by another type, or would depend on itself. The graph is then as before.
    pub fn apply(self, graph: &mut Graph) -> Result<Vec<NodeId>, PatchError> {
        self.check_types(graph)?;
        self.check_cycles(graph)?;
        let users: BTreeSet<NodeId> = self.replacements.iter().flat_map(|(old, _)| graph.users(*old)).collect();
        let loc = self.replacements.first().and_then(|(old, _)| graph.loc(*old).cloned());
        let needed = self.needed();
        let mut map = self.taps.clone();
        let mut added = Vec::new();
        for id in self.graph.topological() {
            if self.taps.contains_key(&id) || !needed.contains(&id) {
                continue;
            }
            let operands: Vec<NodeId> = self.graph.operands(id).iter().map(|o| map[o]).collect();
            let node_loc = self.graph.loc(id).cloned().or_else(|| loc.clone());
            // The patch has inferred the same types already, so this can't fail half-way.
            let new = graph.add(self.graph.op(id).clone(), &operands, node_loc);
            let new = new.map_err(|e| PatchError::Build(Box::new(e)))?;
            map.insert(id, new);
            added.push(new);
        }
        let replaced = self.replacements.iter().map(|(old, new)| (*old, map[new])).collect();
        graph.rewire(&users, &replaced);
        Ok(added)
    }

    fn check_types(&self, graph: &Graph) -> Result<(), PatchError> {
        if let Some(node) = self.taps.values().find(|n| !graph.contains(**n)) {
            return Err(PatchError::Unknown(*node));
        }
        let mut seen = BTreeSet::new();
        for &(old, new) in &self.replacements {
            if !graph.contains(old) {
                return Err(PatchError::Unknown(old));
            }
            if !self.graph.contains(new) {
                return Err(PatchError::NotInPatch(new));
            }
            if !seen.insert(old) {
                return Err(PatchError::Twice(old));
            }
            let (want, got) = (graph.ty(old), self.graph.ty(new));
            if want != got {
                return Err(PatchError::Type { old, want: want.clone(), got: got.clone() });
            }
        }
        Ok(())
    }

    /// The nodes of the patch that replacements depend on, taps included.
    fn needed(&self) -> BTreeSet<NodeId> {
        let mut needed = BTreeSet::new();
        let mut stack: Vec<NodeId> = self.replacements.iter().map(|(_, new)| *new).collect();
        while let Some(id) = stack.pop() {
            if needed.insert(id) {
                stack.extend(self.graph.operands(id));
            }
        }
        needed
    }

    /// In the patched graph, a cycle has to pass through a use that was redirected. So there is none if all that the patch
    /// builds on is above all that it replaces; this is nearly always so and found without a walk through the whole graph.
    fn check_cycles(&self, graph: &Graph) -> Result<(), PatchError> {
        let needed = self.needed();
        let taps: Vec<NodeId> = self.taps.iter().filter(|(t, _)| needed.contains(t)).map(|(_, n)| *n).collect();
        let above = self.replacements.iter().all(|(old, _)| {
            let near = near_above(graph, *old);
            taps.iter().all(|tap| near.contains(tap))
        });
        if above { Ok(()) } else { self.search_cycle(graph) }
    }

    /// Walks up from each replacement through the patched graph; a replacement that comes to a user of what it replaces depends
    /// on itself.
    fn search_cycle(&self, graph: &Graph) -> Result<(), PatchError> {
        let replaced: BTreeMap<NodeId, NodeId> = self.replacements.iter().copied().collect();
        for &(old, new) in &self.replacements {
            if self.taps.get(&new) == Some(&old) {
                continue;
            }
            let users: BTreeSet<NodeId> = graph.users(old).into_iter().collect();
            let mut seen = BTreeSet::new();
            let mut stack = vec![Place::Patch(new)];
            while let Some(place) = stack.pop() {
                if !seen.insert(place) {
                    continue;
                }
                match place {
                    Place::Patch(id) => match self.taps.get(&id) {
                        Some(&node) => stack.push(Place::Graph(node)),
                        None => stack.extend(self.graph.operands(id).iter().map(|&o| Place::Patch(o))),
                    },
                    Place::Graph(id) if users.contains(&id) => return Err(PatchError::Cycle(old)),
                    Place::Graph(id) => stack.extend(
                        graph
                            .operands(id)
                            .iter()
                            .map(|o| replaced.get(o).map_or(Place::Graph(*o), |&n| Place::Patch(n))),
                    ),
                }
            }
        }
        Ok(())
    }
}

/// A node of the patched graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Graph(NodeId),
    Patch(NodeId),
}

/// How many nodes above a replaced one are looked at before the long way is taken.
const NEAR: usize = 64;

/// A node and some of those it depends on, nearest first.
fn near_above(graph: &Graph, id: NodeId) -> BTreeSet<NodeId> {
    let mut near = BTreeSet::from([id]);
    let mut queue = std::collections::VecDeque::from([id]);
    while let Some(next) = queue.pop_front() {
        for &operand in graph.operands(next) {
            if near.len() >= NEAR {
                return near;
            }
            if near.insert(operand) {
                queue.push_back(operand);
            }
        }
    }
    near
}
