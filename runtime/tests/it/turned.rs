//! Loops that copy columns to rows, blocks of which change places in registers, against the kernel interpreter, to the bit.

use crate::support::{RandomValues, load_for, machines, program, read, same, write};
use kernel::{Data, Scalar, eval};
use std::collections::BTreeMap;

/// A program that copies, in two iterations of a loop around, some elements of each of some columns: most that follow one another lie side by side, and rows
/// that they go to are apart but for one in five programs.
fn copies(random: &mut RandomValues, dtype: &str) -> String {
    let (columns, count, step) = (random.within(1, 37), random.within(1, 20), random.within(2, 40));
    let overlap = random.next().is_multiple_of(5);
    let row = if overlap { random.within(1, columns) } else { columns + random.within(0, 3) };
    let (mut body, mut from) = (String::new(), 0);
    for element in 0..count {
        let to = if random.next().is_multiple_of(9) { (element + 3) % count } else { element };
        body += &format!(
            "let v{element} = load p0[i0*{step} + i1*3 + {from}]
             store p1[i0 + i1*7 + {}] = v{element} ",
            to * row
        );
        from += if random.next().is_multiple_of(7) { random.within(0, 4) } else { 1 };
    }
    let (input, output) = ((columns - 1) * step + 3 + from + 1, columns + 7 + count * row);
    format!(
        "program \"g\" b0: {dtype}[{input}] input \"x\" b1: {dtype}[{output}] output \"y\"
         kernel g(p0: read {dtype}[{input}], p1: write {dtype}[{output}]) {{
           for i2 in 0..{output} {{ store p1[i2] = cast(0i32 : {dtype}) }}
           for i1 in 0..2 {{ for i0 in 0..{columns} {{ {body} }} }}
         }} launch g(b0, b1)"
    )
}

#[test]
fn columns_that_become_rows_are_the_interpreter_s_to_the_bit() {
    for seed in 0..400 {
        let mut random = RandomValues::new(seed);
        let dtype = ["f32", "f64", "i32", "i64", "f32", "u8", "bf16"][seed as usize % 7];
        let text = copies(&mut random, dtype);
        let program = program(&text);
        let input = &program.buffers[0];
        let bytes: Vec<u8> = (0..input.len * input.dtype.size_bytes()).map(|_| random.next() as u8).collect();
        let data = Data::from_bytes(input.dtype, &bytes);
        let values: Vec<Scalar> = (0..data.len()).map(|i| data.get(i)).collect();
        let (expected, _) = eval::eval(&program, &BTreeMap::from([("x".to_string(), data)]), &BTreeMap::new()).unwrap();
        for target in machines() {
            let mut executable = load_for(&program, &target);
            write(&mut executable, "x", &values);
            executable.step().unwrap();
            for (i, found) in read(&executable, "y").into_iter().enumerate() {
                let expected = expected["y"].get(i);
                assert!(same(found, expected), "seed {seed}, {target}, element {i}: {found}, not {expected}\n{text}");
            }
        }
    }
}
