//! Means over the samples of a data set.

use std::fmt;

/// The loss and the metrics of a data set: means over all of its samples. Prints as `loss 0.0543, accuracy 98.31 %`.
#[derive(Clone, PartialEq, Debug)]
pub struct Evaluation {
    /// The loss.
    pub loss: f64,
    /// The metrics by name, in the order in which they were asked for.
    pub metrics: Vec<(String, f64)>,
}

impl Evaluation {
    /// The metric of that name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// The loss and the metrics, by name.
    pub fn values(&self) -> impl Iterator<Item = (&str, f64)> {
        std::iter::once(("loss", self.loss)).chain(self.metrics.iter().map(|(name, value)| (name.as_str(), *value)))
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.values().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {}", Shown { name, value })?;
        }
        Ok(())
    }
}

/// A number as people read it: accuracies in percent.
pub(super) struct Shown<'a> {
    pub(super) name: &'a str,
    pub(super) value: f64,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value } = *self;
        if name.ends_with("accuracy") {
            write!(f, "{:.2} %", value * 100.0)
        } else if value != 0.0 && value.abs() < 1e-3 {
            write!(f, "{value:.3e}")
        } else {
            write!(f, "{value:.4}")
        }
    }
}

/// Sums of values, each weighted with what its batch counts: the number of its samples, or the sum of their weights.
pub(super) struct Means {
    names: Vec<String>,
    sums: Vec<f64>,
    weight: f64,
    samples: usize,
}

impl Means {
    /// Of the loss and these metrics.
    pub(super) fn new(metrics: &[String]) -> Self {
        let names: Vec<String> = std::iter::once("loss".to_string()).chain(metrics.iter().cloned()).collect();
        Self { sums: vec![0.0; names.len()], names, weight: 0.0, samples: 0 }
    }

    /// Adds what the step of a batch of that many samples gave: `value` by name.
    pub(super) fn add<E>(
        &mut self,
        samples: usize,
        weight: f64,
        value: impl Fn(&str) -> Result<f64, E>,
    ) -> Result<(), E> {
        for (name, sum) in self.names.iter().zip(&mut self.sums) {
            *sum += value(name)? * weight;
        }
        self.samples += samples;
        self.weight += weight;
        Ok(())
    }

    /// The means so far.
    pub(super) fn values(&self) -> impl Iterator<Item = (&str, f64)> {
        // Where nothing counted, all sums are 0, and so are the means.
        let weight = self.weight.max(f64::MIN_POSITIVE);
        self.names.iter().zip(&self.sums).map(move |(name, sum)| (name.as_str(), sum / weight))
    }

    /// The samples so far.
    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    /// All of them.
    pub(super) fn finish(&self) -> Evaluation {
        let mut values = self.values().map(|(name, value)| (name.to_string(), value));
        let loss = values.next().map_or(0.0, |(_, loss)| loss);
        Evaluation { loss, metrics: values.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_batch_counts_by_its_samples() {
        let mut means = Means::new(&["accuracy".into()]);
        means.add(32, 32.0, |name| Ok::<f64, ()>(if name == "loss" { 1.0 } else { 0.5 })).unwrap();
        means.add(8, 8.0, |name| Ok::<f64, ()>(if name == "loss" { 2.0 } else { 1.0 })).unwrap();
        let evaluation = means.finish();
        assert!((evaluation.loss - 48.0 / 40.0).abs() < 1e-12);
        assert_eq!(evaluation.metric("accuracy"), Some(24.0 / 40.0));
        assert_eq!(evaluation.metric("mse"), None);
        assert_eq!(evaluation.to_string(), "loss 1.2000, accuracy 60.00 %");
    }

    #[test]
    fn small_numbers_keep_their_digits() {
        let tiny = Evaluation { loss: 1.234_5e-5, metrics: vec![] };
        assert_eq!(tiny.to_string(), "loss 1.234e-5");
    }
}
