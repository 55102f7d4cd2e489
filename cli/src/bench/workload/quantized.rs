//! Predictions of the convolutional network with products in bytes: weights and batches are those of the workload in `f32`, and the ranges of activations come from the batch.

use super::network::convolutional;
use super::train::Network;
use crate::bench::BenchError;
use gradc::data::Dataset;
use gradc::dsl::Step;
use gradc::nn::SparseCategoricalCrossEntropy;
use gradc::optim::Sgd;
use gradc::train::{Compile, Quantization, QuantizedModel, TrainError};
use ir::{Value, ValueError};

/// The convolutional network in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct QuantizedWorkload;

/// What is quantized.
const NETWORK: Network = Network::Convolutional;

impl QuantizedWorkload {
    /// From the input `x` to the output `output`.
    pub(super) fn step(self, batch: usize) -> Result<Step, BenchError> {
        Ok(self.model(batch)?.step().clone())
    }

    pub(super) fn batch(self, step: &Step) -> Result<Vec<(String, Value)>, ValueError> {
        NETWORK.batch(step)
    }

    pub(super) fn initial_values(self, batch: usize) -> Result<Vec<(String, Value)>, BenchError> {
        Ok(self.model(batch)?.weights()?.into_iter().collect())
    }

    fn model(self, batch: usize) -> Result<QuantizedModel, BenchError> {
        let floats = NETWORK.inference(batch)?;
        let trainer = convolutional().compile(Sgd::new(0.01), SparseCategoricalCrossEntropy, [])?;
        let mut trainer = trainer.with_batch(batch)?;
        trainer.set_weights(NETWORK.initial_values(&floats).into_iter().collect())?;
        let images = NETWORK.batch(&floats)?.into_iter().map(|(_, images)| images).next();
        let images = images.ok_or_else(|| BenchError::Setting("the network has no input".into()))?;
        let images = Dataset::unlabelled(images).map_err(TrainError::from)?;
        Ok(trainer.quantize(&images, Quantization::new())?)
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::Workload;
    use gradc::compile::CompileOptions;

    fn outputs(name: &str) -> Vec<f32> {
        let workload = Workload::named(name).unwrap();
        let step = workload.step().unwrap();
        let mut program = step.compile(&CompileOptions::threads(1)).unwrap();
        workload.fill(&step, &mut program).unwrap();
        program.step().unwrap();
        program.output::<f32>("output").unwrap().to_vec()
    }

    #[test]
    fn bytes_predict_what_floats_do() {
        let (floats, bytes) = (outputs("infer_cnn_b32"), outputs("infer_cnn_b32_int8"));
        let largest = floats.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let apart = floats.iter().zip(&bytes).fold(0f32, |apart, (a, b)| apart.max((a - b).abs()));
        assert!(apart > 0.0 && apart < 0.02 * largest, "{apart} of {largest}");
    }
}
