//! Losses of models with several outputs.

use super::Loss;

/// What a model is trained by: a loss, of a model with one output, or [`Losses`].
pub trait Objective: Send + Sync {
    /// The loss of each output that has one.
    fn losses(&self) -> Vec<OutputLoss<'_>>;
}

/// The loss of one output, and what it counts in the sum.
#[derive(Clone, Copy)]
pub struct OutputLoss<'a> {
    /// The output's name; `None` for the one that a model has.
    pub output: Option<&'a str>,
    /// The loss.
    pub loss: &'a dyn Loss,
    /// Its factor in the sum, finite and at least 0.
    pub weight: f64,
}

impl<L: Loss> Objective for L {
    fn losses(&self) -> Vec<OutputLoss<'_>> {
        vec![OutputLoss { output: None, loss: self, weight: 1.0 }]
    }
}

impl Objective for dyn Loss + '_ {
    fn losses(&self) -> Vec<OutputLoss<'_>> {
        vec![OutputLoss { output: None, loss: self, weight: 1.0 }]
    }
}

/// A loss for each output of a model, by the outputs' names, each with a weight: training lowers the weighted sum. The targets of an output are the column that is called as the
/// output is. An output without a loss isn't trained.
///
/// ```
/// use gradc::dsl::f32;
/// use gradc::prelude::*;
/// let model = Functional::with_outputs([("x", f32([8]))], ["class", "place"], |x| {
///     let shared = Dense::new(16).apply(&x[0]).relu();
///     [Dense::new(3).apply(&shared), Dense::new(2).apply(&shared)]
/// });
/// let losses = Losses::new().output("class", SparseCategoricalCrossEntropy, 1.0).output("place", Huber::default(), 0.5);
/// let trainer = model.compile(Adam::default(), losses, [Accuracy.on("class"), Metric::Mae.on("place")])?;
/// # Ok::<(), ModelErrors>(())
/// ```
#[derive(Default)]
pub struct Losses {
    of_outputs: Vec<(String, Box<dyn Loss>, f64)>,
}

impl Losses {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the loss of that output, and its factor in the sum, which must be finite and at least 0.
    pub fn output(mut self, name: &str, loss: impl Loss + 'static, weight: f64) -> Self {
        self.of_outputs.push((name.into(), Box::new(loss), weight));
        self
    }
}

impl Objective for Losses {
    fn losses(&self) -> Vec<OutputLoss<'_>> {
        self.of_outputs
            .iter()
            .map(|(output, loss, weight)| OutputLoss { output: Some(output), loss: &**loss, weight: *weight })
            .collect()
    }
}
