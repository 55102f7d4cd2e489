//! Gradients of whole models against finite differences, in `f64`.
//!
//! The derivative rules are checked one by one beside the op table; here is what the pass adds: sweeps over many nodes, accumulation,
//! gradients of gradients, and the clean-up after them.

use crate::oracle::{NamedValues, evaluate, random_ports};
use ir::{Graph, Op, Scalar};
use kernel::Target;
use passes::{Module, PassContext, RunOptions, Stop};

/// Runs the pipeline up to and including `last`.
pub(crate) fn transform(graph: &Graph, last: &str) -> Graph {
    let options = RunOptions { stop: Stop::AfterPass(last.into()), ..RunOptions::default() };
    let outcome = passes::compile(graph.clone(), &PassContext::new(Target::baseline()), &options).unwrap();
    match outcome.module {
        Module::Graph(graph) => graph,
        Module::Program(_) => panic!("`{last}` runs on graphs"),
    }
}

/// The difference quotient of output `loss` by element `i` of port `port`.
fn quotient(graph: &Graph, ports: &NamedValues, loss: &str, port: &str, i: usize) -> f64 {
    let step = 1e-5;
    let at = |shift: f64| {
        let mut ports = ports.clone();
        let value = ports.get_mut(port).unwrap();
        let x = value.get(i).as_f64();
        value.data_mut().set(i, Scalar::F64(x + shift));
        evaluate(graph, &ports).unwrap()[loss].get(0).as_f64()
    };
    // Fourth order, so that the step may be large enough for rounding not to count.
    (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step)
}

/// Checks each output `d<port>` of the graph, after `autodiff` and after the whole clean-up, against quotients of output `loss`.
pub(crate) fn check(text: &str) {
    let declared = Graph::parse(text).unwrap();
    for last in ["autodiff", "dce"] {
        let graph = transform(&declared, last);
        let ports = random_ports(&graph, 7);
        let results = evaluate(&graph, &ports).unwrap();
        let mut checked = 0;
        for (name, gradient) in results.iter().filter(|(name, _)| name.starts_with('d')) {
            let port = &name[1..];
            for i in 0..gradient.data().len() {
                let (found, expected) = (gradient.get(i).as_f64(), quotient(&graph, &ports, "loss", port, i));
                let error = (found - expected).abs();
                assert!(
                    error <= 1e-7 * expected.abs().max(1.0),
                    "after {last}: {name}[{i}] is {found}, not {expected}"
                );
                checked += 1;
            }
        }
        assert!(checked > 0, "the graph has no output named `d<port>`");
    }
}

#[test]
fn perceptron_with_cross_entropy() {
    check(
        r#"graph "mlp" {
  %0 = input {name="x"} : f64[5,4]
  %1 = input {name="labels"} : i32[5]
  %2 = state {name="w1"} : f64[4,6]
  %3 = state {name="b1"} : f64[6]
  %4 = state {name="w2"} : f64[6,3]
  %5 = dot %0, %2 {batch=[], contract=[(1,0)]} : f64[5,6]
  %6 = broadcast %3 {axes=[1]} : f64[5,6]
  %7 = add %5, %6 : f64[5,6]
  %8 = tanh %7 : f64[5,6]
  %9 = dot %8, %4 {batch=[], contract=[(1,0)]} : f64[5,3]
  %10 = reduce_max %9 {axes=[1]} : f64[5]
  %11 = stop_gradient %10 : f64[5]
  %12 = broadcast %11 {axes=[0]} : f64[5,3]
  %13 = sub %9, %12 : f64[5,3]
  %14 = exp %13 : f64[5,3]
  %15 = reduce_sum %14 {axes=[1]} : f64[5]
  %16 = log %15 : f64[5]
  %17 = check_index %1 {bound=3} : i32[5]
  %18 = broadcast %17 {axes=[0]} : i32[5,3]
  %19 = iota {axis=1} : i32[5,3]
  %20 = eq %18, %19 : bool[5,3]
  %21 = full {value=(0.0)} : f64[5,3]
  %22 = select %20, %13, %21 : f64[5,3]
  %23 = reduce_sum %22 {axes=[1]} : f64[5]
  %24 = sub %16, %23 : f64[5]
  %25 = reduce_sum %24 {axes=[0]} : f64[]
  %26 = full {value=(5.0)} : f64[]
  %27 = div %25, %26 : f64[]
  %28 = gradient %27, %0 : f64[5,4]
  %29 = gradient %27, %2 : f64[4,6]
  %30 = gradient %27, %3 : f64[6]
  %31 = gradient %27, %4 : f64[6,3]
  output "loss" = %27
  output "dx" = %28
  output "dw1" = %29
  output "db1" = %30
  output "dw2" = %31
}"#,
    );
}

#[test]
fn convolutions_with_pooling_and_normalization() {
    check(
        r#"graph "cnn" {
  %0 = input {name="x"} : f64[2,7,6,2]
  %1 = state {name="k1"} : f64[3,3,2,4]
  %2 = state {name="k2"} : f64[2,2,2,4]
  %3 = state {name="w"} : f64[24,3]
  %4 = state {name="g"} : f64[4]
  %5 = conv %0, %1 {size=[3,3], stride=[1,1], pad=[(1,1),(1,1)], dilation=[1,1], groups=1} : f64[2,7,6,4]
  %6 = reduce_sum %5 {axes=[0,1,2]} : f64[4]
  %7 = full {value=(84.0)} : f64[4]
  %8 = div %6, %7 : f64[4]
  %9 = broadcast %8 {axes=[3]} : f64[2,7,6,4]
  %10 = sub %5, %9 : f64[2,7,6,4]
  %11 = mul %10, %10 : f64[2,7,6,4]
  %12 = reduce_sum %11 {axes=[0,1,2]} : f64[4]
  %13 = div %12, %7 : f64[4]
  %14 = full {value=(0.001)} : f64[4]
  %15 = add %13, %14 : f64[4]
  %16 = rsqrt %15 : f64[4]
  %17 = mul %16, %4 : f64[4]
  %18 = broadcast %17 {axes=[3]} : f64[2,7,6,4]
  %19 = mul %10, %18 : f64[2,7,6,4]
  %20 = sigmoid %19 : f64[2,7,6,4]
  %21 = pool_max %20 {size=[2,2], stride=[2,2], pad=[(0,0),(0,0)], dilation=[1,1]} : f64[2,3,3,4]
  %22 = conv %21, %2 {size=[2,2], stride=[1,1], pad=[(0,1),(0,0)], dilation=[1,1], groups=2} : f64[2,3,2,4]
  %23 = reshape %22 : f64[2,24]
  %24 = dot %23, %3 {batch=[], contract=[(1,0)]} : f64[2,3]
  %25 = sin %24 : f64[2,3]
  %26 = reduce_sum %25 {axes=[0,1]} : f64[]
  %27 = gradient %26, %0 : f64[2,7,6,2]
  %28 = gradient %26, %1 : f64[3,3,2,4]
  %29 = gradient %26, %2 : f64[2,2,2,4]
  %30 = gradient %26, %3 : f64[24,3]
  %31 = gradient %26, %4 : f64[4]
  output "loss" = %26
  output "dx" = %27
  output "dk1" = %28
  output "dk2" = %29
  output "dw" = %30
  output "dg" = %31
}"#,
    );
}

/// The loss is itself made of a gradient, as in a gradient penalty: its gradient goes through the expanded backward pass.
#[test]
fn gradient_of_a_gradient() {
    check(
        r#"graph "penalty" {
  %0 = input {name="x"} : f64[3,4]
  %1 = state {name="w1"} : f64[4,5]
  %2 = state {name="w2"} : f64[5,2]
  %3 = dot %0, %1 {batch=[], contract=[(1,0)]} : f64[3,5]
  %4 = tanh %3 : f64[3,5]
  %5 = dot %4, %2 {batch=[], contract=[(1,0)]} : f64[3,2]
  %6 = exp %5 : f64[3,2]
  %7 = reduce_sum %6 {axes=[0,1]} : f64[]
  %8 = gradient %7, %0 : f64[3,4]
  %9 = mul %8, %8 : f64[3,4]
  %10 = reduce_sum %9 {axes=[0,1]} : f64[]
  %11 = sqrt %10 : f64[]
  %12 = add %11, %7 : f64[]
  %13 = log %12 : f64[]
  %14 = gradient %13, %0 : f64[3,4]
  %15 = gradient %13, %1 : f64[4,5]
  %16 = gradient %13, %2 : f64[5,2]
  output "loss" = %13
  output "dx" = %14
  output "dw1" = %15
  output "dw2" = %16
}"#,
    );
}

/// Third derivative of x^4 at every element: 24 x, through three nested expansions.
#[test]
fn third_derivative() {
    let graph = Graph::parse(
        r#"graph "quartic" {
  %0 = input {name="x"} : f64[]
  %1 = mul %0, %0 : f64[]
  %2 = mul %1, %1 : f64[]
  %3 = gradient %2, %0 : f64[]
  %4 = gradient %3, %0 : f64[]
  %5 = gradient %4, %0 : f64[]
  output "y" = %5
}"#,
    )
    .unwrap();
    let graph = transform(&graph, "dce");
    for seed in 0..8 {
        let ports = random_ports(&graph, seed);
        let x = ports["x"].get(0).as_f64();
        let y = evaluate(&graph, &ports).unwrap()["y"].get(0).as_f64();
        assert!((y - 24.0 * x).abs() <= 1e-12 * x.abs(), "at {x}: {y}");
    }
}

/// New nodes say where in the user's source the node stands whose derivative they are.
#[test]
fn locations_follow() {
    let text = r#"graph "where" {
  %0 = input {name="x"} : f32[3]
  %1 = exp %0 : f32[3]
  %2 = reduce_sum %1 {axes=[0]} : f32[]
  %3 = gradient %2, %0 : f32[3]
  output "y" = %3
}"#;
    let graph = transform(&Graph::parse_file(text, "model.ir").unwrap(), "autodiff");
    let line = |wanted: fn(&Op) -> bool| {
        let id = graph.ids().find(|&id| wanted(graph.op(id))).unwrap();
        graph.loc(id).unwrap().line
    };
    assert_eq!(line(|op| matches!(op, Op::Broadcast(_))), 4, "the derivative of the sum");
    assert_eq!(line(|op| op.name() == "mul"), 3, "the derivative of exp");
}

/// The gradient of a product of many factors takes work in proportion to their number, whatever the axes; it holds at zeros, and next to underflow where the
/// product vanishes but what the others make doesn't.
#[test]
fn gradients_of_long_products_take_linear_work() {
    for (dims, axes, kept) in
        [("3,1000", "1", "3"), ("1001,3", "0", "3"), ("7,5,33", "0,2", "5"), ("16384", "0", ""), ("2,1", "1", "2")]
    {
        let kept_axes: Vec<String> =
            (0..kept.split(',').filter(|d| !d.is_empty()).count()).map(|a| a.to_string()).collect();
        let text = format!(
            "graph \"product\" {{
               %0 = input {{name=\"x\"}} : f64[{dims}]
               %1 = reduce_prod %0 {{axes=[{axes}]}} : f64[{kept}]
               {}
               %3 = gradient %2, %0 : f64[{dims}]
               output \"dx\" = %3
             }}",
            if kept.is_empty() {
                "%2 = mul %1, %1 : f64[]".to_string()
            } else {
                format!("%2 = reduce_sum %1 {{axes=[{}]}} : f64[]", kept_axes.join(","))
            }
        );
        let graph = transform(&Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}")), "autodiff");
        let elements = graph.ty(graph.ids().next().unwrap()).shape.numel();
        let work: usize = graph.ids().map(|id| graph.ty(id).shape.numel()).sum();
        assert!(work <= 24 * elements, "{work} elements computed for the {elements} of [{dims}]");
    }
    let graph = Graph::parse(
        "graph \"zeros\" {
           %0 = input {name=\"x\"} : f64[4,5]
           %1 = reduce_prod %0 {axes=[1]} : f64[4]
           %2 = reduce_sum %1 {axes=[0]} : f64[]
           %3 = gradient %2, %0 : f64[4,5]
           output \"dx\" = %3
         }",
    )
    .unwrap();
    let graph = transform(&graph, "autodiff");
    let x = [
        [2.0, 3.0, 5.0, 7.0, 0.5],
        [2.0, 0.0, 5.0, 7.0, 0.5],
        [2.0, 0.0, 5.0, 0.0, 0.5],
        [1e-200, 1e-200, 1e200, 1.0, 1e200],
    ]
    .concat();
    let want =
        [[52.5, 35.0, 21.0, 15.0, 210.0], [0.0, 35.0, 0.0, 0.0, 0.0], [0.0; 5], [1e200, 1e200, 1e-200, 1.0, 1e-200]]
            .concat();
    let ty = graph.ty(graph.ids().next().unwrap()).clone();
    let ports = NamedValues::from([("x".to_string(), ir::Value::from_fn(ty, |i| Scalar::F64(x[i])))]);
    let machine = crate::machine::step(&mut crate::machine::load(&graph, 1), &graph, &ports).unwrap();
    for found in [evaluate(&graph, &ports).unwrap(), machine] {
        for (found, want) in found["dx"].to_f64_vec().iter().zip(&want) {
            assert!((found - want).abs() <= 1e-12 * want.abs(), "{found}, not {want}");
        }
    }
}
