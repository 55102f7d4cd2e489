//! The command `gradc` as a user runs it: what `dump` prints can be read back and drawn, what `bench` prints can be compared.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::process::Command;

/// What the command prints.
fn gradc(arguments: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gradc")).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "gradc {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_fused_step_is_text_that_parses() {
    let text = gradc("dump cnn --after fuse");
    let graph = ir::Graph::parse(&text).unwrap();
    assert_eq!(graph.to_string(), text);
    assert!(graph.ids().any(|id| graph.cluster(id).is_some()));
}

#[test]
fn the_loops_are_text_that_parses() {
    let text = gradc("dump mlp --after plan_memory");
    let program = text.parse::<kernel::Program>().unwrap();
    assert_eq!(program.to_string(), text);
    assert!(program.arena_bytes.is_some());
}

/// The nodes that statements of DOT declare, and those that edges join. Reads the part of the language that gradc writes: attribute
/// lists, subgraphs and edges; its strings are those of Rust.
fn read_dot(statements: TokenStream, declared: &mut BTreeSet<String>, joined: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = statements.into_iter().collect();
    for (i, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                read_dot(group.stream(), declared, joined);
            }
            TokenTree::Group(group) => {
                assert_eq!(group.delimiter(), Delimiter::Bracket);
                let name = tokens[i - 1].to_string();
                let of_edge =
                    matches!(&tokens[i.saturating_sub(2)..i - 1], [TokenTree::Punct(p)] if p.as_char() == '>');
                if !of_edge && !["node", "edge", "graph"].contains(&name.as_str()) {
                    assert!(declared.insert(name.clone()), "{name} is declared twice");
                }
            }
            TokenTree::Punct(p) if p.as_char() == '>' => {
                assert_eq!(tokens[i - 1].to_string(), "-");
                joined.extend([tokens[i - 2].to_string(), tokens[i + 1].to_string()]);
            }
            TokenTree::Punct(p) => assert!("-;=,".contains(p.as_char()), "{p} in DOT"),
            TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
    }
}

#[test]
fn the_picture_joins_nodes_that_it_declares() {
    let text = gradc("dump cnn --after fuse --format dot");
    let stream: TokenStream = text.parse().unwrap();
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let [TokenTree::Ident(kind), TokenTree::Literal(_), TokenTree::Group(body)] = &tokens[..] else {
        panic!("not `digraph \"name\" {{ .. }}`")
    };
    assert_eq!(kind, "digraph");
    let (mut declared, mut joined) = (BTreeSet::new(), BTreeSet::new());
    read_dot(body.stream(), &mut declared, &mut joined);
    assert!(joined.len() > 100 && joined.is_subset(&declared), "{:?}", joined.difference(&declared));
}

#[test]
fn a_benchmark_is_one_line_of_json() {
    let text = gradc("bench --workload mlp_tiny --threads 1 --seconds 0.05 --json");
    assert_eq!(text.lines().count(), 1);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names = [
        "peer",
        "version",
        "mode",
        "workload",
        "threads",
        "kind",
        "params",
        "batch",
        "step_ms",
        "p10_ms",
        "p90_ms",
        "n",
        "compile_s",
        "start_to_step1_s",
        "first_step_s",
        "peak_rss_mb",
        "arena_mb",
        "loss_1",
        "loss_n",
        "loss_steps",
        "items_per_s",
        "gflops",
    ];
    for name in names {
        assert!(line.get(name).is_some(), "{name} is missing in {text}");
    }
    assert_eq!((line["peer"].as_str(), line["params"].as_u64()), (Some("gradc"), Some(386)));
}

#[test]
fn mistakes_are_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_gradc")).args(["bench", "--workload", "gpt"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no workload `gpt`"));
}

/// What two processes that keep code in files print of a step's losses, and what the directory has then.
#[test]
fn processes_share_compiled_steps() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("steps");
    let losses = || {
        let arguments = ["bench", "--workload", "mlp_tiny", "--threads", "1", "--seconds", "0", "--json"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradc"));
        let output = command.args(arguments).env("GRADC_CACHE", &directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (json["loss_1"].clone(), json["loss_n"].clone())
    };
    let first = losses();
    assert!(first.0.is_number());
    assert_eq!(first, losses());
    let cache = |action: &str| gradc(&format!("cache {action} --dir {}", directory.display()));
    assert_eq!(cache("path"), format!("{}\n", directory.display()));
    let listed = cache("list");
    assert!(listed.lines().count() == 2 && listed.contains("KiB") && listed.contains("\n1 steps, "), "{listed}");
    assert_eq!(cache("clear"), "1 files removed\n");
    assert!(cache("list").starts_with("0 steps"));
}
