//! Activations as layers of their own, and the one that learns.

use super::{Layer, LayerId, weight};
use crate::dsl::{Initializer, Tensor, constant};
use crate::nn::Activation;

/// An activation, as a layer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ActivationLayer(pub Activation);

impl Layer for ActivationLayer {
    fn base(&self) -> &str {
        self.0.name()
    }

    fn kind(&self) -> &str {
        "Activation"
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    #[track_caller]
    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        self.0.apply(x)
    }
}

/// `x` where positive, else `alpha x`, with an alpha that is learned (He et al., arXiv 1502.01852): `[batch, ...]` to the same. Parameter `alpha`: the extents of a
/// sample, 1 where axes share it.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Layer, PRelu};
/// let g = GraphBuilder::new("example");
/// // One alpha for each channel of an image, as PyTorch has it.
/// g.output("y", &PRelu::new().shared_axes([1, 2]).apply(&g.input("x", f32([8, 28, 28, 16]))));
/// assert_eq!(g.finish().unwrap().parameter_count(), 16);
/// ```
#[derive(Clone, Debug)]
pub struct PRelu {
    name: String,
    id: LayerId,
    shared: Vec<usize>,
    initializer: Initializer,
}

impl Default for PRelu {
    fn default() -> Self {
        Self::new()
    }
}

impl PRelu {
    /// An alpha for each element of a sample, 0.25 at first (the paper's and PyTorch's; Keras's is 0).
    pub fn new() -> Self {
        Self { name: "p_re_lu".into(), id: LayerId::new(), shared: vec![], initializer: constant(0.25) }
    }

    /// With another name than the kind's.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// With one alpha along these axes, which count from 1: axis 0 is the batch, as in Keras.
    pub fn shared_axes(mut self, axes: impl AsRef<[usize]>) -> Self {
        self.shared = axes.as_ref().to_vec();
        self
    }

    /// With other initial alphas.
    pub fn alpha_initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }
}

impl Layer for PRelu {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "PReLU"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let Some(ty) = x.ty() else { return x.clone() };
        if ty.shape.rank() < 2 || !ty.dtype.is_float() {
            return x
                .fail("p_re_lu", "the input must be [batch, ...] of floats with at least one axis after the batch");
        }
        let mut dims = ty.shape[1..].to_vec();
        for &axis in &self.shared {
            match axis.checked_sub(1).and_then(|axis| dims.get_mut(axis)) {
                Some(extent) => *extent = 1,
                None => {
                    let rule = format!("shared axis {axis} is out of range: valid are 1 to {}", ty.shape.rank() - 1);
                    return x.fail("p_re_lu", rule);
                }
            }
        }
        let alpha = weight(x, name, "alpha", &dims, &self.initializer);
        x.gt(0).select(x, &(x * alpha))
    }
}
