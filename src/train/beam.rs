//! Beam search: the likeliest sequences that a model can go on with, several at a time.

use super::TrainError;
use crate::compile::{CompileOptions, CompiledProgram, RunError};
use crate::dsl::StateRole;
use crate::model::LanguageModel;
use ir::Value;
use std::collections::BTreeMap;

/// A sequence that a search found.
#[derive(Clone, PartialEq, Debug)]
pub struct Hypothesis {
    /// The tokens after the prompt, without the end.
    pub tokens: Vec<i32>,
    /// The logarithm of its probability, divided by the length penalty.
    pub score: f64,
    /// Whether the model has ended it; else it has as many tokens as were allowed.
    pub ended: bool,
}

/// A sequence while a search goes on: what a model is asked to go on with.
#[derive(Clone, Copy, Debug)]
pub struct Beam<'a> {
    /// The number of its prompt.
    pub prompt: usize,
    /// The place, among the sequences of the step before, of the one that it continues: whose kept keys and values are its own. 0 in the first step.
    pub parent: usize,
    /// The prompt and all tokens since.
    pub tokens: &'a [i32],
}

/// How to search: of each prompt the `width` likeliest sequences are continued, token by token, until all have ended. One that has ended takes its place of the width along, so that there are
/// `width` results; a width of 1 takes the likeliest token each time.
///
/// Results are ordered by `log P(tokens) / penalty`, with the length penalty `((5 + n) / 6)^alpha` of `n` tokens (the end counted) of Wu et al., arXiv 1609.08144.
///
/// ```
/// use gradc::train::BeamSearch;
/// // A model of the tokens 0 (the end), 1 and 2: token 1 is likelier at first, but nothing good follows it.
/// let logits = |last: i32| match last {
///     1 => [0.4f32.ln(), 0.3f32.ln(), 0.3f32.ln()],
///     2 => [0.9f32.ln(), 0.05f32.ln(), 0.05f32.ln()],
///     _ => [0.0f32.ln(), 0.55f32.ln(), 0.45f32.ln()],
/// };
/// let best = |width: usize| {
///     let search = BeamSearch::new(width, 4).end(0);
///     let found = search.run(&[vec![3]], |beams| {
///         Ok(beams.iter().flat_map(|beam| logits(beam.tokens[beam.tokens.len() - 1])).collect())
///     })?;
///     Ok::<_, gradc::train::TrainError>(found[0][0].tokens.clone())
/// };
/// assert_eq!((best(1)?, best(2)?), (vec![1], vec![2]));
/// # Ok::<(), gradc::train::TrainError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BeamSearch {
    width: usize,
    max_tokens: usize,
    end: Option<i32>,
    length_penalty: f64,
}

/// A sequence that may go on.
#[derive(Clone)]
struct LiveBeam {
    tokens: Vec<i32>,
    log_probability: f64,
    parent: usize,
}

/// The search for one prompt.
struct PromptSearch {
    prompt: usize,
    live: Vec<LiveBeam>,
    done: Vec<Hypothesis>,
}

/// A sequence and the token that would come next.
struct Candidate {
    log_probability: f64,
    beam: usize,
    token: usize,
}

/// The logarithms of the probabilities of logits; a logit that is NaN has none.
fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let sound = |&x: &f32| if x.is_nan() { f64::NEG_INFINITY } else { f64::from(x) };
    let largest = logits.iter().map(sound).fold(f64::NEG_INFINITY, f64::max);
    let whole: f64 = logits.iter().map(|x| (sound(x) - largest).exp()).sum();
    logits.iter().map(|x| sound(x) - largest - whole.ln()).collect()
}

impl BeamSearch {
    /// Of that width, with at most so many tokens after the prompt: no token ends a sequence, no length penalty.
    pub fn new(width: usize, max_tokens: usize) -> Self {
        Self { width: width.max(1), max_tokens, end: None, length_penalty: 0.0 }
    }

    /// With a token that ends a sequence.
    pub fn end(mut self, token: i32) -> Self {
        self.end = Some(token);
        self
    }

    /// With that exponent of the length penalty: 0 prefers short sequences, as products of probabilities do; the paper has 0.6 to 0.7.
    pub fn length_penalty(mut self, alpha: f64) -> Self {
        self.length_penalty = alpha;
        self
    }

    /// How many sequences are continued at once.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The best sequences of each prompt, the best first. `next` gets all sequences that go on, at most `width` of each prompt, those of a prompt beside each other, and gives the logits of the token after
    /// each, one row after the other. All prompts' sequences grow by one token a step.
    ///
    /// # Errors
    /// Those of `next`; if what it gives is no row for each sequence.
    pub fn run<P: AsRef<[i32]>>(
        &self,
        prompts: &[P],
        mut next: impl FnMut(&[Beam<'_>]) -> Result<Vec<f32>, TrainError>,
    ) -> Result<Vec<Vec<Hypothesis>>, TrainError> {
        let begin = |(prompt, tokens): (usize, &P)| {
            let live = LiveBeam { tokens: tokens.as_ref().to_vec(), log_probability: 0.0, parent: 0 };
            PromptSearch { prompt, live: vec![live], done: vec![] }
        };
        let mut searches: Vec<PromptSearch> = prompts.iter().enumerate().map(begin).collect();
        for generated in 1..=self.max_tokens {
            let beams: Vec<Beam<'_>> = searches.iter().flat_map(PromptSearch::beams).collect();
            if beams.is_empty() {
                break;
            }
            let logits = next(&beams)?;
            let vocabulary = logits.len() / beams.len();
            if vocabulary == 0 || vocabulary * beams.len() != logits.len() {
                let what = format!("{} logits are no row for each of {} sequences", logits.len(), beams.len());
                return Err(TrainError::Setting(what));
            }
            let mut first = 0;
            for search in &mut searches {
                let count = search.live.len();
                self.advance(search, &logits[first * vocabulary..(first + count) * vocabulary], first, generated);
                first += count;
            }
        }
        let lengths = prompts.iter().map(|prompt| prompt.as_ref().len());
        Ok(searches.into_iter().zip(lengths).map(|(search, length)| self.results(search, length)).collect())
    }

    /// What a sequence of so many tokens is divided by.
    fn penalty(&self, tokens: usize) -> f64 {
        ((5.0 + tokens as f64) / 6.0).powf(self.length_penalty)
    }

    /// One token more for each sequence of a prompt; the first of them was sequence `first` of the step.
    fn advance(&self, search: &mut PromptSearch, logits: &[f32], first: usize, generated: usize) {
        let Some(vocabulary) = logits.len().checked_div(search.live.len()) else { return };
        let mut candidates = vec![];
        for (beam, (live, logits)) in search.live.iter().zip(logits.chunks(vocabulary)).enumerate() {
            for (token, log) in log_softmax(logits).into_iter().enumerate().filter(|(_, log)| *log > f64::NEG_INFINITY)
            {
                candidates.push(Candidate { log_probability: live.log_probability + log, beam, token });
            }
        }
        // Stable, so that equal candidates keep their order.
        candidates.sort_by(|a, b| b.log_probability.total_cmp(&a.log_probability));
        candidates.truncate(self.width - search.done.len());
        let mut live = vec![];
        for Candidate { log_probability, beam, token } in candidates {
            let mut tokens = search.live[beam].tokens.clone();
            if self.end == Some(token as i32) {
                let score = log_probability / self.penalty(generated);
                search.done.push(Hypothesis { tokens, score, ended: true });
            } else {
                tokens.push(token as i32);
                live.push(LiveBeam { tokens, log_probability, parent: first + beam });
            }
        }
        search.live = live;
    }

    /// All sequences of a prompt of that length, in order.
    fn results(&self, search: PromptSearch, length: usize) -> Vec<Hypothesis> {
        let mut found = search.done;
        found.extend(search.live.into_iter().map(|live| {
            let score = live.log_probability / self.penalty(live.tokens.len() - length);
            Hypothesis { tokens: live.tokens, score, ended: false }
        }));
        for hypothesis in &mut found {
            hypothesis.tokens.drain(..length);
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found
    }
}

impl PromptSearch {
    fn beams(&self) -> impl Iterator<Item = Beam<'_>> {
        self.live.iter().map(|live| Beam { prompt: self.prompt, parent: live.parent, tokens: &live.tokens })
    }
}

/// A trained language model that searches by one token a step, with the keys and values of the positions before kept: those of a sequence that isn't continued are overwritten by those of one that
/// is continued twice, which copies them.
pub struct BeamGenerator {
    program: CompiledProgram,
    context: usize,
    /// How many sequences there is room for.
    rows: usize,
}

impl std::fmt::Debug for BeamGenerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BeamGenerator({} sequences of {} positions)", self.rows, self.context)
    }
}

impl BeamGenerator {
    /// With the weights that [`super::Trainer::weights`] gives, and room for so many sequences: prompts, each with the width of the search.
    ///
    /// # Errors
    /// If the model breaks rules or doesn't compile, or a weight is none of the model's.
    pub fn new(
        model: &LanguageModel,
        weights: &BTreeMap<String, Value>,
        rows: usize,
        options: &CompileOptions,
    ) -> Result<Self, TrainError> {
        let mut program = model.next_token_graph(rows)?.compile(options)?;
        program.set_states(weights)?;
        Ok(Self { program, context: model.context(), rows })
    }

    /// The best sequences that follow each of the prompts. Those of one length are searched together, lengths one after the other: all sequences of a step stand at one position.
    ///
    /// # Errors
    /// A prompt that is empty, more sequences than there is room for, more positions than the context has, a token that is none of the vocabulary.
    pub fn search<P: AsRef<[i32]>>(
        &mut self,
        prompts: &[P],
        search: &BeamSearch,
    ) -> Result<Vec<Vec<Hypothesis>>, TrainError> {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, prompt) in prompts.iter().enumerate() {
            by_length.entry(prompt.as_ref().len()).or_default().push(at);
        }
        let mut found = vec![vec![]; prompts.len()];
        for (length, places) in by_length {
            let alike: Vec<&[i32]> = places.iter().map(|&at| prompts[at].as_ref()).collect();
            for (at, results) in places.into_iter().zip(self.search_alike(length, &alike, search)?) {
                found[at] = results;
            }
        }
        Ok(found)
    }

    /// The same for prompts of that length.
    fn search_alike(
        &mut self,
        length: usize,
        prompts: &[&[i32]],
        search: &BeamSearch,
    ) -> Result<Vec<Vec<Hypothesis>>, TrainError> {
        let wrong = |what: String| Err(TrainError::Setting(what));
        if length == 0 {
            return wrong("a prompt needs at least 1 token".into());
        }
        if prompts.len().saturating_mul(search.width) > self.rows {
            return wrong(format!("{} prompts by {} are over {} sequences", prompts.len(), search.width, self.rows));
        }
        if length.saturating_add(search.max_tokens.saturating_sub(1)) > self.context {
            let (tokens, context) = (search.max_tokens, self.context);
            return wrong(format!("{length} tokens and {tokens} more are over the context {context}"));
        }
        for position in 0..length - 1 {
            let tokens: Vec<i32> = prompts.iter().map(|prompt| prompt[position]).collect();
            self.step(&tokens, position)?;
        }
        search.run(prompts, |beams| {
            let position = beams[0].tokens.len() - 1;
            if position >= length {
                self.follow(&beams.iter().map(|beam| beam.parent).collect::<Vec<_>>())?;
            }
            self.step(&beams.iter().map(|beam| beam.tokens[position]).collect::<Vec<_>>(), position)?;
            let logits = self.program.output::<f32>("logits").map_err(RunError::from)?;
            Ok(logits[..logits.len() / self.rows * beams.len()].to_vec())
        })
    }

    /// One token of each sequence; what there is room for beyond them gets the first one's.
    fn step(&mut self, tokens: &[i32], position: usize) -> Result<(), TrainError> {
        let rows = self.program.input_mut::<i32>("x").map_err(RunError::from)?;
        rows.fill(tokens[0]);
        rows[..tokens.len()].copy_from_slice(tokens);
        self.program.input_mut::<i32>("position").map_err(RunError::from)?[0] = position as i32;
        Ok(self.program.step()?)
    }

    /// Gives each sequence the keys and values of the one that it continues.
    fn follow(&mut self, parents: &[usize]) -> Result<(), TrainError> {
        if parents.iter().enumerate().all(|(row, parent)| row == *parent) {
            return Ok(());
        }
        let caches = self.program.states().iter().filter(|state| state.role == StateRole::Cache);
        let names: Vec<String> = caches.map(|state| state.name.clone()).collect();
        for name in names {
            let old = self.program.state_value(&name)?;
            let row = old.ty().shape.numel() / self.rows;
            let ty = old.ty().clone();
            let from = |i: usize| parents.get(i / row).map_or(i, |parent| parent * row + i % row);
            self.program.set_state(&name, &Value::from_fn(ty, |i| old.get(from(i))))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
