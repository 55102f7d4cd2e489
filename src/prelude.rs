//! What most programs use: `use gradc::prelude::*;`.

pub use crate::compile::{CompileOptions, CompiledProgram};
pub use crate::data::{Dataset, Value, array};
pub use crate::dsl::{
    DType, GraphBuilder, ModelErrors, Policy, Step, Tensor, TensorType, TypeSpec, bf16, bool_, f16, f32, f64, i8, i16,
    i32, i64, u8, u16, u32, u64,
};
pub use crate::io::SaveGraph;
pub use crate::model::{Batch, Functional, Model, Sequential};
pub use crate::nn;
pub use crate::nn::Metric::{self, Accuracy, Auc, F1, Precision, Recall, TopK};
pub use crate::nn::{
    Activation, AttentionMask, Average, AvgPool1d, AvgPool2d, BatchHardTriplet, BatchNorm, Bidirectional,
    BinaryCrossEntropy, BinaryFocalCrossEntropy, CategoricalCrossEntropy, CategoricalFocalCrossEntropy, Contrastive,
    Conv1d, Conv2d, CosineEmbedding, CosineSimilarity, Ctc, Dense, Dropout, Embedding, Flatten, GlobalAvgPool1d,
    GlobalAvgPool2d, GlobalMaxPool1d, GlobalMaxPool2d, GroupNorm, Gru, Hinge, Huber, KlDivergence, Layer, LayerId,
    LayerNorm, LearnedPositions, Loss, Losses, Lstm, Masking, MaxPool1d, MaxPool2d, MeanAbsoluteError,
    MeanSquaredError, MultiHeadAttention, NegativeLogLikelihood, Padding, Padding1d, PoissonNll, Regularizer, RmsNorm,
    SimpleRnn, SparseCategoricalCrossEntropy, SparseCategoricalFocalCrossEntropy, TiedHead, TransformerBlock,
};
pub use crate::optim::{Adagrad, Adam, AdamW, Groups, LossScale, Optimizer, RmsProp, Schedule, Select, Sgd};
pub use crate::train::callback::{CsvLogger, EarlyStopping, LearningRateSchedule, ModelCheckpoint, ReduceLrOnPlateau};
pub use crate::train::{Checkpoints, Compile, Evaluation, Fit, History, Predictor, Quantization, TrainError, Trainer};
