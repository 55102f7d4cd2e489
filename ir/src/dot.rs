//! Graphs as pictures: the DOT language of Graphviz.

use crate::map::positions;
use crate::text::printing_order;
use crate::{Family, Graph, NodeId};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Most characters of a node's attributes that are shown; constants would fill the page.
const MOST_CHARS: usize = 48;

/// The graph in DOT: one box a node, labelled as in text, coloured by family, clusters as boxes around their nodes, outputs and
/// updates as ovals. An edge to an operand other than the first says which one it is.
pub fn to_dot(graph: &Graph) -> String {
    let order = printing_order(graph);
    let position = positions(&order);
    let mut clusters: BTreeMap<Option<u32>, Vec<NodeId>> = BTreeMap::new();
    for &id in &order {
        clusters.entry(graph.cluster(id)).or_default().push(id);
    }
    let mut dot = format!("digraph {} {{\n", quoted(graph.name()));
    dot.push_str("  node [shape=box, style=filled, fontname=\"monospace\", fontsize=10];\n");
    for (cluster, nodes) in &clusters {
        let indent = if cluster.is_some() { "    " } else { "  " };
        if let Some(n) = cluster {
            let _ = writeln!(dot, "  subgraph cluster_{n} {{\n    label={};", quoted(&format!("@{n}")));
        }
        for id in nodes {
            let _ = writeln!(dot, "{indent}{}", node(graph, *id, position[id]));
        }
        if cluster.is_some() {
            dot.push_str("  }\n");
        }
    }
    edges(graph, &order, &position, &mut dot);
    results(graph, &position, &mut dot);
    dot.push_str("}\n");
    dot
}

fn node(graph: &Graph, id: NodeId, position: usize) -> String {
    let node = graph.node(id);
    let op = node.op().to_string();
    let mut label: String = op.chars().take(MOST_CHARS).collect();
    if label.len() < op.len() {
        label.push('…');
    }
    let label = quoted(&format!("%{position} {label}\n{}", node.ty()));
    format!("n{position} [label={label}, fillcolor={}];", quoted(colour(node.op().family())))
}

/// The colour of a family's boxes, here and in other pictures of graphs: `#rrggbb`.
pub fn colour(family: Family) -> &'static str {
    match family {
        Family::Source => "#e8e8e8",
        Family::Elementwise => "#dcebfa",
        Family::Reduce | Family::Window => "#fde6c8",
        Family::Movement => "#f4f4f4",
        Family::Contraction => "#f9d2d2",
        Family::Index => "#e2f2d5",
        Family::Random => "#ead9f2",
        Family::Loop => "#cfeee8",
        Family::Control => "#fff7b0",
    }
}

fn edges(graph: &Graph, order: &[NodeId], position: &BTreeMap<NodeId, usize>, dot: &mut String) {
    for id in order {
        for (i, operand) in graph.operands(*id).iter().enumerate() {
            // An operand that is not a node of the graph, which only a defective pass leaves, can't be drawn.
            let Some(from) = position.get(operand) else { continue };
            let label = if i == 0 { String::new() } else { format!(" [label=\"{i}\"]") };
            let _ = writeln!(dot, "  n{from} -> n{}{label};", position[id]);
        }
    }
}

fn results(graph: &Graph, position: &BTreeMap<NodeId, usize>, dot: &mut String) {
    let kinds = [("output", graph.outputs()), ("update", graph.updates())];
    for (kind, list) in kinds {
        for (i, (name, id)) in list.iter().enumerate() {
            let label = quoted(&format!("{kind} {name}"));
            let _ = writeln!(dot, "  {kind}{i} [label={label}, shape=ellipse, fillcolor=\"white\"];");
            if let Some(from) = position.get(id) {
                let _ = writeln!(dot, "  n{from} -> {kind}{i};");
            }
        }
    }
}

/// A quoted string of the DOT language: `"` and `\` are escaped, line ends become `\n`, other control characters blanks.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
