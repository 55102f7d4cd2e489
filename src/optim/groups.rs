//! Parameters in groups, each with its own optimizer, or with none.

use super::{Optimizer, Schedule, Update};
use crate::dsl::{Parameter, Select, Tensor};
use std::sync::Arc;

/// An optimizer made of others: each parameter is updated by that of the first group that takes it, with its rate, decay and clipping, or is frozen, and then no gradient is
/// computed for it.
///
/// ```
/// use gradc::optim::{Adam, Groups, Optimizer, Select, Sgd};
/// let optimizer = Groups::new()
///     .freeze(Select::layer("encoder"))
///     .group(Select::pattern("*/bias"), Sgd::new(0.1).clip_value(1.0))
///     .rest(Adam::new(1e-3))
///     .clip_global_norm(5.0);
/// ```
///
/// Each rate is a state `NAME/lr` of its own, by the optimizer's name (`adam/lr`, for a second Adam `adam_1/lr`; see [`Optimizer::named`]), or `lr` if there is one rate alone.
///
/// Declaring a step fails if a group other than [`Groups::rest`] takes no parameter, or if no group takes one.
#[derive(Clone, Default)]
pub struct Groups {
    groups: Vec<ParameterGroup>,
    still: Vec<Select>,
}

/// Some parameters and what updates them.
#[derive(Clone)]
struct ParameterGroup {
    /// All that are left, if it isn't said.
    select: Option<Select>,
    /// `None` if they are frozen.
    optimizer: Option<Arc<dyn Optimizer>>,
}

impl ParameterGroup {
    fn takes(&self, parameter: &Parameter) -> bool {
        self.select.as_ref().is_none_or(|select| select.holds(parameter))
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |group: &ParameterGroup| {
            let what = group.select.as_ref().map_or("rest".into(), Select::to_string);
            (what, group.optimizer.as_ref().map_or("frozen".into(), |o| o.name().to_string()))
        };
        f.debug_map().entries(self.groups.iter().map(show)).finish()
    }
}

impl Groups {
    /// No group yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Then a group of those meant that no group before takes.
    pub fn group(mut self, select: Select, optimizer: impl Optimizer + 'static) -> Self {
        self.groups.push(ParameterGroup { select: Some(select), optimizer: Some(Arc::new(optimizer)) });
        self
    }

    /// Freezes those meant that no group before takes: they keep their values, and no gradient is computed for them. Statistics of batch normalizations are no parameters and
    /// go on following the batches, unless [`Groups::freeze_statistics`] stops them.
    pub fn freeze(mut self, select: Select) -> Self {
        self.groups.push(ParameterGroup { select: Some(select), optimizer: None });
        self
    }

    /// Then a group of all that are left, if any are.
    pub fn rest(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.groups.push(ParameterGroup { select: None, optimizer: Some(Arc::new(optimizer)) });
        self
    }

    /// Batch normalizations whose moving statistics are meant (as `LAYER/moving_mean`; [`Select::layer`] is the usual choice) normalize by them in training too, and leave
    /// them as they are: with [`Groups::freeze`] what Keras does in layers with `trainable = False`. For models that are compiled or traced; in a graph declared by hand call
    /// [`crate::dsl::GraphBuilder::freeze_statistics`] before the layers.
    pub fn freeze_statistics(mut self, select: Select) -> Self {
        self.still.push(select);
        self
    }

    /// The group that takes a parameter, by its position.
    fn position(&self, parameter: &Parameter) -> Option<usize> {
        self.groups.iter().position(|group| group.takes(parameter))
    }

    fn optimizer(&self, parameter: &Parameter) -> Option<&dyn Optimizer> {
        self.groups[self.position(parameter)?].optimizer.as_deref()
    }

    /// The optimizers of the groups that aren't frozen, in order.
    pub(super) fn optimizers(&self) -> impl Iterator<Item = &dyn Optimizer> {
        self.groups.iter().filter_map(|group| group.optimizer.as_deref())
    }

    /// Which of [`Self::optimizers`] updates a parameter; `None` if it is frozen.
    pub(super) fn number(&self, parameter: &Parameter) -> Option<usize> {
        let at = self.position(parameter)?;
        self.groups[at].optimizer.as_ref()?;
        Some(self.groups[..at].iter().filter(|group| group.optimizer.is_some()).count())
    }

    /// Checks that groups and parameters belong together.
    ///
    /// # Errors
    /// A group without parameters, a parameter without group.
    pub(super) fn check_parameters(&self, parameters: &[Parameter]) -> Result<(), String> {
        let mut taken: Vec<Vec<Parameter>> = vec![vec![]; self.groups.len()];
        for parameter in parameters {
            let Some(at) = self.position(parameter) else {
                let name = &parameter.name;
                return Err(format!("no group takes the parameter {name:?}: add `rest`, or freeze it"));
            };
            taken[at].push(parameter.clone());
        }
        for (group, taken) in self.groups.iter().zip(&taken) {
            if let (Some(select), true) = (&group.select, taken.is_empty()) {
                return Err(no_parameter(select, parameters));
            }
            match group.optimizer.as_ref().and_then(|optimizer| optimizer.groups()) {
                Some(inner) if !taken.is_empty() => inner.check_parameters(taken)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What is said of a choice that no parameter is left for.
pub(super) fn no_parameter(select: &Select, parameters: &[Parameter]) -> String {
    let names: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
    if parameters.iter().any(|p| select.holds(p)) {
        return format!("no parameter is left for {select}: groups before take all that it means");
    }
    format!("no parameter is meant by {select}; there are {}", names.join(", "))
}

impl Optimizer for Groups {
    fn name(&self) -> &str {
        "groups"
    }

    /// None: each group has its own.
    fn schedule(&self) -> Option<&Schedule> {
        None
    }

    fn check(&self) -> Result<(), String> {
        if self.groups.is_empty() {
            return Err("there is no group".into());
        }
        if self.optimizers().any(|optimizer| optimizer.scaling().is_some()) {
            return Err("a step has one loss: scale it with the groups' own `loss_scale`, not in one of them".into());
        }
        self.optimizers().try_for_each(Optimizer::check)
    }

    fn groups(&self) -> Option<&Groups> {
        Some(self)
    }

    fn frozen_statistics(&self) -> Vec<Select> {
        self.still.iter().cloned().chain(self.optimizers().flat_map(|o| o.frozen_statistics())).collect()
    }

    fn statistics(&self) -> Vec<String> {
        self.optimizers().flat_map(Optimizer::statistics).collect()
    }

    /// Each group's own.
    #[track_caller]
    fn prepare(&self, updates: &[Update<'_>], gradients: Vec<Tensor>) -> Vec<Tensor> {
        let mut prepared = gradients;
        let numbers: Vec<_> = updates.iter().map(|cx| self.number(cx.parameter())).collect();
        for (number, optimizer) in self.optimizers().enumerate() {
            let members: Vec<usize> = (0..updates.len()).filter(|i| numbers[*i] == Some(number)).collect();
            let of_group: Vec<_> = members.iter().map(|i| updates[*i].clone()).collect();
            let gradients = members.iter().map(|i| prepared[*i].clone()).collect();
            for (i, gradient) in members.iter().zip(optimizer.prepare(&of_group, gradients)) {
                prepared[*i] = gradient;
            }
        }
        prepared
    }

    #[track_caller]
    fn update(&self, cx: &Update<'_>, parameter: &Tensor, gradient: &Tensor) -> Tensor {
        match self.optimizer(cx.parameter()) {
            Some(optimizer) => optimizer.update(cx, parameter, gradient),
            None => parameter.clone(),
        }
    }

    #[track_caller]
    fn update_rows(&self, cx: &Update<'_>, p: &Tensor, indices: &Tensor, gradient: &Tensor) -> Option<Tensor> {
        self.optimizer(cx.parameter())?.update_rows(cx, p, indices, gradient)
    }
}
