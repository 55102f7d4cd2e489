//! Functions of each element, and random numbers.

use super::{BuiltOp, RowFields};
use gradc::dsl::{GraphBuilder, Tensor, TypeSpec};
use gradc::nn::activation::{elu, gelu, mish, silu};
use gradc::nn::{Dropout, Layer};
use ir::DType;

type MapFn = fn(&Tensor) -> Tensor;

/// Functions of numbers around 0.
const FUNCTIONS: [(&str, MapFn); 16] = [
    ("exp", Tensor::exp),
    ("relu", Tensor::relu),
    ("gelu", gelu),
    ("tanh", Tensor::tanh),
    ("sigmoid", Tensor::sigmoid),
    ("erf", Tensor::erf),
    ("sin", Tensor::sin),
    ("softplus", Tensor::softplus),
    ("silu", silu),
    ("mish", mish),
    ("elu", |x| elu(x, 1.0)),
    ("abs", Tensor::abs),
    ("floor", Tensor::floor),
    ("expm1", Tensor::expm1),
    ("square", Tensor::square),
    ("scale_shift", |x| x * 1.5 + 0.25),
];

/// Functions of numbers above 0.
const OF_POSITIVE: [(&str, MapFn); 4] =
    [("log", Tensor::log), ("sqrt", Tensor::sqrt), ("rsqrt", Tensor::rsqrt), ("log1p", Tensor::log1p)];

pub(super) fn build(parts: &RowFields, g: &GraphBuilder) -> Option<BuiltOp> {
    let one = |x: Tensor, f: MapFn| BuiltOp { result: f(&x), by: vec![x] };
    if let Some((_, f)) = FUNCTIONS.iter().find(|(name, _)| *name == parts.op) {
        return Some(one(parts.x(g), *f));
    }
    let positive = || parts.operand(g, "positive", &parts.dims);
    if let Some((_, f)) = OF_POSITIVE.iter().find(|(name, _)| *name == parts.op) {
        return Some(one(positive(), *f));
    }
    Some(match parts.op {
        // To the power of a number, or of the other operand.
        "pow" => {
            let x = positive();
            match parts.number::<f64>(0) {
                Some(exponent) => BuiltOp { result: x.pow(exponent), by: vec![x] },
                None => {
                    let exponent = parts.x(g);
                    BuiltOp { result: x.pow(&exponent), by: vec![x, exponent] }
                }
            }
        }
        "add" | "mul" | "div" => {
            let (x, w) = (parts.x(g), parts.operand(g, "positive", &parts.dims));
            let result = match parts.op {
                "add" => &x + &w,
                "mul" => &x * &w,
                _ => &x / &w,
            };
            BuiltOp { result, by: vec![x, w] }
        }
        "cast" => {
            let to = DType::ALL.into_iter().find(|d| Some(&d.to_string().as_str()) == parts.arguments.first())?;
            BuiltOp { result: parts.x(g).cast(to), by: vec![] }
        }
        "uniform" => BuiltOp { result: g.random_uniform(spec(parts)), by: vec![] },
        "normal" => BuiltOp { result: g.random_normal(spec(parts)), by: vec![] },
        "dropout" => {
            let x = parts.x(g);
            BuiltOp { result: Dropout::new(0.1).apply(&x), by: vec![x] }
        }
        _ => return None,
    })
}

fn spec(parts: &RowFields) -> TypeSpec {
    TypeSpec::new(parts.dtype, &parts.dims)
}
