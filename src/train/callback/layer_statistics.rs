//! Watches what layers give, and what gradients they get, from epoch to epoch.

use super::{Callback, Control};
use crate::data::{Epoch, Source};
use crate::io::write_atomically;
use crate::train::{EpochRecord, TensorStatistics, TrainError};
use std::path::PathBuf;

/// The statistics of one tensor after an epoch.
#[derive(Clone, PartialEq, Debug)]
pub struct StatisticsRecord {
    /// The epoch, from 1.
    pub epoch: usize,
    /// `activation`, `gradient` or `weight`.
    pub kind: &'static str,
    /// The layer's path, or the parameter's name.
    pub name: String,
    /// What the elements are like.
    pub statistics: TensorStatistics,
}

/// After each epoch, or some of them, what the results of all layers, the gradients and the weights are like on the first batch of these data
/// ([`Trainer::observe`](crate::train::Trainer::observe)): layers that are dead, gradients that vanish or explode, show here before they do in the loss.
///
/// ```
/// use gradc::data::array;
/// use gradc::prelude::*;
/// use gradc::train::callback::LayerStatistics;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let data = Dataset::new(array([4, 2], vec![0.5f32; 8])?, array([4], vec![0i32, 1, 1, 0])?)?;
/// let model = Sequential::new([2]).dense(8).relu().dense(2);
/// let mut trainer = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, [])?;
/// let mut layers = LayerStatistics::new(&data).every(2);
/// trainer.fit(&data, Fit::epochs(4).callback(&mut layers).silent())?;
/// let relu: Vec<_> = layers.records().iter().filter(|r| r.kind == "activation" && r.name == "relu").collect();
/// assert_eq!((relu.len(), relu[1].epoch), (2, 4));
/// assert!(relu[1].statistics.zeros < 1.0, "not all units are dead");
/// # Ok(())
/// # }
/// ```
pub struct LayerStatistics<'d> {
    data: &'d dyn Source,
    batch: usize,
    every: usize,
    path: Option<PathBuf>,
    records: Vec<StatisticsRecord>,
}

impl std::fmt::Debug for LayerStatistics<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LayerStatistics({} records)", self.records.len())
    }
}

impl<'d> LayerStatistics<'d> {
    /// On the first 32 samples of these data, after each epoch.
    pub fn new(data: &'d dyn Source) -> Self {
        Self { data, batch: 32, every: 1, path: None, records: vec![] }
    }

    /// On so many samples.
    pub fn batch(mut self, samples: usize) -> Self {
        self.batch = samples.max(1);
        self
    }

    /// After each so many epochs only.
    pub fn every(mut self, epochs: usize) -> Self {
        self.every = epochs.max(1);
        self
    }

    /// Writes all of it to a CSV file, too, with the columns `epoch`, `kind`, `name` and the statistics.
    pub fn csv(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// What has been seen so far.
    pub fn records(&self) -> &[StatisticsRecord] {
        &self.records
    }

    fn write(&self) -> Result<(), TrainError> {
        let Some(path) = &self.path else { return Ok(()) };
        let failed = |source: std::io::Error| TrainError::Log { path: path.clone(), source };
        let mut lines = csv::Writer::from_writer(Vec::new());
        let first = ["epoch", "kind", "name"].into_iter();
        let named = self.records.first().map(|record| record.statistics.values().map(|(name, _)| name));
        lines.write_record(first.chain(named.into_iter().flatten())).map_err(|e| failed(e.into()))?;
        for StatisticsRecord { epoch, kind, name, statistics } in &self.records {
            let fields = [epoch.to_string(), kind.to_string(), name.clone()];
            let values = statistics.values().map(|(_, value)| value.to_string());
            lines.write_record(fields.into_iter().chain(values)).map_err(|e| failed(e.into()))?;
        }
        let text = lines.into_inner().map_err(|e| failed(std::io::Error::other(e.to_string())))?;
        Ok(write_atomically(path, &text)?)
    }
}

impl Callback for LayerStatistics<'_> {
    fn epoch_end(&mut self, record: &EpochRecord, control: &mut Control<'_>) -> Result<(), TrainError> {
        if !record.epoch.is_multiple_of(self.every) {
            return Ok(());
        }
        let mut batches = self.data.open(Epoch::in_order(self.batch))?;
        let Some(batch) = batches.next_batch()? else { return Ok(()) };
        let seen = control.trainer().observe(batch)?;
        self.records.extend(seen.statistics().map(|(kind, name, statistics)| StatisticsRecord {
            epoch: record.epoch,
            kind,
            name: name.to_string(),
            statistics,
        }));
        if control.rank() == 0 { self.write() } else { Ok(()) }
    }
}
