//! Neural networks, all of it composition of the ops in [`crate::dsl`]: layers, activations, losses, metrics.
//!
//! Layouts are Keras's: images `[batch, height, width, channels]`, convolution kernels `[kh, kw, in, out]`, dense kernels `[in, out]`.

pub mod activation;
pub mod layer;
pub mod loss;
pub mod metric;

pub use activation::Activation;
pub use layer::{
    ActivationLayer, AvgPool2d, BatchNorm, Conv2d, Dense, Dropout, Flatten, GlobalAvgPool2d, Layer, MaxPool2d, Padding,
    Pair, Regularizer, Reshape,
};
pub use loss::{
    BinaryCrossEntropy, CategoricalCrossEntropy, Hinge, Huber, KlDivergence, Loss, MeanAbsoluteError, MeanSquaredError,
    Reduction, SparseCategoricalCrossEntropy, absolute_error, binary_cross_entropy, categorical_cross_entropy, hinge,
    huber, kl_divergence, reduce_loss, sparse_cross_entropy, squared_error,
};
pub use metric::Metric;

#[cfg(test)]
mod tests;
