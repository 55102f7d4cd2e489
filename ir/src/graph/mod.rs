//! The graph: nodes with typed results, named outputs and state updates.
//!
//! Storage is petgraph's, behind this module's fence: outside, a node is a [`NodeId`]. Operands are an ordered list on each node; who uses a node is derived
//! from it (`uses.rs`).

mod order;
mod scans;
mod schedule;
mod sections;
mod uses;

use crate::op::source::{Input, State};
use crate::{BuildError, Loc, Op, RuleError, TensorType};
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use uses::Uses;

/// A node of a graph, and the one tensor it computes. Stays valid until the node is removed; a later node may then take the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(u32);

impl NodeId {
    /// The number that text shows as `%n`.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    fn raw(self) -> NodeIndex {
        NodeIndex::new(self.0 as usize)
    }

    fn from_raw(raw: NodeIndex) -> Self {
        Self(raw.index() as u32)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// An op applied to operands.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    op: Op,
    operands: Vec<NodeId>,
    ty: TensorType,
}

impl Node {
    /// The op.
    pub fn op(&self) -> &Op {
        &self.op
    }

    /// The operands, in the op's order.
    pub fn operands(&self) -> &[NodeId] {
        &self.operands
    }

    /// The type of the result.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }
}

/// A program: a directed acyclic graph of ops. See the crate's essay for what it means.
#[derive(Clone, Debug)]
pub struct Graph {
    name: String,
    dag: StableDiGraph<Node, ()>,
    uses: Uses,
    outputs: Named,
    updates: Named,
    /// The outputs and updates that a node is, if any.
    results: BTreeMap<NodeId, Vec<ResultPosition>>,
    locs: BTreeMap<NodeId, Loc>,
    /// By the number of the node; nodes without one need no place.
    clusters: Vec<Option<u32>>,
    /// Another number after every change.
    version: u64,
}

/// The next version of any graph. It orders nothing: only whether two are equal is ever asked.
static VERSION: AtomicU64 = AtomicU64::new(1);

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            dag: StableDiGraph::new(),
            uses: Uses::default(),
            outputs: Named::default(),
            updates: Named::default(),
            results: BTreeMap::new(),
            locs: BTreeMap::new(),
            clusters: Vec::new(),
            version: 0,
        }
    }

    /// A number that is another one after every change of nodes, clusters or results, in this graph or any other: graphs with one version are equal, a
    /// graph and its copy, as long as neither changes.
    pub fn version(&self) -> u64 {
        self.version
    }

    fn touch(&mut self) {
        self.version = VERSION.fetch_add(1, Ordering::Relaxed);
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a node; the type of its result is inferred.
    ///
    /// # Errors
    /// The rule of the op that its operands or attributes break, or an operand that is not a node of this graph.
    pub fn add(&mut self, op: Op, operands: &[NodeId], loc: Option<Loc>) -> Result<NodeId, BuildError> {
        let fail = |op: &Op, types: Vec<TensorType>, rule: RuleError, loc: &Option<Loc>| BuildError {
            op: op.to_string(),
            operands: types,
            rule,
            loc: loc.clone(),
        };
        if let Some(unknown) = operands.iter().find(|id| !self.contains(**id)) {
            return Err(fail(&op, vec![], format!("{unknown} is not a node of graph `{}`", self.name).into(), &loc));
        }
        let types: Vec<&TensorType> = operands.iter().map(|&id| self.ty(id)).collect();
        let owned = || types.iter().map(|&t| t.clone()).collect();
        let arity = op.def().arity;
        if !arity.accepts(operands.len()) {
            let rule = format!("{} operands given, the op takes {arity:?}", operands.len());
            return Err(fail(&op, owned(), rule.into(), &loc));
        }
        let ty = op.rules().infer(&types).map_err(|rule| fail(&op, owned(), rule, &loc))?;
        self.touch();
        let node = NodeId::from_raw(self.dag.add_node(Node { op, operands: operands.to_vec(), ty }));
        self.uses.add(node, operands);
        if let Some(loc) = loc {
            self.locs.insert(node, loc);
        }
        Ok(node)
    }

    /// True if `id` is a node of this graph.
    pub fn contains(&self, id: NodeId) -> bool {
        self.dag.contains_node(id.raw())
    }

    /// The node.
    ///
    /// # Panics
    /// If `id` is not a node of this graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.dag[id.raw()]
    }

    /// The type of a node's result.
    ///
    /// # Panics
    /// If `id` is not a node of this graph.
    pub fn ty(&self, id: NodeId) -> &TensorType {
        &self.node(id).ty
    }

    /// A node's op.
    ///
    /// # Panics
    /// If `id` is not a node of this graph.
    pub fn op(&self, id: NodeId) -> &Op {
        &self.node(id).op
    }

    /// A node's operands.
    ///
    /// # Panics
    /// If `id` is not a node of this graph.
    pub fn operands(&self, id: NodeId) -> &[NodeId] {
        &self.node(id).operands
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.dag.node_count()
    }

    /// True if there is no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All nodes in ascending order of their ids, which need not be an order of evaluation (see [`Graph::topological`]).
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.dag.node_indices().map(NodeId::from_raw)
    }

    /// The nodes that take `id` as an operand, ascending, each once. Outputs and updates are not nodes.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let mut users: Vec<NodeId> = self.uses.users(id).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// True if a node takes `id` as an operand.
    pub fn has_users(&self, id: NodeId) -> bool {
        self.uses.users(id).len() > 0
    }

    /// True if an output or an update is this node.
    pub fn is_result(&self, id: NodeId) -> bool {
        self.results.contains_key(&id)
    }

    /// Where in the user's source the node comes from.
    pub fn loc(&self, id: NodeId) -> Option<&Loc> {
        self.locs.get(&id)
    }

    /// Says where a node comes from.
    pub fn set_loc(&mut self, id: NodeId, loc: Loc) {
        self.locs.insert(id, loc);
    }

    /// The named results, in the order they were set.
    pub fn outputs(&self) -> &[(String, NodeId)] {
        &self.outputs.list
    }

    /// The result of that name.
    pub fn output(&self, name: &str) -> Option<NodeId> {
        self.outputs.get(name)
    }

    /// Names a result; a second call with the same name replaces the first.
    pub fn set_output(&mut self, name: impl Into<String>, id: NodeId) {
        let (at, old) = self.outputs.set(name.into(), id);
        self.count_result(ResultPosition::Output(at), old, id);
    }

    /// What states are after the run: (state name, node), in the order they were set.
    pub fn updates(&self) -> &[(String, NodeId)] {
        &self.updates.list
    }

    /// What the state of that name is after the run, if that has been said.
    pub fn update(&self, state: &str) -> Option<NodeId> {
        self.updates.get(state)
    }

    /// Says what a state is after the run. All nodes read the state as it was before.
    pub fn set_update(&mut self, state: impl Into<String>, id: NodeId) {
        let (at, old) = self.updates.set(state.into(), id);
        self.count_result(ResultPosition::Update(at), old, id);
    }

    /// Forgets all outputs and updates.
    pub fn clear_results(&mut self) {
        self.touch();
        (self.outputs, self.updates) = Default::default();
        self.results.clear();
    }

    /// Notes that a result is another node now.
    fn count_result(&mut self, slot: ResultPosition, old: Option<NodeId>, new: NodeId) {
        self.touch();
        if let Some(old) = old
            && let Some(slots) = self.results.get_mut(&old)
        {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                self.results.remove(&old);
            }
        }
        self.results.entry(new).or_default().push(slot);
    }

    /// Puts other nodes in the place of results, all at once.
    fn move_results(&mut self, moves: impl IntoIterator<Item = (NodeId, NodeId)>) {
        let moved: Vec<(Vec<ResultPosition>, NodeId)> =
            moves.into_iter().filter_map(|(old, new)| Some((self.results.remove(&old)?, new))).collect();
        for (slots, new) in moved {
            for slot in &slots {
                match *slot {
                    ResultPosition::Output(at) => self.outputs.list[at].1 = new,
                    ResultPosition::Update(at) => self.updates.list[at].1 = new,
                }
            }
            self.results.entry(new).or_default().extend(slots);
        }
    }

    /// The inputs, by ascending node id.
    pub fn inputs(&self) -> impl Iterator<Item = (NodeId, &Input)> {
        self.ids().filter_map(|id| match self.op(id) {
            Op::Input(input) => Some((id, input)),
            _ => None,
        })
    }

    /// The states, by ascending node id.
    pub fn states(&self) -> impl Iterator<Item = (NodeId, &State)> {
        self.ids().filter_map(|id| match self.op(id) {
            Op::State(state) => Some((id, state)),
            _ => None,
        })
    }

    /// Makes every user of `old` (and outputs and updates) use `new` instead.
    ///
    /// # Panics
    /// If the two have different types, or `new` depends on `old` (which would close a cycle, except through `old`'s own removal).
    pub fn replace_uses(&mut self, old: NodeId, new: NodeId) {
        assert_eq!(self.ty(old), self.ty(new), "a node is replaced by one of the same type");
        if old == new {
            return;
        }
        self.touch();
        let dag = &mut self.dag;
        self.uses.replace(old, new, |user, operand| dag[user.raw()].operands[operand] = new);
        self.move_results([(old, new)]);
    }

    /// Makes one operand of a node another one.
    ///
    /// # Panics
    /// If the node has no operand of that number, if the new one has another type than the old one, or if it depends on the node.
    pub fn set_operand(&mut self, id: NodeId, i: usize, operand: NodeId) {
        let old = self.operands(id)[i];
        assert_eq!(self.ty(old), self.ty(operand), "an operand is replaced by one of the same type");
        if old == operand {
            return;
        }
        self.touch();
        self.dag[id.raw()].operands[i] = operand;
        self.uses.change(id, i, old, operand);
    }

    /// Removes a node that nothing uses.
    ///
    /// # Panics
    /// If it has users or is a result.
    pub fn remove(&mut self, id: NodeId) {
        assert!(!self.has_users(id) && !self.is_result(id), "{id} is in use");
        self.touch();
        if let Some(node) = self.dag.remove_node(id.raw()) {
            self.uses.remove(id, &node.operands);
        }
        self.locs.remove(&id);
        if let Some(cluster) = self.clusters.get_mut(id.index()) {
            *cluster = None;
        }
    }

    /// The cluster that the pass `fuse` put a node in; all nodes of a cluster become one kernel.
    pub fn cluster(&self, id: NodeId) -> Option<u32> {
        self.clusters.get(id.index()).copied().flatten()
    }

    /// Puts a node in a cluster.
    pub fn set_cluster(&mut self, id: NodeId, cluster: u32) {
        if self.clusters.len() <= id.index() {
            self.clusters.resize(id.index() + 1, None);
        }
        if self.clusters[id.index()] != Some(cluster) {
            self.touch();
            self.clusters[id.index()] = Some(cluster);
        }
    }

    /// Takes all nodes out of their clusters.
    pub fn clear_clusters(&mut self) {
        if self.clusters.iter().any(Option::is_some) {
            self.touch();
        }
        self.clusters.clear();
    }
}

/// Defects that no public function can make, for the tests of the verifier.
#[cfg(test)]
impl Graph {
    pub(crate) fn corrupt_operand(&mut self, id: NodeId, i: usize, operand: NodeId) {
        let old = std::mem::replace(&mut self.dag[id.raw()].operands[i], operand);
        self.uses.change(id, i, old, operand);
    }

    pub(crate) fn corrupt_type(&mut self, id: NodeId, ty: TensorType) {
        self.dag[id.raw()].ty = ty;
    }

    pub(crate) fn corrupt_removal(&mut self, id: NodeId) {
        self.dag.remove_node(id.raw());
    }
}

/// An output or an update, by its position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ResultPosition {
    Output(usize),
    Update(usize),
}

/// Nodes by name, in the order in which they got it.
#[derive(Clone, Default, Debug)]
struct Named {
    list: Vec<(String, NodeId)>,
    /// The position of each name.
    at: BTreeMap<String, usize>,
}

impl Named {
    fn get(&self, name: &str) -> Option<NodeId> {
        self.at.get(name).map(|&at| self.list[at].1)
    }

    /// Gives a name a node: the position of the name, and the node it had.
    fn set(&mut self, name: String, id: NodeId) -> (usize, Option<NodeId>) {
        if let Some(&at) = self.at.get(&name) {
            return (at, Some(std::mem::replace(&mut self.list[at].1, id)));
        }
        let at = self.list.len();
        self.at.insert(name.clone(), at);
        self.list.push((name, id));
        (at, None)
    }
}
