//! Generating text with a trained language model, one token at a time.

use super::TrainError;
use crate::compile::{CompileOptions, CompiledProgram, RunError};
use crate::model::LanguageModel;
use ir::{SplitMix64, Value};
use std::collections::BTreeMap;

/// How the next token is chosen.
///
/// ```
/// use gradc::train::Sampling;
/// let mut sampling = Sampling::new(7).temperature(0.5).top_k(2);
/// let picks: Vec<usize> = (0..100).map(|_| sampling.pick(&[0.0, 1.0, 0.9, -1.0])).collect();
/// assert!(picks.iter().all(|&i| i == 1 || i == 2) && picks.contains(&1) && picks.contains(&2));
/// ```
#[derive(Clone, Debug)]
pub struct Sampling {
    temperature: f64,
    top_k: Option<usize>,
    random: SplitMix64,
}

impl Sampling {
    /// By the model's own probabilities: temperature 1, any token. The seed alone decides the choices.
    pub fn new(seed: u64) -> Self {
        Self { temperature: 1.0, top_k: None, random: SplitMix64::new(seed) }
    }

    /// With logits divided by that number: below 1 likely tokens become more likely; 0 always takes the likeliest.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Only the `k` likeliest tokens; at least 1. Of equal ones the first are kept.
    pub fn top_k(mut self, k: usize) -> Self {
        self.top_k = Some(k.max(1));
        self
    }

    /// A place in `logits`, drawn; 0 if there are none. A logit that is NaN is never drawn while another is there.
    pub fn pick(&mut self, logits: &[f32]) -> usize {
        let rank = |i: &usize| if logits[*i].is_nan() { f32::NEG_INFINITY } else { logits[*i] };
        let mut order: Vec<usize> = (0..logits.len()).collect();
        // Stable, so that equal logits keep their order.
        order.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        order.truncate(self.top_k.unwrap_or(order.len()));
        let Some(first) = order.first() else { return 0 };
        if self.temperature <= 0.0 || self.temperature.is_nan() || rank(first) == f32::NEG_INFINITY {
            return *first;
        }
        let largest = f64::from(rank(first));
        let weight = |i: &usize| ((f64::from(rank(i)) - largest) / self.temperature).exp();
        let weights: Vec<f64> = order.iter().map(weight).collect();
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (i, weight) in order.iter().zip(&weights) {
            left -= weight;
            if left < 0.0 {
                return *i;
            }
        }
        *first
    }

    /// The next number of the sequence, on [0, 1).
    fn unit(&mut self) -> f64 {
        (self.random.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A trained language model that is fed one token after the other and keeps keys and values of those before: each step costs as much as one position.
pub struct Generator {
    program: CompiledProgram,
    context: usize,
    /// The tokens since the text began, or since the context was full.
    fed: Vec<i32>,
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generator({} of {} positions)", self.fed.len(), self.context)
    }
}

impl Generator {
    /// With the weights that [`super::Trainer::weights`] gives.
    ///
    /// # Errors
    /// If the model breaks rules or doesn't compile, or a weight is none of the model's.
    pub fn new(
        model: &LanguageModel,
        weights: &BTreeMap<String, Value>,
        options: &CompileOptions,
    ) -> Result<Self, TrainError> {
        let mut program = model.next_token_graph(1)?.compile(options)?;
        program.set_states(weights)?;
        Ok(Self { program, context: model.context(), fed: Vec::new() })
    }

    /// Begins a new text.
    pub fn clear(&mut self) {
        self.fed.clear();
    }

    /// The logits of the token after this one. When the context is full, its last half is fed again from the first position on, and the text goes on
    /// from there.
    ///
    /// # Errors
    /// If the token is none of the vocabulary.
    pub fn feed(&mut self, token: i32) -> Result<&[f32], TrainError> {
        if self.fed.len() == self.context {
            let kept = self.fed.split_off(self.context - self.context / 2);
            self.fed.clear();
            for token in kept {
                self.step(token)?;
            }
        }
        self.step(token)?;
        Ok(self.program.output::<f32>("logits").map_err(RunError::from)?)
    }

    fn step(&mut self, token: i32) -> Result<(), TrainError> {
        self.program.input_mut::<i32>("x").map_err(RunError::from)?[0] = token;
        self.program.input_mut::<i32>("position").map_err(RunError::from)?[0] = self.fed.len() as i32;
        self.program.step()?;
        self.fed.push(token);
        Ok(())
    }

    /// `count` tokens that follow `prompt`, the prompt going on from what was fed before.
    ///
    /// # Errors
    /// If the prompt is empty, or one of its tokens is none of the vocabulary.
    pub fn generate(&mut self, prompt: &[i32], count: usize, sampling: &mut Sampling) -> Result<Vec<i32>, TrainError> {
        let Some((last, before)) = prompt.split_last() else {
            return Err(TrainError::Setting("a prompt needs at least one token".into()));
        };
        for &token in before {
            self.feed(token)?;
        }
        let mut tokens = Vec::with_capacity(count);
        let mut last = *last;
        for _ in 0..count {
            last = sampling.pick(self.feed(last)?) as i32;
            tokens.push(last);
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, array};
    use crate::nn::SparseCategoricalCrossEntropy;
    use crate::optim::Sgd;
    use crate::train::Compile;

    const CONTEXT: usize = 6;
    const VOCABULARY: usize = 5;

    #[test]
    fn one_token_at_a_time_predicts_what_whole_texts_do() {
        let model = LanguageModel::new(VOCABULARY, CONTEXT).width(8).heads(2).layers(2).tied(true);
        let mut trainer = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, []).unwrap();
        // Weights of the size that training makes, so that logits differ.
        let mut weights = trainer.weights().unwrap();
        for (name, value) in &mut weights {
            *value = crate::dsl::normal(0.0, 0.5).value(value.ty(), 3, name);
        }
        trainer.set_weights(weights.clone()).unwrap();
        let mut whole = |tokens: &[i32]| {
            let mut padded = tokens.to_vec();
            padded.resize(CONTEXT, 0);
            let x = Dataset::unlabelled(array([1, CONTEXT], padded).unwrap()).unwrap();
            trainer.predict(&x).unwrap().to_f64_vec()[(tokens.len() - 1) * VOCABULARY..][..VOCABULARY].to_vec()
        };
        let mut generator = Generator::new(&model, &weights, &CompileOptions::threads(1)).unwrap();
        let tokens = [3, 1, 4, 1, 0, 2, 4, 3];
        for n in 1..=tokens.len() {
            // Beyond the context the text begins anew with the last half of what was seen.
            let seen = if n <= CONTEXT { &tokens[..n] } else { &tokens[CONTEXT / 2..n] };
            let (want, found) = (whole(seen), generator.feed(tokens[n - 1]).unwrap());
            let far = want.iter().zip(found).any(|(w, f)| (w - f64::from(*f)).abs() > 1e-4 * w.abs().max(1.0));
            assert!(!far, "after {n} tokens: {found:?}, not {want:?}");
        }
        generator.clear();
        let again = generator.generate(&tokens[..2], 1, &mut Sampling::new(0).temperature(0.0)).unwrap();
        let logits = whole(&tokens[..2]);
        let likeliest = (0..VOCABULARY).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        assert_eq!(again, [likeliest as i32]);
    }

    #[test]
    fn tokens_outside_the_vocabulary_and_empty_prompts_are_errors() {
        let model = LanguageModel::new(VOCABULARY, CONTEXT).width(4).heads(1).layers(1);
        let trainer = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, []);
        let weights = trainer.unwrap().weights().unwrap();
        let mut generator = Generator::new(&model, &weights, &CompileOptions::threads(1)).unwrap();
        let error = generator.feed(VOCABULARY as i32).unwrap_err().to_string();
        assert!(error.contains("an index is out of range, valid are 0 to 4"), "{error}");
        let error = generator.generate(&[], 3, &mut Sampling::new(0)).unwrap_err().to_string();
        assert!(error.contains("at least one token"), "{error}");
    }

    #[test]
    fn samples_follow_the_probabilities() {
        let mut sampling = Sampling::new(1);
        let n = 20_000;
        let mut counts = [0; 3];
        (0..n).for_each(|_| counts[sampling.pick(&[0.0, 2f32.ln(), f32::NEG_INFINITY])] += 1);
        assert_eq!(counts[2], 0);
        // Five standard deviations of a binomial share.
        let share = f64::from(counts[1]) / f64::from(n);
        assert!((share - 2.0 / 3.0).abs() < 5.0 * (2.0 / 9.0 / f64::from(n)).sqrt(), "{share}");
        assert_eq!(Sampling::new(1).temperature(0.0).pick(&[1.0, f32::NAN, 3.0]), 2);
        assert_eq!(Sampling::new(1).pick(&[]), 0);
    }
}
