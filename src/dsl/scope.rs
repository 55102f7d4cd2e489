//! What layers leave in a graph while they are applied: penalties, masks, logits, maps of attention, and whether the graph is for training.

use super::layer::LayerScope;
use super::parallel::ProcessSums;
use super::reparametrize::Reparametrization;
use super::{GraphBuilder, Parameter, Policy, Select, Tensor};
use ir::{Loc, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// How a tensor of probabilities came about: from which logits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Squash {
    Softmax,
    Sigmoid,
}

/// The part of a builder that layers use.
#[derive(Default)]
pub(crate) struct Scope {
    pub(crate) training: bool,
    /// How many attention layers have made their weights an output, if they are to.
    attention_maps: Option<usize>,
    pub(crate) layers: LayerScope,
    /// In which types layers compute, if that has been said.
    pub(super) policy: Option<Policy>,
    /// The parameters, by the nodes that are their rounded values.
    pub(super) masters: BTreeMap<NodeId, NodeId>,
    /// What layers get in place of parameters, the outermost first.
    pub(super) reparametrizations: Vec<Reparametrization>,
    pub(crate) penalties: Vec<NodeId>,
    pub(crate) logits: BTreeMap<NodeId, (Squash, NodeId)>,
    /// Which steps of a tensor count, `[batch, time]` of truth values.
    pub(super) masks: BTreeMap<NodeId, NodeId>,
    /// The states that may be updated by rows, each with the node that takes them.
    rows: BTreeMap<String, NodeId>,
    /// Whose moving statistics stand still in training; from where that was asked, and whether there were any.
    still: Vec<(Select, Loc, bool)>,
    /// What is summed over processes, if several take the step.
    pub(super) sums: Option<ProcessSums>,
    /// The optimizers' names.
    optimizers: BTreeSet<String>,
}

/// `base`, or the first of `base_1`, `base_2`, ... that isn't taken.
pub(crate) fn first_free(base: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let (mut name, mut number) = (base.to_string(), 0);
    while is_taken(&name) {
        number += 1;
        name = format!("{base}_{number}");
    }
    name
}

impl GraphBuilder {
    /// True if the graph is for training: dropout drops, batch normalization uses the batch's statistics.
    pub fn is_training(&self) -> bool {
        self.inner().scope.training
    }

    /// Says whether what is declared from here on is for training. A new builder is not.
    pub fn set_training(&self, training: bool) {
        self.inner_mut().scope.training = training;
    }

    /// Batch normalizations applied from here on whose moving statistics are meant (as `LAYER/moving_mean`) normalize by them in training too, and leave them as they are.
    /// With frozen parameters (see [`crate::optim::Groups::freeze`], or a `minimize_only` that leaves them out) what Keras does in layers with `trainable = False`.
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder, Select};
    /// use gradc::nn::{BatchNorm, Layer};
    /// let g = GraphBuilder::new("fine-tuning");
    /// g.set_training(true);
    /// g.freeze_statistics(Select::layer("batch_normalization"));
    /// g.output("y", &BatchNorm::new().apply(&g.input("x", f32([8, 4]))));
    /// assert!(g.finish().unwrap().graph.updates().is_empty());
    /// ```
    ///
    /// A choice that means none is an error of [`GraphBuilder::finish`].
    #[track_caller]
    pub fn freeze_statistics(&self, select: Select) {
        let place = self.root().inner().scope.layers.place();
        let loc = place.unwrap_or_else(Loc::caller);
        self.root().inner_mut().scope.still.push((select, loc, false));
    }

    /// Whether a layer that has the moving statistic of that name is to use it, not the batch's.
    pub(crate) fn uses_moving(&self, statistic: &str, moving: &Tensor) -> bool {
        let Some(parameter) = Parameter::of(statistic, moving) else { return false };
        let mut frozen = false;
        for (_, _, found) in self.root().inner_mut().scope.still.iter_mut().filter(|one| one.0.holds(&parameter)) {
            (*found, frozen) = (true, true);
        }
        frozen || !self.is_training()
    }

    /// Choices of [`GraphBuilder::freeze_statistics`] that have meant nothing, with their places.
    pub(super) fn still_missing(&self) -> Vec<(Select, Loc)> {
        let inner = self.inner();
        let missing = inner.scope.still.iter().filter(|(.., found)| !found);
        missing.map(|(select, loc, _)| (select.clone(), loc.clone())).collect()
    }

    /// Has attention layers that are applied from here on make their weights an output, `<layer>/weights`.
    pub(crate) fn watch_attention(&self) {
        self.inner_mut().scope.attention_maps = Some(0);
    }

    /// True if attention layers make their weights an output.
    pub(crate) fn watches_attention(&self) -> bool {
        self.inner().scope.attention_maps.is_some()
    }

    /// Makes the weights of an attention layer an output: `<layer>/weights`, and `<layer>/weights_1` of its second application.
    #[track_caller]
    pub(crate) fn output_attention(&self, layer: &str, weights: &Tensor) {
        self.output(&first_free(&format!("{layer}/weights"), |name| self.has_output(name)), weights);
        if let Some(count) = &mut self.inner_mut().scope.attention_maps {
            *count += 1;
        }
    }

    /// How many attention layers have made their weights an output.
    pub(crate) fn attention_maps(&self) -> usize {
        self.inner().scope.attention_maps.unwrap_or(0)
    }

    /// Gives `f` the names of optimizers in this graph, to add others.
    pub(crate) fn with_optimizer_names<R>(&self, f: impl FnOnce(&mut BTreeSet<String>) -> R) -> R {
        f(&mut self.inner_mut().scope.optimizers)
    }

    /// Says that a parameter is used by these rows of it, so that an optimizer may update only those.
    pub(crate) fn update_by_rows(&self, state: &str, rows: &Tensor) {
        if let Some(node) = rows.node() {
            rows.builder().inner_mut().scope.rows.insert(state.into(), node);
        }
    }

    /// The rows that are a parameter's only use, if that has been said and is so, and their indices.
    pub(crate) fn rows_of(&self, state: &str, parameter: &Tensor) -> Option<(Tensor, Tensor)> {
        let (rows, indices) = {
            let inner = self.inner();
            let rows = *inner.scope.rows.get(state)?;
            if inner.graph.users(parameter.node()?) != [rows] {
                return None;
            }
            (rows, *inner.graph.operands(rows).get(1)?)
        };
        let tensor = |node| Tensor::new(self.clone(), Some(node));
        Some((tensor(rows), tensor(indices)))
    }

    /// Adds a scalar to what training minimizes besides the loss: a regularizer's penalty.
    #[track_caller]
    pub fn add_penalty(&self, penalty: &Tensor) {
        let root = self.root();
        if let Some(node) = penalty.node() {
            if penalty.builder().parent().is_some() {
                root.fail("a penalty", &[penalty], "it depends on a step of a scan: add what the scan gives");
                return;
            }
            root.inner_mut().scope.penalties.push(node);
        }
    }

    /// Whether a penalty depends on an input of the graph, and not on parameters alone.
    pub(crate) fn penalizes_inputs(&self) -> bool {
        let inner = self.inner();
        let (mut pending, mut seen) = (inner.scope.penalties.clone(), BTreeSet::new());
        while let Some(node) = pending.pop() {
            if matches!(inner.graph.op(node), Op::Input(_)) {
                return true;
            }
            if seen.insert(node) {
                pending.extend(inner.graph.operands(node));
            }
        }
        false
    }

    /// The penalties added so far.
    pub fn penalties(&self) -> Vec<Tensor> {
        let nodes = self.inner().scope.penalties.clone();
        nodes.into_iter().map(|node| Tensor::new(self.clone(), Some(node))).collect()
    }
}
