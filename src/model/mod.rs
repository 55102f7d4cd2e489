//! Models: layers put together, and the graphs that one model gives: for training, evaluation and prediction, at any batch size.
//!
//! A model is traced anew for each graph, so the graphs differ where they should (dropout, batch statistics) and share the names of
//! their states: what training leaves in `dense/kernel`, prediction reads there.
//!
//! # Models as layers
//!
//! [`Sequential`], [`Functional`], [`FeatureExtractor`] and [`LanguageModel`] are layers too, so that models are made of models, to any depth. The layers of one that is used so have its name before theirs:
//! `encoder/dense/kernel`; those of the model that graphs are made of have not. Like any layer, a model has one set of weights however often a graph applies it. A clone of a
//! [`Sequential`] or a [`Functional`] has the same layers, and is the same model.
//!
//! ```
//! use gradc::dsl::f32;
//! use gradc::model::{Functional, Model, Sequential};
//! use gradc::nn::Layer;
//! let encoder = Sequential::new([28, 28, 1]).flatten().dense(64).relu().dense(16).named("encoder");
//! let images = [("left", f32([28, 28, 1])), ("right", f32([28, 28, 1]))];
//! let siamese = Functional::with_inputs(images, move |x| (encoder.apply(&x[0]) - encoder.apply(&x[1])).square().sum_axes([-1]));
//! let summary = siamese.summary().unwrap();
//! assert_eq!(summary.trainable, 784 * 64 + 64 + 64 * 16 + 16);
//! assert_eq!((summary.rows[0].name.as_str(), summary.rows[0].uses), ("encoder", 2));
//! assert_eq!(summary.rows[2].name, "encoder/dense");
//! ```

mod as_layer;
mod batch;
mod feature_extractor;
mod functional;
mod language;
mod policy;
mod score;
mod sequential;
mod summary;
pub(crate) mod trace;

pub use batch::{Batch, OUTPUT, SAMPLE_WEIGHT, TARGET};
pub use feature_extractor::FeatureExtractor;
pub use functional::Functional;
pub use language::LanguageModel;
pub(crate) use score::{Criteria, loss_name};
pub use sequential::Sequential;
pub use summary::{Summary, SummaryRow};

use self::trace::Among;
use crate::dsl::{ModelErrors, Step, Tensor, TypeSpec};
use crate::nn::metric::Reported;
use crate::nn::{Metric, Objective};
use crate::optim::Optimizer;
use ir::Loc;

/// A function of inputs with states, of which graphs are made. [`Sequential`] and [`Functional`] are models.
pub trait Model: Send + Sync {
    /// The name: of its graphs, and in the summary.
    fn name(&self) -> &str;

    /// The inputs: name and type of one sample, without the batch axis.
    fn inputs(&self) -> Vec<(String, TypeSpec)>;

    /// The outputs' names: [`OUTPUT`], if there is one.
    fn outputs(&self) -> Vec<String> {
        vec![OUTPUT.into()]
    }

    /// Applies the model to inputs with a batch axis in front: its outputs.
    fn forward(&self, inputs: &[Tensor]) -> Vec<Tensor>;

    /// The training step. Inputs: the model's, the target `y` and, for a weighted batch, `sample_weight`. Of a model with several outputs, whose losses are
    /// [`crate::nn::Losses`], each output's targets are the input that is called as the output is. Outputs: `loss` (the mean over
    /// the batch, plus penalties), of a model with several outputs `class_loss` for the output `class`, and each metric: its mean over the batch under its name, or its statistics, `f1/confusion` for instance, if it is no mean over
    /// samples (see [`crate::nn::metric::StatefulMetric`]).
    ///
    /// ```
    /// use gradc::model::{Model, Sequential};
    /// use gradc::nn::{Metric, SparseCategoricalCrossEntropy};
    /// use gradc::optim::Adam;
    /// let model = Sequential::new([28, 28, 1]).conv2d(32, 3).relu().max_pool2d(2).flatten().dense(10);
    /// let step = model.training_graph(32, &SparseCategoricalCrossEntropy, &[Metric::Accuracy], &Adam::default()).unwrap();
    /// assert!(step.state("adam/m/conv2d/kernel").is_some());
    /// assert_eq!(step.graph.outputs()[0].0, "loss");
    /// ```
    ///
    /// # Errors
    /// All rules that the model breaks.
    #[track_caller]
    fn training_graph(
        &self,
        batch: impl Into<Batch>,
        loss: &(impl Objective + ?Sized),
        metrics: &[Metric],
        optimizer: &dyn Optimizer,
    ) -> Result<Step, ModelErrors>
    where
        Self: Sized,
    {
        trace::training(
            self,
            (batch.into(), Among::One),
            Criteria { losses: &loss.losses(), metrics, reported: Reported::Means },
            optimizer,
            Loc::caller(),
        )
    }

    /// One step of evaluation: inputs and outputs as in training, without updates, as in prediction.
    ///
    /// # Errors
    /// All rules that the model breaks.
    #[track_caller]
    fn evaluation_graph(
        &self,
        batch: impl Into<Batch>,
        loss: &(impl Objective + ?Sized),
        metrics: &[Metric],
    ) -> Result<Step, ModelErrors>
    where
        Self: Sized,
    {
        trace::evaluation(
            self,
            batch.into(),
            Criteria { losses: &loss.losses(), metrics, reported: Reported::Means },
            Loc::caller(),
        )
    }

    /// One step of prediction: from the model's inputs to its outputs, of which most models have one, [`OUTPUT`].
    ///
    /// # Errors
    /// All rules that the model breaks.
    #[track_caller]
    fn inference_graph(&self, batch: usize) -> Result<Step, ModelErrors>
    where
        Self: Sized,
    {
        trace::inference(self, batch, &Loc::caller())
    }

    /// A model with the same inputs, layers and weights, whose outputs are the results of these layers, by their names; of a layer that is applied several times, the last
    /// ones. Graphs of it take the weights that this model was trained to:
    ///
    /// ```
    /// use gradc::prelude::*;
    /// let model = Sequential::new([2]).dense(3).relu().dense(1);
    /// let mut trainer = model.compile(Sgd::new(0.1), MeanSquaredError, [])?;
    /// let mut program = model.features(["relu", "dense_1"]).inference_graph(1)?.compile(&CompileOptions::default())?;
    /// program.set_states(&trainer.weights()?)?;
    /// let found = program.run([("x", &array([1, 2], vec![0.5f32, -1.0])?)])?;
    /// assert_eq!(found["relu"].ty().shape.dims(), [1, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// In another model it is a layer, with the name `features`; [`crate::train::Trainer::set_weights_of`] gives it the trained weights. That the model has the layers is checked when a graph is
    /// made; the error names this call.
    #[track_caller]
    fn features<'a>(&self, layers: impl IntoIterator<Item = &'a str>) -> FeatureExtractor
    where
        Self: Sized + Clone + 'static,
    {
        let layers = layers.into_iter().map(String::from).collect();
        FeatureExtractor::new(std::sync::Arc::new(self.clone()), layers, Loc::caller())
    }

    /// The layers with their output shapes and numbers of parameters, as a table.
    ///
    /// # Errors
    /// All rules that the model breaks.
    #[track_caller]
    fn summary(&self) -> Result<Summary, ModelErrors>
    where
        Self: Sized,
    {
        Ok(Summary::new(self.name(), &trace::inference(self, 1, &Loc::caller())?))
    }
}

/// So that a model whose kind is chosen while the program runs has all methods.
impl<M: Model + ?Sized> Model for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn inputs(&self) -> Vec<(String, TypeSpec)> {
        (**self).inputs()
    }

    fn outputs(&self) -> Vec<String> {
        (**self).outputs()
    }

    fn forward(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        (**self).forward(inputs)
    }
}

#[cfg(test)]
mod tests;
