//! Positions: learned ones that are added, and rotations of queries and keys.

use crate::dsl::{Initializer, Tensor, uniform};
use crate::nn::layer::weight;
use crate::nn::layer::window::sequence;
use crate::nn::{Layer, LayerId};
use ir::{DType, Scalar, Shape, TensorType, Value};

/// A learned vector for each position, added: `[batch, length, width]` to the same. Parameter `embeddings [context, width]`; the length is at most the
/// context.
#[derive(Clone, Debug)]
pub struct LearnedPositions {
    context: usize,
    name: String,
    id: LayerId,
    initializer: Initializer,
}

impl LearnedPositions {
    /// For sequences up to that length; uniform on ±0.05, as [`crate::nn::Embedding`].
    pub fn new(context: usize) -> Self {
        Self { context, name: "position_embedding".into(), id: LayerId::new(), initializer: uniform(-0.05, 0.05) }
    }

    /// With another name than the kind's.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// With other initial vectors.
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// The vector of one position, given by its value, added to `x [batch, 1, width]`: for steps of one position each. A `position` (`i32[1]`) that is
    /// not below the context ends the run with an error.
    #[track_caller]
    pub fn apply_at(&self, x: &Tensor, position: &Tensor) -> Tensor {
        x.builder().layer(self.id(), self.base(), self.kind(), |name| match sequence(self.base(), x) {
            Ok(ty) => {
                x + weight(x, name, "embeddings", &[self.context, ty.shape[2]], &self.initializer).gather(position)
            }
            Err(poisoned) => poisoned,
        })
    }
}

impl Layer for LearnedPositions {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "PositionEmbedding"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let ty = match sequence(self.base(), x) {
            Ok(ty) => ty,
            Err(poisoned) => return poisoned,
        };
        let (length, context) = (ty.shape[1], self.context);
        if length > context {
            return x.fail(self.base(), format!("the sequence's length {length} is over the context {context}"));
        }
        let table = weight(x, name, "embeddings", &[context, ty.shape[2]], &self.initializer);
        x + table.slice_axis(0, 0..length)
    }
}

/// Rotary positions (Su et al., "RoFormer", arXiv 2104.09864): at position `p` the pair of features `i` and `i + size/2` is rotated by
/// the angle `p base^(-2i/size)`. The product of a query and a key then depends on the distance of their positions alone. No parameters.
///
/// The two halves of a head make the pairs, as in Llama's and GPT-NeoX's code; the paper pairs neighbours, which is another order of the features.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rotary {
    base: f64,
}

impl Default for Rotary {
    /// With the paper's base, 10000.
    fn default() -> Self {
        Self { base: 10_000.0 }
    }
}

impl Rotary {
    /// With another base: a larger one for longer contexts.
    pub fn new(base: f64) -> Self {
        Self { base }
    }

    /// Rotates `[batch, length, heads, size]`, the size being even, by the positions from 0.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        self.rotate(x, |shape| shape[1], |table| table)
    }

    /// Rotates `[batch, 1, heads, size]` by one position, given by its value: `i32[1]`, below `context`, else the run ends with an error.
    #[track_caller]
    pub fn apply_at(&self, x: &Tensor, position: &Tensor, context: usize) -> Tensor {
        self.rotate(x, |_| context, |table| table.gather(position))
    }

    #[track_caller]
    fn rotate(&self, x: &Tensor, rows: impl Fn(&Shape) -> usize, take: impl Fn(Tensor) -> Tensor) -> Tensor {
        let Some(ty) = x.ty() else { return x.clone() };
        let sound = self.base > 1.0 && self.base.is_finite();
        if ty.shape.rank() != 4 || !ty.dtype.is_float() || !ty.shape[3].is_multiple_of(2) || !sound {
            let rule = "wanted are floats [batch, length, heads, size] of even size, and a base above 1";
            return x.fail("rotary", rule);
        }
        let (half, rows) = (ty.shape[3] / 2, rows(&ty.shape));
        let [Ok(cos), Ok(sin)] = [f64::cos, f64::sin].map(|f| self.table(rows, half, ty.dtype, f)) else {
            return x.fail("rotary", "the table of angles is too large");
        };
        let (cos, sin) = (take(x.builder().constant(cos)), take(x.builder().constant(sin)));
        let (a, b) = (x.slice_axis(3, 0..half), x.slice_axis(3, half..2 * half));
        (&a * &cos - &b * &sin).concat(&[&(&b * &cos + &a * &sin)], 3)
    }

    /// `f` of the angles, `[rows, 1, half]`, computed in `f64`.
    fn table(&self, rows: usize, half: usize, dtype: DType, f: fn(f64) -> f64) -> Result<Value, ir::ShapeError> {
        let ty = TensorType::new(dtype, Shape::new([rows, 1, half])?);
        Ok(Value::from_fn(ty, |i| {
            let (position, pair) = ((i / half) as f64, (i % half) as f64);
            Scalar::from_f64(f(position * self.base.powf(-pair / half as f64)), dtype)
        }))
    }
}
