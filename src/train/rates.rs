//! A trainer's learning rates: one, or one for each of the optimizer's groups. They are states, so that nothing is compiled anew.

use super::{TrainError, Trainer};
use crate::compile::CompiledProgram;
use crate::dsl::{LEARNING_RATE, StateRole};
use crate::optim::{LearningRate, check_rate};
use ir::{Scalar, Shape, Value};
use std::collections::BTreeMap;

impl Trainer {
    /// The learning rate of the next step.
    ///
    /// # Errors
    /// If the optimizer has several or none: see [`Self::learning_rates`].
    pub fn learning_rate(&mut self) -> Result<f64, TrainError> {
        let name = self.only_rate()?;
        let rates = self.learning_rates()?;
        Ok(rates.into_iter().find(|(state, _)| *state == name).map_or(0.0, |(_, rate)| rate))
    }

    /// The learning rates of the next step, each with its state's name: `lr`, or `NAME/lr` for each of several, by the optimizers' names.
    ///
    /// # Errors
    /// None that a trainer without a failed step has.
    pub fn learning_rates(&mut self) -> Result<Vec<(String, f64)>, TrainError> {
        let steps = self.steps()?;
        let mut rates = self.last_rates()?;
        for (name, rate) in &mut rates {
            match self.rates.iter().find(|r| r.state == *name) {
                Some(scheduled) if !scheduled.schedule.is_constant() => *rate = scheduled.at(steps),
                _ => {}
            }
        }
        Ok(rates)
    }

    /// Sets the learning rate, without compiling anything anew.
    ///
    /// # Errors
    /// If the optimizer has a schedule, which would set another one at the next step; a rate that is negative or not finite; if the optimizer has several or none: see
    /// [`Self::set_learning_rate_of`].
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<(), TrainError> {
        let name = self.only_rate()?;
        self.set_learning_rate_of(&name, rate)
    }

    /// Sets one of several learning rates, by its state's name.
    ///
    /// # Errors
    /// A name that no rate has; otherwise as [`Self::set_learning_rate`].
    pub fn set_learning_rate_of(&mut self, name: &str, rate: f64) -> Result<(), TrainError> {
        let Some(known) = self.rates.iter().find(|r| r.state == name) else {
            let what = format!("the optimizer has no learning rate `{name}`; it has {}", self.names_of_rates());
            return Err(TrainError::Setting(what));
        };
        if !known.schedule.is_constant() {
            let what = "the optimizer follows a schedule: give it a constant rate to set one by hand or by a callback";
            return Err(TrainError::Setting(what.into()));
        }
        check_rate(rate).map_err(TrainError::Setting)?;
        let states = self.programs.states(|role| role == StateRole::Runtime)?;
        let Some(old) = states.get(name) else { return Ok(()) };
        let value = Value::splat(Scalar::from_f64(rate, old.ty().dtype), Shape::scalar());
        self.programs.set_states(BTreeMap::from([(name.to_string(), value)]))
    }

    /// The learning rates of the last step.
    pub(super) fn last_rates(&mut self) -> Result<Vec<(String, f64)>, TrainError> {
        let mut rates = Vec::with_capacity(self.rates.len());
        for state in self.rates.iter().map(|rate| &rate.state) {
            // A group that may be empty, and is, has no rate.
            if let Some(value) = self.programs.state(state)? {
                rates.push((state.clone(), value.get(0).as_f64()));
            }
        }
        Ok(rates)
    }

    /// The state of the only learning rate.
    fn only_rate(&self) -> Result<String, TrainError> {
        match &self.rates[..] {
            [rate] => Ok(rate.state.clone()),
            [] => Err(TrainError::Setting("the optimizer has no learning rate".into())),
            _ => {
                Err(TrainError::Setting(format!("the optimizer has several learning rates: {}", self.names_of_rates())))
            }
        }
    }

    fn names_of_rates(&self) -> String {
        let names: Vec<&str> = self.rates.iter().map(|rate| rate.state.as_str()).collect();
        names.join(", ")
    }
}

/// Whether a state or a value of an epoch is a learning rate, by its name.
pub(super) fn is_rate(name: &str) -> bool {
    name == LEARNING_RATE || name.split_once('/').is_some_and(|(_, rest)| rest == LEARNING_RATE)
}

/// Writes the learning rates that follow a schedule into a program's memory, for the step after `steps` steps.
pub(super) fn follow(program: &mut CompiledProgram, rates: &[LearningRate], steps: u64) -> Result<(), TrainError> {
    for rate in rates.iter().filter(|rate| !rate.schedule.is_constant()) {
        let value = rate.at(steps);
        check_rate(value).map_err(TrainError::Setting)?;
        program.set_state_number(&rate.state, value)?;
    }
    Ok(())
}
