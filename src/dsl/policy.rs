//! Policies: in which element type layers compute, and in which their variables are kept.

use super::{DType, GraphBuilder, Initializer, StateRole, Tensor, TypeSpec};
use std::fmt;

/// In which element type layers compute, and in which their variables are kept (Micikevicius et al., "Mixed Precision Training", arXiv 1710.03740), as
/// `keras.mixed_precision.Policy`.
///
/// Under a policy, layers get their inputs in its compute type, and use their parameters rounded to it; the parameters themselves (masters), their gradients as optimizers
/// see them, and optimizers' states are of the variable type. Sums of products are made in `f32` and rounded once, as are softmax, normalizations and the smooth activations; what is
/// kept for gradients has 16 bits. A model's outputs are given back in the variable type, so that losses and metrics are computed in it.
///
/// ```
/// use gradc::prelude::*;
/// let model = Sequential::new([784]).dense(128).relu().dense(10).with_policy(Policy::mixed_bf16());
/// let step = model.training_graph(32, &SparseCategoricalCrossEntropy, &[], &Adam::default())?;
/// assert_eq!(step.state("dense/kernel").unwrap().ty.dtype, DType::F32);
/// assert_eq!(step.layers[0].outputs[0].dtype, DType::Bf16);
/// # Ok::<(), ModelErrors>(())
/// ```
///
/// `bf16` has the exponents of `f32`. Those of `f16` are fewer: gradients below 6e-8 are 0, so the loss must be scaled
/// ([`crate::optim::Optimizer::loss_scale`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    compute: DType,
    variable: DType,
}

impl Policy {
    /// All in `f32`: for a layer that is to be exact among others that aren't.
    pub const fn float32() -> Self {
        Self { compute: DType::F32, variable: DType::F32 }
    }

    /// Layers compute in `bf16`, with variables of `f32`.
    pub const fn mixed_bf16() -> Self {
        Self { compute: DType::Bf16, variable: DType::F32 }
    }

    /// Layers compute in `f16`, with variables of `f32`.
    pub const fn mixed_f16() -> Self {
        Self { compute: DType::F16, variable: DType::F32 }
    }

    /// The element type in which layers get their inputs and give their results.
    pub const fn compute_dtype(self) -> DType {
        self.compute
    }

    /// The element type of parameters, and of other variables of layers.
    pub const fn variable_dtype(self) -> DType {
        self.variable
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.compute == self.variable { write!(f, "{}", self.compute) } else { write!(f, "mixed_{}", self.compute) }
    }
}

impl GraphBuilder {
    /// Declares with `f` under a policy, in place of the one that holds outside: layers applied in it, and parameters declared in it.
    ///
    /// ```
    /// use gradc::dsl::{f32, DType, GraphBuilder, Policy};
    /// use gradc::nn::{Dense, Layer};
    /// let g = GraphBuilder::new("scores");
    /// let x = g.input("x", f32([8, 64]));
    /// let y = g.with_policy(Policy::mixed_bf16(), || Dense::new(32).apply(&x));
    /// assert_eq!(y.dtype(), Some(DType::Bf16));
    /// g.output("y", &y.cast(DType::F32));
    /// assert_eq!(g.finish().unwrap().state("dense/kernel").unwrap().ty.dtype, DType::F32);
    /// ```
    pub fn with_policy<R>(&self, policy: Policy, f: impl FnOnce() -> R) -> R {
        let root = self.root();
        let outside = root.inner_mut().scope.policy.replace(policy);
        let result = f();
        root.inner_mut().scope.policy = outside;
        result
    }

    /// The policy that holds, if there is one.
    pub fn policy(&self) -> Option<Policy> {
        self.root().inner().scope.policy
    }

    /// The element type of variables for values of a type: under a policy its variable type in place of its compute type.
    pub(crate) fn variable_dtype(&self, dtype: DType) -> DType {
        self.policy().filter(|policy| policy.compute == dtype).map_or(dtype, Policy::variable_dtype)
    }

    /// A trainable parameter. [`GraphBuilder::minimize`] updates all of them.
    ///
    /// Under a [`Policy`], one that is asked for in the compute type is kept in the variable type, and what this gives is the parameter rounded to the type that was asked for.
    #[track_caller]
    pub fn param(&self, name: &str, ty: impl Into<TypeSpec>, init: Initializer) -> Tensor {
        let asked = ty.into();
        let kept = self.variable_dtype(asked.dtype);
        let master = self.port(name, TypeSpec { dtype: kept, ..asked.clone() }, init, StateRole::Parameter);
        let master = self.reparametrized(name, master);
        if kept == asked.dtype {
            return master;
        }
        let rounded = master.cast(asked.dtype);
        if let (Some(from), Some(to)) = (master.node(), rounded.node()) {
            self.root().inner_mut().scope.masters.insert(to, from);
        }
        rounded
    }
}

impl Tensor {
    /// The parameter that this tensor is the rounded value of, under a policy; else this tensor.
    pub(crate) fn master(&self) -> Tensor {
        let found = self.node().and_then(|node| self.builder().inner().scope.masters.get(&node).copied());
        found.map_or_else(|| self.clone(), |node| Tensor::new(self.builder().clone(), Some(node)))
    }

    /// This tensor as a layer gets it: floats in the compute type of the policy that holds, if one does.
    #[track_caller]
    pub(crate) fn in_compute_dtype(&self) -> Tensor {
        self.by_policy(Policy::compute_dtype)
    }

    /// This tensor as a model gives it: floats in the variable type of the policy that holds, if one does.
    #[track_caller]
    pub(crate) fn in_variable_dtype(&self) -> Tensor {
        self.by_policy(Policy::variable_dtype)
    }

    #[track_caller]
    fn by_policy(&self, of: fn(Policy) -> DType) -> Tensor {
        match (self.builder().policy(), self.dtype()) {
            (Some(policy), Some(dtype)) if dtype.is_float() && dtype != of(policy) => self.cast_with_logits(of(policy)),
            _ => self.clone(),
        }
    }
}
