//! Predictions as a server makes them: programs that are compiled before anybody waits, batches put together of several callers' bytes.

use super::program::ServedProgram;
use super::{Predictor, ServedSize, TrainError, lock};
use crate::compile::{PortAccess, RunError};
use ir::TensorType;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// Room for a batch of samples in a program that no other thread has. It goes back to the predictor when this is dropped.
pub struct PredictorBatch<'p> {
    size: &'p ServedSize,
    whole: bool,
    /// Until this is dropped.
    program: Option<ServedProgram>,
}

impl Predictor {
    /// The samples that batches have room for, from the smallest to the largest.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        self.0.sizes.iter().map(|size| size.samples)
    }

    /// Those that [`Self::warm_up`] has made ready.
    pub fn ready_sizes(&self) -> impl Iterator<Item = usize> {
        self.0.sizes.iter().filter(|size| size.ready.load(Ordering::Acquire)).map(|size| size.samples)
    }

    /// Whether the model has no axis that counts samples: a batch is one set of whole arrays.
    pub fn is_whole(&self) -> bool {
        self.0.whole
    }

    /// The inputs in the model's order, with the types that they have for one sample: without the axis that counts samples, if there is one.
    pub fn inputs(&self) -> Vec<(String, TensorType)> {
        self.of_samples(self.0.source.port_types(&self.0.sizes).0)
    }

    /// The outputs, as [`Self::inputs`].
    pub fn outputs(&self) -> Vec<(String, TensorType)> {
        self.of_samples(self.0.source.port_types(&self.0.sizes).1)
    }

    fn of_samples(&self, ports: Vec<(String, TensorType)>) -> Vec<(String, TensorType)> {
        let of_sample = |(name, ty): (String, TensorType)| match (self.0.whole, ty.shape.get(1..).map(ir::Shape::new)) {
            (false, Some(Ok(shape))) => (name, ty.with_shape(shape)),
            _ => (name, ty),
        };
        ports.into_iter().map(of_sample).collect()
    }

    /// Compiles what predicts batches of one of [`Self::sizes`], and runs it on zeros once, until so many threads can do so at once: from then on they neither compile nor allocate.
    ///
    /// # Errors
    /// There is no such size, or no program of it can be compiled.
    pub fn warm_up(&self, size: usize, threads: usize) -> Result<(), TrainError> {
        let found = self.0.sizes.iter().find(|known| known.samples == size);
        let size = found.ok_or_else(|| TrainError::Setting(format!("there are no batches of {size} samples")))?;
        let missing = threads.saturating_sub(lock(&size.idle).len());
        for _ in 0..missing {
            let mut program = self.0.source.program(size)?;
            // Memory that nothing has touched is the system's to give yet. What zeros are no index of is no matter here.
            let _ = program.run_step();
            let mut idle = lock(&size.idle);
            // Nor for its place in the list.
            idle.reserve(threads);
            idle.push(program);
        }
        size.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Room for at least so many samples, or for as many as there is, in a program that needn't be compiled: of the sizes that [`Self::warm_up`] has made ready. `None` before it has made any.
    ///
    /// ```
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut trainer = Sequential::new([2]).dense(1).compile(Sgd::new(0.1), MeanSquaredError, [])?;
    /// let predictor = trainer.predictor()?;
    /// predictor.warm_up(4, 1)?;
    /// let mut batch = predictor.ready_batch(3)?.ok_or("not ready")?;
    /// let sample: Vec<u8> = [0.5f32, -1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    /// for at in 0..3 {
    ///     batch.write("x", at, &sample)?;
    /// }
    /// batch.run(3)?;
    /// let mut outputs = vec![];
    /// batch.read("output", 0..3, &mut outputs)?;
    /// assert_eq!((batch.room(), outputs.len()), (4, 3 * 4));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If more threads ask at once than were prepared for, and there is no memory for another program.
    pub fn ready_batch(&self, samples: usize) -> Result<Option<PredictorBatch<'_>>, TrainError> {
        let ready = || self.0.sizes.iter().filter(|size| size.ready.load(Ordering::Acquire));
        let Some(size) = ready().find(|size| size.samples >= samples).or_else(|| ready().next_back()) else {
            return Ok(None);
        };
        Ok(Some(PredictorBatch { size, whole: self.0.whole, program: Some(self.program(size)?) }))
    }
}

impl PredictorBatch<'_> {
    /// Samples that it has room for; 1 if arrays are whole.
    pub fn room(&self) -> usize {
        self.size.samples
    }

    /// Copies samples into an input, from place `at` on: their elements, little-endian, the last axis the fastest.
    ///
    /// # Errors
    /// There is no such input, it has no room for them, or bytes that are no whole samples or, of truth values, neither 0 nor 1.
    pub fn write(&mut self, input: &str, at: usize, bytes: &[u8]) -> Result<(), TrainError> {
        let (whole, room) = (self.whole, self.room());
        let program = self.program.as_mut().ok_or_else(gone)?;
        let row = row_of(whole, room, program.ports().0.inputs.get(input));
        Ok(program.write_bytes(input, at * row, bytes)?)
    }

    /// Predicts so many samples, which have been written to the first places; the last one is repeated in those behind.
    ///
    /// # Errors
    /// A check that failed: an index out of range. The error names the sample.
    pub fn run(&mut self, samples: usize) -> Result<(), TrainError> {
        let (whole, room) = (self.whole, self.room());
        let program = self.program.as_mut().ok_or_else(gone)?;
        if !whole && samples > 0 && samples < room {
            program.repeat_row(samples - 1)?;
        }
        Ok(program.run_step()?)
    }

    /// Appends samples of an output, as [`Self::write`] takes them.
    ///
    /// # Errors
    /// There is no such output, or it has no such samples.
    pub fn read(&self, output: &str, samples: Range<usize>, bytes: &mut Vec<u8>) -> Result<(), TrainError> {
        let program = self.program.as_ref().ok_or_else(gone)?;
        let row = row_of(self.whole, self.room(), program.ports().0.outputs.get(output));
        Ok(program.read_bytes(output, samples.start * row..samples.end * row, bytes)?)
    }
}

impl Drop for PredictorBatch<'_> {
    fn drop(&mut self) {
        lock(&self.size.idle).extend(self.program.take());
    }
}

impl std::fmt::Debug for PredictorBatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PredictorBatch({} samples)", self.room())
    }
}

/// Elements of a sample.
fn row_of(whole: bool, room: usize, ty: Option<&TensorType>) -> usize {
    let numel = ty.map_or(0, |ty| ty.shape.numel());
    if whole { numel } else { numel / room.max(1) }
}

fn gone() -> TrainError {
    RunError::from(runtime::StepError { message: "the program is gone".into(), loc: None }).into()
}
