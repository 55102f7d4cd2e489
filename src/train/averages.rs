//! Moving averages of the weights, which an optimizer with [`crate::optim::Optimizer::ema`] keeps, in place of them.

use super::{TrainError, Trainer};
use crate::dsl::{Parameter, StateRole};
use crate::optim::{AVERAGE, steps_per_update};
use ir::{TensorType, Value};
use std::collections::BTreeMap;

impl Trainer {
    /// What `f` gives with the averages in place of the weights: evaluates, predicts or saves them. Afterwards the weights are as they were, also if it fails. (What `f`
    /// trains is lost.) Running statistics have no average and stay.
    ///
    /// ```
    /// use gradc::data::array;
    /// use gradc::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let data = Dataset::new(array([2, 1], vec![0.0f32, 1.0])?, array([2, 1], vec![1.0f32, 3.0])?)?;
    /// let mut trainer = Sequential::new([1]).dense(1).compile(Sgd::new(0.1).ema(0.9), MeanSquaredError, [])?;
    /// trainer.fit(&data, Fit::epochs(20).silent())?;
    /// let (of_weights, of_averages) = (trainer.evaluate(&data)?, trainer.with_averages(|trainer| trainer.evaluate(&data))?);
    /// assert!(of_averages.loss > of_weights.loss, "the averages come after");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `f` fails with; an optimizer that keeps no averages.
    pub fn with_averages<R>(&mut self, f: impl FnOnce(&mut Self) -> Result<R, TrainError>) -> Result<R, TrainError> {
        let averages = self.averages()?;
        let weights = self.programs.states(|role| role == StateRole::Parameter)?;
        self.programs.set_states(averages)?;
        let result = f(self);
        self.programs.set_states(weights)?;
        result
    }

    /// The averages become the weights: at the end of training, what Keras's `finalize_variable_values` does.
    ///
    /// # Errors
    /// An optimizer that keeps no averages.
    pub fn use_averages(&mut self) -> Result<(), TrainError> {
        let averages = self.averages()?;
        self.programs.set_states(averages)
    }

    /// The averages by the parameters' names, in their types. Those of parameters that haven't been updated yet are left out.
    pub(super) fn averages(&mut self) -> Result<BTreeMap<String, Value>, TrainError> {
        let steps = self.steps()?;
        let slots = self.programs.states(|role| role == StateRole::Slot)?;
        let weights = self.programs.states(|role| role == StateRole::Parameter)?;
        let optimizer = &*self.programs.subject.optimizer;
        let (mut averages, mut kept) = (BTreeMap::new(), false);
        for (slot, average) in slots {
            let Some(name) = slot.split_once('/').and_then(|(_, slot)| slot.strip_prefix(AVERAGE)?.strip_prefix('/'))
            else {
                continue;
            };
            let Some(ty) = weights.get(name).map(|weight| weight.ty().clone()) else { continue };
            kept = true;
            let parameter = Parameter { name: name.into(), shape: ty.shape.clone(), dtype: ty.dtype };
            if steps >= steps_per_update(optimizer, &parameter) {
                averages.insert(parameter.name, converted(&average, ty));
            }
        }
        let missing =
            || TrainError::Setting("the optimizer keeps no averages of the weights: add `.ema(0.999)`".into());
        kept.then_some(averages).ok_or_else(missing)
    }
}

/// The elements in that type.
fn converted(value: &Value, ty: TensorType) -> Value {
    let dtype = ty.dtype;
    Value::from_fn(ty, |i| value.get(i).cast(dtype))
}
