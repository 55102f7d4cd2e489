//! Which inputs hold indices, and up to where: a check that failed in a step then names the element that broke it.

use super::RunError;
use ir::{DType, Family, Graph, NodeId, Op, TensorType};
use runtime::{Executable, StepError};

/// An input whose elements are used as indices.
#[derive(Clone, Debug)]
struct Indices {
    input: String,
    ty: TensorType,
    /// The first value that is too large.
    bound: usize,
    /// The place of the op that uses them.
    loc: Option<String>,
}

/// All inputs of a graph that hold indices, once for each use.
#[derive(Clone, Debug, Default)]
pub(super) struct IndexedInputs(Vec<Indices>);

impl IndexedInputs {
    pub(super) fn of(graph: &Graph) -> Self {
        let uses = graph.ids().filter_map(|id| {
            let operands = graph.operands(id);
            let (indices, bound) = match graph.op(id) {
                Op::CheckIndex(check) => (operands[0], check.bound),
                Op::TakeAlongAxis(take) => (operands[1], graph.ty(operands[0]).shape[take.axis]),
                Op::Gather(_) | Op::ScatterAdd(_) => (operands[1], graph.ty(operands[0]).shape[0]),
                _ => return None,
            };
            let Op::Input(input) = graph.op(input_behind(graph, indices)?) else { return None };
            let loc = graph.loc(id).map(ToString::to_string);
            Some(Indices { input: input.name.clone(), ty: input.ty.clone(), bound, loc })
        });
        Self(uses.collect())
    }

    /// The error of a step, with the element of an input that caused it, if one did.
    pub(super) fn explain(&self, executable: &mut Executable, error: StepError) -> RunError {
        for Indices { input, ty, bound, .. } in self.0.iter().filter(|indices| indices.loc == error.loc) {
            let wrong = |value: i64| usize::try_from(value).map_or(true, |index| index >= *bound);
            let found = match ty.dtype {
                DType::I64 => executable.input_mut::<i64>(input).ok().and_then(|elements| first(elements, wrong)),
                _ => executable.input_mut::<i32>(input).ok().and_then(|elements| first(elements, wrong)),
            };
            if let Some((at, value)) = found {
                let place = ty.shape.strides().iter().zip(ty.shape.iter()).map(|(s, d)| at / s % d).collect();
                return RunError::Index { input: input.clone(), place, value, error };
            }
        }
        error.into()
    }
}

/// The first element that `wrong` holds for, and its position.
fn first<T: Copy + Into<i64>>(elements: &[T], wrong: impl Fn(i64) -> bool) -> Option<(usize, i64)> {
    elements.iter().map(|&element| element.into()).enumerate().find(|(_, value)| wrong(*value))
}

/// The input that a tensor holds all elements of, in the same order or another.
fn input_behind(graph: &Graph, mut id: NodeId) -> Option<NodeId> {
    loop {
        let operands = graph.operands(id);
        match (graph.op(id), operands.first()) {
            (Op::Input(_), _) => return Some(id),
            (Op::CheckIndex(_), Some(&from)) => id = from,
            (op, Some(&from))
                if operands.len() == 1
                    && op.family() == Family::Movement
                    && graph.ty(from).shape.numel() <= graph.ty(id).shape.numel() =>
            {
                id = from;
            }
            _ => return None,
        }
    }
}
