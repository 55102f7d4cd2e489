//! Algebraic simplification by named, directional rules.
//!
//! # Does
//! Applies the rules of [`rules`] until none fires. Each stands in the file of its op family, looks at a node and at what it is
//! computed from, and replaces the node by a simpler one. Rules keep the float rules; each says what it [changes](Changes), mostly
//! nothing. None changes a term of a sum: a factor stays in it, for the sum may overflow without. Algebra that does more (`log(exp(x))`, `x - x`) is not done. Nodes that nothing uses any
//! more are removed.
//!
//! # Requires
//! No gradients to be derived: replacing a node by an equal one would change what a gradient is taken by.
//!
//! # Ensures
//! No rule fires. (The number of rewrites is bounded; a graph that would take more is left correct, but not as simple as it could be.)
//!
//! # Example
//! ```text
//! %1 = full {value=(1.0)} : f32[4]
//! %2 = mul %0, %1 : f32[4]
//! %3 = neg %2 : f32[4]
//! %4 = neg %3 : f32[4]                 output "y" = %0
//! output "y" = %4                 →
//! ```

mod contraction;
mod elementwise;
mod index;
mod matching;
mod movement;
mod reduce;
mod rule;
mod window;

use crate::PassError;
use crate::dce::remove_dead;
use ir::{Builder, Graph, NodeId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use rule::{Changes, DEPTH, Rewrite, RewriteRule};

/// All rules, by family, in the order in which they are tried.
pub fn rules() -> impl Iterator<Item = &'static RewriteRule> {
    let families: [&[&[RewriteRule]]; 6] =
        [elementwise::RULES, movement::RULES, window::RULES, reduce::RULES, contraction::RULES, index::RULES];
    families.into_iter().flatten().copied().flatten()
}

/// The same as a list.
pub fn all() -> Vec<&'static RewriteRule> {
    rules().collect()
}

/// The rewrites of a run: how often each rule fired, and how many more may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rewrites {
    /// How often each rule fired; those that didn't aren't there.
    pub fired: BTreeMap<&'static str, usize>,
    /// The rule that fired last.
    pub last: Option<&'static str>,
    /// How many rewrites there may be before the run ends.
    pub left: usize,
}

impl Default for Rewrites {
    /// None yet, and no limit.
    fn default() -> Self {
        Self::at_most(usize::MAX)
    }
}

impl Rewrites {
    /// None yet, and at most so many: for finding, by halving, the rewrite that breaks a graph.
    pub fn at_most(count: usize) -> Self {
        Self { fired: BTreeMap::new(), last: None, left: count }
    }

    fn note(&mut self, rule: &'static str) {
        *self.fired.entry(rule).or_default() += 1;
        self.last = Some(rule);
        self.left -= 1;
    }
}

/// Runs the pass and says how often each rule fired; rules that didn't aren't there.
///
/// # Errors
/// None but a defect of a rule.
pub fn run_counted(graph: &mut Graph) -> Result<BTreeMap<&'static str, usize>, PassError> {
    let mut rewrites = Rewrites::default();
    apply(graph, &all(), &mut rewrites)?;
    Ok(rewrites.fired)
}

/// Applies these rules, each node the first that fires, until none does or `rewrites` allows no more.
///
/// # Errors
/// As [`run_counted`].
pub fn apply(graph: &mut Graph, rules: &[&'static RewriteRule], rewrites: &mut Rewrites) -> Result<(), PassError> {
    let mut work = Worklist::new(graph);
    let mut fuel = 1000 + 64 * graph.len();
    while rewrites.left > 0
        && fuel > 0
        && let Some(id) = work.next()
    {
        // A node that nothing uses goes without being rewritten: what it is rewritten to would go with it.
        if !graph.contains(id) || work.remove_dead(graph, id) {
            continue;
        }
        let Some((rule, new)) = first_match(graph, id, rules)? else { continue };
        rewrites.note(rule.name);
        work.replace(graph, id, new);
        fuel -= 1;
    }
    Ok(())
}

/// The first rule that applies to a node, and what it gives.
fn first_match(
    graph: &mut Graph,
    id: NodeId,
    rules: &[&'static RewriteRule],
) -> Result<Option<(&'static RewriteRule, NodeId)>, PassError> {
    let family = graph.op(id).family();
    let loc = graph.loc(id).cloned();
    let mut builder = Builder::new(graph, loc);
    for &rule in rules.iter().filter(|rule| rule.root == family) {
        let Some(new) = (rule.apply)(&mut builder, id)? else { continue };
        if graph.ty(new) != graph.ty(id) {
            let (op, is, was) = (graph.op(id), graph.ty(new), graph.ty(id));
            return Err(PassError::Invalid(format!("rule `{}` replaces `{op} : {was}` by a {is}", rule.name)));
        }
        return Ok(Some((rule, new)));
    }
    Ok(None)
}

/// The nodes to be tried, each at most once in the queue.
struct Worklist {
    queue: VecDeque<NodeId>,
    queued: BTreeSet<NodeId>,
    /// The nodes that have been tried or will be: what isn't here has just been added by a rule.
    known: BTreeSet<NodeId>,
}

impl Worklist {
    fn new(graph: &Graph) -> Self {
        let queue: VecDeque<NodeId> = graph.topological().into();
        let queued: BTreeSet<NodeId> = queue.iter().copied().collect();
        Self { queue, known: queued.clone(), queued }
    }

    fn next(&mut self) -> Option<NodeId> {
        let id = self.queue.pop_front()?;
        self.queued.remove(&id);
        Some(id)
    }

    fn push(&mut self, id: NodeId) {
        if self.queued.insert(id) {
            self.queue.push_back(id);
        }
    }

    /// Puts `new` in the place of `old`, and in the queue what may have become simpler by that.
    fn replace(&mut self, graph: &mut Graph, old: NodeId, new: NodeId) {
        // Those that use `new` already have no reason to look again.
        let mut level: BTreeSet<NodeId> = graph.users(old).into_iter().collect();
        graph.replace_uses(old, new);
        self.remove_dead(graph, old);
        self.push_added(graph, new);
        for _ in 1..DEPTH {
            level.iter().for_each(|&id| self.push(id));
            level = level.iter().flat_map(|&id| graph.users(id)).collect();
        }
        level.iter().for_each(|&id| self.push(id));
    }

    /// Removes a node and what only it used, if nothing uses it; says whether it did. Some rules are for values with one user alone: a user that is the last one
    /// now is tried again.
    fn remove_dead(&mut self, graph: &mut Graph, id: NodeId) -> bool {
        let removed = remove_dead(graph, id);
        if removed.nodes.is_empty() {
            return false;
        }
        removed.nodes.iter().for_each(|id| {
            self.known.remove(id);
        });
        for operand in removed.operands.into_iter().filter(|&id| graph.contains(id)) {
            if let [user] = graph.users(operand)[..] {
                self.push(user);
            }
        }
        true
    }

    /// Queues the nodes that a rule has added, operands first.
    fn push_added(&mut self, graph: &Graph, new: NodeId) {
        if self.known.insert(new) {
            for &operand in graph.operands(new) {
                self.push_added(graph, operand);
            }
            self.push(new);
        }
    }
}
