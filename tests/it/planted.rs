//! Faults that are planted in passes: `gradc bisect` names the pass, and the rule, and reduces a model's step to a few nodes that show it.
//!
//! The command takes its pipeline as an argument here; that of users is the list alone.

use gradc::dsl::{GraphBuilder, Step, f32, glorot_uniform};
use gradc::model::{Model, Sequential};
use gradc::nn::{Layer, LayerNorm, Lstm, MeanSquaredError, SparseCategoricalCrossEntropy};
use gradc::optim::Adam;
use ir::op::source::Full;
use ir::{BuildError, Builder, Family, Graph, NodeId, Op, Scalar, ScalarOp};
use kernel::{BufferKind, Program};
use passes::pipeline::PIPELINE;
use passes::simplify::{self, Changes, RewriteRule};
use passes::{Pass, PassContext, PassError, PassFn, cse, fold, fuse, plan_memory};

/// The steps that faults are looked for in: a CNN, an LSTM, and one that somebody declares by himself.
fn steps() -> Vec<(&'static str, Step)> {
    let (adam, entropy) = (Adam::default(), SparseCategoricalCrossEntropy);
    let cnn = Sequential::new([6, 6, 1]).conv2d(2, 3).relu().max_pool2d(2).flatten().dense(3);
    let lstm = Sequential::new([4, 3]).add(Lstm::new(4)).dense(2);
    let g = GraphBuilder::new("own");
    let x = g.input("x", f32([4, 6]));
    let hidden = LayerNorm::new().apply(&x.matmul(g.param("w", f32([6, 6]), glorot_uniform()))).tanh();
    let scores = hidden.matmul(hidden.transpose()).softmax(-1);
    let own = g.minimize((scores.matmul(&x) - &x).square().mean(), &adam).unwrap();
    vec![
        ("cnn", cnn.training_graph(2, &entropy, &[], &adam).unwrap()),
        ("lstm", lstm.training_graph(2, &MeanSquaredError, &[], &adam).unwrap()),
        ("own", own),
    ]
}

/// The pipeline with another function for a pass.
fn with(name: &str, run: PassFn) -> Vec<Pass> {
    PIPELINE.iter().map(|pass| if pass.name == name { Pass { run, ..*pass } } else { *pass }).collect()
}

/// What the command prints of each step, and how many nodes are left.
fn found(pipeline: &[Pass]) -> Vec<(&'static str, String, usize)> {
    let dir = tempfile::tempdir().unwrap();
    let report = |(name, step): (&'static str, Step)| {
        let path = dir.path().join(format!("{name}.ir"));
        step.save(&path).unwrap();
        let text = gradc_cli::bisect_in(&[path.to_str().unwrap(), "--cpu", "avx2"], pipeline).unwrap();
        let left = text.split_once("the least graph, ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        (name, text, left.unwrap_or(usize::MAX))
    };
    steps().into_iter().map(report).collect()
}

fn expect(pipeline: &[Pass], named: &str) {
    for (name, text, left) in found(pipeline) {
        assert!(text.contains(named), "{name}: {text}");
        assert!(left <= 6, "{name}: {text}");
    }
}

#[test]
fn the_pipeline_itself_is_right() {
    for (name, text, _) in found(PIPELINE) {
        assert!(text.ends_with(" passes keep what the graph computes\n"), "{name}: {text}");
    }
}

/// `a - b → b - a`, once for each node.
fn turn(build: &mut Builder<'_>, id: NodeId) -> Result<Option<NodeId>, BuildError> {
    let (graph, operands) = (build.graph(), build.graph().operands(id).to_vec());
    let is_difference = matches!(graph.op(id), Op::Elementwise(op) if *op == ScalarOp::SUB);
    if is_difference && operands[0] < operands[1] {
        build.binary(ScalarOp::SUB, operands[1], operands[0]).map(Some)
    } else {
        Ok(None)
    }
}

static TURN: RewriteRule = RewriteRule {
    name: "turn",
    doc: "a - b → b - a",
    root: Family::Elementwise,
    changes: Changes::Nothing,
    apply: turn,
};

fn with_a_wrong_rule() -> Vec<&'static RewriteRule> {
    simplify::all().into_iter().chain([&TURN]).collect()
}

#[test]
fn a_wrong_rule_is_named() {
    expect(&with("simplify", PassFn::Rules(with_a_wrong_rule)), "its rule `turn` makes the difference");
}

/// Doubles constants other than 0 and 1.
fn wrong_fold(graph: &mut Graph, cx: &PassContext) -> Result<(), PassError> {
    fold::run(graph, cx)?;
    for id in graph.topological() {
        let Op::Full(full) = graph.op(id).clone() else { continue };
        let value = full.value.as_f64();
        if full.value.dtype().is_float() && value != 0.0 && value != 1.0 {
            let doubled = Full { value: Scalar::from_f64(2.0 * value, full.value.dtype()), ..full };
            let doubled = graph.add(Op::Full(doubled), &[], None)?;
            graph.replace_uses(id, doubled);
        }
    }
    Ok(())
}

#[test]
fn a_pass_that_computes_a_constant_wrongly_is_named() {
    expect(&with("fold", PassFn::Graph(wrong_fold)), "`fold`: ");
}

/// Takes nodes for equal whose first operands are.
fn careless_merge(graph: &mut Graph, cx: &PassContext) -> Result<(), PassError> {
    cse::run(graph, cx)?;
    let is_binary =
        |graph: &Graph, id: NodeId| matches!(graph.op(id), Op::Elementwise(_)) && graph.operands(id).len() == 2;
    let mut seen: Vec<NodeId> = vec![];
    for id in graph.topological() {
        let alike =
            |&&first: &&NodeId| graph.op(first) == graph.op(id) && graph.operands(first)[0] == graph.operands(id)[0];
        match seen.iter().filter(|_| is_binary(graph, id)).find(alike) {
            Some(&first) => {
                graph.replace_uses(id, first);
                graph.remove(id);
            }
            None if is_binary(graph, id) => seen.push(id),
            None => {}
        }
    }
    Ok(())
}

#[test]
fn a_wrong_merge_is_named() {
    expect(&with("cse", PassFn::Graph(careless_merge)), "`cse`: ");
}

/// Loses the sum that is joined with what it is added to.
fn forgetful_fusion(graph: &mut Graph, cx: &PassContext) -> Result<(), PassError> {
    fuse::run(graph, cx)?;
    let is_sum = |graph: &Graph, id: NodeId| {
        let joined = || graph.cluster(id).is_some() && graph.cluster(id) == graph.cluster(graph.operands(id)[0]);
        matches!(graph.op(id), Op::Elementwise(op) if *op == ScalarOp::ADD || *op == ScalarOp::SUB) && joined()
    };
    for id in graph.topological() {
        if is_sum(graph, id) {
            let first = graph.operands(id)[0];
            graph.replace_uses(id, first);
        }
    }
    graph.sweep();
    Ok(())
}

#[test]
fn a_wrong_fusion_is_named() {
    expect(&with("fuse", PassFn::Graph(forgetful_fusion)), "`fuse`: ");
}

/// Puts all that lies between inputs and results in one place.
fn cramped_plan(program: &mut Program, cx: &PassContext) -> Result<(), PassError> {
    plan_memory::run(program, cx)?;
    let mut place = None;
    for buffer in program.buffers.iter_mut().filter(|buffer| buffer.kind == BufferKind::Temp) {
        buffer.offset = *place.get_or_insert(buffer.offset);
    }
    Ok(())
}

#[test]
fn a_wrong_memory_plan_is_named() {
    expect(&with("plan_memory", PassFn::Program(cramped_plan)), "`plan_memory`: ");
}

fn panicking(program: &mut Program, _: &PassContext) -> Result<(), PassError> {
    let has_many = program.kernels.iter().any(|kernel| kernel.params.len() > 1);
    assert!(!has_many, "two parameters are too many");
    Ok(())
}

#[test]
fn a_pass_that_panics_is_named() {
    let pipeline = with("tile", PassFn::Program(panicking));
    expect(&pipeline, "`tile`: it panics: two parameters are too many");
}
