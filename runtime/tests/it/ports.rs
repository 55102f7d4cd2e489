//! Named buffers, states that stay, constants; and what loading refuses.

use crate::support::{load, program};
use kernel::Program;
use runtime::{Executable, LoadError, LoadOptions, PlanError, PortError, PortKind};

const COUNTER: &str = "program \"counter\"
    b0: f32[4] state \"w\" b1: f32[4] constant [1.0, 2.0, 3.0, 4.0] b2: bool[3] input \"mask\" b3: bool[3] output \"not\"
    b4: i64[1] input \"n\"
    kernel step(p0: readwrite f32[4], p1: read f32[4]) {
      vector i0 in 0..1 { store p0[i0*4] = add(load.x4 p0[i0*4], load.x4 p1[i0*4]) }
    }
    kernel invert(p0: read bool[3], p1: write bool[3]) { for i0 in 0..3 { store p1[i0] = not(load p0[i0]) } }
    launch step(b0, b1) launch invert(b2, b3)";

#[test]
fn states_stay_and_constants_are_there() {
    let mut executable = load(program(COUNTER));
    executable.state_mut::<f32>("w").unwrap().copy_from_slice(&[0.5; 4]);
    for _ in 0..3 {
        executable.step().unwrap();
    }
    assert_eq!(executable.state::<f32>("w").unwrap(), [3.5, 6.5, 9.5, 12.5]);
    executable.write_state("w", &[0.0f32; 4]).unwrap();
    executable.step().unwrap();
    assert_eq!(executable.state::<f32>("w").unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn bools_are_bytes_of_zero_and_one() {
    let mut executable = load(program(COUNTER));
    executable.write_input("mask", &[1u8, 0, 1]).unwrap();
    executable.step().unwrap();
    assert_eq!(executable.output::<u8>("not").unwrap(), [0, 1, 0]);
    let error = executable.write_input("mask", &[1u8, 2, 1]).unwrap_err();
    assert!(matches!(error, PortError::NotBool { position: 1, value: 2, .. }), "{error}");
    assert!(matches!(executable.input_mut::<u8>("mask"), Err(PortError::UncheckedBool { .. })));
}

#[test]
fn wrong_names_types_and_lengths_are_told() {
    let mut executable = load(program(COUNTER));
    let error = executable.write_input("masc", &[1u8, 0, 1]).unwrap_err();
    assert_eq!(error.to_string(), "there is no input named `masc`; there are: mask, n");
    let error = executable.state::<f64>("w").unwrap_err();
    assert_eq!(error.to_string(), "state `w` has elements of f32, not f64");
    let error = executable.write_input("mask", &[1u8, 0]).unwrap_err();
    assert_eq!(error.to_string(), "input `mask` has 3 elements, not 2");
    assert!(matches!(executable.output::<f32>("w"), Err(PortError::Unknown { kind: PortKind::Output, .. })));
}

#[test]
fn ports_are_listed_by_kind_and_name() {
    let executable = load(program(COUNTER));
    let names: Vec<&str> = executable.ports().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["mask", "n", "not", "w"]);
    assert_eq!(executable.arena_bytes(), 4 * 64, "the state isn't in it");
    assert_eq!(executable.states().unwrap().bytes(), 64);
}

#[test]
fn equal_kernels_are_compiled_once_and_the_report_names_all() {
    let text = "program \"twins\" b0: f32[4] state \"x\" b1: f32[4] state \"y\"
        kernel one(p0: write f32[4]) { for i0 in 0..4 { store p0[i0] = 1.0f32 } }
        kernel two(p0: write f32[4]) { for i0 in 0..4 { store p0[i0] = 1.0f32 } }
        launch one(b0) launch two(b1)";
    let mut executable = load(program(text));
    executable.step().unwrap();
    assert_eq!(executable.state::<f32>("y").unwrap(), [1.0; 4]);
    let kernels = executable.loaded().kernels();
    assert_eq!(kernels[0].function, kernels[1].function);
    assert!(kernels[0].code_bytes > 0 && kernels[1].code_bytes == 0);
    let times = executable.profile(2).unwrap();
    assert_eq!(times.iter().map(|t| t.kernel.as_str()).collect::<Vec<_>>(), ["one", "two"]);
}

fn refused(change: impl FnOnce(&mut Program)) -> LoadError {
    let mut program = program(COUNTER);
    change(&mut program);
    Executable::load(program, &LoadOptions::default()).err().unwrap()
}

#[test]
fn a_plan_that_does_not_hold_is_refused() {
    assert!(matches!(refused(|p| p.arena_bytes = None), LoadError::Plan(PlanError::Unplanned)));
    assert!(matches!(
        refused(|p| p.buffers[1].offset = None),
        LoadError::Plan(PlanError::Misplaced { buffer: 1, .. }) | LoadError::Invalid(_)
    ));
    assert!(matches!(
        refused(|p| p.buffers[0].offset = Some(1 << 40)),
        LoadError::Plan(PlanError::Misplaced { buffer: 0, .. }) | LoadError::Invalid(_)
    ));
    assert!(matches!(
        refused(|p| p.buffers[0].offset = Some(2)),
        LoadError::Plan(PlanError::Misplaced { buffer: 0, .. }) | LoadError::Invalid(_)
    ));
    assert!(matches!(refused(|p| p.arena_bytes = Some(usize::MAX / 2)), LoadError::OutOfMemory { .. }));
    assert!(matches!(
        refused(|p| {
            p.launches[0].args.pop();
        }),
        LoadError::Plan(PlanError::Launch { launch: 0, .. }) | LoadError::Invalid(_)
    ));
}
