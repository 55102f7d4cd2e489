//! Random kernels: machine code of each emitter and width against the kernel interpreter, to the bit (but for which NaN a NaN is).

use crate::support::{constant_text, edge_values, machines, program, read, same, write};
use kernel::eval::Tensors;
use kernel::scalar::Typing;
use kernel::{DType, Data, Program, Scalar, ScalarOp, Target};
use runtime::{Backend, Executable, LoadOptions};
use std::fmt::Write;

const LEN: usize = 144;

/// What inputs and values are made of: of every other seed those from before there were `i16`, `u64`, `u32` and `u16`, so that it keeps its kernel.
fn types_of(seed: u64) -> Vec<DType> {
    let is_new = |dtype: DType| matches!(dtype, DType::I16 | DType::U64 | DType::U32 | DType::U16);
    DType::ALL.into_iter().filter(|dtype| seed % 2 == 1 || !is_new(*dtype)).collect()
}

/// A linear congruential generator: enough to vary programs.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// One random kernel: two loops, each inner iteration handling a vector of `lanes` elements.
struct KernelGenerator {
    rng: Lcg,
    types: Vec<DType>,
    lanes: usize,
    /// The element index of the first lane.
    index: String,
    /// Values bound so far, by type.
    bound: Vec<(DType, usize)>,
    /// Whether `u32` and integers of 64 bits may be divided, which no vector unit does.
    divisions: bool,
}

impl KernelGenerator {
    fn suffix(&self) -> String {
        if self.lanes == 1 { String::new() } else { format!("x{}", self.lanes) }
    }

    fn leaf(&mut self, dtype: DType) -> String {
        let (lanes, index) = (self.lanes, self.index.clone());
        let values: Vec<usize> = self.bound.iter().filter(|(d, _)| *d == dtype).map(|(_, v)| *v).collect();
        match self.rng.below(5) {
            0 => {
                let constant = constant_text(self.rng.pick(&edge_values(dtype)));
                if lanes == 1 { constant } else { format!("splat.x{lanes}({constant})") }
            }
            1 if matches!(dtype, DType::I32 | DType::I64) && lanes == 1 => format!("index {index} + 3 : {dtype}"),
            1 if matches!(dtype, DType::I32 | DType::I64) => format!("index {index} : {dtype}x{lanes} stride 2"),
            2 if !values.is_empty() => format!("v{}", self.rng.pick(&values)),
            _ => {
                let param = self.types.iter().position(|&d| d == dtype).unwrap();
                let load = if lanes == 1 { "load".into() } else { format!("load.{}", self.suffix()) };
                format!("{load} p{param}[{index}]")
            }
        }
    }

    fn expr(&mut self, dtype: DType, depth: usize) -> String {
        if depth == 0 {
            return self.leaf(dtype);
        }
        if self.rng.below(5) == 0 {
            let from = self.rng.pick(&self.types);
            return if from == dtype {
                self.leaf(dtype)
            } else {
                format!("cast({} : {dtype})", self.expr(from, depth - 1))
            };
        }
        let ops: Vec<ScalarOp> = ScalarOp::all().filter(|&op| op.def().max_ulp == 0 && op != ScalarOp::SHR).collect();
        for _ in 0..100 {
            let op = self.rng.pick(&ops);
            if let Some(operands) = self.operand_types(op, dtype) {
                let operands: Vec<String> = operands.into_iter().map(|d| self.expr(d, depth - 1)).collect();
                return format!("{op}({})", operands.join(", "));
            }
        }
        self.leaf(dtype)
    }

    /// Operand types with which an op gives `result`, if it is an instruction on them.
    fn operand_types(&mut self, op: ScalarOp, result: DType) -> Option<Vec<DType>> {
        let (operands, dtype) = match op.def().typing {
            Typing::Same(_) => (vec![result; op.arity()], result),
            Typing::Select => (vec![DType::Bool, result, result], result),
            Typing::Compare(_) if result == DType::Bool => {
                let of = self.rng.pick(&self.types);
                (vec![of; 2], of)
            }
            Typing::Compare(_) => return None,
        };
        let has_no_quotient = matches!(dtype, DType::I64 | DType::U64 | DType::U32);
        if has_no_quotient && !self.divisions && [ScalarOp::DIV, ScalarOp::REM].contains(&op) {
            return None;
        }
        let fits = op.def().typing.infer(&operands).is_ok() && (op.def().expand)(dtype).is_none();
        fits.then_some(operands)
    }
}

/// A program, and how many elements of its output it writes.
fn random_program(seed: u64) -> (String, usize) {
    let mut rng = Lcg(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let lanes = if rng.below(3) == 0 { rng.pick(&[1, 4, 8, 16, 32]) } else { 1 + rng.below(40) };
    let divisions = rng.below(8) == 0;
    let (rows, cols) = rng.pick(&[(1, LEN / lanes), (3, LEN / lanes / 3), (LEN / lanes, 1)]);
    let index = format!("i0*{} + i1*{lanes}", cols * lanes);
    let types = types_of(seed);
    let (out, kind) = (rng.pick(&types), rng.pick(&["for", "parallel"]));
    let sum = rng.pick(&types[..types.len() - 1]);
    let (y, sums) = (types.len(), types.len() + 1);
    let mut generator =
        KernelGenerator { rng, types: types.clone(), lanes, index: index.clone(), bound: vec![], divisions };
    let mut body = String::new();
    for v in 0..4 {
        let (dtype, depth) = (generator.rng.pick(&types), 1 + generator.rng.below(3));
        writeln!(body, "    let v{v} = {}", generator.expr(dtype, depth)).unwrap();
        generator.bound.push((dtype, v));
    }
    let (stored, summed) = (generator.expr(out, 3), generator.expr(sum, 2));
    let fold = generator.rng.pick(&["add", "max", "min"]);
    let zero = constant_text(Scalar::zero(sum));
    let (start, total) = if lanes == 1 {
        (zero, "v9".to_owned())
    } else {
        (format!("splat.x{lanes}({zero})"), format!("fold {fold}(v9)"))
    };
    let mut text = String::from("program \"random\"\n");
    for (p, dtype) in types.iter().enumerate() {
        writeln!(text, "b{p}: {dtype}[{LEN}] input \"x{p}\"").unwrap();
    }
    writeln!(text, "b{y}: {out}[{LEN}] output \"y\"\nb{sums}: {sum}[{rows}] output \"sums\"").unwrap();
    let params: Vec<String> = types.iter().enumerate().map(|(p, d)| format!("p{p}: read {d}[{LEN}]")).collect();
    write!(
        text,
        "kernel k({}, p{y}: write {out}[{LEN}], p{sums}: write {sum}[{rows}]) {{\n\
         {kind} i0 in 0..{rows} {{\n  var v9 = {start}\n  for i1 in 0..{cols} {{\n{body}\n    v9 {fold}= {summed}\n    store p{y}[{index}] = {stored}\n  }}\n\
         store p{sums}[i0] = {total}\n}} }}\nlaunch k({})",
        params.join(", "),
        (0..=sums).map(|b| format!("b{b}")).collect::<Vec<String>>().join(", ")
    )
    .unwrap();
    (text, rows * cols * lanes)
}

/// Inputs made of edge values.
fn random_inputs(seed: u64) -> Vec<Vec<Scalar>> {
    let mut rng = Lcg(seed ^ 0x5eed);
    types_of(seed)
        .into_iter()
        .map(|dtype| {
            let edges = edge_values(dtype);
            (0..LEN).map(|_| rng.pick(&edges)).collect()
        })
        .collect()
}

/// Compares a program with the interpreter's results for it; returns which emitter made its code.
fn compare(
    seed: u64,
    (text, written): (&str, usize),
    planned: &Program,
    expected: &Tensors,
    target: &Target,
) -> Backend {
    let threads = 1 + (seed % 2) as usize;
    let options = LoadOptions { threads, verify_code: true, target: Some(target.clone()), ..LoadOptions::default() };
    let mut executable = Executable::load(planned.clone(), &options).unwrap_or_else(|e| panic!("{e}\n{text}"));
    for (p, values) in random_inputs(seed).iter().enumerate() {
        write(&mut executable, &format!("x{p}"), values);
    }
    executable.step().unwrap();
    for name in ["y", "sums"] {
        let count = if name == "y" { written } else { usize::MAX };
        for (at, found) in read(&executable, name).into_iter().take(count).enumerate() {
            let expected = expected[name].get(at);
            assert!(
                same(found, expected),
                "seed {seed}, {target}: {name}[{at}] is {found:?} instead of {expected:?} in\n{text}"
            );
        }
    }
    executable.loaded().kernels()[0].emitter.clone()
}

#[test]
fn random_kernels_agree_with_the_interpreter() {
    let seeds: u64 = std::env::var("GRADC_RANDOM_KERNELS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let mut refused = vec![];
    for seed in 0..seeds {
        let (text, written) = random_program(seed);
        let planned = program(&text);
        let mut inputs = Tensors::new();
        for (p, values) in random_inputs(seed).iter().enumerate() {
            let mut data = Data::splat(Scalar::zero(values[0].dtype()), LEN);
            values.iter().enumerate().for_each(|(i, &v)| data.set(i, v));
            inputs.insert(format!("x{p}"), data);
        }
        let expected = kernel::eval::Interpreter::new(&planned).unwrap().run(&inputs).unwrap();
        for target in machines() {
            let emitter = compare(seed, (&text, written), &planned, &expected, &target);
            if let Backend::Portable { because: Some(why) } = emitter {
                refused.push(format!("{seed}, {target}: {why}"));
            }
        }
    }
    // Quotients of `u32` and of 64-bit integers, conversions between `u64` and floats, and with AVX2 conversions of floats to them, and of them to `f32`.
    for why in &refused {
        let converts =
            why.contains(" avx2 ") && ["a conversion", "an instruction"].iter().any(|what| why.contains(what));
        let of_u64 = why.contains("a conversion from") && why.contains("u64");
        let divides = ["i64", "u64", "u32"].iter().any(|dtype| why.ends_with(&format!("a quotient of {dtype}")));
        assert!(converts || of_u64 || divides, "{why}");
    }
}
