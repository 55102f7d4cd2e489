//! There and back: what is exported is imported again, and computes the same.

use crate::build::dense;
use gradc::dsl::{GraphBuilder, Step, Window, f32, glorot_uniform, i32, scan};
use gradc_onnx::{ExportError, Import, export};
use ir::{Scalar, Value};
use std::collections::BTreeMap;

/// Noise for each input.
fn inputs(step: &Step) -> BTreeMap<String, Value> {
    let value = |i: usize| (i as f64 * 0.7 + 0.3).sin();
    let of = |(_, input): (ir::NodeId, &ir::op::source::Input)| {
        let is_float = input.ty.dtype.is_float();
        let at = |i| Scalar::from_f64(if is_float { value(i) } else { (i % 3) as f64 }, input.ty.dtype);
        (input.name.clone(), Value::from_fn(input.ty.clone(), at))
    };
    step.graph.inputs().map(of).collect()
}

/// Exports, imports, and compares the outputs, which are computed by the interpreter.
fn there_and_back(step: &Step) {
    let states: BTreeMap<String, Value> = step.initial_values(1).into_iter().collect();
    let bytes = export(&step.graph, &states).unwrap();
    let again = Import::from_bytes(bytes).load().unwrap().finish().unwrap();
    let given = inputs(step);
    let before = ir::eval::run(&step.graph, &given, &states).unwrap().outputs;
    let after = ir::eval::run(&again.graph, &given, &BTreeMap::new()).unwrap().outputs;
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, want) in before {
        assert_eq!(want.ty(), after[&name].ty(), "{name}");
        for (a, b) in want.to_f64_vec().into_iter().zip(after[&name].to_f64_vec()) {
            assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{name}: {a} and {b}");
        }
    }
}

#[test]
fn images_go_there_and_back() {
    let g = GraphBuilder::new("images");
    let x = g.input("x", f32([2, 8, 8, 3]));
    let kernel = g.param("k", f32([3, 3, 3, 4]), glorot_uniform());
    let window = |size: usize, stride: usize, pad: usize| {
        let mut window = Window::new([size, size]);
        (window.stride, window.pad) = (vec![stride; 2], vec![(pad, pad); 2]);
        window
    };
    let y = x.conv(&kernel, window(3, 2, 1), 1).relu();
    g.output("max", &y.max_pool(window(2, 1, 0)));
    g.output("mean", &y.avg_pool(window(3, 1, 1)));
    let up = g.param("u", f32([3, 3, 2, 4]), glorot_uniform());
    g.output("up", &y.conv_transpose(&up, window(3, 2, 1), 1, [8, 8]));
    there_and_back(&g.finish().unwrap());
}

#[test]
fn products_sums_and_movement_go_there_and_back() {
    let g = GraphBuilder::new("rows");
    let (x, i) = (g.input("x", f32([4, 3, 5])), g.input("i", i32([2])));
    let w = g.param("w", f32([5, 6]), glorot_uniform());
    let y = x.matmul(&w).tanh();
    g.output("attention", &y.dot_general(&y, [(0, 0)], [(2, 2)]).softmax(-1));
    g.output("sums", &(y.sum_axes([1]) + y.max_axes([1]) - y.min_axes([1])));
    g.output(
        "moved",
        &y.permute([2, 0, 1]).reverse([0]).slice([1, 0, 0], [5, 4, 2]).pad(0.5, [(0, 1), (0, 0), (2, 0)]),
    );
    g.output("rows", &x.gather(&i));
    g.output("added", &x.scatter_add(&i, x.slice_axis(0, 1..3)));
    g.output("best", &y.argmax(-1));
    g.output("running", &x.cumsum(1));
    g.output("joined", &x.concat(&[&x.abs().sqrt(), &x.exp().log1p()], 2).erf().abs().rsqrt());
    g.output("chosen", &x.gt(0.1).and(x.lt(0.8)).select(&x.trunc(), 3.0));
    there_and_back(&g.finish().unwrap());
}

/// An imported model, too.
#[test]
fn what_was_imported_is_exported() {
    there_and_back(&Import::from_bytes(dense()).dim("n", 3).load().unwrap().finish().unwrap());
}

#[test]
fn what_models_lack_is_refused() {
    let g = GraphBuilder::new("loop");
    let x = g.input("x", f32([4, 3]));
    let (last, _) = scan(&[&g.zeros(f32([3]))], &[&x], |h, x| (vec![&h[0] + &x[0]], vec![]));
    g.output("last", &last[0]);
    let step = g.finish().unwrap();
    assert!(matches!(export(&step.graph, &BTreeMap::new()), Err(ExportError::Op { .. })));
    let g = GraphBuilder::new("weights");
    let w = g.param("w", f32([3]), glorot_uniform());
    g.output("w", &(w + 1.0));
    let step = g.finish().unwrap();
    assert_eq!(export(&step.graph, &BTreeMap::new()), Err(ExportError::State { name: "w".into() }));
}
