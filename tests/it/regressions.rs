//! Graphs that once became something else than they say: `tests/regressions/*.ir`, each with a line that says what was wrong.
//!
//! A new one: the graph that a random test prints, which is shrunk already, in a file of its own. It runs as the interpreter says, after the passes for each
//! target and as machine code. What is about one pass stands as a file test in `tests/files/<pass>/`; what is about a layer or the trainer in the
//! module of its theme, under a name that says what was wrong.

use crate::bounds::difference_beyond_rounding;
use crate::differential::values;
use crate::machine::what_runs_is_wrong;
use crate::oracle::NamedValues;
use crate::pipeline::first_fault;
use ir::Graph;
use kernel::Target;
use std::path::PathBuf;

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/regressions")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn none_comes_back() {
    let files = files();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let (name, text) = (file.display(), std::fs::read_to_string(&file).unwrap());
        assert!(text.starts_with("; "), "{name}: the first line says what was wrong");
        let graph = Graph::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let graph = crate::autodiff::transform(&graph, "autodiff");
        for seed in 0..4 {
            let ports = values(&graph, seed);
            let same = |a: &NamedValues, b: &NamedValues| difference_beyond_rounding(&graph, &ports, a, b);
            for target in [Target::baseline(), Target::avx2(), Target::avx512()] {
                if let Err(fault) = first_fault(&target.to_string(), &graph, &ports, &target, &same) {
                    panic!("{name}, seed {seed}: {fault}");
                }
            }
            assert_eq!(what_runs_is_wrong(&graph, &ports), None, "{name}, seed {seed}");
        }
    }
}
