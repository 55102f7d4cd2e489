//! Tiles: calls of the functions that compute them, and those functions where no wide vectors do it.
//!
//! The tile's sums stay in vector registers over the whole reduction: for each step, the `n / lanes` vectors of the row of `b` are
//! loaded once, and each element of the column of `a` is broadcast and multiplied into its row. Rows and steps are offsets in the
//! instructions, so that a pointer per factor is all that moves. Each element has one sum and the steps come in ascending order, as
//! in the interpreter.
//!
//! Of 16 registers, a 6 x 8 tile of `f32` takes 12 for sums, 2 for a row of `b`, and one for the broadcast, which `vfmadd213` destroys and
//! leaves the sum in. Within a kernel, what the kernel keeps in registers would be in the way: tiles are functions of their own.

use super::emitter::{Emitter, memory_flags};
use super::memory::Address;
use super::value::clif_type;
use super::{begin, enter, reference};
use crate::error::{EmitError, unsupported};
use crate::tile::{NO_TILE, TileLoop, TileShape, tile_signature};
use cranelift::codegen::ir::{BlockArg, Function, InstBuilder, Type, Value, types};
use cranelift::codegen::isa::TargetFrontendConfig;
use cranelift::frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use kernel::{DType, Micro};

/// Steps of the innermost reduction loop that are emitted in a row, for tiles that leave registers free.
const UNROLL: usize = 4;
/// A tile with more sums than this in registers is a tight one: there, whatever else lives long is spilled.
const ROOMY_SUMS: usize = 9;
/// An innermost reduction of at most this many steps has no loop in a roomy tile. 14 steps with a loop for 12 of them spilled two sums: 34 GFLOP/s, 46
/// without it (Zen 5, a weight gradient).
const FULL_UNROLL: usize = 16;

impl Emitter<'_, '_> {
    /// A call of the function that computes the tile.
    pub(super) fn tile(&mut self, micro: &Micro) -> Result<(), EmitError> {
        let shape = TileShape::of(self.kernel, micro)?;
        let Some(&function) = self.tiles.get(&shape) else { return unsupported(NO_TILE) };
        let known = self.addresses.len();
        let mut args = vec![];
        for (buf, base) in [(micro.a.buf, &micro.a.base), (micro.b.buf, &micro.b.base), (micro.c.buf, &micro.c.base)] {
            let Address { base, offset } = self.address(buf, base)?;
            args.push(if offset == 0 { base } else { self.b.ins().iadd_imm_s(base, offset) });
        }
        self.addresses.truncate(known);
        let callee = reference(&mut self.b, function, tile_signature());
        self.b.ins().call(callee, &args);
        Ok(())
    }
}

/// Emits a tile of `f32` or `f64` into an empty function that has the signature of tiles.
pub(crate) fn emit_tile(
    shape: &TileShape,
    fma: bool,
    config: TargetFrontendConfig,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
) {
    let mut b = FunctionBuilder::new(function, context);
    let given = begin(&mut b);
    let [a, at_b, c] = [0, 1, 2].map(|p| Address { base: given[p], offset: 0 });
    let lanes = if shape.sums == DType::F32 { 4 } else { 2 };
    let columns = columns(shape.n as i64, lanes);
    let tight = shape.m * columns.len() > ROOMY_SUMS;
    let mut tile = Tile { b, shape, fma, lanes, columns, tight, sums: vec![] };
    tile.start_sums();
    tile.reduce(&shape.reduce, a, at_b);
    tile.store_sums(c);
    tile.b.ins().return_(&[]);
    tile.b.finalize(config);
}

/// First column and lanes of each column of registers of a row of `n`.
fn columns(n: i64, lanes: u16) -> Vec<(i64, u16)> {
    let whole = n - n % i64::from(lanes);
    let vectors = (0..whole).step_by(usize::from(lanes)).map(|column| (column, lanes));
    vectors.chain((whole..n).map(|column| (column, 1))).collect()
}

/// A tile while it is emitted.
struct Tile<'s, 'f> {
    b: FunctionBuilder<'f>,
    shape: &'s TileShape,
    fma: bool,
    /// Lanes of a vector column.
    lanes: u16,
    /// First column and lanes of each column of registers: vectors, then single columns.
    columns: Vec<(i64, u16)>,
    /// Whether the sums fill the registers. Measured on Zen 4, in GFLOP/s of 59: a tight 6 x 8 tile reaches 48 with a broadcast load for
    /// each product and no unrolling, 33 with shared broadcasts and four steps in a row; a roomy 4 x 8 tile 46 and 52. On Zen 5, of 69: a 5 x 8 tile,
    /// of which four steps in a row spill, 54 and 46. On Zen 4 a product of
    /// 17x257 and 257x33, in tiles of 3 x 12, takes 7.8 us as tight and 7.6 as roomy ones.
    tight: bool,
    /// The sums, row by row, in each the columns.
    sums: Vec<Vec<Variable>>,
}

impl Tile<'_, '_> {
    fn bytes(&self, columns: i64) -> i64 {
        columns * self.shape.sums.size_bytes() as i64
    }

    fn start_sums(&mut self) {
        for _ in 0..self.shape.m {
            let mut sums = Vec::new();
            for (_, lanes) in self.columns.clone() {
                let ty = clif_type(self.shape.sums, lanes);
                let zero = self.zero(ty);
                let var = self.b.declare_var(ty);
                self.b.def_var(var, zero);
                sums.push(var);
            }
            self.sums.push(sums);
        }
    }

    fn zero(&mut self, ty: Type) -> Value {
        if ty.is_vector() {
            let zeros = self.b.func.dfg.constants.insert(vec![0; ty.bytes() as usize].into());
            return self.b.ins().vconst(ty, zeros);
        }
        match self.shape.sums {
            DType::F64 => self.b.ins().f64const(0.0),
            _ => self.b.ins().f32const(0.0),
        }
    }

    fn store_sums(&mut self, c: Address) {
        for (row, sums) in self.sums.clone().into_iter().enumerate() {
            for (sum, (column, lanes)) in sums.into_iter().zip(self.columns.clone()) {
                let at = self.shift(c, self.shape.c_row * row as i64 + self.bytes(column));
                let mut sum = self.b.use_var(sum);
                if self.shape.accumulate {
                    let before = self.load(clif_type(self.shape.sums, lanes), at);
                    sum = self.b.ins().fadd(before, sum);
                }
                self.b.ins().store(memory_flags(), sum, at.base, at.offset as i32);
            }
        }
    }

    /// The reduction's loops from one level on.
    fn reduce(&mut self, dims: &[TileLoop], a: Address, b: Address) {
        let Some((&dim, inner)) = dims.split_first() else { return self.step(a, b) };
        if !inner.is_empty() {
            self.pointer_loop(dim.extent, (a, dim.a), (b, dim.b), |tile, a, b| tile.reduce(inner, a, b));
            return;
        }
        if dim.extent <= FULL_UNROLL && !self.tight {
            return self.steps(dim.extent, (a, dim.a), (b, dim.b));
        }
        let unroll = if self.tight { 1 } else { UNROLL };
        let (rounds, rest) = (dim.extent / unroll, dim.extent % unroll);
        let by = unroll as i64;
        let unrolled = |tile: &mut Self, a, b| tile.steps(unroll, (a, dim.a), (b, dim.b));
        self.pointer_loop(rounds, (a, dim.a * by), (b, dim.b * by), unrolled);
        let done = (rounds * unroll) as i64;
        let (a, b) = (self.shift(a, done * dim.a), self.shift(b, done * dim.b));
        self.steps(rest, (a, dim.a), (b, dim.b));
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
        enter(&mut self.b, round);
        body(self, Address { base: pointers[0], ..a }, Address { base: pointers[1], ..b });
        let next_a = self.b.ins().iadd_imm_s(pointers[0], a_step);
        let next_b = self.b.ins().iadd_imm_s(pointers[1], b_step);
        let left = self.b.ins().iadd_imm_s(pointers[2], -1);
        self.b.ins().jump(header, &[next_a, next_b, left].map(BlockArg::Value));
        self.b.seal_block(header);
        enter(&mut self.b, exit);
    }

    /// Straight-line steps of the innermost reduction.
    fn steps(&mut self, count: usize, a: (Address, i64), b: (Address, i64)) {
        for step in 0..count as i64 {
            let (a, b) = (self.shift(a.0, step * a.1), self.shift(b.0, step * b.1));
            self.step(a, b);
        }
    }

    fn step(&mut self, a: Address, b: Address) {
        let columns = self.columns.clone();
        let mut factors = vec![];
        for &(column, lanes) in &columns {
            let at = self.shift(b, self.bytes(column));
            factors.push(self.load(clif_type(self.shape.sums, lanes), at));
        }
        let vector = clif_type(self.shape.sums, self.lanes);
        for (row, sums) in self.sums.clone().into_iter().enumerate() {
            let at = self.shift(a, self.shape.a_row * row as i64);
            let shared = (!self.tight).then(|| self.broadcast(vector, at));
            for ((sum, &(_, lanes)), &factor) in sums.into_iter().zip(&columns).zip(&factors) {
                let left = match shared {
                    Some(all) if lanes > 1 => all,
                    Some(all) => self.b.ins().extractlane(all, 0),
                    None if lanes > 1 => self.broadcast(vector, at),
                    None => self.load(vector.lane_type(), at),
                };
                let old = self.b.use_var(sum);
                let new = if self.fma {
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

    fn broadcast(&mut self, ty: Type, at: Address) -> Value {
        let element = self.load(ty.lane_type(), at);
        self.b.ins().splat(ty, element)
    }

    fn load(&mut self, ty: Type, at: Address) -> Value {
        self.b.ins().load(ty, memory_flags(), at.base, at.offset as i32)
    }

    fn shift(&mut self, at: Address, by: i64) -> Address {
        at.shifted(&mut self.b, by)
    }
}
