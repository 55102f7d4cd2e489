//! What one step of a scan does: a graph whose ports have names that say what they are.

use crate::{Graph, NodeId, Op};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a port of a body stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PortRole {
    /// What the step before left, or, as an output, what this one leaves. Named `carry0`, `carry1`, ...
    Carry,
    /// This step's part of a sequence. Named `x0`, `x1`, ...
    Sequence,
    /// The same in every step. Named `w0`, `w1`, ...
    Invariant,
    /// What a step gives, stacked in the scan's result. Named `y0`, `y1`, ...
    Stacked,
}

impl PortRole {
    const INPUTS: [Self; 3] = [Self::Carry, Self::Sequence, Self::Invariant];
    const OUTPUTS: [Self; 2] = [Self::Carry, Self::Stacked];

    /// How names of such ports begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Carry => "carry",
            Self::Sequence => "x",
            Self::Invariant => "w",
            Self::Stacked => "y",
        }
    }
}

impl fmt::Display for PortRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Carry => "carry",
            Self::Sequence => "sequence",
            Self::Invariant => "invariant",
            Self::Stacked => "stacked result",
        })
    }
}

/// A port of a body. Prints as its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BodyPort {
    /// What it stands for.
    pub role: PortRole,
    /// Which of those it is.
    pub number: usize,
}

impl BodyPort {
    /// A carry, taken or left.
    pub fn carry(number: usize) -> Self {
        Self { role: PortRole::Carry, number }
    }

    /// A sequence.
    pub fn sequence(number: usize) -> Self {
        Self { role: PortRole::Sequence, number }
    }

    /// An invariant.
    pub fn invariant(number: usize) -> Self {
        Self { role: PortRole::Invariant, number }
    }

    /// A stacked result.
    pub fn stacked(number: usize) -> Self {
        Self { role: PortRole::Stacked, number }
    }

    /// The input of a body with that name, if inputs of bodies have such.
    pub fn of_input(name: &str) -> Option<Self> {
        Self::among(&PortRole::INPUTS, name)
    }

    /// The output of a body with that name, if outputs of bodies have such.
    pub fn of_output(name: &str) -> Option<Self> {
        Self::among(&PortRole::OUTPUTS, name)
    }

    fn among(roles: &[PortRole], name: &str) -> Option<Self> {
        let number = |role: PortRole| name.strip_prefix(role.prefix())?.parse().ok();
        let mut ports = roles.iter().filter_map(|&role| Some(Self { role, number: number(role)? }));
        // Numbers have other spellings, `00` and `+0`: a port's name is the one that it prints as, by which others find it.
        ports.find(|port| port.to_string() == name)
    }
}

impl fmt::Display for BodyPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.role.prefix(), self.number)
    }
}

/// The body of a scan. Its inputs are `carry0`.., `x0`.., `w0`..; its outputs `carry0`.. (what is carried on, of the carry's type) and `y0`.. (the
/// step's results); in each group the numbers are consecutive from 0. It has no states, no updates and no gradients to be derived.
///
/// Shared by the nodes of one scan; equal if the graphs are ([`Graph::same_as`]).
#[derive(Clone)]
pub struct Body(Arc<BodyGraph>);

/// How deep bodies may stand in bodies: what no program needs, and no stack is too small for. Whatever walks over graphs and the bodies in them relies on it.
pub const MAX_NESTING: usize = 16;

/// The graph, and its ports by number.
struct BodyGraph {
    graph: Graph,
    /// How many bodies stand in one another, this one included.
    levels: usize,
    carries: Vec<NodeId>,
    sequences: Vec<NodeId>,
    invariants: Vec<NodeId>,
    next: Vec<NodeId>,
    stacked: Vec<NodeId>,
}

/// Why a graph is no body of a scan.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BodyError {
    /// A port's name is none that a body's ports have, or a number is left out.
    #[error(
        "{port} {name:?} of a scan's body: inputs are named carry0.., x0.., w0.., outputs carry0.., y0.., without gaps"
    )]
    Name {
        /// "input" or "output".
        port: &'static str,
        /// The name.
        name: String,
    },
    /// As many carries go in as come out.
    #[error("the body of a scan takes {taken} carries and gives {given}")]
    Carries {
        /// Inputs that are carries.
        taken: usize,
        /// Outputs that are.
        given: usize,
    },
    /// A carry changes its type.
    #[error("carry {index} of a scan is {taken}, the body carries on {given}")]
    CarryType {
        /// Which.
        index: usize,
        /// The type of the input.
        taken: crate::TensorType,
        /// The type of the output.
        given: crate::TensorType,
    },
    /// Something that a body can't have.
    #[error("the body of a scan has a {0}")]
    Forbidden(&'static str),
    /// A scan without a result.
    #[error("the body of a scan gives nothing")]
    NoResult,
    /// A scan in a scan, and so on.
    #[error("scans are nested more than {MAX_NESTING} deep")]
    Nesting,
}

impl Body {
    /// The body that a graph is.
    ///
    /// # Errors
    /// If its ports are not those of a body, it has a state, an update or a gradient to be derived, or more than [`MAX_NESTING`] bodies would stand in one
    /// another.
    pub fn new(graph: Graph) -> Result<Self, BodyError> {
        if graph.states().next().is_some() || !graph.updates().is_empty() {
            return Err(BodyError::Forbidden("state: pass it as a carry"));
        }
        if graph.ids().any(|id| matches!(graph.op(id), Op::Gradient(_))) {
            return Err(BodyError::Forbidden("gradient: take it outside of the scan"));
        }
        let inputs: Vec<(&str, NodeId)> = graph.inputs().map(|(id, input)| (input.name.as_str(), id)).collect();
        let outputs: Vec<(&str, NodeId)> = graph.outputs().iter().map(|(name, id)| (name.as_str(), *id)).collect();
        let [carries, sequences, invariants] = grouped("input", &inputs, PortRole::INPUTS)?;
        let [next, stacked] = grouped("output", &outputs, PortRole::OUTPUTS)?;
        if carries.len() != next.len() {
            return Err(BodyError::Carries { taken: carries.len(), given: next.len() });
        }
        for (index, (&taken, &given)) in carries.iter().zip(&next).enumerate() {
            if graph.ty(taken) != graph.ty(given) {
                let (taken, given) = (graph.ty(taken).clone(), graph.ty(given).clone());
                return Err(BodyError::CarryType { index, taken, given });
            }
        }
        if next.is_empty() && stacked.is_empty() {
            return Err(BodyError::NoResult);
        }
        let below = |id| match graph.op(id) {
            Op::Scan(scan) => scan.body.levels(),
            _ => 0,
        };
        let levels = 1 + graph.ids().map(below).max().unwrap_or(0);
        if levels > MAX_NESTING {
            return Err(BodyError::Nesting);
        }
        Ok(Self(Arc::new(BodyGraph { graph, levels, carries, sequences, invariants, next, stacked })))
    }

    /// How many bodies stand in one another, this one included: 1 if it has no scan.
    pub fn levels(&self) -> usize {
        self.0.levels
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.0.graph
    }

    /// The inputs that are carries, by number.
    pub fn carries(&self) -> &[NodeId] {
        &self.0.carries
    }

    /// The inputs that are parts of sequences, by number.
    pub fn sequences(&self) -> &[NodeId] {
        &self.0.sequences
    }

    /// The inputs that are the same in every step, by number.
    pub fn invariants(&self) -> &[NodeId] {
        &self.0.invariants
    }

    /// What is carried on, by the carry's number.
    pub fn next(&self) -> &[NodeId] {
        &self.0.next
    }

    /// The step's results, by number.
    pub fn stacked(&self) -> &[NodeId] {
        &self.0.stacked
    }

    /// The inputs, in the order of a scan's operands.
    pub fn inputs(&self) -> Vec<BodyPort> {
        let groups = [
            (PortRole::Carry, &self.0.carries),
            (PortRole::Sequence, &self.0.sequences),
            (PortRole::Invariant, &self.0.invariants),
        ];
        groups.iter().flat_map(|(role, ids)| (0..ids.len()).map(|number| BodyPort { role: *role, number })).collect()
    }

    /// True if both are one body in memory, which equal ones need not be.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.is_shared_with(other) || self.graph().same_as(other.graph())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({:?})", self.graph().name())
    }
}

/// The ports of each group by number.
fn grouped<const N: usize>(
    port: &'static str,
    ports: &[(&str, NodeId)],
    roles: [PortRole; N],
) -> Result<[Vec<NodeId>; N], BodyError> {
    let mut groups: [BTreeMap<usize, NodeId>; N] = std::array::from_fn(|_| BTreeMap::new());
    let name = |name: &str| BodyError::Name { port, name: name.into() };
    for &(text, id) in ports {
        let BodyPort { role, number } = BodyPort::among(&roles, text).ok_or_else(|| name(text))?;
        let group = groups.iter_mut().zip(roles).find(|(_, of)| *of == role).map(|(group, _)| group);
        // No gaps: a number at least as large as there are ports leaves one out; a number twice does too.
        if number >= ports.len() || group.is_none_or(|group| group.insert(number, id).is_some()) {
            return Err(name(text));
        }
    }
    for (group, role) in groups.iter().zip(roles) {
        if let Some((at, (&number, _))) = group.iter().enumerate().find(|(at, (number, _))| at != *number) {
            debug_assert!(at < number);
            return Err(name(&BodyPort { role, number }.to_string()));
        }
    }
    Ok(groups.map(|group| group.into_values().collect()))
}
