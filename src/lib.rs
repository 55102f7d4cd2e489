//! gradc compiles a whole training step: a model declared in Rust becomes one static graph of forward, backward and update, and that
//! becomes native code.
//!
//! - [`dsl`]: tensors and graphs, declared by hand.
//! - [`nn`]: layers, activations, losses, metrics.
//! - [`optim`]: optimizers, gradient clipping, learning-rate schedules.
//! - [`compile`]: the driver, from a declared step to a program that runs.
//! - [`data`]: data sets and the files they come from.
//! - [`io`]: files of weights, of models and of graphs.
//! - [`model`]: layers put together, and the graphs for training, evaluation and prediction that one model gives.
//! - [`interpret`]: what a model looks at, as graphs and pictures.
//! - [`parallel`]: training by several processes.
//! - [`train`]: fitting, evaluation, prediction, callbacks.
//! - [`testing`]: for tests of layers, losses, passes and models of one's own.
//!
//! Features: `parquet` (tables from Parquet files), `images` (folders of PNG and JPEG files), `tokenizers` (files `tokenizer.json`), `tensorboard` (event files), `plots` (what was measured as SVG and PNG), `built`
//! (prediction by shared libraries that `gradc build --shared` made), `mpi` (training by several processes).
//!
//! What lies below, for who looks into graphs and loops or writes passes: [`ir`], [`kernel`], [`passes`], [`codegen`], [`runtime`].
//!
//! ```
//! use gradc::prelude::*;
//! let model = Sequential::new([28, 28, 1])
//!     .conv2d(32, 3).relu().max_pool2d(2)
//!     .conv2d(64, 3).relu().max_pool2d(2)
//!     .flatten().dense(10);
//! let step = model.training_graph(32, &SparseCategoricalCrossEntropy, &[Accuracy], &Adam::default())?;
//! assert_eq!(step.parameter_count(), 34_826);
//! # Ok::<(), ModelErrors>(())
//! ```

// Whatever a signature of this crate names can be named by who depends on this crate alone.
pub use {codegen, ir, kernel, passes, runtime};

pub mod compile;
pub mod data;
pub mod dsl;
pub mod interpret;
pub mod io;
pub mod model;
pub mod nn;
pub mod optim;
pub mod parallel;
pub mod prelude;
pub mod testing;
pub mod train;

/// The programs in the project's front page, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Likewise that in the page on looking into the compiler.
#[cfg(doctest)]
#[doc = include_str!("../docs/workbench.md")]
struct WorkbenchPage;

/// Likewise that on models that don't learn.
#[cfg(doctest)]
#[doc = include_str!("../docs/debugging.md")]
struct DebuggingPage;

/// Likewise that on serving.
#[cfg(doctest)]
#[doc = include_str!("../docs/serving.md")]
struct ServingPage;
