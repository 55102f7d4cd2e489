//! Several tensors become one.

use super::{Layer, LayerId};
use crate::dsl::Tensor;

/// How tensors become one. As a layer it takes any number of them, of one shape but for [`Merge::Concat`] and what broadcasts, and gives one.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Layer, Merge};
/// let g = GraphBuilder::new("example");
/// let (a, b, c) = (g.input("a", f32([4, 2])), g.input("b", f32([4, 2])), g.input("c", f32([4, 3])));
/// let y = Merge::Concat.apply((&Merge::Max.apply((&a, &b)), &c));
/// assert_eq!(y.shape().unwrap().dims(), [4, 5]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Merge {
    /// Side by side along the last axis.
    #[default]
    Concat,
    /// Their sum.
    Sum,
    /// The first without the others.
    Sub,
    /// Their product.
    Mul,
    /// Their mean.
    Average,
    /// The largest, element by element.
    Max,
    /// The smallest, element by element.
    Min,
}

impl Merge {
    /// One tensor of at least one.
    #[track_caller]
    pub(super) fn join(self, first: &Tensor, others: &[Tensor]) -> Tensor {
        let with = |f: fn(&Tensor, &Tensor) -> Tensor| {
            let mut result = first.clone();
            for other in others {
                result = f(&result, other);
            }
            result
        };
        match self {
            Self::Concat => first.concat(&others.iter().collect::<Vec<_>>(), -1).with_mask_of(first),
            Self::Sum => with(|a, b| a + b),
            Self::Sub => with(|a, b| a - b),
            Self::Mul => with(|a, b| a * b),
            Self::Average => with(|a, b| a + b) * (1.0 / (others.len() + 1) as f64),
            Self::Max => with(|a, b| a.maximum(b)),
            Self::Min => with(|a, b| a.minimum(b)),
        }
    }
}

impl Layer for Merge {
    fn base(&self) -> &str {
        match self {
            Self::Concat => "concatenate",
            Self::Sum => "add",
            Self::Sub => "subtract",
            Self::Mul => "multiply",
            Self::Average => "average",
            Self::Max => "maximum",
            Self::Min => "minimum",
        }
    }

    fn kind(&self) -> &str {
        match self {
            Self::Concat => "Concatenate",
            Self::Sum => "Add",
            Self::Sub => "Subtract",
            Self::Mul => "Multiply",
            Self::Average => "Average",
            Self::Max => "Maximum",
            Self::Min => "Minimum",
        }
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    #[track_caller]
    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        self.join(x, &[])
    }

    #[track_caller]
    fn call_many(&self, inputs: &[Tensor], _: &str) -> Vec<Tensor> {
        match inputs {
            [first, others @ ..] => vec![self.join(first, others)],
            [] => vec![],
        }
    }
}
