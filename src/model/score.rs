//! What a model's outputs are judged by, as part of its graphs: targets, losses, metrics.

use super::batch::{Batch, SAMPLE_WEIGHT, TARGET};
use crate::dsl::{GraphBuilder, Tensor, TypeSpec};
use crate::nn::loss::{OutputLoss, batch_loss};
use crate::nn::metric::{Metric, Reported, StatefulMetric};
use ir::TensorType;

/// What outputs are judged by.
#[derive(Clone, Copy)]
pub(crate) struct Criteria<'a> {
    pub(crate) losses: &'a [OutputLoss<'a>],
    pub(crate) metrics: &'a [Metric],
    /// In which form metrics become outputs.
    pub(crate) reported: Reported,
}

/// The name under which the loss of an output is measured, of a model with several.
pub(crate) fn loss_name(output: &str) -> String {
    format!("{output}_loss")
}

/// The outputs of a model, and what was declared of them.
struct Judged<'a> {
    g: &'a GraphBuilder,
    names: &'a [String],
    outputs: &'a [Tensor],
    /// The targets of each output that has a loss.
    targets: Vec<Option<Tensor>>,
    weights: Option<Tensor>,
}

/// Declares targets and weights; the loss (the weighted sum of the outputs' losses, plus penalties), each output's loss where there are several outputs, and the metrics become
/// outputs. Gives the loss.
pub(super) fn score(
    g: &GraphBuilder,
    names: &[String],
    outputs: &[Tensor],
    batch: Batch,
    Criteria { losses, metrics, reported }: Criteria<'_>,
) -> Tensor {
    let Some(ty) = outputs.first().and_then(Tensor::ty) else { return Tensor::new(g.clone(), None) };
    if names.len() != outputs.len() {
        let rule = format!("it has {} outputs and {} names for them", outputs.len(), names.len());
        return g.fail("a model", &[], rule);
    }
    let mut judged = Judged { g, names, outputs, targets: vec![None; names.len()], weights: None };
    let mut values = Vec::new();
    for loss in losses {
        let Some(value) = judged.loss(loss, batch, &ty) else { return Tensor::new(g.clone(), None) };
        values.push(value);
    }
    let Some(sum) = values.iter().map(|(_, weighted)| weighted.clone()).reduce(|a, b| &a + in_type_of(&b, &a)) else {
        return g.fail("a model", &[], "no output has a loss");
    };
    let total = g.with_penalties(&sum);
    g.output("loss", &total);
    if names.len() > 1 {
        for (loss, (value, _)) in losses.iter().zip(&values) {
            g.output(&loss_name(loss.output.unwrap_or_default()), value);
        }
    }
    for metric in metrics {
        if let Some(at) = judged.metric(metric)
            && let Some(target) = &judged.targets[at]
        {
            metric.declare(g, &outputs[at], target, judged.weights.as_ref(), reported);
        }
    }
    total
}

/// A loss in the element type of the first one.
#[track_caller]
fn in_type_of(loss: &Tensor, first: &Tensor) -> Tensor {
    first.dtype().map_or_else(|| loss.clone(), |dtype| loss.cast(dtype))
}

impl Judged<'_> {
    /// Declares an output's targets; the output's loss over the batch, and what of it goes into the sum. `None` if a rule is broken.
    #[track_caller]
    fn loss(&mut self, loss: &OutputLoss<'_>, batch: Batch, first: &TensorType) -> Option<(Tensor, Tensor)> {
        let what = format!("the loss {}", loss.loss.name());
        let at = self.find(&what, loss.output, "by `Losses`")?;
        let (output, name) = (&self.outputs[at], &self.names[at]);
        let ty = output.ty()?;
        if self.targets[at].is_some() {
            self.g.fail(&what, &[], format!("the output {name:?} has a loss already"));
            return None;
        }
        if !(loss.weight >= 0.0 && loss.weight.is_finite()) {
            self.g.fail(&what, &[], format!("the weight must be finite and at least 0, not {}", loss.weight));
            return None;
        }
        let target = self.g.input(if self.names.len() == 1 { TARGET } else { name }, loss.loss.target(&ty));
        if batch.weighted && self.weights.is_none() {
            self.weights = Some(self.g.input(SAMPLE_WEIGHT, TypeSpec::new(first.dtype, [batch.size])));
        }
        let losses = loss.loss.per_sample(output, &target);
        let value = batch_loss(loss.loss.name(), &losses, batch.size, self.weights.as_ref());
        self.targets[at] = Some(target);
        let weighted = if loss.weight == 1.0 { value.clone() } else { &value * loss.weight };
        Some((value, weighted))
    }

    /// The place of the output that a metric measures, which must have targets.
    #[track_caller]
    fn metric(&self, metric: &Metric) -> Option<usize> {
        let what = format!("the metric {}", metric.name());
        let at = self.find(&what, metric.output(), "by `Metric::on`")?;
        if self.targets[at].is_none() {
            self.g.fail(&what, &[], format!("the output {:?} has no loss, and so no targets", self.names[at]));
        }
        Some(at)
    }

    /// The place of the output of that name, or of the only one.
    #[track_caller]
    fn find(&self, what: &str, output: Option<&str>, how: &str) -> Option<usize> {
        let at = match output {
            None if self.names.len() == 1 => Some(0),
            None => None,
            Some(output) => self.names.iter().position(|name| name == output),
        };
        if at.is_none() {
            let wanted = output
                .map_or_else(|| format!("say of which output, {how}"), |name| format!("there is no output {name:?}"));
            self.g.fail(what, &[], format!("{wanted}: the model has {}", self.names.join(", ")));
        }
        at
    }
}
