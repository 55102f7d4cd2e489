//! Register tiles, as both emitters see them: what a tile's code depends on.
//!
//! A tile is a function of its own, `fn(a, b, c)` by the System V convention, whose shape and strides are in its code: tiles alike are one function. An
//! emitter calls it for a [`Micro`]. Where the target has wide vectors, and the tile fits their registers, it is assembled; else it goes through Cranelift.
//! Each element has one sum whose steps come in ascending order, so results are the same to the bit.

use crate::error::{EmitError, malformed};
use cranelift::codegen::ir::{AbiParam, Signature, types};
use cranelift::codegen::isa::CallConv;
use kernel::{DType, Kernel, Micro, Stmt, walk::visit_stmts};
use std::collections::BTreeMap;

/// The functions that compute tiles, by shape: their numbers in the module.
pub(crate) type TileFunctions = BTreeMap<TileShape, u32>;

/// Why there is no function for a tile.
pub(crate) const NO_TILE: &str =
    "a micro tile of pairs of bf16, or of quads of bytes, needs an instruction that the target doesn't have";

/// The shapes of all tiles of a kernel. Those that are malformed are left out: whoever emits the kernel says so.
pub(crate) fn shapes(kernel: &Kernel) -> Vec<TileShape> {
    let mut shapes = vec![];
    visit_stmts(&kernel.body, &mut |stmt| {
        if let Stmt::Micro(micro) = stmt {
            shapes.extend(TileShape::of(kernel, micro));
        }
    });
    shapes
}

/// The signature of the functions that compute tiles: `a`, `b` and `c` as pointers.
pub(crate) fn tile_signature() -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend([AbiParam::new(types::I64); 3]);
    signature
}

/// One loop of the reduction; what an iteration adds to the pointers, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct TileLoop {
    pub(crate) extent: usize,
    pub(crate) a: i64,
    pub(crate) b: i64,
}

/// Everything that the code of a tile depends on, besides the target.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct TileShape {
    /// The type of the right factor: `i32` are pairs of `bf16`, `i8` quads, by quads of `u8`.
    pub(crate) factors: DType,
    /// The type of the sums.
    pub(crate) sums: DType,
    pub(crate) m: usize,
    pub(crate) n: usize,
    /// From one row of `a` to the next, in bytes.
    pub(crate) a_row: i64,
    /// The loops that run more than once.
    pub(crate) reduce: Vec<TileLoop>,
    /// Whether sums are added to what stands in `c`.
    pub(crate) accumulate: bool,
    /// From one row of `c` to the next, in bytes.
    pub(crate) c_row: i64,
}

impl TileShape {
    /// The shape of a kernel's tile.
    ///
    /// # Errors
    /// If the tile breaks a rule of the kernel IR.
    pub(crate) fn of(kernel: &Kernel, micro: &Micro) -> Result<Self, EmitError> {
        let [a, b, c] = [micro.a.buf, micro.b.buf, micro.c.buf].map(|buf| kernel.dtype_of(buf));
        let (Some(factors), Some(sums)) = (b, a.zip(b).and_then(|(a, b)| Micro::sum_type(a, b))) else {
            return malformed("a micro tile whose factors are of types that no tile multiplies");
        };
        if c != Some(sums) {
            return malformed("a micro tile whose sums have another type than its products");
        }
        if micro.b.stride != Micro::step_elements(factors) || micro.reduce.is_empty() || micro.m == 0 || micro.n == 0 {
            return malformed("a micro tile whose columns are apart, without a reduction, or empty");
        }
        let size = factors.size_bytes() as i64;
        let reduce =
            micro.reduce.iter().map(|d| TileLoop { extent: d.extent, a: d.a_stride * size, b: d.b_stride * size });
        Ok(Self {
            factors,
            sums,
            m: micro.m,
            n: micro.n,
            a_row: micro.a.stride * size,
            reduce: reduce.filter(|d| d.extent > 1).collect(),
            accumulate: micro.c.accumulate,
            c_row: micro.c.stride * sums.size_bytes() as i64,
        })
    }
}
