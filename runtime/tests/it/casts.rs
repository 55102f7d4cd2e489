//! Every conversion and every bit cast, as scalars and as vectors, against their definitions.

use crate::support::{edge_values, load_for, machines, program, read, same, write};
use kernel::{DType, InstructionSet, Scalar};
use runtime::Backend;
use std::fmt::Write;

const LANES: [usize; 7] = [1, 2, 4, 8, 16, 24, 48];

fn check(from: DType, to: DType, word: &str, expected: impl Fn(Scalar) -> Scalar) {
    check_values(edge_values(from), to, word, expected);
}

fn check_values(mut values: Vec<Scalar>, to: DType, word: &str, expected: impl Fn(Scalar) -> Scalar) {
    let from = values[0].dtype();
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
    let program = program(&text.replace("i0*1]", "i0]"));
    for target in machines() {
        let mut executable = load_for(&program, &target);
        write(&mut executable, "x", &values);
        executable.step().unwrap();
        for lanes in LANES {
            for (&x, found) in values.iter().zip(read(&executable, &format!("y{lanes}"))) {
                let expected = expected(x);
                assert!(
                    same(found, expected),
                    "{word}.x{lanes} of {x:?} to {to}, {target}: {found:?} instead of {expected:?}"
                );
            }
        }
    }
}

/// There is no instruction for it, so kernels with logarithms in `f64` were left to the portable emitter.
#[test]
fn vectors_of_64_bit_integers_become_doubles_where_no_instruction_converts_them() {
    let Some(avx2) = machines().into_iter().find(|m| m.instruction_set() == InstructionSet::Avx2) else { return };
    let text = "program \"casts\"\nb0: i64[8] input \"x\"\nb1: f64[8] output \"y\"\nkernel k(p0: read i64[8], p1: write f64[8]) {\n\
                vector i0 in 0..1 { store p1[i0*8] = cast(load.x8 p0[i0*8] : f64) } }\nlaunch k(b0, b1)";
    let mut executable = load_for(&program(text), &avx2);
    let values = [i64::MIN, -1, 0, 1, (1 << 53) + 1, (1 << 62) + (1 << 9) + 1, 0xffff_ffff, i64::MAX];
    write(&mut executable, "x", &values.map(Scalar::I64));
    executable.step().unwrap();
    assert_eq!(read(&executable, "y"), values.map(|v| Scalar::F64(v as f64)));
    let emitter = &executable.loaded().kernels()[0].emitter;
    assert!(!matches!(emitter, Backend::Portable { .. }), "{emitter:?}");
}

#[test]
fn every_conversion_agrees_with_its_definition() {
    for from in DType::ALL {
        for to in DType::ALL {
            check(from, to, "cast", |x| x.cast(to));
        }
    }
}

#[test]
fn bit_casts_keep_the_bits() {
    for of_one_size in [[DType::F32, DType::I32, DType::U32], [DType::F64, DType::I64, DType::U64]] {
        for from in of_one_size {
            for to in of_one_size.into_iter().filter(|to| *to != from) {
                check(from, to, "bitcast", |x| Scalar::from_bits(x.to_bits(), to));
            }
        }
    }
}

/// By way of an `f32` rounded to nearest, what is just beside a tie would be rounded from the tie.
#[test]
fn doubles_beside_a_tie_become_the_nearest_of_16_bits() {
    for (to, greatest) in [(DType::F16, 0x7bff_u64), (DType::Bf16, 0x7f7f)] {
        let mut values = vec![];
        for bits in (0..40).chain((0..greatest).step_by(97)).chain([greatest - 1, greatest]) {
            let (low, high) = (Scalar::from_bits(bits, to).as_f64(), Scalar::from_bits(bits + 1, to).as_f64());
            let tie = if high.is_infinite() {
                low + (low - Scalar::from_bits(bits - 1, to).as_f64()) / 2.0
            } else {
                (low + high) / 2.0
            };
            for beside in [tie.next_down(), tie, tie.next_up(), tie * (1.0 + 1e-9), tie * (1.0 - 1e-9)] {
                values.extend([Scalar::F64(beside), Scalar::F64(-beside)]);
            }
        }
        values.extend(
            [f64::NAN, -f64::NAN, f64::INFINITY, 5e-324, 1e300, f64::from_bits(0x7ff0_0000_0000_0001)].map(Scalar::F64),
        );
        check_values(values, to, "cast", |x| x.cast(to));
    }
}
