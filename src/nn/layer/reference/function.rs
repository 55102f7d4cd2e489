//! Functions of tensors.

use super::check;
use crate::dsl::Tensor;

/// In the order of the file.
const EQUATIONS: [&str; 9] =
    ["ab,bc->ac", "ab,cb", "abc,abd->acd", "ab,cd->adbc", "ab,ac->abc", "a,b,a->b", "ab,cbd,ad->ac", "abc->ca", "ab->"];

#[test]
fn einstein_sums() {
    check("einsum", |c| {
        let one = |(k, equation): (usize, &&str)| {
            let operands: Vec<&Tensor> =
                (0..=equation.matches(',').count()).map(|j| c.tensor(&format!("x{k}_{j}"))).collect();
            operands[0].einsum(equation, &operands[1..]).reshape([-1])
        };
        let results: Vec<Tensor> = EQUATIONS.iter().enumerate().map(one).collect();
        results[0].concat(&results[1..].iter().collect::<Vec<_>>(), 0)
    });
}

#[test]
fn order_and_running_sums() {
    check("sort", |c| {
        let (x, axis) = (c.tensor("x"), c.count("axis") as isize);
        let (largest, _) = x.top_k(c.count("k"), axis);
        x.sort(axis, false).concat(&[&x.sort(axis, true), &largest, &x.cumsum(axis)], axis)
    });
}
