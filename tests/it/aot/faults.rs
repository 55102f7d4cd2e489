//! Calls that are wrong get a status with a message, and touch nothing outside of what they were given.

use super::same::options;
use super::{Built, driver, run};
use aot::{AotError, CompileObject, ObjectOptions, compile_graph};
use gradc::prelude::*;
use std::path::Path;
use std::process::Command;

/// An embedding, so that there are labels and indices that can be out of range.
fn step() -> Step {
    let model = Sequential::of(i32([6])).embedding(20, 64).lstm(64).dense(3).named("words");
    model.training_graph(64, &SparseCategoricalCrossEntropy, &[], &Adam::default()).unwrap()
}

#[test]
fn wrong_calls_get_a_status_and_write_nothing_elsewhere() {
    let built = Built::new(&step().compile_object(&ObjectOptions::named("words")).unwrap());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/aot/faults.c");
    let Some(program) = built.compile("cc", &["-std=c11", "-O1", "-D_GNU_SOURCE"], &source, "faults") else { return };
    let text = run(program, [""; 0]);
    let told: Vec<&str> = text.lines().collect();
    let wanted = [
        ("no context", "-1 the context is a null pointer"),
        ("other version", "-2 context.abi_version isn't 1"),
        ("no states", "-4 context.states is null"),
        ("askew states", "-4 context.states is null, not aligned to 64 bytes"),
        ("small states", "-4 context.states is null"),
        ("no arena", "-5 context.arena is null"),
        ("small arena", "-5 context.arena is null"),
        ("small for threads", "-5 context.arena is null"),
        ("many threads", "-6 context.threads is more than 1024"),
        ("wild task", "-7 context.parallel_for called the task for a thread or a range"),
        ("no input", "-16 context.inputs.x (\"x\") is null"),
        ("askew input", "-17 context.inputs.y (\"y\") is null, or not aligned to 4 bytes"),
        ("no output", "-18 context.outputs.loss (\"loss\") is null"),
        ("token", "is out of range"),
        ("label", "is out of range"),
        ("fine", "0 success"),
        ("unknown", "99999 a status that the step doesn't have"),
    ];
    assert_eq!(told.len(), wanted.len(), "{text}");
    for (line, (case, message)) in told.iter().zip(wanted) {
        let (name, rest) = line.split_once(": ").unwrap();
        assert_eq!(name, case);
        assert!(rest.contains(message), "{line}, not {message}");
    }
    // What a check finds names the user's line.
    let tokens = told.iter().filter(|line| line.starts_with("token: ") || line.starts_with("label: "));
    assert!(tokens.clone().all(|line| line.contains("faults.rs:")), "{text}");
}

#[test]
fn what_can_t_be_built_is_an_error() {
    let build = |options: &ObjectOptions| step().compile_object(options).map(drop);
    for name in ["", "2words", "a-b", "wörter"] {
        assert!(matches!(build(&ObjectOptions::named(name)), Err(AotError::Name { .. })), "{name}");
    }
    let value = array([2], vec![1.0f32, 2.0]).unwrap();
    let named = |name: &str| ObjectOptions::named("words").values([(name.to_owned(), value.clone())].into());
    let message = build(&named("nobody")).unwrap_err().to_string();
    assert!(message.contains("`nobody`, which is no state") && message.contains("dense/bias"), "{message}");
    let message = build(&named("dense/bias")).unwrap_err().to_string();
    assert!(message.contains("`dense/bias` is f32[2], the state is f32[3]"), "{message}");
    let targets = [kernel::Target::avx2(), kernel::Target::avx2()];
    let twice = build(&ObjectOptions::named("words").targets(targets)).unwrap_err().to_string();
    assert!(twice.contains("two are for one instruction set"), "{twice}");
    let blocked = tempfile::NamedTempFile::new().unwrap();
    let files = step().compile_object(&ObjectOptions::named("words")).unwrap();
    assert!(files.write(blocked.path()).unwrap_err().to_string().contains("can't be made"));
}

/// Truth values become indices, and choose.
const CHOICE: &str = r#"graph "choice" {
  %0 = input {name="on"} : bool[37]
  %1 = input {name="table"} : f32[2,3]
  %2 = cast %0 : i32[37]
  %3 = gather %1, %2 : f32[37,3]
  %4 = full {value=(1.0)} : f32[37]
  %5 = full {value=(2.0)} : f32[37]
  %6 = select %0, %4, %5 : f32[37]
  output "a_rows" = %3
  output "b_chosen" = %6
}"#;

#[test]
fn bytes_that_are_no_truth_values_read_nothing_else() {
    let graph = ir::Graph::parse(CHOICE).unwrap();
    let table = [[3.0f32, 4.0, 5.0], [6.0, 7.0, 8.0]];
    for target in options().target_or_host().unwrap().limited_to_each() {
        let built = Built::of(&[compile_graph(&graph, &ObjectOptions::named("choice").targets([target])).unwrap()]);
        let source = driver::write(&built, 1);
        let Some(program) = built.compile("cc", &["-std=c11", "-O1"], &source, "choice") else { return };
        for byte in [2, 127, 128, 254, 255] {
            // In the midst of whole vectors, and in what is left of them.
            let mut bytes: Vec<u8> = (0..37).map(|i| i % 2).collect();
            (bytes[20], bytes[36]) = (byte, byte);
            bytes.extend(table.as_flattened().iter().flat_map(|x| x.to_le_bytes()));
            std::fs::write(built.path("inputs"), bytes).unwrap();
            let output = Command::new(&program).output().unwrap();
            let (told, failed) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            if output.status.code() == Some(8) {
                assert!(failed.contains("gather: an index is out of range"), "{byte}: {failed}");
                continue;
            }
            assert!(output.status.success(), "{byte}: {}", output.status);
            let (rows, chosen) = told.trim_end().split_once('\n').unwrap();
            let hex = |x: f32| x.to_le_bytes().map(|byte| format!("{byte:02x}")).concat();
            let known = table.map(|row| row.map(hex).concat());
            assert!(rows.as_bytes().chunks(24).all(|row| known.iter().any(|known| known.as_bytes() == row)), "{rows}");
            assert!(
                chosen.as_bytes().chunks(8).all(|x| [1.0, 2.0].iter().any(|y| hex(*y).as_bytes() == x)),
                "{chosen}"
            );
        }
    }
}
