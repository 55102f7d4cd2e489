//! Layers that are like one above them: in a graph of many equal blocks, one is enough to read.

use super::run::{Runs, title};
use crate::map::positions;
use crate::op::attr::Attr;
use crate::{NodeId, Section};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Fewer nodes are as soon read as a comment about them.
const FEWEST: usize = 3;

/// Lines that are like others above.
pub(super) struct FoldedLayer<'g> {
    section: Option<Section>,
    layer: &'g str,
    /// Their positions.
    pub(super) nodes: Range<usize>,
    like: (&'g str, Range<usize>),
}

impl fmt::Display for FoldedLayer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = |range: &Range<usize>| format!("%{} to %{}", range.start, range.end - 1);
        let name = |section, layer| title(section, Some(layer)).unwrap_or_default();
        let (like, first) = (&self.like.0, &self.like.1);
        write!(
            f,
            "{}, {}, as {}, {}",
            name(self.section, self.layer),
            lines(&self.nodes),
            name(None, like),
            lines(first)
        )
    }
}

/// What is like something above, in the order of lines: whole layers first, and inside of those that aren't, the layers that they are made of.
pub(super) fn fold<'g>(runs: &Runs<'g>) -> Vec<FoldedLayer<'g>> {
    let mut folding = Folding { runs, position: positions(&runs.order), seen: BTreeMap::new(), folds: vec![] };
    folding.within(0..runs.order.len(), 1);
    folding.folds
}

struct Folding<'r, 'g> {
    runs: &'r Runs<'g>,
    position: BTreeMap<NodeId, usize>,
    /// The first lines of each shape, and the layer they are of.
    seen: BTreeMap<String, (&'g str, Range<usize>)>,
    folds: Vec<FoldedLayer<'g>>,
}

impl<'g> Folding<'_, 'g> {
    /// Folds layers by the first `depth` names of their paths.
    fn within(&mut self, lines: Range<usize>, depth: usize) {
        let mut start = lines.start;
        while start < lines.end {
            let of = |at: usize| (self.runs.section(at), self.runs.layer(at).map(|path| beginning(path, depth)));
            let (section, layer) = of(start);
            let length = (start..lines.end).take_while(|&at| of(at) == (section, layer)).count();
            let nodes = start..start + length;
            start = nodes.end;
            let Some(layer) = layer.filter(|_| nodes.len() >= FEWEST) else { continue };
            let shape = self.shape(&nodes, layer);
            // A layer that is all of the one around it isn't like that one, it is the same lines.
            let is_other = |like: &(&str, Range<usize>)| nodes.start < like.1.start || like.1.end < nodes.end;
            match self.seen.get(&shape).filter(|like| is_other(like)).cloned() {
                Some(like) => self.folds.push(FoldedLayer { section, layer, nodes, like }),
                None => {
                    self.seen.entry(shape).or_insert((layer, nodes.clone()));
                    if nodes.clone().any(|at| self.runs.layer(at).is_some_and(|path| path.len() > layer.len())) {
                        self.within(nodes, depth + 1);
                    }
                }
            }
        }
    }

    /// The text of some lines with numbers that count from their beginning, and without the layer's path. What stands above is numbered as it occurs; which stream a random
    /// op draws from says nothing.
    fn shape(&self, lines: &Range<usize>, layer: &str) -> String {
        let (mut outside, mut clusters) = (BTreeMap::new(), BTreeMap::new());
        let mut text = format!("{:?}\n", self.runs.section(lines.start));
        for &id in &self.runs.order[lines.clone()] {
            let node = self.runs.graph.node(id);
            text += node.op().name();
            for operand in node.operands() {
                let inside = self.position.get(operand).filter(|at| lines.contains(at));
                let next = outside.len();
                text += &match inside {
                    Some(at) => format!(" %{}", at - lines.start),
                    None => format!(" ^{}:{}", outside.entry(*operand).or_insert(next), self.runs.graph.ty(*operand)),
                };
            }
            for (name, value) in node.op().rules().attrs().into_iter().filter(|(name, _)| *name != "stream") {
                let value = match value {
                    Attr::Str(value) => value.replace(layer, "*"),
                    Attr::Body(body) => body.graph().to_string(),
                    value => value.to_string(),
                };
                text += &format!(" {name}={value}");
            }
            let next = clusters.len();
            let cluster = self.runs.graph.cluster(id).map(|cluster| *clusters.entry(cluster).or_insert(next));
            text += &format!(" : {} {cluster:?}\n", node.ty());
        }
        text
    }
}

/// The first names of a path.
fn beginning(path: &str, names: usize) -> &str {
    path.match_indices('/').nth(names - 1).map_or(path, |(at, _)| &path[..at])
}
