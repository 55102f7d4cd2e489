//! What goes along an axis: elements taken by index, running sums, and orders. In every element type, along every axis, of even and odd shapes: what the interpreter gives, after each
//! pass for each target, and as machine code.

use crate::autodiff::transform;
use crate::machine::{load, step};
use crate::oracle::{Agreement, NamedValues, difference, evaluate, random_ports};
use crate::pipeline::first_fault;
use gradc::dsl::{f32, i32, zeros};
use gradc::nn::sparse_cross_entropy;
use gradc::prelude::*;
use ir::op::cumsum::BLOCK;
use ir::{Graph, Scalar, Value};
use kernel::Target;
use passes::{Module, PassContext, RunOptions};
use random_graphs::Rng;

const TYPES: [&str; 8] = ["f32", "f64", "bf16", "f16", "i64", "i32", "u8", "bool"];

fn parsed(text: &str) -> Graph {
    Graph::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Elements for each port: for indices (`i`) numbers below `bound`, else small ones.
fn filled(graph: &Graph, bound: usize) -> NamedValues {
    let value = |name: &str, ty: &TensorType| {
        Value::from_fn(ty.clone(), |at| {
            let mixed = (at * 7 + at / 11 * 5) % 23;
            Scalar::from_f64(if name == "i" { mixed % bound } else { mixed } as f64, ty.dtype)
        })
    };
    graph.inputs().map(|(id, port)| (port.name.clone(), value(&port.name, graph.ty(id)))).collect()
}

/// By the interpreter, after each pass for each target, and as machine code: the same bits.
#[track_caller]
fn agrees(graph: &Graph, ports: &NamedValues) {
    let same = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Bits);
    for target in [Target::baseline(), Target::avx2(), Target::avx512()] {
        first_fault(&target.to_string(), graph, ports, &target, &same).unwrap_or_else(|fault| panic!("{fault}"));
    }
    let want = evaluate(graph, ports).unwrap();
    for threads in [1, 3] {
        let got = step(&mut load(graph, threads), graph, ports).unwrap();
        if let Some(fault) = difference(&want, &got, Agreement::Bits) {
            panic!("with {threads} threads: {fault}\n{graph}");
        }
    }
}

/// Shapes of tables and of what is taken from them, by axis.
const TAKEN: [(&str, &str, usize, usize); 9] = [
    ("[37,19]", "[37]", 1, 19),
    ("[37,19]", "[37,1]", 1, 19),
    ("[5,33]", "[33]", 0, 5),
    ("[5,33]", "[7,33]", 0, 5),
    ("[3,17,6]", "[3,17,4]", 2, 6),
    ("[3,17,6]", "[3,2,6]", 1, 17),
    ("[3,17,6]", "[3,6]", 1, 17),
    ("[9]", "[]", 0, 9),
    ("[9]", "[40]", 0, 9),
];

#[test]
fn elements_are_taken_in_every_type_along_every_axis() {
    for dtype in TYPES {
        for (at, (table, taken, axis, bound)) in TAKEN.into_iter().enumerate() {
            let index = if at % 2 == 0 { "i32" } else { "i64" };
            let graph = parsed(&format!(
                "graph \"take\" {{
                   %0 = input {{name=\"x\"}} : {dtype}{table}
                   %1 = input {{name=\"i\"}} : {index}{taken}
                   %2 = take_along_axis %0, %1 {{axis={axis}}} : {dtype}{taken}
                   output \"y\" = %2
                 }}"
            ));
            agrees(&graph, &filled(&graph, bound));
        }
    }
}

#[test]
fn gradients_go_where_elements_were_taken() {
    for dtype in ["f32", "f64", "bf16", "f16"] {
        for (table, taken, axis, bound) in TAKEN {
            let axes: Vec<usize> = (0..taken.matches(',').count() + usize::from(taken != "[]")).collect();
            let axes = format!("{axes:?}").replace(' ', "");
            // Twice: what the second derivative takes is computed from what the first one gave.
            let graph = parsed(&format!(
                "graph \"take\" {{
                   %0 = input {{name=\"x\"}} : {dtype}{table}
                   %1 = input {{name=\"i\"}} : i32{taken}
                   %2 = take_along_axis %0, %1 {{axis={axis}}} : {dtype}{taken}
                   %3 = mul %2, %2 : {dtype}{taken}
                   %4 = {}
                   %5 = gradient %4, %0 : {dtype}{table}
                   %6 = take_along_axis %5, %1 {{axis={axis}}} : {dtype}{taken}
                   %7 = {}
                   %8 = gradient %7, %0 : {dtype}{table}
                   output \"d\" = %5
                   output \"dd\" = %8
                 }}",
                sum(dtype, "%3", &axes),
                sum(dtype, "%6", &axes)
            ));
            let graph = transform(&graph, "autodiff");
            agrees(&graph, &filled(&graph, bound));
        }
    }
}

/// The sum of all elements, as text.
fn sum(dtype: &str, of: &str, axes: &str) -> String {
    match axes {
        "[]" => format!("stop_gradient {of} : {dtype}[]").replace("stop_gradient", "neg"),
        _ => format!("reduce_sum {of} {{axes={axes}}} : {dtype}[]"),
    }
}

#[test]
fn nothing_is_taken_from_outside() {
    for (bad, dtype) in [(19, "i32"), (-1, "i32"), (i64::MAX, "i64"), (i64::MIN, "i64"), (1 << 32, "i64")] {
        for (taken, gradient) in [("[37]", false), ("[37]", true), ("[37,3]", false), ("[37,3]", true)] {
            let axes = if taken == "[37]" { "[0]" } else { "[0,1]" };
            let results = match gradient {
                false => "output \"y\" = %2",
                true => "output \"d\" = %4",
            };
            let graph = parsed(&format!(
                "graph \"take\" {{
                   %0 = input {{name=\"x\"}} : f32[37,19]
                   %1 = input {{name=\"i\"}} : {dtype}{taken}
                   %2 = take_along_axis %0, %1 {{axis=1}} : f32{taken}
                   %3 = reduce_sum %2 {{axes={axes}}} : f32[]
                   %4 = gradient %3, %0 : f32[37,19]
                   {results}
                 }}"
            ));
            let graph = transform(&graph, "autodiff");
            let mut ports = filled(&graph, 19);
            let ty = ports["i"].ty().clone();
            let good = ports["i"].clone();
            let indices =
                Value::from_fn(ty, |at| if at == 29 { Scalar::I64(bad).cast(good.ty().dtype) } else { good.get(at) });
            ports.insert("i".into(), indices);
            assert!(evaluate(&graph, &ports).is_err());
            let error = step(&mut load(&graph, 1), &graph, &ports).unwrap_err().to_string();
            assert!(error.contains("index is out of range, valid are 0 to 18"), "{error}");
        }
    }
}

/// A cross-entropy takes the label's logit where it walks the row: the mean of losses, which is what uses it, would need the logits to be kept, and with their
/// bias added.
#[test]
fn a_loss_by_labels_keeps_no_logits_for_the_mean() {
    let g = GraphBuilder::new("loss");
    let (x, w) = (g.input("x", f32([512, 64])), g.input("w", f32([64, 256])));
    let logits = x.matmul(&w) + g.input("b", f32([256]));
    let loss = sparse_cross_entropy(&logits, g.input("i", i32([512]))).mean();
    g.output("loss", &loss);
    let gradients = g.gradients(&loss, &[&w]);
    g.output("dw", &gradients[0]);
    let graph = g.finish().unwrap().graph;
    let done = passes::compile(graph, &PassContext::new(Target::avx512()), &RunOptions::default()).unwrap();
    let Module::Program(program) = done.module else { panic!("the loss stayed a graph") };
    let large = program.buffers.iter().filter(|b| b.len == 512 * 256).count();
    assert_eq!(large, 2, "there is more than the logits and their gradient\n{program}");
}

/// Shapes and axes of running sums: a block and less, more, and a multiple; few and many columns, tiles of them with a rest; rows in groups with a rest.
const SUMMED: [(&str, usize); 14] = [
    ("[9]", 0),
    ("[64]", 0),
    ("[65]", 0),
    ("[1000]", 0),
    ("[9,260]", 1),
    ("[2,7]", 1),
    ("[300,3]", 0),
    ("[300,8]", 0),
    ("[5,131,7]", 1),
    ("[3,128,33]", 1),
    ("[2,3,1100]", 1),
    ("[4,3,65]", 1),
    ("[11,1]", 0),
    ("[3,2,5]", 0),
];

#[test]
fn running_sums_are_the_same_everywhere_in_every_type() {
    for dtype in &TYPES[..7] {
        for (at, (shape, axis)) in SUMMED.into_iter().enumerate() {
            let (exclusive, reverse) = (at % 2, at / 2 % 2);
            let graph = parsed(&format!(
                "graph \"sums\" {{
                   %0 = input {{name=\"x\"}} : {dtype}{shape}
                   %1 = cumsum %0 {{axis={axis}, exclusive={exclusive}, reverse={reverse}}} : {dtype}{shape}
                   %2 = cumsum %0 {{axis={axis}, exclusive={reverse}, reverse={exclusive}}} : {dtype}{shape}
                   output \"y\" = %1
                   output \"z\" = %2
                 }}"
            ));
            let ty = graph.ty(graph.inputs().next().unwrap().0).clone();
            let ports = |element: &dyn Fn(usize) -> f64| {
                let x = Value::from_fn(ty.clone(), |at| Scalar::from_f64(element(at), ty.dtype));
                NamedValues::from([("x".to_string(), x)])
            };
            // Thirds: each addition rounds.
            let third = |at: usize| ((at * 7) % 23) as f64 / 3.0 - 2.0;
            agrees(&graph, &ports(&third));
            // Infinities stay in the blocks that follow, and so does what has overflowed.
            let most = if ty.dtype == DType::F16 { 6e4 } else { 3e38 };
            let edge = |at: usize| match at % 371 {
                40 => f64::INFINITY,
                200 => f64::NAN,
                301..310 => most,
                _ => third(at),
            };
            if ty.dtype.is_float() {
                agrees(&graph, &ports(&edge));
            }
        }
    }
}

#[test]
fn running_sums_of_computed_elements_and_in_loops() {
    for (shape, axis, axes) in [("[6,40]", 1, "[0,1]"), ("[40,16]", 0, "[0,1]"), ("[2,3,4]", 1, "[0,1,2]")] {
        let graph = parsed(&format!(
            "graph \"sums\" {{
               %0 = input {{name=\"x\"}} : f64{shape}
               %1 = exp %0 : f64{shape}
               %2 = cumsum %1 {{axis={axis}, exclusive=0, reverse=0}} : f64{shape}
               %3 = mul %2, %2 : f64{shape}
               %4 = cumsum %3 {{axis={axis}, exclusive=1, reverse=1}} : f64{shape}
               %5 = reduce_sum %4 {{axes={axes}}} : f64[]
               %6 = gradient %5, %0 : f64{shape}
               output \"y\" = %4
               output \"d\" = %6
             }}"
        ));
        let graph = transform(&graph, "autodiff");
        let ports = filled(&graph, 1)
            .into_iter()
            .map(|(name, x)| (name, Value::from_fn(x.ty().clone(), |at| Scalar::F64(x.get(at).as_f64() / 23.0))));
        let ports: NamedValues = ports.collect();
        let want = evaluate(&graph, &ports).unwrap();
        let got = step(&mut load(&graph, 2), &graph, &ports).unwrap();
        assert_eq!(difference(&want, &got, Agreement::Within(1e-12)), None, "{graph}");
    }
}

/// What is ordered, and along which axis: one element, more than a byte counts, columns, and lines that are shared by threads.
const ORDERED: [(&str, usize); 5] = [("[1]", 0), ("[301]", 0), ("[65,7]", 0), ("[2,67,3]", 1), ("[70,9]", 1)];

#[test]
fn orders_are_the_same_everywhere_in_every_type() {
    for dtype in DType::ALL.into_iter().filter(|dtype| dtype.is_number()) {
        for (at, (shape, axis)) in ORDERED.into_iter().enumerate() {
            let (first, second) = (at % 2, 1 - at % 2);
            let graph = parsed(&format!(
                "graph \"order\" {{
                   %0 = input {{name=\"x\"}} : {dtype}{shape}
                   %1 = argsort %0 {{axis={axis}, descending={first}}} : i32{shape}
                   %2 = argsort %0 {{axis={axis}, descending={second}}} : i32{shape}
                   output \"y\" = %1
                   output \"z\" = %2
                 }}"
            ));
            let ty = graph.ty(graph.inputs().next().unwrap().0).clone();
            let ports = |element: &dyn Fn(usize) -> Scalar| {
                NamedValues::from([("x".to_string(), Value::from_fn(ty.clone(), element))])
            };
            // Few different ones, many of which are equal; then all that a type has, by their bits: all bytes of a key count.
            agrees(&graph, &ports(&|at| Scalar::from_f64(((at * 7) % 23) as f64 - 11.0, ty.dtype)));
            agrees(
                &graph,
                &ports(&|at| Scalar::from_bits((at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 3, ty.dtype)),
            );
            let edges = [0.0, f64::NAN, -0.0, f64::INFINITY, -1.5, f64::NEG_INFINITY, -f64::NAN, 1e-7, -1e-7];
            if ty.dtype.is_float() {
                agrees(&graph, &ports(&|at| Scalar::from_f64(edges[at * 5 % 9], ty.dtype)));
            }
        }
    }
}

/// A million elements, as a stable sort of the standard library has them, with the gradient where they came from.
#[test]
fn a_million_elements_are_sorted() {
    let n = 1_000_000;
    let g = GraphBuilder::new("sort");
    let x = g.param("x", f32([n]), zeros());
    let sorted = x.sort(0, false);
    g.output("sorted", &sorted);
    let place = g.input("place", f32([n]));
    let loss = (sorted * place).sum();
    let gradient = g.gradients(&loss, &[&x]).remove(0);
    g.output("gradient", &gradient);
    let step = g.finish().unwrap();
    let elements: Vec<f32> = (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_769) >> 12) as f32 - 5e5).collect();
    let mut program = step.compile(&CompileOptions::threads(2)).unwrap();
    program.set_state("x", &array([n], elements.clone()).unwrap()).unwrap();
    let places = array([n], (0..n).map(|i| i as f32).collect()).unwrap();
    let found = program.run([("place", &places)]).unwrap();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| elements[a].total_cmp(&elements[b]));
    let (sorted, gradient) = (found["sorted"].as_f32().unwrap(), found["gradient"].as_f32().unwrap());
    for (place, &from) in order.iter().enumerate() {
        assert_eq!((sorted[place], gradient[from]), (elements[from], place as f32), "{place}");
    }
}

/// The largest of long rows in machine code, with and without a block to be filled up: among few different numbers, infinities and not numbers.
#[test]
fn the_largest_of_long_rows_come_in_order() {
    let step = {
        let g = GraphBuilder::new("largest");
        for (extent, count) in [(131, 30), (1000, 5), (1000, 124), (5003, 40)] {
            let x = g.input(&format!("x{extent}_{count}"), f32([3, extent]));
            let (values, places) = x.top_k(count, 1);
            g.output(&format!("values{extent}_{count}"), &values);
            g.output(&format!("places{extent}_{count}"), &places);
        }
        g.finish().unwrap()
    };
    let mut random = Rng::new(5);
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0];
    let inputs: NamedValues = step
        .graph
        .inputs()
        .map(|(id, port)| {
            let x = Value::from_fn(step.graph.ty(id).clone(), |_| {
                let n = random.below(40);
                Scalar::F32(special.get(n).copied().unwrap_or(n as f32 - 4.0))
            });
            (port.name.clone(), x)
        })
        .collect();
    let mut program = step.compile(&CompileOptions::threads(2)).unwrap();
    let found = program.run(&inputs).unwrap();
    for (name, x) in &inputs {
        let [extent, count] = [0, 1].map(|at| name[1..].split('_').nth(at).unwrap().parse().unwrap());
        for (row, elements) in x.as_f32().unwrap().chunks(extent).enumerate() {
            let mut order: Vec<i32> = (0..extent as i32).collect();
            // Not numbers first, and zeros of both signs equal.
            let key = |i: &i32| Some(elements[*i as usize] + 0.0).filter(|x| !x.is_nan()).unwrap_or(f32::NAN);
            order.sort_by(|a, b| key(b).total_cmp(&key(a)));
            let places = found[&format!("places{}", &name[1..])].to_f64_vec();
            let places: Vec<i32> = places[row * count..][..count].iter().map(|place| *place as i32).collect();
            assert_eq!(places, order[..count], "{name}, row {row}");
            let values = &found[&format!("values{}", &name[1..])].as_f32().unwrap()[row * count..][..count];
            let same = values.iter().zip(&places).all(|(v, i)| v.to_bits() == elements[*i as usize].to_bits());
            assert!(same, "{name}, row {row}");
        }
    }
}

/// The sum of `n` elements that are all `x`, along the axis of `[before, n, after]`, at each place; with two threads.
fn sums_of(x: f32, shape: [usize; 3]) -> Vec<f32> {
    let g = GraphBuilder::new("sums");
    g.output("y", &g.input("x", f32(shape)).cumsum(1));
    let step = g.finish().unwrap();
    let ty = step.graph.inputs().next().unwrap().1.ty.clone();
    let inputs = NamedValues::from([("x".to_string(), Value::from_fn(ty, |_| Scalar::F32(x)))]);
    let mut program = step.compile(&CompileOptions::threads(2)).unwrap();
    program.run(&inputs).unwrap()["y"].as_f32().unwrap().to_vec()
}

/// One number after the other, `f32` stops growing at 2^24 ones, and a sum of 0.1 is off by several hundredths there. In blocks the error is that of one block, at any length.
#[test]
fn running_sums_grow_beyond_2_to_the_24th() {
    let n = (1 << 24) + 5000;
    for [before, after] in [[1, 1], [1, 9]] {
        let n = if after > 1 { n / 8 } else { n };
        for x in [1.0, 0.1, 1e-3] {
            let sums = sums_of(x, [before, n, after]);
            let mut last = 0.0;
            for (at, &sum) in sums.iter().step_by(after).enumerate() {
                let want = (at + 1) as f64 * f64::from(x);
                let error = (f64::from(sum) - want).abs() / want;
                // What a chain of a block's additions may lose; nothing is lost of whole numbers but in the last rounding.
                let bound =
                    if x == 1.0 { f64::from(f32::EPSILON) / 2.0 } else { BLOCK as f64 * f64::from(f32::EPSILON) / 2.0 };
                assert!(error <= bound, "the sum of {} times {x} is {sum}", at + 1);
                assert!(sum >= last, "sums of {x} decrease at {at}");
                last = sum;
            }
        }
    }
}

#[test]
fn running_sums_of_positive_numbers_never_decrease() {
    let g = GraphBuilder::new("sums");
    let x = g.input("x", f32([3, 40_000]));
    g.output("y", &x.cumsum(1));
    g.output("z", &x.transpose().cumsum(0));
    let step = g.finish().unwrap();
    let ty = step.graph.inputs().next().unwrap().1.ty.clone();
    // From all magnitudes, so that nearly every addition rounds.
    let element = |at: usize| {
        let bits = (at as u32).wrapping_mul(2_654_435_769);
        Scalar::F32(f32::from_bits(0x3000_0000 + (bits >> 3) % 0x1800_0000))
    };
    let inputs = NamedValues::from([("x".to_string(), Value::from_fn(ty, element))]);
    let found = step.compile(&CompileOptions::threads(1)).unwrap().run(&inputs).unwrap();
    let (rows, columns) = (found["y"].as_f32().unwrap(), found["z"].as_f32().unwrap());
    for row in 0..3 {
        let along = |at: usize| rows[row * 40_000 + at];
        for at in 1..40_000 {
            assert!(along(at) >= along(at - 1), "row {row} decreases at {at}: {} {}", along(at - 1), along(at));
            assert_eq!(along(at).to_bits(), columns[at * 3 + row].to_bits(), "both axes have the same sums");
        }
    }
}

/// A sum whose product is wanted elsewhere too is computed with one rounding in one place and with two in another: its extremum, compared with it,
/// may then stand nowhere.
#[test]
fn the_extremum_of_a_sum_of_products_stands_where_it_does() {
    let text = r#"graph "places" {
  %0 = input {name="x"} : f64[40,20]
  %1 = tanh %0 : f64[40,20]
  %2 = full {value=(0.7)} : f64[40,20]
  %3 = mul %1, %2 : f64[40,20]
  %4 = full {value=(1.3)} : f64[40,20]
  %5 = add %3, %4 : f64[40,20]
  %6 = argmax %5 {axis=1} : i32[40]
  %7 = argmin %5 {axis=0} : i32[20]
  output "product" = %3
  output "largest" = %6
  output "smallest" = %7
}"#;
    let graph = Graph::parse(text).unwrap();
    let ports = random_ports(&graph, 3);
    let want = evaluate(&graph, &ports).unwrap();
    let found = step(&mut load(&graph, 2), &graph, &ports).unwrap();
    for name in ["largest", "smallest"] {
        assert_eq!(found[name], want[name], "{name}");
    }
}
