//! Compositions that need care to be stable: softmax and its relatives.

use super::Tensor;
use super::scope::Squash;
use ir::DType;

impl Tensor {
    /// This tensor in the type that functions of several ops are computed in: `f32` for 16-bit floats, which are rounded once at the end
    /// ([`Tensor::rounded_like`]) instead of after each op. Of a parameter that a policy has rounded, the parameter itself.
    #[track_caller]
    pub(crate) fn in_f32(&self) -> Self {
        let whole = self.master();
        if whole.dtype().is_some_and(DType::is_short_float) { whole.cast(DType::F32) } else { whole }
    }

    /// This tensor in the type of another one.
    #[track_caller]
    pub(crate) fn rounded_like(&self, like: &Self) -> Self {
        match like.dtype() {
            Some(dtype) if self.dtype() != Some(dtype) => self.cast(dtype),
            _ => self.clone(),
        }
    }

    /// The distance from the largest element along an axis: what makes `exp` safe. The maximum is a constant to derivatives, because
    /// softmax does not change when all logits move alike.
    #[track_caller]
    pub(crate) fn below_max(&self, axis: isize) -> Tensor {
        self - self.max_keepdims([axis]).stop_gradient()
    }

    /// `exp(x) / Σ exp(x)` along an axis, by way of the distance from the maximum, so that no finite logit overflows; floats.
    /// Cross-entropies recognise it and use the logits.
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Tensor {
        let e = self.in_f32().below_max(axis).exp();
        // One quotient for all: a product is many times as fast, and its error of half an ulp is no more than that of the sum.
        let result = (&e * (1.0 / e.sum_keepdims([axis]))).rounded_like(self);
        let last = self.shape().map(|s| s.rank() as isize - 1);
        if axis == -1 || Some(axis) == last { self.remember_logits(&result, Squash::Softmax) } else { result }
    }

    /// `log(softmax(x))` along an axis: finite wherever the logits' distance is; floats.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Tensor {
        let shifted = self.in_f32().below_max(axis);
        let log_sum = shifted.exp().sum_keepdims([axis]).log();
        (shifted - log_sum).rounded_like(self)
    }

    /// `log Σ exp(x)` over an axis, which is gone from the result; floats. -inf where all are -inf, inf where one is.
    #[track_caller]
    pub fn logsumexp(&self, axis: isize) -> Tensor {
        let x = self.in_f32();
        let max = x.max_keepdims([axis]).stop_gradient();
        // An infinite one can't be subtracted: the distance of infinities is no number.
        let max = max.abs().lt(f64::INFINITY).select(&max, 0);
        let log_sum = (x - &max).exp().sum_keepdims([axis]).log();
        (log_sum + max).squeeze([axis]).rounded_like(self)
    }

    /// This tensor in another type. If it was squashed from logits, the result is remembered as squashed from those in the other type.
    #[track_caller]
    pub(super) fn cast_with_logits(&self, dtype: DType) -> Tensor {
        let result = self.cast(dtype);
        let squashed = [Squash::Softmax, Squash::Sigmoid].map(|squash| self.logits(squash).map(|from| (squash, from)));
        if let Some((squash, logits)) = squashed.into_iter().flatten().next() {
            return logits.cast(dtype).remember_logits(&result, squash);
        }
        result
    }

    /// Notes that `result` is this tensor squashed to probabilities.
    pub(crate) fn remember_logits(&self, result: &Tensor, squash: Squash) -> Tensor {
        if let (Some(from), Some(to)) = (self.node(), result.node()) {
            self.builder().inner_mut().scope.logits.insert(to, (squash, from));
        }
        result.clone()
    }

    /// The logits that this tensor is the softmax or the sigmoid of, if it was made so.
    pub(crate) fn logits(&self, squash: Squash) -> Option<Tensor> {
        let found = self.builder().inner().scope.logits.get(&self.node()?).copied();
        found.filter(|(s, _)| *s == squash).map(|(_, node)| Tensor::new(self.builder().clone(), Some(node)))
    }
}
