//! Data: arrays of samples, streams of them, readers of IDX and CSV files, texts, shuffling, batches, splits.
//!
//! A [`Dataset`] keeps samples as they were stored (bytes stay bytes) and shares them with the views that splitting makes. A batch is
//! converted while it is copied into the program's input: there is no array in between. A [`Stream`] reads, shuffles and changes samples on threads while a step
//! runs, so that they may be more than memory holds. Both are a [`Source`] to train on.
//!
//! ```
//! use gradc::data::{Dataset, array};
//! let x = array([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
//! let y = array([4], vec![0i32, 1, 1, 0])?;
//! let (train, test) = Dataset::new(x, y)?.split_at(3)?;
//! assert_eq!((train.len(), test.len()), (3, 1));
//! # Ok::<(), gradc::data::DataError>(())
//! ```

mod augment;
mod batches;
mod column;
mod dataset;
mod error;
pub mod fetch;
mod folds;
mod idx;
#[cfg(feature = "images")]
mod images;
mod memory;
pub mod mnist;
mod rng;
mod samples;
mod schema;
mod shuffle;
mod source;
mod stream;
mod table;
pub mod text;

pub use augment::Augment;
pub use batches::BatchView;
pub(crate) use column::Item;
pub use column::{Column, Stored, array};
pub use dataset::Dataset;
pub use error::DataError;
pub use idx::{MAX_BYTES, read_idx};
#[cfg(feature = "images")]
pub use images::ImageFolder;
pub use ir::{Data, Scalar, Value, ValueError};
pub use rng::Rng;
pub use samples::{ArrayView, Samples};
pub use schema::{Field, Schema};
pub use source::{BatchReader, Epoch, Source};
pub use stream::{BatchMut, SampleMut, Stream};
#[cfg(feature = "parquet")]
pub use table::Parquet;
pub use table::{Csv, FeatureSpace, Impute, Preprocessing, Table};
