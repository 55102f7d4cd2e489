//! Text as a graph: what parses is verified without a panic, and prints to text that parses to the same graph.

#![no_main]

use ir::Graph;
use ir::verify::{Spec, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(graph) = Graph::parse(text) else { return };
    let _ = verify(&graph, Spec::default());
    let printed = graph.to_string();
    let again = Graph::parse(&printed).expect("printed text parses");
    assert_eq!(again.to_string(), printed);
});
