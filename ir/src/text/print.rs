//! The printer.

use super::fold::fold;
use super::run::Runs;
use crate::map::positions;
use crate::op::attr::Attr;
use crate::{Graph, NodeId, Op};
use std::collections::BTreeMap;
use std::fmt;

/// A graph as text; see [`crate::text`].
#[derive(Clone, Copy, Debug)]
pub struct GraphDisplay<'g> {
    graph: &'g Graph,
    locations: bool,
    comments: bool,
    fold: bool,
}

impl GraphDisplay<'_> {
    /// Whether each node's source location follows it, as `at "src/main.rs:12:9" in forward "dense"` (default: no).
    pub fn locations(self, on: bool) -> Self {
        Self { locations: on, ..self }
    }

    /// Whether comments tell where a section of the step or a layer begins, as `; backward: dense` (default: no).
    pub fn comments(self, on: bool) -> Self {
        Self { comments: on, ..self }
    }

    /// Whether a layer that is like one above is a comment that says so, as `; forward: block_1, %40 to %79, as block, %0 to %39` (default: no). Such a text can't be read back:
    /// nodes are missing.
    pub fn fold(self, on: bool) -> Self {
        Self { fold: on, ..self }
    }
}

impl Graph {
    /// The graph as text, with options.
    pub fn display(&self) -> GraphDisplay<'_> {
        GraphDisplay { graph: self, locations: false, comments: false, fold: false }
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display().fmt(f)
    }
}

impl fmt::Display for GraphDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = lines_with(self.graph, self.locations);
        if !(self.comments || self.fold) {
            return lines.iter().try_for_each(|(_, line)| writeln!(f, "{line}"));
        }
        // The header comes first, then the nodes.
        let nodes = self.graph.len();
        let runs = Runs::of(self.graph);
        let folded = if self.fold { fold(&runs) } else { vec![] };
        writeln!(f, "{}", lines[0].1)?;
        let mut folds = folded.iter().peekable();
        let (mut at, mut begins) = (0, true);
        while at < nodes {
            if let Some(fold) = folds.next_if(|fold| fold.nodes.start == at) {
                writeln!(f, "  ; {fold}")?;
                (at, begins) = (fold.nodes.end, true);
                continue;
            }
            if self.comments && (begins || runs.begins(at)) {
                runs.title(at).map_or(Ok(()), |title| writeln!(f, "  ; {title}"))?;
            }
            writeln!(f, "{}", lines[1 + at].1)?;
            (at, begins) = (at + 1, false);
        }
        lines[1 + nodes..].iter().try_for_each(|(_, line)| writeln!(f, "{line}"))
    }
}

/// What a line of text is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum TextLine {
    /// The header.
    Graph,
    /// A node.
    Node(NodeId),
    /// The output at this position.
    Output(usize),
    /// The update at this position.
    Update(usize),
    /// The closing brace.
    End,
}

/// All nodes in the order of lines; those on a cycle, which have no order of evaluation, come last.
pub(crate) fn printing_order(graph: &Graph) -> Vec<NodeId> {
    let mut order = graph.schedule_order();
    if order.len() < graph.len() {
        let placed: std::collections::BTreeSet<NodeId> = order.iter().copied().collect();
        order.extend(graph.ids().filter(|id| !placed.contains(id)));
    }
    order
}

/// The text, line by line, without line ends and source locations.
pub(crate) fn lines(graph: &Graph) -> Vec<(TextLine, String)> {
    lines_with(graph, false)
}

/// The text, line by line, without line ends, and whether with source locations.
fn lines_with(graph: &Graph, locations: bool) -> Vec<(TextLine, String)> {
    let order = printing_order(graph);
    let printer = Printer { graph, position: positions(&order), locations };
    let mut lines = vec![(TextLine::Graph, format!("graph {} {{", quoted(graph.name())))];
    lines.extend(order.iter().map(|&id| (TextLine::Node(id), printer.node(id))));
    for (i, (name, id)) in graph.outputs().iter().enumerate() {
        lines.push((TextLine::Output(i), format!("  output {} = {}", quoted(name), printer.id(*id))));
    }
    for (i, (name, id)) in graph.updates().iter().enumerate() {
        lines.push((TextLine::Update(i), format!("  update {} = {}", quoted(name), printer.id(*id))));
    }
    lines.push((TextLine::End, "}".into()));
    lines
}

/// A string as it is printed everywhere in text, attributes included.
fn quoted(text: &str) -> String {
    Attr::Str(text.into()).to_string()
}

struct Printer<'g> {
    graph: &'g Graph,
    position: BTreeMap<NodeId, usize>,
    locations: bool,
}

impl Printer<'_> {
    /// `%n`, or `%?` for what is not a node of the graph, which only a defective pass can leave behind.
    fn id(&self, id: NodeId) -> String {
        self.position.get(&id).map_or_else(|| "%?".into(), |n| format!("%{n}"))
    }

    fn node(&self, id: NodeId) -> String {
        let node = self.graph.node(id);
        let mut line = format!("  {} = {}", self.id(id), node.op().name());
        for (i, operand) in node.operands().iter().enumerate() {
            line.push_str(if i == 0 { " " } else { ", " });
            line.push_str(&self.id(*operand));
        }
        let attrs = node.op().rules().attrs();
        if !attrs.is_empty() {
            let items: Vec<String> =
                attrs.iter().map(|(name, value)| format!("{name}={}", self.attr(id, value))).collect();
            line.push_str(&format!(" {{{}}}", items.join(", ")));
        }
        line.push_str(&format!(" : {}", node.ty()));
        if let Some(cluster) = self.graph.cluster(id) {
            line.push_str(&format!(" @{cluster}"));
        }
        if let Some(loc) = self.graph.loc(id).filter(|_| self.locations) {
            line.push_str(&format!(" at {}", quoted(&loc.to_string())));
            if loc.section.is_some() || loc.layer.is_some() {
                line.push_str(" in");
            }
            if let Some(section) = loc.section {
                line.push_str(&format!(" {section}"));
            }
            if let Some(layer) = &loc.layer {
                line.push_str(&format!(" {}", quoted(layer)));
            }
        }
        line
    }

    /// The value of a node's attribute: a body in full, indented, where it first occurs, and the id of that line after it.
    fn attr(&self, id: NodeId, value: &Attr) -> String {
        let Attr::Body(body) = value else { return value.to_string() };
        let own = self.position.get(&id);
        let same = |other: NodeId| match self.graph.op(other) {
            Op::Scan(scan) => scan.body == *body && (!self.locations || scan.body.graph().same_places_as(body.graph())),
            _ => false,
        };
        let before = self.position.iter().filter(|(other, at)| Some(*at) < own && same(**other));
        match before.min_by_key(|(_, at)| **at) {
            Some((first, _)) => self.id(*first),
            None => {
                let text = body.graph().display().locations(self.locations).to_string();
                text.trim_end().replace('\n', "\n  ")
            }
        }
    }
}
