//! Kernels that need more than the machine has: vectors, masks and pointers in memory, tiles whose bodies spill around a call.

use crate::support::{load_for, machines, program, read, write};
use kernel::eval::{Interpreter, Tensors};
use kernel::{Data, Scalar};
use runtime::Backend;
use std::fmt::Write;

const LEN: usize = 210;

/// Runs a program of inputs `x0`, `x1`, ... and an output `y`, all of `f32`, with each emitter, and compares with the interpreter to the bit.
fn check(text: &str, inputs: usize) {
    let planned = program(text);
    let column = |p: usize| (0..LEN).map(move |i| ((i * 37 + p * 11) % 101) as f32 * 0.25 - 9.0);
    let tensors: Tensors = (0..inputs).map(|p| (format!("x{p}"), Data::F32(column(p).collect()))).collect();
    let expected = Interpreter::new(&planned).unwrap().run(&tensors).unwrap();
    for target in machines() {
        let mut executable = load_for(&planned, &target);
        for p in 0..inputs {
            write(&mut executable, &format!("x{p}"), &column(p).map(Scalar::F32).collect::<Vec<_>>());
        }
        executable.step().unwrap();
        let emitter = &executable.loaded().kernels()[0].emitter;
        assert!(!matches!(emitter, Backend::Portable { because: Some(_) }), "{target}: {emitter}\n{text}");
        let mut compared = 0;
        for (at, found) in read(&executable, "y").into_iter().enumerate() {
            let expected = expected["y"].get(at);
            // What the interpreter leaves undefined is NaN.
            if !expected.is_nan() {
                assert_eq!(found, expected, "{target}, element {at}\n{text}");
                compared += 1;
            }
        }
        assert!(compared > LEN / 2, "only {compared} elements are defined\n{text}");
    }
}

/// The buffers of a program and the head of its kernel.
fn head(inputs: usize) -> String {
    let mut text = String::from("program \"pressure\"\n");
    for p in 0..inputs {
        writeln!(text, "b{p}: f32[{LEN}] input \"x{p}\"").unwrap();
    }
    writeln!(text, "b{inputs}: f32[{LEN}] output \"y\"").unwrap();
    let params: Vec<String> = (0..inputs).map(|p| format!("p{p}: read f32[{LEN}], ")).collect();
    writeln!(text, "kernel k({}p{inputs}: write f32[{LEN}]) {{", params.concat()).unwrap();
    text
}

fn launch(inputs: usize) -> String {
    let args: Vec<String> = (0..=inputs).map(|b| format!("b{b}")).collect();
    format!("}} launch k({})", args.join(", "))
}

#[test]
fn more_values_and_pointers_than_registers() {
    for lanes in [1, 7, 14, 42] {
        let (inputs, rows) = (24, 5);
        let cols = LEN / lanes / rows;
        let suffix = if lanes == 1 { String::new() } else { format!(".x{lanes}") };
        let mut text = head(inputs);
        writeln!(text, "for i0 in 0..{rows} {{ for i1 in 0..{cols} {{").unwrap();
        // All values live until the last one is there, and all masks.
        for p in 0..inputs {
            writeln!(text, "let v{p} = load{suffix} p{p}[i0*{} + i1*{lanes}]", cols * lanes).unwrap();
        }
        for p in 0..inputs {
            writeln!(text, "let v{} = fma(v{p}, v{}, v{})", p + 30, (p + 1) % inputs, (p + 5) % inputs).unwrap();
            writeln!(text, "let v{} = lt(v{p}, v{})", p + 60, (p + 7) % inputs).unwrap();
        }
        let mut sum = 30;
        for p in 1..inputs {
            let (mask, next) = (p + 60, p + 90);
            let (left, right) = (p + 30, inputs - p + 29);
            writeln!(text, "let v{next} = select(v{mask}, max(v{sum}, v{left}), sub(v{right}, v{sum}))").unwrap();
            sum = next;
        }
        let index = format!("i0*{} + i1*{lanes}", cols * lanes);
        writeln!(text, "store p{inputs}[{index}] = v{sum} }} }}").unwrap();
        text.push_str(&launch(inputs));
        check(&text, inputs);
    }
}

#[test]
fn values_and_pointers_live_through_the_call_of_a_tile() {
    let inputs = 9;
    let mut text = head(inputs);
    text.push_str("local l0: f32[60]\nfor i0 in 0..3 {\n");
    for p in 2..inputs {
        writeln!(text, "let v{p} = load p{p}[i0*{p}]").unwrap();
    }
    let mut body = "load l0[i1*20 + i2]".to_owned();
    for p in 2..inputs {
        body = format!("add(mul({body}, v{p}), load p{p}[i0*50 + i2])");
    }
    write!(
        text,
        "micro 3x20 a=p0[i0*4] stride 7, b=p1[i0], reduce=[(9, 2, 20)], c=l0[0] stride 20
        for i1 in 0..3 {{ for i2 in 0..20 {{
          let v20 = {body}
          store p{inputs}[i0*70 + i1*22 + i2] = max(v20, v3)
        }} }}
        store p{inputs}[i0*70 + 66] = v8 }} {}",
        launch(inputs)
    )
    .unwrap();
    check(&text, inputs);
}
