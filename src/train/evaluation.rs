//! The loss and the metrics of a data set: what batches measure, accumulated exactly.

use super::TrainError;
use super::programs::TrainingSetup;
use super::rows::concatenate;
use crate::compile::CompiledProgram;
use crate::nn::metric::{Accumulate, ConfusionMatrix, Metric, Mode, StatefulMetric};
use ir::{Data, Value};
use std::fmt;
use std::sync::Arc;

/// The loss and the metrics of a data set: of all of its samples, however they were split into batches. Prints as `loss 0.0543, accuracy 98.31 %`, and confusion matrices as tables
/// below.
#[derive(Clone, PartialEq, Debug)]
pub struct Evaluation {
    /// The loss.
    pub loss: f64,
    /// The losses of outputs, of a model with several (`class_loss` for the output `class`), and the metrics, in the order in which they were asked for.
    pub metrics: Vec<MetricValue>,
}

/// What a metric was on a data set.
#[derive(Clone, PartialEq, Debug)]
pub struct MetricValue {
    /// The metric's name.
    pub name: String,
    /// Its number.
    pub value: f64,
    /// Whether people read it in percent.
    pub in_percent: bool,
    /// The confusion matrix, of a metric that is one.
    pub confusion_matrix: Option<ConfusionMatrix>,
}

impl Evaluation {
    /// The metric of that name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }

    /// The confusion matrix, if [`Metric::ConfusionMatrix`] is among the metrics.
    ///
    /// ```
    /// use gradc::data::{Dataset, array};
    /// use gradc::prelude::*;
    /// let data = Dataset::new(array([3, 2], vec![1.0f32, 0.0, 0.0, 1.0, 2.0, 1.0])?, array([3], vec![0i32, 1, 1])?)?;
    /// let model = Sequential::new([2]).dense(2);
    /// let mut trainer = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, [Metric::ConfusionMatrix])?;
    /// trainer.set_weights([("dense/kernel".to_string(), array([2, 2], vec![1.0f32, 0.0, 0.0, 1.0])?)].into())?;
    /// let matrix = trainer.evaluate(&data)?.confusion_matrix().cloned().unwrap();
    /// assert_eq!((matrix.get(1, 0), matrix.get(1, 1)), (1.0, 1.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn confusion_matrix(&self) -> Option<&ConfusionMatrix> {
        self.metrics.iter().find_map(|metric| metric.confusion_matrix.as_ref())
    }

    /// The loss and the metrics, by name.
    pub fn values(&self) -> impl Iterator<Item = (&str, f64)> {
        let metrics = self.metrics.iter().map(|metric| (metric.name.as_str(), metric.value));
        std::iter::once(("loss", self.loss)).chain(metrics)
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loss {}", Shown { value: self.loss, in_percent: false })?;
        for MetricValue { name, value, in_percent, confusion_matrix } in &self.metrics {
            if confusion_matrix.is_none() {
                write!(f, ", {name} {}", Shown { value: *value, in_percent: *in_percent })?;
            }
        }
        self.metrics.iter().filter_map(|metric| metric.confusion_matrix.as_ref()).try_for_each(|m| write!(f, "\n{m}"))
    }
}

/// A number as people read it.
pub(super) struct Shown {
    pub(super) value: f64,
    pub(super) in_percent: bool,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, in_percent } = *self;
        if in_percent {
            write!(f, "{:.2} %", value * 100.0)
        } else if value != 0.0 && value.abs() < 1e-3 {
            write!(f, "{value:.3e}")
        } else {
            write!(f, "{value:.4}")
        }
    }
}

/// Something that each epoch measures.
#[derive(Clone, PartialEq, Debug)]
pub struct Measured {
    /// Its name: `loss`, `val_accuracy`, `lr`.
    pub name: String,
    /// Which way is better, if one is.
    pub mode: Option<Mode>,
    /// Whether people read it in percent.
    pub in_percent: bool,
}

impl Measured {
    /// The loss, those of outputs and the metrics, under names that begin with `prefix`.
    pub(super) fn of(subject: &TrainingSetup, prefix: &str) -> Vec<Self> {
        let loss = |name: String| Self { name: format!("{prefix}{name}"), mode: Some(Mode::Min), in_percent: false };
        let losses = std::iter::once("loss".into()).chain(subject.output_losses()).map(loss);
        let metric = |metric: &Metric| Self {
            name: format!("{prefix}{}", metric.name()),
            mode: metric.mode(),
            in_percent: metric.in_percent(),
        };
        losses.chain(subject.metrics.iter().map(metric)).collect()
    }
}

/// What the batches so far measured: sums of losses, each weighted with what its batch counts (the number of its samples, or the sum of their weights), and the metrics'
/// statistics.
pub(super) struct Totals {
    pub(super) loss: f64,
    /// Of each output, if there are several.
    pub(super) output_losses: Vec<(String, f64)>,
    pub(super) weight: f64,
    pub(super) samples: usize,
    pub(super) metrics: Vec<MetricTotals>,
}

/// The accumulated statistics of a metric.
pub(super) struct MetricTotals {
    name: String,
    kind: Arc<dyn StatefulMetric>,
    pub(super) ports: Vec<(String, Accumulate)>,
    /// Of each port that is a sum, the sum; its memory is used again after a reset.
    pub(super) sums: Vec<Option<Value>>,
    /// Of each port that is rows, those of all batches.
    pub(super) rows: Vec<Vec<Value>>,
    pub(super) batches: usize,
    /// False if the rows are no samples', and only show what rows are like.
    pub(super) has_rows: bool,
}

impl MetricTotals {
    fn new(metric: &Metric) -> Self {
        let ports = metric.ports();
        let (sums, rows) = (vec![None; ports.len()], vec![vec![]; ports.len()]);
        Self { name: metric.name(), kind: metric.kind(), ports, sums, rows, batches: 0, has_rows: true }
    }

    fn reset(&mut self) {
        self.rows.iter_mut().for_each(Vec::clear);
        (self.batches, self.has_rows) = (0, true);
    }

    /// Takes a batch's statistics in.
    fn add(&mut self, program: &CompiledProgram) -> Result<(), TrainError> {
        for (i, (output, how)) in self.ports.iter().enumerate() {
            match (how, &mut self.sums[i]) {
                (Accumulate::Rows(_), _) => self.rows[i].push(program.output_value(output)?),
                (_, Some(sum)) => add_to(sum, program.output::<f64>(output)?, self.batches == 0),
                (_, first) => *first = Some(program.output_value(output)?),
            }
        }
        self.batches += 1;
        Ok(())
    }

    /// True if its number takes no more work than that of one batch.
    fn is_cheap(&self) -> bool {
        self.ports.iter().all(|(_, how)| !matches!(how, Accumulate::Rows(_)))
    }

    /// What `f` makes of the accumulated statistics.
    fn of_statistics<R>(&self, f: impl FnOnce(&[Value]) -> R) -> Result<R, TrainError> {
        if self.batches == 0 {
            return Err(TrainError::Setting(format!("`{}` was never measured", self.name)));
        }
        if let [Some(sum)] = &self.sums[..] {
            return Ok(f(std::slice::from_ref(sum)));
        }
        let parts = self.sums.iter().zip(&self.rows);
        let of = |(sum, rows): (&Option<Value>, &Vec<Value>)| match sum {
            Some(sum) => Ok(sum.clone()),
            None => concatenate(rows),
        };
        Ok(f(&parts.map(of).collect::<Result<Vec<_>, _>>()?))
    }

    fn number(&self) -> Option<f64> {
        self.of_statistics(|statistics| self.kind.value(statistics)).ok()
    }

    fn value(&self) -> Result<MetricValue, TrainError> {
        self.of_statistics(|statistics| MetricValue {
            name: self.name.clone(),
            value: self.kind.value(statistics),
            in_percent: self.kind.in_percent(),
            confusion_matrix: self.kind.confusion_matrix(statistics),
        })
    }
}

/// Adds a batch's statistic to a sum, or begins a new one in its place.
pub(super) fn add_to(sum: &mut Value, batch: &[f64], anew: bool) {
    if let Data::F64(sums) = sum.data_mut() {
        match anew {
            true => sums.copy_from_slice(batch),
            false => sums.iter_mut().zip(batch).for_each(|(sum, x)| *sum += x),
        }
    }
}

impl Totals {
    /// Of losses and metrics, before the first batch.
    pub(super) fn new(subject: &TrainingSetup) -> Self {
        let output_losses = subject.output_losses().into_iter().map(|name| (name, 0.0)).collect();
        let metrics = subject.metrics.iter().map(MetricTotals::new).collect();
        Self { loss: 0.0, output_losses, weight: 0.0, samples: 0, metrics }
    }

    /// Adds what the step that a program has just taken gave, of that many samples which count `weight` together.
    pub(super) fn add(&mut self, samples: usize, weight: f64, program: &CompiledProgram) -> Result<(), TrainError> {
        self.loss += program.scalar("loss")? * weight;
        for (name, sum) in &mut self.output_losses {
            *sum += program.scalar(name)? * weight;
        }
        self.samples += samples;
        self.weight += weight;
        self.metrics.iter_mut().try_for_each(|metric| metric.add(program))
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        (self.loss, self.weight, self.samples) = (0.0, 0.0, 0);
        self.output_losses.iter_mut().for_each(|(_, sum)| *sum = 0.0);
        self.metrics.iter_mut().for_each(MetricTotals::reset);
    }

    /// The loss, the loss of an output or a metric, once there was a step.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        if self.samples == 0 {
            return None;
        }
        let loss = std::iter::once(("loss", self.loss));
        let of_outputs = self.output_losses.iter().map(|(name, sum)| (name.as_str(), *sum));
        let found = loss.chain(of_outputs).find(|(known, _)| *known == name).map(|(_, sum)| self.mean(sum));
        found.or_else(|| self.metrics.iter().find(|metric| metric.name == name)?.number())
    }

    /// Of a sum over samples. Where nothing counted, the sums are 0, and so are the means.
    fn mean(&self, sum: f64) -> f64 {
        sum / self.weight.max(f64::MIN_POSITIVE)
    }

    /// The losses, and those of the metrics that are asked for.
    fn evaluation(&self, which: impl Fn(&MetricTotals) -> bool) -> Result<Evaluation, TrainError> {
        let of_output = |(name, sum): &(String, f64)| MetricValue {
            name: name.clone(),
            value: self.mean(*sum),
            in_percent: false,
            confusion_matrix: None,
        };
        let metrics = self.metrics.iter().filter(|metric| which(metric)).map(MetricTotals::value);
        let metrics = self.output_losses.iter().map(|loss| Ok(of_output(loss))).chain(metrics);
        Ok(Evaluation { loss: self.mean(self.loss), metrics: metrics.collect::<Result<_, _>>()? })
    }

    /// What can be shown while an epoch is under way: metrics that are made of all samples wait for its end.
    pub(super) fn so_far(&self) -> Result<Evaluation, TrainError> {
        self.evaluation(MetricTotals::is_cheap)
    }

    /// The samples so far.
    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    /// All of them.
    pub(super) fn finish(&self) -> Result<Evaluation, TrainError> {
        self.evaluation(|_| true)
    }
}

/// The value of a metric, of the statistics that batches gave by name.
#[cfg(test)]
pub(super) fn accumulated(metric: &Metric, batches: &[crate::testing::NamedValues]) -> MetricValue {
    let mut totals = MetricTotals::new(metric);
    for batch in batches {
        for (i, (output, how)) in totals.ports.iter().enumerate() {
            let part = batch[output].clone();
            match (how, &mut totals.sums[i]) {
                (Accumulate::Rows(_), _) => totals.rows[i].push(part),
                (_, Some(sum)) => add_to(sum, &part.to_f64_vec(), false),
                (_, first) => *first = Some(part),
            }
        }
        totals.batches += 1;
    }
    totals.value().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, array};
    use crate::dsl::{Tensor, f32};
    use crate::nn::metric::Average;
    use crate::prelude::*;

    fn points(n: usize, weights: bool) -> Dataset {
        let x = array([n, 1], (0..n).map(|i| (i * 7 % 11) as f32 / 11.0 - 0.4).collect()).unwrap();
        let data = Dataset::new(x, array([n], (0..n).map(|i| i32::from(i % 3 == 0)).collect()).unwrap()).unwrap();
        match array([n], (0..n).map(|i| (i % 4) as f32 / 2.0).collect()) {
            Ok(column) if weights => data.with("sample_weight", Column::new(column).unwrap()).unwrap(),
            _ => data,
        }
    }

    /// The sizes of the programs that evaluate samples in batches of eight: of four numbers of them.
    fn sizes(trainer: &mut Trainer) -> Vec<usize> {
        for n in [5, 8, 11, 14] {
            trainer.evaluate(&points(n, false)).unwrap();
        }
        let reports = trainer.reports().into_iter();
        reports.filter(|(purpose, ..)| purpose == "evaluation").map(|(_, size, _)| size).collect()
    }

    /// All batches that aren't full have programs of few sizes; each loss and metric is that of the samples alone.
    #[test]
    fn samples_that_fill_a_batch_count_nothing() {
        let metrics = || {
            let of_class = [F1(Average::Macro), Metric::ConfusionMatrix, Metric::Perplexity, Auc];
            [Accuracy, TopK(1)].into_iter().chain(of_class).collect::<Vec<_>>()
        };
        let model = Sequential::new([1]).dense(4).tanh().dense(2);
        let mut trainer =
            model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy.label_smoothing(0.1), metrics()).unwrap();
        trainer = trainer.with_batch(8).unwrap();
        for (n, weights) in [(3, false), (5, true), (11, false), (14, true), (15, false)] {
            let data = points(n, weights);
            let filled = trainer.evaluate(&data).unwrap();
            let mut alone = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy.label_smoothing(0.1), metrics());
            let alone = alone.as_mut().unwrap();
            alone.set_weights(trainer.weights().unwrap()).unwrap();
            alone.test_step(&data).unwrap();
            let alone = alone.testing.totals.finish().unwrap();
            for ((name, a), (_, b)) in filled.values().zip(alone.values()) {
                assert!((a - b).abs() < 1e-6, "{name} of {n}: {a} {b}");
            }
            assert_eq!(filled.confusion_matrix(), alone.confusion_matrix());
        }
        assert_eq!(sizes(&mut trainer), [4, 8, 8], "with weights of 4 and 8, without of 8");
    }

    /// What may be of a batch as a whole is measured of its samples alone.
    #[test]
    fn what_may_be_of_a_whole_batch_is_never_filled() {
        let model = || Sequential::new([1]).dense(2);
        let spread = Metric::mean("spread", Mode::Min, |x: &Tensor, _| x.max_axes([-1]) - x.min_axes([-1]));
        let mut own = model().compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, [spread]).unwrap();
        let mut triplet = model().compile(Sgd::new(0.1), BatchHardTriplet::default(), []).unwrap();
        let penalized = Functional::new(f32([1]), |x| {
            let y = Dense::new(2).apply(x);
            y.builder().add_penalty(&(&y * &y).mean());
            y
        });
        let mut penalized = penalized.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, []).unwrap();
        for trainer in [&mut own, &mut triplet, &mut penalized] {
            trainer.evaluate(&points(8, false)).unwrap();
            trainer.batch = 8;
            assert_eq!(sizes(trainer), [3, 5, 6, 8]);
        }
        let decayed = Dense::new(2).kernel_regularizer(Regularizer::l2(0.1));
        let decayed = Sequential::new([1]).add(decayed).compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, []);
        let mut decayed = decayed.unwrap().with_batch(8).unwrap();
        assert_eq!(sizes(&mut decayed), [4, 8, 8]);
    }

    #[test]
    fn small_numbers_keep_their_digits_and_only_shares_are_in_percent() {
        let metric = |name: &str, value, in_percent| MetricValue {
            name: name.into(),
            value,
            in_percent,
            confusion_matrix: None,
        };
        let metrics = vec![metric("accuracy", 0.6, true), metric("log_accuracy", 0.25, false)];
        let evaluation = Evaluation { loss: 1.234_5e-5, metrics };
        assert_eq!(evaluation.to_string(), "loss 1.234e-5, accuracy 60.00 %, log_accuracy 0.2500");
        assert_eq!((evaluation.metric("accuracy"), evaluation.metric("mse")), (Some(0.6), None));
    }
}
