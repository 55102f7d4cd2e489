//! Lines of a graph's text that belong together: those of one section and one layer, one after another.

use super::print::printing_order;
use crate::{Graph, NodeId, Section};
use std::collections::BTreeMap;

/// The nodes in the order of lines, each with its section and its layer.
pub(super) struct Runs<'g> {
    pub(super) graph: &'g Graph,
    pub(super) order: Vec<NodeId>,
    sections: BTreeMap<NodeId, Section>,
}

impl<'g> Runs<'g> {
    pub(super) fn of(graph: &'g Graph) -> Self {
        Self { graph, order: printing_order(graph), sections: graph.sections() }
    }

    /// The section of the node at a position.
    pub(super) fn section(&self, at: usize) -> Option<Section> {
        self.sections.get(&self.order[at]).copied()
    }

    /// The path of its layer.
    pub(super) fn layer(&self, at: usize) -> Option<&'g str> {
        self.graph.loc(self.order[at]).and_then(|loc| loc.layer.as_deref())
    }

    /// Whether the node at a position is of another section or layer than the one before it.
    pub(super) fn begins(&self, at: usize) -> bool {
        at == 0 || self.section(at) != self.section(at - 1) || self.layer(at) != self.layer(at - 1)
    }

    /// What a comment says of the lines from a position on; nothing if nothing is known of them.
    pub(super) fn title(&self, at: usize) -> Option<String> {
        title(self.section(at), self.layer(at)).or_else(|| (at > 0).then(|| "of no layer".to_string()))
    }
}

/// `backward: encoder/dense`. A path is quoted if it couldn't stand in a comment as it is.
pub(super) fn title(section: Option<Section>, layer: Option<&str>) -> Option<String> {
    let layer = layer.map(|path| if path.contains(char::is_control) { format!("{path:?}") } else { path.to_string() });
    match (section, layer) {
        (Some(section), Some(layer)) => Some(format!("{section}: {layer}")),
        (Some(section), None) => Some(section.to_string()),
        (None, layer) => layer,
    }
}
