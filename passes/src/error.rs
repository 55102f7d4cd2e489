//! What goes wrong in a pass.

use crate::stage::Stage;
use ir::{BuildError, Graph, Loc, NodeId};

/// An error of a pass, or of the list of passes asked for.
#[derive(Clone, PartialEq, thiserror::Error)]
pub enum PassError {
    /// A pass built an op that doesn't type. For the user's graphs this is a defect of the pass, except where a derivative rule says
    /// that an op can't be differentiated.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The program asks for something that the pass can't do.
    #[error("{}{what}", at(.loc))]
    Unsupported {
        /// What, and what would be possible instead.
        what: String,
        /// Where in the user's source.
        loc: Option<Loc>,
    },
    /// The result of a pass breaks the rules of its stage: a defect of the pass. The text shows each error under its line.
    #[error("broken invariant:\n{0}")]
    Invalid(String),
    /// No pass has that name.
    #[error("there is no pass `{name}`{}; the passes are {known}", .near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)")))]
    UnknownPass {
        /// The name asked for.
        name: String,
        /// The pass whose name is most like it, if one is like it at all.
        near: Option<&'static str>,
        /// The names there are.
        known: String,
    },
    /// A pass was asked to run on a program that isn't ready for it.
    #[error("it needs a program that is {needs}, but this one is only {is}: run the passes before it first")]
    Stage {
        /// What the pass requires.
        needs: Stage,
        /// What the program is.
        is: Stage,
    },
    /// The arena can't be made as small as asked.
    #[error("the memory limit is {limit} bytes, but the smallest arena reached has {reached}: {} bytes too many{}", .reached - .limit, largest(.live))]
    MemoryLimit {
        /// The bytes that were allowed.
        limit: usize,
        /// The bytes of the smallest arena that was reached, with all that could be computed again.
        reached: usize,
        /// The largest tensors that are in memory when most is, by the estimate.
        live: Vec<LiveTensor>,
    },
    /// An error, with the pass it happened in.
    #[error("in pass `{pass}`: {source}")]
    In {
        /// The pass.
        pass: &'static str,
        /// What happened.
        source: Box<Self>,
    },
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for PassError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A tensor in memory.
#[derive(Clone, PartialEq, Debug)]
pub struct LiveTensor {
    /// What computes it, with its type, or which input it is.
    pub what: String,
    /// Its size.
    pub bytes: usize,
    /// Where in the user's source it comes from.
    pub loc: Option<Loc>,
}

/// The list of tensors in a message.
fn largest(live: &[LiveTensor]) -> String {
    let item = |t: &LiveTensor| format!("{}{}, {} bytes", at(&t.loc), t.what, t.bytes);
    let items: Vec<String> = live.iter().map(item).collect();
    if items.is_empty() { String::new() } else { format!("; the largest then in memory: {}", items.join("; ")) }
}

impl PassError {
    /// A node that should not have come so far in this form.
    pub(crate) fn defect(graph: &Graph, node: NodeId, rule: &str) -> Self {
        Self::Unsupported {
            what: format!("{} : {}: {rule}", graph.op(node), graph.ty(node)),
            loc: graph.loc(node).cloned(),
        }
    }
}

fn at(loc: &Option<Loc>) -> String {
    loc.as_ref().map_or_else(String::new, |loc| format!("{loc}: "))
}
