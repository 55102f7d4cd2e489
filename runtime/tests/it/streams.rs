//! Stores past the caches: the same results as other stores, at every length, place in the buffer, type and width of vectors; and the places that are refused.

use crate::support::{machines, program};
use kernel::{Data, eval};
use runtime::{Executable, LoadOptions};
use std::collections::BTreeMap;

/// `rows` threads' shares of `columns` elements each, in vectors of `lanes`, from element `start` of the result on.
fn text(dtype: &str, rows: usize, columns: usize, lanes: usize, start: usize) -> String {
    let (from, to) = (rows * columns, rows * columns + start);
    let rest = columns % lanes;
    let tail = match rest {
        0 => String::new(),
        rest => {
            let at = columns - rest;
            format!("store p1[i0*{columns} + {}] = neg(load.x{rest} p0[i0*{columns} + {at}])", start + at)
        }
    };
    let body =
        format!("store p1[i0*{columns} + i1*{lanes} + {start}] = neg(load.x{lanes} p0[i0*{columns} + i1*{lanes}])");
    // A shifted tail is more than the proof of disjoint rows looks through.
    let order = if start == 0 { "parallel" } else { "for" };
    format!(
        "program \"s\" b0: {dtype}[{from}] input \"x\" b1: {dtype}[{to}] output \"y\"
        kernel s(p0: read {dtype}[{from}], p1: stream {dtype}[{to}]) {{
          {order} i0 in 0..{rows} {{ for i1 in 0..{} {{ {body} }} {tail} }}
        }} launch s(b0, b1)",
        columns / lanes
    )
}

fn compare(text: &str, start: usize) {
    let program = program(text);
    let noise: Vec<f64> = (0..program.buffers[0].len).map(|i| (i as f64 * 0.37).sin()).collect();
    let single = program.buffers[0].dtype == kernel::DType::F32;
    let x = if single { Data::F32(noise.iter().map(|&x| x as f32).collect()) } else { Data::F64(noise) };
    let inputs = BTreeMap::from([("x".to_string(), x.clone())]);
    let (expected, _) = eval::eval(&program, &inputs, &BTreeMap::new()).unwrap();
    for target in machines() {
        let options =
            LoadOptions { threads: 2, verify_code: true, target: Some(target.clone()), ..LoadOptions::default() };
        let mut executable = Executable::load(program.clone(), &options).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let found = match &x {
            Data::F32(v) => {
                executable.write_input("x", v).unwrap();
                executable.step().unwrap();
                Data::F32(executable.output::<f32>("y").unwrap().to_vec())
            }
            Data::F64(v) => {
                executable.write_input("x", v).unwrap();
                executable.step().unwrap();
                Data::F64(executable.output::<f64>("y").unwrap().to_vec())
            }
            _ => unreachable!("floats only"),
        };
        for i in start..found.len() {
            assert_eq!(found.get(i), expected["y"].get(i), "{target}, element {i}\n{text}");
        }
    }
}

#[test]
fn streams_hold_what_other_stores_would() {
    for dtype in ["f32", "f64"] {
        // Rows that begin at whole vectors and rows that don't; results that begin at one and that don't; tails.
        for (columns, lanes) in [(64, 16), (48, 8), (72, 16), (37, 16), (40, 24), (100, 32)] {
            for start in [0, 16, 3] {
                compare(&text(dtype, 5, columns, lanes, start), start);
            }
        }
    }
}

#[test]
fn a_stream_must_start_at_a_cache_line() {
    let mut program = program(&text("f32", 2, 32, 16, 0));
    let end = program.buffers[1].offset.map(|offset| offset + 4);
    program.buffers[1].offset = end;
    program.arena_bytes = program.arena_bytes.map(|bytes| bytes + 64);
    let error = Executable::load(program, &LoadOptions::default()).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("p1 of `s` is a stream, but b1 doesn't start at a multiple of 64 bytes"), "{error}");
}
