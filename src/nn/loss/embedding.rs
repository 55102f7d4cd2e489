//! Losses of embeddings: vectors along the last axis, which are to lie near each other or apart.

use super::{Loss, mean_per_sample, same_types};
use crate::dsl::setting::{not_negative, positive};
use crate::dsl::{Tensor, TypeSpec, i32};
use ir::TensorType;
use std::borrow::Borrow;

/// The length of vectors along the last axis, which is gone from the result. A vector of zeros has no direction: no gradient comes from it.
#[track_caller]
fn length(x: &Tensor) -> Tensor {
    let squares = x.square().sum_axes([-1]);
    let differs = squares.ne(0.0);
    differs.select(&differs.select(&squares, 1.0).sqrt(), 0.0)
}

/// Vectors along the last axis at length 1; those of zeros stay, and no gradient comes from them. Neither large nor small elements leave the type's range.
#[track_caller]
fn direction(x: &Tensor) -> Tensor {
    // A direction doesn't change with the scale, which therefore is a constant to derivatives.
    let scale = x.abs().max_keepdims([-1]).stop_gradient();
    let is_vector = scale.ne(0.0);
    let scaled = x / is_vector.select(&scale, 1.0);
    let squares = scaled.square().sum_keepdims([-1]);
    is_vector.select(&(scaled * is_vector.select(&squares, 1.0).rsqrt()), 0.0)
}

/// The cosine of the angle between vectors along the last axis, which is gone from the result; equal types. A vector of zeros has a similarity of 0 to any other, without a gradient.
///
/// ```
/// use gradc::dsl::{GraphBuilder, f32};
/// let g = GraphBuilder::new("similar");
/// let (a, b) = (g.input("a", f32([32, 128])), g.input("b", f32([32, 128])));
/// assert_eq!(gradc::nn::cosine_similarity(a, b).ty().unwrap().to_string(), "f32[32]");
/// ```
#[track_caller]
pub fn cosine_similarity(a: impl Borrow<Tensor>, b: impl Borrow<Tensor>) -> Tensor {
    let (a, b) = (a.borrow(), b.borrow());
    if let Some(poisoned) = same_types("cosine_similarity", a, b) {
        return poisoned;
    }
    (direction(a) * direction(b)).sum_axes([-1])
}

/// Pairs of vectors `[..., width]` whose cosine is to be 1, where `target [...]` is 1, or below `margin`, where it is -1: `1 - cos`, or `max(0, cos - margin)`, `[...]`. As PyTorch's
/// `cosine_embedding_loss`.
#[track_caller]
pub fn cosine_embedding(
    a: impl Borrow<Tensor>,
    b: impl Borrow<Tensor>,
    target: impl Borrow<Tensor>,
    margin: f64,
) -> Tensor {
    const NAME: &str = "cosine_embedding";
    let cosine = cosine_similarity(a, b);
    let target = target.borrow();
    if let Some(poisoned) = same_types(NAME, &cosine, target) {
        return poisoned;
    }
    if !(-1.0..=1.0).contains(&margin) {
        return cosine.fail(NAME, format!("the margin must be from -1 to 1, not {margin}"));
    }
    target.gt(0.0).select(&(1 - &cosine), (&cosine - margin).relu())
}

/// Pairs of vectors `[..., width]` that are to be equal, where `same [...]` is 1, or at least `margin` apart, where it is 0: `same d² + (1 - same) max(0, margin - d)²`, `[...]`, `d` the
/// Euclidean distance (Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR 2006, there with a factor of one half). Equal vectors
/// that are to be apart give no gradient: no direction is better.
#[track_caller]
pub fn contrastive(a: impl Borrow<Tensor>, b: impl Borrow<Tensor>, same: impl Borrow<Tensor>, margin: f64) -> Tensor {
    const NAME: &str = "contrastive";
    let (a, b, same) = (a.borrow(), b.borrow(), same.borrow());
    if let Some(poisoned) = same_types(NAME, a, b) {
        return poisoned;
    }
    let difference = a - b;
    let squares = difference.square().sum_axes([-1]);
    if let Some(poisoned) = same_types(NAME, &squares, same) {
        return poisoned;
    }
    if let Err(rule) = positive("the margin", margin) {
        return squares.fail(NAME, rule);
    }
    let missing = (margin - length(&difference)).relu();
    same * squares + (1 - same) * missing.square()
}

/// Vectors `[..., width]` that are to be nearer to a positive one than to a negative one, by a margin: `max(0, |anchor - positive| - |anchor - negative| + margin)`, `[...]` (Schroff,
/// Kalenichenko, Philbin, "FaceNet", CVPR 2015, with distances instead of their squares). As PyTorch's `triplet_margin_loss` with `eps` 0: equal vectors give no
/// gradient.
#[track_caller]
pub fn triplet_margin(
    anchor: impl Borrow<Tensor>,
    positive: impl Borrow<Tensor>,
    negative: impl Borrow<Tensor>,
    margin: f64,
) -> Tensor {
    const NAME: &str = "triplet_margin";
    let (anchor, near, far) = (anchor.borrow(), positive.borrow(), negative.borrow());
    if let Some(poisoned) = same_types(NAME, anchor, near).or_else(|| same_types(NAME, anchor, far)) {
        return poisoned;
    }
    if let Err(rule) = not_negative("the margin", margin) {
        return anchor.fail(NAME, rule);
    }
    (length(&(anchor - near)) - length(&(anchor - far)) + margin).relu()
}

/// For each embedding of a batch, `[batch, width]`, [`triplet_margin`] with the farthest one of the same label (`i32[batch]`) and the nearest of another, `[batch]`; 0 where the batch has
/// none of either kind (Hermans, Beyer, Leibe, "In defense of the triplet loss for person re-identification", arXiv 1703.07737).
#[track_caller]
pub fn batch_hard_triplet(embeddings: impl Borrow<Tensor>, labels: impl Borrow<Tensor>, margin: f64) -> Tensor {
    const NAME: &str = "batch_hard_triplet";
    let (x, labels) = (embeddings.borrow(), labels.borrow());
    let (Some(ty), Some(t)) = (x.ty(), labels.ty()) else {
        return if x.is_poisoned() { x.clone() } else { labels.clone() };
    };
    if ty.shape.rank() != 2 || !t.dtype.is_int() || t.shape.dims() != &ty.shape[..1] {
        let rule = "embeddings must be [batch, width], labels integers [batch]";
        return x.builder().fail(NAME, &[x, labels], rule);
    }
    if let Err(rule) = not_negative("the margin", margin) {
        return x.fail(NAME, rule);
    }
    let batch = ty.shape[0];
    let distances = length(&(x.unsqueeze(1) - x.unsqueeze(0)));
    let same = labels.unsqueeze(1).eq(labels.unsqueeze(0));
    let numbers = x.builder().iota(i32([batch]), 0);
    let other = numbers.unsqueeze(1).ne(numbers.unsqueeze(0));
    let farthest = same.and(other).select(&distances, f64::NEG_INFINITY).max_axes([1]);
    let nearest = (!&same).select(&distances, f64::INFINITY).min_axes([1]);
    let is_triplet = farthest.gt(f64::NEG_INFINITY).and(nearest.lt(f64::INFINITY));
    let finite = |x: &Tensor| is_triplet.select(x, 0);
    is_triplet.select(&(finite(&farthest) - finite(&nearest) + margin).relu(), 0)
}

/// `-cos` of output and target along the last axis, mean over a sample, as Keras's `CosineSimilarity`: -1 where they point the same way. See [`cosine_similarity`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct CosineSimilarity;

/// [`cosine_embedding`] of the two vectors of each sample: the output is `[batch, 2, width]`, the target 1 or -1, `[batch]`.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct CosineEmbedding {
    /// Below which cosine unlike vectors cost nothing; 0 by default.
    pub margin: f64,
}

/// [`contrastive`] of the two vectors of each sample: the output is `[batch, 2, width]`, the target 1 where they are of a kind, else 0, `[batch]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Contrastive {
    /// From which distance on unlike vectors cost nothing; 1 by default.
    pub margin: f64,
}

/// [`batch_hard_triplet`]: the output is `[batch, width]`, the target labels, `i32[batch]`. A weight of 0 leaves a sample out as an anchor; others are still compared with it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BatchHardTriplet {
    /// How much nearer the positive one is to be; 1 by default.
    pub margin: f64,
}

impl Default for Contrastive {
    fn default() -> Self {
        Self { margin: 1.0 }
    }
}

impl Default for BatchHardTriplet {
    fn default() -> Self {
        Self { margin: 1.0 }
    }
}

/// The two vectors of each sample, `[batch, width]` each.
#[track_caller]
fn pair(name: &str, output: &Tensor) -> [Tensor; 2] {
    match output.shape() {
        Some(shape) if shape.rank() != 3 || shape[1] != 2 => {
            let poisoned = output.fail(name, format!("the output must be [batch, 2, width], not {shape}"));
            [poisoned.clone(), poisoned]
        }
        _ => [0, 1].map(|i| output.slice_axis(1, i..i + 1).squeeze([1])),
    }
}

/// One for each sample.
fn of_samples(output: &TensorType) -> TypeSpec {
    TypeSpec::new(output.dtype, &output.shape[..output.shape.rank().min(1)])
}

/// A label for each sample.
fn label_of_samples(output: &TensorType) -> TypeSpec {
    i32(&output.shape[..output.shape.rank().min(1)])
}

super::losses! {
    CosineSimilarity, "cosine_similarity", TypeSpec::from, |_loss, x, t| -cosine_similarity(x, t);
    CosineEmbedding, "cosine_embedding", of_samples, |loss, x, t| {
        let [a, b] = pair("cosine_embedding", x);
        cosine_embedding(a, b, t, loss.margin)
    };
    Contrastive, "contrastive", of_samples, |loss, x, t| {
        let [a, b] = pair("contrastive", x);
        contrastive(a, b, t, loss.margin)
    };
}

// Samples are compared with others of their batch.
impl Loss for BatchHardTriplet {
    fn name(&self) -> &str {
        "batch_hard_triplet"
    }

    fn target(&self, output: &TensorType) -> TypeSpec {
        label_of_samples(output)
    }

    #[track_caller]
    fn per_sample(&self, output: &Tensor, target: &Tensor) -> Tensor {
        mean_per_sample(&batch_hard_triplet(output, target, self.margin), output)
    }
}
