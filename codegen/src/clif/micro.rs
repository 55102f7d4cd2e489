//! The register tile of a contraction.
//!
//! The tile's sums stay in vector registers over the whole reduction: for each step, the `n / lanes` vectors of the row of `b` are
//! loaded once, and each element of the column of `a` is broadcast and multiplied into its row. Rows and steps are offsets in the
//! instructions, so that a pointer per factor is all that moves. Each element has one sum and the steps come in ascending order, as
//! in the interpreter.
//!
//! Of 16 registers, a 6 x 8 tile of `f32` takes 12 for sums, 2 for a row of `b`, and one for the broadcast, which `vfmadd213` destroys and
//! leaves the sum in.

use super::emitter::{Emitter, memory_flags};
use super::memory::Address;
use super::value::clif_type;
use crate::error::{EmitError, malformed, unsupported};
use crate::tile::TileShape;
use cranelift::codegen::ir::{
    AbiParam, BlockArg, ExtFuncData, ExternalName, InstBuilder, Signature, Type, UserExternalName, Value, types,
};
use cranelift::codegen::isa::CallConv;
use cranelift::frontend::Variable;
use kernel::{DType, Micro, ReduceDim, Scalar};

/// Steps of the innermost reduction loop that are emitted in a row, for tiles that leave registers free.
const UNROLL: usize = 4;
/// A tile with more sums than this in registers is a tight one: there, whatever else lives long is spilled.
const ROOMY_SUMS: usize = 10;
/// An innermost reduction of at most this many steps has no loop in a roomy tile.
const FULL_UNROLL: usize = 8;

/// A tile while it is emitted.
struct Tile<'m> {
    micro: &'m Micro,
    dtype: DType,
    /// Lanes of a vector column.
    lanes: u16,
    /// The sums, row by row: the vector columns, then the single columns.
    sums: Vec<Vec<Variable>>,
}

impl Tile<'_> {
    fn vectors(&self) -> usize {
        self.micro.n / usize::from(self.lanes)
    }

    /// First column and lanes of each column of registers.
    fn columns(&self) -> Vec<(i64, u16)> {
        let vectors = (0..self.vectors()).map(|v| ((v * usize::from(self.lanes)) as i64, self.lanes));
        let singles = (self.vectors() * usize::from(self.lanes)..self.micro.n).map(|c| (c as i64, 1));
        vectors.chain(singles).collect()
    }

    /// Whether the sums fill the registers. Measured on Zen 4, in GFLOP/s of 59: a tight 6 x 8 tile reaches 48 with a broadcast load for
    /// each product and no unrolling, 33 with shared broadcasts and four steps in a row; a roomy 4 x 8 tile 46 and 52.
    fn tight(&self) -> bool {
        self.micro.m * self.columns().len() > ROOMY_SUMS
    }

    fn bytes(&self, elements: i64) -> i64 {
        elements * self.dtype.size_bytes() as i64
    }
}

impl Emitter<'_, '_> {
    pub(super) fn micro(&mut self, micro: &Micro) -> Result<(), EmitError> {
        let dtype = self.buffer_dtype(micro.a.buf)?;
        if Micro::sum_type(dtype).is_none() || self.buffer_dtype(micro.b.buf)? != dtype {
            return malformed("a micro tile whose factors are not both f32, both f64 or both i32");
        }
        if micro.b.stride != 1 || micro.reduce.is_empty() || micro.m == 0 || micro.n == 0 {
            return malformed("a micro tile with a column stride other than 1, without a reduction, or empty");
        }
        let known = self.addresses.len();
        let shape = TileShape::of(self.kernel, micro, self.target);
        match shape.and_then(|shape| self.tiles.get(&shape)) {
            Some(&function) => self.call_tile(function, micro)?,
            None if dtype == DType::I32 => {
                return unsupported("a micro tile of pairs of bf16 needs an instruction that the target doesn't have");
            }
            None => self.inline_tile(micro, dtype)?,
        }
        self.addresses.truncate(known);
        Ok(())
    }

    /// A call of the function that computes the tile in wide vectors.
    fn call_tile(&mut self, function: u32, micro: &Micro) -> Result<(), EmitError> {
        let mut args = vec![];
        for (buf, base) in [(micro.a.buf, &micro.a.base), (micro.b.buf, &micro.b.base), (micro.c.buf, &micro.c.base)] {
            let Address { base, offset } = self.address(buf, base)?;
            args.push(if offset == 0 { base } else { self.b.ins().iadd_imm_s(base, offset) });
        }
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.extend([AbiParam::new(types::I64); 3]);
        let signature = self.b.import_signature(signature);
        let name = self.b.func.declare_imported_user_function(UserExternalName { namespace: 0, index: function });
        let callee = self.b.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.b.ins().call(callee, &args);
        Ok(())
    }

    fn inline_tile(&mut self, micro: &Micro, dtype: DType) -> Result<(), EmitError> {
        let lanes = if dtype == DType::F32 { 4 } else { 2 };
        let mut tile = Tile { micro, dtype, lanes, sums: vec![] };
        self.start_sums(&mut tile)?;
        let (a, b) = (self.address(micro.a.buf, &micro.a.base)?, self.address(micro.b.buf, &micro.b.base)?);
        self.reduce(&tile, &micro.reduce, a, b);
        self.finish_tile(&tile)
    }

    fn start_sums(&mut self, tile: &mut Tile<'_>) -> Result<(), EmitError> {
        for _ in 0..tile.micro.m {
            let mut sums = Vec::new();
            for (_, lanes) in tile.columns() {
                let first = self.constant_vector(Scalar::zero(tile.dtype), lanes)?;
                let var = self.b.declare_var(clif_type(tile.dtype, lanes));
                self.b.def_var(var, first.parts[0]);
                sums.push(var);
            }
            tile.sums.push(sums);
        }
        Ok(())
    }

    /// Stores the sums.
    fn finish_tile(&mut self, tile: &Tile<'_>) -> Result<(), EmitError> {
        let c = &tile.micro.c;
        let first = self.address(c.buf, &c.base)?;
        for (row, sums) in tile.sums.iter().enumerate() {
            for (&sum, (column, lanes)) in sums.iter().zip(tile.columns()) {
                let offset = first.offset + tile.bytes(c.stride * row as i64 + column);
                let at = self.fold_offset(first.base, offset);
                let mut sum = self.b.use_var(sum);
                if c.accumulate {
                    let before = self.factor(clif_type(tile.dtype, lanes), at, 0);
                    sum = self.b.ins().fadd(before, sum);
                }
                self.b.ins().store(memory_flags(), sum, at.base, at.offset as i32);
            }
        }
        Ok(())
    }

    /// The reduction's loops from one level on.
    fn reduce(&mut self, tile: &Tile<'_>, dims: &[ReduceDim], a: Address, b: Address) {
        let (dim, inner) = (dims[0], &dims[1..]);
        let (a_step, b_step) = (tile.bytes(dim.a_stride), tile.bytes(dim.b_stride));
        if !inner.is_empty() {
            self.pointer_loop(dim.extent, (a, a_step), (b, b_step), |e, a, b| e.reduce(tile, inner, a, b));
            return;
        }
        if dim.extent <= FULL_UNROLL && !tile.tight() {
            return self.steps(tile, dim.extent, (a, a_step), (b, b_step));
        }
        let unroll = if tile.tight() { 1 } else { UNROLL };
        let (rounds, rest) = (dim.extent / unroll, dim.extent % unroll);
        let by = unroll as i64;
        let unrolled = |e: &mut Self, a, b| e.steps(tile, unroll, (a, a_step), (b, b_step));
        self.pointer_loop(rounds, (a, a_step * by), (b, b_step * by), unrolled);
        let done = (rounds * unroll) as i64;
        let a = self.fold_offset(a.base, a.offset + done * a_step);
        let b = self.fold_offset(b.base, b.offset + done * b_step);
        self.steps(tile, rest, (a, a_step), (b, b_step));
    }

    /// Runs a body with two moving pointers.
    fn pointer_loop(
        &mut self,
        extent: usize,
        (a, a_step): (Address, i64),
        (b, b_step): (Address, i64),
        body: impl FnOnce(&mut Self, Address, Address),
    ) {
        if extent == 1 {
            return body(self, a, b);
        }
        // Tested at the top: then each sum has one use, the jump back. With a second one, after the loop, no load would fold into the
        // instruction that uses it, because Cranelift takes what a value is computed from to be used as often as the value.
        let [header, round, exit] = [(); 3].map(|()| self.b.create_block());
        let pointers = [types::I64; 3].map(|ty| self.b.append_block_param(header, ty));
        let count = self.b.ins().iconst(types::I64, extent as i64);
        self.b.ins().jump(header, &[a.base, b.base, count].map(BlockArg::Value));
        self.b.switch_to_block(header);
        self.b.ins().brif(pointers[2], round, &[], exit, &[]);
        self.enter(round);
        body(self, Address { base: pointers[0], ..a }, Address { base: pointers[1], ..b });
        let next_a = self.b.ins().iadd_imm_s(pointers[0], a_step);
        let next_b = self.b.ins().iadd_imm_s(pointers[1], b_step);
        let left = self.b.ins().iadd_imm_s(pointers[2], -1);
        self.b.ins().jump(header, &[next_a, next_b, left].map(BlockArg::Value));
        self.b.seal_block(header);
        self.enter(exit);
    }

    /// Straight-line steps of the innermost reduction.
    fn steps(&mut self, tile: &Tile<'_>, count: usize, a: (Address, i64), b: (Address, i64)) {
        for step in 0..count as i64 {
            let a = self.fold_offset(a.0.base, a.0.offset + step * a.1);
            let b = self.fold_offset(b.0.base, b.0.offset + step * b.1);
            self.step(tile, a, b);
        }
    }

    fn step(&mut self, tile: &Tile<'_>, a: Address, b: Address) {
        let columns = tile.columns();
        let factors: Vec<Value> = columns
            .iter()
            .map(|&(column, lanes)| self.factor(clif_type(tile.dtype, lanes), b, tile.bytes(column)))
            .collect();
        let vector = clif_type(tile.dtype, tile.lanes);
        for (row, sums) in tile.sums.iter().enumerate() {
            let at = tile.bytes(tile.micro.a.stride * row as i64);
            let shared = (!tile.tight()).then(|| self.broadcast(vector, a, at));
            for ((&sum, &(_, lanes)), &factor) in sums.iter().zip(&columns).zip(&factors) {
                let left = match shared {
                    Some(all) if lanes > 1 => all,
                    Some(all) => self.b.ins().extractlane(all, 0),
                    None if lanes > 1 => self.broadcast(vector, a, at),
                    None => self.factor(vector.lane_type(), a, at),
                };
                let old = self.b.use_var(sum);
                let new = if self.target.fma() {
                    self.b.ins().fma(left, factor, old)
                } else {
                    // A call for each element would be exact, and a hundred times slower than a rounding more.
                    let product = self.b.ins().fmul(left, factor);
                    self.b.ins().fadd(old, product)
                };
                self.b.def_var(sum, new);
            }
        }
    }

    fn broadcast(&mut self, ty: Type, at: Address, offset: i64) -> Value {
        let element = self.factor(ty.lane_type(), at, offset);
        self.b.ins().splat(ty, element)
    }

    fn factor(&mut self, ty: Type, at: Address, offset: i64) -> Value {
        let at = self.fold_offset(at.base, at.offset + offset);
        self.b.ins().load(ty, memory_flags(), at.base, at.offset as i32)
    }
}
