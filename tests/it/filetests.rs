//! File tests: `tests/files/<pass>/<case>.ir` is a graph with a header that names passes, `<case>.snap` beside it what they make of it.
//!
//! ```text
//! ; passes: simplify, cse
//! graph "case" { .. }
//! ```
//!
//! A line `; target: avx512` (or `avx2`, `avx512_bf16`) runs the passes for that machine, `; memory_limit: 4096` with that limit, `; check_numerics: on` with checks of numbers. A case for passes on loops is a program in the kernel's text instead. What the passes make of a case must also compute the same as the
//! case did, checked by the interpreters. A negative test says `; error: text` at the end of the offending
//! line or on the line after it, or in the header if no line is to blame. `INSTA_UPDATE=always` writes the snapshots anew.

use crate::oracle::{Agreement, difference, evaluate, evaluate_program, flat, random_ports, random_tensors};
use ir::Graph;
use kernel::{InstructionSet, Program, Target};
use passes::check_numerics::{MAGNITUDES, MAGNITUDES_F64};
use passes::simplify::Changes;
use passes::{Module, Pass, PassContext, PassError, RunOptions, pipeline, simplify};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One file.
struct FileTest {
    path: PathBuf,
    text: String,
}

impl FileTest {
    /// The path from the repository's root: what locations in the graph and messages say.
    fn name(&self) -> String {
        let root = crate::source::root();
        self.path.strip_prefix(root).unwrap_or(&self.path).display().to_string()
    }

    /// The values of a header line, separated by commas.
    fn header(&self, key: &str) -> Vec<String> {
        let lines = self.text.lines().take_while(|line| line.starts_with(';'));
        let values = lines.filter_map(|line| line[1..].trim().strip_prefix(key)?.strip_prefix(':'));
        values.flat_map(|value| value.split(',')).map(|value| value.trim().to_string()).collect()
    }

    fn passes(&self) -> Vec<Pass> {
        let names = self.header("passes");
        assert!(!names.is_empty(), "{}: the first line must be `; passes: name, ..`", self.name());
        names.iter().map(|name| *pipeline::find(name).unwrap_or_else(|e| panic!("{}: {e}", self.name()))).collect()
    }

    /// The program; where it isn't one, the line and the message.
    fn parse(&self) -> Result<Module, (usize, String)> {
        let is_program = self.text.lines().any(|line| line.starts_with("program "));
        if is_program {
            self.text.parse().map(Module::Program).map_err(|e: kernel::text::ParseError| (e.line, e.to_string()))
        } else {
            Graph::parse_file(&self.text, &self.name()).map(Module::Graph).map_err(|e| (e.line, e.to_string()))
        }
    }

    /// The program of a case that isn't about errors.
    fn module(&self) -> Module {
        self.parse().unwrap_or_else(|(_, message)| panic!("{}: {message}", self.name()))
    }

    /// The expected errors with the lines they may stand on; line 0 for those of the header.
    fn expected_errors(&self) -> Vec<(Vec<usize>, String)> {
        let graph_starts = self.text.lines().position(|line| !line.starts_with(';')).unwrap_or(0);
        let mut expected = Vec::new();
        for (i, line) in self.text.lines().enumerate() {
            if let Some((code, message)) = line.split_once("; error:") {
                let lines = match () {
                    () if i < graph_starts => vec![],
                    () if code.trim().is_empty() => vec![i],
                    () => vec![i + 1],
                };
                expected.push((lines, message.trim().to_string()));
            }
        }
        expected
    }
}

/// All files, in the order of their paths.
fn cases() -> Vec<FileTest> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("files");
    let mut cases = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "ir") {
                let text = std::fs::read_to_string(&path).unwrap();
                cases.push(FileTest { path, text });
            }
        }
    }
    cases.sort_by(|a, b| a.path.cmp(&b.path));
    cases
}

/// The target that the header names, the baseline without one.
fn context(case: &FileTest) -> PassContext {
    let target = match case.header("target").first().map(String::as_str) {
        None => Target::baseline(),
        Some("avx2") => Target::avx2(),
        Some("avx512") => Target::avx512(),
        Some("avx512_vnni") => Target::avx512().with_instruction_set(InstructionSet::Avx512Vnni).unwrap(),
        Some("avx512_bf16") => Target::avx512().with_instruction_set(InstructionSet::Avx512Bf16).unwrap(),
        Some(other) => panic!("{}: there is no target {other}", case.name()),
    };
    let mut context = PassContext::new(target);
    context.options.memory_limit = case.header("memory_limit").first().map(|bytes| bytes.parse().unwrap());
    context.options.check_numerics = case.header("check_numerics").first().is_some_and(|how| how == "on");
    context
}

#[test]
fn files() {
    let cases = cases();
    assert!(cases.len() >= 30, "only {} file tests found", cases.len());
    let mut failed = Vec::new();
    for case in &cases {
        let check = if case.expected_errors().is_empty() { positive } else { negative };
        if let Err(message) = check(case) {
            failed.push(format!("{}: {message}", case.name()));
        }
    }
    assert!(failed.is_empty(), "{} of {} file tests fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

fn positive(case: &FileTest) -> Result<(), String> {
    let before = case.module();
    let outcome = passes::run(before.clone(), &case.passes(), &context(case), &RunOptions::default())
        .map_err(|e| e.to_string())?;
    match (&before, &outcome.module) {
        (Module::Graph(before), Module::Graph(after)) => {
            let runs = |name: &str| case.passes().iter().any(|pass| pass.name == name);
            same_meaning(before, after, runs("fma") || (runs("simplify") && fires_inexact(before)))?;
        }
        (Module::Graph(before), Module::Program(after)) => same_loops(before, after)?,
        (Module::Program(before), Module::Program(after)) => same_results(before, after)?,
        (Module::Program(_), Module::Graph(_)) => return Err("no pass makes a graph of loops".into()),
    }
    let text = outcome.module.text();
    let compare = std::panic::AssertUnwindSafe(|| snapshot(case, &text));
    std::panic::catch_unwind(compare).map_err(|_| "the snapshot differs".to_string())
}

fn snapshot(case: &FileTest, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(case.path.parent().unwrap());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let name = case.path.file_stem().unwrap().to_string_lossy().to_string();
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Compares what the graphs compute, unless the first has gradients, which can't be evaluated.
fn same_meaning(before: &Graph, after: &Graph, rounds_otherwise: bool) -> Result<(), String> {
    if before.ids().any(|id| before.op(id).family() == ir::Family::Control) {
        return Ok(());
    }
    // Rules that are not exact reorder sums of a few elements or trade a power for products; a fused product isn't rounded.
    let agreement = if rounds_otherwise { Agreement::Ulps(8.0) } else { Agreement::Bits };
    for seed in 0..4 {
        let ports = random_ports(before, seed);
        let Ok(expected) = evaluate(before, &ports) else { continue };
        let found = evaluate(after, &ports).map_err(|e| format!("what the passes made fails: {e}"))?;
        if let Some(difference) = difference(&expected, &found, agreement) {
            return Err(format!("the passes changed what is computed: {difference}"));
        }
    }
    Ok(())
}

/// What loops may differ by from the graph they were lowered from, and from loops before a pass: sums are reordered, products contracted,
/// and functions of `f64` may have been computed in `f32`.
const LOOPS: Agreement = Agreement::Within(1e-5);

/// Compares what a graph computes with the loops made of it.
fn same_loops(before: &Graph, after: &Program) -> Result<(), String> {
    if before.ids().any(|id| before.op(id).family() == ir::Family::Control) {
        return Ok(());
    }
    for seed in 0..4 {
        let ports = random_ports(before, seed);
        let Ok(expected) = evaluate(before, &ports) else { continue };
        let found = evaluate_program(after, before, &ports).map_err(|e| format!("what the passes made fails: {e}"))?;
        if let Some(difference) = difference(&expected, &found, LOOPS) {
            return Err(format!("the passes changed what is computed: {difference}"));
        }
    }
    Ok(())
}

/// Compares what programs of loops compute.
fn same_results(before: &Program, after: &Program) -> Result<(), String> {
    for seed in 0..4 {
        let [inputs, states] = random_tensors(before, seed);
        let Ok(expected) = kernel::eval::eval(before, &inputs, &states) else { continue };
        let found = kernel::eval::eval(after, &inputs, &states);
        let mut found = found.map_err(|e| format!("what the passes made fails: {e}"))?;
        // What a pass is to add.
        found.0.retain(|name, _| ![MAGNITUDES, MAGNITUDES_F64].contains(&name.as_str()));
        for (expected, found) in [(expected.0, found.0), (expected.1, found.1)] {
            if let Some(difference) = difference(&flat(expected), &flat(found), LOOPS) {
                return Err(format!("the passes changed what is computed: {difference}"));
            }
        }
    }
    Ok(())
}

fn fires_inexact(graph: &Graph) -> bool {
    let fired = simplify::run_counted(&mut graph.clone()).unwrap();
    simplify::rules().any(|rule| rule.changes != Changes::Nothing && fired.contains_key(rule.name))
}

fn negative(case: &FileTest) -> Result<(), String> {
    let (line, message) = match case.parse() {
        Err((line, message)) => (Some(line), message),
        Ok(module) => match passes::run(module, &case.passes(), &context(case), &RunOptions::default()) {
            Err(e) => (line_of(case, &e), e.to_string()),
            Ok(_) => return Err("an error is expected, but there is none".into()),
        },
    };
    for (lines, expected) in case.expected_errors() {
        if !message.contains(&expected) {
            return Err(format!("the error should say `{expected}`:\n{message}"));
        }
        if !lines.is_empty() && !line.is_some_and(|line| lines.contains(&line)) {
            return Err(format!("the error should be on line {}, not {line:?}:\n{message}", lines[0]));
        }
    }
    Ok(())
}

/// The line that an error's message names.
fn line_of(case: &FileTest, error: &PassError) -> Option<usize> {
    let message = error.to_string();
    let (_, rest) = message.split_once(&format!("{}:", case.name()))?;
    rest.split(':').next()?.parse().ok()
}

/// Each rule of `simplify` has a file test whose name says so, and fires in it.
#[test]
fn every_rule_fires() {
    let mut idle: BTreeSet<&str> = simplify::rules().map(|rule| rule.name).collect();
    assert_eq!(idle.len(), simplify::rules().count(), "two rules have one name");
    for case in cases().iter().filter(|case| case.header("passes").iter().any(|pass| pass == "simplify")) {
        if case.expected_errors().is_empty()
            && let Module::Graph(mut graph) = case.module()
            && !graph.ids().any(|id| graph.op(id).family() == ir::Family::Control)
        {
            let fired = simplify::run_counted(&mut graph).unwrap();
            idle.retain(|name| !fired.contains_key(name) || case.path.file_stem().is_none_or(|stem| *stem != **name));
        }
    }
    assert!(idle.is_empty(), "rules without a file test `tests/files/simplify/<rule>.ir` in which they fire: {idle:?}");
}

/// Each pass has cases of its own, in the folder of its name, and does something in one of them.
#[test]
fn every_pass_has_cases() {
    let cases = cases();
    for name in pipeline::names() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("files").join(name);
        let own = || cases.iter().filter(|case| case.path.starts_with(&folder));
        assert!(own().count() > 0, "there is no file test in tests/files/{name}");
        let acts = own().filter(|case| case.expected_errors().is_empty()).any(|case| changes(case, name));
        assert!(acts, "no file test in tests/files/{name} has something to do for the pass");
    }
}

/// Whether the pass of that name changes the case.
fn changes(case: &FileTest, name: &str) -> bool {
    let outcome = passes::run(case.module(), &case.passes(), &context(case), &RunOptions::default());
    let outcome = outcome.unwrap_or_else(|e| panic!("{}: {e}", case.name()));
    outcome.report.passes.iter().any(|record| record.name == name && record.changed)
}
