//! What goes through a stream's threads: a batch while it is made.

use super::origin::SampleOrigin;
use super::sample::{BatchMut, SampleMut};
use super::stage::{Keys, MapStage};
use crate::data::{DataError, Dataset, Schema};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Room for one batch: as it is read, and after each stage that has other columns.
pub(super) struct Block {
    /// The first is as read, the last as the step gets it.
    pub(super) parts: Vec<Dataset>,
    /// Which samples to read, where a worker reads them.
    pub(super) places: Vec<usize>,
    /// How many samples there are.
    pub(super) rows: usize,
    /// How many came before.
    pub(super) first: usize,
    /// Why there is no batch.
    pub(super) error: Option<DataError>,
}

impl Block {
    /// With room for `size` samples of each of these columns.
    pub(super) fn new(schemas: &[&Schema], size: usize) -> Result<Self, DataError> {
        let parts: Result<Vec<_>, _> = schemas.iter().map(|schema| schema.zeros(size)).collect();
        Ok(Self { parts: parts?, places: vec![0; size], rows: 0, first: 0, error: None })
    }
}

/// What is done to a block after its samples have been chosen.
#[derive(Clone)]
pub(super) struct BlockWork {
    pub(super) origin: Arc<SampleOrigin>,
    pub(super) stages: Vec<Arc<MapStage>>,
    pub(super) keys: Keys,
}

impl BlockWork {
    /// Whether there is anything to do.
    pub(super) fn is_nothing(&self) -> bool {
        self.stages.is_empty() && !matches!(*self.origin, SampleOrigin::Indexed { .. })
    }

    /// Does it all, unless something has gone wrong before.
    pub(super) fn run(&self, block: &mut Block) {
        if block.error.is_none() {
            block.error = guarded(|| self.try_run(block)).err();
        }
    }

    fn try_run(&self, block: &mut Block) -> Result<(), DataError> {
        let (rows, first) = (block.rows, block.first);
        let Block { parts, places, .. } = block;
        let at = |row: usize| move |source: DataError| DataError::At { sample: first + row, source: Box::new(source) };
        if let (SampleOrigin::Indexed { read, .. }, Some(part)) = (&*self.origin, parts.first_mut()) {
            for (row, place) in places.iter().enumerate().take(rows) {
                guarded(|| read(*place, &mut SampleMut::new(part, row))).map_err(at(row))?;
            }
        }
        let mut part = 0;
        for (number, stage) in self.stages.iter().enumerate() {
            let keys = |row: usize| self.keys.of(number, first + row);
            match &**stage {
                MapStage::Map(f) => {
                    for row in 0..rows {
                        let mut sample = SampleMut::new(&mut parts[part], row);
                        guarded(|| f(&mut sample, &mut keys(row))).map_err(at(row))?;
                    }
                }
                MapStage::MapTo(_, f) => {
                    let (from, to) = parts.split_at_mut(part + 1);
                    for row in 0..rows {
                        let (from, mut to) = (SampleMut::new(&mut from[part], row), SampleMut::new(&mut to[0], row));
                        guarded(|| f(&from, &mut to, &mut keys(row))).map_err(at(row))?;
                    }
                    part += 1;
                }
                MapStage::MapBatch(f) => {
                    let mut batch = BatchMut::new(&mut parts[part], rows);
                    guarded(|| f(&mut batch, &mut keys(0))).map_err(at(0))?;
                }
            }
        }
        Ok(())
    }
}

/// What `f` gives; a panic of the user's code is an error.
pub(super) fn guarded<T>(f: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    let message = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
    };
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(DataError::Panic { message: message(panic) }))
}
