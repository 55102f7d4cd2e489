//! What each sample counts: the column of weights, and the weights of classes.

use super::TrainError;
use crate::compile::Elements;
use crate::data::{DataError, Item, Samples};
use crate::model::SAMPLE_WEIGHT;
use ir::{DType, Scalar};
use std::collections::BTreeMap;

/// How the weights of samples come about: each is what its column says, times what its class counts.
#[derive(Clone, Default, Debug)]
pub(super) struct SampleWeights {
    /// Whether there is a column of weights.
    pub(super) column: bool,
    /// By columns of labels, what classes count; those that aren't named count 1.
    pub(super) classes: ClassWeights,
    /// Whether a batch has more places than samples, which count nothing.
    pub(super) filled: bool,
}

/// What classes count, by the columns that hold them.
pub(super) type ClassWeights = BTreeMap<String, BTreeMap<usize, f64>>;

impl SampleWeights {
    /// Whether samples count differently.
    pub(super) fn any(&self) -> bool {
        self.column || self.filled || !self.classes.is_empty()
    }

    /// Whether a program's input is more than a copy of the column.
    pub(super) fn are_computed(&self) -> bool {
        self.filled || !self.classes.is_empty()
    }

    /// Refuses weights of classes that no class can have.
    pub(super) fn check(classes: &ClassWeights) -> Result<(), TrainError> {
        match classes.values().flatten().find(|(_, weight)| !(weight.is_finite() && **weight >= 0.0)) {
            Some((class, weight)) => {
                let rule = format!("class {class} has the weight {weight}: it must be finite and at least 0");
                Err(TrainError::Setting(rule))
            }
            None => Ok(()),
        }
    }

    /// What sample `i` of a batch counts.
    fn of(&self, samples: &Samples<'_>, i: usize) -> Result<f64, DataError> {
        let own = if self.column { weight(samples, i)? } else { 1.0 };
        self.classes.iter().try_fold(own, |weight, (column, classes)| {
            let refuse = |what: String| DataError::Dataset(format!("weights of classes: {what}"));
            let class = samples.class(column, i).map_err(refuse)?;
            Ok(weight * classes.get(&class).copied().unwrap_or(1.0))
        })
    }

    /// What the samples of a batch count together.
    pub(super) fn sum(&self, samples: &Samples<'_>, inputs: &[(String, usize)]) -> Result<f64, DataError> {
        let count = samples.len(inputs)?;
        if !self.any() {
            return Ok(count as f64);
        }
        (0..count).map(|i| self.of(samples, i)).sum()
    }

    /// Writes those of so many samples into a program's input, and 0 to what places it has besides. Where they aren't computed, the column is copied as others are.
    pub(super) fn write(
        &self,
        (samples, count): (&Samples<'_>, usize),
        dtype: DType,
        out: &mut Elements<'_>,
    ) -> Result<(), DataError> {
        let samples = (samples, count);
        match out {
            Elements::F32(out) => self.fill(samples, dtype, out),
            Elements::F64(out) => self.fill(samples, dtype, out),
            Elements::Bits16(out) if dtype.is_float() => self.fill(samples, dtype, out),
            _ => Err(DataError::Dataset(format!("`{SAMPLE_WEIGHT}` must be floats, not {dtype}"))),
        }
    }

    fn fill<T: Item>(
        &self,
        (samples, count): (&Samples<'_>, usize),
        dtype: DType,
        out: &mut [T],
    ) -> Result<(), DataError> {
        for (i, to) in out.iter_mut().enumerate() {
            let weight = if i < count { self.of(samples, i)? } else { 0.0 };
            *to = T::from_bits(Scalar::F64(weight).cast(dtype).to_bits());
        }
        Ok(())
    }
}

/// What the column says of sample `i`.
fn weight(samples: &Samples<'_>, i: usize) -> Result<f64, DataError> {
    match samples.number(SAMPLE_WEIGHT, i) {
        Some(weight) if weight >= 0.0 && weight.is_finite() => Ok(weight),
        found => {
            let found = found.map_or("something else".into(), |x| x.to_string());
            let sample = samples.name_of(i);
            let rule =
                format!("sample {sample} of `{SAMPLE_WEIGHT}` is {found}: a weight must be finite and at least 0");
            Err(DataError::Dataset(rule))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{Column, array};
    use crate::dsl::f32;
    use crate::prelude::*;

    /// Points on a line; every third is of class 1.
    fn points(n: usize) -> Dataset {
        let x = array([n, 1], (0..n).map(|i| i as f32 / n as f32 - 0.4).collect()).unwrap();
        Dataset::new(x, array([n], (0..n).map(|i| i32::from(i % 3 == 0)).collect()).unwrap()).unwrap()
    }

    fn weighted(data: Dataset, weights: Vec<f32>) -> Dataset {
        data.with("sample_weight", Column::new(array([weights.len()], weights).unwrap()).unwrap()).unwrap()
    }

    fn trainer(rate: f64) -> Trainer {
        let model = Sequential::new([1]).dense(4).tanh().dense(2);
        let trainer = model.compile(Sgd::new(rate), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
        trainer.with_options(CompileOptions::threads(1)).unwrap()
    }

    fn bits(trainer: &mut Trainer) -> Vec<Vec<u8>> {
        trainer.weights().unwrap().values().map(|value| value.data().to_bytes()).collect()
    }

    /// Each sample's loss and whether it is right, from the predictions.
    fn by_hand(trainer: &mut Trainer, data: &Dataset) -> Vec<(f64, f64)> {
        let logits = trainer.predict(data).unwrap().to_f64_vec();
        let labels = data.value("y").unwrap().to_f64_vec();
        let sample = |(row, label): (&[f64], &f64)| {
            let right = (row[1] > row[0]) == (*label == 1.0);
            ((row[0].exp() + row[1].exp()).ln() - row[*label as usize], f64::from(u8::from(right)))
        };
        logits.chunks(2).zip(&labels).map(sample).collect()
    }

    fn mean(values: &[(f64, f64)], weights: &[f64]) -> (f64, f64) {
        let sum: f64 = weights.iter().sum();
        let of =
            |pick: &dyn Fn(&(f64, f64)) -> f64| values.iter().zip(weights).map(|(v, w)| pick(v) * w).sum::<f64>() / sum;
        (of(&|v| v.0), of(&|v| v.1))
    }

    #[track_caller]
    fn close(got: (f64, f64), want: (f64, f64)) {
        assert!((got.0 - want.0).abs() < 1e-6 && (got.1 - want.1).abs() < 1e-6, "{got:?}, not {want:?}");
    }

    /// Loss and accuracy, in training, evaluation, validation and a validation split, with batches of several sizes.
    #[test]
    fn weights_of_samples_count_everywhere() {
        let weights: Vec<f64> = (0..23).map(|i| f64::from(i % 5) / 4.0).collect();
        let data = weighted(points(23), weights.iter().map(|w| *w as f32).collect());
        let mut trainer = trainer(0.0);
        let values = by_hand(&mut trainer, &data);
        let all = mean(&values, &weights);
        assert!((all.1 - mean(&values, &[1.0; 23]).1).abs() > 1e-3, "weights make a difference");
        let history = trainer.fit(&data, Fit::epochs(1).batch(5).validate(&data).silent()).unwrap();
        let last = |name| history.last(name).unwrap();
        close((last("loss"), last("accuracy")), all);
        close((last("val_loss"), last("val_accuracy")), all);
        let evaluation = trainer.evaluate(&data).unwrap();
        close((evaluation.loss, evaluation.metric("accuracy").unwrap()), all);
        let history = trainer.fit(&data, Fit::epochs(1).batch(5).validation_split(0.3).silent()).unwrap();
        let last = |name| history.last(name).unwrap();
        close((last("loss"), last("accuracy")), mean(&values[..16], &weights[..16]));
        close((last("val_loss"), last("val_accuracy")), mean(&values[16..], &weights[16..]));
    }

    #[test]
    fn weights_of_classes_are_weights_of_their_samples() {
        let fit = |data: &Dataset, classes: &[(usize, f64)]| {
            let mut trainer = trainer(0.3);
            let options = Fit::epochs(2).batch(8).class_weight(classes.iter().copied()).silent();
            let history = trainer.fit(data, options).unwrap();
            (bits(&mut trainer), history.get("loss"), history.get("accuracy"))
        };
        let of = |own: &dyn Fn(usize) -> f32, class_1: f32| {
            let weight = |i: usize| own(i) * if i.is_multiple_of(3) { class_1 } else { 1.0 };
            weighted(points(20), (0..20).map(weight).collect())
        };
        assert_eq!(fit(&points(20), &[(1, 2.5)]), fit(&of(&|_| 1.0, 2.5), &[]));
        // Both kinds multiply; in f32 the products of these are exact.
        let own = |i: usize| 0.25 * (i % 4) as f32;
        assert_eq!(fit(&of(&own, 1.0), &[(1, 2.5)]), fit(&of(&own, 2.5), &[]));
        assert_ne!(fit(&points(20), &[(1, 2.5)]), fit(&points(20), &[]));
    }

    #[test]
    fn validation_counts_all_classes_alike() {
        let mut trainer = trainer(0.0);
        let data = points(20);
        let fit = Fit::epochs(1).batch(8).class_weight([(1, 9.0)]).validate(&data).silent();
        let history = trainer.fit(&data, fit).unwrap();
        let values = by_hand(&mut trainer, &data);
        let weights: Vec<f64> = (0..20).map(|i| if i % 3 == 0 { 9.0 } else { 1.0 }).collect();
        close((history.last("loss").unwrap(), history.last("accuracy").unwrap()), mean(&values, &weights));
        close((history.last("val_loss").unwrap(), history.last("val_accuracy").unwrap()), mean(&values, &[1.0; 20]));
    }

    #[test]
    fn weights_that_no_class_can_have_are_refused() {
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            let fit = Fit::epochs(1).class_weight([(0, 1.0), (1, wrong)]).silent();
            let error = trainer(0.1).fit(&points(8), fit).unwrap_err().to_string();
            assert!(error.contains("class 1 has the weight"), "{error}");
        }
        let model = Sequential::new([1]).dense(1);
        let mut trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
        let prices = array([2, 1], vec![0.5f32, 1.0]).unwrap();
        let data = Dataset::new(array([2, 1], vec![0.0f32; 2]).unwrap(), prices).unwrap();
        let error = trainer.fit(&data, Fit::epochs(1).class_weight([(1, 2.0)]).silent()).unwrap_err().to_string();
        assert!(error.contains("sample 0 of `y`, f32[1], is neither one class nor one-hot"), "{error}");
    }

    #[test]
    fn one_hot_targets_have_classes() {
        let hot = (0..12).flat_map(|i| if i % 3 == 0 { [0.0f32, 1.0] } else { [1.0, 0.0] }).collect();
        let data = points(12).with("y", Column::new(array([12, 2], hot).unwrap()).unwrap()).unwrap();
        let loss = |data: &Dataset, classes: &[(usize, f64)]| {
            let model = Sequential::new([1]).dense(2);
            let mut trainer = model.compile(Sgd::new(0.0), CategoricalCrossEntropy, []).unwrap();
            let fit = Fit::epochs(1).batch(12).shuffle(false).class_weight(classes.iter().copied()).silent();
            trainer.fit(data, fit).unwrap().last("loss").unwrap()
        };
        let same = weighted(data.clone(), (0..12).map(|i| if i % 3 == 0 { 4.0 } else { 1.0 }).collect());
        assert_eq!(loss(&data, &[(1, 4.0)]), loss(&same, &[]));
        assert_ne!(loss(&data, &[(1, 4.0)]), loss(&data, &[]));
    }

    /// Two outputs, whose labels are in columns of their names.
    #[test]
    fn classes_of_several_columns_count_together() {
        let labels = |every: usize| array([12], (0..12).map(|i| i32::from(i % every == 0)).collect()).unwrap();
        let data = Dataset::unlabelled(points(12).value("x").unwrap().clone()).unwrap();
        let data = data.with("a", Column::new(labels(2)).unwrap()).unwrap();
        let data = data.with("b", Column::new(labels(3)).unwrap()).unwrap();
        let losses = |data: &Dataset, fit: Fit<'_>| {
            let model = Functional::with_outputs([("x", f32([1]))], ["a", "b"], |x| {
                [Dense::new(2).apply(&x[0]), Dense::new(2).apply(&x[0])]
            });
            let loss = || SparseCategoricalCrossEntropy;
            let losses = Losses::new().output("a", loss(), 1.0).output("b", loss(), 0.5);
            let mut trainer = model.compile(Sgd::new(0.0), losses, []).unwrap();
            trainer.fit(data, fit.batch(5).shuffle(false).silent()).map(|history| history.last("loss").unwrap())
        };
        let both = Fit::epochs(1).class_weight_of("a", [(1, 2.0)]).class_weight_of("b", [(0, 0.5)]);
        let product =
            |i: usize| f32::from(1 + u8::from(i.is_multiple_of(2))) * if i.is_multiple_of(3) { 1.0 } else { 0.5 };
        let same = weighted(data.clone(), (0..12).map(product).collect());
        let loss = losses(&data, both).unwrap();
        assert_eq!(loss, losses(&same, Fit::epochs(1)).unwrap());
        assert_ne!(loss, losses(&data, Fit::epochs(1)).unwrap());
        let error = losses(&data, Fit::epochs(1).class_weight([(1, 2.0)])).unwrap_err().to_string();
        assert!(error.contains("there is no column `y` of labels; there are x, a, b"), "{error}");
        // The weights by which the classes of a column count alike.
        assert_eq!(data.balanced_weights_of("b").unwrap(), [(0, 0.75), (1, 1.5)]);
    }

    /// A new process evaluates with the programs that it is told to.
    #[test]
    fn the_batch_of_evaluation_can_be_chosen() {
        let data = points(50);
        let mut trained = trainer(0.3);
        trained.fit(&data, Fit::epochs(1).batch(20).silent()).unwrap();
        let want = trained.evaluate(&data).unwrap();
        let mut fresh = trainer(0.3).with_batch(20).unwrap();
        fresh.set_weights(trained.weights().unwrap()).unwrap();
        assert_eq!(fresh.evaluate(&data).unwrap(), want);
        fresh.predict(&data).unwrap();
        // It stays what it is when a training has batches of its own.
        fresh.fit(&data, Fit::epochs(1).batch(25).validate(&data).silent()).unwrap();
        let sizes = fresh.reports().into_iter().map(|(purpose, size, _)| (purpose, size)).collect::<Vec<_>>();
        let of = |purpose: &str, size| (purpose.to_string(), size);
        let evaluation = [of("evaluation", 16), of("evaluation", 20)];
        let inference = [of("inference", 16), of("inference", 20)];
        assert_eq!(sizes, [vec![of("training", 25)], evaluation.into(), inference.into()].concat());
        assert!(trainer(0.1).with_batch(0).is_err());
    }
}
