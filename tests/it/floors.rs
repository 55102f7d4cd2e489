//! Who may import whom: the floors of ARCHITECTURE.md, checked in the manifests and in every path of the source.

use crate::source::{CRATES, ROOT, Source, folder, members, sources};
use proc_macro2::{Delimiter, TokenTree};
use std::collections::BTreeSet;

/// The crates of the workspace that a crate may import.
fn allowed(krate: &str) -> &'static [&'static str] {
    match krate {
        "ir" => &[],
        "kernel" => &["ir"],
        "passes" => &["ir", "kernel"],
        "codegen" => &["kernel"],
        "embed" => &[],
        "gradc_pool" => &["embed"],
        "gradc_plot" => &[],
        "runtime" => &["kernel", "codegen", "embed"],
        ROOT => &["ir", "kernel", "passes", "codegen", "runtime", "gradc_plot"],
        "aot" => &[ROOT, "ir", "kernel", "codegen", "runtime"],
        "gradc_build" => &[ROOT, "aot", "ir", "kernel"],
        "gradc_onnx" => &[ROOT, "ir"],
        "gradc_serve" => &[ROOT, "gradc_onnx", "ir"],
        "gradc_cli" => &[ROOT, "aot", "gradc_onnx", "gradc_serve", "ir", "kernel", "passes", "runtime"],
        "gradc_tests" => &[
            ROOT,
            "aot",
            "gradc_build",
            "gradc_cli",
            "gradc_onnx",
            "ir",
            "kernel",
            "passes",
            "runtime",
            "random_graphs",
            "damage",
        ],
        "gradc_benches" => &[ROOT, "gradc_cli", "passes", "runtime"],
        "gradc_guide" => &[ROOT, "gradc_cli", "gradc_onnx", "gradc_plot"],
        "random_graphs" | "damage" => &["ir"],
        "gradc_downstream" => &[ROOT],
        "gradc_pictures" => &[ROOT, "gradc_plot"],
        other => panic!("no rule for crate `{other}`"),
    }
}

/// What `kernel` may take from `ir`: element types, scalar ops and words of texts, nothing of the graph.
const IR_FOR_KERNEL: [&str; 6] = ["DType", "Data", "Scalar", "ScalarOp", "lexer", "scalar"];

/// External crates that stay behind one fence: (how the name starts, the crates of ours that may import it).
const FENCED: [(&str, &[&str]); 23] = [
    ("mpi", &[ROOT]),
    ("cranelift_jit", &["runtime"]),
    ("cranelift_object", &["aot"]),
    ("ar_archive_writer", &["aot"]),
    ("cranelift", &["codegen", "runtime", "aot"]),
    ("petgraph", &["ir"]),
    ("libloading", &["runtime"]),
    ("object", &[ROOT]),
    // Examples compile whatever the root package may import, for its tests too.
    ("clap", &["gradc_cli"]),
    ("criterion", &["gradc_benches"]),
    ("prost", &["gradc_onnx", "gradc_serve", ROOT]),
    ("plotters", &["gradc_plot"]),
    ("insta", &["gradc_tests"]),
    ("proptest", &["ir", "kernel", "gradc_tests"]),
    ("rayon", &["gradc_benches"]),
    ("syn", &["gradc_tests"]),
    ("indicatif", &[ROOT, "gradc_cli"]),
    // Only who serves compiles what servers are made of.
    ("axum", &["gradc_serve"]),
    ("hyper", &["gradc_serve"]),
    ("tokio", &["gradc_serve"]),
    ("tonic", &["gradc_serve"]),
    // The tests' manifest names it so that every command asks the same of it.
    ("tracing", &["gradc_serve", "gradc_tests"]),
    ("prometheus_client", &["gradc_serve"]),
];

/// Modules of the root package that see nothing of the machine, and which of the root's modules they may import.
const FRONT: [(&str, &[&str]); 4] = [
    ("dsl", &["dsl"]),
    ("nn", &["dsl", "nn"]),
    ("optim", &["dsl", "optim"]),
    ("model", &["dsl", "nn", "optim", "model"]),
];

/// What a crate may import for its tests and examples alone.
const FOR_TESTS: [&str; 2] = ["random_graphs", "damage"];

/// The names of the packages in the manifest's tables of dependencies, as they are imported: `(name, only for tests)`.
fn dependencies(krate: &str) -> Vec<(String, bool)> {
    let text = std::fs::read_to_string(folder(krate).join("Cargo.toml")).unwrap();
    let mut table = String::new();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end_matches(']').to_string();
        } else if let Some(at) = line.find(['.', '=', ' ']).filter(|_| !line.starts_with('#')) {
            let name = line[..at].replace('-', "_");
            match table.as_str() {
                "dependencies" | "build-dependencies" => found.push((name, false)),
                "dev-dependencies" => found.push((name, true)),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn manifests_keep_the_floors() {
    let mut seen = 0;
    for (krate, _) in CRATES {
        for (name, test_only) in dependencies(krate) {
            seen += 1;
            if CRATES.iter().any(|(ours, _)| *ours == name) {
                let may = allowed(krate).contains(&name.as_str()) || test_only && FOR_TESTS.contains(&name.as_str());
                assert!(may, "the manifest of `{krate}` must not import `{name}`");
            }
            for (start, owners) in FENCED {
                let may = owners.contains(krate);
                assert!(!name.starts_with(start) || may, "only {owners:?} may import {name}, not `{krate}`");
            }
        }
    }
    assert!(seen > 20, "only {seen} dependencies read: is the reader of manifests right?");
}

/// The paths in a file that start with one of `heads`, each cut after its second segment; a group `a::{b, c}` gives `a::b` and `a::c`.
/// Paths inside macros and doc tests' code are not code of this file and don't count, but paths in macro calls do.
fn paths(source: &Source, heads: &[&str]) -> BTreeSet<(String, String)> {
    let tokens = source.tokens();
    let mut found = BTreeSet::new();
    for i in 0..tokens.len() {
        let TokenTree::Ident(head) = &tokens[i] else { continue };
        let head = head.to_string();
        if heads.contains(&head.as_str()) && !is_colons(&tokens, i.wrapping_sub(2)) && is_colons(&tokens, i + 1) {
            for second in second_segments(tokens.get(i + 3)) {
                found.insert((head.clone(), second));
            }
        }
    }
    found
}

/// Whether `::` stands at position `at`.
fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |t: Option<&TokenTree>| matches!(t, Some(TokenTree::Punct(p)) if p.as_char() == ':');
    at < tokens.len() && colon(tokens.get(at)) && colon(tokens.get(at + 1))
}

/// The identifier that follows `::`, or those at the head of each entry of a group.
fn second_segments(token: Option<&TokenTree>) -> Vec<String> {
    match token {
        Some(TokenTree::Ident(name)) => vec![name.to_string()],
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let mut names = Vec::new();
            let mut at_head = true;
            for token in group.stream() {
                match token {
                    TokenTree::Punct(p) if p.as_char() == ',' => at_head = true,
                    TokenTree::Ident(name) if at_head => {
                        names.push(name.to_string());
                        at_head = false;
                    }
                    _ => at_head = false,
                }
            }
            names
        }
        _ => vec!["*".into()],
    }
}

/// The tests of the project's structure look at every crate there is.
#[test]
fn all_members_have_a_floor() {
    let mut known: Vec<&str> = CRATES.iter().map(|(_, folder)| *folder).filter(|folder| *folder != ".").collect();
    let mut members = members();
    known.sort_unstable();
    members.sort_unstable();
    assert_eq!(members, known);
}

#[test]
fn paths_keep_the_floors() {
    let mut seen = 0;
    for source in sources().iter().filter(|s| s.is_library()) {
        let others: Vec<&str> = CRATES.iter().map(|(name, _)| *name).filter(|name| *name != source.krate).collect();
        for (head, second) in paths(source, &others) {
            // A module of the crate's own may have a crate's name.
            if is_own_module(source.krate, &head) {
                continue;
            }
            seen += 1;
            let path = &source.path;
            let for_tests = is_unit_tests(path) && FOR_TESTS.contains(&head.as_str());
            let may = allowed(source.krate).contains(&head.as_str()) || for_tests;
            assert!(may, "{path} must not import `{head}::{second}`");
            if source.krate == "kernel" && head == "ir" {
                assert!(IR_FOR_KERNEL.contains(&second.as_str()), "{path}: `kernel` knows nothing of `ir::{second}`");
            }
        }
    }
    assert!(seen > 100, "only {seen} imports found: is the reader of paths right?");
}

/// Whether a file of a library holds unit tests alone.
fn is_unit_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Whether a crate other than the root has a module of that name at its top.
fn is_own_module(krate: &str, name: &str) -> bool {
    let src = folder(krate).join("src");
    src.join(format!("{name}.rs")).exists() || src.join(name).is_dir()
}

#[test]
fn front_end_sees_the_graph_only() {
    let modules: Vec<String> = std::fs::read_dir(folder(ROOT).join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().to_string())
        .collect();
    let mut seen = 0;
    for source in sources().iter().filter(|s| s.krate == ROOT) {
        if source.path.ends_with("/tests.rs") {
            continue;
        }
        let Some((module, may)) = FRONT.iter().find(|(module, _)| source.path.starts_with(&format!("src/{module}/")))
        else {
            continue;
        };
        for (head, second) in paths(source, &["crate", "kernel", "passes", "codegen", "runtime"]) {
            seen += 1;
            assert_eq!(head, "crate", "{}: `{module}` may import `ir` only, not `{head}::{second}`", source.path);
            let is_module = modules.contains(&second) && second != "testing";
            assert!(
                !is_module || may.contains(&second.as_str()),
                "{}: `{module}` must not import `{second}`",
                source.path
            );
        }
    }
    assert!(seen > 30, "only {seen} imports found: is the reader of paths right?");
}

/// What code depends on is said by its target. The machine is asked in one file, and the environment in another.
#[test]
fn the_machine_and_the_environment_are_asked_in_one_place_each() {
    let asks = [
        ("is_x86_feature_detected", "runtime/src/host.rs"),
        ("HOST", "runtime/src/host.rs"),
        ("/sys/devices", "runtime/src/host.rs"),
        ("\"GRADC_TARGET\"", "src/compile/options.rs"),
        ("\"GRADC_CACHES\"", "src/compile/options.rs"),
    ];
    for (what, place) in asks {
        let is_word = |text: &str| match what {
            "HOST" => text.contains("target_lexicon::HOST") || text.contains("Triple::host"),
            _ => text.contains(what),
        };
        let found: Vec<String> = sources()
            .iter()
            .filter(|s| !s.path.contains("tests/") && is_word(&s.text))
            .map(|s| s.path.clone())
            .collect();
        assert_eq!(found, [place], "{what}");
    }
    for source in sources().iter().filter(|s| s.krate == "codegen" || s.krate == "passes" || s.krate == "kernel") {
        assert!(!source.text.contains("std::env::"), "{} asks the environment", source.path);
    }
}

/// Petgraph's types stay inside `ir::graph`.
#[test]
fn petgraph_stays_behind_its_fence() {
    for source in sources().iter().filter(|s| !paths(s, &["petgraph"]).is_empty()) {
        assert!(source.path.starts_with("ir/src/graph/"), "{} must not use petgraph", source.path);
    }
}

#[test]
fn the_reader_of_paths_reads() {
    let text = "use ir::{DType, op::Dot as D}; use a::ir::No; macro_rules! m { () => { ir::graph::X } } fn f(x: ::ir::Shape) {}";
    let source = Source { krate: "kernel", path: "x.rs".into(), text: text.into() };
    let found: Vec<String> = paths(&source, &["ir"]).into_iter().map(|(_, second)| second).collect();
    assert_eq!(found, ["DType", "graph", "op"]);
}
