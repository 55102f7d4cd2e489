//! What the epoch under way has measured so far, in a checkpoint.

use super::number::ExactFloat;
use crate::io::TensorFile;
use crate::nn::metric::Accumulate;
use crate::train::TrainError;
use crate::train::evaluation::{MetricTotals, Totals};
use crate::train::rows::concatenate;
use crate::train::statistics::Statistics;
use crate::train::step::Measurements;
use ir::{TensorType, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The numbers among it; statistics of metrics are tensors.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(super) struct SavedMeasurements {
    /// Of the last step.
    last: ExactFloat,
    loss: ExactFloat,
    output_losses: Vec<ExactFloat>,
    weight: ExactFloat,
    samples: usize,
    /// By metric, the batches that it has seen.
    batches: Vec<usize>,
    statistics: Vec<ExactFloat>,
    steps: usize,
}

/// What a training step gives out, and of how many samples: what statistics must look like.
pub(super) struct StepTypes<'a> {
    pub(super) outputs: &'a BTreeMap<String, TensorType>,
    pub(super) batch: usize,
}

impl SavedMeasurements {
    /// Numbers as they are; statistics go to `tensors`, under names that begin with `prefix`.
    pub(super) fn of(
        measurements: &Measurements,
        prefix: &str,
        tensors: &mut BTreeMap<String, Value>,
    ) -> Result<Self, TrainError> {
        let Measurements { totals, statistics, loss } = measurements;
        for metric in totals.metrics.iter().filter(|metric| metric.batches > 0) {
            for (i, (output, _)) in metric.ports.iter().enumerate() {
                let value = match &metric.sums[i] {
                    Some(sum) => sum.clone(),
                    None => concatenate(&metric.rows[i])?,
                };
                tensors.insert(format!("{prefix}{output}"), value);
            }
        }
        let floats = |sums: &[(String, f64)]| sums.iter().map(|(_, sum)| ExactFloat(*sum)).collect();
        Ok(Self {
            last: ExactFloat(*loss),
            loss: ExactFloat(totals.loss),
            output_losses: floats(&totals.output_losses),
            weight: ExactFloat(totals.weight),
            samples: totals.samples,
            batches: totals.metrics.iter().map(|metric| metric.batches).collect(),
            statistics: floats(&statistics.sums),
            steps: statistics.steps,
        })
    }

    /// Puts them back, if they are of these losses and metrics; else says what isn't.
    pub(super) fn restore(
        &self,
        measurements: &mut Measurements,
        (file, prefix): (&TensorFile, &str),
        types: &StepTypes<'_>,
    ) -> Result<(), String> {
        let Measurements { totals, statistics, loss } = measurements;
        let Totals { metrics, output_losses, .. } = totals;
        if self.batches.len() != metrics.len() {
            return Err(format!("{} metrics, not {}", self.batches.len(), metrics.len()));
        }
        for (metric, &batches) in metrics.iter_mut().zip(&self.batches) {
            if batches > 0 {
                restore_metric(metric, (file, prefix), types, self.samples)?;
            }
            metric.batches = batches;
        }
        put(output_losses, &self.output_losses)?;
        put(&mut statistics.sums, &self.statistics)?;
        *loss = self.last.0;
        (totals.loss, totals.weight, totals.samples) = (self.loss.0, self.weight.0, self.samples);
        let Statistics { steps, .. } = statistics;
        *steps = self.steps;
        Ok(())
    }
}

/// Sums by name get their values.
fn put(sums: &mut [(String, f64)], values: &[ExactFloat]) -> Result<(), String> {
    if sums.len() != values.len() {
        return Err(format!("{} sums of losses or gradients, not {}", values.len(), sums.len()));
    }
    sums.iter_mut().zip(values).for_each(|((_, sum), value)| *sum = value.0);
    Ok(())
}

fn restore_metric(
    metric: &mut MetricTotals,
    (file, prefix): (&TensorFile, &str),
    types: &StepTypes<'_>,
    samples: usize,
) -> Result<(), String> {
    for (i, (output, how)) in metric.ports.iter().enumerate() {
        let wanted = types.outputs.get(output).ok_or_else(|| format!("a training step measures no `{output}`"))?;
        let value = file.tensor(&format!("{prefix}{output}")).map_err(|e| e.to_string())?;
        let fits = match how {
            Accumulate::Rows(_) => are_rows(value.ty(), wanted, types.batch, samples),
            _ => value.ty() == wanted,
        };
        if !fits {
            return Err(format!("`{output}` of {samples} samples is {}, but steps give {wanted}", value.ty()));
        }
        match how {
            Accumulate::Rows(_) => metric.rows[i] = vec![value],
            _ => metric.sums[i] = Some(value),
        }
    }
    Ok(())
}

/// Whether a tensor has the rows of so many samples, where a batch has those of `batch`.
fn are_rows(found: &TensorType, of_batch: &TensorType, batch: usize, samples: usize) -> bool {
    let rest = |ty: &TensorType| ty.shape.dims().get(1..).map(<[usize]>::to_vec);
    let (Some(rows), Some(in_batch)) = (found.shape.first(), of_batch.shape.first()) else { return false };
    let expected = samples.checked_mul(*in_batch).map(|rows| rows / batch.max(1));
    found.dtype == of_batch.dtype && rest(found) == rest(of_batch) && Some(*rows) == expected
}
