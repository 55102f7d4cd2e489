//! Each invariant, broken by hand.

use super::{Spec, VerifyErrors, verify};
use crate::{DType, Graph, NodeId, Shape, TensorType};

fn parse(nodes: &str) -> Graph {
    Graph::parse(&format!("graph \"g\" {{\n{nodes}\n}}")).unwrap()
}

fn chain() -> (Graph, Vec<NodeId>) {
    let graph = parse(
        "%0 = input {name=\"x\"} : f32[4]\n%1 = state {name=\"s\"} : f32[4]\n%2 = add %0, %1 : f32[4]\n\
         %3 = reduce_sum %2 {axes=[0]} : f32[]\noutput \"y\" = %3\nupdate \"s\" = %2",
    );
    let ids = graph.topological();
    (graph, ids)
}

fn broken(graph: &Graph, spec: Spec) -> VerifyErrors {
    verify(graph, spec).unwrap_err()
}

fn numbers(errors: &VerifyErrors) -> Vec<u32> {
    errors.errors().iter().map(|e| e.invariant).collect()
}

#[test]
fn a_sound_graph_passes() {
    let (graph, _) = chain();
    verify(&graph, Spec::DIFFERENTIATED).unwrap();
}

#[test]
fn operands_exist() {
    let (mut graph, ids) = chain();
    graph.corrupt_removal(ids[1]);
    let errors = broken(&graph, Spec::SCHEDULED);
    // The state is gone, so its update names nothing.
    assert_eq!(numbers(&errors), [1, 6]);
    assert_eq!(errors.errors()[0].node(), Some(ids[2]));
    assert!(errors.to_string().contains("add %0, %? : f32[4]\n  // ^ error: operand 1 is not a node"), "{errors}");
}

#[test]
fn nothing_depends_on_itself() {
    let (mut graph, ids) = chain();
    let twice = graph.add(graph.op(ids[2]).clone(), &[ids[2], ids[0]], None).unwrap();
    graph.corrupt_operand(ids[2], 1, twice);
    assert_eq!(numbers(&broken(&graph, Spec::SCHEDULED)), [2, 2]);
}

#[test]
fn types_are_inferred_ones() {
    let (mut graph, ids) = chain();
    graph.corrupt_type(ids[2], TensorType::new(DType::F32, Shape::new([5]).unwrap()));
    let errors = broken(&graph, Spec::DECLARED);
    assert_eq!(numbers(&errors), [3, 6]);
    assert!(errors.to_string().contains("the node says f32[5], its operands give f32[4]"), "{errors}");
}

#[test]
fn ports_have_distinct_names() {
    let graph = parse(
        "%0 = input {name=\"x\"} : f32[]\n%1 = input {name=\"x\"} : f32[]\n%2 = state {name=\"\"} : f32[]\n\
         output \"\" = %0",
    );
    assert_eq!(numbers(&broken(&graph, Spec::DECLARED)), [4, 4, 5]);
    // An input and a state may share a name.
    verify(&parse("%0 = input {name=\"x\"} : f32[]\n%1 = state {name=\"x\"} : f32[]"), Spec::DECLARED).unwrap();
}

#[test]
fn results_are_nodes() {
    let (mut graph, ids) = chain();
    graph.corrupt_removal(ids[3]);
    let errors = broken(&graph, Spec::FUSED);
    assert_eq!(numbers(&errors), [5]);
    assert!(errors.to_string().contains("output \"y\" = %?\n  // ^ error"), "{errors}");
}

#[test]
fn updates_fit_states() {
    let (mut graph, ids) = chain();
    graph.set_update("s", ids[3]);
    graph.set_update("t", ids[2]);
    let errors = broken(&graph, Spec::DECLARED);
    assert_eq!(numbers(&errors), [6, 6]);
    assert!(errors.to_string().contains("the state is f32[4], its update is f32[]"), "{errors}");
    assert!(errors.to_string().contains("there is no state named \"t\""), "{errors}");
}

#[test]
fn a_differentiated_graph_has_no_placeholders() {
    let graph = parse(
        "%0 = input {name=\"x\"} : f32[]\n%1 = gradient %0, %0 : f32[]\n%2 = stop_gradient %1 : f32[]\noutput \"y\" = %2",
    );
    verify(&graph, Spec::DECLARED).unwrap();
    assert_eq!(numbers(&broken(&graph, Spec::DIFFERENTIATED)), [7, 7]);
}

#[test]
fn clusters_are_not_in_a_circle() {
    let (mut graph, ids) = chain();
    let last = graph.add(crate::Op::Elementwise(crate::ScalarOp::NEG), &[ids[3]], None).unwrap();
    graph.set_output("y", last);
    graph.set_cluster(ids[2], 1);
    graph.set_cluster(ids[3], 0);
    verify(&graph, Spec::FUSED).unwrap();
    // A free node after the cluster is no part of it, and neither does one between two nodes of it make a circle.
    assert_eq!(numbers(&broken(&graph, Spec::SCHEDULED)), [10]);
    graph.set_cluster(last, 1);
    let errors = broken(&graph, Spec::FUSED);
    assert_eq!(numbers(&errors), [8]);
    assert!(errors.to_string().contains("clusters wait for each other: @0 for @1 for @0"), "{errors}");
}

#[test]
fn a_free_node_inside_a_cluster_is_part_of_it() {
    let mut graph = parse(
        "%0 = input {name=\"x\"} : f32[2,3]\n%1 = exp %0 : f32[2,3] @0\n%2 = reshape %1 : f32[6]\n\
         %3 = neg %2 : f32[6] @0\noutput \"y\" = %3",
    );
    verify(&graph, Spec::SCHEDULED).unwrap();
    let ids = graph.topological();
    graph.set_cluster(ids[2], 1);
    assert_eq!(numbers(&broken(&graph, Spec::FUSED)), [8]);
}

#[test]
fn what_computes_is_in_a_cluster() {
    let (graph, ids) = chain();
    let errors = broken(&graph, Spec::FUSED);
    assert_eq!(numbers(&errors), [9]);
    assert_eq!(errors.errors()[0].node(), Some(ids[3]));
}

#[test]
fn errors_stand_in_the_order_of_lines() {
    let (mut graph, ids) = chain();
    graph.set_output("", ids[0]);
    graph.corrupt_type(ids[0], TensorType::new(DType::F32, Shape::new([9]).unwrap()));
    let errors = broken(&graph, Spec::DECLARED);
    assert_eq!(numbers(&errors), [3, 3, 5]);
    assert_eq!(errors.errors()[0].node(), Some(ids[0]));
}
