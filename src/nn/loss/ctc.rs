//! Connectionist temporal classification: labels of a sequence without saying at which step (Graves, Fernández, Gomez, Schmidhuber, "Connectionist temporal classification", ICML 2006).
//!
//! The probability of the labels is the sum over all paths that become them when repetitions and then blanks are left out. The forward algorithm sums them in the logarithm, one step of
//! the sequence after the other: a [`scan`], so that neither code nor compile time grows with the length, and gradients are its derivative.

use super::Loss;
use crate::dsl::{Tensor, TypeSpec, i32, scan};
use ir::{DType, TensorType};
use std::borrow::Borrow;

/// The logarithm of no probability at all. Finite, so that differences are numbers; far below what any path costs.
const IMPOSSIBLE: f64 = -1e30;

/// The loss of sequences against shorter sequences of labels.
///
/// As a [`Loss`]: the output is logits `[batch, time, classes]`, of whose steps those that its mask leaves out are skipped; the target is `i32[batch, labels]`, where what comes after a
/// sample's last label is the blank, or below 0. The loss of a sample is the sum over its sequence: `-log` of the labels' probability. (PyTorch's `ctc_loss` divides it by the
/// number of labels where it takes means.)
///
/// ```
/// use gradc::dsl::f32;
/// use gradc::nn::{Ctc, Dense, Gru, Layer};
/// use gradc::prelude::*;
/// // 50 steps of 13 features, at most 8 of 26 letters; class 0 is the blank.
/// let model = Functional::new(f32([50, 13]), |x| Dense::new(27).apply(&Gru::new(16).return_sequences(true).apply(x)));
/// let trainer = model.compile(Adam::default(), Ctc::new(8), [])?;
/// # Ok::<(), ModelErrors>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ctc {
    labels: usize,
    blank: usize,
    zero_infinity: bool,
}

impl Ctc {
    /// For samples of at most that many labels, at least 1. The blank is class 0.
    pub fn new(labels: usize) -> Self {
        Self { labels, blank: 0, zero_infinity: false }
    }

    /// With another class as the blank.
    pub fn blank(self, class: usize) -> Self {
        Self { blank: class, ..self }
    }

    /// Whether a sample whose sequence is too short for its labels (one step for each, and one between equal neighbours) has a loss of 0. By default it is infinite. Neither has a gradient.
    pub fn zero_infinity(self, zero: bool) -> Self {
        Self { zero_infinity: zero, ..self }
    }

    /// The loss of each sample, `[batch]`: `logits [batch, time, classes]`, `labels [batch, n]`, of which the first `label_lengths [batch]` count, for the first `input_lengths [batch]` steps.
    /// Labels and lengths are `i32`; a label that is no class ends the run with an error that names this call, and so does a number of labels that is not from 0 to `n`.
    #[track_caller]
    pub fn losses(
        &self,
        logits: impl Borrow<Tensor>,
        labels: impl Borrow<Tensor>,
        input_lengths: impl Borrow<Tensor>,
        label_lengths: impl Borrow<Tensor>,
    ) -> Tensor {
        let (logits, labels) = (logits.borrow(), labels.borrow());
        let (inputs, lengths) = (input_lengths.borrow(), label_lengths.borrow());
        let Some(shape) = logits.shape().filter(|shape| shape.rank() == 3) else {
            return self.paths(logits, labels, None, lengths);
        };
        let is_length = |x: &Tensor| x.ty().is_none_or(|ty| ty.dtype == DType::I32 && ty.shape.dims() == [shape[0]]);
        if !is_length(inputs) || !is_length(lengths) {
            let rule = format!("lengths must be i32[{}]", shape[0]);
            return logits.builder().fail("ctc", &[inputs, lengths], rule);
        }
        let steps = logits.builder().iota(i32([shape[1]]), 0);
        let counts = steps.unsqueeze(0).lt(inputs.unsqueeze(1));
        self.paths(logits, labels, Some(counts), lengths)
    }

    /// Why these are no logits and labels, if they aren't.
    fn rule(&self, x: &TensorType, t: &TensorType) -> Option<String> {
        let is_sequence = x.shape.rank() == 3 && x.dtype.is_float();
        if !is_sequence {
            return Some("logits must be floats [batch, time, classes]".into());
        }
        if t.dtype != DType::I32 || t.shape.rank() != 2 || t.shape[0] != x.shape[0] {
            return Some(format!("labels must be i32[{}, n], not {t}", x.shape[0]));
        }
        let classes = x.shape[2];
        (self.blank >= classes).then(|| format!("the blank must be one of {classes} classes, not {}", self.blank))
    }

    /// `-log` of the probability of all paths, over the steps where `counts`, `bool[batch, time]`, holds.
    #[track_caller]
    fn paths(&self, logits: &Tensor, labels: &Tensor, counts: Option<Tensor>, lengths: &Tensor) -> Tensor {
        let (Some(x), Some(t)) = (logits.ty(), labels.ty()) else {
            return if logits.is_poisoned() { logits.clone() } else { labels.clone() };
        };
        if let Some(rule) = self.rule(&x, &t) {
            return logits.builder().fail("ctc", &[logits, labels], rule);
        }
        let lengths = lengths.check_index(t.shape[1] + 1);
        let states = self.states(labels, &lengths, t.shape[1]);
        let log_p = logits.in_f32().log_softmax(-1).maximum(IMPOSSIBLE);
        let log_p = log_p.take_along_axis(states.unsqueeze(1), 2).permute([1, 0, 2]);
        let end = forward(&log_p, &self.skips(&states, log_p.dtype()), counts);
        let likelihood = at_end(&end, &lengths);
        let possible = likelihood.gt(IMPOSSIBLE / 2.0).or(likelihood.ne(&likelihood));
        let otherwise = if self.zero_infinity { 0.0 } else { f64::INFINITY };
        possible.select(&-likelihood, otherwise).rounded_like(logits)
    }

    /// What a path is at: `[batch, 2 n + 1]` classes, blanks around and between the labels. What comes after the last label is blank.
    #[track_caller]
    fn states(&self, labels: &Tensor, lengths: &Tensor, n: usize) -> Tensor {
        let g = labels.builder();
        let places = g.iota(i32([n]), 0);
        let counts = places.unsqueeze(0).lt(lengths.unsqueeze(1));
        let labels = counts.select(labels, self.blank as i32);
        let Some(ty) = labels.ty() else { return labels };
        let blanks = g.full(self.blank as f64, &ty);
        let pairs = blanks.stack(&[&labels], 2).reshape([ty.shape[0] as isize, -1]);
        pairs.concat(&[&blanks.slice_axis(1, 0..1)], 1)
    }

    /// What it costs to leave out the blank before a state: nothing, where it is a label other than the one before; else it can't be.
    #[track_caller]
    fn skips(&self, states: &Tensor, dtype: Option<DType>) -> Tensor {
        let two_before = shifted(states, 2, -1.0);
        let skips = states.ne(self.blank as i32).and(states.ne(two_before));
        let Some(ty) = skips.ty() else { return skips };
        let free = skips.builder().zeros(TypeSpec::new(dtype.unwrap_or(DType::F32), &ty.shape[..]));
        skips.select(&free, IMPOSSIBLE)
    }
}

/// Elements of rows moved to the right; `filler` comes in.
#[track_caller]
fn shifted(x: &Tensor, by: usize, filler: f64) -> Tensor {
    let Some(shape) = x.shape() else { return x.clone() };
    x.slice_axis(1, 0..shape[1] - by).pad(filler, [(0, 0), (by, 0)])
}

/// The logarithm of a sum of exponentials of two or three.
#[track_caller]
fn log_sum(parts: &[&Tensor]) -> Tensor {
    let max = parts[1..].iter().fold(parts[0].clone(), |max, x| max.maximum(*x)).stop_gradient();
    let sum = parts[1..].iter().fold((parts[0] - &max).exp(), |sum, x| sum + (*x - &max).exp());
    sum.log() + max
}

/// The logarithm of the probability of all paths that are at each state after the last step: `log_p [time, batch, states]` is that of being there at a step.
#[track_caller]
fn forward(log_p: &Tensor, skips: &Tensor, counts: Option<Tensor>) -> Tensor {
    // Before the first step a path is at the first blank: it can go on there, or to the first label.
    let Some(ty) = skips.ty() else { return skips.clone() };
    let places = skips.builder().iota(i32(&ty.shape[..]), 1);
    let start = places.eq(0).select(&skips.builder().zeros(&ty), IMPOSSIBLE);
    let counts = counts.map(|counts| counts.transpose().unsqueeze(-1));
    let sequences: Vec<&Tensor> = std::iter::once(log_p).chain(counts.as_ref()).collect();
    let (end, _) = scan(&[&start], &sequences, |before, step| {
        let stay = &before[0];
        let (next, skip) = (shifted(stay, 1, IMPOSSIBLE), shifted(stay, 2, IMPOSSIBLE) + skips);
        let moved = (log_sum(&[stay, &next, &skip]) + &step[0]).maximum(IMPOSSIBLE);
        let after = match step.get(1) {
            Some(counts) => counts.select(&moved, stay),
            None => moved,
        };
        (vec![after], vec![])
    });
    end.first().cloned().unwrap_or_else(|| skips.poisoned())
}

/// The logarithm of the probability of all paths that end at the last label or the blank after it.
#[track_caller]
fn at_end(end: &Tensor, lengths: &Tensor) -> Tensor {
    let last = lengths * 2;
    let blank = end.pick(&last);
    let label = lengths.gt(0).select(&end.pick((last - 1).maximum(0)), IMPOSSIBLE);
    log_sum(&[&blank, &label])
}

impl Loss for Ctc {
    fn name(&self) -> &str {
        "ctc"
    }

    fn target(&self, output: &TensorType) -> TypeSpec {
        i32([output.shape.first().copied().unwrap_or(1), self.labels])
    }

    #[track_caller]
    fn per_sample(&self, output: &Tensor, target: &Tensor) -> Tensor {
        if target.shape().is_none_or(|shape| shape.rank() != 2) {
            return self.paths(output, target, None, target);
        }
        let is_label = target.ge(0).and(target.ne(self.blank as i32));
        self.paths(output, target, output.mask(), &is_label.cast(DType::I32).sum_axes([1]))
    }

    fn is_by_sample(&self) -> bool {
        true
    }
}
