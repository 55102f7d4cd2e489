//! Einstein summation: products and sums of tensors whose axes have letters.

use super::Tensor;
use std::collections::BTreeMap;

/// A tensor and the letters of its axes.
struct Lettered {
    tensor: Tensor,
    letters: Vec<char>,
}

impl Tensor {
    /// The product of this tensor and others whose axes have letters, summed over those that the result lacks, as NumPy's and PyTorch's `einsum` have it: `"bij,bjk->bik"` is a batch of
    /// matrix products. Without an arrow the result has the letters that stand once, in the alphabet's order.
    ///
    /// Tensors are multiplied from the left to the right, a letter is summed as soon as nothing needs it, and what is summed of two tensors is one [`Tensor::dot_general`].
    /// A letter twice in one tensor and an ellipsis are not provided, and reported at the caller's line, as is whatever doesn't fit.
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder};
    /// let g = GraphBuilder::new("bilinear");
    /// let (x, w, y) = (g.input("x", f32([8, 3])), g.input("w", f32([5, 3, 4])), g.input("y", f32([8, 4])));
    /// assert_eq!(x.einsum("bi,kij,bj->bk", &[&w, &y]).shape().unwrap().dims(), [8, 5]);
    /// ```
    #[track_caller]
    pub fn einsum(&self, equation: &str, others: &[&Tensor]) -> Tensor {
        let operands = [&[self], others].concat();
        if operands.iter().any(|x| x.is_poisoned()) {
            return self.poisoned();
        }
        let (inputs, output) = match parse(equation, &operands) {
            Ok(parsed) => parsed,
            Err(rule) => return self.builder().fail("einsum", &operands, format!("{equation:?}: {rule}")),
        };
        let mut result = Lettered { tensor: self.clone(), letters: inputs[0].clone() };
        for (i, x) in others.iter().enumerate() {
            let next = Lettered { tensor: (*x).clone(), letters: inputs[i + 1].clone() };
            let is_needed = |c: char| output.contains(&c) || inputs[i + 2..].iter().any(|letters| letters.contains(&c));
            result = product(&result, &next, &is_needed);
        }
        let result = summed(&result, &|c| output.contains(&c));
        let order: Vec<isize> = output.iter().map(|c| position(&result.letters, *c) as isize).collect();
        result.tensor.permute(order)
    }
}

/// The letters of operands and of the result.
type Equation = (Vec<Vec<char>>, Vec<char>);

/// The letters of an equation that fits the operands.
fn parse(equation: &str, operands: &[&Tensor]) -> Result<Equation, String> {
    let (left, right) = equation.split_once("->").map_or((equation, None), |(left, right)| (left, Some(right)));
    let letters = |part: &str| -> Result<Vec<char>, String> {
        let part: Vec<char> = part.chars().filter(|c| !c.is_whitespace()).collect();
        match part.iter().find(|c| !c.is_ascii_alphabetic()) {
            Some(c) => Err(format!("`{c}` is no letter")),
            None => Ok(part),
        }
    };
    let inputs = left.split(',').map(letters).collect::<Result<Vec<_>, _>>()?;
    if inputs.len() != operands.len() {
        return Err(format!("it has letters for {} tensors, there are {}", inputs.len(), operands.len()));
    }
    let mut extents: BTreeMap<char, (usize, usize)> = BTreeMap::new();
    for (i, (letters, shape)) in inputs.iter().zip(operands.iter().filter_map(|x| x.shape())).enumerate() {
        if letters.len() != shape.rank() {
            return Err(format!("tensor {i} has {} axes, and {} letters", shape.rank(), letters.len()));
        }
        only_once(letters, &format!("tensor {i}"))?;
        for (&c, &extent) in letters.iter().zip(shape.iter()) {
            let (known, count) = extents.entry(c).or_insert((extent, 0));
            if *known != extent {
                return Err(format!("`{c}` has the extents {known} and {extent}"));
            }
            *count += 1;
        }
    }
    let output = match right {
        Some(right) => letters(right)?,
        None => extents.iter().filter(|(_, (_, count))| *count == 1).map(|(&c, _)| c).collect(),
    };
    only_once(&output, "the result")?;
    match output.iter().find(|c| !extents.contains_key(c)) {
        Some(c) => Err(format!("`{c}` of the result is in no tensor")),
        None => Ok((inputs, output)),
    }
}

fn only_once(letters: &[char], what: &str) -> Result<(), String> {
    let twice = letters.iter().enumerate().find(|(i, c)| letters[..*i].contains(c));
    twice.map_or(Ok(()), |(_, c)| Err(format!("`{c}` stands twice in {what}")))
}

/// Where a letter stands, which is among them.
fn position(letters: &[char], letter: char) -> usize {
    letters.iter().position(|&c| c == letter).unwrap_or(0)
}

/// Summed over the axes whose letters nothing needs.
#[track_caller]
fn summed(x: &Lettered, is_needed: &dyn Fn(char) -> bool) -> Lettered {
    let (kept, gone): (Vec<_>, Vec<_>) = x.letters.iter().enumerate().partition(|(_, c)| is_needed(**c));
    let axes: Vec<isize> = gone.iter().map(|(axis, _)| *axis as isize).collect();
    let tensor = if axes.is_empty() { x.tensor.clone() } else { x.tensor.sum_axes(axes) };
    Lettered { tensor, letters: kept.into_iter().map(|(_, &c)| c).collect() }
}

/// The product of two, summed over the letters of both that nothing needs any more.
#[track_caller]
fn product(a: &Lettered, b: &Lettered, is_needed: &dyn Fn(char) -> bool) -> Lettered {
    let a = summed(a, &|c| is_needed(c) || b.letters.contains(&c));
    let b = summed(b, &|c| is_needed(c) || a.letters.contains(&c));
    let shared = a.letters.iter().copied().filter(|c| b.letters.contains(c));
    let (batch, contract): (Vec<char>, Vec<char>) = shared.partition(|&c| is_needed(c));
    let others = |x: &Lettered, y: &Lettered| -> Vec<char> {
        x.letters.iter().copied().filter(|c| !y.letters.contains(c)).collect()
    };
    let (left, right) = (others(&a, &b), others(&b, &a));
    let tensor = if contract.is_empty() {
        aligned(&a, &batch, &left, right.len(), true) * aligned(&b, &batch, &right, left.len(), false)
    } else {
        let pairs = |letters: &[char]| -> Vec<(usize, usize)> {
            letters.iter().map(|&c| (position(&a.letters, c), position(&b.letters, c))).collect()
        };
        a.tensor.dot_general(&b.tensor, pairs(&batch), pairs(&contract))
    };
    Lettered { tensor, letters: [batch, left, right].concat() }
}

/// A tensor with its shared axes first, and axes of extent 1 for those of the other one, after its own or before.
#[track_caller]
fn aligned(x: &Lettered, shared: &[char], own: &[char], missing: usize, after: bool) -> Tensor {
    let order: Vec<isize> = shared.iter().chain(own).map(|&c| position(&x.letters, c) as isize).collect();
    let mut tensor = x.tensor.permute(order);
    for _ in 0..missing {
        tensor = tensor.unsqueeze(if after { -1 } else { shared.len() as isize });
    }
    tensor
}
