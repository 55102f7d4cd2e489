//! Has a program look at what it computes: whether an element of a buffer is infinite or NaN.
//!
//! # Does
//! If [`PassOptions::check_numerics`](crate::PassOptions::check_numerics) asks for it: after each launch that computes floats, a launch for each buffer that it writes, which finds the greatest
//! magnitude in it and stores that in an output of the program of its own. The magnitude is the bits without the sign, of which infinity has more than all
//! finite numbers and NaN more than infinity, so that one maximum of integers tells both. Long buffers are looked at in stretches, with a magnitude for each, which
//! threads share. What only copies isn't looked at: its elements were somewhere before. Nor are temporary buffers that go on into sums of products: NaN and infinity in them show in the sums.
//! # Requires
//! Stage `decomposed`, loops joined.
//! # Ensures
//! The same stage; the program's other results are computed by the kernels that computed them before, to the bit.
//! # Example
//! After `launch exp_0(b0, b1)`, `b1` a buffer of `f32[20000]`: `launch check_numerics_1(b1, b2)`, where `b2` is the output `check_numerics/f32` of type `i32[3]`.

use crate::{PassContext, PassError};
use ir::map_of;
use kernel::walk::{visit_exprs, visit_stmts};
use kernel::{
    Access, Affine, BufRef, Buffer, BufferId, BufferKind, Code, DType, Expr, IndexExpr, IndexVar, Kernel, Launch,
    Param, Program, Reg, Scalar, ScalarOp, Stmt,
};
use std::collections::{BTreeMap, BTreeSet};

/// The output with the magnitudes of `f32`, `bf16` and `f16`, as `f32`'s bits: `i32` elements.
pub const MAGNITUDES: &str = "check_numerics/f32";
/// The output with the magnitudes of `f64`: `i64` elements.
pub const MAGNITUDES_F64: &str = "check_numerics/f64";

/// The bits of infinity as `f32`: those of NaN, without the sign, are greater.
pub const INFINITY: i32 = 0x7f80_0000;
/// The bits of infinity as `f64`.
pub const INFINITY_F64: i64 = 0x7ff0_0000_0000_0000;

/// How many elements are looked at for one magnitude: a first-level cache of them, which takes a processor about a microsecond.
const STRETCH: usize = 8192;

/// Runs the pass.
///
/// # Errors
/// If the program has an output already that is called as those of this pass.
pub fn run(program: &mut Program, context: &PassContext) -> Result<(), PassError> {
    if !context.options.check_numerics {
        return Ok(());
    }
    let taken = |buffer: &Buffer| matches!(&buffer.kind, BufferKind::Output { name } if name == MAGNITUDES || name == MAGNITUDES_F64);
    if program.buffers.iter().any(taken) {
        let what = format!("an output is called `{MAGNITUDES}` or `{MAGNITUDES_F64}`, where checks of numbers go");
        return Err(PassError::Unsupported { what, loc: None });
    }
    let seen = seen_in_products(program);
    let written: Vec<Vec<BufferId>> =
        program.launches.iter().map(|launch| checked_arguments(program, launch, &seen)).collect();
    let mut outputs = MagnitudeOutputs::declare(program, &written);
    let launches = std::mem::take(&mut program.launches);
    for (launch, written) in launches.into_iter().zip(written) {
        let origins = launch.origins.clone();
        program.launches.push(launch);
        for buffer in written {
            outputs.check(program, buffer, origins.clone());
        }
    }
    program.share_code();
    Ok(())
}

/// Temporary buffers that a later launch multiplies in sums of products, as they are or copied: whatever isn't finite in them isn't in those sums either, which are looked at, or multiplied
/// in their turn.
fn seen_in_products(program: &Program) -> BTreeSet<BufferId> {
    let mut seen = BTreeSet::new();
    for launch in program.launches.iter().rev() {
        let kernel = &program.kernels[launch.kernel as usize];
        let factors = factors(kernel);
        let argument = |buf: &BufRef| match buf {
            BufRef::Param(at) => launch.args.get(*at as usize).copied(),
            BufRef::Local(_) => None,
        };
        seen.extend(factors.iter().filter_map(argument));
        let stores = |(arg, param): (&BufferId, &Param)| param.access.stores() && seen.contains(arg);
        if !computes(kernel) && launch.args.iter().zip(&kernel.params).any(stores) {
            seen.extend(launch.args.iter().zip(&kernel.params).filter(|(_, p)| p.access.loads()).map(|(arg, _)| *arg));
        }
    }
    seen.retain(|id| program.buffer(*id).kind == BufferKind::Temp);
    seen
}

/// The buffers that tiles multiply, and those whose elements are copied to them.
fn factors(kernel: &Kernel) -> BTreeSet<BufRef> {
    let (mut factors, mut loads, mut copies) = (BTreeSet::new(), BTreeMap::new(), vec![]);
    visit_stmts(&kernel.body, &mut |stmt| match stmt {
        Stmt::Micro(micro) => factors.extend([micro.a.buf, micro.b.buf]),
        Stmt::Let { reg, value: Expr::Load { buf, .. } } => drop(loads.insert(*reg, *buf)),
        Stmt::Store { buf, value, .. } => copies.push((*buf, value)),
        _ => {}
    });
    // A copy stands before its use: the last one first.
    for (to, value) in copies.into_iter().rev() {
        let from = match value {
            Expr::Load { buf, .. } => Some(*buf),
            Expr::Reg(reg) => loads.get(reg).copied(),
            _ => None,
        };
        if factors.contains(&to) {
            factors.extend(from);
        }
    }
    factors
}

/// The buffers of floats that a launch stores to, if its kernel computes anything, without those that are seen elsewhere.
fn checked_arguments(program: &Program, launch: &Launch, seen: &BTreeSet<BufferId>) -> Vec<BufferId> {
    let kernel = &program.kernels[launch.kernel as usize];
    if !computes(kernel) {
        return vec![];
    }
    let stored = launch.args.iter().zip(&kernel.params).filter(|(_, p)| p.access.stores() && p.dtype.is_float());
    stored.map(|(arg, _)| *arg).filter(|arg| !seen.contains(arg)).collect()
}

/// Whether a kernel stores anything else than what it loads.
fn computes(kernel: &Kernel) -> bool {
    let mut found = false;
    visit_exprs(&kernel.body, &mut |expr| found |= matches!(expr, Expr::Apply(..) | Expr::Cast(..)));
    visit_stmts(&kernel.body, &mut |stmt| found |= matches!(stmt, Stmt::Micro(_) | Stmt::Accumulate { .. }));
    found
}

/// An output that magnitudes go to, and how many it has got so far.
struct MagnitudeOutput {
    buffer: BufferId,
    len: usize,
    next: usize,
}

/// The outputs of the magnitudes, by the type of their elements.
struct MagnitudeOutputs(BTreeMap<DType, MagnitudeOutput>);

impl MagnitudeOutputs {
    /// Adds outputs to a program that are long enough for the checks of these buffers.
    fn declare(program: &mut Program, written: &[Vec<BufferId>]) -> Self {
        let mut lengths: BTreeMap<DType, usize> = BTreeMap::new();
        for buffer in written.iter().flatten().map(|id| program.buffer(*id)) {
            *lengths.entry(magnitudes_of(buffer.dtype)).or_default() += buffer.len.div_ceil(STRETCH);
        }
        let declared = lengths.into_iter().map(|(dtype, len)| {
            let name = if dtype == DType::I64 { MAGNITUDES_F64 } else { MAGNITUDES };
            program.buffers.push(Buffer { dtype, len, kind: BufferKind::Output { name: name.into() }, offset: None });
            (dtype, MagnitudeOutput { buffer: BufferId(program.buffers.len() as u32 - 1), len, next: 0 })
        });
        Self(map_of(declared))
    }

    /// Adds the launch that looks at a buffer.
    fn check(&mut self, program: &mut Program, buffer: BufferId, origins: Vec<u32>) {
        let Buffer { dtype, len, .. } = *program.buffer(buffer);
        let result = magnitudes_of(dtype);
        let Some(to) = self.0.get_mut(&result) else { return };
        let body = body((dtype, len), to.next);
        to.next += len.div_ceil(STRETCH);
        let from = Param { dtype, len, access: Access::Read };
        let params = vec![from, Param { dtype: result, len: to.len, access: Access::Write }];
        let name = format!("check_numerics_{}", program.kernels.len());
        program.kernels.push(Kernel::new(name, Code { params, locals: vec![], body }));
        let kernel = program.kernels.len() as u32 - 1;
        program.launches.push(Launch { kernel, args: vec![buffer, to.buffer], origins });
    }
}

/// The type of the magnitudes of floats.
fn magnitudes_of(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::I64 } else { DType::I32 }
}

/// What looks at `len` elements and stores their magnitudes from element `first` on. The last stretch ends where the buffer does, and so may look at elements
/// again that the one before has seen.
fn body((dtype, len): (DType, usize), first: usize) -> Vec<Stmt> {
    let (stretches, length) = (len.div_ceil(STRETCH), len.min(STRETCH));
    let (stretch, start, at) = (IndexVar(0), IndexVar(1), IndexVar(2));
    let (magnitude, value) = (Reg(0), Reg(1));
    let zero = if dtype == DType::F64 { Scalar::I64(0) } else { Scalar::I32(0) };
    let mut body = vec![];
    let mut from = Affine::constant(0);
    if stretches > 1 {
        let last = (len - length) as i64;
        let value = IndexExpr::Clamp(Affine::term(stretch, length as i64), 0, last);
        body.push(Stmt::LetIndex { var: start, value });
        from = Affine::term(start, 1);
    }
    let load = Expr::load(BufRef::Param(0), from.plus_term(at, 1));
    let fold = vec![
        Stmt::Let { reg: value, value: load },
        Stmt::Accumulate { reg: magnitude, op: ScalarOp::MAX, value: bits(dtype, Expr::Reg(value)) },
    ];
    let store = |index: Affine| Stmt::Store { buf: BufRef::Param(1), index, value: Expr::Reg(magnitude) };
    body.push(Stmt::Decl { reg: magnitude, init: Expr::Const(zero) });
    body.push(Stmt::serial(at, length, fold));
    let to = Affine::constant(first as i64);
    if stretches == 1 {
        body.push(store(to));
        return body;
    }
    body.push(store(to.plus_term(stretch, 1)));
    vec![Stmt::serial(stretch, stretches, body)]
}

/// The bits of a float without its sign; those of 16-bit floats as `f32`, which has all their numbers.
fn bits(dtype: DType, value: Expr) -> Expr {
    let value = if dtype.size_bytes() == 2 { Expr::Cast(DType::F32, Box::new(value)) } else { value };
    let (result, but_the_sign) = match magnitudes_of(dtype) {
        DType::I64 => (DType::I64, Scalar::I64(i64::MAX)),
        other => (other, Scalar::I32(i32::MAX)),
    };
    Expr::Apply(ScalarOp::AND, vec![Expr::Bitcast(result, Box::new(value)), Expr::Const(but_the_sign)])
}
