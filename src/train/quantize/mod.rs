//! Int8 inference: a trained model's dense layers and convolutions in bytes (post-training quantization: Jacob et al., "Quantization and Training of Neural Networks
//! for Efficient Integer-Arithmetic-Only Inference", arXiv 1712.05877; Nagel et al., "A White Paper on Neural Network Quantization", arXiv 2106.08295).

mod calibrate;
mod rewrite;
mod weights;

use super::predictor::Predictor;
use super::{TrainError, Trainer};
use crate::compile::{CompileError, States, read_all, write};
use crate::data::Source;
use crate::dsl::{StateSpec, Step};
use calibrate::ranges;
use ir::Value;
use rewrite::{rewritten, sites};
use std::collections::BTreeMap;

/// How the ranges of activations follow from batches.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Calibration {
    /// The least and the greatest value of all batches.
    MinMax,
    /// A mean of the batches' least and greatest values in which each batch counts as much as this, between 0 and 1, and those before it the rest. A rare outlier
    /// widens it little.
    MovingAverage(f32),
    /// The mean over batches of two quantiles of a batch's values: the one at this share, above 1/2 and at most 1, and the one as far from the other end. With 0.9999 a
    /// ten-thousandth of the values is cut off at either end, however far away they are; a few that are no numbers are among them.
    Percentile(f32),
}

/// Settings of [`Trainer::quantize`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quantization {
    pub(super) calibration: Calibration,
    pub(super) batches: usize,
}

impl Default for Quantization {
    /// The least and greatest values of at most 100 batches.
    fn default() -> Self {
        Self { calibration: Calibration::MinMax, batches: 100 }
    }
}

impl Quantization {
    /// As [`Quantization::default`].
    pub fn new() -> Self {
        Self::default()
    }

    /// With another way from batches to ranges.
    pub fn calibration(mut self, calibration: Calibration) -> Self {
        self.calibration = calibration;
        self
    }

    /// Looks at no more than that many batches.
    pub fn batches(mut self, batches: usize) -> Self {
        self.batches = batches;
        self
    }
}

/// A layer's contraction that is computed in bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct QuantizedLayer {
    /// The name of its kernel among the model's weights: `conv2d/kernel`.
    pub kernel: String,
    /// The least and the greatest activation that bytes can say; 0 is among them.
    pub range: (f32, f32),
}

/// A model that predicts with bytes, made by [`Trainer::quantize`].
#[derive(Clone, Debug)]
pub struct QuantizedModel {
    predictor: Predictor,
    layers: Vec<QuantizedLayer>,
    step: Step,
}

impl QuantizedModel {
    /// What predicts, on any thread.
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// The contractions in bytes, in the order in which they are computed.
    pub fn layers(&self) -> &[QuantizedLayer] {
        &self.layers
    }

    /// The step for the largest batch: an ordinary graph, to print, to dump, to measure or to compile ahead of time. What its states hold is the predictor's:
    /// [`QuantizedModel::weights`].
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// The values of the step's states, by name: kernels in bytes, and all else.
    ///
    /// # Errors
    /// None that a model which predicts has.
    pub fn weights(&self) -> Result<BTreeMap<String, Value>, TrainError> {
        let missing = || TrainError::Setting("the weights have no names".into());
        values(&self.step.states, self.predictor.states().ok_or_else(missing)?)
    }
}

impl Trainer {
    /// The model of the moment with the products of its dense layers and convolutions (in one group, with a trained kernel) in bytes: kernels as `i8`, symmetric, with a scale for each output
    /// channel, activations as `u8` with one scale and a zero point each, whose ranges are those on `data`, some hundred samples of what will be predicted. Products are
    /// summed in `i32` and scaled in `f32`; all else stays in the type that it has. Kernels take a quarter of their memory.
    ///
    /// The integers are the same on every machine. They are much faster than `f32` where processors have AVX512-VNNI, and a little with AVX2; elsewhere they are computed in `f32`, which takes longer than the model
    /// itself, and only memory is saved: `docs/performance.md` says how much of both was measured.
    ///
    /// ```
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let x = array([64, 4], (0..256).map(|i| (i % 17) as f32 / 17.0).collect())?;
    /// let data = Dataset::new(x, array([64], (0..64).map(|i| i % 3).collect::<Vec<i32>>())?)?;
    /// let model = Sequential::new([4]).dense(16).relu().dense(3);
    /// let mut trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy])?;
    /// let quantized = trainer.quantize(&data, Quantization::new())?;
    /// assert_eq!(quantized.layers().len(), 2);
    /// let (exact, bytes) = (trainer.predict(&data)?, quantized.predictor().predict(&data)?);
    /// let difference = |(a, b): (f64, f64)| (a - b).abs();
    /// assert!(exact.to_f64_vec().into_iter().zip(bytes.to_f64_vec()).map(difference).all(|d| d < 0.05));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A model without such layers, data without a sample or with values that aren't finite where a layer gets them (its line is named), a rate of a moving average that isn't
    /// above 0 and at most 1, a percentile that isn't above 1/2 and at most 1, and what [`Trainer::predictor`] refuses.
    pub fn quantize(&mut self, data: &dyn Source, options: Quantization) -> Result<QuantizedModel, TrainError> {
        let steps = self.prediction_sizes().into_iter().map(|samples| Ok((samples, self.prediction_step(samples)?)));
        let mut steps = steps.collect::<Result<Vec<_>, TrainError>>()?;
        let Some((_, largest)) = steps.last() else { return Err(setting("a model without a batch")) };
        let found = sites(&largest.graph);
        if found.is_empty() {
            return Err(setting(
                "nothing to quantize: the model has no dense layer or convolution with a kernel in f32",
            ));
        }
        let states = self.programs.copy_of(&largest.states)?;
        let values = values(&largest.states, &states)?;
        let ranges = ranges(self, (largest, &found, states), data, options)?;
        let mut new = BTreeMap::new();
        for (_, step) in &mut steps {
            *step = rewritten(step, &ranges, &values, &mut new)?;
        }
        let layers = found.iter().zip(&ranges);
        let layers = layers.map(|(site, range)| QuantizedLayer { kernel: site.kernel.clone(), range: range.bounds() });
        let (layers, step) = (layers.collect(), steps[steps.len() - 1].1.clone());
        let block = block(&step.states, &values, &new)?;
        let steps = steps.into_iter().map(|(samples, step)| (samples, step.into()));
        Ok(QuantizedModel { predictor: self.predictor_of(steps, block), layers, step })
    }
}

/// A block with these states' values: the model's, or those that are new.
fn block(
    specs: &[StateSpec],
    old: &BTreeMap<String, Value>,
    new: &BTreeMap<String, Value>,
) -> Result<States, TrainError> {
    let sizes = specs.iter().map(|state| (state.name.clone(), state.ty.dtype, state.ty.shape.numel()));
    let mut block = States::new(sizes).map_err(CompileError::from)?;
    for StateSpec { name, ty, .. } in specs {
        let Some(value) = new.get(name).or_else(|| old.get(name)) else {
            return Err(setting(&format!("the state `{name}`, {ty}, has no value")));
        };
        write(&mut block, name, ty, value)?;
    }
    Ok(block)
}

/// The values of these states, by name.
fn values(states: &[StateSpec], block: &States) -> Result<BTreeMap<String, Value>, TrainError> {
    Ok(read_all(block, states.iter().map(|state| (&state.name, &state.ty)))?)
}

fn setting(what: &str) -> TrainError {
    TrainError::Setting(what.into())
}

#[cfg(test)]
mod tests;
