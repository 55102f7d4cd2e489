//! From a loss to a training step: gradients of all parameters, clipping, updates.

use super::{Optimizer, Update};
use crate::dsl::{GraphBuilder, LEARNING_RATE, ModelErrors, StateRole, Step, Tensor, TypeSpec, constant};
use ir::{DType, Loc};
use std::borrow::Borrow;
use std::collections::BTreeMap;

/// The scalars that all updates share, by element type.
struct SharedScalars {
    lr: Tensor,
    step: Tensor,
    by_dtype: BTreeMap<DType, (Tensor, Tensor)>,
}

impl SharedScalars {
    /// Declares the learning rate, in that type, and the count of steps.
    #[track_caller]
    fn declare(g: &GraphBuilder, dtype: DType, optimizer: &dyn Optimizer) -> Self {
        let initial = optimizer.schedule().at(0);
        let lr = g.port(LEARNING_RATE, TypeSpec::new(dtype, []), constant(initial), StateRole::Runtime);
        Self { lr, step: g.step_count(), by_dtype: BTreeMap::new() }
    }

    /// Updates parameters by their gradients.
    #[track_caller]
    fn update(&mut self, parameters: &[(String, Tensor)], gradients: Vec<Tensor>, optimizer: &dyn Optimizer) {
        let gradients = optimizer.prepare(gradients);
        for ((name, parameter), gradient) in parameters.iter().zip(&gradients) {
            let Some(dtype) = parameter.dtype() else { continue };
            let (lr, t) = self.get(dtype);
            let cx = Update { optimizer: optimizer.name(), parameter: name, lr, t };
            parameter.builder().set_update(name, &optimizer.update(&cx, parameter, gradient));
        }
    }

    /// Updates the used rows of a parameter by their gradients, if the optimizer can.
    #[track_caller]
    fn update_rows(
        &mut self,
        name: &str,
        parameter: &Tensor,
        (rows, indices): (Tensor, Tensor),
        loss: &Tensor,
        optimizer: &dyn Optimizer,
    ) -> bool {
        let Some(dtype) = parameter.dtype() else { return false };
        let (lr, t) = self.get(dtype);
        let cx = Update { optimizer: optimizer.name(), parameter: name, lr, t };
        let gradient = parameter.builder().gradients(loss, &[&rows]).remove(0);
        let updated = optimizer.update_rows(&cx, parameter, &indices, &gradient);
        if let Some(new) = &updated {
            parameter.builder().set_update(name, new);
        }
        updated.is_some()
    }

    /// Learning rate and number of the step in that type.
    #[track_caller]
    fn get(&mut self, dtype: DType) -> (Tensor, Tensor) {
        if let Some(found) = self.by_dtype.get(&dtype) {
            return found.clone();
        }
        let scalars = (self.lr.cast(dtype), (&self.step + 1).cast(dtype));
        self.by_dtype.insert(dtype, scalars.clone());
        scalars
    }
}

impl GraphBuilder {
    /// The training step that lowers `loss` (a float scalar) plus the regularizers' penalties: every parameter declared so far is
    /// updated by the optimizer. The sum is the output `loss`, unless an output of that name exists.
    ///
    /// The step has the states [`LEARNING_RATE`] and [`crate::dsl::STEP`] besides the optimizer's.
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
    /// All rules that the model breaks, this call's included: a loss that is no float scalar, no parameter to train.
    #[track_caller]
    pub fn minimize(&self, loss: impl Borrow<Tensor>, optimizer: &dyn Optimizer) -> Result<Step, ModelErrors> {
        let total = self.with_penalties(loss.borrow());
        if !self.has_output("loss") {
            self.output("loss", &total);
        }
        // Optimizers are called through a trait object, which knows no caller.
        self.at(Loc::caller(), || self.update_parameters(&total, optimizer));
        self.finish()
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

    /// Whether an optimizer's settings can be; a diagnostic says so if not.
    #[track_caller]
    fn admits(&self, optimizer: &dyn Optimizer) -> bool {
        optimizer.check().map_err(|rule| self.fail(optimizer.name(), &[], rule)).is_ok()
    }

    /// Updates every parameter declared so far so as to lower `loss`, a float scalar.
    pub(crate) fn update_parameters(&self, loss: &Tensor, optimizer: &dyn Optimizer) {
        let Some(ty) = loss.ty() else { return };
        if !ty.dtype.is_float() || ty.shape.rank() != 0 {
            let rule = format!("the loss must be a float scalar, not {ty}: reduce it, with `mean()` for instance");
            self.fail("minimize", &[loss], rule);
            return;
        }
        let parameters = self.parameters();
        if parameters.is_empty() {
            self.fail("minimize", &[loss], "the graph has no parameter to train");
            return;
        }
        if !self.admits(optimizer) {
            return;
        }
        let dtype = if ty.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let mut shared = SharedScalars::declare(self, dtype, optimizer);
        // Before gradients make further uses.
        let by_rows: Vec<_> = parameters.iter().map(|(name, p)| self.rows_of(name, p)).collect();
        let mut whole = Vec::new();
        for ((name, parameter), rows) in parameters.into_iter().zip(by_rows) {
            let updated = rows.is_some_and(|rows| shared.update_rows(&name, &parameter, rows, loss, optimizer));
            if !updated {
                whole.push((name, parameter));
            }
        }
        let wrt: Vec<&Tensor> = whole.iter().map(|(_, p)| p).collect();
        shared.update(&whole, self.gradients(loss, &wrt), optimizer);
    }

    /// Updates every parameter declared so far by a gradient that has been computed otherwise than by [`GraphBuilder::minimize`]: one for
    /// each parameter, of its type, in the order of their declaration. The states are those of `minimize`; the learning rate is `f64` if
    /// all parameters are, else `f32`.
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder, zeros};
    /// use gradc::optim::Sgd;
    /// let g = GraphBuilder::new("update");
    /// g.param("w", f32([3]), zeros());
    /// g.apply_gradients(&[g.input("dw", f32([3]))], &Sgd::new(0.1));
    /// assert_eq!(g.finish().unwrap().graph.updates()[0].0, "w");
    /// ```
    #[track_caller]
    pub fn apply_gradients(&self, gradients: &[Tensor], optimizer: &dyn Optimizer) {
        let parameters = self.parameters();
        if gradients.len() != parameters.len() {
            let rule =
                format!("{} gradients for {} parameters: one for each is needed", gradients.len(), parameters.len());
            self.fail("apply_gradients", &gradients.iter().collect::<Vec<_>>(), rule);
            return;
        }
        for ((name, parameter), gradient) in parameters.iter().zip(gradients) {
            if let (Some(wanted), Some(found)) = (parameter.ty(), gradient.ty())
                && wanted != found
            {
                let rule = format!("the gradient of {name:?} must have its type, {wanted}");
                self.fail("apply_gradients", &[gradient], rule);
                return;
            }
        }
        if !self.admits(optimizer) {
            return;
        }
        let all_double = parameters.iter().all(|(_, p)| p.dtype() == Some(DType::F64));
        let dtype = if all_double { DType::F64 } else { DType::F32 };
        // Optimizers are called through a trait object, which knows no caller.
        self.at(Loc::caller(), || {
            SharedScalars::declare(self, dtype, optimizer).update(&parameters, gradients.to_vec(), optimizer);
        });
    }
}
