//! Activations and losses where their parts meet, cancel or overflow, against their analytic derivatives.

use super::{phi, sigmoid, softplus};
use crate::dsl::{GraphBuilder, Tensor, TypeSpec};
use crate::nn::*;
use crate::testing::{Runner, constant, eval, value};
use ir::DType;

/// Where activations have kinks, where their parts meet or cancel, where something overflows, and the infinities.
const EDGES: [f64; 23] = [
    f64::NEG_INFINITY,
    -3e38,
    -1e19,
    -1e4,
    -104.0,
    -40.0,
    -20.0,
    -9.0,
    -3.0,
    -1e-3,
    -1e-30,
    -0.0,
    0.0,
    1e-30,
    1e-3,
    1.0,
    3.0,
    9.0,
    40.0,
    1e4,
    1e19,
    3e38,
    f64::INFINITY,
];

/// An activation with its value and its slope, each computed in `f64` in a form that loses nothing at its argument.
type Formula = (Activation, fn(f64) -> f64, fn(f64) -> f64);

/// `Φ(x)` for `x` up to -3, by the asymptotic continued fraction; elsewhere by the integral.
fn normal_distribution(x: f64) -> f64 {
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if x > -3.0 {
        return phi(x);
    }
    let tail = (1..200).rev().fold(-x, |tail, k| -x + f64::from(k) / tail);
    density(x) / tail
}

fn gelu_slope(x: f64) -> f64 {
    if x.abs() > 60.0 {
        return f64::from(u8::from(x > 0.0));
    }
    normal_distribution(x) + x * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// `(sigmoid z, dz/dx)` of the approximation by tanh.
fn tanh_parts(x: f64) -> (f64, f64) {
    let c = (8.0 / std::f64::consts::PI).sqrt();
    let x = x.clamp(-40.0, 40.0);
    (sigmoid(c * (x + 0.044715 * x.powi(3))), c * (1.0 + 3.0 * 0.044715 * x * x))
}

/// A product in which 0 outweighs infinity: the limit of what falls exponentially times what grows as a power.
fn limit_product(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

const FORMULAS: [Formula; 11] = [
    (Activation::Relu, |x| x.max(0.0), |x| f64::from(u8::from(x > 0.0))),
    (Activation::LeakyRelu(0.1), |x| if x > 0.0 { x } else { 0.1 * x }, |x| if x > 0.0 { 1.0 } else { 0.1 }),
    (Activation::Elu(1.0), |x| if x > 0.0 { x } else { x.exp_m1() }, |x| if x > 0.0 { 1.0 } else { x.exp() }),
    (
        Activation::Elu(1.5),
        |x| if x > 0.0 { x } else { 1.5 * x.exp_m1() },
        |x| if x > 0.0 { 1.0 } else { 1.5 * x.exp() },
    ),
    (Activation::Softplus, softplus, sigmoid),
    (Activation::Sigmoid, sigmoid, |x| sigmoid(x) * sigmoid(-x)),
    (
        Activation::Softsign,
        |x| if x.is_infinite() { x.signum() } else { x / (1.0 + x.abs()) },
        |x| (1.0 + x.abs()).powi(-2),
    ),
    (Activation::Gelu, |x| limit_product(x, normal_distribution(x)), gelu_slope),
    (
        Activation::GeluTanh,
        |x| limit_product(x, tanh_parts(x).0),
        |x| {
            let (s, slope) = tanh_parts(x);
            s + limit_product(limit_product(x, s * (1.0 - s)), slope)
        },
    ),
    (Activation::Silu, |x| limit_product(x, sigmoid(x)), |x| sigmoid(x) + limit_product(x, sigmoid(x) * sigmoid(-x))),
    (
        Activation::Mish,
        |x| limit_product(x, softplus(x).tanh()),
        |x| {
            let t = softplus(x).tanh();
            t + limit_product(limit_product(x, 1.0 - t * t), sigmoid(x))
        },
    ),
];

/// Results of an activation and gradients of their sum, in an element type.
fn slopes(activation: Activation, dtype: DType, xs: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let spec = TypeSpec::new(dtype, [xs.len()]);
    let g = GraphBuilder::new("test");
    let x = g.input("x", spec.clone());
    let y = activation.apply(&x);
    g.output("y", &y);
    g.output("dx", &g.gradients(&y.sum(), &[&x])[0]);
    let out = Runner::new(&g.finish().unwrap()).step(&[("x", value(spec, xs))]);
    (out["y"].to_f64_vec(), out["dx"].to_f64_vec())
}

#[test]
fn activations_and_their_slopes_are_right_at_kinks_and_at_both_ends() {
    for (activation, want, slope) in FORMULAS {
        for (dtype, tolerance, least) in [(DType::F32, 2e-6, 1e-37), (DType::F64, 1e-9, 1e-300)] {
            // The rounding of the exponential's argument counts with the argument's size.
            let exponent = matches!(activation, Activation::Gelu | Activation::GeluTanh);
            let tolerance = if exponent { 40.0 * tolerance } else { tolerance };
            // What lies beyond the type's range comes as an infinity, which is among the points anyway.
            let points: Vec<f64> = EDGES.into_iter().filter(|x| x.is_finite()).collect();
            let (y, dy) = slopes(activation, dtype, &points);
            for (i, &x) in points.iter().enumerate() {
                // Below 0 small results keep all digits; above it, and in a quotient's slope, they are what is left of 1 or are added to it.
                let relative = x <= 0.0 && activation != Activation::Softsign;
                let least = if relative { least } else { tolerance };
                let close = |found: f64, want: f64| {
                    (found - want).abs() <= tolerance * want.abs() + least || want.abs() > 3.4e38 && found.is_infinite()
                };
                let name = activation.name();
                assert!(close(y[i], want(x)), "{name}({x:e}) in {dtype} is {:e}, not {:e}", y[i], want(x));
                assert!(
                    close(dy[i], slope(x)),
                    "the slope of {name} at {x:e} in {dtype} is {:e}, not {:e}",
                    dy[i],
                    slope(x)
                );
            }
        }
    }
}

/// Rounding the argument of `erfc` cost GELU's tail 40 units.
#[test]
fn the_tail_of_gelu_is_within_a_few_units() {
    let xs: Vec<f64> = (0..500).map(|i| f64::from(-12.9f32 + i as f32 / 41.0)).collect();
    let (y, _) = slopes(Activation::Gelu, DType::F32, &xs);
    for (&x, found) in xs.iter().zip(y).filter(|(x, _)| **x < -3.0) {
        let want = x * normal_distribution(x);
        assert!((found / want - 1.0).abs() < 1e-6, "gelu({x}) is {found:e}, not {want:e}");
    }
}

/// The distribution that GELU in `bf16` is made of has fewer digits than that of `f32`.
#[test]
fn gelu_of_every_bf16_is_within_half_a_unit_and_a_trace() {
    let bits = (u32::from(0x3980u16)..0x4150).flat_map(|bits| [bits, bits | 0x8000]);
    let xs: Vec<f64> = bits.map(|bits| f64::from(f32::from_bits(bits << 16))).collect();
    let (y, _) = slopes(Activation::Gelu, DType::Bf16, &xs);
    let (exact, _) = slopes(Activation::Gelu, DType::F64, &xs);
    for ((x, found), exact) in xs.iter().zip(y).zip(exact) {
        let unit = exact.abs().log2().floor().exp2() / 128.0;
        assert!((found - exact).abs() <= 0.505 * unit, "gelu({x}) is {found:e}, not {exact:e}");
    }
}

#[test]
fn a_nan_stays_one_through_activations() {
    for (activation, ..) in FORMULAS {
        let (y, dy) = slopes(activation, DType::F32, &[f64::NAN]);
        assert!(y[0].is_nan(), "{}", activation.name());
        assert!(activation == Activation::Relu || !matches!(activation, Activation::Elu(_)) || dy[0].is_nan());
    }
}

#[test]
fn infinite_operands_give_limits() {
    let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
    for (activation, at_low, at_high) in [
        (Activation::Softplus, [0.0, 0.0], [high, 1.0]),
        (Activation::Elu(1.5), [-1.5, 0.0], [high, 1.0]),
        (Activation::Sigmoid, [0.0, 0.0], [1.0, 0.0]),
        (Activation::Relu, [0.0, 0.0], [high, 1.0]),
    ] {
        let (y, dy) = slopes(activation, DType::F32, &[low, high]);
        assert_eq!((y[0], dy[0], y[1], dy[1]), (at_low[0], at_low[1], at_high[0], at_high[1]), "{}", activation.name());
    }
    let rows = |f: fn(&Tensor) -> Tensor, dims: &[usize], x: &[f64]| eval(|g| f(&constant(g, dims, x)));
    assert_eq!(rows(|x| x.logsumexp(-1), &[3, 2], &[low, low, high, 0.0, low, 2.0]), [low, high, 2.0]);
    assert_eq!(rows(|x| x.logsumexp(0), &[2, 2], &[low, high, low, high]), [low, high]);
}

#[test]
fn losses_have_their_slopes_where_their_parts_meet() {
    // The gradient by the output of a loss of (output, target).
    type Function = fn(&Tensor, &Tensor) -> Tensor;
    let cases: [(&str, Function, f64, f64, f64); 17] = [
        ("bce", |x, t| binary_cross_entropy(x, t), 0.0, 0.0, 0.5),
        ("bce", |x, t| binary_cross_entropy(x, t), 0.0, 1.0, -0.5),
        ("bce", |x, t| binary_cross_entropy(x, t), -0.0, 0.5, 0.0),
        ("bce", |x, t| binary_cross_entropy(x, t), -60.0, 0.0, (-60f64).exp()),
        ("bce", |x, t| binary_cross_entropy(x, t), 1e4, 1.0, 0.0),
        ("huber", |x, t| huber(x, t, 1.5), 1.5, 0.0, 1.5),
        ("huber", |x, t| huber(x, t, 1.5), -1.5, 0.0, -1.5),
        ("huber", |x, t| huber(x, t, 1.5), 0.25, 0.0, 0.25),
        ("huber", |x, t| huber(x, t, 1.5), 0.0, 0.0, 0.0),
        ("huber", |x, t| huber(x, t, 1.5), f64::INFINITY, 0.0, 1.5),
        ("huber", |x, t| huber(x, t, 1.5), f64::NEG_INFINITY, 0.0, -1.5),
        ("huber", |x, t| huber(x, t, 1.5), 3e30, 0.0, 1.5),
        ("absolute", |x, t| absolute_error(x, t), 0.0, 0.0, 0.0),
        ("absolute", |x, t| absolute_error(x, t), f64::INFINITY, 0.0, 1.0),
        ("squared", |x, t| squared_error(x, t), 0.0, 0.0, 0.0),
        ("hinge", |x, t| hinge(x, t), 0.5, 1.0, -1.0),
        ("hinge", |x, t| hinge(x, t), 1.0, 1.0, 0.0),
    ];
    for (name, loss, output, target, want) in cases {
        for dtype in [DType::F32, DType::F64] {
            let spec = TypeSpec::new(dtype, [1]);
            let g = GraphBuilder::new("test");
            let (x, t) = (g.input("x", spec.clone()), g.input("t", spec.clone()));
            g.output("dx", &g.gradients(&loss(&x, &t).sum(), &[&x])[0]);
            let inputs = [("x", value(spec.clone(), &[output])), ("t", value(spec, &[target]))];
            let found = Runner::new(&g.finish().unwrap()).step(&inputs)["dx"].to_f64_vec()[0];
            let close = (found - want).abs() <= 1e-6 * want.abs() + 1e-37;
            assert!(close, "{name} of {output:e} and {target} in {dtype}: {found:e}, not {want:e}");
        }
    }
}
