//! Random register tiles in vectors of each width against the kernel interpreter, to the bit.

use crate::support::{RandomValues, fusing_machines, load_for, program};
use kernel::{DType, Data, Target, eval};
use runtime::{Executable, LoadOptions};
use std::collections::BTreeMap;

/// A program of one tile with random extents, so many rows and columns at the most, and random strides.
fn tile(random: &mut RandomValues, (factors, dtype): (&str, &str), (rows, columns): (usize, usize)) -> String {
    let (m, n) = (random.within(1, rows), random.within(1, columns));
    let dims: Vec<usize> = (0..random.within(1, 3)).map(|_| random.within(1, 19)).collect();
    let depth: usize = dims.iter().product();
    // `a` with rows or with steps contiguous, `b` with some room after each row, the dimensions of the reduction from the outside in.
    let (a_row, a_step) = if random.next().is_multiple_of(2) { (depth, 1) } else { (1, m) };
    let b_step = n + random.within(0, 3);
    let mut strides = vec![];
    let mut below = 1;
    for &extent in dims.iter().rev() {
        strides.push(format!("({extent}, {}, {})", below * a_step, below * b_step));
        below *= extent;
    }
    strides.reverse();
    let c_row = n + random.within(0, 5);
    let (an, bn, cn) = (m * depth, depth * b_step, m * c_row);
    let lanes = (1..=n.min(64)).rev().find(|lanes| n.is_multiple_of(*lanes)).unwrap_or(1);
    let after = |lanes: usize| {
        let row = format!("cast(index i0 : i32 : {dtype})");
        let (lane, row) = match lanes {
            1 => (String::new(), row),
            _ => (format!(".x{lanes}"), format!("splat.x{lanes}({row})")),
        };
        format!(
            "for i0 in 0..{m} {{ for i1 in 0..{} {{
               let v0 = max(load{lane} l0[i0*{n} + i1*{lanes}], load{lane} p2[i1*{lanes}])
               store p3[i0*{c_row} + i1*{lanes}] = add(v0, {row})
             }} }}",
            n / lanes
        )
    };
    // To where they stay, with rows apart; added to what stands there; or to scratch memory, which loops read element by element or in vectors.
    let (c, body) = vec![
        (format!("c=p3[0] stride {c_row}"), String::new()),
        (format!("c add=p3[0] stride {c_row}"), String::new()),
        (format!("c=l0[0] stride {n}"), after(1)),
        (format!("c=l0[0] stride {n}"), after(lanes)),
    ]
    .swap_remove(random.within(0, 3));
    format!(
        "program \"g\" b0: {factors}[{an}] input \"a\" b1: {factors}[{bn}] input \"b\" b2: {dtype}[{c_row}] input \"bias\"
        b3: {dtype}[{cn}] state \"c\"
        kernel g(p0: read {factors}[{an}], p1: read {factors}[{bn}], p2: read {dtype}[{c_row}], p3: readwrite {dtype}[{cn}]) {{
          local l0: {dtype}[{}]
          micro {m}x{n} a=p0[0] stride {a_row}, b=p1[0], reduce=[{}], {c}
          {body}
        }} launch g(b0, b1, b2, b3)",
        m * n,
        strides.join(", ")
    )
}

fn compare(seed: u64, single: bool, most: (usize, usize)) {
    let mut random = RandomValues::new(seed);
    let dtype = if single { "f32" } else { "f64" };
    let text = tile(&mut random, (dtype, dtype), most);
    let program = program(&text);
    let mut values = BTreeMap::new();
    for (name, buffer) in ["a", "b", "bias", "c"].into_iter().zip(&program.buffers) {
        let noise: Vec<f64> = (0..buffer.len).map(|_| random.unit()).collect();
        let data = if single { Data::F32(noise.iter().map(|&x| x as f32).collect()) } else { Data::F64(noise) };
        values.insert(name.to_string(), data);
    }
    let states = BTreeMap::from([("c".to_string(), values["c"].clone())]);
    let inputs: BTreeMap<String, Data> =
        values.iter().filter(|(n, _)| *n != "c").map(|(n, d)| (n.clone(), d.clone())).collect();
    let (_, after) = eval::eval(&program, &inputs, &states).unwrap();
    for target in fusing_machines() {
        let mut executable = load_for(&program, &target);
        for (name, data) in &values {
            match (data, name.as_str()) {
                (Data::F32(v), "c") => executable.write_state(name, v).unwrap(),
                (Data::F32(v), _) => executable.write_input(name, v).unwrap(),
                (Data::F64(v), "c") => executable.write_state(name, v).unwrap(),
                (Data::F64(v), _) => executable.write_input(name, v).unwrap(),
                _ => unreachable!("floats only"),
            }
        }
        executable.step().unwrap();
        let found = if single {
            Data::F32(executable.state::<f32>("c").unwrap().to_vec())
        } else {
            Data::F64(executable.state::<f64>("c").unwrap().to_vec())
        };
        for i in 0..found.len() {
            assert_eq!(found.get(i), after["c"].get(i), "seed {seed}, {target}, element {i}\n{text}");
        }
    }
}

#[test]
fn wide_tiles_are_the_interpreter_s_to_the_bit() {
    for seed in 0..120 {
        compare(seed, !seed.is_multiple_of(4), (14, 70));
    }
}

#[test]
fn single_rows_are_as_wide_as_the_registers_allow() {
    for seed in 0..60 {
        compare(seed, !seed.is_multiple_of(3), (1, 140));
    }
}

/// A pair of `bf16`: mostly small numbers, at times any bits at all, denormals and NaN among them.
fn pair(random: &mut RandomValues) -> i32 {
    let any = random.next() as u32;
    let tame = (any & 0x807f_807f) | 0x3f80_3f80;
    (if random.next().is_multiple_of(40) { any } else { tame }).cast_signed()
}

fn same(found: f32, expected: f32) -> bool {
    found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan())
}

#[test]
fn tiles_of_pairs_are_the_interpreter_s_to_the_bit() {
    let (has, lacks): (Vec<Target>, Vec<Target>) = fusing_machines().into_iter().partition(Target::bf16_pairs);
    for seed in 0..150 {
        let mut random = RandomValues::new(seed);
        let text = tile(&mut random, ("i32", "f32"), [(14, 30), (5, 70), (1, 140)][seed as usize % 3]);
        let program = program(&text);
        let [a, b] = [0, 1].map(|i| (0..program.buffers[i].len).map(|_| pair(&mut random)).collect::<Vec<i32>>());
        let [bias, c] = [2, 3].map(|i| {
            let tiny = |random: &mut RandomValues| if random.next().is_multiple_of(9) { 1e-40 } else { 1.0 };
            (0..program.buffers[i].len).map(|_| random.unit() as f32 * tiny(&mut random)).collect::<Vec<f32>>()
        });
        let named = |name: &str, data: Data| (name.to_string(), data);
        let inputs = [
            named("a", Data::I32(a.clone())),
            named("b", Data::I32(b.clone())),
            named("bias", Data::F32(bias.clone())),
        ];
        let states = BTreeMap::from([named("c", Data::F32(c.clone()))]);
        let (_, after) = eval::eval(&program, &BTreeMap::from(inputs), &states).unwrap();
        for target in &lacks {
            let options = LoadOptions { target: Some(target.clone()), ..LoadOptions::default() };
            assert!(Executable::load(program.clone(), &options).is_err(), "{target} has no such instruction");
        }
        let Some(target) = has.first() else { continue };
        let mut executable = load_for(&program, target);
        executable.write_input("a", &a).unwrap();
        executable.write_input("b", &b).unwrap();
        executable.write_input("bias", &bias).unwrap();
        executable.write_state("c", &c).unwrap();
        executable.step().unwrap();
        let Data::F32(expected) = &after["c"] else { panic!("sums are f32") };
        for (i, (&found, &expected)) in executable.state::<f32>("c").unwrap().iter().zip(expected).enumerate() {
            assert!(same(found, expected), "seed {seed}, element {i}: {found:e}, not {expected:e}\n{text}");
        }
    }
}

/// A tile of quads with random extents and strides; its sums are stored, or added to what stands there.
fn quads(random: &mut RandomValues, (rows, columns): (usize, usize)) -> String {
    let (m, n) = (random.within(1, rows), random.within(1, columns));
    let dims: Vec<usize> = (0..random.within(1, 3)).map(|_| random.within(1, 13)).collect();
    let depth: usize = dims.iter().product();
    let a_row = 4 * depth + random.within(0, 2);
    let b_step = 4 * n + random.within(0, 3);
    let (mut strides, mut below) = (vec![], 1);
    for &extent in dims.iter().rev() {
        strides.insert(0, format!("({extent}, {}, {})", 4 * below, below * b_step));
        below *= extent;
    }
    let c_row = n + random.within(0, 5);
    let add = if random.next().is_multiple_of(2) { " add" } else { "" };
    let (an, bn, cn) = (m * a_row, depth * b_step, m * c_row);
    format!(
        "program \"g\" b0: u8[{an}] input \"a\" b1: i8[{bn}] input \"b\" b2: i32[{cn}] state \"c\"
        kernel g(p0: read u8[{an}], p1: read i8[{bn}], p2: readwrite i32[{cn}]) {{
          micro {m}x{n} a=p0[0] stride {a_row}, b=p1[0] stride 4, reduce=[{}], c{add}=p2[0] stride {c_row}
        }} launch g(b0, b1, b2)",
        strides.join(", ")
    )
}

/// Rows and columns of the largest tiles of bytes that registers hold, of one vector, of two, and of a single row.
fn largest_tiles(target: &Target) -> [(usize, usize); 3] {
    let (tile, lanes) = (target.tile_for(DType::I32), target.vector_bytes() / 4);
    let rows = |vectors: usize| (tile.registers - tile.spare - tile.mask - vectors * tile.parts) / vectors;
    [(rows(1).min(tile.rows), lanes), (rows(2), 2 * lanes), (1, 8 * lanes)]
}

#[test]
fn tiles_of_quads_are_the_interpreter_s() {
    for (seed, target) in (0..150).flat_map(|seed| fusing_machines().into_iter().map(move |target| (seed, target))) {
        let mut random = RandomValues::new(seed);
        let text = quads(&mut random, largest_tiles(&target)[seed as usize % 3]);
        let program = program(&text);
        if !target.byte_quads() {
            let options = LoadOptions { target: Some(target.clone()), ..LoadOptions::default() };
            assert!(Executable::load(program, &options).is_err(), "{target} has no vectors that are wide enough");
            continue;
        }
        let mut bytes = |of: usize| (0..program.buffers[of].len).map(|_| random.next() as u8).collect::<Vec<u8>>();
        let (a, b) = (bytes(0), bytes(1).into_iter().map(u8::cast_signed).collect::<Vec<i8>>());
        let c: Vec<i32> = (0..program.buffers[2].len).map(|_| random.next() as i32).collect();
        let inputs = [("a", Data::U8(a.clone())), ("b", Data::I8(b.clone()))].map(|(name, data)| (name.into(), data));
        let states = BTreeMap::from([("c".to_string(), Data::I32(c.clone()))]);
        let (_, after) = eval::eval(&program, &BTreeMap::from(inputs), &states).unwrap();
        let mut executable = load_for(&program, &target);
        executable.write_input("a", &a).unwrap();
        executable.write_input("b", &b).unwrap();
        executable.write_state("c", &c).unwrap();
        executable.step().unwrap();
        let found = Data::I32(executable.state::<i32>("c").unwrap().to_vec());
        assert_eq!(found, after["c"], "seed {seed}, {target}\n{text}");
    }
}
