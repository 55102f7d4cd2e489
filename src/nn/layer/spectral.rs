//! Weights divided by their largest singular value.

use super::{Layer, LayerId};
use crate::dsl::{Policy, Tensor, TypeSpec, normal};

/// A layer whose kernels are divided by their spectral norm, the largest singular value (Miyato et al., arXiv 1802.05957; Keras's wrapper, PyTorch's `spectral_norm`): it can't enlarge
/// distances by more than its activation does. Meant are weights of several axes that are called `kernel`, `..._kernel` or `embeddings`, each as a matrix of all axes but the last by the last.
///
/// The norm is that of power iterations that start from the vector of the last step, a state `..._u [columns]` beside the weight, which moves in training alone. The gradient goes through the
/// norm, with both vectors constant; what is trained, and saved, is the weight itself, as in PyTorch (Keras overwrites it by the quotient).
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Conv2d, Layer, SpectralNormalization};
/// let g = GraphBuilder::new("critic");
/// let x = g.input("x", f32([8, 28, 28, 3]));
/// g.output("y", &SpectralNormalization::new(Conv2d::new(16, 3)).apply(&x));
/// assert!(g.finish().unwrap().state("conv2d/kernel_u").is_some());
/// ```
#[derive(Clone, Debug)]
pub struct SpectralNormalization<L> {
    inner: L,
    power_iterations: usize,
}

/// What a length may not be below.
const EPSILON: f64 = 1e-12;

/// A vector of length 1.
#[track_caller]
fn unit(x: &Tensor) -> Tensor {
    x / x.square().sum().sqrt().maximum(EPSILON)
}

/// The weight divided by its norm, by so many iterations from the state beside it.
#[track_caller]
fn divided(name: &str, weight: &Tensor, iterations: usize) -> Tensor {
    let part = name.rsplit('/').next().unwrap_or(name);
    let Some(ty) = weight.ty().filter(|ty| ty.shape.rank() > 1) else { return weight.clone() };
    if !(part == "embeddings" || part == "kernel" || part.ends_with("_kernel")) {
        return weight.clone();
    }
    let (g, columns) = (weight.builder(), ty.shape[ty.shape.rank() - 1]);
    let state = format!("{name}_u");
    let kept = g.state(&state, TypeSpec::new(ty.dtype, [columns]), normal(0.0, 1.0));
    let matrix = weight.reshape([-1, columns as isize]);
    let fixed = matrix.stop_gradient();
    let u = g.updated_state(&state).unwrap_or(kept);
    let (u, v) = (0..iterations).fold((u.clone(), u), |(u, _), _| {
        let v = unit(&fixed.matmul(&u));
        (unit(&v.matmul(&fixed)), v)
    });
    if g.is_training() {
        g.set_update(&state, &u);
    }
    weight / (v.matmul(&matrix) * u).sum()
}

impl<L: Layer> SpectralNormalization<L> {
    /// Of that layer, with one iteration a step.
    pub fn new(inner: L) -> Self {
        Self { inner, power_iterations: 1 }
    }

    /// With so many iterations a step, at least 1.
    pub fn power_iterations(mut self, iterations: usize) -> Self {
        self.power_iterations = iterations.max(1);
        self
    }

    /// The layer without the normalization.
    pub fn inner(&self) -> &L {
        &self.inner
    }
}

impl<L: Layer> Layer for SpectralNormalization<L> {
    fn base(&self) -> &str {
        self.inner.base()
    }

    fn kind(&self) -> &str {
        "SpectralNormalization"
    }

    fn id(&self) -> Option<&LayerId> {
        self.inner.id()
    }

    fn dtype_policy(&self) -> Option<Policy> {
        self.inner.dtype_policy()
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        self.call_many(std::slice::from_ref(x), name).swap_remove(0)
    }

    #[track_caller]
    fn call_many(&self, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
        let iterations = self.power_iterations;
        let by = move |name: &str, weight: &Tensor| divided(name, weight, iterations);
        inputs[0].builder().with_parameters_as(by, || self.inner.call_many(inputs, name))
    }
}
