//! The pipeline as a list, and the runner's promises: stages, stops, reports, verification.

use ir::op::control::StopGradient;
use ir::{Graph, Op};
use kernel::Target;
use passes::pipeline::{self, PIPELINE};
use passes::{Module, Pass, PassContext, PassError, PassFn, RunOptions, Snapshots, Stage, Stop};

const SQUARE: &str = r#"graph "square" {
  %0 = input {name="x"} : f32[3]
  %1 = mul %0, %0 : f32[3]
  %2 = reduce_sum %1 {axes=[0]} : f32[]
  %3 = gradient %2, %0 : f32[3]
  %4 = full {value=(1.0)} : f32[3]
  %5 = mul %3, %4 : f32[3]
  output "y" = %5
}"#;

fn context() -> PassContext {
    PassContext::new(Target::baseline())
}

fn module() -> Module {
    Module::Graph(Graph::parse(SQUARE).unwrap())
}

fn named(names: &[&str]) -> Vec<Pass> {
    names.iter().map(|name| *pipeline::find(name).unwrap()).collect()
}

/// Each pass finds what it requires, and says why it stands where it does.
#[test]
fn stages_follow_each_other() {
    let mut stage = Stage::Declared;
    for pass in PIPELINE {
        assert!(pass.requires <= stage, "`{}` requires {}, but only {stage} is reached", pass.name, pass.requires);
        assert!(pass.why.len() > 20, "`{}` needs a reason for its place", pass.name);
        stage = stage.max(pass.ensures);
    }
}

#[test]
fn stops_where_asked() {
    let run = |stop| {
        passes::compile(Graph::parse(SQUARE).unwrap(), &context(), &RunOptions { stop, ..RunOptions::default() })
    };
    for n in 0..4 {
        let report = run(Stop::AfterCount(n)).unwrap().report;
        let names: Vec<&str> = report.passes.iter().map(|record| record.name).collect();
        let expected: Vec<&str> = PIPELINE[..n].iter().map(|pass| pass.name).collect();
        assert_eq!(names, expected);
    }
    let report = run(Stop::AfterPass("cse".into())).unwrap().report;
    let last = PIPELINE.iter().rposition(|pass| pass.name == "cse").unwrap();
    assert_eq!(report.passes.len(), last + 1, "after the last pass of that name");
    let error = run(Stop::AfterPass("csee".into())).unwrap_err();
    assert!(matches!(&error, PassError::UnknownPass { name, .. } if name == "csee"));
    assert!(error.to_string().contains("autodiff, simplify, fold, cse"), "{error}");
}

#[test]
fn reports_what_changed() {
    let options = RunOptions { snapshots: Snapshots::Changed, ..RunOptions::default() };
    let outcome = passes::run(module(), &named(&["autodiff", "dce", "dce", "simplify"]), &context(), &options).unwrap();
    let changed: Vec<bool> = outcome.report.passes.iter().map(|record| record.changed).collect();
    assert_eq!(changed, [true, true, false, true]);
    let kept: Vec<&str> = outcome.report.snapshots.iter().map(|snapshot| snapshot.pass).collect();
    assert_eq!(kept, ["autodiff", "dce", "simplify"]);
    assert_eq!(outcome.report.snapshots[2].text, outcome.module.text());
    assert!(outcome.report.passes.iter().all(|record| record.seconds >= 0.0));
    let sizes: Vec<usize> = outcome.report.passes.iter().map(|record| record.after).collect();
    let before: Vec<usize> = outcome.report.passes.iter().map(|record| record.before).collect();
    assert_eq!(before[1..], sizes[..3], "a pass begins with what the one before it left");

    let named_only = RunOptions { snapshots: Snapshots::After(vec!["fold".into()]), ..RunOptions::default() };
    let outcome = passes::run(module(), &named(&["autodiff", "fold", "cse"]), &context(), &named_only).unwrap();
    assert_eq!(outcome.report.snapshots.len(), 1);
    assert_eq!(outcome.report.snapshots[0].pass, "fold");
}

#[test]
fn refuses_a_pass_before_its_time() {
    let error = passes::run(module(), &named(&["cse"]), &context(), &RunOptions::default()).unwrap_err();
    let PassError::In { pass: "cse", source } = error else { panic!("{error}") };
    assert_eq!(*source, PassError::Stage { needs: Stage::Differentiated, is: Stage::Declared });
}

/// A pass that leaves what its stage forbids.
fn defective(graph: &mut Graph, _: &PassContext) -> Result<(), PassError> {
    let (name, id) = graph.outputs()[0].clone();
    let barrier = graph.add(Op::StopGradient(StopGradient), &[id], None)?;
    graph.set_output(name, barrier);
    Ok(())
}

#[test]
fn verifies_after_each_pass() {
    let mut list = named(&["autodiff", "simplify"]);
    list.push(Pass { name: "defective", run: PassFn::Graph(defective), ..list[1] });
    let error = passes::run(module(), &list, &context(), &RunOptions::default()).unwrap_err();
    assert!(matches!(&error, PassError::In { pass: "defective", .. }), "{error}");
    assert!(error.to_string().contains("stop_gradient"), "{error}");
    let unverified = RunOptions { verify: false, ..RunOptions::default() };
    assert!(passes::run(module(), &list, &context(), &unverified).is_ok());
}

/// The same graph in, the same text out.
#[test]
fn is_deterministic() {
    let text = || {
        let clean = ["autodiff", "simplify", "fold", "cse", "dce"];
        passes::run(module(), &named(&clean), &context(), &RunOptions::default()).unwrap().module.text()
    };
    assert_eq!(text(), text());
}
