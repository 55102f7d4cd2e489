//! Products: along letters, of two inputs, by normalized weights.

use super::check;
use crate::nn::*;

/// In the order of the file, with the letters of the bias.
const EQUATIONS: [(&str, &str); 5] =
    [("abc,cd->abd", "d"), ("abc,cde->abde", "de"), ("abc,bcd->ad", "d"), ("abc,bd->adc", "dc"), ("abc,bc->ab", "b")];

#[test]
fn products() {
    check("bilinear", |c| Bilinear::new(c.count("units")).apply((c.tensor("a"), c.tensor("b"))));
    check("einsum_dense", |c| {
        let (equation, bias_axes) = EQUATIONS[c.count("equation")];
        let result = &equation[equation.len() - equation.chars().rev().take_while(|c| *c != '>').count()..];
        let own = |letter: char| "de".contains(letter).then(|| c.count(&letter.to_string()));
        let output: Vec<Option<usize>> = result[1..].chars().map(own).collect();
        EinsumDense::new(equation, output).bias_axes(bias_axes).apply(c.tensor("x"))
    });
}

#[test]
fn weights_divided_by_their_largest_singular_value() {
    check("spectral_normalization", |c| {
        let layer = SpectralNormalization::new(Dense::new(c.count("units")));
        layer.power_iterations(c.count("iterations")).apply(c.tensor("x"))
    });
}
