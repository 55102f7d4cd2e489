//! Operators by their values, where the standard's own cases leave something out.

use crate::build::{
    graph, graph_attribute, int_attribute, ints, ints_attribute, model_of, node, port, stored, text_attribute,
};
use gradc::compile::CompileOptions;
use gradc::data::array;
use gradc_onnx::Import;
use gradc_onnx::proto::{AttributeProto, FunctionProto, NodeProto, OperatorSetIdProto, TensorProto};

/// What a model gives for its input `x`: the extents and elements of `y`.
fn outputs(bytes: Vec<u8>, dims: &[usize], x: &[f32]) -> (Vec<usize>, Vec<f64>) {
    let step = Import::from_bytes(bytes).load().unwrap().finish().unwrap();
    let mut program = step.compile(&CompileOptions::threads(1)).unwrap();
    let x = array(dims, x.to_vec()).unwrap();
    let y = &program.run([("x", &x)]).unwrap()["y"];
    (y.ty().shape.dims().to_vec(), y.to_f64_vec())
}

/// What nodes of that version of the operators give, beside stored tensors.
fn given(
    version: i64,
    nodes: Vec<NodeProto>,
    others: Vec<TensorProto>,
    dims: &[usize],
    x: &[f32],
) -> (Vec<usize>, Vec<f64>) {
    let extents: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
    let graph = graph(vec![port("x", &extents)], vec![port("y", &[])], others, nodes);
    outputs(model_of(version, graph, vec![]), dims, x)
}

fn assert_close(found: &[f64], wanted: &[f64]) {
    let is_close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-6 * b.abs().max(1e-2);
    assert!(found.len() == wanted.len() && found.iter().zip(wanted).all(is_close), "{found:?}, not {wanted:?}");
}

/// A float as an attribute.
fn float_attribute(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: 1, ..AttributeProto::default() }
}

/// Truth values that are stored.
fn bools(name: &str, dims: &[i64], values: &[i32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 9,
        int32_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// Indices that end before the data does, along the axis and beside it.
#[test]
fn elements_are_gathered_and_scattered_in_a_part_of_the_data() {
    let x: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let gathered = |dims: [i64; 2], places: &[i64], axis| {
        let gather = node("GatherElements", &["x", "i"], &["y"], vec![int_attribute("axis", axis)]);
        let places = TensorProto { dims: dims.to_vec(), ..ints("i", places) };
        given(17, vec![gather], vec![places], &[3, 4], &x)
    };
    assert_eq!(gathered([1, 2], &[2, 0], 1), (vec![1, 2], vec![2.0, 0.0]));
    assert_eq!(gathered([2, 2], &[2, 1, -3, 0], 0), (vec![2, 2], vec![8.0, 5.0, 0.0, 1.0]));
    assert_eq!(gathered([2, 5], &[0, 1, 2, 3, -1, 3, 3, 3, 3, 0], 1).1, [0., 1., 2., 3., 3., 7., 7., 7., 7., 4.]);
    let scatter = node("ScatterElements", &["x", "i", "u"], &["y"], vec![int_attribute("axis", 1)]);
    let places = TensorProto { dims: vec![2, 1], ..ints("i", &[3, 0]) };
    let (_, y) = given(17, vec![scatter], vec![places, stored("u", &[2, 1], &[-1.0, -2.0])], &[3, 4], &x);
    assert_eq!(y, [0., 1., 2., -1., -2., 5., 6., 7., 8., 9., 10., 11.]);
}

#[test]
fn norms_of_windows_are_of_the_order_that_is_asked_for() {
    for (p, wanted) in [(1, 6.0), (2, 14f64.sqrt()), (3, 36f64.cbrt())] {
        let window = vec![int_attribute("p", p), ints_attribute("kernel_shape", &[3])];
        let both =
            [node("GlobalLpPool", &["x"], &["y"], vec![int_attribute("p", p)]), node("LpPool", &["x"], &["y"], window)];
        for pool in both {
            assert_close(&given(17, vec![pool], vec![], &[1, 1, 3], &[1.0, -2.0, 3.0]).1, &[wanted]);
        }
    }
}

/// In the body of a function, a branch whose node has the function's parameter as its attribute.
#[test]
fn parameters_of_functions_reach_graphs_inside() {
    let refers =
        AttributeProto { name: "alpha".into(), ref_attr_name: "slope".into(), r#type: 1, ..AttributeProto::default() };
    let branch = graph(vec![], vec![port("r", &[])], vec![], vec![node("LeakyRelu", &["v"], &["r"], vec![refers])]);
    let holds =
        AttributeProto { name: "value".into(), t: Some(bools("", &[], &[1])), r#type: 4, ..AttributeProto::default() };
    let body = vec![
        node("Constant", &[], &["holds"], vec![holds]),
        node("If", &["holds"], &["w"], vec![graph_attribute("then_branch", branch)]),
    ];
    let function = FunctionProto {
        name: "Leaky".into(),
        domain: "own".into(),
        input: vec!["v".into()],
        output: vec!["w".into()],
        node: body,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        ..FunctionProto::default()
    };
    let call = NodeProto { domain: "own".into(), ..node("Leaky", &["x"], &["y"], vec![float_attribute("slope", 0.5)]) };
    let model = model_of(17, graph(vec![port("x", &[2])], vec![port("y", &[2])], vec![], vec![call]), vec![function]);
    assert_eq!(outputs(model, &[2], &[-2.0, 4.0]).1, [-1.0, 4.0]);
}

#[test]
fn a_query_that_sees_no_key_gets_zeros() {
    let attention = node("Attention", &["x", "x", "x", "m"], &["y"], vec![]);
    let mask = bools("m", &[2, 2], &[0, 0, 0, 1]);
    let (_, y) = given(23, vec![attention], vec![mask], &[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(y, [0.0, 0.0, 3.0, 4.0]);
}

/// All scores are alike: each query gets the mean of the values it sees, the last one of all that there are.
#[test]
fn queries_stand_at_the_end_of_a_cache_whose_length_is_given() {
    let inputs = ["x", "k", "v", "", "", "", "lengths"];
    let attention = node("Attention", &inputs, &["y"], vec![int_attribute("is_causal", 1)]);
    let values: Vec<f32> = (0..12).map(|i| (i % 6) as f32).collect();
    let others =
        vec![stored("k", &[2, 1, 6, 1], &[0.0; 12]), stored("v", &[2, 1, 6, 1], &values), ints("lengths", &[3, 6])];
    let (_, y) = given(24, vec![attention], others, &[2, 1, 2, 1], &[1.0; 4]);
    assert_close(&y, &[0.5, 1.0, 2.0, 2.5]);
}

#[test]
fn remainders_of_floats_are_exact() {
    let fmod = |a: &str, b: &str, y: &str| node("Mod", &[a, b], &[y], vec![int_attribute("fmod", 1)]);
    let a = [0.7f32, 1e8, 5.0, -5.5, -5.0, 7.0, 1e8, 1e20, -f32::MAX, f32::MAX, 1e-30];
    let b = [0.1f32, 3.0, f32::INFINITY, 2.0, f32::NEG_INFINITY, -4.0, 0.3, 3.0, 0.7, 1e-37, 1e30];
    let (_, y) = given(17, vec![fmod("x", "b", "y")], vec![stored("b", &[11], &b)], &[11], &a);
    let wanted: Vec<f64> = a.iter().zip(&b).map(|(a, b)| f64::from(a % b)).collect();
    assert_eq!(y, wanted);
    // Of 16 bits: 0.3 is 0.300048828125 there.
    let cast = |x: &str, y: &str, to| node("Cast", &[x], &[y], vec![int_attribute("to", to)]);
    let halves = vec![cast("x", "a", 10), cast("b", "c", 10), fmod("a", "c", "d"), cast("d", "y", 1)];
    let (_, y) = given(17, halves, vec![stored("b", &[1], &[0.3])], &[1], &[1000.0]);
    assert!((y[0] - 1000.0 % 0.300048828125).abs() < 2e-4, "{y:?}");
}

/// The numbers of the only activation that has such parameters, which is the second one.
#[test]
fn activations_without_parameters_take_none_of_the_lists() {
    let floats = |name: &str, f: f32| AttributeProto {
        name: name.into(),
        floats: vec![f],
        r#type: 6,
        ..AttributeProto::default()
    };
    let names = AttributeProto {
        name: "activations".into(),
        strings: vec!["Relu".into(), "HardSigmoid".into()],
        r#type: 8,
        ..AttributeProto::default()
    };
    let attributes = vec![
        text_attribute("direction", "bidirectional"),
        int_attribute("hidden_size", 1),
        floats("activation_alpha", 0.3),
        floats("activation_beta", 0.4),
        names,
    ];
    let others = vec![stored("w", &[2, 1, 1], &[1.0; 2]), stored("r", &[2, 1, 1], &[0.0; 2])];
    let (_, y) = given(17, vec![node("RNN", &["x", "w", "r"], &["y"], attributes)], others, &[1, 1, 1], &[1.0]);
    assert_close(&y, &[1.0, 0.7]);
}

/// Of more steps than are written out at first: a condition that fails early, and a carry that grows.
#[test]
fn loops_that_the_graph_has_none_for_are_written_out() {
    let run = |inner: Vec<NodeProto>, condition: &str| {
        let ports = vec![port("i", &[]), port("c", &[]), port("v", &[])];
        let body = graph(ports, vec![port(condition, &[]), port("vo", &[])], vec![], inner);
        let repeat = node("Loop", &["n", "", "x"], &["y"], vec![graph_attribute("body", body)]);
        let four = TensorProto { dims: vec![], ..ints("four", &[4]) };
        given(17, vec![repeat], vec![ints("n", &[40]), four], &[1, 2], &[1.0, 2.0])
    };
    let until = vec![node("Less", &["i", "four"], &["co"], vec![]), node("Add", &["v", "x"], &["vo"], vec![])];
    assert_eq!(run(until, "co"), (vec![1, 2], vec![6.0, 12.0]));
    let grows = vec![node("Concat", &["v", "x"], &["vo"], vec![int_attribute("axis", 0)])];
    assert_eq!(run(grows, "c"), (vec![41, 2], [1.0, 2.0].repeat(41)));
}
