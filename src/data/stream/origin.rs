//! Where a stream's samples come from, and in which order they are taken.

use super::block::{Block, guarded};
use super::sample::SampleMut;
use super::stage::Keys;
use crate::data::column::copy_sample;
use crate::data::shuffle::permutation;
use crate::data::{DataError, Dataset, Rng, Schema};
use std::sync::Arc;

/// Reads the sample at a place.
pub(super) type ReadFn = Box<dyn Fn(usize, &mut SampleMut<'_>) -> Result<(), DataError> + Send + Sync>;
/// Reads the next sample of a shard; false if there is none.
pub(super) type ShardFn = Box<dyn FnMut(&mut SampleMut<'_>) -> Result<bool, DataError> + Send>;
/// Opens the shard of a number.
pub(super) type OpenFn = Box<dyn Fn(usize) -> Result<ShardFn, DataError> + Send + Sync>;

/// Where samples come from.
pub(super) enum SampleOrigin {
    /// Each can be read by its place.
    Indexed { samples: usize, read: ReadFn },
    /// Parts that are read from the front.
    Shards { count: usize, samples: Option<usize>, open: OpenFn },
}

impl SampleOrigin {
    pub(super) fn samples(&self) -> Option<usize> {
        match self {
            Self::Indexed { samples, .. } => Some(*samples),
            Self::Shards { samples, .. } => *samples,
        }
    }
}

/// How a pass goes through an origin.
#[derive(Clone, Copy)]
pub(super) struct ReadOrder {
    /// Samples among which the next one is drawn; 1 keeps the order.
    pub(super) buffer: usize,
    /// Shards that are read at a time.
    pub(super) interleave: usize,
    /// Samples of the pass, at most.
    pub(super) take: usize,
    pub(super) keys: Keys,
}

/// Chooses samples, block after block.
pub(super) struct Chooser {
    upstream: Upstream,
    buffer: ShuffleBuffer,
    rng: Rng,
    /// Samples that the buffer may hold.
    capacity: usize,
    filled: usize,
    ended: bool,
    /// Samples chosen so far, and how many there may be.
    chosen: usize,
    take: usize,
}

/// Samples that wait for being drawn.
enum ShuffleBuffer {
    Places(Vec<usize>),
    Samples(Dataset),
}

/// What comes next, in order.
enum Upstream {
    Places {
        next: usize,
        samples: usize,
    },
    Shards {
        origin: Arc<SampleOrigin>,
        waiting: std::vec::IntoIter<usize>,
        width: usize,
        open: Vec<ShardFn>,
        at: usize,
    },
}

impl Chooser {
    pub(super) fn new(origin: &Arc<SampleOrigin>, schema: &Schema, order: ReadOrder) -> Result<Self, DataError> {
        let ReadOrder { interleave, take, keys, .. } = order;
        let capacity = order.buffer.min(origin.samples().unwrap_or(usize::MAX)).max(1);
        let (upstream, buffer) = match &**origin {
            SampleOrigin::Indexed { samples, .. } => {
                (Upstream::Places { next: 0, samples: *samples }, ShuffleBuffer::Places(vec![0; capacity]))
            }
            SampleOrigin::Shards { count, .. } => {
                let shards =
                    if order.buffer > 1 { permutation(*count, keys.seed, keys.number) } else { (0..*count).collect() };
                let (waiting, width) = (shards.into_iter(), interleave.max(1));
                let upstream = Upstream::Shards { origin: origin.clone(), waiting, width, open: Vec::new(), at: 0 };
                (upstream, ShuffleBuffer::Samples(schema.zeros(capacity)?))
            }
        };
        let rng = keys.of_order();
        Ok(Self { upstream, buffer, rng, capacity, filled: 0, ended: false, chosen: 0, take })
    }

    /// Fills a block with the next samples, or as many as are left. What goes wrong is noted in it.
    pub(super) fn fill(&mut self, block: &mut Block) {
        (block.rows, block.first, block.error) = (0, self.chosen, None);
        while block.rows < block.places.len() && self.chosen < self.take {
            match guarded(|| self.choose(block)) {
                Ok(true) => (block.rows, self.chosen) = (block.rows + 1, self.chosen + 1),
                Ok(false) => break,
                Err(error) => {
                    block.error = Some(error);
                    break;
                }
            }
        }
    }

    /// Puts the next sample into the block, at the row after its last one; false if there is none.
    fn choose(&mut self, block: &mut Block) -> Result<bool, DataError> {
        if self.capacity == 1 {
            return match &mut self.upstream {
                Upstream::Places { .. } => self.upstream.place().map_or(Ok(false), |place| {
                    block.places[block.rows] = place;
                    Ok(true)
                }),
                Upstream::Shards { .. } => self.upstream.read(&mut SampleMut::new(&mut block.parts[0], block.rows)),
            };
        }
        while self.filled < self.capacity && self.load(self.filled)? {
            self.filled += 1;
        }
        if self.filled == 0 {
            return Ok(false);
        }
        let slot = self.rng.below(self.filled);
        match &self.buffer {
            ShuffleBuffer::Places(places) => block.places[block.rows] = places[slot],
            ShuffleBuffer::Samples(samples) => copy_row(samples, slot, &mut block.parts[0], block.rows),
        }
        if !self.load(slot)? {
            self.filled -= 1;
            self.shift(self.filled, slot);
        }
        Ok(true)
    }

    /// Puts what comes next into a slot of the buffer; false if nothing does.
    fn load(&mut self, slot: usize) -> Result<bool, DataError> {
        if self.ended {
            return Ok(false);
        }
        let loaded = match &mut self.buffer {
            ShuffleBuffer::Places(places) => self.upstream.place().is_some_and(|place| {
                places[slot] = place;
                true
            }),
            ShuffleBuffer::Samples(samples) => self.upstream.read(&mut SampleMut::new(samples, slot))?,
        };
        self.ended = !loaded;
        Ok(loaded)
    }

    /// Moves the last slot's sample to the one that has become free.
    fn shift(&mut self, from: usize, to: usize) {
        match &mut self.buffer {
            ShuffleBuffer::Places(places) => places[to] = places[from],
            ShuffleBuffer::Samples(samples) if from != to => {
                for (_, column) in samples.columns_mut() {
                    column.move_sample(from, to);
                }
            }
            ShuffleBuffer::Samples(_) => {}
        }
    }
}

impl Upstream {
    /// The next place.
    fn place(&mut self) -> Option<usize> {
        let Self::Places { next, samples } = self else { return None };
        (*next < *samples).then(|| {
            *next += 1;
            *next - 1
        })
    }

    /// Reads the next sample of the shards that are open, in turn; one that has ended gives its place to the next.
    fn read(&mut self, sample: &mut SampleMut<'_>) -> Result<bool, DataError> {
        let Self::Shards { origin, waiting, width, open, at } = self else { return Ok(false) };
        let SampleOrigin::Shards { open: opener, .. } = &**origin else { return Ok(false) };
        while open.len() < *width
            && let Some(shard) = waiting.next()
        {
            open.push(opener(shard)?);
        }
        while !open.is_empty() {
            *at %= open.len();
            if open[*at](sample)? {
                *at += 1;
                return Ok(true);
            }
            match waiting.next() {
                Some(shard) => open[*at] = opener(shard)?,
                None => drop(open.remove(*at)),
            }
        }
        Ok(false)
    }
}

/// Copies a sample between blocks of the same columns.
fn copy_row(from: &Dataset, row: usize, to: &mut Dataset, at: usize) {
    for ((_, from), (_, to)) in from.columns().iter().zip(to.columns_mut()) {
        let size = from.sample().shape.numel();
        copy_sample(to.data_mut(), at, from.value().data(), row, size);
    }
}
