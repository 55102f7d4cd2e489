//! The command `gradc` as a user runs it: what `dump` prints can be read back and drawn, what `bench` prints can be compared.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What the command prints.
fn gradc(arguments: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gradc")).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "gradc {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_fused_step_is_text_that_parses() {
    let text = gradc("dump cnn --after fuse --locations");
    let graph = ir::Graph::parse(&text).unwrap();
    assert_eq!(graph.display().locations(true).comments(true).to_string(), text);
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
    for (name, told) in
        [("gpt", "`gpt`; the workloads are"), ("lstm_txt", "`lstm_txt` (did you mean `lstm_text`?); the")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_gradc")).args(["bench", "--workload", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&format!("there is no workload {told}")), "{text}");
    }
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

#[test]
fn a_kernel_has_its_share_of_the_machines_limit() {
    let text = gradc("bench --kernels --workload k_sgemm_64 --seconds 0.05 --json");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((line["workload"].as_str(), line["limit"].as_str()), (Some("k_sgemm_64"), Some("FMA")));
    assert!(line["share"].as_f64().unwrap() > 0.0 && line["limit_ms"].as_f64().unwrap() > 0.0, "{text}");
    assert!(line["check"].as_f64().unwrap() > 0.0 && line["gflops"].as_f64().unwrap() > 0.0, "{text}");
}

#[test]
fn the_machine_is_measured_line_by_line() {
    let text = gradc("bench --peak --threads 2 --json");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let figure = |name: &str, field: &str| {
        let line = lines.iter().find(|line| line["workload"] == name);
        line.and_then(|line| line[field].as_f64()).unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    assert!(figure("peak_fma_f32", "gflops") > 0.0);
    for level in ["L1", "L2", "L3", "memory"] {
        for what in ["read", "copy", "triad"] {
            assert!(figure(&format!("peak_{level}_{what}"), "gbytes_s") > 0.0);
        }
    }
    assert!(figure("fork_join_min", "us") <= figure("fork_join_median", "us"));
}

#[test]
fn a_profile_names_lines_and_traces_threads() {
    // On a busy machine the caller may do all before the worker gets a processor: not each time.
    assert!((0..20).any(|_| profile_has_two_threads()), "the second thread never had a part");
}

/// Checks a profile of two threads; gives whether both had a part in it.
fn profile_has_two_threads() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.json");
    let text = gradc(&format!("profile cnn --threads 2 --steps 4 --no-limits --traced 2 --trace {}", path.display()));
    assert!(text.contains("cli/src/command/built_in.rs:"), "{text}");
    let ms: Vec<f64> = text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert!(ms.len() > 5 && ms.is_sorted_by(|a, b| a >= b), "{text}");
    let trace: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let runs: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert!(runs.iter().all(|run| run["dur"].as_f64().unwrap() >= 0.0 && run["name"].is_string()));
    let distinct = |field: &str| runs.iter().map(|run| run[field].to_string()).collect::<BTreeSet<_>>();
    let threads = distinct("tid");
    assert!(threads.contains("0") && threads.iter().all(|tid| ["0", "1"].contains(&&**tid)), "{threads:?}");
    let steps: BTreeSet<String> = runs.iter().map(|run| run["args"]["step"].to_string()).collect();
    assert_eq!(steps, BTreeSet::from(["2".to_string(), "3".to_string()]));
    // Nothing is left beside the trace.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    threads.len() == 2
}

#[test]
fn an_explanation_has_passes_memory_and_kernels() {
    let text = gradc("bench --workload mlp_tiny --explain");
    for part in ["compiled in", "lower bound", "plan_memory", "launches of a step", "of limit"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

/// A model in a file, run by the command: on numbers at random, and on those of an archive of NumPy's.
#[test]
fn a_saved_model_runs_from_its_file() {
    use gradc::dsl::{GraphBuilder, constant, f32};
    let dir = tempfile::tempdir().unwrap();
    let [model, inputs] = ["line.safetensors", "a.npz"].map(|name| dir.path().join(name));
    let g = GraphBuilder::new("line");
    g.output("y", &g.input("x", f32([1, 2])).matmul(g.param("w", f32([2, 2]), constant(0.5))));
    let step = g.finish().unwrap();
    let values = step.initial_values(0).into_iter().collect();
    gradc::io::save_model(&model, &step.graph, &values, &BTreeMap::new()).unwrap();
    let x = gradc::data::array([1, 2], vec![1.0f32, 2.0]).unwrap();
    gradc::io::save_npz(&inputs, &[("x".to_string(), x)].into()).unwrap();
    let text = gradc(&format!("run {} --inputs {} --threads 1", model.display(), inputs.display()));
    assert!(text.contains("\"y\" f32[1,2]: from 1.500000 to 1.500000"), "{text}");
    assert!(gradc(&format!("run {} --inputs random:3", model.display())).contains("\"y\" f32[1,2]"));
    let output = Command::new(env!("CARGO_BIN_EXE_gradc")).arg("run").arg(&inputs).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && error.contains("it has weights alone"), "{error}");
}

/// The subcommands that `gradc help` lists.
fn commands() -> Vec<String> {
    let text = gradc("help");
    let list = text.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    // Lines that go on are indented further.
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(String::from).collect()
}

#[test]
fn every_command_shows_an_example() {
    let commands = commands();
    assert!(commands.len() > 10 && commands.contains(&"bisect".to_string()), "{commands:?}");
    for command in commands {
        let help = gradc(&format!("{command} --help"));
        assert!(help.contains("Example") && help.contains(&format!("gradc {command}")), "gradc {command}: {help}");
    }
}

/// A step in a file is taken by every command that looks into one, and computes the same in all ways.
#[test]
fn a_file_of_a_step_goes_through_all_commands() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    for (number, model) in ["cnn --batch 2", "mlp_tiny"].into_iter().enumerate() {
        let step = file(&format!("{number}.ir"));
        std::fs::write(&step, gradc(&format!("dump {model} --after none --locations"))).unwrap();
        let graph = ir::Graph::parse(&std::fs::read_to_string(&step).unwrap()).unwrap();
        assert!(graph.ids().any(|id| graph.loc(id).is_some()));
        assert!(gradc(&format!("opt {step} --until fuse --stats")).contains("; autodiff"));
        assert!(gradc(&format!("diff {step} {step}")).contains("nodes alike, 0 removed, 0 added"));
        let checked = gradc(&format!("run {step} --inputs random:3 --check"));
        assert_eq!(checked.matches("results are the interpreter's, but for rounding").count(), 2, "{checked}");
        assert!(
            gradc(&format!("bisect {step}")).contains("keep what the graph computes, and so does the machine code")
        );
        assert!(gradc(&format!("dump {step} --format asm")).contains("; kernel "));
        assert!(gradc(&format!("profile {step} --steps 3 --no-limits")).contains("step"));
    }
}

/// What a process compiles is written where the variable says, also when the cache has the code.
#[test]
fn programs_of_a_process_are_dumped() {
    let parent = tempfile::tempdir().unwrap();
    let (dump, cache) = (parent.path().join("dump"), parent.path().join("cache"));
    for _ in 0..2 {
        let arguments = ["run", "mlp_tiny", "--runs", "2"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradc"));
        let output = command.args(arguments).env("GRADC_DUMP", &dump).env("GRADC_CACHE", &cache).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut folders: Vec<_> = std::fs::read_dir(&dump).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert_eq!(folders.len(), 2, "{folders:?}");
    for folder in folders {
        let declared = std::fs::read_to_string(folder.join("00-declared.ir")).unwrap();
        assert!(ir::Graph::parse(&declared).unwrap().ids().count() > 20);
        assert!(folder.join("01-autodiff.ir").exists());
    }
}

#[test]
fn shared_libraries_that_cannot_be_linked_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |compiler: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradc"));
        command.args(["build", "mlp_tiny", "--entry", "infer", "--batch", "1,2", "--shared", "-o"]).arg(dir.path());
        let output = command.args(more).env("CC", compiler).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let told = refused("no-such-compiler -m64", &[]);
    assert!(told.contains("`no-such-compiler -m64` doesn't start") && told.contains("CC names another"), "{told}");
    let told = refused("", &["--target", "x86_64-pc-windows-msvc"]);
    assert!(told.contains("a shared library for x86_64-pc-windows-msvc can't be linked on"), "{told}");
    // The objects are there all the same, and nothing half written.
    let mut names: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".json") && !name.ends_with(".h"))
        .collect();
    names.sort();
    let unix = ["libmlp_tiny_infer_b1.a", "libmlp_tiny_infer_b2.a", "mlp_tiny_infer_b1.o", "mlp_tiny_infer_b2.o"];
    let windows = ["mlp_tiny_infer_b1.lib", "mlp_tiny_infer_b1.obj", "mlp_tiny_infer_b2.lib", "mlp_tiny_infer_b2.obj"];
    assert!(unix.iter().chain(&windows).all(|name| names.iter().any(|found| found == name)), "{names:?}");
    assert_eq!(names.len(), 8, "{names:?}");
}
