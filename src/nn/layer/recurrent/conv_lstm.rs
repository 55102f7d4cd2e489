//! LSTM whose products are convolutions (Shi et al., "Convolutional LSTM Network", arXiv 1506.04214, without its peepholes, as Keras has it).

use super::cell::gate;
use crate::dsl::{Initializer, Scan, Tensor, TypeSpec, Window, glorot_uniform, orthogonal};
use crate::nn::Activation;
use crate::nn::layer::window::{Extents3d, Padding3d, SpatialExtents, window};
use crate::nn::layer::{Extents2d, Layer, LayerId, Padding, Padding1d, weight};
use ir::TensorType;

/// The type of one step's input, of `[batch, time, spatial..., channels]`.
fn step_type(ty: &TensorType, spatial: usize) -> Option<TensorType> {
    if ty.shape.rank() != spatial + 3 || !ty.dtype.is_float() {
        return None;
    }
    let dims = [&ty.shape[..1], &ty.shape[2..]].concat();
    Some(ty.with_shape(ir::Shape::new(dims).ok()?))
}

macro_rules! conv_lstm {
    ($($ty:ident, $base:literal, $kind:literal, $given:ty => $size:ty, $one:expr, $padding:ty, $axes:literal, $doc:literal;)*) => { $(
        #[doc = $doc]
        ///
        /// The gates `i, f, c, o` lie side by side in the sum of a convolution of the input and one of the state, of which the second keeps the extents. Keras's layouts: `kernel [size..., channels, 4 filters]`,
        /// `recurrent_kernel [size..., filters, 4 filters]`, `bias [4 filters]`, of which the forget gate's part begins as ones. Applied to `(&x, &h, &c)` it begins with those states, else with
        /// zeros; with `return_state` its results are its own, then `h` and `c`. It uses no mask.
        #[derive(Clone, Debug)]
        pub struct $ty {
            filters: usize,
            kernel_size: $size,
            stride: $size,
            padding: $padding,
            name: String,
            id: LayerId,
            activation: Activation,
            recurrent_activation: Activation,
            use_bias: bool,
            kernel_initializer: Initializer,
            recurrent_initializer: Initializer,
            return_sequences: bool,
            return_state: bool,
            go_backwards: bool,
        }

        impl $ty {
            /// With Keras's defaults: stride 1, valid padding, tanh, logistic gates, Glorot-uniform kernel, orthogonal recurrent kernel, the last step's result.
            pub fn new(filters: usize, kernel_size: $given) -> Self {
                Self {
                    filters,
                    kernel_size: kernel_size.into(),
                    stride: $one,
                    padding: <$padding>::Valid,
                    name: $base.into(),
                    id: LayerId::new(),
                    activation: Activation::Tanh,
                    recurrent_activation: Activation::Sigmoid,
                    use_bias: true,
                    kernel_initializer: glorot_uniform(),
                    recurrent_initializer: orthogonal(),
                    return_sequences: false,
                    return_state: false,
                    go_backwards: false,
                }
            }

            /// With another name than the kind's.
            pub fn name(mut self, name: &str) -> Self {
                self.name = name.into();
                self
            }

            /// How far the window over the input moves.
            pub fn stride(mut self, stride: $given) -> Self {
                self.stride = stride.into();
                self
            }

            /// How the input's border is treated.
            pub fn padding(mut self, padding: $padding) -> Self {
                self.padding = padding;
                self
            }

            /// With another activation than the hyperbolic tangent.
            pub fn activation(mut self, activation: Activation) -> Self {
                self.activation = activation;
                self
            }

            /// With another activation of the gates than the logistic function.
            pub fn recurrent_activation(mut self, activation: Activation) -> Self {
                self.recurrent_activation = activation;
                self
            }

            /// With or without bias.
            pub fn use_bias(mut self, on: bool) -> Self {
                self.use_bias = on;
                self
            }

            /// With another initial kernel.
            pub fn kernel_initializer(mut self, initializer: Initializer) -> Self {
                self.kernel_initializer = initializer;
                self
            }

            /// With another initial recurrent kernel.
            pub fn recurrent_initializer(mut self, initializer: Initializer) -> Self {
                self.recurrent_initializer = initializer;
                self
            }

            /// Whether the result is that of all steps, `[batch, time, ...]`, instead of the last one's.
            pub fn return_sequences(mut self, on: bool) -> Self {
                self.return_sequences = on;
                self
            }

            /// Whether the results are also the states after the last step.
            pub fn return_state(mut self, on: bool) -> Self {
                self.return_state = on;
                self
            }

            /// Whether to go from the last step to the first. Sequences are returned in that order too, as in Keras.
            pub fn go_backwards(mut self, on: bool) -> Self {
                self.go_backwards = on;
                self
            }

            /// The windows over a step's input and over the state, and the state's type.
            fn windows(&self, step: &TensorType) -> Result<(Window, Window, TypeSpec), String> {
                let input = window(step, self.kernel_size, self.stride, $one, self.padding)?;
                let spatial = input.output(&step.shape[1..$axes + 1]).map_err(|e| e.to_string())?;
                let dims = [&step.shape[..1], &spatial, &[self.filters]].concat();
                let state = step.with_shape(ir::Shape::new(&dims).map_err(|e| e.to_string())?);
                let kept = window(&state, self.kernel_size, $one, $one, <$padding>::Same)?;
                Ok((input, kept, state.into()))
            }

            /// The projected input `[time, batch, spatial..., 4 filters]`.
            #[track_caller]
            fn project(&self, x: &Tensor, name: &str, window: Window, step: &TensorType, state: &TypeSpec) -> Tensor {
                let inner = [step.shape[$axes + 1], 4 * self.filters];
                let kernel = [self.kernel_size.list(), inner.to_vec()].concat();
                let kernel = weight(x, name, "kernel", &kernel, &self.kernel_initializer);
                let mut dims: Vec<isize> = step.shape.iter().map(|&extent| extent as isize).collect();
                dims[0] = -1;
                let mut y = x.swap_axes(0, 1).reshape(dims).conv(&kernel, window, 1);
                if self.use_bias {
                    let first = Initializer::Blocks(vec![0.0, 1.0, 0.0, 0.0]);
                    y = y + weight(x, name, "bias", &[4 * self.filters], &first);
                }
                let mut dims: Vec<isize> = state.dims.iter().map(|&extent| extent as isize).collect();
                dims[$axes + 1] *= 4;
                dims.insert(0, -1);
                y.reshape(dims)
            }

            /// The next `h` and `c`.
            #[track_caller]
            fn step(&self, zx: &Tensor, states: &[Tensor], recurrent: &Tensor, window: &Window) -> Vec<Tensor> {
                let z = states[0].conv(recurrent, window.clone(), 1) + zx;
                let open = |i| self.recurrent_activation.apply(&gate(&z, i, self.filters));
                let candidate = self.activation.apply(&gate(&z, 2, self.filters));
                let c = open(1) * &states[1] + open(0) * candidate;
                vec![open(3) * self.activation.apply(&c), c]
            }

            #[track_caller]
            fn run(&self, inputs: &[Tensor], name: &str) -> Result<Vec<Tensor>, String> {
                let x = &inputs[0];
                let Some(ty) = x.ty() else { return Ok(vec![x.clone(); 1 + 2 * usize::from(self.return_state)]) };
                let step = step_type(&ty, $axes)
                    .ok_or_else(|| format!("the input must be [batch, time, {} spatial axes, channels] of floats", $axes))?;
                if self.filters == 0 || self.filters > isize::MAX as usize / 4 {
                    return Err(format!("{} filters must be at least 1, and fit memory", self.filters));
                }
                let (window, kept, state) = self.windows(&step)?;
                let zeros = || vec![x.builder().zeros(state.clone()); 2];
                let first = match &inputs[1..] {
                    [] => zeros(),
                    [h, c] if [h, c].iter().all(|s| s.ty().is_none_or(|ty| TypeSpec::from(ty) == state)) => {
                        inputs[1..].to_vec()
                    }
                    _ => return Err(format!("it needs 2 first states of {}{:?}", state.dtype, state.dims)),
                };
                let projected = self.project(x, name, window, &step, &state);
                let recurrent = [self.kernel_size.list(), vec![self.filters, 4 * self.filters]].concat();
                let recurrent = weight(x, name, "recurrent_kernel", &recurrent, &self.recurrent_initializer);
                let scan = Scan::new().named(name).reverse(self.go_backwards);
                let (states, all) = scan.run(&first.iter().collect::<Vec<_>>(), &[&projected], |states, step| {
                    let next = self.step(&step[0], states, &recurrent, &kept);
                    let result = next[0].clone();
                    (next, vec![result])
                });
                let own = match (self.return_sequences, all.first()) {
                    (true, Some(all)) if self.go_backwards => all.reverse([0]).swap_axes(0, 1),
                    (true, Some(all)) => all.swap_axes(0, 1),
                    _ => states[0].clone(),
                };
                Ok(if self.return_state { [vec![own], states].concat() } else { vec![own] })
            }
        }

        impl Layer for $ty {
            fn base(&self) -> &str {
                &self.name
            }

            fn kind(&self) -> &str {
                $kind
            }

            fn id(&self) -> Option<&LayerId> {
                Some(&self.id)
            }

            #[track_caller]
            fn call(&self, x: &Tensor, name: &str) -> Tensor {
                self.call_many(std::slice::from_ref(x), name).swap_remove(0)
            }

            #[track_caller]
            fn call_many(&self, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
                let operands: Vec<&Tensor> = inputs.iter().collect();
                self.run(inputs, name).unwrap_or_else(|rule| {
                    vec![inputs[0].builder().fail(&self.name, &operands, rule); 1 + 2 * usize::from(self.return_state)]
                })
            }
        }
    )* };
}

conv_lstm! {
    ConvLstm1d, "conv_lstm1d", "ConvLSTM1D", usize => usize, 1, Padding1d, 1,
        "A recurrence over sequences of sequences, `[batch, time, length, channels]`: to `[batch, length', filters]`, or with `return_sequences` `[batch, time, length', filters]`.";
    ConvLstm2d, "conv_lstm2d", "ConvLSTM2D", impl Into<Extents2d> => Extents2d, Extents2d(1, 1), Padding, 2,
        "A recurrence over sequences of images, `[batch, time, height, width, channels]`: to `[batch, height', width', filters]`, or with `return_sequences` `[batch, time, height', width', filters]`.";
    ConvLstm3d, "conv_lstm3d", "ConvLSTM3D", impl Into<Extents3d> => Extents3d, Extents3d(1, 1, 1), Padding3d, 3,
        "A recurrence over sequences of volumes, `[batch, time, depth, height, width, channels]`: to `[batch, depth', height', width', filters]`, or with `return_sequences` a sequence of them.";
}
