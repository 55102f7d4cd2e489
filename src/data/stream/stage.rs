//! What is done to samples on their way, and the random numbers for it.

use super::sample::{BatchMut, SampleMut};
use crate::data::{DataError, Rng, Schema};

/// A function of samples.
pub(super) type SampleFn = Box<dyn Fn(&mut SampleMut<'_>, &mut Rng) -> Result<(), DataError> + Send + Sync>;
/// A function from samples to others.
pub(super) type MapToFn =
    Box<dyn Fn(&SampleMut<'_>, &mut SampleMut<'_>, &mut Rng) -> Result<(), DataError> + Send + Sync>;
/// A function of batches.
pub(super) type MapBatchFn = Box<dyn Fn(&mut BatchMut<'_>, &mut Rng) -> Result<(), DataError> + Send + Sync>;

/// A step of a stream.
pub(super) enum MapStage {
    /// Changes samples where they are.
    Map(SampleFn),
    /// Makes samples of other columns.
    MapTo(Schema, MapToFn),
    /// Changes batches where they are.
    MapBatch(MapBatchFn),
}

/// What random numbers of a pass are made from.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) seed: u64,
    pub(super) number: u64,
}

impl Keys {
    /// The random numbers of the stage of that number for the sample at that place of the stream.
    pub(super) fn of(self, stage: usize, place: usize) -> Rng {
        Rng::new(&[self.seed, self.number, stage as u64, place as u64])
    }

    /// Those that decide the order.
    pub(super) fn of_order(self) -> Rng {
        Rng::new(&[self.seed, self.number])
    }
}
