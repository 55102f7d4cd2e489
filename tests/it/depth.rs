//! Graphs, expressions and texts of any depth: nothing here may call itself once for each level of what a user gives it. All on a thread with a stack of
//! 512 KiB, which a call for each of some thousand levels overflows.

use crate::machine;
use crate::oracle::Agreement;
use crate::oracle::{NamedValues, difference, evaluate};
use gradc::compile::{Cache, CompileOptions};
use gradc::dsl::{GraphBuilder, Scan, Step, Tensor, f32, i32};
use ir::op::scan::MAX_NESTING;
use ir::op::source::Input;
use ir::{DType, Graph, Op, ScalarOp, Shape, Spec, TensorType, Value};
use kernel::{Kernel, Program};

/// Runs a test on a small stack; that it overflows ends the process.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// `tanh(x * 1.01)`, so many times: two nodes a round, and the constant.
fn rounds(x: &Tensor, count: usize) -> Tensor {
    (0..count).fold(x.clone(), |y, _| (y * 1.01).tanh())
}

fn inputs() -> NamedValues {
    let ty = TensorType::new(DType::F32, Shape::new([8]).unwrap());
    NamedValues::from([("x".into(), Value::from_fn(ty, |i| ir::Scalar::F32(i as f32 * 0.25 - 1.0)))])
}

/// Compiles a step and compares what it gives with the interpreter's results.
fn check(step: &Step, within: f64) {
    let ports = inputs();
    let want = evaluate(&passes_free_of_gradients(&step.graph), &ports).unwrap();
    let mut program = step.compile(&CompileOptions::threads(1).cache(Cache::Off)).unwrap();
    let got = program.run(ports.iter().map(|(name, value)| (name.as_str(), value))).unwrap();
    assert_eq!(difference(&got, &want, Agreement::Within(within)), None);
}

/// The graph with its gradients derived, which the interpreter takes alone.
fn passes_free_of_gradients(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    passes::autodiff::run(&mut graph, &passes::PassContext::new(kernel::Target::baseline())).unwrap();
    graph
}

#[test]
fn a_chain_of_20000_nodes_is_compiled_and_dropped() {
    on_a_small_stack(|| {
        let g = GraphBuilder::new("chain");
        g.output("y", &rounds(&g.input("x", f32([8])), 10_000));
        check(&g.finish().unwrap(), 1e-4);
    });
}

#[test]
fn the_gradient_of_a_chain_of_3000_nodes_is_derived_and_compiled() {
    on_a_small_stack(|| {
        let g = GraphBuilder::new("gradient");
        let x = g.input("x", f32([8]));
        let loss = rounds(&x, 1500).sum();
        g.output("dx", &g.gradients(&loss, &[&x])[0]);
        check(&g.finish().unwrap(), 1e-4);
    });
}

#[test]
fn a_graph_of_100000_levels_is_verified_printed_parsed_interpreted_and_dropped() {
    on_a_small_stack(|| {
        let mut graph = Graph::new("deep");
        let ty = TensorType::new(DType::F32, Shape::new([8]).unwrap());
        let mut y = graph.add(Op::Input(Input { name: "x".into(), ty }), &[], None).unwrap();
        for _ in 0..100_000 {
            y = graph.add(Op::Elementwise(ScalarOp::SIN), &[y], None).unwrap();
        }
        graph.set_output("y", y);
        ir::verify(&graph, Spec::DECLARED).unwrap();
        let text = graph.to_string();
        let parsed = Graph::parse(&text).unwrap();
        assert!(parsed.same_as(&graph) && parsed.to_string() == text);
        assert!(!ir::dot::to_dot(&graph).is_empty());
        let outputs = [&graph, &parsed].map(|graph| evaluate(graph, &inputs()).unwrap());
        assert_eq!(difference(&outputs[0], &outputs[1], Agreement::Bits), None);
    });
}

#[test]
fn hostile_nesting_in_texts_is_an_error_with_its_place() {
    on_a_small_stack(|| {
        let many = 1_000_000;
        let kernels = ["neg(", "cast(", "splat.x4(", "fold add(", "fma(neg("]
            .map(|open| format!("kernel k() {{\nlet v0 = {}", open.repeat(many)));
        let blocks = ["for i0 in 0..1 {\n", "if true {", "if true { } else {"]
            .map(|open| format!("kernel k() {{\n{}", open.repeat(many)));
        for text in kernels.iter().chain(&blocks) {
            let error = text.parse::<Kernel>().unwrap_err();
            assert!(error.line >= 2 && error.message.contains("levels of nesting"), "{error}");
        }
        let whole = format!("program \"p\"\n{}", kernels[0]);
        assert_eq!(whole.parse::<Program>().unwrap_err().line, 3);
        for open in ["(", "[", "[(", "{a=", "%0 = add {a=(", "%0 = scan {body=graph \"g\" {\n"] {
            let error = Graph::parse(&format!("graph \"g\" {{\n{}", open.repeat(many))).unwrap_err();
            assert!(error.line >= 2, "{error}");
        }
    });
}

/// `sin(x + w)`, in so many loops of two steps.
fn nested(x: &Tensor, w: &Tensor, levels: usize) -> Tensor {
    if levels == 0 {
        return (x + w).sin();
    }
    let step = |carry: &[Tensor], _: &[Tensor]| (vec![nested(&carry[0], w, levels - 1)], vec![]);
    let (last, _) = Scan::new().length(if levels > 4 { 1 } else { 2 }).run(&[x], &[], step);
    last[0].clone()
}

#[test]
fn scans_in_scans_are_compiled_to_the_limit() {
    on_a_small_stack(|| {
        let g = GraphBuilder::new("nested");
        let x = g.input("x", f32([8]));
        g.output("y", &nested(&x, &x, MAX_NESTING));
        let step = g.finish().unwrap();
        assert_eq!(Graph::parse(&step.graph.to_string()).unwrap().to_string(), step.graph.to_string());
        check(&step, 1e-5);
    });
}

#[test]
fn gradients_of_scans_in_scans_are_derived_and_compiled() {
    on_a_small_stack(|| {
        let g = GraphBuilder::new("nested");
        let x = g.input("x", f32([8]));
        let loss = nested(&x, &x, 5).sum();
        g.output("dx", &g.gradients(&loss, &[&x])[0]);
        check(&g.finish().unwrap(), 1e-5);
    });
}

/// What a step adds up was asked once for each way that leads to it.
#[test]
fn values_that_double_in_the_body_of_a_scan_are_looked_at_once() {
    on_a_small_stack(|| {
        let g = GraphBuilder::new("doubling");
        let x = g.input("x", f32([8]));
        let xs = x.reshape([1, 8]).broadcast_to([4, 8]);
        let (last, all) = Scan::new().run(&[&x], &[&xs], |carry, x| {
            let sum = &carry[0] + &x[0];
            (vec![sum.sin()], vec![(0..40).fold(sum, |y, _| (&y + y.reverse([0])) * 0.5)])
        });
        let loss = (last[0].sum() + all[0].square().sum()) * 1.0;
        g.output("dx", &g.gradients(&loss, &[&x])[0]);
        check(&g.finish().unwrap(), 1e-5);
    });
}

#[test]
fn one_scan_too_deep_is_an_error_on_its_line() {
    on_a_small_stack(|| {
        let g = GraphBuilder::new("nested");
        let x = g.input("x", f32([8]));
        g.output("y", &nested(&x, &x, MAX_NESTING + 1));
        let message = g.finish().unwrap_err().to_string();
        assert!(message.contains("nested more than 16 deep") && message.contains("depth.rs"), "{message}");
    });
}

/// A kernel whose expression nests as deep as the verifier allows.
fn deepest() -> Program {
    let levels = kernel::text::MAX_NESTING - 3;
    let value = format!("{}load p0[i0]{}", "neg(".repeat(levels), ")".repeat(levels));
    let text = format!(
        "program \"deepest\" arena 128\nb0: f32[8] input \"x\" @ 0\nb1: f32[8] output \"y\" @ 64\n\
         kernel k(p0: read f32[8], p1: write f32[8]) {{\n  for i0 in 0..8 {{\n    store p1[i0] = {value}\n  }}\n}}\nlaunch k(b0, b1)\n"
    );
    text.parse().unwrap()
}

#[test]
fn the_deepest_expression_is_walked_interpreted_and_emitted_on_a_small_stack() {
    on_a_small_stack(|| {
        let program = deepest();
        assert_eq!(program.to_string().parse::<Program>().unwrap(), program.clone());
        kernel::verify(&program, kernel::Spec::PLANNED).unwrap();
        assert!(!format!("{program:?}").is_empty());
        let sign = if kernel::text::MAX_NESTING % 2 == 1 { 1.0 } else { -1.0 };
        let x: Vec<f32> = (0..8).map(|i| i as f32).collect();
        let want: Vec<f32> = x.iter().map(|x| x * sign).collect();
        let tensors = kernel::eval::Tensors::from([("x".into(), ir::Data::F32(x.clone()))]);
        let (got, _) = kernel::eval::eval(&program, &tensors, &kernel::eval::Tensors::new()).unwrap();
        assert_eq!(got["y"], ir::Data::F32(want.clone()));
        for target in machine::machines() {
            let options = runtime::LoadOptions { target: Some(target), ..Default::default() };
            let mut executable = runtime::Executable::load(program.clone(), &options).unwrap();
            executable.write_input("x", &x).unwrap();
            executable.step().unwrap();
            assert_eq!(executable.output::<f32>("y").unwrap(), want);
        }
        for target in [kernel::Target::baseline(), kernel::Target::avx512()] {
            let cx = passes::PassContext::new(target);
            let loops = passes::pipeline::PIPELINE.iter().filter(|pass| matches!(pass.run, passes::PassFn::Program(_)));
            let loops: Vec<passes::Pass> = loops.copied().collect();
            let run = passes::RunOptions::default();
            passes::run(passes::Module::Program(program.clone()), &loops, &cx, &run).unwrap();
        }
    });
}

/// An attention mask that is the conjunction of very many, behind which half of a product hides.
#[test]
fn a_mask_of_many_conditions_is_lowered() {
    on_a_small_stack(|| {
        let g = GraphBuilder::new("mask");
        let x = g.input("x", f32([8]));
        let q = x.reshape([8, 1]).broadcast_to([8, 8]);
        let rows = g.iota(i32([8, 8]), 0);
        let columns = g.iota(i32([8, 8]), 1);
        let seen = (0..3000).fold(rows.ge(&columns), |mask, i| mask.and(rows.ne(&columns + (100 + i))));
        let scores = q.matmul(&q);
        let masked = seen.select(&scores, g.full(0.0, f32([8, 8])));
        g.output("y", &masked);
        check(&g.finish().unwrap(), 1e-5);
    });
}
