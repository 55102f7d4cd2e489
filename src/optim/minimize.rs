//! From a loss to a training step: gradients of parameters, what is done to them, updates.

use super::groups::no_parameter;
use super::loss_scale::Scaled;
use super::rates::{Member, member_of, members};
use super::{Optimizer, Update};
use crate::dsl::{GraphBuilder, ModelErrors, Parameter, Select, StateRole, Step, Tensor, TypeSpec, constant};
use ir::{DType, Loc, map_of};
use std::borrow::Borrow;
use std::collections::BTreeMap;

/// A parameter to be updated.
struct Trained {
    parameter: Parameter,
    tensor: Tensor,
    /// Which member of the optimizer updates it.
    member: usize,
}

/// The updates of some parameters of a graph by one optimizer.
struct Updates<'o> {
    optimizer: &'o dyn Optimizer,
    members: Vec<Member<'o>>,
    /// The members' learning rates.
    rates: Vec<Option<Tensor>>,
    step: Tensor,
    /// Learning rate and number of the step as other element types, by member.
    scalars: BTreeMap<(usize, DType), (Tensor, Tensor)>,
}

impl<'o> Updates<'o> {
    /// Declares the learning rates, in that type, and the count of steps. With `whole` it is all parameters of the graph that are updated.
    #[track_caller]
    fn declare(g: &GraphBuilder, dtype: DType, optimizer: &'o dyn Optimizer, whole: bool) -> Self {
        let members = g.with_optimizer_names(|taken| members(optimizer, taken, whole));
        let mut rates = Vec::with_capacity(members.len());
        for member in &members {
            let initial = member.optimizer.schedule().map_or(1.0, |schedule| schedule.at(0));
            let rate = member.rate.as_ref();
            rates.push(rate.map(|n| g.port(n, TypeSpec::new(dtype, []), constant(initial), StateRole::Runtime)));
        }
        Self { optimizer, members, rates, step: g.step_count(), scalars: BTreeMap::new() }
    }

    /// Those of the parameters that aren't frozen.
    fn trained(&self, parameters: Vec<(Parameter, Tensor)>) -> Vec<Trained> {
        let member = |parameter: &Parameter| member_of(&self.members, self.optimizer, parameter);
        let trained = parameters
            .into_iter()
            .filter_map(|(parameter, tensor)| member(&parameter).map(|member| Trained { parameter, tensor, member }));
        trained.collect()
    }

    /// Updates parameters by their gradients, or by those of the scaled loss.
    #[track_caller]
    fn update(&mut self, trained: &[Trained], mut gradients: Vec<Tensor>, scaled: Option<&Scaled>) {
        for one in trained {
            self.scalars_of(one);
        }
        let mut contexts: Vec<Update<'_>> = trained.iter().map(|one| self.context(one)).collect();
        if let Some(scaled) = scaled {
            let (unscaled, finite) = scaled.unscale(&gradients);
            gradients = unscaled;
            contexts = contexts.into_iter().map(|cx| scaled.context(cx, &finite)).collect();
        }
        let gradients = self.optimizer.prepare(&contexts, gradients);
        for ((one, cx), gradient) in trained.iter().zip(&contexts).zip(&gradients) {
            let g = one.tensor.builder();
            g.of_layer(one.parameter.layer(), || {
                let new = cx.when_due(&self.optimizer.update(cx, &one.tensor, gradient), &one.tensor);
                g.set_update(&one.parameter.name, &new);
            });
        }
    }

    /// The scaled loss, if the optimizer scales it.
    #[track_caller]
    fn scaled(&self, g: &GraphBuilder) -> Option<Scaled> {
        let name = self.members.first().map_or(self.optimizer.name(), |member| &member.name);
        Scaled::declare(g, self.optimizer, name)
    }

    /// Updates the used rows of a parameter by their gradients, if the optimizer can.
    #[track_caller]
    fn update_rows(&mut self, one: &Trained, (rows, indices): (Tensor, Tensor), loss: &Tensor) -> bool {
        self.scalars_of(one);
        let g = one.tensor.builder();
        let gradient = g.gradients(loss, &[&rows]).remove(0);
        g.of_layer(one.parameter.layer(), || {
            let updated = self.optimizer.update_rows(&self.context(one), &one.tensor, &indices, &gradient);
            if let Some(new) = &updated {
                g.set_update(&one.parameter.name, new);
            }
            updated.is_some()
        })
    }

    /// Makes the learning rate and the number of the step in the parameter's type, if they aren't there.
    #[track_caller]
    fn scalars_of(&mut self, one: &Trained) {
        let dtype = one.parameter.dtype;
        let (rate, step) = (&self.rates[one.member], &self.step);
        self.scalars.entry((one.member, dtype)).or_insert_with(|| {
            let rate = rate.as_ref().map_or_else(|| step.builder().scalar(1.0, dtype), |rate| rate.cast(dtype));
            (rate, (step + 1).cast(dtype))
        });
    }

    fn context<'a>(&'a self, one: &'a Trained) -> Update<'a> {
        let (lr, t) = self.scalars[&(one.member, one.parameter.dtype)].clone();
        let optimizer = &self.members[one.member].name;
        Update { optimizer, parameter: &one.parameter, lr, t, made: self.step.clone(), due: None, counts: None }
    }
}

impl GraphBuilder {
    /// The training step that lowers `loss` (a float scalar) plus the regularizers' penalties: every parameter declared so far is
    /// updated by the optimizer. The sum is the output `loss`, unless an output of that name exists.
    ///
    /// The step has the states [`crate::dsl::LEARNING_RATE`] and [`crate::dsl::STEP`] besides the optimizer's.
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder, zeros};
    /// use gradc::optim::Sgd;
    /// let g = GraphBuilder::new("fit");
    /// let w = g.param("w", f32([3]), zeros());
    /// let loss = (g.input("x", f32([3])) - w).square().mean();
    /// let step = g.minimize(loss, &Sgd::new(0.01)).unwrap();
    /// assert!(step.state("lr").is_some());
    /// ```
    ///
    /// # Errors
    /// All rules that the model breaks, this call's included: a loss that is no float scalar, no parameter to train, a parameter that is updated already.
    #[track_caller]
    pub fn minimize(&self, loss: impl Borrow<Tensor>, optimizer: &dyn Optimizer) -> Result<Step, ModelErrors> {
        let total = self.with_penalties(loss.borrow());
        if !self.has_output("loss") {
            self.output("loss", &total);
        }
        self.minimize_only(total, &Select::all(), optimizer);
        self.finish()
    }

    /// Updates the parameters declared so far that are meant so as to lower `loss` (a float scalar). Others may be updated by other calls, each for a loss and with an
    /// optimizer of its own, in one step: all of them read the parameters as they were before it. Penalties of regularizers aren't added, and nothing becomes an output.
    ///
    /// An optimizer of a part of the parameters has its rate in the state `NAME/lr`, with the optimizer's name, which is `adam`, for a second one `adam_1`, or what
    /// [`Optimizer::named`] says.
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder, Select, zeros};
    /// use gradc::optim::{Adam, Optimizer};
    /// let g = GraphBuilder::new("game");
    /// let x = g.param("minimizer/x", f32([]), zeros());
    /// let y = g.param("maximizer/y", f32([]), zeros());
    /// let value = (&x - 1.0) * (&y + 2.0);
    /// g.minimize_only(&value, &Select::layer("minimizer"), &Adam::default().named("down"));
    /// g.minimize_only(-&value, &Select::layer("maximizer"), &Adam::default().named("up"));
    /// g.output("value", &value);
    /// let step = g.finish().unwrap();
    /// assert!(step.state("down/lr").is_some() && step.state("up/m/maximizer/y").is_some());
    /// ```
    ///
    /// A loss that is no float scalar, a choice that means no parameter, and a parameter that is updated already are errors of [`GraphBuilder::finish`].
    #[track_caller]
    pub fn minimize_only(&self, loss: impl Borrow<Tensor>, select: &Select, optimizer: &dyn Optimizer) {
        let loss = loss.borrow();
        // Optimizers are called through a trait object, which knows no caller.
        self.at(Loc::caller(), || self.lower(loss, select, optimizer));
    }

    /// The loss plus the regularizers' penalties.
    #[track_caller]
    pub fn with_penalties(&self, loss: &Tensor) -> Tensor {
        let mut total = loss.clone();
        for penalty in self.penalties() {
            total = total + penalty;
        }
        total
    }

    fn lower(&self, loss: &Tensor, select: &Select, optimizer: &dyn Optimizer) {
        let Some(ty) = loss.ty() else { return };
        if !ty.dtype.is_float() || ty.shape.rank() != 0 {
            let rule = format!("the loss must be a float scalar, not {ty}: reduce it, with `mean()` for instance");
            self.fail("minimize", &[loss], rule);
            return;
        }
        let all = described(self.parameters());
        if all.is_empty() {
            self.fail("minimize", &[loss], "the graph has no parameter to train");
            return;
        }
        let count = all.len();
        let names: Vec<Parameter> = all.iter().map(|(parameter, _)| parameter.clone()).collect();
        let chosen: Vec<_> = all.into_iter().filter(|(parameter, _)| select.holds(parameter)).collect();
        if chosen.is_empty() {
            self.fail("minimize", &[loss], no_parameter(select, &names));
            return;
        }
        if !self.admits("minimize", &chosen, optimizer) {
            return;
        }
        let dtype = if ty.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let whole = chosen.len() == count;
        let mut updates = Updates::declare(self, dtype, optimizer, whole);
        let trained = updates.trained(chosen);
        if trained.is_empty() {
            self.fail("minimize", &[loss], "all parameters are frozen");
        }
        let scaled = updates.scaled(self);
        let loss = scaled.as_ref().map_or_else(|| loss.clone(), |scaled| scaled.loss(loss));
        let loss = &self.loss_of_process(&loss);
        // Before gradients make further uses.
        let by_rows: Vec<_> = trained.iter().map(|one| self.rows_of(&one.parameter.name, &one.tensor)).collect();
        let mut rest = Vec::new();
        for (one, rows) in trained.into_iter().zip(by_rows) {
            // Processes have gradients of different rows: they are summed as a whole.
            let by_rows = scaled.is_none() && !self.is_parallel();
            if !rows.is_some_and(|rows| by_rows && updates.update_rows(&one, rows, loss)) {
                rest.push(one);
            }
        }
        let wrt: Vec<&Tensor> = rest.iter().map(|one| &one.tensor).collect();
        let gradients = self.gradients_of_processes(self.gradients(loss, &wrt));
        updates.update(&rest, gradients, scaled.as_ref());
    }

    /// Whether the optimizer can update these parameters; a diagnostic says so if not.
    #[track_caller]
    fn admits(&self, what: &str, parameters: &[(Parameter, Tensor)], optimizer: &dyn Optimizer) -> bool {
        let described: Vec<Parameter> = parameters.iter().map(|(parameter, _)| parameter.clone()).collect();
        let settings = optimizer.check();
        let groups = optimizer.groups().map_or(Ok(()), |groups| groups.check_parameters(&described));
        if let Err(rule) = settings.and(groups) {
            self.fail(optimizer.name(), &[], rule);
            return false;
        }
        match described.iter().find(|parameter| self.is_updated(&parameter.name)) {
            Some(Parameter { name, .. }) => {
                self.fail(what, &[], format!("the parameter {name:?} is updated already: a step does so once"));
                false
            }
            None => true,
        }
    }

    /// Updates parameters by gradients that have been computed otherwise than by [`GraphBuilder::minimize`]: of pairs (gradient, parameter) of one type each, as
    /// Keras's method of that name. Parameters without a gradient stay as they are, or are updated by another call. The states are those of
    /// [`GraphBuilder::minimize_only`]; learning rates are `f64` if all these parameters are, else `f32`.
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder, zeros};
    /// use gradc::optim::Sgd;
    /// let g = GraphBuilder::new("update");
    /// let w = g.param("w", f32([3]), zeros());
    /// g.apply_gradients([(g.input("dw", f32([3])), w)], &Sgd::new(0.1));
    /// assert_eq!(g.finish().unwrap().graph.updates()[0].0, "w");
    /// ```
    ///
    /// A tensor that is no parameter, a gradient of another type, and a parameter that is updated already are errors of [`GraphBuilder::finish`].
    #[track_caller]
    pub fn apply_gradients(&self, pairs: impl IntoIterator<Item = (Tensor, Tensor)>, optimizer: &dyn Optimizer) {
        let (gradients, tensors): (Vec<Tensor>, Vec<Tensor>) = pairs.into_iter().unzip();
        let known = described(self.parameters());
        let mut chosen: Vec<(Parameter, Tensor)> = Vec::with_capacity(tensors.len());
        for (tensor, gradient) in tensors.iter().zip(&gradients) {
            let (Some(wanted), Some(found)) = (tensor.ty(), gradient.ty()) else { return };
            let Some(parameter) = known.iter().find(|(_, p)| p.node() == tensor.node() && self.same(tensor.builder()))
            else {
                self.fail(
                    "apply_gradients",
                    &[gradient, tensor],
                    "the second of a pair must be a parameter of the graph",
                );
                return;
            };
            let name = &parameter.0.name;
            if wanted != found {
                let rule = format!("the gradient of {name:?} must have its type, {wanted}");
                self.fail("apply_gradients", &[gradient], rule);
                return;
            }
            if chosen.iter().any(|(p, _)| p.name == *name) {
                self.fail("apply_gradients", &[gradient], format!("the parameter {name:?} has two gradients"));
                return;
            }
            chosen.push(parameter.clone());
        }
        if !self.admits("apply_gradients", &chosen, optimizer) {
            return;
        }
        if optimizer.scaling().is_some() {
            let rule = "these gradients are there already: the loss is scaled where `minimize` takes them";
            self.fail("apply_gradients", &[], rule);
            return;
        }
        let all_double = chosen.iter().all(|(parameter, _)| parameter.dtype == DType::F64);
        let dtype = if all_double { DType::F64 } else { DType::F32 };
        let whole = chosen.len() == known.len();
        let of = map_of(chosen.iter().map(|(p, _)| p.name.clone()).zip(gradients));
        // Optimizers are called through a trait object, which knows no caller.
        self.at(Loc::caller(), || {
            let mut updates = Updates::declare(self, dtype, optimizer, whole);
            let trained = updates.trained(chosen);
            let gradients = trained.iter().filter_map(|one| of.get(&one.parameter.name).cloned()).collect();
            updates.update(&trained, gradients, None);
        });
    }
}

/// What an optimizer is told of parameters, beside them.
fn described(parameters: Vec<(String, Tensor)>) -> Vec<(Parameter, Tensor)> {
    let pairs = parameters.into_iter().filter_map(|(name, tensor)| Some((Parameter::of(&name, &tensor)?, tensor)));
    pairs.collect()
}
