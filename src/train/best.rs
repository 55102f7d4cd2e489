//! The states of the best epoch so far, which a training that diverges goes back to.

use super::{EpochRecord, TrainError, Trainer};
use crate::compile::read_all;
use ir::{TensorType, Value};
use runtime::States;
use std::collections::BTreeMap;

/// A copy of all states: weights, moments, the number of steps, rates.
pub(super) struct BestEpoch {
    /// From 1; 0 before the first.
    pub(super) epoch: usize,
    /// Its loss: of validation where there is one, else of training.
    pub(super) loss: f64,
    states: States,
}

impl BestEpoch {
    /// What there is before the first epoch.
    pub(super) fn new(trainer: &mut Trainer) -> Result<Self, TrainError> {
        Self::of(trainer, 0, f64::INFINITY)
    }

    /// The states that the trainer has now, as those of an epoch with that loss.
    pub(super) fn of(trainer: &mut Trainer, epoch: usize, loss: f64) -> Result<Self, TrainError> {
        Ok(Self { epoch, loss, states: trainer.programs.copy_of_all()? })
    }

    /// The states' values, of these types.
    pub(super) fn values(&self, types: &BTreeMap<String, TensorType>) -> Result<BTreeMap<String, Value>, TrainError> {
        let held = types.iter().filter(|(name, ty)| self.states.holds(name, ty.dtype, ty.shape.numel()));
        Ok(read_all(&self.states, held)?)
    }

    /// Takes an epoch in: its states are kept if its loss is less than all before, and the weights are finite.
    pub(super) fn update(&mut self, trainer: &mut Trainer, record: &EpochRecord) -> Result<(), TrainError> {
        let loss = record.get("val_loss").or_else(|| record.get("loss")).unwrap_or(f64::NAN);
        if loss < self.loss && trainer.programs.has_finite_weights()? {
            trainer.programs.copy_to(&mut self.states)?;
            (self.epoch, self.loss) = (record.epoch, loss);
        }
        Ok(())
    }

    /// Puts the states back; which epoch's they are.
    pub(super) fn restore(self, trainer: &mut Trainer) -> Result<usize, TrainError> {
        trainer.programs.copy_from(&self.states)?;
        Ok(self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use crate::data::array;
    use crate::prelude::*;
    use crate::train::TrainError;

    fn line(n: usize) -> Dataset {
        let x: Vec<f32> = (0..n).map(|i| i as f32 / n as f32).collect();
        let y = x.iter().map(|x| 3.0 * x + 1.0).collect();
        Dataset::new(array([n, 1], x).unwrap(), array([n, 1], y).unwrap()).unwrap()
    }

    fn states(trainer: &mut Trainer) -> Vec<Vec<u64>> {
        let all = trainer.programs.states(|_| true).unwrap().into_values();
        all.map(|value| (0..value.data().len()).map(|i| value.get(i).to_bits()).collect()).collect()
    }

    /// With rates that are sound for two epochs of four steps, bad in the third, and hopeless then.
    fn trainer() -> Trainer {
        let rate = Schedule::piecewise(0.1, [(8, 1.5), (12, 1e30)]);
        Sequential::new([1]).dense(1).compile(Sgd::new(rate).momentum(0.5), MeanSquaredError, []).unwrap()
    }

    /// As the second epoch left them, not the third, whose loss is larger: weights, moments and the count of steps.
    #[test]
    fn a_diverging_training_leaves_the_states_of_its_best_epoch() {
        let data = line(16);
        let fit = |epochs: usize| Fit::epochs(epochs).batch(4).validate(&data).silent();
        let mut trainer = trainer();
        let Err(TrainError::Diverged { epoch, history, best, .. }) = trainer.fit(&data, fit(9)) else { panic!() };
        let losses = history.get("val_loss");
        assert!((epoch, history.epochs.len(), best) == (4, 3, Some(2)) && losses[2] > losses[1]);
        let mut wanted = self::trainer();
        wanted.fit(&data, fit(2)).unwrap();
        assert_eq!(states(&mut trainer), states(&mut wanted));
        assert_eq!(trainer.evaluate(&data).unwrap().loss, losses[1]);
    }

    #[test]
    fn a_training_that_diverges_at_once_leaves_the_states_from_before() {
        let data = line(16);
        let mut trainer =
            Sequential::new([1]).dense(1).compile(Sgd::new(1e30).momentum(0.5), MeanSquaredError, []).unwrap();
        let before = states(&mut trainer);
        let error = trainer.fit(&data, Fit::epochs(3).batch(4).silent()).unwrap_err();
        assert!(error.to_string().ends_with("the weights are those from before"), "{error}");
        assert!(matches!(error, TrainError::Diverged { epoch: 1, best: Some(0), .. }));
        assert_eq!(states(&mut trainer), before);
    }

    #[test]
    fn without_a_copy_a_diverged_training_leaves_its_last_step() {
        let data = line(16);
        let fit = |epochs: usize| Fit::epochs(epochs).batch(4).keep_best(false).silent();
        let mut trainer = trainer();
        let error = trainer.fit(&data, fit(9)).unwrap_err();
        assert!(error.to_string().ends_with("the weights are those after that step"), "{error}");
        assert!(matches!(error, TrainError::Diverged { best: None, .. }));
        assert!(trainer.weights().unwrap()["dense/kernel"].to_f64_vec().iter().any(|x| !x.is_finite()));
        // One that doesn't diverge learns the same.
        let [mut with, mut without] = [self::trainer(), self::trainer()];
        with.fit(&data, Fit::epochs(2).batch(4).silent()).unwrap();
        without.fit(&data, fit(2)).unwrap();
        assert_eq!(states(&mut with), states(&mut without));
    }
}
