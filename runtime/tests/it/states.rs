//! Programs of one model on one block of states: in turn, and at the same time where none changes them.

use crate::support::{load, program};
use kernel::DType;
use runtime::{Executable, LoadError, PortError, States};
use std::sync::Arc;

/// Adds the input to `w`, and counts.
const TRAIN: &str = "program \"train\"
    b0: f32[4] state \"w\" b1: f32[4] input \"x\" b2: i64[1] state \"n\" b3: f32[4] next \"w\"
    kernel add(p0: read f32[4], p1: read f32[4], p2: write f32[4]) {
      for i0 in 0..4 { store p2[i0] = add(load p0[i0], load p1[i0]) }
    }
    kernel count(p0: readwrite i64[1]) { for i0 in 0..1 { store p0[i0] = add(load p0[i0], 1i64) } }
    launch add(b0, b1, b3) launch count(b2)";

/// Doubles `w`.
const PREDICT: &str = "program \"predict\"
    b0: f32[4] output \"y\" b1: f32[4] state \"w\"
    kernel double(p0: read f32[4], p1: write f32[4]) { for i0 in 0..4 { store p1[i0] = add(load p0[i0], load p0[i0]) } }
    launch double(b1, b0)";

fn doubled(executable: &mut Executable) -> Vec<f32> {
    executable.step().unwrap();
    executable.output::<f32>("y").unwrap().to_vec()
}

#[test]
fn one_block_goes_from_program_to_program() {
    let (mut train, mut predict) = (load(program(TRAIN)), load(program(PREDICT)));
    train.write_input("x", &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
    let (place, zeros) = (train.states().unwrap().get::<f32>("w").unwrap().as_ptr(), predict.detach().unwrap());
    for round in 1..4u8 {
        train.step().unwrap();
        let states = train.detach().unwrap();
        assert!(predict.attach(states).unwrap().is_none());
        let by = 2.0 * f32::from(round);
        assert_eq!(doubled(&mut predict), [by, 2.0 * by, 3.0 * by, 4.0 * by]);
        train.attach(predict.detach().unwrap()).unwrap();
    }
    // The memory is the same, and the state that the second program doesn't have went along.
    assert_eq!(train.state::<f32>("w").unwrap().as_ptr(), place);
    assert_eq!(train.state::<i64>("n").unwrap(), [3]);
    predict.attach(zeros).unwrap();
    assert_eq!(doubled(&mut predict), [0.0; 4]);
}

#[test]
fn without_states_nothing_runs() {
    let mut predict = load(program(PREDICT));
    let states = predict.detach().unwrap();
    assert!(predict.step().unwrap_err().to_string().contains("no states"));
    assert!(predict.profile(1).is_err());
    assert!(predict.trace(1).is_err());
    assert!(matches!(predict.state::<f32>("w"), Err(PortError::NoStates { .. })));
    assert!(predict.states().is_none() && predict.detach().is_none());
    predict.attach(states).unwrap();
    predict.step().unwrap();
}

#[test]
fn states_of_another_model_are_refused() {
    let mut train = load(program(TRAIN));
    train.write_state("w", &[1.0f32; 4]).unwrap();
    let state = |name: &str, dtype, len| (name.to_string(), dtype, len);
    for others in [vec![], vec![state("w", DType::F32, 4)], vec![state("w", DType::F64, 4), state("n", DType::I64, 1)]]
    {
        let error = train.attach(States::new(others).unwrap()).unwrap_err().why;
        assert!(matches!(&error, LoadError::States(what) if what.contains("there is no state")), "{error}");
    }
    let error = train.attach(States::new([state("w", DType::F32, 5), state("n", DType::I64, 1)]).unwrap()).unwrap_err();
    assert!(error.to_string().contains("`w` of type f32[4]"), "{error}");
    // They come back as they were, and it keeps what it had.
    let mut others = States::new([state("w", DType::F32, 4)]).unwrap();
    others.write("w", &[7.0f32; 4]).unwrap();
    let refused = train.attach(others).unwrap_err();
    assert_eq!(refused.states.get::<f32>("w").unwrap(), [7.0; 4]);
    train.step().unwrap();
    assert_eq!(train.state::<f32>("w").unwrap(), [1.0; 4]);
    assert!(States::new([state("w", DType::F32, 4), state("w", DType::F32, 4)]).is_err());
    assert!(matches!(States::new([state("w", DType::F64, usize::MAX / 4)]), Err(LoadError::OutOfMemory { .. })));
}

#[test]
fn threads_read_one_block_at_the_same_time() {
    let mut train = load(program(TRAIN));
    train.write_state("w", &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
    let states = Arc::new(train.detach().unwrap());
    let error = train.share(Arc::clone(&states)).unwrap_err();
    assert!(error.to_string().contains("changes the state"), "{error}");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let mut predict = load(program(PREDICT));
            predict.share(Arc::clone(&states)).unwrap();
            scope.spawn(move || {
                for _ in 0..100 {
                    assert_eq!(doubled(&mut predict), [2.0, 4.0, 6.0, 8.0]);
                }
                // Nobody may write what others read.
                assert!(matches!(predict.write_state("w", &[0.0f32; 4]), Err(PortError::NoStates { .. })));
                assert!(predict.state_mut::<f32>("w").is_err() && predict.detach().is_none());
            });
        }
    });
    // When they are done, the training may go on.
    train.attach(Arc::into_inner(states).unwrap()).unwrap();
    train.step().unwrap();
}

#[test]
fn truth_values_in_states_are_checked() {
    let mut states = States::new([("mask".to_string(), DType::Bool, 3)]).unwrap();
    states.write("mask", &[1u8, 0, 1]).unwrap();
    assert!(matches!(states.write("mask", &[1u8, 2, 1]), Err(PortError::NotBool { position: 1, value: 2, .. })));
    assert!(matches!(states.write("mask", &[1u8]), Err(PortError::WrongLength { expected: 3, found: 1, .. })));
    assert!(matches!(states.get_mut::<u8>("mask"), Err(PortError::UncheckedBool { .. })));
    assert!(matches!(states.get::<f32>("mask"), Err(PortError::WrongType { .. })));
    assert_eq!(states.get::<u8>("mask").unwrap(), [1, 0, 1]);
    assert!(matches!(states.get::<u8>("musk"), Err(PortError::Unknown { .. })));
}
