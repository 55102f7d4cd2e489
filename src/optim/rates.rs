//! The optimizers that an optimizer is made of: how each is called in a graph, and which state holds its learning rate.

use super::{Optimizer, Schedule};
use crate::dsl::{LEARNING_RATE, Parameter, first_free};
use std::collections::BTreeSet;

/// An optimizer that updates parameters itself, not by groups.
pub(super) struct Member<'o> {
    pub(super) optimizer: &'o dyn Optimizer,
    /// Its name, or that with a number: unique in the graph.
    pub(super) name: String,
    /// The state of its learning rate, if it has one.
    pub(super) rate: Option<String>,
    /// How many steps an update takes.
    every: u64,
    /// At which of its groups' optimizers, from the outermost on, it is found.
    path: Vec<usize>,
}

/// The members of an optimizer, in order. `taken` are names of optimizers that the graph has; with `alone`, a rate that is the only one is called `lr`.
pub(super) fn members<'o>(optimizer: &'o dyn Optimizer, taken: &mut BTreeSet<String>, alone: bool) -> Vec<Member<'o>> {
    let mut found = Vec::new();
    collect(optimizer, 1, &mut Vec::new(), &mut found);
    let alone = alone && found.iter().filter(|member| member.optimizer.schedule().is_some()).count() == 1;
    for member in &mut found {
        member.name = first_free(member.optimizer.name(), |name| taken.contains(name));
        taken.insert(member.name.clone());
        member.rate = member.optimizer.schedule().map(|_| match alone {
            true => LEARNING_RATE.to_string(),
            false => format!("{}/{LEARNING_RATE}", member.name),
        });
    }
    found
}

fn collect<'o>(optimizer: &'o dyn Optimizer, every: u64, path: &mut Vec<usize>, found: &mut Vec<Member<'o>>) {
    let every = every * optimizer.steps_per_update();
    let Some(groups) = optimizer.groups() else {
        found.push(Member { optimizer, name: String::new(), rate: None, every, path: path.clone() });
        return;
    };
    for (number, inner) in groups.optimizers().enumerate() {
        path.push(number);
        collect(inner, every, path, found);
        path.pop();
    }
}

/// Which of the members updates a parameter; `None` if it is frozen.
pub(super) fn member_of(members: &[Member<'_>], optimizer: &dyn Optimizer, parameter: &Parameter) -> Option<usize> {
    let mut path = Vec::new();
    let mut at = optimizer;
    while let Some(groups) = at.groups() {
        let number = groups.number(parameter)?;
        path.push(number);
        at = groups.optimizers().nth(number)?;
    }
    members.iter().position(|member| member.path == path)
}

/// How many steps an update of that parameter takes.
pub(crate) fn steps_per_update(optimizer: &dyn Optimizer, parameter: &Parameter) -> u64 {
    let inner = optimizer.groups().and_then(|groups| groups.optimizers().nth(groups.number(parameter)?));
    optimizer.steps_per_update() * inner.map_or(1, |inner| steps_per_update(inner, parameter))
}

/// A learning rate of a training step.
#[derive(Clone)]
pub(crate) struct LearningRate {
    /// The state that holds it.
    pub(crate) state: String,
    /// As a function of the number of updates.
    pub(crate) schedule: Schedule,
    every: u64,
}

impl LearningRate {
    /// The rate for the step that follows `steps` steps taken.
    pub(crate) fn at(&self, steps: u64) -> f64 {
        self.schedule.at(steps / self.every)
    }
}

/// The learning rates of a step that updates all of a model's parameters.
pub(crate) fn learning_rates(optimizer: &dyn Optimizer) -> Vec<LearningRate> {
    let members = members(optimizer, &mut BTreeSet::new(), true);
    let rates = members.into_iter().filter_map(|member| {
        let schedule = member.optimizer.schedule()?.clone();
        Some(LearningRate { state: member.rate?, schedule, every: member.every })
    });
    rates.collect()
}
