//! Gradients against differences of values.

use super::TestingError;
use crate::compile::{CompileOptions, CompiledProgram};
use crate::dsl::{DType, GraphBuilder, Step, Tensor};
use crate::model::trace::{GRADIENT, observation};
use crate::model::{Batch, Criteria, Model};
use crate::nn::Objective;
use crate::nn::metric::Reported;
use ir::{Loc, Scalar, SplitMix64, Value, map_of};
use std::collections::BTreeMap;

/// Checks gradients against central differences of values, in `f64`: what a layer, a loss or an op of one's own, put together of others, needs least and a custom gradient needs most.
///
/// ```
/// use gradc::dsl::{f64, normal};
/// use gradc::testing::GradientTest;
/// let checked = GradientTest::new().function(|g| {
///     let x = g.param("x", f64([3, 4]), normal(0.0, 1.0));
///     (x.tanh() * x.sigmoid()).softmax(-1)
/// })?;
/// assert_eq!(checked, 12);
/// let wrong = GradientTest::new().function(|g| {
///     let x = g.param("x", f64([3]), normal(0.0, 1.0));
///     x.square() + x.stop_gradient()
/// });
/// assert!(wrong.unwrap_err().to_string().starts_with("`x`[0]: the gradient is "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct GradientTest {
    step: f64,
    tolerance: f64,
    elements: usize,
    seed: u64,
}

impl Default for GradientTest {
    fn default() -> Self {
        Self { step: 1e-5, tolerance: 1e-7, elements: usize::MAX, seed: 0 }
    }
}

impl GradientTest {
    /// By differences of values 1e-5 to either side, to 1e-7 of the gradient, or of 1 where that is less; of all elements.
    pub fn new() -> Self {
        Self::default()
    }

    /// How near a gradient must be: that part of it, or of 1 where it is less.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// How far to either side values are taken.
    pub fn step(mut self, step: f64) -> Self {
        self.step = step;
        self
    }

    /// Checks at most so many elements of each parameter, which the seed chooses.
    pub fn elements(mut self, elements: usize) -> Self {
        self.elements = elements;
        self
    }

    /// Another seed: of parameters' values, and of what is checked of them.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks the gradients of a weighted sum of what a function gives, by every parameter that it declares, all of `f64`. Parameters are random numbers between -1 and 1, whatever they
    /// start with. What is to be differentiated by is declared as a parameter. Gives the number of elements checked.
    ///
    /// # Errors
    /// The first gradient that is wrong; a declaration that breaks rules or has no parameter.
    #[track_caller]
    pub fn function(&self, declare: impl Fn(&GraphBuilder) -> Tensor) -> Result<usize, TestingError> {
        let g = GraphBuilder::new("gradients");
        let y = declare(&g);
        let Some(ty) = y.ty() else { return Err(g.finish().map_or_else(Into::into, |_| TestingError::NoParameter)) };
        // No two weights are alike, so that no gradient cancels.
        let weights = Value::from_fn(ty.clone(), |i| Scalar::from_f64((1.0 + i as f64).cos(), ty.dtype));
        let loss = (&y * g.constant(weights)).sum();
        g.output(LOSS, &loss);
        for (name, parameter) in g.parameters() {
            g.output(&format!("{GRADIENT}{name}"), &g.gradients(&loss, &[&parameter])[0]);
        }
        let step = g.finish()?;
        let mut states = map_of(step.initial_values(self.seed));
        let mut random = SplitMix64::new(self.seed);
        for state in step.states.iter().filter(|state| state.trainable()) {
            let number = |_| Scalar::from_f64((random.bits() >> 44) as f64 / f64::from(1 << 19) - 1.0, state.ty.dtype);
            states.insert(state.name.clone(), Value::from_fn(state.ty.clone(), number));
        }
        self.check(&step, &BTreeMap::new(), &states)
    }

    /// Checks the gradients of a model's loss by all its parameters, on these samples (the model's inputs and targets by name, with a batch axis), as in training. The model computes in `f64`
    /// if its inputs are declared so (`Sequential::of(f64([..]))`); parameters have their initial values. Gives the number of elements checked.
    ///
    /// ```
    /// use gradc::data::array;
    /// use gradc::dsl::f64;
    /// use gradc::prelude::*;
    /// use gradc::testing::GradientTest;
    /// let model = Sequential::of(f64([3])).dense(4).tanh().dense(2);
    /// let x = array([2, 3], vec![0.5f64, -1.0, 2.0, 0.25, 1.0, -0.5])?;
    /// let y = array([2], vec![0i32, 1])?;
    /// let checked = GradientTest::new().model(&model, &SparseCategoricalCrossEntropy, &[("x", &x), ("y", &y)])?;
    /// assert_eq!(checked, 3 * 4 + 4 + 4 * 2 + 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::function`]; samples that don't fit the model.
    #[track_caller]
    pub fn model(
        &self,
        model: &dyn Model,
        loss: &dyn Objective,
        samples: &[(&str, &Value)],
    ) -> Result<usize, TestingError> {
        let size = samples.first().and_then(|(_, value)| value.ty().shape.first().copied()).unwrap_or(1);
        let criteria = Criteria { losses: &loss.losses(), metrics: &[], reported: Reported::Totals };
        let step = observation(model, Batch::from(size), criteria, Loc::caller())?;
        let states = map_of(step.initial_values(self.seed));
        let samples = map_of(samples.iter().map(|(name, value)| (name.to_string(), (*value).clone())));
        self.check(&step, &samples, &states)
    }

    /// Checks the gradients that a step gives with its loss.
    fn check(
        &self,
        step: &Step,
        inputs: &BTreeMap<String, Value>,
        states: &BTreeMap<String, Value>,
    ) -> Result<usize, TestingError> {
        let parameters: Vec<_> = step.states.iter().filter(|state| state.trainable()).collect();
        if let Some(coarse) = parameters.iter().find(|state| state.ty.dtype != DType::F64) {
            return Err(TestingError::NotF64 { parameter: coarse.name.clone(), dtype: coarse.ty.dtype });
        }
        let mut run = RepeatedRun { program: step.compile(&CompileOptions::threads(1))?, inputs, states };
        let mut random = SplitMix64::new(self.seed);
        let mut checked = 0;
        for name in parameters.iter().map(|state| &state.name) {
            let gradient = run.gradient(name)?;
            for element in chosen(gradient.len(), self.elements, &mut random) {
                let (above, below) = (run.moved(name, element, self.step)?, run.moved(name, element, -self.step)?);
                let (found, difference) = (gradient[element], (above - below) / (2.0 * self.step));
                if (found - difference).abs() > self.tolerance * difference.abs().max(1.0) || found.is_nan() {
                    return Err(TestingError::Gradient {
                        parameter: name.clone(),
                        element,
                        gradient: found,
                        difference,
                    });
                }
                checked += 1;
            }
        }
        if checked == 0 { Err(TestingError::NoParameter) } else { Ok(checked) }
    }
}

/// The output that gradients are of.
const LOSS: &str = "loss";

/// Elements to be checked: all, or so many.
fn chosen(len: usize, most: usize, random: &mut SplitMix64) -> Vec<usize> {
    let mut all: Vec<usize> = (0..len).collect();
    if len > most {
        for at in 0..most {
            all.swap(at, at + (random.bits() % (len - at) as u64) as usize);
        }
        all.truncate(most);
    }
    all
}

/// A step that is run again and again on the same values but for one.
struct RepeatedRun<'v> {
    program: CompiledProgram,
    inputs: &'v BTreeMap<String, Value>,
    states: &'v BTreeMap<String, Value>,
}

impl RepeatedRun<'_> {
    fn outputs(&mut self) -> Result<BTreeMap<String, Value>, TestingError> {
        self.program.set_states(self.states)?;
        Ok(self.program.run(self.inputs)?)
    }

    /// The gradient by a parameter.
    fn gradient(&mut self, parameter: &str) -> Result<Vec<f64>, TestingError> {
        let found = self.outputs()?.remove(&format!("{GRADIENT}{parameter}"));
        Ok(found.map_or_else(Vec::new, |gradient| gradient.to_f64_vec()))
    }

    /// The loss where an element of a parameter is that much larger.
    fn moved(&mut self, parameter: &str, element: usize, by: f64) -> Result<f64, TestingError> {
        self.program.set_states(self.states)?;
        let mut value = self.states[parameter].clone();
        let number = value.get(element).as_f64() + by;
        value.data_mut().set(element, Scalar::F64(number));
        self.program.set_state(parameter, &value)?;
        let outputs = self.program.run(self.inputs)?;
        Ok(outputs[LOSS].get(0).as_f64())
    }
}
