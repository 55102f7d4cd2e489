//! Training: `compile` a model, `fit` it to data, `evaluate` it, `predict` with it.
//!
//! ```
//! use gradc::data::{Dataset, array};
//! use gradc::prelude::*;
//! let x = array([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
//! let xor = Dataset::new(x, array([4], vec![0i32, 1, 1, 0])?)?;
//! let model = Sequential::new([2]).dense(8).tanh().dense(2);
//! let mut trainer = model.compile(Adam::new(0.05), SparseCategoricalCrossEntropy, [Accuracy])?;
//! trainer.fit(&xor, Fit::epochs(100).batch(4).silent())?;
//! assert_eq!(trainer.evaluate(&xor)?.metric("accuracy"), Some(1.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod averages;
mod beam;
mod best;
pub mod callback;
mod checkpoint;
#[cfg(feature = "plots")]
mod curves;
mod error;
mod evaluation;
mod feed;
mod files;
mod fit;
mod generate;
mod history;
mod observe;
mod overfit;
mod parallel;
mod predictor;
mod programs;
mod progress;
mod quantize;
mod rates;
mod rows;
mod run;
mod states;
mod statistics;
mod step;
mod tensor_statistics;
#[cfg(test)]
mod tests;
mod trainer;
mod weights;

pub use beam::{Beam, BeamGenerator, BeamSearch, Hypothesis};
pub use callback::{Callback, Control};
pub use checkpoint::{CheckpointError, Checkpoints};
pub use error::TrainError;
#[cfg(test)]
use evaluation::accumulated;
pub use evaluation::{Evaluation, Measured, MetricValue};
pub use fit::Fit;
pub use generate::{Generator, Sampling};
pub use history::{EpochRecord, History};
pub use observe::Observation;
pub use overfit::OverfitReport;
pub use parallel::Replica;
pub use predictor::{Predictor, PredictorBatch};
pub use progress::Progress;
pub use quantize::{Calibration, Quantization, QuantizedLayer, QuantizedModel};
pub use step::StepLogs;
pub use tensor_statistics::TensorStatistics;
pub use trainer::{Compile, Trainer};
