//! A number for each head and distance of positions.

use crate::dsl::{Initializer, Tensor, normal};
use crate::nn::LayerId;
use crate::nn::layer::weight;
use ir::{DType, Scalar, Shape, TensorType, Value};

/// T5's relative positions (Raffel et al., arXiv 1910.10683): a learned number for each head and bucket of distances, added to the scores of attention. Half of the buckets are of one distance each,
/// the others of ranges that grow, up to the largest distance; without [`RelativePositionBias::causal`] half of them are for keys after the query. Parameter `embeddings [buckets, heads]`.
///
/// T5 leaves out the division of scores by the root of the size, which attention has here.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Layer, MultiHeadAttention, RelativePositionBias};
/// use std::sync::Arc;
/// let g = GraphBuilder::new("encoder");
/// let x = g.input("x", f32([2, 10, 64]));
/// let bias = Arc::new(RelativePositionBias::new(4));
/// let layer = || MultiHeadAttention::new(4, 16).relative_position_bias(&bias);
/// g.output("y", &layer().apply(&layer().apply(&x)));
/// // One table for both.
/// let tables = g.finish().unwrap().states.into_iter().filter(|s| s.ty.shape[..] == [32, 4]).count();
/// assert_eq!(tables, 1);
/// ```
#[derive(Clone, Debug)]
pub struct RelativePositionBias {
    heads: usize,
    buckets: usize,
    max_distance: usize,
    causal: bool,
    name: String,
    id: LayerId,
    initializer: Initializer,
}

impl RelativePositionBias {
    /// For so many heads, with T5's 32 buckets up to a distance of 128, for keys on both sides.
    pub fn new(heads: usize) -> Self {
        Self {
            heads,
            buckets: 32,
            max_distance: 128,
            causal: false,
            name: "relative_position_bias".into(),
            id: LayerId::new(),
            initializer: normal(0.0, 0.02),
        }
    }

    /// With another number of buckets, at least 4.
    pub fn buckets(mut self, buckets: usize) -> Self {
        self.buckets = buckets;
        self
    }

    /// With another distance from which on all are in the last bucket.
    pub fn max_distance(mut self, distance: usize) -> Self {
        self.max_distance = distance;
        self
    }

    /// Whether all buckets are for keys before the query; those after it are in the first.
    pub fn causal(mut self, causal: bool) -> Self {
        self.causal = causal;
        self
    }

    /// With another initial table.
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// The bucket of a key that stands so far after its query.
    fn bucket(&self, distance: isize) -> usize {
        let count = if self.causal { self.buckets } else { self.buckets / 2 };
        let after = if !self.causal && distance > 0 { count } else { 0 };
        let far = if self.causal { (-distance).max(0) } else { distance.abs() } as usize;
        let exact = count / 2;
        if far < exact {
            return after + far;
        }
        let ratio = (far as f64 / exact as f64).ln() / (self.max_distance as f64 / exact as f64).ln();
        after + (exact + (ratio * (count - exact) as f64) as usize).min(count - 1)
    }

    /// The rule that the settings break, if any.
    fn broken_rule(&self) -> Option<String> {
        let count = if self.causal { self.buckets } else { self.buckets / 2 };
        let is_sound = count >= 2 && self.max_distance > count / 2 && self.heads > 0;
        (!is_sound).then(|| {
            let Self { heads, buckets, max_distance, .. } = self;
            format!("{heads} heads must be at least 1, and {buckets} buckets at least 4 and the distance {max_distance} over half of them")
        })
    }

    /// The numbers of all queries and keys, `[heads, queries, keys]`, in the type of `x`.
    #[track_caller]
    pub fn apply(&self, x: &Tensor, queries: usize, keys: usize) -> Tensor {
        self.numbers(x, queries, keys, |buckets| buckets)
    }

    /// The numbers of one query at `position` (`i32[1]`), `[heads, 1, capacity]`; a position that is not below the capacity ends the run with an error.
    #[track_caller]
    pub(super) fn apply_at(&self, x: &Tensor, position: &Tensor, capacity: usize) -> Tensor {
        self.numbers(x, capacity, capacity, |buckets| buckets.gather(position))
    }

    #[track_caller]
    fn numbers(&self, x: &Tensor, queries: usize, keys: usize, rows: impl Fn(Tensor) -> Tensor) -> Tensor {
        let g = x.builder();
        g.layer(Some(&self.id), &self.name, "RelativePositionBias", |name| {
            if let Some(rule) = self.broken_rule() {
                return x.fail(&self.name, rule);
            }
            let Ok(shape) = Shape::new([queries, keys]) else {
                return x.fail(&self.name, "the positions are too many");
            };
            let bucket = |i: usize| self.bucket((i % keys) as isize - (i / keys) as isize);
            let buckets = Value::from_fn(TensorType::new(DType::I32, shape), |i| Scalar::I32(bucket(i) as i32));
            let table = weight(x, name, "embeddings", &[self.buckets, self.heads], &self.initializer);
            table.gather(rows(g.constant(buckets))).permute([2, 0, 1])
        })
    }
}
