//! What a trainer has, in files and out of them: weights, all states, the model itself, and texts beside them.

use super::programs::Purpose;
use super::rates::is_rate;
use super::{TrainError, Trainer};
use crate::dsl::{KEY, STEP, StateRole};
use crate::io::{
    LoadReport, RESERVED, SaveReport, TensorFile, WeightRules, is_graph, save_graphs, save_with_metadata, select,
};
use ir::{TensorType, map_of};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

impl Trainer {
    /// Saves the weights as a safetensors file, atomically.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save_weights(&mut self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        Ok(save_with_metadata(path, &self.weights()?, &self.metadata, false)?)
    }

    /// Saves the model itself: the graph of a prediction of that many samples as text, with the weights, in one safetensors file. [`load_model`](crate::io::load_model) and `gradc run` run
    /// it without this program; [`Self::load_weights`] reads it, too. Beside it are the graphs for powers of two below, as far as the model can have them: a
    /// [`Predictor`](super::Predictor) of the file, and so `gradc serve`, takes as many samples as come, up to that many at once.
    ///
    /// # Errors
    /// As [`save_model`](crate::io::save_model); rules that the model breaks.
    pub fn save_model(&mut self, path: impl AsRef<Path>, samples: usize) -> Result<(), TrainError> {
        let step = self.programs.subject.declare((Purpose::Inference, samples.into()))?;
        let values = self.programs.states_of(&step.states)?;
        let powers = std::iter::successors(Some(1usize), |size| size.checked_mul(2)).take_while(|size| *size < samples);
        let smaller = powers.filter_map(|size| Some((size, self.prediction_step(size).ok()?.graph)));
        let smaller = if self.prediction_step(samples).is_ok() { map_of(smaller) } else { BTreeMap::new() };
        Ok(save_graphs(path, &step.graph, &smaller, (&values, &self.metadata))?)
    }

    /// Loads weights from a safetensors file. What a checkpoint has besides them (moments of any optimizer, number of steps, learning rate) is not looked at.
    ///
    /// # Errors
    /// A file that can't be read, is damaged, lacks a weight, has one of another type, or has weights of other layers. Nothing has changed then.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        self.load(path, StateRole::is_weight, kept_for_training)
    }

    /// Loads weights that another framework has trained, or a part of a model, by rules of names: what was used, converted, missing and left over. The weights that the file lacks stay
    /// as they are.
    ///
    /// # Errors
    /// As [`WeightRules::select`]. Nothing has changed then.
    pub fn load_pretrained(&mut self, path: impl AsRef<Path>, rules: &WeightRules) -> Result<LoadReport, TrainError> {
        let file = TensorFile::open(path)?;
        file.check_seal()?;
        let (values, report) = rules.select(&file, &self.programs.types(StateRole::is_weight))?;
        self.programs.set_states(values)?;
        Ok(report)
    }

    /// Saves the weights as another framework has them, by rules of names, for that framework to load: which tensors states have become, and what was left out.
    ///
    /// # Errors
    /// As [`WeightRules::save`]; rules that the model breaks.
    pub fn save_pretrained(&mut self, path: impl AsRef<Path>, rules: &WeightRules) -> Result<SaveReport, TrainError> {
        let step = self.programs.subject.declare((Purpose::Inference, 1.into()))?;
        let mut rules = rules.clone();
        let depthwise = step.layers.iter().filter(|layer| layer.kind.starts_with("Depthwise"));
        rules.depthwise.extend(depthwise.map(|layer| layer.name.clone()));
        Ok(rules.save(path, &self.weights()?)?)
    }

    /// Saves all states: weights, the optimizer's moments, the number of steps, the learning rate, with a checksum. For loops of one's own; a run of [`Self::fit`] is more than that, and
    /// [`Fit::checkpoints`](super::Fit::checkpoints) keeps it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save_checkpoint(&mut self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        Ok(save_with_metadata(path, &self.programs.kept_states()?, &self.metadata, true)?)
    }

    /// Loads what [`Self::save_checkpoint`] saved, or the states in a run's checkpoint.
    ///
    /// # Errors
    /// As [`Self::load_weights`].
    pub fn load_checkpoint(&mut self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        self.load(path, |role| role != StateRole::Cache, |_, _| BTreeSet::new())
    }

    /// Loads the states that `keep` accepts; `ignore` gives the names of the tensors that may stand beside them.
    fn load(
        &mut self,
        path: impl AsRef<Path>,
        keep: fn(StateRole) -> bool,
        ignore: impl Fn(&TensorFile, &BTreeMap<String, TensorType>) -> BTreeSet<String>,
    ) -> Result<(), TrainError> {
        let path = path.as_ref();
        let wanted = self.programs.types(keep);
        let file = TensorFile::open(path)?;
        file.check_seal()?;
        let ignored = ignore(&file, &wanted);
        let kept = file.names().filter(|name| !name.starts_with(RESERVED) && !ignored.contains(*name));
        let (tensors, metadata) = (file.tensors(kept)?, file.metadata()?);
        self.programs.set_states(select(path, tensors, &wanted, true)?)?;
        self.extend_metadata(metadata);
        Ok(())
    }

    /// Keeps a text with the weights: it stands in the files of weights and checkpoints, and comes back when they are loaded. For what belongs to a model besides them, as a
    /// [`Preprocessing`](crate::data::Preprocessing) does.
    pub fn set_metadata(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.metadata.insert(name.into(), text.into());
    }

    /// All texts.
    pub(super) fn all_metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Takes texts of a file in.
    pub(super) fn extend_metadata(&mut self, mut metadata: BTreeMap<String, String>) {
        // The graph of a saved model is that model's, not this one's.
        metadata.retain(|name, _| !is_graph(name));
        self.metadata.extend(metadata);
    }

    /// The text of that name, set or loaded.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }
}

/// The tensors that are no weights but kept for going on with training: the count of steps, learning rates, the random key, and optimizers' memories: of single weights,
/// `adam/m/dense/kernel`, and of all together, `adam/loss_scale`.
fn kept_for_training(file: &TensorFile, weights: &BTreeMap<String, TensorType>) -> BTreeSet<String> {
    let others = || file.names().filter(|name| !weights.contains_key(*name));
    let of_weight = |name: &&str| name.splitn(3, '/').nth(2).is_some_and(|weight| weights.contains_key(weight));
    let first = |name: &str| name.split('/').next().map(String::from);
    let optimizers: BTreeSet<String> = others().filter(of_weight).filter_map(first).collect();
    let of_optimizer = |name: &str| {
        name.split_once('/').is_some_and(|(optimizer, rest)| optimizers.contains(optimizer) && !rest.contains('/'))
    };
    let kept = |name: &&str| [STEP, KEY].contains(name) || is_rate(name) || of_weight(name) || of_optimizer(name);
    others().filter(kept).map(String::from).collect()
}
