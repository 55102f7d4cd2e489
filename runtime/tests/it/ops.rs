//! Every scalar op that has no expansion, on every type it takes, on edge values, as scalars and as vectors of several lengths, against
//! its definition.

use crate::support::{RandomValues, constant_text, edge_values, load_for, machines, program, read, same, write};
use kernel::scalar::Typing;
use kernel::{DType, Scalar, ScalarOp};
use std::fmt::Write;

const LANES: [usize; 9] = [1, 2, 4, 5, 6, 8, 16, 30, 48];

/// The operand types of an op for a type of its class.
fn operand_types(op: ScalarOp, dtype: DType) -> Option<Vec<DType>> {
    let operands = match op.def().typing {
        Typing::Select => vec![DType::Bool, dtype, dtype],
        Typing::Same(_) | Typing::Compare(_) => vec![dtype; op.arity()],
    };
    op.def().typing.infer(&operands).ok().map(|_| operands)
}

/// All combinations of edge values, operand by operand, filled up to a multiple of all lengths.
fn combinations(operands: &[DType]) -> Vec<Vec<Scalar>> {
    let mut columns: Vec<Vec<Scalar>> = vec![vec![]; operands.len()];
    let choices: Vec<Vec<Scalar>> = operands.iter().map(|&d| edge_values(d)).collect();
    let total: usize = choices.iter().map(Vec::len).product();
    // Three operands make too many combinations: a stride that shares no factor with the total visits a spread-out part.
    let count = total.min(6000).next_multiple_of(240);
    for n in 0..count {
        let mut code = (n * 7919) % total;
        for (column, choice) in columns.iter_mut().zip(&choices) {
            column.push(choice[code % choice.len()]);
            code /= choice.len();
        }
    }
    columns
}

/// A program with a kernel for each vector length.
fn op_program(op: ScalarOp, operands: &[DType], result: DType, n: usize) -> String {
    let mut text = String::from("program \"ops\"\n");
    for (o, dtype) in operands.iter().enumerate() {
        writeln!(text, "b{o}: {dtype}[{n}] input \"x{o}\"").unwrap();
    }
    let first_output = operands.len();
    for (at, lanes) in LANES.iter().enumerate() {
        writeln!(text, "b{}: {result}[{n}] output \"y{lanes}\"", first_output + at).unwrap();
    }
    for lanes in LANES {
        let params: Vec<String> = operands.iter().enumerate().map(|(o, d)| format!("p{o}: read {d}[{n}], ")).collect();
        let suffix = if lanes == 1 { String::new() } else { format!(".x{lanes}") };
        let loads: Vec<String> = (0..operands.len()).map(|o| format!("load{suffix} p{o}[i0*{lanes}]")).collect();
        let (loop_count, out) = (n / lanes, operands.len());
        writeln!(text, "kernel k{lanes}({}p{out}: write {result}[{n}]) {{", params.concat()).unwrap();
        writeln!(
            text,
            "  vector i0 in 0..{loop_count} {{ store p{out}[i0*{lanes}] = {op}({}) }}\n}}",
            loads.join(", ")
        )
        .unwrap();
    }
    for (at, lanes) in LANES.iter().enumerate() {
        let args: Vec<String> = (0..operands.len()).map(|o| format!("b{o}, ")).collect();
        writeln!(text, "launch k{lanes}({}b{})", args.concat(), first_output + at).unwrap();
    }
    text.replace("i0*1]", "i0]")
}

fn check_op(op: ScalarOp, dtype: DType) -> bool {
    let Some(operands) = operand_types(op, dtype) else { return false };
    let result = op.def().typing.infer(&operands).unwrap();
    check_columns(op, dtype, &operands, result, &combinations(&operands));
    true
}

/// An op on these operands, a column for each, in vectors of all lengths.
fn check_columns(op: ScalarOp, dtype: DType, operands: &[DType], result: DType, columns: &[Vec<Scalar>]) {
    let n = columns[0].len();
    let program = program(&op_program(op, operands, result, n));
    for target in machines() {
        let mut executable = load_for(&program, &target);
        for (o, column) in columns.iter().enumerate() {
            write(&mut executable, &format!("x{o}"), column);
        }
        executable.step().unwrap();
        for lanes in LANES {
            let found = read(&executable, &format!("y{lanes}"));
            for (at, &found) in found.iter().enumerate() {
                let args: Vec<Scalar> = columns.iter().map(|c| c[at]).collect();
                let expected = op.eval(&args);
                let case = || format!("{op}.x{lanes} on {dtype} {args:?}, {target}");
                assert!(same(found, expected), "{}: {found:?} instead of {expected:?}", case());
            }
        }
    }
}

#[test]
fn every_op_without_an_expansion_agrees_with_its_definition() {
    let mut checked = 0;
    for op in ScalarOp::all() {
        for dtype in DType::ALL {
            if (op.def().expand)(dtype).is_none() && !is_transcendental(op) {
                checked += usize::from(check_op(op, dtype));
            }
        }
    }
    assert!(checked > 100, "only {checked} combinations of op and type");
}

/// Ops that the emitter has no instruction for; a pass inlines their expansions.
fn is_transcendental(op: ScalarOp) -> bool {
    op.def().max_ulp > 0
}

#[test]
fn an_op_that_needs_expanding_is_refused_by_name() {
    let text = op_program(ScalarOp::EXP, &[DType::F32], DType::F32, 16);
    let error = runtime::Executable::load(program(&text), &runtime::LoadOptions::default()).err().unwrap();
    assert!(error.to_string().contains("`exp`"), "{error}");
}

/// Extrema, divisions and shifts have shorter code where an operand is a constant.
#[test]
fn constant_operands_agree_with_the_definition() {
    let ops = [
        ScalarOp::MIN,
        ScalarOp::MAX,
        ScalarOp::DIV,
        ScalarOp::REM,
        ScalarOp::SHL,
        ScalarOp::LSHR,
        ScalarOp::MUL,
        ScalarOp::MUL_HALVES,
    ];
    for op in ops {
        for dtype in DType::ALL.into_iter().filter(|dtype| dtype.is_number() && !dtype.is_short_float()) {
            if operand_types(op, dtype).is_some() {
                for on_left in [false, true] {
                    check_constant(op, dtype, on_left);
                }
            }
        }
    }
}

fn check_constant(op: ScalarOp, dtype: DType, on_left: bool) {
    let values = edge_values(dtype);
    check_by_constants(op, &values, &values, on_left);
}

/// Each constant with all values.
fn check_by_constants(op: ScalarOp, constants: &[Scalar], values: &[Scalar], on_left: bool) {
    let (dtype, mut values) = (values[0].dtype(), values.to_vec());
    while !values.len().is_multiple_of(4) {
        values.push(values[0]);
    }
    let n = values.len();
    let mut text = format!("program \"constants\"\nb0: {dtype}[{n}] input \"x\"\n");
    for (at, _) in constants.iter().enumerate() {
        writeln!(
            text,
            "b{}: {dtype}[{n}] output \"s{at}\"\nb{}: {dtype}[{n}] output \"v{at}\"",
            2 * at + 1,
            2 * at + 2
        )
        .unwrap();
    }
    for (at, constant) in constants.iter().enumerate() {
        let constant = constant_text(*constant);
        let order = |x: &str, c: &str| if on_left { format!("{op}({c}, {x})") } else { format!("{op}({x}, {c})") };
        let scalar = order("load p0[i0]", &constant);
        let vector = order("load.x4 p0[i1*4]", &format!("splat.x4({constant})"));
        writeln!(
            text,
            "kernel k{at}(p0: read {dtype}[{n}], p1: write {dtype}[{n}], p2: write {dtype}[{n}]) {{\n\
             for i0 in 0..{n} {{ store p1[i0] = {scalar} }}\n\
             vector i1 in 0..{} {{ store p2[i1*4] = {vector} }} }}",
            n / 4
        )
        .unwrap();
    }
    for at in 0..constants.len() {
        writeln!(text, "launch k{at}(b0, b{}, b{})", 2 * at + 1, 2 * at + 2).unwrap();
    }
    let program = program(&text);
    for target in machines() {
        let mut executable = load_for(&program, &target);
        write(&mut executable, "x", &values);
        executable.step().unwrap();
        for (at, &constant) in constants.iter().enumerate() {
            for shape in ["s", "v"] {
                for (&x, found) in values.iter().zip(read(&executable, &format!("{shape}{at}"))) {
                    let expected = if on_left { op.eval(&[constant, x]) } else { op.eval(&[x, constant]) };
                    let case = || format!("{shape}: {op} of {x:?} and {constant:?} (left: {on_left}), {target}");
                    assert!(same(found, expected), "{}: {found:?}", case());
                }
            }
        }
    }
}

/// Beside and at whole quotients, where an error in the last place of a float would be one of the result's; all pairs of bytes.
#[test]
fn quotients_beside_whole_numbers_are_truncated_right() {
    let mut random = RandomValues::new(7);
    let mut pairs = vec![];
    for _ in 0..6000 {
        let (by, bits) = (random.next() as i32 >> (random.next() % 31), random.next() % 32);
        let whole = by.wrapping_mul((random.next() as u32 >> bits) as i32);
        pairs.extend((-1..=1).map(|beside| [whole.wrapping_add(beside), by].map(Scalar::I32)));
    }
    let bytes = |dtype| (0..1 << 16).map(move |pair: u64| [pair, pair >> 8].map(|bits| Scalar::from_bits(bits, dtype)));
    let of_bytes = [DType::I8, DType::U8].map(|dtype| (dtype, bytes(dtype).collect()));
    for (dtype, pairs) in [(DType::I32, pairs)].into_iter().chain(of_bytes) {
        for op in [ScalarOp::DIV, ScalarOp::REM] {
            let mut columns: Vec<Vec<Scalar>> = (0..2).map(|o| pairs.iter().map(|pair| pair[o]).collect()).collect();
            while !columns[0].len().is_multiple_of(240) {
                columns.iter_mut().for_each(|column| column.push(column[0]));
            }
            check_columns(op, dtype, &[dtype; 2], dtype, &columns);
        }
    }
}

/// By a constant they are products with a reciprocal.
#[test]
fn quotients_by_constants_are_truncated_right() {
    let mut random = RandomValues::new(8);
    for round in 0..40 {
        let by = if round < 20 { 1 + round } else { random.next() as i32 >> (random.next() % 31) };
        let by = if by == 0 { 3 } else { by };
        let mut values = vec![i32::MIN, i32::MAX, 0, -1];
        for _ in 0..400 {
            let whole = by.wrapping_mul((random.next() as u32 >> (random.next() % 32)) as i32);
            values.extend((-1..=1).map(|beside| whole.wrapping_add(beside)));
        }
        for by in [by, by.wrapping_neg()] {
            for op in [ScalarOp::DIV, ScalarOp::REM] {
                check_by_constants(
                    op,
                    &[Scalar::I32(by)],
                    &values.iter().map(|&x| Scalar::I32(x)).collect::<Vec<_>>(),
                    false,
                );
            }
        }
    }
    for dtype in [DType::I8, DType::U8] {
        let bytes: Vec<Scalar> = (0..256).map(|bits| Scalar::from_bits(bits, dtype)).collect();
        for op in [ScalarOp::DIV, ScalarOp::REM] {
            check_by_constants(op, &bytes, &bytes, false);
        }
    }
}
