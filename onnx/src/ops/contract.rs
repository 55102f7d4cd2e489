//! Products: of matrices, and by letters.

use super::quantize::centred;
use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("Det", &[11, 22], determinant),
    op("Einsum", &[12], einsum),
    op("Gemm", &[1, 6, 7, 9, 11, 13], gemm),
    op("MatMul", &[1, 9, 13], |c| {
        let (a, b) = (c.tensor(0)?, c.tensor(1)?);
        let Some(dtype) = a.dtype() else { return one(a) };
        // Sums of 16-bit floats are sums of f32, rounded once: the graph's own products do that.
        match dtype.is_number() {
            true => one(a.matmul(&b)),
            false => Err(Refusal::case(format!("a product of {dtype}"))),
        }
    }),
    op("MatMulInteger", &[10], |c| {
        let (a, b) = (centred(c, 0, 2, -2)?, centred(c, 1, 3, -1)?);
        one(a.matmul(&b))
    }),
];

fn gemm(c: &mut Call<'_, '_>) -> Results {
    let turned = |x: Tensor, turn: bool| if turn { x.transpose() } else { x };
    let a = turned(c.tensor(0)?, c.flag("transA", false));
    let b = turned(c.tensor(1)?, c.flag("transB", false));
    let (alpha, beta) = (c.float("alpha", 1.0), c.float("beta", 1.0));
    let mut y = a.matmul(&b);
    let is_float = y.dtype().is_some_and(DType::is_float);
    if !is_float && (alpha != 1.0 || beta != 1.0) {
        return Err(Refusal::case("a factor other than 1 for integers"));
    }
    if alpha != 1.0 {
        y = y * alpha;
    }
    match c.optional(2)? {
        Some(bias) if beta == 1.0 => one(y + bias),
        Some(bias) if beta != 0.0 => one(y + bias * beta),
        _ => one(y),
    }
}

/// The letters that stand for the axes of an ellipsis, from the right.
const SPARE: &str = "ZYXWVUTSRQPO";

fn einsum(c: &mut Call<'_, '_>) -> Results {
    let equation: String = c.text("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    let mut tensors = c.tensors()?;
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left.to_string(), Some(right.to_string())),
        None => (equation.clone(), None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != tensors.len() || tensors.is_empty() {
        return Err(Refusal::broken(format!(
            "{equation:?} is of {} tensors, there are {}",
            terms.len(),
            tensors.len()
        )));
    }
    let is_strange = |term: &str| term.replacen("...", "", 1).contains('.');
    if let Some(term) = terms.iter().copied().chain(right.as_deref()).find(|term| is_strange(term)) {
        return Err(Refusal::broken(format!("{term:?} of {equation:?} has dots that are no ellipsis")));
    }
    let mut widest = 0;
    let mut written = Vec::new();
    for (term, x) in terms.iter().zip(&mut tensors) {
        let rank = x.shape().map_or(0, |shape| shape.rank());
        let named = term.chars().filter(|c| *c != '.').count();
        let spare = rank.checked_sub(named).filter(|&n| n <= SPARE.len());
        let spare = spare.ok_or_else(|| Refusal::broken(format!("{term:?} is of a tensor of {rank} axes")))?;
        widest = widest.max(spare);
        let letters = term.replace("...", &SPARE[SPARE.len() - spare..]);
        let (diagonal, letters) = diagonal(x, &letters)?;
        *x = diagonal;
        written.push(letters);
    }
    let ellipsis = &SPARE[SPARE.len() - widest..];
    let right = right.map_or_else(|| once(&left, ellipsis), |right| right.replace("...", ellipsis));
    let others: Vec<&Tensor> = tensors[1..].iter().collect();
    one(tensors[0].einsum(&format!("{}->{right}", written.join(",")), &others))
}

/// The letters of a result that isn't written: the ellipsis, then those that stand once, in the alphabet's order.
fn once(left: &str, ellipsis: &str) -> String {
    let mut letters: Vec<char> = left.chars().filter(char::is_ascii_alphabetic).collect();
    letters.sort_unstable();
    let is_single = |c: &&char| left.matches(**c).count() == 1;
    let single: String = letters.iter().filter(is_single).collect();
    if left.contains('.') { format!("{ellipsis}{single}") } else { single }
}

/// The tensor with each letter once: where one stands twice, its diagonal.
fn diagonal(x: &Tensor, letters: &str) -> Result<(Tensor, String), Refusal> {
    let mut x = x.clone();
    let mut letters: Vec<char> = letters.chars().collect();
    while let Some((first, second)) = twice(&letters) {
        let Some(shape) = x.shape() else { return Ok((x, letters.into_iter().collect())) };
        if shape[first] != shape[second] {
            return Err(Refusal::broken(format!("axes {first} and {second} have one letter and different extents")));
        }
        let extent = shape[first];
        let mut dims = vec![1; shape.rank()];
        (dims[first], dims[second]) = (extent, extent);
        let ty = |dims: &[usize]| gradc::dsl::TypeSpec::new(DType::I32, dims);
        let places = |axis| x.builder().iota(ty(&dims), axis);
        let on_diagonal = places(first).eq(places(second));
        x = on_diagonal.select(&x, 0).sum_axes([second as isize]);
        letters.remove(second);
    }
    Ok((x, letters.into_iter().collect()))
}

/// Two places of one letter.
fn twice(letters: &[char]) -> Option<(usize, usize)> {
    letters.iter().enumerate().find_map(|(i, c)| Some((letters[..i].iter().position(|d| d == c)?, i)))
}

/// The largest matrices whose determinant is expanded.
const MOST_ROWS: usize = 6;

/// The determinant, by elimination with the largest pivot of each column.
fn determinant(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let [outer @ .., n, m] = &dims[..] else { return Err(Refusal::broken("a determinant of no matrix")) };
    if n != m || *n > MOST_ROWS {
        return Err(Refusal::case(format!(
            "the determinant of a matrix of {n} by {m}, square ones to {MOST_ROWS} rows,"
        )));
    }
    let batch: usize = outer.iter().product();
    let mut x = c.tensor(0)?.reshape([batch as isize, *n as isize, *n as isize]);
    let g = x.builder().clone();
    let Some(dtype) = x.dtype() else { return one(x) };
    let mut product = g.ones(gradc::dsl::TypeSpec::new(dtype, [batch]));
    for left in (1..=*n).rev() {
        // The row of the largest pivot comes first: it and the first one change places.
        let column = x.slice_axis(2, 0..1).reshape([batch as isize, left as isize]);
        let best = column.abs().argmax(1);
        let chosen = best.one_hot(left, dtype).unsqueeze(2);
        let row = (&x * &chosen).sum_keepdims([1]);
        let first = x.slice_axis(1, 0..1);
        let pivot = row.slice_axis(2, 0..1);
        let sign = best.eq(0).select(&g.ones(gradc::dsl::TypeSpec::new(dtype, [batch])), -1.0);
        product = product * sign * pivot.reshape([batch as isize]);
        if left == 1 {
            break;
        }
        let rest = chosen.gt(0.0).select(&first.broadcast_to([batch, left, left]), &x).slice_axis(1, 1..left);
        let is_zero = pivot.eq(0.0);
        let factor = rest.slice_axis(2, 0..1) / is_zero.select(&g.ones(gradc::dsl::TypeSpec::new(dtype, [1])), &pivot);
        x = (&rest - factor * &row).slice_axis(2, 1..left);
    }
    one(product.reshape(outer.iter().map(|&d| d as isize).collect::<Vec<_>>()))
}
