//! Whole graphs: evaluation, pictures, and how long a large graph takes.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use ir::eval::{EvalError, FeedKind, RunError, run};
use ir::{Builder, DType, Graph, Loc, NodeId, Scalar, ScalarOp, Shape, Spec, TensorType, Value, verify};
use std::collections::BTreeMap;

fn parse(nodes: &str) -> (Graph, Vec<NodeId>) {
    let graph = Graph::parse(&format!("graph \"g\" {{\n{nodes}\n}}")).unwrap();
    let ids = graph.topological();
    (graph, ids)
}

fn vector(elements: &[f32]) -> Value {
    let ty = TensorType::new(DType::F32, Shape::new([elements.len()]).unwrap());
    Value::from_fn(ty, |i| Scalar::F32(elements[i]))
}

fn named(values: &[(&str, Value)]) -> BTreeMap<String, Value> {
    values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

const SWAP: &str = "%0 = state {name=\"a\"} : f32[2]\n%1 = state {name=\"b\"} : f32[2]\n%2 = input {name=\"x\"} : f32[2]\n\
    %3 = state {name=\"c\"} : f32[2]\n%4 = add %0, %2 : f32[2]\n%5 = sqrt %4 : f32[2]\noutput \"y\" = %5\noutput \"z\" = %0\n\
    update \"a\" = %1\nupdate \"b\" = %0";

#[test]
fn all_nodes_read_the_old_states() {
    let (graph, _) = parse(SWAP);
    let (a, b, c) = (vector(&[1.0, 2.0]), vector(&[3.0, 4.0]), vector(&[5.0, 6.0]));
    let states = named(&[("a", a.clone()), ("b", b.clone()), ("c", c.clone())]);
    let outcome = run(&graph, &named(&[("x", vector(&[3.0, 7.0]))]), &states).unwrap();
    assert_eq!(outcome.outputs, named(&[("y", vector(&[2.0, 3.0])), ("z", a.clone())]));
    assert_eq!(outcome.states, named(&[("a", b), ("b", a), ("c", c)]));
}

#[test]
fn wrong_ports_are_named() {
    let (graph, _) = parse(SWAP);
    let v = || vector(&[1.0, 2.0]);
    let states = named(&[("a", v()), ("b", v()), ("c", v())]);
    let inputs = named(&[("x", v())]);
    let missing = run(&graph, &named(&[]), &states).unwrap_err();
    assert!(matches!(&missing, RunError::Missing { port: FeedKind::Input, name, .. } if name == "x"), "{missing}");
    assert_eq!(missing.to_string(), "input \"x\" (f32[2]) has no value");
    let missing = run(&graph, &inputs, &named(&[("a", v()), ("c", v())])).unwrap_err();
    assert!(matches!(&missing, RunError::Missing { port: FeedKind::State, name, .. } if name == "b"), "{missing}");
    let unknown = run(&graph, &named(&[("x", v()), ("y", v())]), &states).unwrap_err();
    assert_eq!(unknown.to_string(), "the graph has no input \"y\"; it has \"x\"");
    let wrong = run(&graph, &named(&[("x", vector(&[1.0]))]), &states).unwrap_err();
    assert_eq!(wrong.to_string(), "input \"x\" is f32[2], the value given is f32[1]");
}

#[test]
fn an_op_that_fails_is_located() {
    let (mut graph, ids) = parse(
        "%0 = input {name=\"t\"} : f32[2]\n%1 = constant {values=(0, 2)} : i32[2]\n%2 = gather %0, %1 : f32[2]\noutput \"y\" = %2",
    );
    graph.set_loc(ids[2], Loc::new("m.rs", 3, 4));
    let error = run(&graph, &named(&[("t", vector(&[1.0, 2.0]))]), &named(&[])).unwrap_err();
    let RunError::Op { at, error: EvalError::Index { index: 2, bound: 2 } } = &error else { panic!("{error}") };
    assert_eq!(at.node, ids[2]);
    assert_eq!(error.to_string(), "m.rs:3:4: gather: index 2 is out of range: valid are 0 to 1");
    // What no result needs is not evaluated, so it can't fail.
    graph.set_output("y", ids[0]);
    run(&graph, &named(&[("t", vector(&[1.0, 2.0]))]), &named(&[])).unwrap();
}

#[test]
fn a_gradient_must_be_derived_first() {
    let (graph, _) = parse("%0 = input {name=\"x\"} : f32[]\n%1 = gradient %0, %0 : f32[]\noutput \"y\" = %1");
    let x = Value::splat(Scalar::F32(1.0), Shape::scalar());
    let error = run(&graph, &named(&[("x", x)]), &named(&[])).unwrap_err();
    assert!(matches!(error, RunError::Op { error: EvalError::NotEvaluable { .. }, .. }), "{error}");
}

#[test]
fn a_picture_has_clusters_and_escaped_labels() {
    let (graph, _) = parse(
        "%0 = input {name=\"a\\\"b\\\\\"} : f32[2]\n%1 = neg %0 : f32[2] @3\n%2 = sub %0, %1 : f32[2] @3\noutput \"y\" = %2",
    );
    let dot = ir::dot::to_dot(&graph);
    assert!(dot.starts_with("digraph \"g\" {\n") && dot.ends_with("}\n"), "{dot}");
    // The attribute prints with its own escapes, which DOT escapes again.
    assert!(dot.contains(r#"n0 [label="%0 input {name=\"a\\\"b\\\\\"}\nf32[2]""#), "{dot}");
    assert!(dot.contains("  subgraph cluster_3 {\n    label=\"@3\";\n    n1 ["), "{dot}");
    assert!(dot.contains("  n0 -> n2;\n  n1 -> n2 [label=\"1\"];\n"), "{dot}");
    assert!(dot.contains("  n2 -> output0;\n"), "{dot}");
    assert_eq!(dot.matches('{').count() - dot.matches("{name").count(), dot.matches('}').count() - 1);
}

/// A ladder: each step takes the two nodes before it.
fn ladder(steps: usize) -> Graph {
    let mut text =
        String::from("graph \"ladder\" {\n%0 = input {name=\"x\"} : f32[]\n%1 = state {name=\"s\"} : f32[]\n");
    for i in 2..steps {
        text.push_str(&format!("%{i} = max %{}, %{} : f32[]\n", i - 2, i - 1));
    }
    text.push_str(&format!("output \"y\" = %{0}\nupdate \"s\" = %{0}\n}}", steps - 1));
    Graph::parse(&text).unwrap()
}

#[test]
fn large_graphs_are_quick() {
    let start = std::time::Instant::now();
    let mut graph = ladder(5000);
    let order = graph.topological();
    assert_eq!(order.len(), 5000);
    for (i, &id) in order.iter().enumerate().skip(2) {
        graph.set_cluster(id, i as u32 / 10);
    }
    assert!(graph.schedule_order() == order);
    verify(&graph, Spec::SCHEDULED).unwrap();
    assert!(Graph::parse(&graph.to_string()).unwrap().same_as(&graph));
    let one = |name: &str| named(&[(name, Value::splat(Scalar::F32(1.0), Shape::scalar()))]);
    run(&graph, &one("x"), &one("s")).unwrap();
    for &id in &order[2..] {
        let new = Builder::new(&mut graph, None).unary(ScalarOp::ABS, id).unwrap();
        graph.replace_uses(id, new);
    }
    graph.set_output("y", order[2]);
    graph.set_update("s", order[2]);
    assert_eq!(graph.sweep(), 2 * 4998 - 1);
    // It takes a small part of a second; a cost that grows with the square of the size would take minutes.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// Whatever is replaced and removed, the users of a node are those that have it as an operand.
#[test]
fn users_are_the_nodes_with_that_operand() {
    for seed in 0..40 {
        let limits = random_graphs::Limits { steps: 25, ..Default::default() };
        let mut graph = random_graphs::random_graph(seed, &limits);
        let mut random = random_graphs::Rng::new(seed);
        for _ in 0..60 {
            let ids = graph.topological();
            // A later node is replaced by an earlier one, or an operand by its first user: no circle closes.
            let (at, to) = (random.below(ids.len()), random.below(ids.len()));
            let (old, new) = (ids[at.max(to)], ids[at.min(to)]);
            if graph.ty(old) == graph.ty(new) {
                graph.replace_uses(old, new);
            }
            let operand = ids[random.below(ids.len())];
            if let Some(&user) = ids.iter().find(|user| graph.operands(**user).contains(&operand))
                && graph.ty(operand) == graph.ty(user)
            {
                graph.replace_uses(operand, user);
            }
            let removed = ids[random.below(ids.len())];
            if !graph.has_users(removed) && !graph.is_result(removed) {
                graph.remove(removed);
            }
            let copy = graph.clone();
            for id in copy.ids() {
                let users: Vec<NodeId> = copy.ids().filter(|&user| copy.operands(user).contains(&id)).collect();
                assert_eq!(copy.users(id), users, "of {id}\n{copy}");
                assert_eq!(copy.has_users(id), !users.is_empty());
            }
        }
    }
}
