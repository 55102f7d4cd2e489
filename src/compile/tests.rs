//! Declared steps through all passes, as native code.

use super::{CompileError, CompileOptions, ProgramCache, RunError, StepOutputs};
use crate::data::array;
use crate::dsl::{GraphBuilder, Step, TypeSpec, bool_, f32, i32, i64, uniform};
use crate::optim::Adam;
use ir::{DType, Scalar, Value};
use passes::Snapshots;
use std::collections::BTreeMap;

fn options() -> CompileOptions {
    CompileOptions { verify_code: true, ..CompileOptions::threads(1) }
}

/// A step with a few ops, a parameter of each kind of use, and Adam.
fn step() -> Step {
    let g = GraphBuilder::new("step");
    let (x, y) = (g.input("x", f32([4, 3])), g.input("y", i32([4])));
    let hidden = x.matmul(g.param("w", f32([3, 5]), uniform(-1.0, 1.0))).tanh();
    let logits = hidden.matmul(g.param("v", f32([5, 2]), uniform(-1.0, 1.0)));
    g.output("logits", &logits);
    g.minimize(crate::nn::sparse_cross_entropy(&logits, &y).mean(), &Adam::new(0.1)).unwrap()
}

fn inputs() -> BTreeMap<String, Value> {
    let x = array([4, 3], (0..12).map(|i| (i as f32 * 0.7).sin()).collect()).unwrap();
    [("x".to_string(), x), ("y".to_string(), array([4], vec![0i32, 1, 1, 0]).unwrap())].into()
}

#[test]
fn steps_agree_with_the_reference_interpreter() {
    let step = step();
    let mut program = step.compile(&CompileOptions { seed: 5, ..options() }).unwrap();
    let mut graph = step.graph.clone();
    let cx = passes::PassContext::new(kernel::Target::baseline());
    passes::autodiff::run(&mut graph, &cx).unwrap();
    let mut states: BTreeMap<String, Value> = step.initial_values(5).into_iter().collect();
    for _ in 0..5 {
        let want = ir::eval::run(&graph, &inputs(), &states).unwrap();
        let got = program.run(&inputs()).unwrap();
        states = want.states;
        let close = |a: &Value, b: &Value| {
            a.ty() == b.ty() && a.to_f64_vec().iter().zip(b.to_f64_vec()).all(|(a, b)| (a - b).abs() < 1e-5)
        };
        assert!(got.keys().eq(want.outputs.keys()));
        assert!(got.iter().all(|(name, value)| close(value, &want.outputs[name])), "{got:?}");
        for state in &step.states {
            assert!(close(&program.state_value(&state.name).unwrap(), &states[&state.name]), "{}", state.name);
        }
    }
    assert_eq!(program.state::<i64>("step").unwrap(), [5]);
    program.reset(5).unwrap();
    assert_eq!(program.state_value("w").unwrap(), step.state("w").unwrap().initial(5));
}

#[test]
fn inputs_are_checked() {
    let mut program = step().compile(&options()).unwrap();
    let mut given = inputs();
    given.remove("y");
    let error = program.run(&given).unwrap_err().to_string();
    assert_eq!(error, "input `y`, i32[4], is missing");
    given.insert("y".into(), array([4], vec![0i64; 4]).unwrap());
    assert_eq!(program.run(&given).unwrap_err().to_string(), "`y` is i32[4], not i64[4]");
    given.insert("z".into(), array([1], vec![0.0f32]).unwrap());
    let unknown = program.set_input("z", &given["z"]).unwrap_err().to_string();
    assert_eq!(unknown, "there is no input named `z`; there are: x, y");
    assert!(matches!(program.state_value("u"), Err(RunError::Port(_))));
    assert!(program.output_value("nothing").is_err());
}

#[test]
fn inputs_and_outputs_need_no_copy() {
    let mut program = step().compile(&options()).unwrap();
    let want = program.run(&inputs()).unwrap();
    program.reset(0).unwrap();
    program.input_mut::<f32>("x").unwrap().copy_from_slice(inputs()["x"].as_f32().unwrap());
    program.step().unwrap();
    assert_eq!(program.output::<f32>("logits").unwrap(), want["logits"].as_f32().unwrap());
    assert_eq!(program.scalar("loss").unwrap(), want["loss"].get(0).as_f64());
}

#[test]
fn every_element_type_goes_in_and_out() {
    for dtype in DType::ALL {
        let g = GraphBuilder::new("identity");
        let ty = TypeSpec::new(dtype, [3]);
        let x = g.input("x", ty.clone());
        let last = g.state("last", ty.clone(), crate::dsl::zeros());
        g.output("y", &last);
        g.set_update("last", &x);
        let mut program = g.finish().unwrap().compile(&options()).unwrap();
        let value = Value::from_fn(ty.check().unwrap(), |i| Scalar::from_f64(i as f64, dtype));
        program.run([("x", &value)]).unwrap();
        assert_eq!(program.state_value("last").unwrap(), value, "{dtype}");
        assert_eq!(program.run([("x", &value)]).unwrap()["y"], value, "{dtype}");
    }
}

#[test]
fn a_failed_check_names_the_users_line() {
    let g = GraphBuilder::new("lookup");
    let table = g.param("table", f32([4, 2]), uniform(0.0, 1.0));
    let line = line!() + 1;
    g.output("rows", &table.gather(g.input("i", i64([2]))));
    let mut program = g.finish().unwrap().compile(&options()).unwrap();
    let good = array([2], vec![3i64, 0]).unwrap();
    assert!(program.run([("i", &good)]).is_ok());
    for bad in [4, -1, i64::MAX] {
        let indices = array([2], vec![0, bad]).unwrap();
        match program.run([("i", &indices)]) {
            Err(RunError::Index { input, place, value, error: e }) => {
                assert_eq!((input.as_str(), &place[..], value), ("i", &[1][..], bad));
                assert!(e.to_string().contains(&format!("{}:{line}:", file!())), "{e}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(program.run([("i", &good)]).is_ok(), "a program goes on after a failed step");
}

#[test]
fn truth_values_are_inputs_too() {
    let g = GraphBuilder::new("truth");
    g.output("not", &!g.input("x", bool_([2])));
    let mut program = g.finish().unwrap().compile(&options()).unwrap();
    let out = program.run([("x", &array([2], vec![true, false]).unwrap())]).unwrap();
    assert_eq!(out["not"], array([2], vec![false, true]).unwrap());
}

#[test]
fn the_report_tells_all_parts() {
    let snapshots = Snapshots::After(vec!["fuse".into()]);
    let program = step().compile(&CompileOptions { snapshots, ..options() }).unwrap();
    let report = program.report();
    assert_eq!(report.passes.len(), passes::pipeline::PIPELINE.len());
    assert_eq!(report.snapshots.len(), 1);
    assert!(!report.kernels.is_empty() && report.kernels.iter().all(|k| k.code_bytes > 0));
    assert!(report.memory.arena >= report.memory.lower_bound);
    assert!(report.total_time >= report.passes_time);
    assert!(report.to_string().starts_with("compiled in "));
    assert_eq!(report.table().lines().count(), report.passes.len() + report.kernels.len() + 1);
}

#[test]
fn a_cache_compiles_each_signature_once() {
    let mut cache = ProgramCache::new(options());
    let mut declared = 0;
    for signature in [1, 2, 1, 2, 2] {
        let compiled = cache.ensure(signature, || {
            declared += 1;
            Ok(step())
        });
        compiled.unwrap();
    }
    assert_eq!((declared, cache.iter().count()), (2, 2));
    assert!(cache.get(3).is_none());
    let g = GraphBuilder::new("wrong");
    g.output("y", &g.input("x", f32([2])).matmul(g.input("w", f32([3]))));
    assert!(matches!(cache.ensure(3, || g.finish()), Err(CompileError::Model(_))));
}

#[test]
fn a_failed_check_leaves_states_as_they_were() {
    let mut program = step().compile(&options()).unwrap();
    program.run(&inputs()).unwrap();
    let states = |program: &crate::compile::CompiledProgram| -> Vec<Value> {
        program.states().iter().map(|s| program.state_value(&s.name).unwrap()).collect()
    };
    let before = states(&program);
    let mut bad = inputs();
    bad.insert("y".into(), array([4], vec![0i32, 1, 7, 0]).unwrap());
    assert!(matches!(program.run(&bad), Err(RunError::Index { value: 7, .. })));
    assert_eq!(states(&program), before);
    program.run(&inputs()).unwrap();
    assert_ne!(states(&program), before);
}

/// Inputs of all kinds that a caller keeps; truth values that are none change nothing.
#[test]
fn a_step_runs_on_borrowed_elements() {
    let g = GraphBuilder::new("select");
    let keep = g.input("keep", bool_([3]));
    g.output("y", &keep.select(&g.input("x", f32([3])), 0.0));
    let mut program = g.finish().unwrap().compile(&options()).unwrap();
    let (x, mut y) = ([1.0f32, 2.0, 3.0], [0.0f32; 3]);
    let outputs = program.run_on(&[("x", (&x).into()), ("keep", (&[true, false, true]).into())]).unwrap();
    outputs.copy_to("y", &mut y).unwrap();
    assert_eq!((y, outputs.get::<f32>("y").unwrap()), ([1.0, 0.0, 3.0], &[1.0f32, 0.0, 3.0][..]));
    let message = |result: Result<StepOutputs<'_>, RunError>| result.map(drop).unwrap_err().to_string();
    let bytes = [0u8, 1, 1];
    program.run_on(&[("x", (&x).into()), ("keep", (&bytes).into())]).unwrap().copy_to("y", &mut y).unwrap();
    assert_eq!(y, [0.0, 2.0, 3.0]);
    let error = message(program.run_on(&[("x", (&x).into()), ("keep", (&[0u8, 2, 0]).into())]));
    assert!(error.contains("element 1 is 2, neither 0 nor 1"), "{error}");
    assert!(message(program.run_on(&[("x", (&x).into())])).contains("keep"));
    assert!(message(program.run_on(&[("keep", (&[true; 2]).into())])).contains("has 3 elements, not 2"));
    assert!(message(program.run_on(&[("x", (&[1i32; 3]).into())])).contains("has elements of f32, not i32"));
    assert!(message(program.run_on(&[("z", (&x).into())])).contains("no input named `z`"));
    let outputs = program.run_on(&[("x", (&x).into()), ("keep", (&bytes).into())]).unwrap();
    assert!(outputs.copy_to("y", &mut [0.0f32; 2]).unwrap_err().to_string().contains("has 3 elements, not 2"));
}
