//! Pooling by power means' sums, and what max pooling left out put back.

use super::pooled;
use crate::dsl::{Tensor, Window};
use crate::nn::layer::stateless::stateless_layer;
use crate::nn::layer::{Extents2d, Layer, LayerId, Padding, Padding1d, wrong_inputs};

/// `(Σ |x|^p)^(1/p)` of each window; 0, with the gradient 0, where all of it is 0.
#[track_caller]
fn norm_pool(x: &Tensor, window: Window, p: f64) -> Tensor {
    let wide = x.in_f32();
    let (powers, root): (Tensor, fn(&Tensor, f64) -> Tensor) = if p == 2.0 {
        (wide.square(), |sum, _| sum.sqrt())
    } else if p == 1.0 {
        (wide.abs(), |sum, _| sum.clone())
    } else {
        // The power's slope at 0 is no number for small p.
        let is_zero = wide.eq(0);
        let magnitude = is_zero.logical_not().select(&wide.abs(), 1);
        (is_zero.logical_not().select(&magnitude.pow(p), 0), |sum, p| sum.pow(1.0 / p))
    };
    let sum = powers.sum_pool(window);
    let counts = sum.gt(0);
    counts.select(&root(&counts.select(&sum, 1), p), 0).rounded_like(x)
}

macro_rules! norm_pooling {
    ($($ty:ident, $base:literal, $kind:literal, $given:ty => $size:ty, $one:expr, $padding:ty, $what:literal;)*) => { $(
        #[doc = concat!("The norm of each window of ", $what, ", `(Σ |x|^p)^(1/p)`: PyTorch's `", $kind, "`, which takes powers of `x` itself, for even `p` and where `x` isn't negative.")]
        #[derive(Clone, Debug)]
        pub struct $ty {
            p: f64,
            size: $size,
            stride: Option<$size>,
        }

        impl $ty {
            /// With windows of that size, each at the end of the one before; `p` is above 0.
            pub fn new(p: f64, size: $given) -> Self {
                Self { p, size: size.into(), stride: None }
            }

            /// How far the window moves.
            pub fn stride(mut self, stride: $given) -> Self {
                self.stride = Some(stride.into());
                self
            }

            #[track_caller]
            fn pool(&self, x: &Tensor) -> Tensor {
                if !(self.p > 0.0 && self.p.is_finite()) {
                    return x.fail($base, format!("p must be finite and above 0, not {}", self.p));
                }
                let window = [self.size, self.stride.unwrap_or(self.size), $one];
                pooled($base, x, window, <$padding>::Valid, |window| norm_pool(x, window, self.p))
            }
        }

        stateless_layer!($ty, $base, $kind, $ty::pool);
    )* };
}

norm_pooling! {
    LpPool1d, "lp_pooling1d", "LPPool1d", usize => usize, 1, Padding1d, "a sequence";
    LpPool2d, "lp_pooling2d", "LPPool2d", impl Into<Extents2d> => Extents2d, Extents2d(1, 1), Padding, "an image";
}

/// Puts values where max pooling found the largest elements: of `(&values, &x)`, values `[batch, height', width', channels]` and what was pooled, `[batch, height, width, channels]`, the
/// result is of the shape of `x`, and 0 elsewhere. Windows don't overlap, as in Zeiler and Fergus, arXiv 1311.2901.
///
/// PyTorch's `MaxUnpool2d` takes the places of the largest elements, which its pooling gives as a second result; here they are found again, in the tensor that was pooled. It has no gradient
/// with respect to that one.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Layer, MaxPool2d, MaxUnpool2d};
/// let x = GraphBuilder::new("example").input("x", f32([8, 28, 28, 16]));
/// let y = MaxPool2d::new(2).apply(&x);
/// assert_eq!(MaxUnpool2d::new(2).apply((&y, &x)).ty(), x.ty());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MaxUnpool2d {
    size: Extents2d,
}

impl MaxUnpool2d {
    /// With the windows that the pooling had.
    pub fn new(size: impl Into<Extents2d>) -> Self {
        Self { size: size.into() }
    }
}

impl Layer for MaxUnpool2d {
    fn base(&self) -> &str {
        "max_unpooling2d"
    }

    fn kind(&self) -> &str {
        "MaxUnpool2d"
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        self.call_many(std::slice::from_ref(x), name).swap_remove(0)
    }

    #[track_caller]
    fn call_many(&self, inputs: &[Tensor], _: &str) -> Vec<Tensor> {
        let [values, x] = inputs else { return wrong_inputs(self.base(), inputs, "values and what was pooled") };
        let x = x.stop_gradient();
        let window = [self.size, self.size, Extents2d(1, 1)];
        vec![pooled(self.base(), &x, window, Padding::Valid, |window| {
            let largest = x.max_pool(window);
            if largest.ty() != values.ty() {
                let rule = "the values must be of the type that pooling gives";
                return x.builder().fail(self.base(), &[values, &largest], rule);
            }
            // The gradient of pooling goes to the largest elements.
            x.builder().gradients(&(largest * values).sum(), &[&x]).swap_remove(0)
        })]
    }
}
