//! Neural networks, all of it composition of the ops in [`crate::dsl`]: layers, activations, losses, metrics.
//!
//! Layers are applied to tensors, or put together by [`crate::model`]:
//!
//! ```
//! use gradc::dsl::{f32, i32, GraphBuilder};
//! use gradc::nn::{self, Activation, Dense, Layer};
//! let g = GraphBuilder::new("loss");
//! let hidden = Dense::new(128).activation(Activation::Relu).apply(&g.input("x", f32([32, 784])));
//! let loss = nn::sparse_cross_entropy(Dense::new(10).apply(&hidden), g.input("y", i32([32]))).mean();
//! g.output("loss", &loss);
//! assert_eq!(g.finish().unwrap().parameter_count(), 784 * 128 + 128 + 128 * 10 + 10);
//! ```
//!
//! Layouts are Keras's: images `[batch, height, width, channels]`, convolution kernels `[kh, kw, in, out]`, dense kernels `[in, out]`.

pub mod activation;
pub mod layer;
pub mod loss;
mod mask;
pub mod metric;

pub use activation::Activation;
pub use layer::{
    ActivationLayer, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d,
    AdaptiveMaxPool3d, AdditiveAttention, AlphaDropout, AttentionMask, AvgPool1d, AvgPool2d, AvgPool3d, BatchNorm,
    Bidirectional, Bilinear, CircularPad1d, CircularPad2d, CircularPad3d, Conv1d, Conv1dTranspose, Conv2d,
    Conv2dTranspose, Conv3d, Conv3dTranspose, ConvLstm1d, ConvLstm2d, ConvLstm3d, Cropping1d, Cropping2d, Cropping3d,
    Dense, DepthwiseConv1d, DepthwiseConv2d, Dropout, EinsumDense, Embedding, Extents2d, Extents3d,
    FeatureAlphaDropout, FewShotError, FillMode, Flatten, Fold, GaussianDropout, GaussianNoise, GlobalAvgPool1d,
    GlobalAvgPool2d, GlobalAvgPool3d, GlobalMaxPool1d, GlobalMaxPool2d, GlobalMaxPool3d, GridSample, GroupNorm, Gru,
    GruCell, Inputs, Interpolation, Layer, LayerId, LayerNorm, LayerScale, LearnedPositions, LocalResponseNorm,
    LpPool1d, LpPool2d, Lstm, LstmCell, Masking, MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool2d, Merge,
    MultiHeadAttention, NearestNeighbours, PRelu, Padding, Padding1d, Padding3d, PermuteAxes, PixelShuffle,
    PixelUnshuffle, Prototypes, RRelu, RandomBrightness, RandomContrast, RandomFlip, RandomRotation, RandomTranslation,
    RandomZoom, Recurrent, ReflectionPad1d, ReflectionPad2d, ReflectionPad3d, Regularizer, RelativePositionBias,
    RepeatVector, ReplicationPad1d, ReplicationPad2d, ReplicationPad3d, Reshape, Returned, RmsNorm, Rotary,
    SeparableConv1d, SeparableConv2d, SimpleRnn, SimpleRnnCell, SpatialDropout, SpectralNormalization, StochasticDepth,
    TiedHead, TransformerBlock, Unfold, UnitNorm, UpSampling1d, UpSampling2d, UpSampling3d, WithPolicy, ZeroPadding1d,
    ZeroPadding2d, ZeroPadding3d, attention, attention_weights, grid_sample,
};
pub use loss::{
    BatchHardTriplet, BinaryCrossEntropy, BinaryFocalCrossEntropy, CategoricalCrossEntropy,
    CategoricalFocalCrossEntropy, Contrastive, CosineEmbedding, CosineSimilarity, Ctc, Hinge, Huber, KlDivergence,
    Loss, Losses, MeanAbsoluteError, MeanSquaredError, NegativeLogLikelihood, Objective, PoissonNll, Reduction,
    SparseCategoricalCrossEntropy, SparseCategoricalFocalCrossEntropy, absolute_error, batch_hard_triplet,
    binary_cross_entropy, binary_focal_cross_entropy, categorical_cross_entropy, categorical_focal_cross_entropy,
    contrastive, cosine_embedding, cosine_similarity, hinge, huber, kl_divergence, negative_log_likelihood,
    poisson_nll, reduce_loss, sparse_cross_entropy, sparse_focal_cross_entropy, squared_error, triplet_margin,
};
pub use metric::{Average, ConfusionMatrix, Metric, Mode, StatefulMetric};

#[cfg(test)]
mod tests;
