//! Streams: samples that are read, shuffled and changed by threads while a step runs, so that data may be larger than memory.
//!
//! Only the samples in the shuffle buffer and a few batches are in memory, in blocks that are used again and again. What comes out is a function of the data, the seed and
//! the number of the pass: threads change when batches are ready, never what is in them.

mod block;
mod origin;
mod records;
mod sample;
mod stage;
mod threads;

#[cfg(test)]
mod tests;

pub use sample::{BatchMut, SampleMut};

use super::column::copy_sample;
use super::source::{BatchReader, Epoch, Source};
use super::{DataError, Dataset, Rng, Schema};
use block::{Block, BlockWork};
use origin::{Chooser, OpenFn, ReadOrder, SampleOrigin};
use stage::{Keys, MapStage};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use threads::{InlinePass, ThreadedPass};

/// Samples as they come, from files or memory, with what is done to them on the way. Cheap to clone.
///
/// Whatever the order of the calls, samples are first read, from [`interleave`](Self::interleave) shards in turn, then drawn from the [`shuffle`](Self::shuffle)
/// buffer, then changed by the maps, in the order of their calls, by [`workers`](Self::workers) threads, and [`prefetch`](Self::prefetch) batches are kept ready. A
/// map's random numbers depend on the seed, the pass, the map and the sample's place in the stream alone.
///
/// ```
/// use gradc::data::{Dataset, Epoch, array};
/// let x = array([6, 2], (0..12).map(|i| i as f32).collect())?;
/// let stream = Dataset::new(x, array([6], vec![0i32, 1, 0, 1, 0, 1])?)?
///     .stream()
///     .shuffle(4)
///     .map(|sample, rng| {
///         let noise = rng.normal() as f32;
///         sample.get_mut::<f32>("x")?.iter_mut().for_each(|x| *x += 0.1 * noise);
///         Ok(())
///     })
///     .workers(2);
/// for batch in stream.batches(Epoch::shuffled(4, 7, 1))? {
///     println!("{:?}", batch?.value("x")?);
/// }
/// # Ok::<(), gradc::data::DataError>(())
/// ```
#[derive(Clone)]
pub struct Stream {
    origin: Arc<SampleOrigin>,
    /// The columns as read.
    schema: Schema,
    stages: Vec<Arc<MapStage>>,
    shuffle: usize,
    interleave: usize,
    take: usize,
    workers: usize,
    prefetch: usize,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shuffle, workers, prefetch, stages, .. } = self;
        let maps = stages.len();
        write!(f, "Stream({:?} samples, {maps} maps, shuffle {shuffle}, ", self.samples())?;
        write!(f, "{workers} workers, prefetch {prefetch})")
    }
}

impl Stream {
    fn of(schema: Schema, origin: SampleOrigin) -> Self {
        let (origin, stages) = (Arc::new(origin), Vec::new());
        Self { origin, schema, stages, shuffle: 1, interleave: 1, take: usize::MAX, workers: 1, prefetch: 2 }
    }

    /// Samples that can be read by their place, `0..samples`, whatever the order: files of a list, rows of a memory map. Workers read them, so `read` may take its time.
    pub fn indexed(
        schema: Schema,
        samples: usize,
        read: impl Fn(usize, &mut SampleMut<'_>) -> Result<(), DataError> + Send + Sync + 'static,
    ) -> Self {
        Self::of(schema, SampleOrigin::Indexed { samples, read: Box::new(read) })
    }

    /// Samples of files, which are read from the front. `open` opens one; what it gives is called for each of its samples, and gives false after the last. Shuffling
    /// also shuffles the files.
    ///
    /// ```no_run
    /// use gradc::data::{DataError, SampleMut, Schema, Stream};
    /// use gradc::dsl::{f32, i32};
    /// use std::io::{BufRead, BufReader};
    /// let schema = Schema::new().column("x", f32([]))?.column("y", i32([]))?;
    /// let stream = Stream::files(schema, ["a.txt", "b.txt"], |path| {
    ///     let wrong = |what: String| DataError::Dataset(what);
    ///     let file = std::fs::File::open(path).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
    ///     let mut lines = BufReader::new(file).lines();
    ///     Ok(move |sample: &mut SampleMut<'_>| {
    ///         let Some(line) = lines.next() else { return Ok(false) };
    ///         let line = line.map_err(|e| wrong(e.to_string()))?;
    ///         let x = line.parse::<f32>().map_err(|_| wrong(format!("{line:?} is no number")))?;
    ///         sample.put("x", &[x])?;
    ///         sample.put("y", &[i32::from(x > 0.0)])?;
    ///         Ok(true)
    ///     })
    /// });
    /// # Ok::<(), DataError>(())
    /// ```
    pub fn files<P: Into<PathBuf>, F>(
        schema: Schema,
        paths: impl IntoIterator<Item = P>,
        open: impl Fn(&Path) -> Result<F, DataError> + Send + Sync + 'static,
    ) -> Self
    where
        F: FnMut(&mut SampleMut<'_>) -> Result<bool, DataError> + Send + 'static,
    {
        let paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
        let (count, samples) = (paths.len(), None);
        let open: OpenFn = Box::new(move |shard| Ok(Box::new(open(&paths[shard])?)));
        Self::of(schema, SampleOrigin::Shards { count, samples, open })
    }

    /// Samples of an iterator, which `start` makes for each pass: of data sets of one sample or of several, which are taken apart.
    pub fn iter<I>(schema: Schema, start: impl Fn() -> I + Send + Sync + 'static) -> Self
    where
        I: Iterator<Item = Result<Dataset, DataError>> + Send + 'static,
    {
        let columns = schema.clone();
        let open: OpenFn = Box::new(move |_| {
            let (mut items, columns) = (start(), columns.clone());
            let mut current: Option<(Dataset, usize)> = None;
            Ok(Box::new(move |sample| {
                while current.as_ref().is_none_or(|(data, at)| *at == data.len()) {
                    let Some(data) = items.next().transpose()? else { return Ok(false) };
                    check_columns(&columns, &data)?;
                    current = Some((data, 0));
                }
                if let Some((data, at)) = &mut current {
                    copy_columns(data, *at, sample);
                    *at += 1;
                }
                Ok(true)
            }))
        });
        Self::of(schema, SampleOrigin::Shards { count: 1, samples: None, open })
    }

    /// Draws each sample at random from a buffer of that many, which the samples pass through; shards come in a random order, too. A buffer as large as the data
    /// gives every order alike; of samples that are read by their place only the places are in it. Seed and pass decide the order; passes
    /// that don't shuffle ([`Fit::shuffle`](crate::train::Fit::shuffle), evaluation, prediction) keep the stored one.
    pub fn shuffle(mut self, buffer: usize) -> Self {
        self.shuffle = buffer.max(1);
        self
    }

    /// Reads so many shards at a time, a sample of each in turn; without this call 1.
    pub fn interleave(mut self, shards: usize) -> Self {
        self.interleave = shards.max(1);
        self
    }

    /// Ends each pass after so many samples.
    pub fn take(mut self, samples: usize) -> Self {
        self.take = samples;
        self
    }

    /// Changes each sample where it is.
    pub fn map(
        mut self,
        f: impl Fn(&mut SampleMut<'_>, &mut Rng) -> Result<(), DataError> + Send + Sync + 'static,
    ) -> Self {
        self.stages.push(Arc::new(MapStage::Map(Box::new(f))));
        self
    }

    /// Makes each sample one of other columns: `f` gets the old one, and the new one to write. What it doesn't write is left from another sample.
    pub fn map_to(
        mut self,
        schema: Schema,
        f: impl Fn(&SampleMut<'_>, &mut SampleMut<'_>, &mut Rng) -> Result<(), DataError> + Send + Sync + 'static,
    ) -> Self {
        self.stages.push(Arc::new(MapStage::MapTo(schema, Box::new(f))));
        self
    }

    /// Changes each batch where it is, of the size that the pass asks for: what mixes samples.
    pub fn map_batch(
        mut self,
        f: impl Fn(&mut BatchMut<'_>, &mut Rng) -> Result<(), DataError> + Send + Sync + 'static,
    ) -> Self {
        self.stages.push(Arc::new(MapStage::MapBatch(Box::new(f))));
        self
    }

    /// ThreadedPass for the maps, besides one that reads; without this call 1. With 0 nothing runs beside the step: batches are made when they are asked for.
    pub fn workers(mut self, threads: usize) -> Self {
        self.workers = threads;
        self
    }

    /// Batches that are ready before they are asked for; without this call 2. Memory holds so many, and one more for each worker and for the step.
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
        self
    }

    /// The batches of a pass, for loops of one's own; each is a data set, whose columns [`Dataset::value`] gives.
    ///
    /// # Errors
    /// As [`Source::open`]; a batch that could not be made is an error, and the last item.
    pub fn batches(&self, epoch: Epoch) -> Result<impl Iterator<Item = Result<Dataset, DataError>>, DataError> {
        let mut pass = self.start(epoch)?;
        Ok(std::iter::from_fn(move || match pass.next_batch() {
            Ok(batch) => batch.map(|batch| Ok(batch.to_dataset())),
            Err(error) => Some(Err(error)),
        }))
    }

    /// All samples of a pass in memory, in the stored order; `seed` decides what maps draw.
    ///
    /// # Errors
    /// What can't be read or mapped, or if there is no sample.
    pub fn collect(&self, seed: u64) -> Result<Dataset, DataError> {
        let batches: Result<Vec<_>, _> = self.batches(Epoch { seed, ..Epoch::in_order(COLLECTED) })?.collect();
        Dataset::concatenated(&batches?)
    }

    fn start(&self, epoch: Epoch) -> Result<Box<dyn BatchReader>, DataError> {
        let keys = Keys { seed: epoch.seed, number: epoch.number };
        let buffer = if epoch.shuffle { self.shuffle } else { 1 };
        let order = ReadOrder { buffer, interleave: self.interleave, take: self.take, keys };
        let chooser = Chooser::new(&self.origin, &self.schema, order)?;
        let work = BlockWork { origin: self.origin.clone(), stages: self.stages.clone(), keys };
        let schemas: Vec<&Schema> = std::iter::once(&self.schema).chain(self.later_schemas()).collect();
        let block = || Block::new(&schemas, epoch.batch.max(1));
        if self.workers == 0 {
            return Ok(Box::new(InlinePass::new(chooser, work, block()?)));
        }
        let blocks: Result<Vec<_>, _> = (0..=self.prefetch + self.workers).map(|_| block()).collect();
        Ok(Box::new(ThreadedPass::start(chooser, &work, blocks?, self.workers)?))
    }

    /// The columns after each map that changes them.
    fn later_schemas(&self) -> impl DoubleEndedIterator<Item = &Schema> {
        self.stages.iter().filter_map(|stage| match &**stage {
            MapStage::MapTo(schema, _) => Some(schema),
            MapStage::Map(_) | MapStage::MapBatch(_) => None,
        })
    }
}

/// Samples in a batch of [`Stream::collect`].
const COLLECTED: usize = 256;

impl Source for Stream {
    fn schema(&self) -> Schema {
        self.later_schemas().next_back().unwrap_or(&self.schema).clone()
    }

    fn samples(&self) -> Option<usize> {
        self.origin.samples().map(|samples| samples.min(self.take))
    }

    fn open(&self, epoch: Epoch) -> Result<Box<dyn BatchReader + '_>, DataError> {
        self.start(epoch)
    }
}

impl Dataset {
    /// The samples as a stream, to change them as they are used.
    pub fn stream(&self) -> Stream {
        let data = self.clone();
        let read = move |place: usize, sample: &mut SampleMut<'_>| {
            copy_columns(&data, place, sample);
            Ok(())
        };
        Stream::indexed(self.schema(), self.len(), read)
    }

    /// New samples, each changed by `f`.
    ///
    /// # Errors
    /// What `f` fails with, with the sample.
    pub fn map(
        &self,
        seed: u64,
        f: impl Fn(&mut SampleMut<'_>, &mut Rng) -> Result<(), DataError> + Send + Sync + 'static,
    ) -> Result<Self, DataError> {
        self.stream().map(f).collect(seed)
    }
}

/// Copies a sample of a data set with the same columns.
fn copy_columns(data: &Dataset, place: usize, sample: &mut SampleMut<'_>) {
    let row = data.row(place);
    let (columns, at) = sample.parts();
    for (name, to) in columns {
        if let Some(from) = data.column(name) {
            let size = from.sample().shape.numel();
            copy_sample(to.data_mut(), at, from.value().data(), row, size);
        }
    }
}

/// Refuses a data set that lacks a column of a stream.
fn check_columns(schema: &Schema, data: &Dataset) -> Result<(), DataError> {
    for field in schema.fields() {
        let found = data.sample(&field.name);
        if found.as_ref() != Some(&field.ty) {
            let found = found.map_or("nothing".into(), |ty| ty.to_string());
            let what = format!("column `{}` of the stream is {}, but what comes has {found}", field.name, field.ty);
            return Err(DataError::Dataset(what));
        }
    }
    Ok(())
}
