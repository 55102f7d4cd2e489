//! Loops over the leading axis of tensors: a closure says what one step does.

use super::error::Failure;
use super::{GraphBuilder, Tensor};
use ir::op::scan::{Body, BodyPort, MAX_NESTING, Scan as ScanOp};
use ir::{Graph, NodeId, Op};

/// How a scan runs; [`scan`] is the same with defaults.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder, Scan};
/// let g = GraphBuilder::new("countdown");
/// let xs = g.input("xs", f32([5, 3]));
/// // From the last element to the first: what comes after each, summed up.
/// let (_, sums) = Scan::new().reverse(true).run(&[&g.zeros(f32([3]))], &[&xs], |carry, x| {
///     let sum = &carry[0] + &x[0];
///     (vec![sum.clone()], vec![sum])
/// });
/// g.output("sums", &sums[0]);
/// assert!(g.finish().is_ok());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Scan {
    name: Option<String>,
    length: Option<usize>,
    reverse: bool,
    recompute: bool,
}

/// What carries are after the last step, and what the steps gave, stacked along a leading axis.
pub type Scanned = (Vec<Tensor>, Vec<Tensor>);

/// A loop over the leading axis of `sequences`, all of one length. `step` gets what the step before carried (`first` in the first step) and this step's
/// part of each sequence; it gives what is carried on, of the same types, and the step's results.
///
/// The closure runs once, whatever the length: it declares a body. It may use tensors from outside, which are the same in every step, and declare
/// parameters. Random ops draw the same numbers in every step.
///
/// ```
/// use gradc::dsl::{f32, orthogonal, scan, GraphBuilder};
/// let g = GraphBuilder::new("recurrence");
/// let xs = g.input("xs", f32([100, 32, 64]));
/// let u = g.param("u", f32([64, 64]), orthogonal());
/// let (last, all) = scan(&[&g.zeros(f32([32, 64]))], &[&xs], |h, x| {
///     let h = (h[0].matmul(&u) + &x[0]).tanh();
///     (vec![h.clone()], vec![h])
/// });
/// g.output("last", &last[0]);
/// g.output("all", &all[0]);
/// assert_eq!(all[0].shape().unwrap().dims(), [100, 32, 64]);
/// assert!(g.finish().is_ok());
/// ```
///
/// What goes wrong names the line of this call, or of the op inside that breaks a rule; the results are then poisoned.
#[track_caller]
pub fn scan(first: &[&Tensor], sequences: &[&Tensor], step: impl FnOnce(&[Tensor], &[Tensor]) -> Scanned) -> Scanned {
    Scan::new().run(first, sequences, step)
}

impl Scan {
    /// From the first element to the last, keeping for derivatives what steps compute.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a name for the body, which texts show.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The number of steps, where there are no sequences to give it.
    pub fn length(mut self, length: usize) -> Self {
        self.length = Some(length);
        self
    }

    /// Whether to go from the last element to the first. Results stand where the step's inputs stood.
    pub fn reverse(mut self, reverse: bool) -> Self {
        self.reverse = reverse;
        self
    }

    /// Whether derivatives compute steps again from what they carried: less memory, more time.
    pub fn recompute(mut self, recompute: bool) -> Self {
        self.recompute = recompute;
        self
    }

    /// As [`scan`].
    #[track_caller]
    pub fn run(
        &self,
        first: &[&Tensor],
        sequences: &[&Tensor],
        step: impl FnOnce(&[Tensor], &[Tensor]) -> Scanned,
    ) -> Scanned {
        let operands: Vec<&Tensor> = first.iter().chain(sequences).copied().collect();
        let Some(any) = operands.first() else { return (vec![], vec![]) };
        let outer = any.builder().innermost(&operands);
        let poisoned = || (first.iter().map(|t| t.poisoned()).collect(), vec![]);
        if operands.iter().any(|t| t.is_poisoned()) {
            return poisoned();
        }
        let length = match self.steps(sequences) {
            Ok(length) => length,
            Err(rule) => {
                outer.fail("scan", &operands, rule);
                return poisoned();
            }
        };
        if outer.depth() == MAX_NESTING {
            outer.fail("scan", &operands, format!("scans are nested more than {MAX_NESTING} deep"));
            return poisoned();
        }
        let inner = outer.nested(self.name.as_deref().unwrap_or("body"));
        let (carries, parts) = declare(&inner, first, sequences);
        let (next, results) = step(&carries, &parts);
        let declared = Declared { operands: &operands, carried: first.len(), next: &next, results: &results };
        self.close(&outer, &inner, length, declared).unwrap_or_else(poisoned)
    }

    /// How many steps there are.
    fn steps(&self, sequences: &[&Tensor]) -> Result<usize, String> {
        let mut length = self.length;
        for (i, sequence) in sequences.iter().enumerate() {
            let own = sequence.shape().and_then(|shape| shape.first().copied());
            let own = own.ok_or_else(|| format!("sequence {i} is a scalar: it needs a leading axis to go along"))?;
            match length {
                Some(length) if length != own => {
                    return Err(format!("sequence {i} has {own} steps, others have {length}: they must be as long"));
                }
                _ => length = Some(own),
            }
        }
        length.ok_or_else(|| "without sequences it needs a length: `Scan::new().length(n)`".into())
    }

    /// Makes the op of what the closure declared; `None` if it broke a rule.
    #[track_caller]
    fn close(
        &self,
        outer: &GraphBuilder,
        inner: &GraphBuilder,
        length: usize,
        declared: Declared<'_>,
    ) -> Option<Scanned> {
        let Declared { operands, carried, next, results } = declared;
        if next.len() != carried {
            let rule = format!("the body gets {carried} carries and gives {}: it must give as many", next.len());
            outer.fail("scan", operands, rule);
        }
        for (i, tensor) in next.iter().enumerate() {
            inner.output(&BodyPort::carry(i).to_string(), tensor);
        }
        for (i, tensor) in results.iter().enumerate() {
            inner.output(&BodyPort::stacked(i).to_string(), tensor);
        }
        let (graph, captured) = inner.close()?;
        let is_whole = next.len() == carried && next.iter().chain(results).all(|t| !t.is_poisoned());
        if !is_whole {
            return None;
        }
        let invariants: Vec<Tensor> = captured.iter().map(|&node| Tensor::new(outer.clone(), Some(node))).collect();
        let all: Vec<&Tensor> = operands.iter().copied().chain(&invariants).collect();
        let count = next.len() + results.len();
        let mut found = self.emit(outer, graph, length, count, &all);
        let stacked = found.split_off(next.len());
        Some((found, stacked))
    }

    /// One node for each result.
    #[track_caller]
    fn emit(&self, outer: &GraphBuilder, graph: Graph, length: usize, count: usize, all: &[&Tensor]) -> Vec<Tensor> {
        let body = match Body::new(graph) {
            Ok(body) => body,
            Err(e) => {
                let poisoned = outer.fail("scan", all, e.to_string());
                return vec![poisoned; count];
            }
        };
        let op = ScanOp { length, reverse: self.reverse, recompute: self.recompute, select: 0, body };
        let mut results = Vec::with_capacity(count);
        for select in 0..count {
            let op = op.selecting(select);
            results.push(outer.build(all, |b, nodes: &[NodeId]| Ok::<_, Failure>(b.add(Op::Scan(op), nodes)?)));
        }
        results
    }
}

/// What goes into a loop, and what the closure made of it.
struct Declared<'t> {
    /// What goes in: first values of carries, then sequences.
    operands: &'t [&'t Tensor],
    /// How many of them are carries.
    carried: usize,
    /// What a step carries on.
    next: &'t [Tensor],
    /// What a step gives.
    results: &'t [Tensor],
}

/// The body's inputs: carries, and parts of sequences.
#[track_caller]
fn declare(inner: &GraphBuilder, first: &[&Tensor], sequences: &[&Tensor]) -> (Vec<Tensor>, Vec<Tensor>) {
    let mut carries = vec![];
    for (i, tensor) in first.iter().enumerate() {
        if let Some(ty) = tensor.ty() {
            carries.push(inner.input(&BodyPort::carry(i).to_string(), ty));
        }
    }
    let mut parts = vec![];
    for (i, tensor) in sequences.iter().enumerate() {
        if let Some(ty) = tensor.ty() {
            let ty = super::TypeSpec::new(ty.dtype, &ty.shape[1..]);
            parts.push(inner.input(&BodyPort::sequence(i).to_string(), ty));
        }
    }
    (carries, parts)
}
