//! What goes along an axis: elements taken by index. In every element type, along every axis, of even and odd shapes: what the interpreter gives, after each
//! pass for each target, and as machine code.

use crate::autodiff::transform;
use crate::machine::{load, step};
use crate::oracle::{Agreement, Ports, difference, evaluate};
use crate::pipeline::first_fault;
use gradc::dsl::{f32, i32};
use gradc::nn::sparse_cross_entropy;
use gradc::prelude::*;
use ir::{Graph, Scalar, Value};
use kernel::Target;
use passes::{Module, PassContext, RunOptions};

const TYPES: [&str; 8] = ["f32", "f64", "bf16", "f16", "i64", "i32", "u8", "bool"];

fn parsed(text: &str) -> Graph {
    Graph::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Elements for each port: for indices (`i`) numbers below `bound`, else small ones.
fn filled(graph: &Graph, bound: usize) -> Ports {
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
fn agrees(graph: &Graph, ports: &Ports) {
    let same = |a: &Ports, b: &Ports| difference(a, b, Agreement::Bits);
    for target in [Target::baseline(), Target::avx2(), Target::avx512()] {
        first_fault(&target.name, graph, ports, &target, &same).unwrap_or_else(|fault| panic!("{fault}"));
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
