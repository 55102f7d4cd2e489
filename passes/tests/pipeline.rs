//! The whole pipeline on random graphs: every pass's result passes the verifier of its stage.

use kernel::Target;
use passes::{PassContext, RunOptions, compile};
use random_graphs::{Limits, random_graph};

#[test]
fn random_graphs_compile() {
    let context = PassContext::new(Target::baseline());
    for seed in 0..200 {
        let graph = random_graph(seed, &Limits { steps: 1 + (seed as usize % 24), ..Limits::default() });
        if let Err(e) = compile(graph.clone(), &context, &RunOptions::default()) {
            panic!("seed {seed}: {e}\n{graph}");
        }
    }
}
