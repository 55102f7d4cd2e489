//! Predictors of models whose code was compiled ahead of time.

use super::program::ProgramSource;
use super::{Predictor, Served, ServedSize, TrainError};
use crate::compile::{BuiltModel, CompileOptions};
use std::path::Path;
use std::sync::{Arc, OnceLock};

impl Predictor {
    /// The model in a shared library that `gradc build --shared` made, by its entries that change no states, each for a size of a batch; a single one whose inputs and outputs don't count samples takes whole arrays.
    /// Nothing is compiled: the options say how many threads share a step, and from which seed random states start that were built without values.
    ///
    /// **The library's code runs in this process**, and does whatever it says. So the file must be this user's or the administrator's, and nobody else may be able to write to it, to its folder or to
    /// those above. Its manifests are read and checked before anything is loaded.
    ///
    /// ```no_run
    /// use gradc::prelude::*;
    /// let predictor = Predictor::load_built("build/libcnn.so", CompileOptions::default())?;
    /// predictor.warm_up(1, 4)?; // memory for four threads
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TrainError::Built`]: a file that can't be read or isn't trusted, is no such library, is for another machine or version, or whose entries aren't one model; if the system doesn't load it.
    pub fn load_built(path: impl AsRef<Path>, options: CompileOptions) -> Result<Self, TrainError> {
        let path = path.as_ref();
        let failed = |error| TrainError::Built { path: path.into(), error: Box::new(error) };
        let model = BuiltModel::load(path, &options).map_err(failed)?;
        let whole = model.is_whole();
        let sizes: Vec<ServedSize> = model.sizes().map(|samples| ServedSize::new(samples, OnceLock::new())).collect();
        let rows = if whole { 1 } else { sizes.last().map_or(1, |size| size.samples) };
        let source = ProgramSource::Library(model);
        let (inputs, outputs) = source.port_types(&sizes);
        Ok(Self(Arc::new(Served {
            whole,
            inputs: inputs.into_iter().map(|(name, ty)| (name, ty.shape.numel() / rows)).collect(),
            outputs: outputs.into_iter().map(|(name, _)| name).collect(),
            source,
            sizes,
        })))
    }
}
