//! What a name of the model stands for while it is imported: a value that is known already, a tensor of the graph, a sequence of those.

use crate::error::Refusal;
use gradc::dsl::{DType, GraphBuilder, Tensor};
use ir::{Data, Scalar, Shape, TensorType, Value};

/// A tensor whose elements are known at import. It may have none, which tensors of graphs can't.
#[derive(Clone, PartialEq, Debug)]
pub enum KnownTensor {
    /// With elements.
    Value(Value),
    /// Without elements: an extent is 0.
    Empty {
        /// The element type.
        dtype: DType,
        /// The extents.
        dims: Vec<usize>,
    },
}

impl KnownTensor {
    /// A tensor of these extents and elements.
    ///
    /// # Errors
    /// If their numbers differ, or there is no such shape.
    pub fn new(dims: &[usize], data: Data) -> Result<Self, Refusal> {
        if dims.contains(&0) {
            return match data.is_empty() {
                true => Ok(Self::Empty { dtype: data.dtype(), dims: dims.to_vec() }),
                false => Err(Refusal::broken(format!("{dims:?} has no elements, and {} are given", data.len()))),
            };
        }
        let shape = Shape::new(dims).map_err(|e| Refusal::Rule(e.to_string()))?;
        let value = Value::new(TensorType::new(data.dtype(), shape), data);
        value.map(Self::Value).map_err(|e| Refusal::broken(e.to_string()))
    }

    /// A vector of `i64`.
    pub(crate) fn ints(values: &[i64]) -> Self {
        match Shape::new([values.len()]) {
            Ok(shape) => {
                let ty = TensorType::new(DType::I64, shape);
                Self::Value(Value::from_fn(ty, |i| Scalar::I64(values[i])))
            }
            Err(_) => Self::Empty { dtype: DType::I64, dims: vec![0] },
        }
    }

    /// A scalar.
    pub(crate) fn scalar(value: Scalar) -> Self {
        Self::Value(Value::splat(value, Shape::scalar()))
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::Value(value) => value.ty().dtype,
            Self::Empty { dtype, .. } => *dtype,
        }
    }

    /// The extents.
    pub fn dims(&self) -> &[usize] {
        match self {
            Self::Value(value) => value.ty().shape.dims(),
            Self::Empty { dims, .. } => dims,
        }
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Value(value) => value.data().len(),
            Self::Empty { .. } => 0,
        }
    }

    /// The elements, in row-major order.
    pub(crate) fn scalars(&self) -> Vec<Scalar> {
        match self {
            Self::Value(value) => (0..value.data().len()).map(|i| value.get(i)).collect(),
            Self::Empty { .. } => vec![],
        }
    }

    /// The elements as integers.
    pub(crate) fn to_ints(&self) -> Vec<i64> {
        self.scalars().into_iter().map(Scalar::as_i64).collect()
    }

    /// The elements as floats.
    pub(crate) fn to_floats(&self) -> Vec<f64> {
        self.scalars().into_iter().map(Scalar::as_f64).collect()
    }

    /// The tensor as a constant of a graph; what has one value everywhere is that value, repeated.
    pub(crate) fn in_graph(&self, g: &GraphBuilder, name: &str) -> Result<Tensor, Refusal> {
        let Self::Value(value) = self else { return Err(Refusal::Empty(format!("{name:?}"))) };
        let first = value.get(0);
        let is_uniform = (1..value.data().len()).all(|i| value.get(i).to_bits() == first.to_bits());
        let exact = Scalar::from_f64(first.as_f64(), first.dtype()).to_bits() == first.to_bits();
        Ok(if is_uniform && exact { g.full(first.as_f64(), value.ty()) } else { g.constant(value.clone()) })
    }
}

/// A tensor of the graph, in the order of axes that it was computed in.
#[derive(Clone, Debug)]
pub(crate) enum Laid {
    /// As the model has it.
    Plain(Tensor),
    /// With the second axis, the channels, as the last one: what convolutions and windows give and take. It is turned back where an operator asks for the model's order.
    ChannelsLast(Tensor),
}

impl Laid {
    /// In the model's order of axes.
    #[track_caller]
    pub(crate) fn plain(&self) -> Tensor {
        match self {
            Self::Plain(x) => x.clone(),
            Self::ChannelsLast(x) => channels_second(x),
        }
    }

    /// With the channels last; the rank is 3 or more.
    #[track_caller]
    pub(crate) fn channels_last(&self) -> Tensor {
        match self {
            Self::Plain(x) => channels_last(x),
            Self::ChannelsLast(x) => x.clone(),
        }
    }

    /// In whichever order it is.
    pub(crate) fn as_is(&self) -> &Tensor {
        match self {
            Self::Plain(x) | Self::ChannelsLast(x) => x,
        }
    }

    /// Another tensor in the same order of axes.
    pub(crate) fn like(&self, x: Tensor) -> Self {
        match self {
            Self::Plain(_) => Self::Plain(x),
            Self::ChannelsLast(_) => Self::ChannelsLast(x),
        }
    }
}

/// `[n, c, spatial...]` as `[n, spatial..., c]`.
#[track_caller]
pub(crate) fn channels_last(x: &Tensor) -> Tensor {
    let rank = x.shape().map_or(0, |shape| shape.rank());
    if rank < 3 {
        return x.clone();
    }
    x.permute([0].into_iter().chain(2..rank as isize).chain([1]).collect::<Vec<_>>())
}

/// `[n, spatial..., c]` as `[n, c, spatial...]`.
#[track_caller]
pub(crate) fn channels_second(x: &Tensor) -> Tensor {
    let rank = x.shape().map_or(0, |shape| shape.rank());
    if rank < 3 {
        return x.clone();
    }
    x.permute([0, rank as isize - 1].into_iter().chain(1..rank as isize - 1).collect::<Vec<_>>())
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum ImportItem {
    /// A tensor that is known at import.
    Known(KnownTensor),
    /// A tensor of the graph.
    Graph(Laid),
    /// Several, one after the other.
    Sequence(Vec<Self>),
    /// An optional without a value.
    Nothing,
}

impl From<Tensor> for ImportItem {
    fn from(x: Tensor) -> Self {
        Self::Graph(Laid::Plain(x))
    }
}

impl From<KnownTensor> for ImportItem {
    fn from(known: KnownTensor) -> Self {
        Self::Known(known)
    }
}

impl ImportItem {
    /// A tensor that a channels-last operator gave.
    pub(crate) fn channels_last(x: Tensor) -> Self {
        Self::Graph(Laid::ChannelsLast(x))
    }

    /// The element type and extents; `None` if it is no tensor, or one that broke a rule.
    pub(crate) fn ty(&self) -> Option<(DType, Vec<usize>)> {
        match self {
            Self::Known(known) => Some((known.dtype(), known.dims().to_vec())),
            Self::Graph(laid) => {
                let ty = laid.as_is().ty()?;
                let mut dims = ty.shape.dims().to_vec();
                if let Laid::ChannelsLast(_) = laid
                    && dims.len() >= 3
                {
                    let channels = dims.remove(dims.len() - 1);
                    dims.insert(1, channels);
                }
                Some((ty.dtype, dims))
            }
            Self::Sequence(_) | Self::Nothing => None,
        }
    }

    /// Whether all of it is known at import, with no more elements than that.
    pub(crate) fn is_known(&self, most: usize) -> bool {
        match self {
            Self::Known(known) => known.len() <= most,
            Self::Sequence(items) => items.iter().all(|item| item.is_known(most)),
            Self::Nothing => true,
            Self::Graph(_) => false,
        }
    }

    /// Whether an op that made it broke a rule.
    pub(crate) fn is_poisoned(&self) -> bool {
        match self {
            Self::Graph(laid) => laid.as_is().is_poisoned(),
            Self::Sequence(items) => items.iter().any(Self::is_poisoned),
            Self::Known(_) | Self::Nothing => false,
        }
    }
}
