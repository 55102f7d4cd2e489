//! What layers inside a model give, as outputs of a model.

use super::Model;
use crate::dsl::{Tensor, TypeSpec};
use crate::nn::LayerId;
use ir::Loc;
use std::sync::Arc;

/// A model whose outputs are the results of another model's layers, made by [`Model::features`]. Its layers and their weights are that model's, and have the same names.
#[derive(Clone)]
pub struct FeatureExtractor {
    /// Shared by clones.
    pub(super) id: Arc<LayerId>,
    model: Arc<dyn Model>,
    layers: Vec<String>,
    /// Where they were asked for.
    at: Loc,
}

impl std::fmt::Debug for FeatureExtractor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FeatureExtractor({:?}, {})", self.model.name(), self.layers.join(", "))
    }
}

impl FeatureExtractor {
    pub(super) fn new(model: Arc<dyn Model>, layers: Vec<String>, at: Loc) -> Self {
        Self { id: Arc::default(), model, layers, at }
    }

    /// The result of a layer, of which there must be one.
    #[track_caller]
    fn result(&self, inside: &Tensor, layer: &str) -> Tensor {
        let g = inside.builder();
        match g.layer_results(layer).as_deref() {
            Some([result]) => result.clone(),
            Some(results) => g.fail("features", &[], format!("the layer {layer:?} gives {} results", results.len())),
            None => {
                let known = g.layer_paths().join(", ");
                g.fail("features", &[], format!("the model has no layer {layer:?} outside of loops: it has {known}"))
            }
        }
    }
}

impl Model for FeatureExtractor {
    fn name(&self) -> &str {
        "features"
    }

    fn inputs(&self) -> Vec<(String, TypeSpec)> {
        self.model.inputs()
    }

    fn outputs(&self) -> Vec<String> {
        self.layers.clone()
    }

    fn forward(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        let outputs = self.model.forward(inputs);
        if let Some(poisoned) = outputs.iter().find(|output| output.is_poisoned()) {
            return vec![poisoned.clone(); self.layers.len()];
        }
        let g = inputs[0].builder();
        g.at(self.at.clone(), || self.layers.iter().map(|layer| self.result(&inputs[0], layer)).collect())
    }
}
