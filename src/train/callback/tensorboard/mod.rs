//! Event files for TensorBoard.

mod proto;
mod writer;

use super::{Callback, Control, StepPlace};
use crate::data::{Epoch, Source};
use crate::train::{EpochRecord, TrainError};
use std::path::{Path, PathBuf};
use writer::EventWriter;

/// Writes what a training measures to event files, which `tensorboard --logdir DIR` shows while it runs: after each epoch all that was measured, as `epoch_loss`, `epoch_accuracy` and so on, of
/// the training data in the folder `DIR/train` and of the validation data in `DIR/validation`, so that both are lines of one chart, as Keras has it; the model's graph, its nodes in their layers;
/// on request the losses of steps, and histograms of weights, gradients and activations. A run that goes on from a checkpoint writes further files to the same folders.
///
/// ```
/// use gradc::data::array;
/// use gradc::prelude::*;
/// use gradc::train::callback::TensorBoard;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let data = Dataset::new(array([4, 2], vec![0.5f32; 8])?, array([4], vec![0i32, 1, 1, 0])?)?;
/// let model = Sequential::new([2]).dense(8).relu().dense(2);
/// let mut trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy])?;
/// let board = TensorBoard::new(dir).histograms(&data).steps(10);
/// trainer.fit(&data, Fit::epochs(3).validate(&data).callback(board).silent())?;
/// assert!(dir.join("train").is_dir() && dir.join("validation").is_dir());
/// # Ok(())
/// # }
/// ```
pub struct TensorBoard<'d> {
    dir: PathBuf,
    histograms: Option<(&'d dyn Source, usize)>,
    steps: Option<u64>,
    graph: bool,
    train: Option<EventWriter>,
    validation: Option<EventWriter>,
}

impl std::fmt::Debug for TensorBoard<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TensorBoard({})", self.dir.display())
    }
}

impl<'d> TensorBoard<'d> {
    /// To folders in this one, which are made when the training begins.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), histograms: None, steps: None, graph: true, train: None, validation: None }
    }

    /// After each epoch also histograms of all weights, and of gradients and layers' results on the first 32 of these samples ([`Trainer::observe`](crate::train::Trainer::observe)).
    pub fn histograms(mut self, data: &'d dyn Source) -> Self {
        self.histograms = Some((data, 32));
        self
    }

    /// The loss of each so many steps, too, as `batch_loss`.
    pub fn steps(mut self, every: u64) -> Self {
        self.steps = Some(every.max(1));
        self
    }

    /// Whether the model's graph is written; by default it is.
    pub fn graph(mut self, graph: bool) -> Self {
        self.graph = graph;
        self
    }

    fn failed(&self) -> impl FnOnce(std::io::Error) -> TrainError + use<> {
        let path = self.dir.clone();
        move |source| TrainError::Log { path, source }
    }

    fn open(&self, part: &str) -> Result<EventWriter, TrainError> {
        let dir: &Path = &self.dir;
        EventWriter::create(&dir.join(part)).map_err(self.failed())
    }

    /// Histograms of what there is to see in the model.
    fn observe(&mut self, epoch: u64, control: &mut Control<'_>) -> Result<(), TrainError> {
        let (Some((data, samples)), failed) = (self.histograms, self.failed()) else { return Ok(()) };
        let Some(writer) = &mut self.train else { return Ok(()) };
        let mut batches = data.open(Epoch::in_order(samples))?;
        let Some(batch) = batches.next_batch()? else { return Ok(()) };
        let seen = control.trainer().observe(batch)?;
        let kinds = [("weights", &seen.weights), ("gradients", &seen.gradients), ("activations", &seen.activations)];
        let mut tensors =
            kinds.into_iter().flat_map(|(kind, of)| of.iter().map(move |(name, value)| (kind, name, value)));
        tensors
            .try_for_each(|(kind, name, value)| writer.histogram(epoch, &format!("{kind}/{name}"), value))
            .map_err(failed)
    }
}

/// How the names of what validation measures begin.
const VALIDATION: &str = "val_";

impl Callback for TensorBoard<'_> {
    fn begin(&mut self, control: &mut Control<'_>) -> Result<(), TrainError> {
        if control.rank() != 0 {
            return Ok(());
        }
        let mut train = self.open("train")?;
        if self.graph {
            train.graph(&control.trainer().training_graph()?).map_err(self.failed())?;
        }
        self.train = Some(train);
        let is_validated = control.measured().iter().any(|measured| measured.name.starts_with(VALIDATION));
        self.validation = is_validated.then(|| self.open("validation")).transpose()?;
        Ok(())
    }

    fn batch_end(&mut self, _: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
        let Some(every) = self.steps else { return Ok(()) };
        let (step, failed) = (control.trainer().steps()?, self.failed());
        match &mut self.train {
            Some(writer) if step.is_multiple_of(every) => {
                writer.scalars(step, [("batch_loss", control.logs().loss())].into_iter()).map_err(failed)
            }
            _ => Ok(()),
        }
    }

    fn epoch_end(&mut self, record: &EpochRecord, control: &mut Control<'_>) -> Result<(), TrainError> {
        let epoch = record.epoch as u64;
        let (mut train, mut validation) = (vec![], vec![]);
        for (name, value) in &record.values {
            match name.strip_prefix(VALIDATION) {
                Some(name) => validation.push((format!("epoch_{name}"), *value)),
                None => train.push((format!("epoch_{name}"), *value)),
            }
        }
        train.push(("samples_per_second".into(), record.samples_per_second));
        for (writer, values) in [(&mut self.train, train), (&mut self.validation, validation)] {
            let scalars = values.iter().map(|(tag, value)| (tag.as_str(), *value));
            let written = writer.as_mut().map_or(Ok(()), |writer| writer.scalars(epoch, scalars));
            written.map_err(|source| TrainError::Log { path: self.dir.clone(), source })?;
        }
        self.observe(epoch, control)
    }
}
