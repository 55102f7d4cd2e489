//! Programs from text, and scalars in and out of ports.

use kernel::{Buffer, BufferKind, DType, Program, Scalar, Target};
use random_graphs::Rng;
use runtime::{Executable, LoadOptions, PortKind};

/// A program from text, its buffers placed one after the other.
pub(crate) fn program(text: &str) -> Program {
    let mut program: Program = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    place(&mut program);
    program
}

/// Places buffers one after the other, but for states.
pub(crate) fn place(program: &mut Program) {
    let mut end = 0;
    for buffer in &mut program.buffers {
        if matches!(buffer.kind, BufferKind::State { .. } | BufferKind::Next { .. }) {
            continue;
        }
        buffer.offset = Some(end);
        end += Buffer::size_bytes(buffer).next_multiple_of(64);
    }
    program.arena_bytes = Some(end);
}

/// This machine, held to each instruction set that it has in turn, the least first.
pub(crate) fn machines() -> Vec<Target> {
    runtime::host_target().unwrap().limited_to_each()
}

/// Those of them whose sums of products round once, as the interpreter's do.
pub(crate) fn fusing_machines() -> Vec<Target> {
    machines().into_iter().filter(Target::fma).collect()
}

/// Loads for a machine, with every check on.
pub(crate) fn load_for(program: &Program, target: &Target) -> Executable {
    let options = LoadOptions { verify_code: true, target: Some(target.clone()), ..LoadOptions::default() };
    Executable::load(program.clone(), &options).unwrap_or_else(|e| panic!("{e}\n{program}"))
}

/// Loads with every check on.
pub(crate) fn load(program: Program) -> Executable {
    load_with(program, 1)
}

/// Loads for a number of threads.
pub(crate) fn load_with(program: Program, threads: usize) -> Executable {
    let options = LoadOptions { threads, verify_code: true, ..LoadOptions::default() };
    let text = program.to_string();
    Executable::load(program, &options).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Writes an input.
pub(crate) fn write(executable: &mut Executable, name: &str, values: &[Scalar]) {
    macro_rules! put {
        ($ty:ty, $convert:expr) => {{
            let values: Vec<$ty> = values.iter().map($convert).collect();
            executable.write_input::<$ty>(name, &values).unwrap();
        }};
    }
    match values[0].dtype() {
        DType::F32 => put!(f32, |v| f32::from_bits(v.to_bits() as u32)),
        DType::F64 => put!(f64, |v| f64::from_bits(v.to_bits())),
        DType::I32 => put!(i32, |v| v.as_i64() as i32),
        DType::I64 => put!(i64, |v| v.as_i64()),
        DType::I16 => put!(i16, |v| v.to_bits() as i16),
        DType::I8 => put!(i8, |v| v.to_bits() as i8),
        DType::U64 => put!(u64, |v| v.to_bits()),
        DType::U32 => put!(u32, |v| v.to_bits() as u32),
        DType::U8 | DType::Bool => put!(u8, |v| v.to_bits() as u8),
        DType::U16 | DType::Bf16 | DType::F16 => put!(u16, |v| v.to_bits() as u16),
    }
}

/// Reads an output.
pub(crate) fn read(executable: &Executable, name: &str) -> Vec<Scalar> {
    let port = executable.ports().find(|p| p.kind == PortKind::Output && p.name == name).unwrap();
    let dtype = port.dtype;
    macro_rules! get {
        ($ty:ty, $bits:expr) => {
            executable.output::<$ty>(name).unwrap().iter().map(|v| Scalar::from_bits($bits(*v), dtype)).collect()
        };
    }
    match dtype {
        DType::F32 => get!(f32, |v: f32| u64::from(v.to_bits())),
        DType::F64 => get!(f64, |v: f64| v.to_bits()),
        DType::I32 => get!(i32, |v: i32| v as u32 as u64),
        DType::I64 => get!(i64, |v: i64| v as u64),
        DType::I16 => get!(i16, |v: i16| u64::from(v.cast_unsigned())),
        DType::I8 => get!(i8, |v: i8| u64::from(v.cast_unsigned())),
        DType::U64 => get!(u64, |v: u64| v),
        DType::U32 => get!(u32, u64::from),
        DType::U8 | DType::Bool => get!(u8, u64::from),
        DType::U16 | DType::Bf16 | DType::F16 => get!(u16, u64::from),
    }
}

/// The same bits, or both NaN.
pub(crate) fn same(a: Scalar, b: Scalar) -> bool {
    a == b || (a.dtype() == b.dtype() && a.is_nan() && b.is_nan())
}

/// Floats at the edges of one type or another, and some ordinary ones.
const FLOATS: [f64; 37] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.7,
    -3.7,
    100.25,
    255.5,
    256.0,
    -300.0,
    1e-40,
    -1e-40,
    1e-310,
    1.2e7,
    8388609.0,
    2147483647.0,
    2147483648.0,
    -2147483648.0,
    4e9,
    9.3e18,
    -9.3e18,
    3e38,
    -3e38,
    1e300,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    -f64::NAN,
    1.00390625,
    1.01171875,
    3.389e38,
    0.1,
];

/// Integers at the edges of one type or another, and some ordinary ones.
const INTS: [i64; 30] = [
    0,
    1,
    -1,
    2,
    3,
    -3,
    7,
    8,
    31,
    32,
    33,
    63,
    64,
    65,
    100,
    127,
    128,
    200,
    255,
    256,
    -256,
    16777217,
    -16777217,
    i32::MAX as i64,
    i32::MIN as i64,
    i32::MIN as i64 - 1,
    1 << 40,
    i64::MAX,
    i64::MIN,
    9007199254740993,
];

/// Values at the edges of a type, and some ordinary ones.
pub(crate) fn edge_values(dtype: DType) -> Vec<Scalar> {
    let mut values: Vec<Scalar> = match dtype {
        DType::Bool => vec![Scalar::Bool(false), Scalar::Bool(true)],
        _ if dtype.is_float() => FLOATS.iter().map(|&x| Scalar::from_f64(x, dtype)).collect(),
        _ => INTS.iter().map(|&x| Scalar::from_i64(x, dtype)).collect(),
    };
    values.sort();
    values.dedup();
    values
}

/// A spelling of a constant in kernel text.
pub(crate) fn constant_text(value: Scalar) -> String {
    let (text, dtype) = (value.to_string(), value.dtype());
    if dtype == DType::Bool {
        text
    } else if text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && !text.contains("inf")
        && !text.starts_with("0x")
    {
        format!("{text}{dtype}")
    } else {
        format!("{text}:{dtype}")
    }
}

/// Random numbers of kernels and of what they work on.
pub(crate) struct RandomValues(Rng);

impl RandomValues {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.bits()
    }

    pub(crate) fn within(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}
