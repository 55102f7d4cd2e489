//! Metrics of one output of several.

use super::{Accumulate, ConfusionMatrix, Metric, Mode, StatefulMetric};
use crate::dsl::Tensor;
use ir::Value;

/// A metric of the output of that name.
pub(super) struct OfOutput {
    pub(super) output: String,
    pub(super) metric: Metric,
}

impl StatefulMetric for OfOutput {
    fn name(&self) -> String {
        format!("{}_{}", self.output, self.metric.name())
    }

    fn output(&self) -> Option<&str> {
        Some(&self.output)
    }

    fn mode(&self) -> Option<Mode> {
        self.metric.mode()
    }

    fn in_percent(&self) -> bool {
        self.metric.in_percent()
    }

    fn accumulate(&self) -> &'static [Accumulate] {
        self.metric.accumulate()
    }

    #[track_caller]
    fn statistics(&self, output: &Tensor, target: &Tensor, weights: Option<&Tensor>) -> Vec<Tensor> {
        self.metric.statistics(output, target, weights)
    }

    fn leaves_weightless_out(&self) -> bool {
        self.metric.leaves_weightless_out()
    }

    fn value(&self, statistics: &[Value]) -> f64 {
        self.metric.value(statistics)
    }

    fn confusion_matrix(&self, statistics: &[Value]) -> Option<ConfusionMatrix> {
        self.metric.confusion_matrix(statistics)
    }
}
