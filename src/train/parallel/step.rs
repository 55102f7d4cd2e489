//! A process's part of a step.

use super::exchange::BatchShares;
use crate::compile::PortAccess;
use crate::data::{BatchView, Samples};
use crate::dsl::STEP;
use crate::model::Batch;
use crate::parallel::Communicator;
use crate::train::evaluation::Totals;
use crate::train::feed::{feed_input, run};
use crate::train::programs::Purpose;
use crate::train::rates::follow;
use crate::train::weights::SampleWeights;
use crate::train::{TrainError, Trainer};
use std::ops::Range;

/// Which samples of a batch are a process's.
pub(in crate::train) struct OwnPart {
    range: Range<usize>,
    /// False if it has none: it computes the last one, which counts nothing, since all must take part.
    counts: bool,
}

impl OwnPart {
    /// Of `samples`, which are divided as evenly as can be, the first processes having one more.
    pub(in crate::train) fn of(samples: usize, communicator: &dyn Communicator) -> Self {
        let (rank, size) = (communicator.rank(), communicator.size().max(1));
        let (each, more) = (samples / size, samples % size);
        let start = rank * each + rank.min(more);
        let range = start..start + each + usize::from(rank < more);
        match range.is_empty() {
            true => Self { range: samples.saturating_sub(1)..samples, counts: false },
            false => Self { range, counts: true },
        }
    }

    /// Those samples.
    pub(in crate::train) fn view<'a>(&self, batch: &BatchView<'a>) -> Samples<'a> {
        batch.part(self.range.clone()).into()
    }

    /// Whether they are the process's own.
    pub(in crate::train) fn counts(&self) -> bool {
        self.counts
    }
}

/// What a process's samples count, and all of the batch.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::train) struct PartWeight {
    /// Samples.
    pub(in crate::train) samples: usize,
    /// What they count together.
    pub(in crate::train) weight: f64,
    /// The same of all processes.
    pub(in crate::train) all_samples: usize,
    pub(in crate::train) all_weight: f64,
}

impl PartWeight {
    fn shares(self) -> BatchShares {
        let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
        BatchShares {
            loss: share(self.weight, self.all_weight),
            samples: share(self.samples as f64, self.all_samples as f64),
        }
    }
}

impl Trainer {
    /// This process's part of a step of training on a batch; the batch's loss.
    pub(in crate::train) fn take_batch(
        &mut self,
        batch: &BatchView<'_>,
        weights: &SampleWeights,
        communicator: &dyn Communicator,
    ) -> Result<f64, TrainError> {
        let part = OwnPart::of(batch.len(), communicator);
        let (samples, all) = (part.view(batch), Samples::from(*batch));
        let counted = if part.counts() { samples.len(&self.inputs)? } else { 0 };
        let weight = if part.counts() { weights.sum(&samples, &self.inputs)? } else { 0.0 };
        let all_weight = weights.sum(&all, &self.inputs)?;
        let weight = PartWeight { samples: counted, weight, all_samples: batch.len(), all_weight };
        self.take_part(&samples, weights, weight, communicator)
    }

    /// This process's part of a step of training, on its samples; the loss of all processes' samples.
    pub(in crate::train) fn take_part(
        &mut self,
        samples: &Samples<'_>,
        weights: &SampleWeights,
        part: PartWeight,
        communicator: &dyn Communicator,
    ) -> Result<f64, TrainError> {
        let Self { programs, inputs, rates, training, exchange, .. } = self;
        let batch = Batch { size: samples.len(inputs)?, weighted: weights.any() };
        let plan = programs.staged(batch)?;
        exchange.prepare(&plan);
        let mut measured = Totals::new(&programs.subject);
        for stage in 0..plan.len() {
            let program = programs.activate((Purpose::Stage(stage), batch))?;
            let is_last = stage + 1 == plan.len();
            if is_last && rates.iter().any(|rate| !rate.schedule.is_constant()) {
                let taken = program.state_number(STEP)? as u64;
                follow(program, rates, taken)?;
            }
            program.feed(|name, ty, elements| match plan.is_told(stage, name) {
                true => Ok(()),
                false => feed_input((name, ty, elements), samples, 0..batch.size, weights),
            })?;
            exchange.feed((&plan, stage), program, (communicator.rank(), part.shares()))?;
            run(program, samples, 0)?;
            if stage == plan.measured {
                measured.add(part.samples, part.weight, program)?;
            }
            if is_last {
                training.statistics.add(program)?;
            }
            exchange.take((&plan, stage), program)?;
            exchange.sum((&plan, stage), communicator)?;
        }
        measured.sum_over_processes(part.samples > 0, communicator)?;
        training.loss = measured.value("loss").unwrap_or(f64::NAN);
        training.totals.merge(&measured);
        Ok(training.loss)
    }
}
