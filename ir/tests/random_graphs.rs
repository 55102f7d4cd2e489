//! Random graphs are valid, evaluate, and survive the round trip through text; they reach all op families.

use ir::{Family, Graph, Op, Spec, verify};
use proptest::prelude::*;
use random_graphs::{Limits, random_graph, random_values};
use std::collections::BTreeSet;

fn limits(steps: usize) -> Limits {
    Limits { steps, ..Limits::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn are_valid(seed: u64, steps in 0usize..60) {
        let graph = random_graph(seed, &limits(steps));
        prop_assert!((1..=3).contains(&graph.outputs().len()));
        if let Err(errors) = verify(&graph, Spec::DIFFERENTIATED) {
            return Err(TestCaseError::fail(errors.to_string()));
        }
    }

    #[test]
    fn survive_the_round_trip(seed: u64, steps in 0usize..60, clusters in 0u32..5) {
        let mut graph = random_graph(seed, &limits(steps));
        cluster(&mut graph, seed, clusters);
        let text = graph.to_string();
        let parsed = Graph::parse(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(parsed.to_string(), text);
        prop_assert!(parsed.same_as(&graph));
        prop_assert!(graph.same_as(&parsed));
    }

    #[test]
    fn evaluate_to_finite_numbers(seed: u64, steps in 0usize..60) {
        let graph = random_graph(seed, &limits(steps));
        let (inputs, states) = random_values(&graph, seed);
        let outcome = ir::eval::run(&graph, &inputs, &states).map_err(|e| TestCaseError::fail(e.to_string()))?;
        for (name, value) in outcome.outputs.iter().chain(&outcome.states) {
            prop_assert!(value.to_f64_vec().iter().all(|v| v.is_finite()), "{} of\n{}", name, graph);
        }
    }

    #[test]
    fn evaluate_alike_after_the_round_trip(seed: u64, steps in 0usize..40) {
        let graph = random_graph(seed, &Limits { wild: true, ..limits(steps) });
        let parsed = Graph::parse(&graph.to_string()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let (inputs, states) = random_values(&graph, seed);
        prop_assert_eq!(ir::eval::run(&graph, &inputs, &states), ir::eval::run(&parsed, &inputs, &states));
    }

    #[test]
    fn keep_their_results_without_dead_nodes(seed: u64, steps in 0usize..40) {
        let graph = random_graph(seed, &limits(steps));
        let mut swept = graph.clone();
        let dead = swept.sweep();
        prop_assert_eq!(swept.len() + dead, graph.len());
        prop_assert!(swept.dead_nodes().is_empty());
        let (inputs, states) = random_values(&graph, seed);
        prop_assert_eq!(ir::eval::run(&graph, &inputs, &states), ir::eval::run(&swept, &inputs, &states));
    }

    #[test]
    fn depend_on_the_seed_alone(seed: u64) {
        prop_assert_eq!(random_graph(seed, &limits(20)).to_string(), random_graph(seed, &limits(20)).to_string());
    }
}

proptest! {
    #[test]
    fn work_in_all_element_types(seed: u64, steps in 0usize..60) {
        let graph = random_graph(seed, &Limits { dtypes: ir::DType::ALL.to_vec(), ..limits(steps) });
        if let Err(errors) = verify(&graph, Spec::DIFFERENTIATED) {
            return Err(TestCaseError::fail(errors.to_string()));
        }
        let text = graph.to_string();
        let parsed = Graph::parse(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(parsed.to_string(), text);
        let (inputs, states) = random_values(&graph, seed);
        prop_assert_eq!(ir::eval::run(&graph, &inputs, &states), ir::eval::run(&parsed, &inputs, &states));
    }
}

/// Puts runs of the order of evaluation into clusters, leaving some nodes out.
fn cluster(graph: &mut Graph, seed: u64, clusters: u32) {
    let mut rng = random_graphs::Rng::new(seed);
    let order = graph.topological();
    for (i, id) in order.iter().enumerate() {
        if clusters > 0 && !rng.one_in(4) {
            graph.set_cluster(*id, (i * clusters as usize / order.len()) as u32);
        }
    }
}

#[test]
fn reach_every_family_and_every_op_name() {
    let mut families = BTreeSet::new();
    let mut names = BTreeSet::new();
    for seed in 0..400 {
        let graph = random_graph(seed, &limits(30));
        families.extend(graph.ids().map(|id| graph.op(id).family()));
        names.extend(graph.ids().map(|id| graph.op(id).name()));
    }
    assert_eq!(families.len(), 9, "all but {:?}: {families:?}", Family::Control);
    for op in ir::ScalarOp::all() {
        assert!(names.contains(op.name()), "no random graph has `{}`", op.name());
    }
    for name in
        ["conv_input_grad", "conv_weight_grad", "pool_sum_grad", "pool_max_grad", "pool_max_take", "scatter_add"]
    {
        assert!(names.contains(name), "no random graph has `{name}`");
    }
}

#[test]
fn shrink_by_their_steps() {
    let long = random_graph(3, &limits(30));
    let short = random_graph(3, &limits(10));
    assert!(short.len() < long.len());
    let prefix = |g: &Graph| g.ids().take(10).map(|id| g.op(id).to_string()).collect::<Vec<_>>();
    assert_eq!(prefix(&short), prefix(&long));
}

/// In both directions, with and without recomputation, with what recurrent networks have in a step, and with several results.
#[test]
fn scans_have_bodies_of_all_kinds() {
    let mut kinds = BTreeSet::new();
    let mut families = BTreeSet::new();
    let mut results = 0;
    for seed in 0..400 {
        let graph = random_graph(seed, &limits(30));
        for nodes in graph.scans() {
            let Op::Scan(scan) = graph.op(nodes[0]) else { panic!("{} is no scan", nodes[0]) };
            let (sequences, invariants) = (scan.body.sequences().len(), scan.body.invariants().len());
            kinds.insert((scan.reverse, scan.recompute, sequences > 0, invariants > 0));
            families.extend(scan.body.graph().ids().map(|id| scan.body.graph().op(id).family()));
            results = results.max(nodes.len());
        }
    }
    assert_eq!(kinds.len(), 16, "{kinds:?}");
    assert_eq!(families.len(), 8, "all but loops and control: {families:?}");
    assert!(results >= 3, "no scan has more than {results} results");
}
