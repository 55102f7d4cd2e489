//! What there is to see in a model while it is trained: the results of its layers, gradients, weights.

use super::feed::{feed, run};
use super::programs::Purpose;
use super::{TensorStatistics, TrainError, Trainer};
use crate::data::Samples;
use crate::dsl::StateRole;
use crate::model::Batch;
use crate::model::trace::{ACTIVATION, GRADIENT};
use ir::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What a model computes of a batch in training, layer by layer, before the optimizer changes it. Prints as a table of [statistics](TensorStatistics).
#[derive(Clone, Debug)]
pub struct Observation {
    /// The loss of the batch.
    pub loss: f64,
    /// The results of layers by their paths, in which `encoder/dense` is a layer of `encoder`; those of a layer that has several as `path/0`, `path/1`; of one that is applied several
    /// times, the last ones.
    pub activations: BTreeMap<String, Value>,
    /// The gradients of the loss by the parameters, by their names; not clipped, not scaled.
    pub gradients: BTreeMap<String, Value>,
    /// The parameters by their names.
    pub weights: BTreeMap<String, Value>,
}

impl Observation {
    /// What the tensors are like: `activation`, `gradient` or `weight`, the tensor's name, its statistics.
    pub fn statistics(&self) -> impl Iterator<Item = (&'static str, &str, TensorStatistics)> {
        let kinds = [("activation", &self.activations), ("gradient", &self.gradients), ("weight", &self.weights)];
        kinds.into_iter().flat_map(|(kind, tensors)| {
            tensors.iter().map(move |(name, value)| (kind, name.as_str(), TensorStatistics::of(value)))
        })
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loss {}", self.loss)?;
        self.statistics().try_for_each(|(kind, name, statistics)| write!(f, "\n{kind:<10} {name:<32} {statistics}"))
    }
}

impl Trainer {
    /// What the model computes of these samples in training: the results of all layers, and the gradients of the loss by all parameters. Nothing is trained, and random layers draw what the
    /// next step will. The graph for it is compiled at the first call for a number of samples; it keeps every layer's result in memory, which a step of training needn't.
    ///
    /// ```
    /// use gradc::data::array;
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let data = Dataset::new(array([4, 2], vec![0.5f32; 8])?, array([4], vec![0i32, 1, 1, 0])?)?;
    /// let model = Sequential::new([2]).dense(8).relu().dense(2);
    /// let mut trainer = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, [])?;
    /// let seen = trainer.observe(&data)?;
    /// assert_eq!(seen.activations["relu"].ty().shape.dims(), [4, 8]);
    /// assert_eq!(seen.gradients["dense_1/kernel"].ty().shape.dims(), [8, 2]);
    /// println!("{seen}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Trainer::train_step`].
    pub fn observe<'b>(&mut self, samples: impl Into<Samples<'b>>) -> Result<Observation, TrainError> {
        let samples = samples.into();
        let weights = self.own_weights(&samples);
        let batch = Batch { size: samples.len(&self.inputs)?, weighted: weights.any() };
        let program = self.programs.activate((Purpose::Observation, batch))?;
        feed(program, &samples, 0..batch.size, &weights)?;
        run(program, &samples, 0)?;
        let loss = program.scalar("loss")?;
        let (mut activations, mut gradients) = (BTreeMap::new(), BTreeMap::new());
        for name in program.outputs().keys() {
            let found = [(ACTIVATION, &mut activations), (GRADIENT, &mut gradients)];
            for (prefix, tensors) in found {
                if let Some(of) = name.strip_prefix(prefix) {
                    tensors.insert(of.to_string(), program.output_value(name)?);
                }
            }
        }
        let weights = self.programs.states(|role| role == StateRole::Parameter)?;
        Ok(Observation { loss, activations, gradients, weights })
    }
}

#[cfg(test)]
mod tests {
    use crate::data::array;
    use crate::nn::BatchNorm;
    use crate::prelude::*;
    use crate::train::callback::{JsonLogger, LayerStatistics};
    use ir::Value;
    use std::collections::BTreeMap;

    fn data() -> Dataset {
        let x = array([8, 3], (0..24).map(|i| (i * 5 % 7) as f32 / 7.0 - 0.4).collect()).unwrap();
        Dataset::new(x, array([8], (0..8).map(|i| i % 2).collect::<Vec<i32>>()).unwrap()).unwrap()
    }

    fn trainer() -> Trainer {
        let model = Sequential::new([3]).dense(4).add(BatchNorm::new()).relu().dropout(0.25).dense(2);
        let trainer = model.compile(Sgd::new(0.5), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
        trainer.with_options(CompileOptions::threads(1)).unwrap()
    }

    fn bits(values: BTreeMap<String, Value>) -> Vec<Vec<u8>> {
        values.into_values().map(|value| value.data().to_bytes()).collect()
    }

    /// Plain descent goes by what was observed before the step, with the numbers that dropout draws there.
    #[test]
    fn what_is_observed_is_what_the_next_step_computes() {
        let (data, mut trainer) = (data(), trainer());
        let before = bits(trainer.programs.states(|_| true).unwrap());
        let seen = trainer.observe(&data).unwrap();
        assert!(before == bits(trainer.programs.states(|_| true).unwrap()), "nothing is trained");
        let logs = trainer.train_step(&data).unwrap();
        assert_eq!(logs.loss(), seen.loss);
        let after = trainer.weights().unwrap();
        assert_eq!(seen.gradients.len(), 6);
        for (name, gradient) in &seen.gradients {
            let old = seen.weights[name].to_f64_vec().into_iter().zip(gradient.to_f64_vec());
            for ((w, g), new) in old.zip(after[name].to_f64_vec()) {
                assert!((w - 0.5 * g - new).abs() < 1e-6, "{name}: {w} by {g} is {new}");
            }
        }
        let layers: Vec<&str> = seen.activations.keys().map(String::as_str).collect();
        assert_eq!(layers, ["batch_normalization", "dense", "dense_1", "dropout", "relu"]);
        assert_eq!(seen.activations["dropout"].ty().shape.dims(), [8, 4]);
        assert!(seen.activations["relu"].to_f64_vec().iter().all(|x| *x >= 0.0));
        let text = seen.to_string();
        assert!(text.contains("gradient   dense/kernel") && text.contains("f32[3,4]: mean "), "{text}");
    }

    #[test]
    fn a_batch_that_was_learnt_by_heart_is_forgotten() {
        let (data, mut trainer) = (data(), trainer());
        let before = bits(trainer.programs.states(|_| true).unwrap());
        let report = trainer.overfit_batch(&data, 30).unwrap();
        assert_eq!(report.losses.len(), 31);
        assert!(report.least() < report.first() && !report.is_learnt(0.0), "{report}");
        assert!(before == bits(trainer.programs.states(|_| true).unwrap()));
        assert_eq!(trainer.logs().samples(), 0);
    }

    #[test]
    fn statistics_and_histories_are_written_by_epochs() {
        let dir = tempfile::tempdir().unwrap();
        let [layers, lines, table, json] =
            ["layers.csv", "a.jsonl", "h.csv", "h.jsonl"].map(|name| dir.path().join(name));
        let (data, mut trainer) = (data(), trainer());
        let statistics = LayerStatistics::new(&data).every(2).csv(&layers);
        let fit = Fit::epochs(5).batch(4).callback(statistics).callback(JsonLogger::new(&lines)).silent();
        let history = trainer.fit(&data, fit).unwrap();
        let text = std::fs::read_to_string(layers).unwrap();
        // Five layers, six gradients and six weights, after the second and the fourth epoch.
        assert_eq!(text.lines().count(), 1 + 2 * 17, "{text}");
        assert!(
            text.starts_with("epoch,kind,name,mean,std,min,max,zeros,norm,not_finite\n2,activation,batch_"),
            "{text}"
        );
        history.save_csv(&table).unwrap();
        history.save_jsonl(&json).unwrap();
        let text = std::fs::read_to_string(json).unwrap();
        assert_eq!(text, std::fs::read_to_string(lines).unwrap());
        for (line, record) in text.lines().zip(&history.epochs) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(
                (line["epoch"].as_u64(), line["loss"].as_f64()),
                (Some(record.epoch as u64), record.get("loss"))
            );
            assert_eq!(line["seconds"].as_f64(), Some(record.seconds));
        }
        let mut rows = csv::Reader::from_path(table).unwrap();
        assert_eq!(rows.headers().unwrap().iter().next_back(), Some("samples_per_second"));
        let losses: Vec<f64> = rows.records().map(|row| row.unwrap()[1].parse().unwrap()).collect();
        assert_eq!(losses, history.get("loss"));
    }
}
