//! Recurrent layers: a loop over time for each direction.

use super::full_like;
use crate::call::{Call, Results};
use crate::error::Refusal;
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Scan, Tensor, TypeSpec};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("GRU", &[1, 3, 7, 14, 22], |c| recurrent(c, Kind::Gru)),
    op("LSTM", &[1, 7, 14, 22], |c| recurrent(c, Kind::Lstm)),
    op("RNN", &[1, 7, 14, 22], |c| recurrent(c, Kind::Rnn)),
];

/// Which cell.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Rnn,
    Gru,
    Lstm,
}

impl Kind {
    fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// The activations where none are given.
    fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Rnn => &["Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// An activation with its parameters.
#[derive(Clone)]
struct GateActivation {
    name: String,
    alpha: Option<f64>,
    beta: Option<f64>,
}

impl GateActivation {
    /// Activations by name. Each list of numbers is read by those alone that have such a parameter, in their order.
    fn named(names: Vec<String>, alpha: Option<Vec<f64>>, beta: Option<Vec<f64>>) -> Vec<Self> {
        let (mut alpha, mut beta) = (alpha.into_iter().flatten(), beta.into_iter().flatten());
        let one = |name: String| {
            let (has_alpha, has_beta) = match name.to_ascii_lowercase().as_str() {
                "affine" | "scaledtanh" | "hardsigmoid" => (true, true),
                "leakyrelu" | "thresholdedrelu" | "elu" => (true, false),
                _ => (false, false),
            };
            let (alpha, beta) = (has_alpha.then(|| alpha.next()), has_beta.then(|| beta.next()));
            Self { name, alpha: alpha.flatten(), beta: beta.flatten() }
        };
        names.into_iter().map(one).collect()
    }

    fn of(&self, x: &Tensor) -> Result<Tensor, Refusal> {
        let (alpha, beta) = (self.alpha, self.beta);
        Ok(match self.name.to_ascii_lowercase().as_str() {
            "sigmoid" => x.sigmoid(),
            "tanh" => x.tanh(),
            "relu" => x.relu(),
            "affine" => x * alpha.unwrap_or(1.0) + beta.unwrap_or(0.0),
            "leakyrelu" => x.ge(0.0).select(x, &(x * alpha.unwrap_or(0.01))),
            "thresholdedrelu" => x.gt(alpha.unwrap_or(1.0)).select(x, 0.0),
            "scaledtanh" => (x * beta.unwrap_or(1.0)).tanh() * alpha.unwrap_or(1.0),
            "hardsigmoid" => (x * alpha.unwrap_or(0.2) + beta.unwrap_or(0.5)).clamp(0.0, 1.0),
            "elu" => x.gt(0.0).select(x, &(x.minimum(0.0).expm1() * alpha.unwrap_or(1.0))),
            "softsign" => x / (x.abs() + 1.0),
            "softplus" => x.softplus(),
            _ => return Err(Refusal::case(format!("activation {:?}", self.name))),
        })
    }
}

/// What a cell needs beside its inputs, of one direction.
struct RecurrentCell {
    kind: Kind,
    hidden: usize,
    /// `[hidden, gates * hidden]`.
    recurrence: Tensor,
    /// The part of the bias that isn't added to the inputs ahead of the loop: the candidate's of a GRU.
    candidate_bias: Option<Tensor>,
    peepholes: Option<Tensor>,
    activations: Vec<GateActivation>,
    clip: Option<f64>,
    linear_before_reset: bool,
    input_forget: bool,
}

fn recurrent(c: &mut Call<'_, '_>, kind: Kind) -> Results {
    let batch_first = c.flag("layout", false);
    let x = if batch_first { c.tensor(0)?.permute([1, 0, 2]) } else { c.tensor(0)? };
    let (weights, recurrences) = (c.dims(1)?, c.dims(2)?);
    let (&[directions, _, _], &[_, _, hidden]) = (&weights[..], &recurrences[..]) else {
        return Err(Refusal::broken("weights must be [directions, gates, inputs]"));
    };
    let Some(shape) = x.shape().filter(|shape| shape.rank() == 3) else {
        return Err(Refusal::broken("the input must be [time, batch, inputs]"));
    };
    let (time, batch) = (shape[0], shape[1]);
    let direction = c.text("direction", "forward");
    if directions != if direction == "bidirectional" { 2 } else { 1 } {
        return Err(Refusal::broken(format!("weights of {directions} directions for a layer that is {direction}")));
    }
    let lengths = c.optional(4)?;
    let mut all = vec![];
    for d in 0..directions {
        let state = |i: usize| -> Result<Option<Tensor>, Refusal> {
            let Some(state) = c.optional(i)? else { return Ok(None) };
            let state = if batch_first { state.permute([1, 0, 2]) } else { state };
            Ok(Some(state.slice_axis(0, d..d + 1).squeeze([0])))
        };
        let cell = cell(c, kind, d, hidden)?;
        let inputs = inputs(c, &cell, &x, d)?;
        let none = c.g.zeros(TypeSpec::new(x.dtype().unwrap_or(DType::F32), [batch, hidden]));
        let mut first = vec![state(5)?.unwrap_or_else(|| none.clone())];
        if kind == Kind::Lstm {
            first.push(state(6)?.unwrap_or(none));
        }
        let back = d == 1 || direction == "reverse";
        all.push(run(c, &cell, &inputs, &first, lengths.as_ref(), back, time)?);
    }
    // [time, directions, batch, hidden], or with the batch first [batch, time, directions, hidden].
    let join = |parts: Vec<Tensor>, axis: isize| {
        let rest: Vec<&Tensor> = parts[1..].iter().collect();
        parts[0].stack(&rest, axis)
    };
    let steps = join(all.iter().map(|(steps, _)| steps.clone()).collect(), 1);
    let mut results = vec![if batch_first { steps.permute([2, 0, 1, 3]) } else { steps }.into()];
    for i in 0..if kind == Kind::Lstm { 2 } else { 1 } {
        let last = join(all.iter().map(|(_, last)| last[i].clone()).collect(), 0);
        results.push(if batch_first { last.permute([1, 0, 2]) } else { last }.into());
    }
    Ok(results)
}

/// The weights and options of a direction.
fn cell(c: &Call<'_, '_>, kind: Kind, d: usize, hidden: usize) -> Result<RecurrentCell, Refusal> {
    let own = |x: Tensor| x.slice_axis(0, d..d + 1).squeeze([0]);
    let peepholes = if kind == Kind::Lstm { c.optional(7)?.map(own) } else { None };
    let names = c.text_list("activations").filter(|list| !list.is_empty());
    let count = kind.activations().len();
    let names = names.unwrap_or_else(|| kind.activations().repeat(d + 1).into_iter().map(String::from).collect());
    let all = GateActivation::named(names, c.float_list("activation_alpha"), c.float_list("activation_beta"));
    let Some(activations) = all.get(d * count..(d + 1) * count).map(<[GateActivation]>::to_vec) else {
        let given = all.len().saturating_sub(d * count);
        return Err(Refusal::broken(format!("{given} activations where {count} are wanted")));
    };
    let linear_before_reset = c.flag("linear_before_reset", false);
    let bias = c.optional(3)?.map(own);
    let candidate = |bias: Tensor| bias.slice_axis(0, 5 * hidden..6 * hidden);
    Ok(RecurrentCell {
        kind,
        hidden,
        recurrence: own(c.tensor(2)?).transpose(),
        candidate_bias: bias.filter(|_| kind == Kind::Gru).map(candidate),
        peepholes,
        activations,
        clip: c.attribute("clip").map(|a| f64::from(a.f)),
        linear_before_reset,
        input_forget: c.flag("input_forget", false),
    })
}

/// What inputs and biases give the gates of all steps at once: `[time, batch, gates * hidden]`.
fn inputs(c: &Call<'_, '_>, cell: &RecurrentCell, x: &Tensor, d: usize) -> Result<Tensor, Refusal> {
    let own = |x: Tensor| x.slice_axis(0, d..d + 1).squeeze([0]);
    let sums = x.matmul(own(c.tensor(1)?).transpose());
    let Some(bias) = c.optional(3)?.map(own) else { return Ok(sums) };
    let width = cell.kind.gates() * cell.hidden;
    let (input, recurrent) = (bias.slice_axis(0, 0..width), bias.slice_axis(0, width..2 * width));
    if cell.kind != Kind::Gru {
        return Ok(sums + input + recurrent);
    }
    // The candidate's recurrent bias is reset with what it belongs to.
    let gates = recurrent.slice_axis(0, 0..2 * cell.hidden);
    Ok(sums + input + gates.pad(0.0, [(0, cell.hidden)]))
}

/// All steps of a direction, and what is carried after the last one.
fn run(
    c: &Call<'_, '_>,
    cell: &RecurrentCell,
    inputs: &Tensor,
    first: &[Tensor],
    lengths: Option<&Tensor>,
    back: bool,
    time: usize,
) -> Result<(Tensor, Vec<Tensor>), Refusal> {
    let numbers = c.g.iota(TypeSpec::new(DType::I32, [time]), 0);
    let mut sequences = vec![inputs];
    if lengths.is_some() {
        sequences.push(&numbers);
    }
    let lengths = lengths.map(|lengths| lengths.cast(DType::I32).unsqueeze(1));
    let mut refused = None;
    let scan = Scan::new().named("recurrent").reverse(back);
    let (last, steps) = scan.run(&first.iter().collect::<Vec<_>>(), &sequences, |carried, part| {
        let next = match step(cell, &part[0], carried) {
            Ok(next) => next,
            Err(refusal) => {
                refused = Some(refusal);
                return (carried.to_vec(), vec![carried[0].clone()]);
            }
        };
        match &lengths {
            None => (next.clone(), vec![next[0].clone()]),
            Some(lengths) => {
                let counts = lengths.gt(&part[1]);
                let kept = next.iter().zip(carried).map(|(new, old)| counts.select(new, old)).collect();
                (kept, vec![counts.select(&next[0], full_like(&next[0], 0.0))])
            }
        }
    });
    match (refused, steps.into_iter().next()) {
        (Some(refusal), _) => Err(refusal),
        (None, Some(steps)) => Ok((steps, last)),
        (None, None) => Err(Refusal::Rule("the loop over time gives nothing".into())),
    }
}

/// One step: what is carried on, the hidden state first.
fn step(cell: &RecurrentCell, x: &Tensor, carried: &[Tensor]) -> Result<Vec<Tensor>, Refusal> {
    let h = &carried[0];
    let n = cell.hidden;
    let gate = |all: &Tensor, i: usize| all.slice_axis(1, i * n..(i + 1) * n);
    let clipped = |x: Tensor| cell.clip.map_or(x.clone(), |limit| x.clamp(-limit, limit));
    let f = |i: usize, x: Tensor| cell.activations[i].of(&clipped(x));
    match cell.kind {
        Kind::Rnn => Ok(vec![f(0, x + h.matmul(&cell.recurrence))?]),
        Kind::Gru => {
            let gates = cell.recurrence.slice_axis(1, 0..2 * n);
            let sums = x.slice_axis(1, 0..2 * n) + h.matmul(gates);
            let (update, reset) = (f(0, gate(&sums, 0))?, f(0, gate(&sums, 1))?);
            let candidate = cell.recurrence.slice_axis(1, 2 * n..3 * n);
            let biased = |x: Tensor| cell.candidate_bias.as_ref().map_or(x.clone(), |bias| x + bias);
            let from_past = match cell.linear_before_reset {
                true => &reset * biased(h.matmul(candidate)),
                false => biased((&reset * h).matmul(candidate)),
            };
            let new = f(1, gate(x, 2) + from_past)?;
            Ok(vec![(1.0 - &update) * new + update * h])
        }
        Kind::Lstm => {
            let c = &carried[1];
            let sums = x + h.matmul(&cell.recurrence);
            let peep = |sum: Tensor, i: usize, c: &Tensor| match &cell.peepholes {
                Some(p) => sum + p.slice_axis(0, i * n..(i + 1) * n) * c,
                None => sum,
            };
            let input = f(0, peep(gate(&sums, 0), 0, c))?;
            let forget = match cell.input_forget {
                true => 1.0 - &input,
                false => f(0, peep(gate(&sums, 2), 2, c))?,
            };
            let new = forget * c + input * f(1, gate(&sums, 3))?;
            let output = f(0, peep(gate(&sums, 1), 1, &new))?;
            Ok(vec![output * cell.activations[2].of(&new)?, new])
        }
    }
}
