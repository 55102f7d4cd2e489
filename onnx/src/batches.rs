//! A model as a predictor: imported once for each of some sizes of batches, whose programs share its stored tensors.

use crate::error::ImportError;
use crate::import::{FinishError, Import};
use crate::read::ReadModel;
use crate::survey::{DeclaredInput, Survey};
use gradc::compile::CompileOptions;
use gradc::dsl::Step;
use gradc::train::{Predictor, TrainError};

/// Why there is no predictor of a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredictorError {
    /// The model can't be imported.
    #[error(transparent)]
    Import(#[from] FinishError),
    /// What was imported can't be predicted by.
    #[error(transparent)]
    Predict(#[from] TrainError),
}

impl From<ImportError> for PredictorError {
    fn from(error: ImportError) -> Self {
        Self::Import(error.into())
    }
}

impl Import {
    /// What predicts by the model, on any thread. If it leaves the first extent of all its inputs open, that counts the samples, and up to `max_batch` are predicted at once; else a batch is what
    /// the model says. Other extents that it leaves open are given as for [`Import::load`].
    ///
    /// ```no_run
    /// use gradc_onnx::Import;
    /// let predictor = Import::new("model.onnx").dim("sequence", 128).predictor(32, Default::default())?;
    /// println!("{:?}", predictor.inputs());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Import::load`]; outputs without a row for each sample; if memory isn't to be had.
    pub fn predictor(&self, max_batch: usize, options: CompileOptions) -> Result<Predictor, PredictorError> {
        let model = self.model()?;
        let inputs: Vec<DeclaredInput> = Survey::new(&model).inputs;
        let open: Vec<&DeclaredInput> = inputs.iter().filter(|input| !self.is_given(&input.name)).collect();
        // Read once for all sizes.
        let model = self.read(model)?;
        if open.is_empty() || !open.iter().all(|input| self.counts_samples(input)) {
            return Ok(Predictor::from_step(self.load_read(&model)?.finish()?, options)?);
        }
        let most = max_batch.max(1);
        let sizes = std::iter::successors(Some(1usize), |size| size.checked_mul(2)).take_while(|size| *size < most);
        let sized = |samples| Ok::<_, PredictorError>((samples, self.of_samples(&model, &open, samples)?));
        Predictor::from_steps(sizes.chain([most]).map(sized), options)
    }

    /// Whether the first extent of an input is open.
    fn counts_samples(&self, input: &DeclaredInput) -> bool {
        let first = input.dims.as_ref().and_then(|dims| dims.first());
        first.is_some_and(|first| first.parse::<usize>().is_err() && self.extent(first).is_none())
    }

    /// The model's graph for so many samples.
    fn of_samples(&self, model: &ReadModel, inputs: &[&DeclaredInput], samples: usize) -> Result<Step, PredictorError> {
        let mut import = self.settings();
        for input in inputs {
            let mut dims = vec![samples];
            for (axis, dim) in input.dims.iter().flatten().enumerate().skip(1) {
                let extent = dim.parse().ok().or_else(|| self.extent(dim));
                let (input, dimension) = (input.name.clone(), dim.clone());
                dims.push(extent.ok_or(ImportError::Dimension { input, axis, dimension })?);
            }
            import = import.input_shape(&input.name, dims);
        }
        Ok(import.load_read(model)?.finish()?)
    }
}
