//! 16-bit floats: sums of them grow beyond a few hundred terms, and machine code gives what the interpreter gives.

use crate::oracle::{NamedValues, TypeOf};
use gradc::dsl::Window;
use gradc::prelude::*;
use ir::Scalar;

fn compiled(g: &GraphBuilder, inputs: &NamedValues) -> NamedValues {
    let step = g.finish().unwrap_or_else(|e| panic!("{e}"));
    let mut program = step.compile(&CompileOptions::threads(2)).unwrap();
    program.run(inputs).unwrap()
}

fn interpreted(g: &GraphBuilder, inputs: &NamedValues) -> NamedValues {
    let step = g.finish().unwrap();
    let mut graph = step.graph.clone();
    let cx = passes::PassContext::new(kernel::Target::baseline());
    passes::autodiff::run(&mut graph, &cx).unwrap();
    ir::eval::run(&graph, inputs, &step.initial_values(0).into_iter().collect()).unwrap().outputs
}

/// Elements of a graph's inputs: small numbers of one sign, so that sums grow.
fn filled(g: &GraphBuilder) -> NamedValues {
    let step = g.finish().unwrap();
    let value = |(_, input): (ir::NodeId, &ir::op::source::Input)| {
        let dtype = input.ty.dtype;
        let element = |i: usize| match dtype.is_float() {
            true => Scalar::F32(0.5 + (i * 7 % 16) as f32 / 16.0).cast(dtype),
            false => Scalar::I32((i % 3) as i32).cast(dtype),
        };
        (input.name.clone(), Value::from_fn(input.ty.clone(), element))
    };
    step.graph.inputs().map(value).collect()
}

/// Both ways within one unit in the last place of a `bf16`: the order of a sum in `f32` differs.
#[track_caller]
fn agrees(declare: impl Fn(&GraphBuilder, TypeOf)) {
    for ty in TYPES {
        agrees_in(ty, &declare);
    }
}

const TYPES: [TypeOf; 2] = [|dims| bf16(dims), |dims| f16(dims)];

#[track_caller]
fn agrees_in(ty: TypeOf, declare: impl Fn(&GraphBuilder, TypeOf)) {
    let g = GraphBuilder::new("halves");
    declare(&g, ty);
    let inputs = filled(&g);
    let (found, want) = (compiled(&g, &inputs), interpreted(&g, &inputs));
    for (name, want) in want {
        let pairs = found[&name].to_f64_vec().into_iter().zip(want.to_f64_vec());
        for (i, (a, b)) in pairs.enumerate() {
            assert!((a - b).abs() <= b.abs() / 128.0 + 1e-30, "{name}[{i}] is {a}, not {b}");
        }
    }
}

/// The gradients of the weighted sum of a result by operands, as outputs.
pub(crate) fn differentiate(g: &GraphBuilder, y: &Tensor, by: &[&Tensor]) {
    let dy = g.input("dy", y.ty().unwrap());
    for (i, gradient) in g.gradients(&(y * dy).sum(), by).iter().enumerate() {
        g.output(&format!("d{i}"), gradient);
    }
    g.output("y", y);
}

#[test]
fn sums_of_ones_are_their_numbers() {
    for ty in TYPES {
        let g = GraphBuilder::new("ones");
        let x = g.input("x", ty(vec![1, 1024]));
        let row = x.reshape([1, 32, 32, 1]);
        g.output("sum", &x.sum());
        g.output("mean", &x.mean());
        g.output("dot", &x.matmul(x.transpose()));
        g.output("softmax", &(&x * 0.0).softmax(-1).cast(DType::F32).sum());
        g.output("pooled", &row.avg_pool(Window::new([32, 32])));
        let ones = Value::from_fn(x.ty().unwrap(), |_| Scalar::F32(1.0).cast(x.dtype().unwrap()));
        let out = compiled(&g, &NamedValues::from([("x".into(), ones)]));
        for (name, want) in [("sum", 1024.0), ("mean", 1.0), ("dot", 1024.0), ("softmax", 1.0), ("pooled", 1.0)] {
            assert_eq!(out[name].to_f64_vec(), [want], "{name}");
        }
    }
}

#[test]
fn reductions_over_any_axes_accumulate_in_f32() {
    for axes in [vec![0], vec![1], vec![2], vec![0, 2], vec![0, 1, 2]] {
        agrees(|g, ty| {
            let x = g.input("x", ty(vec![17, 5, 33]));
            differentiate(g, &x.sum_axes(&axes), &[&x]);
            g.output("mean", &x.mean_axes(&axes));
            g.output("var", &x.var_axes(&axes));
        });
    }
}

#[test]
fn contractions_accumulate_in_f32() {
    agrees(|g, ty| {
        let (x, w) = (g.input("x", ty(vec![3, 700])), g.input("w", ty(vec![700, 5])));
        differentiate(g, &x.matmul(&w), &[&x, &w]);
    });
    agrees(|g, ty| {
        let (x, w) = (g.input("x", ty(vec![2, 19, 18, 24])), g.input("w", ty(vec![3, 3, 24, 7])));
        differentiate(g, &x.conv(&w, Window { pad: vec![(1, 1); 2], ..Window::new([3, 3]) }, 1), &[&x, &w]);
    });
}

#[test]
fn pooling_and_scattered_sums_accumulate_in_f32() {
    agrees(|g, ty| {
        let x = g.input("x", ty(vec![2, 24, 24, 3]));
        differentiate(g, &x.avg_pool(Window::new([20, 20])), &[&x]);
        g.output("max", &x.max_pool(Window::new([3, 3])));
    });
    agrees(|g, ty| {
        let (x, i) = (g.input("x", ty(vec![3, 4])), g.input("i", i32([900])));
        let w = g.input("w", ty(vec![900, 4]));
        differentiate(g, &x.scatter_add(&i, &w), &[&x, &w]);
    });
}

/// The sum of what is repeated was rounded, then multiplied, and rounded again.
#[test]
fn sums_of_repetitions_are_rounded_once() {
    for ty in TYPES {
        let g = GraphBuilder::new("repetitions");
        let x = g.input("x", ty(vec![12, 64]));
        g.output("sum", &x.reshape([12, 64, 1]).broadcast_to([12, 64, 3]).sum_axes([0, 2]));
        let dtype = x.dtype().unwrap();
        let x = Value::from_fn(x.ty().unwrap(), |i| Scalar::F64((i * i % 101) as f64 * 0.037 - 1.4).cast(dtype));
        let sums = &compiled(&g, &NamedValues::from([("x".into(), x.clone())]))["sum"];
        for column in 0..64 {
            let exact: f64 = (0..12).map(|row| 3.0 * x.get(row * 64 + column).as_f64()).sum();
            assert_eq!(sums.get(column), Scalar::F64(exact).cast(dtype), "{column}");
        }
    }
}

/// Sums of some products of a batch, whose order simplifying changes, were rounded before the rest was added.
#[test]
fn sums_of_products_of_batches_are_not_rounded_in_parts() {
    for ty in TYPES {
        let g = GraphBuilder::new("parts");
        let (x, y) = (g.input("x", ty(vec![40, 6, 8])), g.input("y", ty(vec![40, 8, 8])));
        g.output("sum", &x.matmul(&y).sum());
        let dtype = x.dtype().unwrap();
        // Each product is a small whole number, and columns of either sign cancel; the sums of a column aren't numbers of 8 bits.
        let number = |i: usize| (i * i * 7 % 11 % 5) as f64;
        let signs = |i: usize| if i.is_multiple_of(2) { number(i) } else { -number(i) };
        let x = Value::from_fn(x.ty().unwrap(), |i| Scalar::F64(number(i)).cast(dtype));
        let y = Value::from_fn(y.ty().unwrap(), |i| Scalar::F64(signs(i)).cast(dtype));
        let exact: f64 = (0..40 * 6 * 8 * 8)
            .map(|i| (i / 384, i / 64 % 6, i / 8 % 8, i % 8))
            .map(|(batch, row, k, column)| number(batch * 48 + row * 8 + k) * signs(batch * 64 + k * 8 + column))
            .sum();
        let sums = &compiled(&g, &NamedValues::from([("x".into(), x), ("y".into(), y)]))["sum"];
        assert_eq!(sums.get(0), Scalar::F64(exact).cast(dtype));
    }
}

#[test]
fn normalizations_and_losses_accumulate_in_f32() {
    agrees(|g, ty| {
        let x = g.input("x", ty(vec![6, 500]));
        differentiate(g, &x.softmax(-1), &[&x]);
        g.output("logsumexp", &x.logsumexp(-1));
        g.output("loss", &nn::sparse_cross_entropy(&x, g.input("t", i32([6]))).mean());
    });
}

#[test]
fn chains_of_elementwise_functions_round_as_the_interpreter_does() {
    for n in [1, 7, 16, 100, 1003] {
        agrees(|g, ty| {
            let x = g.input("x", ty(vec![n]));
            differentiate(g, &(nn::activation::gelu(&x) * x.tanh() + (&x * 3.0 - 2.0).exp().sqrt()), &[&x]);
            g.output("max", &x.maximum(0.75).minimum(1.25));
            g.output("chosen", &x.gt(1.0).select(&x, 0.5));
        });
    }
}

/// Bits of `f32` around every rounding edge: halves between neighbours, the ends of the denormal and of the finite numbers, NaN.
fn edges_of_f32() -> Vec<u32> {
    let mut bits = vec![
        0x7f80_0001,
        0x7fc0_0000,
        0x7fff_ffff,
        0x7f80_0000,
        0x477f_efff,
        0x477f_f000,
        0x477f_f001,
        0x3300_0000,
        0x3300_0001,
    ];
    for exponent in 96..145u32 {
        for fraction in [
            0, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x2fff, 0x3000, 0x7000, 0x7f_efff, 0x7f_f000, 0x7f_ffff, 0x7fff,
            0x8000, 0x8001, 0x1_8000,
        ] {
            bits.push(exponent << 23 | fraction);
        }
    }
    let negative: Vec<u32> = bits.iter().map(|b| b | 0x8000_0000).collect();
    [bits, negative].concat()
}

#[test]
fn conversions_are_exact_for_every_half_and_round_to_nearest_even() {
    for dtype in [DType::F16, DType::Bf16] {
        let g = GraphBuilder::new("conversions");
        let singles = edges_of_f32();
        let (x, h) = (g.input("x", f32([singles.len()])), g.input("h", TypeSpec::new(dtype, [1 << 16])));
        g.output("narrow", &x.cast(dtype));
        g.output("wide", &h.cast(DType::F32));
        g.output("same", &h.cast(DType::F32).cast(dtype));
        let (single, half) = (
            Value::from_fn(x.ty().unwrap(), |i| Scalar::F32(f32::from_bits(singles[i]))),
            Value::from_fn(h.ty().unwrap(), |i| Scalar::from_bits(i as u64, dtype)),
        );
        let inputs = NamedValues::from([("x".into(), single), ("h".into(), half)]);
        let (found, want) = (compiled(&g, &inputs), interpreted(&g, &inputs));
        for (name, want) in want {
            for i in 0..want.data().len() {
                let (a, b) = (found[&name].get(i), want.get(i));
                let same = a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                assert!(same, "{name}[{i}] of {dtype} is {a:?}, not {b:?}");
            }
        }
    }
}

/// Each op of a softmax, a normalization or an activation used to round what the one before had rounded.
#[test]
fn functions_of_several_ops_are_rounded_once() {
    type Function = fn(&Tensor) -> Tensor;
    let functions: [(&str, Function); 9] = [
        ("softmax", |x| x.softmax(-1)),
        ("log_softmax", |x| x.log_softmax(0)),
        ("logsumexp", |x| x.logsumexp(-1)),
        ("gelu", |x| Activation::Gelu.apply(x)),
        ("gelu_tanh", |x| Activation::GeluTanh.apply(x)),
        ("silu", |x| Activation::Silu.apply(x)),
        ("mish", |x| Activation::Mish.apply(x)),
        ("layer_norm", |x| LayerNorm::new().apply(x)),
        ("rms_norm", |x| RmsNorm::new().apply(x)),
    ];
    for (ty, ulp) in [(bf16 as TypeOf, 2f64.powi(-7)), (f16, 2f64.powi(-10))] {
        let g = GraphBuilder::new("functions");
        let x = g.input("x", ty(vec![6, 40]));
        for (name, function) in functions {
            g.output(name, &function(&x));
            g.output(&format!("{name}, exact"), &function(&x.cast(DType::F64)));
        }
        let x = Value::from_fn(x.ty().unwrap(), |i| {
            Scalar::F64(((i * 37 % 101) as f64 - 50.0) / 16.0).cast(x.dtype().unwrap())
        });
        let out = compiled(&g, &NamedValues::from([("x".into(), x)]));
        for (name, _) in functions {
            let exact = out[&format!("{name}, exact")].to_f64_vec();
            for (i, (found, exact)) in out[name].to_f64_vec().into_iter().zip(exact).enumerate() {
                // Half a unit of the last place, and what f32 adds; below 1e-4 f16 has fewer digits.
                let unit = exact.abs().max(1e-4).log2().floor().exp2() * ulp;
                assert!((found - exact).abs() <= 0.505 * unit, "{name}[{i}] is {found}, not {exact}");
            }
        }
    }
}
