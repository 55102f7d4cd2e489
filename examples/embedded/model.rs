//! The network that the program carries: it tells handwritten digits.

use gradc::dsl::Step;
use gradc::prelude::*;

fn model() -> Sequential {
    let model = Sequential::new([28, 28, 1]).conv2d(32, 3).relu().max_pool2d(2).conv2d(64, 3).relu();
    model.max_pool2d(2).flatten().dense(10).named("cnn")
}

/// A step of training, on 32 images with their labels.
pub(crate) fn training() -> Result<Step, ModelErrors> {
    model().training_graph(32, &SparseCategoricalCrossEntropy, &[Accuracy], &Adam::default())
}

/// A step of prediction, of 100 images.
pub(crate) fn prediction() -> Result<Step, ModelErrors> {
    model().inference_graph(100)
}
