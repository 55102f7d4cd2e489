//! What differs between two graphs, by their structure: numbers of nodes and the order of lines say nothing.
//!
//! Nodes are alike if they are the same op, of the same type, of operands that are alike. From results of one name the rest is walked in step: where the ops are the
//! same and only operands differ, the difference lies further up; where the ops differ, it lies there.
//!
//! ```
//! use ir::{Graph, diff::GraphDiff};
//! let text = "graph \"g\" {\n %0 = input {name=\"x\"} : f32[2]\n %1 = exp %0 : f32[2]\n %2 = neg %1 : f32[2]\n output \"y\" = %2\n}";
//! let (a, b) = (Graph::parse(text)?, Graph::parse(&text.replace("exp", "tanh"))?);
//! let diff = GraphDiff::of(&a, &b);
//! assert_eq!(diff.to_string(), "- %1 = exp %0 : f32[2]\n+ %1 = tanh %0 : f32[2]\n2 nodes alike, 1 removed, 1 added\n");
//! assert!(GraphDiff::of(&a, &a).is_empty());
//! # Ok::<(), ir::ParseError>(())
//! ```

use crate::text::{TextLine, lines, printing_order};
use crate::{Graph, NodeId, map_of};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// A line of one of the graphs that the other one doesn't have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LineChange {
    /// Of the first.
    Removed(String),
    /// Of the second.
    Added(String),
}

/// What differs. Prints as lines with `-` and `+`, and a summary.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GraphDiff {
    /// Nodes that both have.
    pub alike: usize,
    /// Lines of nodes that one has, those in the place of one another side by side.
    pub nodes: Vec<LineChange>,
    /// Outputs, updates and names that one has.
    pub results: Vec<LineChange>,
    /// Nodes that both have, but in another cluster.
    pub reclustered: usize,
}

impl GraphDiff {
    /// What is different in `b`.
    pub fn of(a: &Graph, b: &Graph) -> Self {
        let mut comparison = GraphComparison::new(a, b);
        comparison.pair_alike();
        comparison.walk_from_results();
        comparison.result()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.results.is_empty() && self.reclustered == 0
    }
}

impl fmt::Display for GraphDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in self.nodes.iter().chain(&self.results) {
            match change {
                LineChange::Removed(line) => writeln!(f, "- {line}")?,
                LineChange::Added(line) => writeln!(f, "+ {line}")?,
            }
        }
        let removed = self.nodes.iter().filter(|change| matches!(change, LineChange::Removed(_))).count();
        let nodes = if self.alike == 1 { "node" } else { "nodes" };
        write!(f, "{} {nodes} alike, {removed} removed, {} added", self.alike, self.nodes.len() - removed)?;
        if self.reclustered > 0 {
            write!(f, ", {} in another cluster", self.reclustered)?;
        }
        writeln!(f)
    }
}

/// One of the graphs, with what comparing it needs.
struct DiffSide<'g> {
    graph: &'g Graph,
    order: Vec<NodeId>,
    lines: BTreeMap<NodeId, String>,
    /// The class of each node: of alike nodes the same, in both graphs.
    class: BTreeMap<NodeId, usize>,
}

/// An op with its attributes and its type, and the classes of its operands; none of one that isn't computed before it.
type ClassKey = (String, Vec<Option<usize>>);

impl<'g> DiffSide<'g> {
    fn new(graph: &'g Graph, classes: &mut BTreeMap<ClassKey, usize>) -> Self {
        let order = printing_order(graph);
        let node_lines = lines(graph).into_iter().filter_map(|(subject, line)| match subject {
            TextLine::Node(id) => Some((id, line.trim_start().to_string())),
            _ => None,
        });
        let mut class = BTreeMap::new();
        for &id in &order {
            let operands = graph.operands(id).iter().map(|operand| class.get(operand).copied()).collect();
            let next = classes.len();
            let key = (format!("{} : {}", graph.op(id), graph.ty(id)), operands);
            class.insert(id, *classes.entry(key).or_insert(next));
        }
        Self { graph, order, lines: map_of(node_lines), class }
    }

    /// The nodes of each class, in order.
    fn members(&self) -> BTreeMap<usize, Vec<NodeId>> {
        let mut members: BTreeMap<usize, Vec<NodeId>> = BTreeMap::new();
        for id in &self.order {
            members.entry(self.class[id]).or_default().push(*id);
        }
        members
    }
}

/// A result of one name: its node in either graph, if it has one.
struct PairedResult<'g> {
    kind: &'static str,
    name: &'g str,
    nodes: (Option<NodeId>, Option<NodeId>),
}

/// The outputs and updates of both graphs by their names: those of the first, then what only the second has.
fn paired_results<'g>(a: &'g Graph, b: &'g Graph) -> Vec<PairedResult<'g>> {
    let mut results = vec![];
    for (kind, of_a, of_b) in [("output", a.outputs(), b.outputs()), ("update", a.updates(), b.updates())] {
        let mut left: BTreeMap<&str, VecDeque<NodeId>> = BTreeMap::new();
        of_b.iter().for_each(|(name, y)| left.entry(name).or_default().push_back(*y));
        let mut in_b = |name: &str| left.get_mut(name).and_then(VecDeque::pop_front);
        results.extend(of_a.iter().map(|(name, x)| PairedResult { kind, name, nodes: (Some(*x), in_b(name)) }));
        let only_in_b = of_b.iter().filter_map(|(name, _)| Some((name, in_b(name)?)));
        results.extend(only_in_b.map(|(name, y)| PairedResult { kind, name, nodes: (None, Some(y)) }));
    }
    results
}

struct GraphComparison<'g> {
    a: DiffSide<'g>,
    b: DiffSide<'g>,
    results: Vec<PairedResult<'g>>,
    /// The node of `b` that a node of `a` goes with, and the other way round.
    pairs: BTreeMap<NodeId, NodeId>,
    taken: BTreeSet<NodeId>,
    /// Nodes in the place of one another, with another op.
    replaced: Vec<(NodeId, NodeId)>,
}

impl<'g> GraphComparison<'g> {
    fn new(a: &'g Graph, b: &'g Graph) -> Self {
        let mut classes = BTreeMap::new();
        let results = paired_results(a, b);
        let (a, b) = (DiffSide::new(a, &mut classes), DiffSide::new(b, &mut classes));
        Self { a, b, results, pairs: BTreeMap::new(), taken: BTreeSet::new(), replaced: vec![] }
    }

    fn pair(&mut self, x: NodeId, y: NodeId) {
        self.pairs.insert(x, y);
        self.taken.insert(y);
    }

    fn pair_alike(&mut self) {
        let of_b = self.b.members();
        for (class, of_a) in self.a.members() {
            for (x, y) in of_a.into_iter().zip(of_b.get(&class).into_iter().flatten()) {
                self.pair(x, *y);
            }
        }
    }

    fn walk_from_results(&mut self) {
        let (a, b) = (self.a.graph, self.b.graph);
        let both = |result: &PairedResult<'_>| result.nodes.0.zip(result.nodes.1);
        let mut open: Vec<(NodeId, NodeId)> = self.results.iter().filter_map(both).collect();
        while let Some((x, y)) = open.pop() {
            if self.pairs.contains_key(&x) || self.taken.contains(&y) || !a.contains(x) || !b.contains(y) {
                continue;
            }
            let same_op = a.op(x) == b.op(y) && a.ty(x) == b.ty(y) && a.operands(x).len() == b.operands(y).len();
            if same_op {
                open.extend(a.operands(x).iter().copied().zip(b.operands(y).iter().copied()));
            } else {
                self.replaced.push((x, y));
            }
            self.pair(x, y);
        }
    }

    fn result(&self) -> GraphDiff {
        let replaced = map_of(self.replaced.iter().copied());
        let mut diff = GraphDiff { alike: self.pairs.len() - replaced.len(), ..GraphDiff::default() };
        for &x in &self.a.order {
            match (self.pairs.get(&x), replaced.get(&x)) {
                (None, _) => diff.nodes.push(LineChange::Removed(self.a.lines[&x].clone())),
                (Some(y), Some(_)) => diff.nodes.extend([
                    LineChange::Removed(self.a.lines[&x].clone()),
                    LineChange::Added(self.b.lines[y].clone()),
                ]),
                (Some(y), None) => {
                    diff.reclustered += usize::from(self.a.graph.cluster(x) != self.b.graph.cluster(*y));
                }
            }
        }
        let new = self.b.order.iter().filter(|y| !self.taken.contains(y));
        diff.nodes.extend(new.map(|y| LineChange::Added(self.b.lines[y].clone())));
        diff.results = self.changed_results();
        diff
    }

    /// The name, and the results that one graph has, or that are other nodes in the other one.
    fn changed_results(&self) -> Vec<LineChange> {
        let (a, b) = (self.a.graph, self.b.graph);
        let mut changes = vec![];
        if a.name() != b.name() {
            let name = |graph: &Graph| format!("graph {:?}", graph.name());
            changes.extend([LineChange::Removed(name(a)), LineChange::Added(name(b))]);
        }
        let alike = |x: NodeId, y: NodeId| {
            let class = self.a.class.get(&x);
            self.pairs.get(&x) == Some(&y) || class.is_some_and(|class| self.b.class.get(&y) == Some(class))
        };
        for PairedResult { kind, name, nodes: (x, y) } in &self.results {
            if x.zip(*y).is_some_and(|(x, y)| alike(x, y)) {
                continue;
            }
            let line = |side: &DiffSide<'_>, id: NodeId| {
                let node = side.lines.get(&id).map_or("a node that isn't there", String::as_str);
                format!("{kind} {name:?} = {node}")
            };
            changes.extend(x.map(|x| LineChange::Removed(line(&self.a, x))));
            changes.extend(y.map(|y| LineChange::Added(line(&self.b, y))));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(a: &str, b: &str) -> GraphDiff {
        GraphDiff::of(&Graph::parse(a).unwrap(), &Graph::parse(b).unwrap())
    }

    const TEXT: &str = r#"graph "g" {
      %0 = input {name="x"} : f32[2]
      %1 = exp %0 : f32[2]
      %2 = exp %0 : f32[2]
      %3 = add %1, %2 : f32[2]
      output "y" = %3
      output "z" = %1
    }"#;

    #[test]
    fn order_and_numbers_mean_nothing() {
        let turned = r#"graph "g" {
          %7 = input {name="x"} : f32[2]
          %9 = exp %7 : f32[2]
          %8 = exp %7 : f32[2]
          %1 = add %8, %9 : f32[2]
          output "z" = %9
          output "y" = %1
        }"#;
        let found = diff(TEXT, turned);
        assert!(found.nodes.is_empty() && found.alike == 4, "{found}");
    }

    #[test]
    fn nodes_results_and_clusters_are_told() {
        let found = diff(TEXT, &TEXT.replace("output \"z\" = %1", "output \"w\" = %1"));
        assert_eq!(found.results.len(), 2, "{found}");
        let less = TEXT.replace("%2 = exp %0 : f32[2]", "").replace("add %1, %2", "add %1, %1");
        let found = diff(TEXT, &less);
        assert_eq!(found.nodes, [LineChange::Removed("%2 = exp %0 : f32[2]".into())], "{found}");
        let found = diff(TEXT, &TEXT.replace("add %1, %2 : f32[2]", "add %1, %2 : f32[2] @4"));
        assert_eq!((found.reclustered, found.is_empty()), (1, false));
        // A change at the beginning is one change.
        let found = diff(TEXT, &TEXT.replace("name=\"x\"", "name=\"u\""));
        assert_eq!(found.nodes.len(), 2, "{found}");
    }
}
