//! What training, evaluation and prediction read from: batches of samples, from memory or as they come.

use super::{BatchView, DataError, Dataset, Schema};

/// One pass over a source: how many samples a batch has, and in which order they come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Epoch {
    /// Samples in a batch; at least 1. The last batch has as many as are left.
    pub batch: usize,
    /// Whether the order is a random one; without it, it is the order in which the samples are stored.
    pub shuffle: bool,
    /// What the random numbers of this pass are made from, with `number`.
    pub seed: u64,
    /// Which pass this is: each has an order and random numbers of its own.
    pub number: u64,
}

impl Epoch {
    /// In the stored order, in batches of that many samples: for evaluation and prediction.
    pub fn in_order(batch: usize) -> Self {
        Self { batch, shuffle: false, seed: 0, number: 0 }
    }

    /// In an order that seed and number decide.
    pub fn shuffled(batch: usize, seed: u64, number: u64) -> Self {
        Self { batch, shuffle: true, seed, number }
    }
}

/// Samples that can be passed over several times: a [`Dataset`] in memory, or a [`Stream`](super::Stream).
pub trait Source {
    /// The columns' names and types.
    fn schema(&self) -> Schema;

    /// The number of samples in an epoch, where it is known before.
    fn samples(&self) -> Option<usize>;

    /// Begins a pass.
    ///
    /// # Errors
    /// If the source can't be opened.
    fn open(&self, epoch: Epoch) -> Result<Box<dyn BatchReader + '_>, DataError>;

    /// The samples without the last `fraction`, and those, as two sources; see [`Dataset::split`].
    ///
    /// # Errors
    /// If the source can't be divided, as those that aren't in memory, or one part would be empty.
    fn split_off(&self, fraction: f64) -> Result<(Dataset, Dataset), DataError> {
        let what = "only a data set in memory can be split: give the validation data by `validate`";
        Err(DataError::Dataset(format!("a validation split of {fraction}: {what}")))
    }
}

/// A pass over a source.
pub trait BatchReader {
    /// The next batch; `None` after the last one.
    ///
    /// # Errors
    /// What could not be read. The pass is over then.
    fn next_batch(&mut self) -> Result<Option<BatchView<'_>>, DataError>;

    /// Passes over so many batches; how many there were. Reads them, where nothing better is known.
    ///
    /// # Errors
    /// What could not be read. The pass is over then.
    fn skip(&mut self, batches: usize) -> Result<usize, DataError> {
        for done in 0..batches {
            if self.next_batch()?.is_none() {
                return Ok(done);
            }
        }
        Ok(batches)
    }
}
