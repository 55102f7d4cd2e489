//! Zeros of both signs and NaN through everything that picks a larger or a smaller element: to the bit the same by the interpreter, after each
//! pass for each target, and as machine code.

use crate::autodiff::transform;
use crate::machine::{self, load, step};
use crate::oracle::{Agreement, NamedValues, difference, evaluate};
use crate::pipeline::first_fault;
use ir::{Graph, Scalar, Value};
use kernel::Target;
use passes::{PassContext, RunOptions};
use runtime::{Executable, LoadOptions};

const TYPES: [&str; 4] = ["f32", "f64", "bf16", "f16"];

/// Zeros of both signs, by stretches of one sign and mixed; every 50th a NaN if asked for, and now and then a number that is none of them.
fn zeros(graph: &Graph, with_nan: bool) -> NamedValues {
    let value = |seed: usize, ty: &ir::TensorType| {
        Value::from_fn(ty.clone(), |i| {
            let mixed = (i * 7 + seed * 3 + i / 5) % 11;
            let number = match mixed {
                0 if with_nan && i % 5 == 0 => f64::NAN,
                1 if i % 9 == 0 => -1.0,
                2 if i % 13 == 0 => 0.5,
                _ if (i / 8) % 3 == 0 => -0.0,
                mixed if mixed % 2 == 0 => 0.0,
                _ => -0.0,
            };
            Scalar::from_f64(number, ty.dtype)
        })
    };
    graph.inputs().enumerate().map(|(seed, (id, port))| (port.name.clone(), value(seed, graph.ty(id)))).collect()
}

/// The graph with `T` for each element type; gradients in it are taken.
fn check(name: &str, body: &str) {
    for dtype in TYPES {
        // Outputs stand beside what they show; text has them last.
        let (outputs, nodes): (Vec<&str>, Vec<&str>) = body.lines().partition(|line| line.starts_with("output"));
        let body = [nodes, outputs].concat().join("\n").replace('T', dtype);
        let text = format!("graph \"{name} {dtype}\" {{\n{body}\n}}");
        let graph = Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let graph = transform(&graph, "autodiff");
        for with_nan in [false, true] {
            let ports = zeros(&graph, with_nan);
            let same = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Bits);
            for target in [Target::baseline(), Target::avx2(), Target::avx512()] {
                first_fault(&target.to_string(), &graph, &ports, &target, &same)
                    .unwrap_or_else(|fault| panic!("{fault}"));
            }
            let expected = evaluate(&graph, &ports).unwrap();
            let found = step(&mut load(&graph, 1), &graph, &ports).unwrap();
            if let Some(difference) = difference(&expected, &found, Agreement::Bits) {
                panic!("as machine code: {difference}\n{graph}");
            }
        }
    }
}

/// What the rule says, on the case that was found: a window of -0 and +0 has the maximum +0, in either order.
#[test]
fn a_pooled_maximum_of_zeros_of_both_signs_is_positive() {
    let graph = Graph::parse(
        "graph \"pool_max_zero\" {
           %0 = input {name=\"x\"} : f32[1,4,1]
           %1 = pool_max %0 {size=[2], stride=[2], pad=[(0,0)], dilation=[1]} : f32[1,2,1]
           output \"y\" = %1
         }",
    )
    .unwrap();
    for (x, y) in [([-0.0, 0.0, 0.0, -0.0], [0.0, 0.0]), ([-0.0, -0.0, -1.0, -0.0], [-0.0, -0.0])] {
        let x = Value::from_fn(graph.ty(graph.ids().next().unwrap()).clone(), |i| Scalar::F32(x[i]));
        let ports = NamedValues::from([("x".to_string(), x)]);
        let found = [evaluate(&graph, &ports).unwrap(), step(&mut load(&graph, 1), &graph, &ports).unwrap()];
        for found in found {
            let bits: Vec<u32> = found["y"].as_f32().unwrap().iter().map(|y| y.to_bits()).collect();
            assert_eq!(bits, y.map(f32::to_bits));
        }
    }
}

#[test]
fn pooling_agrees_on_zeros() {
    // Windows apart (places are kept), with a rest, padded, overlapping, dilated; so large that taps are looped over.
    let windows = [
        ("size=[2,2], stride=[2,2], pad=[(0,0),(0,0)], dilation=[1,1]", (4, 5)),
        ("size=[2,3], stride=[2,3], pad=[(1,1),(1,0)], dilation=[1,1]", (5, 3)),
        ("size=[3,3], stride=[1,2], pad=[(1,1),(0,1)], dilation=[1,1]", (9, 5)),
        ("size=[2,2], stride=[1,1], pad=[(0,0),(0,0)], dilation=[2,2]", (7, 8)),
        ("size=[5,4], stride=[5,4], pad=[(1,0),(0,0)], dilation=[1,1]", (2, 2)),
    ];
    for (window, (h, w)) in windows {
        for c in [1, 3, 17] {
            let (x, y) = (format!("T[2,9,10,{c}]"), format!("T[2,{h},{w},{c}]"));
            let pool = format!(
                "%0 = input {{name=\"x\"}} : {x}
                 %1 = input {{name=\"dy\"}} : {y}
                 %2 = pool_max %0 {{{window}}} : {y}"
            );
            check("pool", &format!("{pool}\noutput \"y\" = %2"));
            check(
                "pool and gradient",
                &format!(
                    "{pool}
                     %3 = pool_max_grad %0, %1 {{{window}}} : {x}
                     %4 = pool_max_take %0, %0 {{{window}}} : {y}
                     output \"y\" = %2\noutput \"dx\" = %3\noutput \"taken\" = %4"
                ),
            );
        }
    }
}

/// The body of a scan has the places of maxima for its sequences: the derivative doesn't find them again.
#[test]
fn pooling_in_a_scan_agrees_on_zeros() {
    check(
        "scan",
        "%0 = input {name=\"h\"} : T[1,2,3]
         %1 = input {name=\"xs\"} : T[3,1,4,3]
         %2 = scan %0, %1 {length=3, reverse=0, recompute=0, select=0, body=graph \"body\" {
           %0 = input {name=\"carry0\"} : T[1,2,3]
           %1 = input {name=\"x0\"} : T[1,4,3]
           %2 = pool_max %1 {size=[2], stride=[2], pad=[(0,0)], dilation=[1]} : T[1,2,3]
           %3 = max %0, %2 : T[1,2,3]
           output \"carry0\" = %3
         }} : T[1,2,3]
         %3 = reduce_max %2 {axes=[0,1,2]} : T[]
         %4 = gradient %3, %1 : T[3,1,4,3]
         output \"y\" = %2
         output \"dx\" = %4",
    );
}

#[test]
fn extrema_of_elements_agree_on_zeros() {
    for dims in ["5", "37", "3,64"] {
        let ty = format!("T[{dims}]");
        check(
            "elements",
            &format!(
                "%0 = input {{name=\"a\"}} : {ty}
                 %1 = input {{name=\"b\"}} : {ty}
                 %2 = full {{value=(0.0)}} : {ty}
                 %3 = full {{value=(-0.0)}} : {ty}
                 %4 = full {{value=(0.5)}} : {ty}
                 %5 = max %0, %1 : {ty}\noutput \"max\" = %5
                 %6 = min %0, %1 : {ty}\noutput \"min\" = %6
                 %7 = relu %0 : {ty}\noutput \"relu\" = %7
                 %8 = max %0, %2 : {ty}\noutput \"max0\" = %8
                 %9 = max %3, %0 : {ty}\noutput \"max-0\" = %9
                 %10 = min %2, %0 : {ty}\noutput \"min0\" = %10
                 %11 = min %0, %3 : {ty}\noutput \"min-0\" = %11
                 %12 = min %8, %4 : {ty}\noutput \"clamp\" = %12
                 %13 = max %11, %4 : {ty}\noutput \"clamp-\" = %13"
            ),
        );
    }
}

#[test]
fn reduced_extrema_agree_on_zeros() {
    for (dims, axes, kept, axis, left) in [
        ("4,37", "1", "4", 1, "4"),
        ("37,4", "0", "4", 0, "4"),
        ("3,5,70", "1", "3,70", 1, "3,70"),
        ("3,5,70", "0,2", "5", 2, "3,5"),
        ("130", "0", "", 0, ""),
        ("40,1", "0,1", "", 0, "1"),
    ] {
        check(
            "reduce",
            &format!(
                "%0 = input {{name=\"x\"}} : T[{dims}]
                 %1 = reduce_max %0 {{axes=[{axes}]}} : T[{kept}]\noutput \"max\" = %1
                 %2 = reduce_min %0 {{axes=[{axes}]}} : T[{kept}]\noutput \"min\" = %2
                 %3 = argmax %0 {{axis={axis}}} : i32[{left}]\noutput \"argmax\" = %3
                 %4 = argmin %0 {{axis={axis}}} : i32[{left}]\noutput \"argmin\" = %4"
            ),
        );
    }
}

/// Loops for extrema look at signs and NaN at their end alone, with 256-bit vectors: rows of one sign, of zeros, with one zero of the other sign or one NaN at each place.
#[test]
fn extrema_of_long_rows_settle_zeros_and_nan_at_the_end() {
    const LENGTHS: [usize; 4] = [130, 257, 264, 300];
    for length in LENGTHS {
        for dtype in ["f32", "f64"] {
            for (dims, axis) in [(format!("24,{length}"), 1), (format!("{length},24"), 0)] {
                let text = format!(
                    "graph \"rows\" {{
                     %0 = input {{name=\"x\"}} : {dtype}[{dims}]
                     %1 = reduce_max %0 {{axes=[{axis}]}} : {dtype}[24]
                     %2 = reduce_min %0 {{axes=[{axis}]}} : {dtype}[24]
                     output \"max\" = %1
                     output \"min\" = %2
                     }}"
                );
                let graph = Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
                for seed in 0..6 {
                    on_each_machine(&graph, &odd_ones_out(&graph, (length, axis), seed));
                }
            }
        }
    }
}

/// 24 rows, all alike but for one element.
fn odd_ones_out(graph: &Graph, (length, axis): (usize, usize), seed: usize) -> NamedValues {
    let value = |ty: &ir::TensorType| {
        Value::from_fn(ty.clone(), |i| {
            let (row, at) = if axis == 1 { (i / length, i % length) } else { (i % 24, i / 24) };
            let like = [0.0, -0.0, 1.5, -1.5][row % 4];
            let odd = [f64::NAN, 0.0, -0.0, -f64::NAN, like, f64::NEG_INFINITY][row / 4];
            let place = (row * 53 + seed * 61 + seed / 3) % length;
            Scalar::from_f64(if at == place { odd } else { like }, ty.dtype)
        })
    };
    graph.inputs().map(|(id, port)| (port.name.clone(), value(graph.ty(id)))).collect()
}

/// What the interpreter computes, to the bit, with vectors of each width.
fn on_each_machine(graph: &Graph, ports: &NamedValues) {
    let expected = evaluate(graph, ports).unwrap();
    for target in machine::machines() {
        let context = PassContext::new(target.clone());
        let program = passes::compile(graph.clone(), &context, &RunOptions::default()).unwrap().module;
        let options = LoadOptions { target: Some(target.clone()), verify_code: true, ..LoadOptions::default() };
        let mut executable = Executable::load(program.program().unwrap().clone(), &options).unwrap();
        let found = step(&mut executable, graph, ports).unwrap();
        let difference = difference(&expected, &found, Agreement::Bits);
        assert_eq!(difference, None, "on {}\n{graph}", target);
    }
}
