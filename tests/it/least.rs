//! What a random graph that fails is told by: the least graph that fails in the same way, and the seed.

use crate::oracle::{NamedValues, divided};
use ir::Graph;
use ir::shrink::{GraphCase, shrink};
use passes::bisect::panic_message;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// Says what is wrong with what a graph becomes, on these values; a panic is something wrong, too.
type FaultFinder<'c> = &'c dyn Fn(&Graph, &NamedValues) -> Option<String>;

/// Panics if something is wrong, with the least graph of which something is.
pub(crate) fn expect_none(seed: u64, graph: &Graph, ports: &NamedValues, check: FaultFinder<'_>) {
    let Some(fault) = silently(|| fault(graph, ports, check)) else { return };
    let (inputs, states) = divided(graph, ports);
    let case = GraphCase { graph: graph.clone(), inputs, states };
    let all =
        |case: &GraphCase| -> NamedValues { case.inputs.clone().into_iter().chain(case.states.clone()).collect() };
    let least = silently(|| shrink(case, |case| fault_of(case, &all(case), check).is_some()));
    let ports = all(&least);
    let fault = fault_of(&least, &ports, check).unwrap_or(fault);
    let values: String = ports.iter().map(|(name, value)| format!("{name}: {:?}\n", value.to_f64_vec())).collect();
    panic!("seed {seed}, of {} nodes {} left: {fault}\n{}\non\n{values}", graph.len(), least.graph.len(), least.graph);
}

fn fault_of(case: &GraphCase, ports: &NamedValues, check: FaultFinder<'_>) -> Option<String> {
    silently(|| fault(&case.graph, ports, check))
}

fn fault(graph: &Graph, ports: &NamedValues, check: FaultFinder<'_>) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| check(graph, ports)))
        .unwrap_or_else(|payload| Some(panic_message(payload.as_ref())))
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic many times, and prints none of it.
fn silently<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            if !SILENT.get() {
                usual(info);
            }
        }));
    });
    let before = SILENT.replace(true);
    let result = run();
    SILENT.set(before);
    result
}

/// Whatever is wrong, also a panic, few nodes are left to look at.
#[test]
fn a_failing_graph_is_shown_by_few_nodes() {
    use random_graphs::{Limits, random_graph};
    let has = |graph: &Graph, name: &str| graph.ids().any(|id| graph.op(id).name() == name);
    let checks: [(&str, FaultFinder<'_>); 2] = [
        ("a tanh of what was added", &|graph, _| {
            let added = |id| graph.operands(id).iter().any(|id| graph.op(*id).name() == "add");
            graph.ids().any(|id| graph.op(id).name() == "tanh" && added(id)).then(|| "a tanh of what was added".into())
        }),
        ("no dot here", &|graph, _| if has(graph, "dot") { panic!("no dot here") } else { None }),
    ];
    for (name, check) in checks {
        let failing = (0..400).filter_map(|seed| {
            let graph = random_graph(seed, &Limits { steps: 40, ..Limits::default() });
            let ports = crate::differential::values(&graph, seed);
            catch_unwind(AssertUnwindSafe(|| expect_none(seed, &graph, &ports, check)))
                .err()
                .map(|payload| (seed, payload))
        });
        let failing: Vec<_> = failing.take(5).collect();
        assert_eq!(failing.len(), 5, "{name}");
        for (seed, payload) in failing {
            let text = panic_message(payload.as_ref());
            assert!(text.starts_with(&format!("seed {seed}, of ")) && text.contains(name), "{text}");
            let left: usize = text.split_once(" nodes ").unwrap().1.split_once(" left").unwrap().0.parse().unwrap();
            assert!(left <= 6, "{text}");
        }
    }
}
