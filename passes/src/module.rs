//! What passes run on.

use ir::Graph;
use kernel::Program;

/// What passes run on: a graph, and loops after `lower`.
#[derive(Clone, Debug)]
pub enum Module {
    /// Before `lower`.
    Graph(Graph),
    /// From `lower` on.
    Program(Program),
}

impl Module {
    /// The graph, if it hasn't been lowered.
    pub fn graph(&self) -> Option<&Graph> {
        match self {
            Self::Graph(graph) => Some(graph),
            Self::Program(_) => None,
        }
    }

    /// The loops, if it has been lowered.
    pub fn program(&self) -> Option<&Program> {
        match self {
            Self::Graph(_) => None,
            Self::Program(program) => Some(program),
        }
    }

    /// The text of the graph or of the loops.
    pub fn text(&self) -> String {
        self.displayed(Graph::to_string)
    }

    /// As [`Self::text`], with comments that tell the sections and layers of a graph, and the source locations of its nodes; loops always have theirs.
    pub fn text_with_locations(&self) -> String {
        self.displayed(|graph| graph.display().locations(true).comments(true).to_string())
    }

    fn displayed(&self, display: impl FnOnce(&Graph) -> String) -> String {
        match self {
            Self::Graph(graph) => display(graph),
            Self::Program(program) => program.to_string(),
        }
    }

    /// Nodes of a graph, kernels of a program.
    pub fn size(&self) -> usize {
        match self {
            Self::Graph(graph) => graph.len(),
            Self::Program(program) => program.kernels.len(),
        }
    }
}
