//! What recurrent layers have in common: options, weights, and the loop over the steps.

use crate::dsl::{Initializer, Scan, Tensor, TypeSpec, glorot_uniform, orthogonal, zeros};
use crate::nn::Activation;
use crate::nn::layer::{Layer, LayerId, weight};
use ir::TensorType;

/// A recurrent layer: a [`Layer`] that can also be given first states, and gives its last ones.
///
/// It is applied to a sequence `[batch, time, features]`, or to that and the first states, each `[batch, units]`: for an LSTM `h` and `c`, for the others `h`. Without them they are
/// zeros. With `return_state` the results are the layer's own and the states after the last step:
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Layer, Lstm};
/// let g = GraphBuilder::new("translation");
/// let (source, target) = (g.input("source", f32([4, 9, 3])), g.input("target", f32([4, 7, 3])));
/// let [_, h, c] = Lstm::new(5).return_state(true).apply_many(&source);
/// let sequence = Lstm::new(5).return_sequences(true).apply((&target, &h, &c));
/// assert_eq!(sequence.shape().unwrap().dims(), [4, 7, 5]);
/// assert!(g.finish().is_ok());
/// ```
pub trait Recurrent: Layer {
    /// The number of units: the extent of each state and of the result.
    fn units(&self) -> usize;

    /// Runs over `x` `[batch, time, features]` from `first` states, or zeros if there are none, with weights declared under `name/`. `backward`: from the last step to the first. The
    /// results are in the order of the input in either case.
    fn run(&self, x: &Tensor, name: &str, first: &[Tensor], backward: bool) -> Returned;

    /// Whether the layer gives all steps' results.
    fn returns_sequences(&self) -> bool;
}

/// What a run gives.
#[derive(Clone, Debug)]
pub struct Returned {
    /// All steps' results, `[batch, time, units]`.
    pub sequence: Tensor,
    /// The states after the last step, each `[batch, units]`; the first is the last result.
    pub states: Vec<Tensor>,
}

impl Returned {
    pub(super) fn poisoned(x: &Tensor) -> Self {
        Self { sequence: x.poisoned(), states: vec![] }
    }

    /// The last step's result.
    pub fn last(&self) -> Tensor {
        self.states.first().cloned().unwrap_or_else(|| self.sequence.poisoned())
    }
}

/// The options that all recurrent layers have.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) units: usize,
    pub(super) name: String,
    pub(super) id: LayerId,
    pub(super) activation: Activation,
    pub(super) recurrent_activation: Activation,
    pub(super) use_bias: bool,
    pub(super) kernel_initializer: Initializer,
    pub(super) recurrent_initializer: Initializer,
    pub(super) bias_initializer: Initializer,
    pub(super) return_sequences: bool,
    pub(super) return_state: bool,
    pub(super) go_backwards: bool,
    pub(super) recompute: bool,
    pub(super) zero_output_for_mask: bool,
}

impl Options {
    pub(super) fn new(units: usize, name: &str) -> Self {
        Self {
            units,
            name: name.into(),
            id: LayerId::new(),
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            use_bias: true,
            kernel_initializer: glorot_uniform(),
            recurrent_initializer: orthogonal(),
            bias_initializer: zeros(),
            return_sequences: false,
            return_state: false,
            go_backwards: false,
            recompute: false,
            zero_output_for_mask: false,
        }
    }
}

/// What one kind of layer adds: how many gates and states it has, and what a step does.
pub(super) trait Cell {
    const GATES: usize;
    const STATES: usize;

    fn options(&self) -> &Options;

    /// The bias that is added to the projected input `[gates * units]`, and one for the projected state, if the cell has it.
    fn biases(&self, x: &Tensor, name: &str) -> (Option<Tensor>, Option<Tensor>);

    /// The next states, the first of which is the step's result. `zx`: the projected input `[batch, gates * units]`, with its bias.
    fn step(&self, zx: &Tensor, states: &[Tensor], recurrent: &Tensor, bias: Option<&Tensor>) -> Vec<Tensor>;
}

/// Gate number `i` of a projection `[batch, gates * units]`.
pub(super) fn gate(z: &Tensor, i: usize, units: usize) -> Tensor {
    z.slice_axis(-1, i * units..(i + 1) * units)
}

/// The bias of a layer with one for all gates.
pub(super) fn one_bias<C: Cell>(cell: &C, x: &Tensor, name: &str) -> Option<Tensor> {
    let o = cell.options();
    o.use_bias.then(|| weight(x, name, "bias", &[C::GATES * o.units], &o.bias_initializer))
}

/// No cell has more gates, side by side: as many times the units can be counted.
const MAX_GATES: usize = 8;

/// Checks that the input is floats with so many axes.
#[track_caller]
fn check(x: &Tensor, units: usize, rank: usize, axes: &str) -> Option<TensorType> {
    let ty = x.ty()?;
    if ty.shape.rank() != rank || !ty.dtype.is_float() {
        x.fail("a recurrent layer", format!("the input must be {axes} of floats"));
        return None;
    }
    if units == 0 {
        x.fail("a recurrent layer", "it must have at least one unit");
        return None;
    }
    if units > isize::MAX as usize / MAX_GATES {
        x.fail("a recurrent layer", format!("{units} units are more than memory can hold"));
        return None;
    }
    Some(ty)
}

/// The first states: given, or zeros.
#[track_caller]
fn first_states<C: Cell>(x: &Tensor, ty: &TensorType, units: usize, given: &[Tensor]) -> Option<Vec<Tensor>> {
    let want = TypeSpec::new(ty.dtype, [ty.shape[0], units]);
    if given.is_empty() {
        return Some((0..C::STATES).map(|_| x.builder().zeros(want.clone())).collect());
    }
    let fits = |t: &Tensor| t.ty().is_none_or(|ty| TypeSpec::from(ty) == want);
    if given.len() != C::STATES || !given.iter().all(fits) {
        let operands: Vec<&Tensor> = std::iter::once(x).chain(given).collect();
        let rule = format!("it needs {} first state(s) of {}{:?}", C::STATES, want.dtype, want.dims);
        x.builder().fail("a recurrent layer", &operands, rule);
        return None;
    }
    Some(given.to_vec())
}

/// Runs a cell over all steps: the input is projected for all of them at once, the loop does the rest.
#[track_caller]
pub(super) fn run<C: Cell>(cell: &C, x: &Tensor, name: &str, given: &[Tensor], backward: bool) -> Returned {
    let o = cell.options();
    let poisoned = Returned::poisoned(x);
    let Some(ty) = check(x, o.units, 3, "[batch, time, features]") else { return poisoned };
    let Some(first) = first_states::<C>(x, &ty, o.units, given) else { return poisoned };
    let mask = x.mask();
    let width = C::GATES * o.units;
    let kernel = weight(x, name, "kernel", &[ty.shape[2], width], &o.kernel_initializer);
    let recurrent = weight(x, name, "recurrent_kernel", &[o.units, width], &o.recurrent_initializer);
    let (bias, state_bias) = cell.biases(x, name);
    let mut projected = x.swap_axes(0, 1).matmul(&kernel);
    if let Some(bias) = bias {
        projected = projected + bias;
    }
    let over_time = mask.as_ref().map(Tensor::transpose);
    let sequences: Vec<&Tensor> = std::iter::once(&projected).chain(&over_time).collect();
    let scan = Scan::new().named(name).reverse(backward != o.go_backwards).recompute(o.recompute);
    // A step that doesn't count repeats the last result. Before the first that counts there is none: 0, which a first state needn't be.
    let mut carried = first.clone();
    if mask.is_some() && !given.is_empty() && !o.zero_output_for_mask {
        // Not a product with the state, which may be infinite.
        carried.extend(first[0].ty().map(|state| x.builder().zeros(state)));
    }
    let (mut states, stacked) = scan.run(&carried.iter().collect::<Vec<_>>(), &sequences, |carried, step| {
        let mut next = cell.step(&step[0], &carried[..C::STATES], &recurrent, state_bias.as_ref());
        if carried.len() > next.len() {
            next.push(next[0].clone());
        }
        if let Some(counts) = step.get(1) {
            let counts = counts.unsqueeze(-1);
            next = next.iter().zip(carried).map(|(new, old)| counts.select(new, old)).collect();
        }
        let result = next[if next.len() > C::STATES { C::STATES } else { 0 }].clone();
        (next, vec![result])
    });
    states.truncate(C::STATES);
    let sequence = stacked.first().map_or_else(|| x.poisoned(), |stacked| stacked.swap_axes(0, 1));
    let sequence = match &mask {
        Some(mask) if o.zero_output_for_mask => zero_where_masked(&sequence, mask),
        _ => sequence,
    };
    let sequence = mask.map_or_else(|| sequence.clone(), |mask| sequence.with_mask(&mask));
    Returned { sequence, states }
}

/// One step of a cell's layer on its own: of `x [batch, features]` and the states, or zeros if there are none, the next states.
#[track_caller]
pub(super) fn one_step<C: Cell>(cell: &C, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
    let [x, given @ ..] = inputs else { return vec![] };
    let o = cell.options();
    let poisoned = || vec![x.poisoned(); C::STATES];
    let Some(ty) = check(x, o.units, 2, "[batch, features]") else { return poisoned() };
    let Some(states) = first_states::<C>(x, &ty, o.units, given) else { return poisoned() };
    let width = C::GATES * o.units;
    let kernel = weight(x, name, "kernel", &[ty.shape[1], width], &o.kernel_initializer);
    let recurrent = weight(x, name, "recurrent_kernel", &[o.units, width], &o.recurrent_initializer);
    let (bias, state_bias) = cell.biases(x, name);
    let mut projected = x.matmul(&kernel);
    if let Some(bias) = bias {
        projected = projected + bias;
    }
    cell.step(&projected, &states, &recurrent, state_bias.as_ref())
}

/// A sequence `[batch, time, units]` with 0 at the steps that don't count.
#[track_caller]
pub(super) fn zero_where_masked(sequence: &Tensor, mask: &Tensor) -> Tensor {
    mask.unsqueeze(-1).select(sequence, 0)
}

/// The results of a layer on its own, for a sequence and first states: the last step's or all steps', in the order in which they were taken; then the last states, if they are
/// wanted.
#[track_caller]
pub(super) fn call<C: Cell>(cell: &C, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
    let o = cell.options();
    let [x, first @ ..] = inputs else { return vec![] };
    let returned = run(cell, x, name, first, false);
    let mut results = vec![own_result(o, &returned)];
    if o.return_state {
        let states = (0..C::STATES).map(|i| returned.states.get(i).cloned().unwrap_or_else(|| x.poisoned()));
        results.extend(states);
    }
    results
}

#[track_caller]
fn own_result(o: &Options, returned: &Returned) -> Tensor {
    if !o.return_sequences {
        return returned.last();
    }
    let sequence = returned.sequence.clone();
    match sequence.mask() {
        _ if !o.go_backwards => sequence,
        Some(mask) => sequence.reverse([1]).with_mask(&mask.reverse([1])),
        None => sequence.reverse([1]),
    }
}

/// The options as methods, and the traits, of a layer whose struct has a field `options`.
macro_rules! recurrent_layer {
    ($ty:ident, $kind:literal) => {
        impl $ty {
            /// With another name than the kind's.
            pub fn name(mut self, name: &str) -> Self {
                self.options.name = name.into();
                self
            }

            /// Whether the result is that of all steps, `[batch, time, units]`, instead of the last one's.
            pub fn return_sequences(mut self, on: bool) -> Self {
                self.options.return_sequences = on;
                self
            }

            /// Whether the results are also the states after the last step: for [`Layer::apply_many`](crate::nn::Layer::apply_many).
            pub fn return_state(mut self, on: bool) -> Self {
                self.options.return_state = on;
                self
            }

            /// Whether to go from the last step to the first. Sequences are returned in that order too, as in Keras.
            pub fn go_backwards(mut self, on: bool) -> Self {
                self.options.go_backwards = on;
                self
            }

            /// With another activation than the hyperbolic tangent.
            pub fn activation(mut self, activation: crate::nn::Activation) -> Self {
                self.options.activation = activation;
                self
            }

            /// With or without bias.
            pub fn use_bias(mut self, on: bool) -> Self {
                self.options.use_bias = on;
                self
            }

            /// With another initial kernel `[features, gates * units]`.
            pub fn kernel_initializer(mut self, initializer: crate::dsl::Initializer) -> Self {
                self.options.kernel_initializer = initializer;
                self
            }

            /// With another initial recurrent kernel `[units, gates * units]`.
            pub fn recurrent_initializer(mut self, initializer: crate::dsl::Initializer) -> Self {
                self.options.recurrent_initializer = initializer;
                self
            }

            /// With another initial bias.
            pub fn bias_initializer(mut self, initializer: crate::dsl::Initializer) -> Self {
                self.options.bias_initializer = initializer;
                self
            }

            /// Whether a returned sequence holds 0 at steps that don't count, instead of the last result before them; as in Keras, off by default, and
            /// on in [`Bidirectional`](crate::nn::Bidirectional).
            pub fn zero_output_for_mask(mut self, on: bool) -> Self {
                self.options.zero_output_for_mask = on;
                self
            }

            /// Whether training keeps only the states of each step and computes the rest again: less memory, more time.
            pub fn recompute(mut self, on: bool) -> Self {
                self.options.recompute = on;
                self
            }
        }

        impl crate::nn::layer::Layer for $ty {
            fn base(&self) -> &str {
                &self.options.name
            }

            fn kind(&self) -> &str {
                $kind
            }

            fn id(&self) -> Option<&crate::nn::layer::LayerId> {
                Some(&self.options.id)
            }

            #[track_caller]
            fn call(&self, x: &crate::dsl::Tensor, name: &str) -> crate::dsl::Tensor {
                self.call_many(std::slice::from_ref(x), name).swap_remove(0)
            }

            #[track_caller]
            fn call_many(&self, inputs: &[crate::dsl::Tensor], name: &str) -> Vec<crate::dsl::Tensor> {
                crate::nn::layer::recurrent::cell::call(self, inputs, name)
            }
        }

        impl crate::nn::layer::recurrent::Recurrent for $ty {
            fn units(&self) -> usize {
                self.options.units
            }

            #[track_caller]
            fn run(
                &self,
                x: &crate::dsl::Tensor,
                name: &str,
                first: &[crate::dsl::Tensor],
                backward: bool,
            ) -> crate::nn::layer::recurrent::Returned {
                crate::nn::layer::recurrent::cell::run(self, x, name, first, backward)
            }

            fn returns_sequences(&self) -> bool {
                self.options.return_sequences
            }
        }
    };
}

/// A layer's cell: the struct that has the layer, and the trait.
macro_rules! cell_layer {
    ($ty:ident, $layer:ident, $kind:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug)]
        pub struct $ty {
            layer: $layer,
        }

        impl $ty {
            /// The cell of a layer of so many units, with its defaults.
            pub fn new(units: usize) -> Self {
                Self::of($layer::new(units))
            }

            /// The cell of that layer: the same weights, under the layer's name.
            pub fn of(layer: $layer) -> Self {
                Self { layer }
            }

            /// The layer, to apply it to whole sequences with the cell's weights.
            pub fn layer(&self) -> &$layer {
                &self.layer
            }
        }

        impl crate::nn::layer::Layer for $ty {
            fn base(&self) -> &str {
                self.layer.base()
            }

            fn kind(&self) -> &str {
                $kind
            }

            fn id(&self) -> Option<&crate::nn::layer::LayerId> {
                self.layer.id()
            }

            #[track_caller]
            fn call(&self, x: &crate::dsl::Tensor, name: &str) -> crate::dsl::Tensor {
                self.call_many(std::slice::from_ref(x), name).swap_remove(0)
            }

            #[track_caller]
            fn call_many(&self, inputs: &[crate::dsl::Tensor], name: &str) -> Vec<crate::dsl::Tensor> {
                crate::nn::layer::recurrent::cell::one_step(&self.layer, inputs, name)
            }
        }
    };
}

/// The activation of the gates as a method.
macro_rules! gated_layer {
    ($ty:ident) => {
        impl $ty {
            /// With another activation of the gates than the logistic function.
            pub fn recurrent_activation(mut self, activation: crate::nn::Activation) -> Self {
                self.options.recurrent_activation = activation;
                self
            }
        }
    };
}

pub(super) use cell_layer;
pub(super) use gated_layer;
pub(super) use recurrent_layer;
