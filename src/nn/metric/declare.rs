//! A metric's statistics as outputs of a step.

use super::{Accumulate, Metric, StatefulMetric};
use crate::dsl::{GraphBuilder, Tensor};
use crate::nn::loss::{Reduction, one_per_sample, reduce_loss};
use ir::DType;

/// In which form a step gives the means among its statistics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reported {
    /// As the batch's mean, in the output's element type: for whoever reads steps.
    Means,
    /// As `f64[2]`, total and count: to be accumulated over batches.
    Totals,
}

impl Metric {
    /// The names of a step's outputs that hold the statistics, each with how it is accumulated.
    pub(crate) fn ports(&self) -> Vec<(String, Accumulate)> {
        let name = self.name();
        let port = |&how: &Accumulate| match how {
            Accumulate::Mean => (name.clone(), how),
            Accumulate::Sum(part) | Accumulate::Rows(part) => (format!("{name}/{part}"), how),
        };
        self.accumulate().iter().map(port).collect()
    }

    /// Makes the statistics outputs of the step.
    #[track_caller]
    pub(crate) fn declare(
        &self,
        g: &GraphBuilder,
        output: &Tensor,
        target: &Tensor,
        weights: Option<&Tensor>,
        reported: Reported,
    ) {
        let what = format!("the metric {}", self.name());
        if let Some(rule) = refused_name(&self.name()) {
            g.fail(&what, &[], rule);
            return;
        }
        let (ports, statistics) = (self.ports(), self.statistics(output, target, weights));
        if ports.len() != statistics.len() {
            let rule = format!("it accumulates {} statistics and measures {}", ports.len(), statistics.len());
            g.fail(&what, &[], rule);
            return;
        }
        for ((name, how), statistic) in ports.into_iter().zip(statistics) {
            let value = match how {
                Accumulate::Mean => mean(&what, &statistic, output, weights, reported),
                Accumulate::Sum(_) => statistic.cast(DType::F64),
                Accumulate::Rows(_) if statistic.shape().is_some_and(|shape| shape.rank() == 0) => {
                    g.fail(&what, &[&statistic], "rows need an axis to be kept along")
                }
                Accumulate::Rows(_) => statistic,
            };
            g.output(&name, &value);
        }
    }
}

/// Why a metric can't have this name, if it can't.
fn refused_name(name: &str) -> Option<String> {
    let taken = ["", "loss", crate::dsl::LEARNING_RATE].contains(&name) || name.starts_with("val_");
    taken.then(|| format!("{name:?} is what training calls something else: give it another name"))
}

/// The mean of samples, or what it is made of.
#[track_caller]
fn mean(what: &str, samples: &Tensor, output: &Tensor, weights: Option<&Tensor>, reported: Reported) -> Tensor {
    let batch = output.shape().and_then(|shape| shape.first().copied()).unwrap_or(1);
    let samples = one_per_sample(what, samples, batch);
    match reported {
        Reported::Means => {
            let weights = weights.zip(samples.dtype()).map(|(weights, dtype)| weights.cast(dtype));
            reduce_loss(&samples, Reduction::Mean, weights.as_ref())
        }
        Reported::Totals => {
            let wide = samples.cast(DType::F64);
            let weights = match weights {
                Some(weights) => weights.cast(DType::F64),
                None => output.builder().ones(crate::dsl::f64([batch])),
            };
            (wide * &weights).sum().stack(&[&weights.sum()], 0)
        }
    }
}
