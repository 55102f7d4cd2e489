//! Faults planted in what random graphs compute: a few nodes show them.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use ir::op::movement::Reverse;
use ir::op::reduce::{Reduce, ReduceKind};
use ir::shrink::{GraphCase, shrink};
use ir::{Graph, NodeId, Op, ScalarOp, Spec, verify};
use random_graphs::{Limits, random_graph, random_values};

/// What takes the place of a node, if a faulty pass touches it.
type Fault = fn(&mut Graph, NodeId) -> Option<NodeId>;

const FAULTS: [(&str, Fault); 4] = [
    ("differences the other way round", |graph, id| {
        let operands = graph.operands(id).to_vec();
        let is_sub = matches!(graph.op(id), Op::Elementwise(op) if *op == ScalarOp::SUB);
        is_sub.then(|| graph.add(Op::Elementwise(ScalarOp::SUB), &[operands[1], operands[0]], None).unwrap())
    }),
    ("the largest terms in place of sums", |graph, id| {
        let Op::Reduce(Reduce { kind: ReduceKind::Sum, axes }) = graph.op(id).clone() else { return None };
        let x = graph.operands(id)[0];
        let largest = graph.add(Op::Reduce(Reduce { kind: ReduceKind::Max, axes }), &[x], None).unwrap();
        Some(largest)
    }),
    ("loops from the other end", |graph, id| {
        let Op::Scan(mut scan) = graph.op(id).clone() else { return None };
        scan.reverse = !scan.reverse;
        let operands = graph.operands(id).to_vec();
        Some(graph.add(Op::Scan(scan), &operands, None).unwrap())
    }),
    ("no reversals", |graph, id| {
        let Op::Reverse(Reverse { .. }) = graph.op(id) else { return None };
        Some(graph.operands(id)[0])
    }),
];

/// Whether a graph with the fault computes something else.
fn shows(case: &GraphCase, fault: Fault) -> bool {
    verify(&case.graph, Spec::DIFFERENTIATED).unwrap();
    let mut faulty = case.graph.clone();
    for id in case.graph.topological() {
        if let Some(other) = fault(&mut faulty, id) {
            faulty.replace_uses(id, other);
        }
    }
    let run = |graph: &Graph| ir::eval::run(graph, &case.inputs, &case.states);
    let (Ok(right), Ok(wrong)) = (run(&case.graph), run(&faulty)) else { return false };
    let values = right.outputs.values().chain(right.states.values());
    values.zip(wrong.outputs.values().chain(wrong.states.values())).any(|(a, b)| a.to_f64_vec() != b.to_f64_vec())
}

#[test]
fn planted_faults_are_shown_by_six_nodes() {
    for (name, fault) in FAULTS {
        let mut shown = 0;
        for seed in 0..2000 {
            let graph = random_graph(seed, &Limits { steps: 40, ..Limits::default() });
            let (inputs, states) = random_values(&graph, seed);
            let case = GraphCase { graph, inputs, states };
            if !shows(&case, fault) {
                continue;
            }
            shown += 1;
            let mut asked = 0;
            let before = case.graph.len();
            let least = shrink(case, |case| {
                asked += 1;
                shows(case, fault)
            });
            assert!(shows(&least, fault), "{name}, seed {seed}\n{}", least.graph);
            assert!(least.graph.len() <= 6, "{name}, seed {seed}\n{}", least.graph);
            assert!(asked <= 8 * before, "{name}, seed {seed}: {asked} tries for {before} nodes");
            if shown == 6 {
                break;
            }
        }
        assert!(shown == 6, "{name}: {shown} graphs show it");
    }
}

/// Another axis than the fault needs becomes short.
#[test]
fn axes_become_as_short_as_they_may() {
    let text = "graph \"g\" {\n%0 = input {name=\"x\"} : f32[7,5]\n%1 = reverse %0 {axes=[0]} : f32[7,5]\n%2 = exp %1 : f32[7,5]\noutput \"y\" = %2\n}";
    let graph = Graph::parse(text).unwrap();
    let (inputs, states) = random_values(&graph, 3);
    let least = shrink(GraphCase { graph, inputs, states }, |case| shows(case, FAULTS[3].1));
    let text = least.graph.to_string();
    assert!(text.contains("reverse %0 {axes=[0]} : f32[2,1]") || text.contains("f32[3,1]"), "{text}");
    assert_eq!(least.inputs.len(), 1);
}
