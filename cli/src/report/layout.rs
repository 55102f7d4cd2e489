//! Where the nodes of a graph are drawn: sections of the step side by side, in them clusters, in these nodes.

use super::layers::{Boxes, PlacedBoxes, place};
use crate::document::{GraphDocument, NodeDocument};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The picture of a graph, in units of the smallest letters' widths and heights, as SVG's pixels.
#[derive(Serialize)]
pub(super) struct GraphLayout {
    /// A rectangle for each node.
    pub(super) nodes: Vec<Rectangle>,
    /// Those around the nodes of a cluster.
    pub(super) clusters: Vec<ClusterBox>,
    /// Those around a section.
    pub(super) sections: Vec<SectionBox>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Left, top, width, height.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Rectangle(pub(super) f64, pub(super) f64, pub(super) f64, pub(super) f64);

/// A cluster, or a node that stands by itself.
#[derive(Serialize)]
pub(super) struct ClusterBox {
    /// The number of the cluster.
    pub(super) cluster: u32,
    pub(super) at: Rectangle,
}

/// A section.
#[derive(Serialize)]
pub(super) struct SectionBox {
    /// `forward`, for instance; empty for a graph without sections.
    pub(super) name: String,
    pub(super) at: Rectangle,
}

const NODE_HEIGHT: f64 = 30.0;
/// The width of a letter in a node.
const LETTER: f64 = 6.2;
const PADDING: f64 = 8.0;
/// Above the nodes of a cluster, and above the clusters of a section, where their names stand.
const CAPTION: f64 = 14.0;
/// A section's rows are broken above that width.
const MOST_WIDTH: f64 = 1500.0;

/// Nodes that are drawn in one box.
struct DrawnGroup {
    cluster: Option<u32>,
    nodes: Vec<usize>,
    inside: PlacedBoxes,
}

impl GraphLayout {
    pub(super) fn of(graph: &GraphDocument) -> Self {
        let mut layout = Self {
            nodes: vec![Rectangle(0.0, 0.0, 0.0, 0.0); graph.nodes.len()],
            clusters: vec![],
            sections: vec![],
            width: 0.0,
            height: 0.0,
        };
        for name in ["", "forward", "backward", "update"] {
            let nodes: Vec<usize> = section(graph, name);
            if !nodes.is_empty() {
                layout.add_section(graph, name, &nodes);
            }
        }
        layout
    }

    /// Draws a section at the right of those before.
    fn add_section(&mut self, graph: &GraphDocument, name: &str, nodes: &[usize]) {
        let groups = groups(graph, &clusters(graph), nodes);
        let of_node: BTreeMap<usize, usize> =
            groups.iter().enumerate().flat_map(|(at, group)| group.nodes.iter().map(move |&node| (node, at))).collect();
        let edges = edges(graph, &of_node);
        let sizes: Vec<(f64, f64)> = groups.iter().map(DrawnGroup::size).collect();
        let placed = place(&Boxes { sizes: &sizes, edges: &edges, gap: (18.0, 26.0), most_width: MOST_WIDTH });
        let (left, top) = (self.width + PADDING, CAPTION + 2.0 * PADDING);
        for (group, (x, y)) in groups.iter().zip(&placed.corners) {
            self.add_group(graph, group, (left + PADDING + x, top + y));
        }
        let (width, height) = (placed.size.0 + 2.0 * PADDING, placed.size.1 + top + PADDING);
        self.sections.push(SectionBox { name: name.into(), at: Rectangle(left, 0.0, width, height) });
        self.width = left + width + 3.0 * PADDING;
        self.height = self.height.max(height);
    }

    fn add_group(&mut self, graph: &GraphDocument, group: &DrawnGroup, (left, top): (f64, f64)) {
        let (width, height) = group.size();
        let inset = group.inset();
        if let Some(cluster) = group.cluster {
            self.clusters.push(ClusterBox { cluster, at: Rectangle(left, top, width, height) });
        }
        for (&node, (x, y)) in group.nodes.iter().zip(&group.inside.corners) {
            self.nodes[node] =
                Rectangle(left + inset.0 + x, top + inset.1 + y, node_width(&graph.nodes[node]), NODE_HEIGHT);
        }
    }
}

/// The nodes of a section: of `""`, those of which none is known.
fn section(graph: &GraphDocument, name: &str) -> Vec<usize> {
    let is_here = |node: &&NodeDocument| node.section.as_deref().unwrap_or("") == name;
    graph.nodes.iter().filter(is_here).map(|node| node.id).collect()
}

/// For each node the cluster that it is drawn in: its own, or, of nodes that are in none, such as constants, that of all that use it in its section.
fn clusters(graph: &GraphDocument) -> Vec<Option<u32>> {
    let mut users: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); graph.nodes.len()];
    for node in &graph.nodes {
        for &operand in &node.operands {
            users[operand].insert(node.id);
        }
    }
    let mut drawn_in: Vec<Option<u32>> = graph.nodes.iter().map(|node| node.cluster).collect();
    for node in graph.nodes.iter().rev() {
        let is_free = node.cluster.is_none() && !["input", "state"].contains(&node.op.as_str());
        let mut of_users = users[node.id].iter().map(|&user| (drawn_in[user], &graph.nodes[user].section));
        let Some((cluster, section)) = of_users.next().filter(|_| is_free) else { continue };
        if *section == node.section && of_users.all(|other| other == (cluster, section)) {
            drawn_in[node.id] = cluster;
        }
    }
    drawn_in
}

/// The nodes by cluster, those without one each by itself, in the order of their first nodes.
fn groups(graph: &GraphDocument, drawn_in: &[Option<u32>], nodes: &[usize]) -> Vec<DrawnGroup> {
    let mut lists: Vec<(Option<u32>, Vec<usize>)> = vec![];
    let mut of_cluster = BTreeMap::new();
    for &node in nodes {
        let cluster = drawn_in[node];
        let list = match cluster {
            Some(cluster) => *of_cluster.entry(cluster).or_insert(lists.len()),
            None => lists.len(),
        };
        if list == lists.len() {
            lists.push((cluster, vec![]));
        }
        lists[list].1.push(node);
    }
    let group = |(cluster, nodes): (Option<u32>, Vec<usize>)| {
        let position: BTreeMap<usize, usize> = nodes.iter().enumerate().map(|(at, &node)| (node, at)).collect();
        let sizes: Vec<(f64, f64)> = nodes.iter().map(|&node| (node_width(&graph.nodes[node]), NODE_HEIGHT)).collect();
        let edges = edges(graph, &position);
        let inside = place(&Boxes { sizes: &sizes, edges: &edges, gap: (8.0, 14.0), most_width: 900.0 });
        DrawnGroup { cluster, nodes, inside }
    };
    lists.into_iter().map(group).collect()
}

/// The edges between boxes, of which each has some of the nodes.
fn edges(graph: &GraphDocument, of_node: &BTreeMap<usize, usize>) -> Vec<(usize, usize)> {
    let edge = |from: usize, to: usize| Some((*of_node.get(&from)?, *of_node.get(&to)?));
    let all: BTreeSet<(usize, usize)> = of_node
        .keys()
        .flat_map(|&node| graph.nodes[node].operands.iter().filter_map(move |&operand| edge(operand, node)))
        .filter(|(from, to)| from != to)
        .collect();
    all.into_iter().collect()
}

fn node_width(node: &NodeDocument) -> f64 {
    LETTER * node.ty.text().len().max(node.title().len()) as f64 + 2.0 * PADDING
}

impl DrawnGroup {
    /// How far the nodes stand from the corner.
    fn inset(&self) -> (f64, f64) {
        if self.cluster.is_some() { (PADDING, CAPTION + PADDING / 2.0) } else { (0.0, 0.0) }
    }

    fn size(&self) -> (f64, f64) {
        let (inset, (width, height)) = (self.inset(), self.inside.size);
        (width + 2.0 * inset.0, height + inset.1 + inset.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::Graph;

    fn inside(inner: Rectangle, outer: Rectangle) -> bool {
        inner.0 >= outer.0
            && inner.1 >= outer.1
            && inner.0 + inner.2 <= outer.0 + outer.2
            && inner.1 + inner.3 <= outer.1 + outer.3
    }

    #[test]
    fn nodes_are_in_clusters_and_clusters_in_sections() {
        let text = r#"graph "g" {
  %0 = input {name="x"} : f32[2,3] at "a.rs:1:2" in forward "dense"
  %1 = exp %0 : f32[2,3] @0 at "a.rs:1:2" in forward "dense"
  %2 = neg %1 : f32[2,3] @0 at "a.rs:1:2" in forward "dense"
  %3 = abs %2 : f32[2,3] @1 at "a.rs:1:2" in backward "dense"
  %4 = tanh %3 : f32[2,3] @2 at "a.rs:1:2" in update
  output "y" = %4
}"#;
        let graph = GraphDocument::of(&Graph::parse(text).unwrap());
        let layout = GraphLayout::of(&graph);
        let names: Vec<&str> = layout.sections.iter().map(|section| section.name.as_str()).collect();
        assert_eq!(names, ["forward", "backward", "update"]);
        for (node, at) in graph.nodes.iter().zip(&layout.nodes) {
            let section = layout.sections.iter().find(|s| Some(&s.name) == node.section.as_ref()).unwrap();
            assert!(inside(*at, section.at) && at.0 + at.2 <= layout.width && at.1 + at.3 <= layout.height);
            let clusters: Vec<&ClusterBox> = layout.clusters.iter().filter(|c| inside(*at, c.at)).collect();
            assert_eq!(clusters.iter().map(|c| c.cluster).collect::<Vec<_>>(), Vec::from_iter(node.cluster));
        }
    }
}
