//! Single operations as users write them, in many sizes and element types, forward and with gradients: what lies beside the benchmarks' kernels.
//!
//! A row is a text, `OP/DTYPE/SHAPE[/ARGUMENT...][/grad]`, so that other frameworks' benchmarks can read the same list
//! (`tools/compare_ops.py`). With `grad` the step gives the result and the gradients of `sum(result dy)` by all operands of floats.

mod contraction;
mod index;
mod layer;
mod map;
mod movement;
mod reduction;
mod rows;

pub use rows::OPS;

use crate::bench::stream::{integers, uniform};
use gradc::dsl::{GraphBuilder, ModelErrors, Step, Tensor, TypeSpec};
use ir::op::source::Input;
use ir::{DType, Data, Scalar, Value, ValueError};

/// A row of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OpRow(pub(super) &'static str);

/// A row's parts.
struct RowFields {
    op: &'static str,
    dtype: DType,
    dims: Vec<usize>,
    arguments: Vec<&'static str>,
    gradients: bool,
}

/// What a row computes: the result, and by which operands gradients are taken.
struct BuiltOp {
    result: Tensor,
    by: Vec<Tensor>,
}

impl RowFields {
    fn of(row: &'static str) -> Option<Self> {
        let mut fields: Vec<&'static str> = row.split('/').collect();
        let gradients = fields.last() == Some(&"grad");
        fields.truncate(fields.len() - usize::from(gradients));
        let (&[op, dtype, shape], arguments) = fields.split_first_chunk()?;
        let dtype = DType::ALL.into_iter().find(|d| d.to_string() == dtype)?;
        Some(Self { op, dtype, dims: extents(shape)?, arguments: arguments.to_vec(), gradients })
    }

    /// An operand of that shape in the row's element type.
    fn operand(&self, g: &GraphBuilder, name: &str, dims: &[usize]) -> Tensor {
        g.input(name, TypeSpec::new(self.dtype, dims))
    }

    /// The operand of the row's own shape.
    fn x(&self, g: &GraphBuilder) -> Tensor {
        self.operand(g, "x", &self.dims)
    }

    /// Argument `i` as a number.
    fn number<T: std::str::FromStr>(&self, i: usize) -> Option<T> {
        self.arguments.get(i)?.parse().ok()
    }

    /// Argument `i` as extents, or as a list of axes: `3x3`.
    fn list(&self, i: usize) -> Option<Vec<usize>> {
        extents(self.arguments.get(i)?)
    }
}

fn extents(text: &str) -> Option<Vec<usize>> {
    text.split('x').map(|extent| extent.parse().ok()).collect()
}

impl OpRow {
    /// Declares the graph.
    ///
    /// # Errors
    /// If no family has the row's op, or the op doesn't take these arguments: none of the list is so.
    pub(super) fn step(self) -> Result<Step, ModelErrors> {
        let g = GraphBuilder::new(self.0);
        g.set_training(true);
        let families = [map::build, reduction::build, movement::build, index::build, contraction::build, layer::build];
        let parts = RowFields::of(self.0);
        let built = parts.as_ref().and_then(|parts| families.iter().find_map(|family| family(parts, &g)));
        let (Some(parts), Some(BuiltOp { result, mut by })) = (parts, built) else {
            g.fail(self.0, &[], "no operation of that form is known");
            return g.finish();
        };
        g.output("y", &result);
        if let (true, Some(ty)) = (parts.gradients, result.ty()) {
            by.extend(g.parameters().into_iter().map(|(_, parameter)| parameter));
            let loss = (&result * g.input("dy", ty)).sum();
            for (i, gradient) in g.gradients(&loss, &by.iter().collect::<Vec<_>>()).iter().enumerate() {
                g.output(&format!("d{i}"), gradient);
            }
        }
        g.finish()
    }

    /// The operands' values: uniform on [-1, 1), of `positive` on [0.1, 4.1), of `index_N` whole numbers below N.
    pub(super) fn inputs(self, step: &Step) -> Result<Vec<(String, Value)>, ValueError> {
        let inputs = step.graph.inputs().enumerate();
        inputs.map(|(k, (_, input))| Ok((input.name.clone(), value(3001 + k as u64, input)?))).collect()
    }
}

fn value(stream: u64, input: &Input) -> Result<Value, ValueError> {
    let (ty, n) = (&input.ty, input.ty.shape.numel());
    if !ty.dtype.is_float() {
        let below = input.name.strip_prefix("index_").and_then(|bound| bound.parse().ok()).unwrap_or(100);
        let numbers = integers(stream, n, below);
        return Ok(Value::from_fn(ty.clone(), |i| Scalar::I32(numbers[i]).cast(ty.dtype)));
    }
    let (low, high) = if input.name == "positive" { (0.1, 4.1) } else { (-1.0, 1.0) };
    let numbers = uniform(stream, n, low, high);
    match ty.dtype {
        DType::F32 => Value::new(ty.clone(), Data::F32(numbers)),
        dtype => Ok(Value::from_fn(ty.clone(), |i| Scalar::F32(numbers[i]).cast(dtype))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Workload;

    #[test]
    fn every_row_is_an_operation() {
        for workload in OPS {
            let step = workload.step().unwrap_or_else(|e| panic!("{}: {e}", workload.name));
            assert!(!step.graph.outputs().is_empty());
            assert_eq!(step.graph.outputs().len() > 1, workload.name.ends_with("/grad"), "{}", workload.name);
        }
        assert!(OpRow("mystery/f32/4").step().is_err());
        assert!(OpRow("exp/f33/4").step().is_err());
    }

    #[test]
    fn names_are_different() {
        let mut names: Vec<&str> = Workload::all().map(|w| w.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
