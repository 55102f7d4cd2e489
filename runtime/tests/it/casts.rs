//! Every conversion and every bit cast, as scalars and as vectors, against their definitions.

use crate::support::{edge_values, load, program, read, same, write};
use kernel::{DType, Scalar};
use std::fmt::Write;

const LANES: [usize; 7] = [1, 2, 4, 8, 16, 24, 48];

fn check(from: DType, to: DType, word: &str, expected: impl Fn(Scalar) -> Scalar) {
    let mut values = edge_values(from);
    while !values.len().is_multiple_of(48) {
        values.push(values[0]);
    }
    let n = values.len();
    let mut text = format!("program \"casts\"\nb0: {from}[{n}] input \"x\"\n");
    for (at, lanes) in LANES.iter().enumerate() {
        writeln!(text, "b{}: {to}[{n}] output \"y{lanes}\"", at + 1).unwrap();
    }
    for lanes in LANES {
        let suffix = if lanes == 1 { String::new() } else { format!(".x{lanes}") };
        writeln!(
            text,
            "kernel k{lanes}(p0: read {from}[{n}], p1: write {to}[{n}]) {{\n\
             vector i0 in 0..{} {{ store p1[i0*{lanes}] = {word}(load{suffix} p0[i0*{lanes}] : {to}) }} }}",
            n / lanes
        )
        .unwrap();
    }
    for (at, lanes) in LANES.iter().enumerate() {
        writeln!(text, "launch k{lanes}(b0, b{})", at + 1).unwrap();
    }
    let mut executable = load(program(&text.replace("i0*1]", "i0]")));
    write(&mut executable, "x", &values);
    executable.step().unwrap();
    for lanes in LANES {
        for (&x, found) in values.iter().zip(read(&executable, &format!("y{lanes}"))) {
            let expected = expected(x);
            assert!(same(found, expected), "{word}.x{lanes} of {x:?} to {to}: {found:?} instead of {expected:?}");
        }
    }
}

#[test]
fn every_conversion_agrees_with_its_definition() {
    for from in DType::ALL {
        for to in DType::ALL {
            if from != DType::F16 && to != DType::F16 {
                check(from, to, "cast", |x| x.cast(to));
            }
        }
    }
}

#[test]
fn bit_casts_keep_the_bits() {
    for (from, to) in
        [(DType::F32, DType::I32), (DType::I32, DType::F32), (DType::F64, DType::I64), (DType::I64, DType::F64)]
    {
        check(from, to, "bitcast", |x| Scalar::from_bits(x.to_bits(), to));
    }
}
