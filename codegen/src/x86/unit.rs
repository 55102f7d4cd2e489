//! What the emission of one kernel carries along: open lists and loops, bound names, constants that have been made.

use super::forms::Form;
use super::lir::{Arg, Class, Inst, Label, ListId, Lists, Machine, PoolConstant, VReg};
use crate::error::{EmitError, malformed, unsupported};
use crate::tile::TileFunctions;
use crate::x86::encoding::{Encoding, Width};
use kernel::{Affine, BufRef, DType, IndexVar, Kernel, Reg, Scalar, Target};
use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeMap, BTreeSet};

/// The registers of a value.
pub(super) type Parts = SmallVec<[VReg; 4]>;

/// A kernel value. `bf16` and `f16` are kept as `f32`, integers of 8 and 16 bits as `i32`; truth values are mask registers or, with AVX2, vectors of ones and zeros.
#[derive(Clone, Debug)]
pub(super) struct Val {
    pub(super) dtype: DType,
    /// Bytes of a lane: for a truth value, of what it was compared from.
    pub(super) size: usize,
    pub(super) lanes: u16,
    pub(super) parts: Parts,
    /// Set if all lanes are this constant.
    pub(super) constant: Option<Scalar>,
}

/// What an instruction writes.
pub(super) struct Destination {
    pub(super) arg: Arg,
    /// Whether it is read, too.
    pub(super) updates: bool,
}

impl From<Arg> for Destination {
    /// One that is only written.
    fn from(arg: Arg) -> Self {
        Self { arg, updates: false }
    }
}

/// A bound register.
#[derive(Clone, Debug)]
pub(super) struct BoundReg {
    pub(super) val: Val,
    /// How many loops were open.
    pub(super) depth: usize,
    /// An accumulator.
    pub(super) mutable: bool,
}

/// What an index variable is.
#[derive(Clone, Debug)]
pub(super) enum IndexBinding {
    /// A known number.
    Constant(i64),
    /// An affine function of other variables.
    Affine(Affine),
    /// The variable of an open loop.
    OpenLoop(usize),
    /// Computed; what depends on it goes to the list right behind.
    Computed { value: VReg, behind: ListId },
}

/// An open loop.
#[derive(Debug)]
pub(super) struct OpenLoop {
    /// What runs before it.
    pub(super) before: ListId,
    /// What runs at the end of each iteration.
    pub(super) latch: ListId,
    /// What an iteration adds to the variable.
    pub(super) step: i64,
    /// Whether it starts from the function's argument instead of 0.
    pub(super) ranged: bool,
    /// Whether something is called in it: then no vector register lives through it.
    pub(super) calls: bool,
    /// The accumulators that it sets.
    pub(super) assigned: BTreeSet<Reg>,
    pub(super) counter: VReg,
    pub(super) start: Label,
}

/// A buffer, or what is addressed like one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Base {
    Param(u32),
    /// The scratch memory, where the locals are.
    Scratch,
    /// No memory: the index itself.
    Zero,
    /// The number of the first iteration that the function is called for.
    First,
}

/// Elements of one or two bytes as they were loaded or rounded, from which lanes have been made.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedLanes {
    pub(super) dtype: DType,
    pub(super) count: u16,
    pub(super) reg: VReg,
}

/// A comparison whose result is a mask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    /// Whether it is "less", else "greater".
    pub(super) less: bool,
    pub(super) left: VReg,
    pub(super) right: VReg,
}

/// The emission of one kernel.
pub(super) struct Unit<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) encoding: Encoding,
    pub(super) tiles: &'k TileFunctions,
    pub(super) lists: Lists,
    /// The lists that are being filled, the innermost last.
    pub(super) open: Vec<ListId>,
    /// What runs first.
    pub(super) entry: ListId,
    pub(super) loops: Vec<OpenLoop>,
    /// Whether the kernel calls tiles at all.
    pub(super) calls: bool,
    pub(super) index: BTreeMap<IndexVar, (usize, IndexBinding)>,
    pub(super) regs: BTreeMap<Reg, BoundReg>,
    /// The registers of accumulators.
    pub(super) mutable: BTreeSet<VReg>,
    pub(super) pointers: BTreeMap<(Base, Vec<(IndexVar, i64)>), VReg>,
    constants: BTreeMap<(ListId, PoolConstant), VReg>,
    pub(super) splats: BTreeMap<(ListId, VReg, usize), VReg>,
    /// Ordered comparisons of floats, by their masks: a selection by them may be an extremum.
    pub(super) compared: BTreeMap<VReg, Compared>,
    /// What lanes were made of, by the lanes: to store them unchanged takes no packing, and changes no bit of a NaN.
    pub(super) packed: BTreeMap<VReg, PackedLanes>,
    /// Lanes with the same upper halves, lower halves not yet cleared, by the lanes of `bf16` made of them: for storing, which takes upper halves alone.
    pub(super) uppers: BTreeMap<VReg, VReg>,
    pub(super) locals: Vec<i64>,
}

impl<'k> Unit<'k> {
    pub(super) fn new(kernel: &'k Kernel, target: &'k Target, tiles: &'k TileFunctions) -> Self {
        let mut lists = Lists::default();
        let entry = lists.list();
        Self {
            kernel,
            encoding: Encoding::of(target),
            tiles,
            lists,
            open: vec![],
            entry,
            loops: vec![],
            calls: kernel::walk::has_tile(&kernel.body),
            index: BTreeMap::new(),
            regs: BTreeMap::new(),
            mutable: BTreeSet::new(),
            pointers: BTreeMap::new(),
            constants: BTreeMap::new(),
            splats: BTreeMap::new(),
            compared: BTreeMap::new(),
            packed: BTreeMap::new(),
            uppers: BTreeMap::new(),
            locals: crate::layout::scratch_layout(kernel).0,
        }
    }

    pub(super) fn into_lists(self) -> Lists {
        self.lists
    }

    /// The list that is being filled.
    pub(super) fn here(&self) -> ListId {
        self.open.last().copied().unwrap_or(self.entry)
    }

    pub(super) fn push(&mut self, inst: Inst) {
        let here = self.here();
        self.lists.push(here, inst);
    }

    pub(super) fn vector(&mut self) -> VReg {
        self.lists.reg(Class::Vector)
    }

    /// Where a constant is best made: before the outermost loop that calls nothing.
    fn constants_list(&self) -> ListId {
        match self.loops.iter().find(|l| !l.calls) {
            Some(outermost) => outermost.before,
            None if self.calls => self.here(),
            None => self.entry,
        }
    }

    fn make_constant(&mut self, constant: PoolConstant, class: Class) -> VReg {
        let list = self.constants_list();
        if let Some(&reg) = self.constants.get(&(list, constant.clone())) {
            return reg;
        }
        let reg = self.lists.reg(class);
        let id = self.lists.constant(&constant);
        self.lists.regs[reg.0 as usize].constant = Some(id);
        self.lists.push(list, Inst::Constant { dst: reg });
        self.constants.insert((list, constant), reg);
        reg
    }

    /// These bits in every lane.
    pub(super) fn splat_bits(&mut self, bits: u64, size: usize) -> VReg {
        self.make_constant(PoolConstant::Splat { bits, size: size as u8 }, Class::Vector)
    }

    /// A vector of these elements, the rest 0.
    pub(super) fn vector_constant(&mut self, elements: impl Iterator<Item = u64>, size: usize) -> VReg {
        let mut bytes: Vec<u8> = elements.flat_map(|e| e.to_le_bytes()[..size].to_vec()).collect();
        bytes.resize(self.encoding.bytes(), 0);
        self.make_constant(PoolConstant::Bytes(bytes), Class::Vector)
    }

    /// The first lanes, as what selects lanes: a mask register, or a vector of lanes of that size.
    pub(super) fn first_lanes(&mut self, count: u16, size: usize) -> VReg {
        if self.encoding.has_masks() {
            let bits = if count >= 64 { u64::MAX } else { (1 << count) - 1 };
            return self.make_constant(PoolConstant::Mask(bits), Class::Mask);
        }
        self.vector_constant((0..count).map(|_| u64::MAX), size)
    }

    /// A truth value in every lane.
    pub(super) fn splat_truth(&mut self, value: bool, size: usize) -> VReg {
        let bits = if value { u64::MAX } else { 0 };
        if self.encoding.has_masks() {
            return self.make_constant(PoolConstant::Mask(bits), Class::Mask);
        }
        let _ = size;
        self.splat_bits(bits & 0xffff_ffff, 4)
    }

    /// An instruction by its form; `sources` are of the same width as the result.
    pub(super) fn op(
        &mut self,
        form: &Form,
        width: Width,
        sources: &[VReg],
        imm: Option<u8>,
    ) -> Result<VReg, EmitError> {
        let dst = self.vector();
        self.op_into(form, width, Arg::Vec(dst, width).into(), sources, imm, None)?;
        Ok(dst)
    }

    /// The same with everything said: the destination; the mask and whether other lanes become 0.
    pub(super) fn op_into(
        &mut self,
        form: &Form,
        width: Width,
        Destination { arg: dst, updates }: Destination,
        sources: &[VReg],
        imm: Option<u8>,
        mask: Option<(VReg, bool)>,
    ) -> Result<(), EmitError> {
        let Some(code) = form.code(self.encoding, width) else {
            return unsupported("an instruction that this machine's vectors don't have");
        };
        let mut args: SmallVec<[Arg; 4]> = smallvec![dst];
        args.extend(sources.iter().map(|&s| Arg::Vec(s, width)));
        args.extend(imm.map(Arg::Imm));
        // With blends by a vector the mask comes last and must be a register.
        let fold = if form.folds(self.encoding) { sources.len().min(2) as u8 } else { 0 };
        self.push(Inst::Machine(Machine {
            code,
            args,
            updates,
            store: false,
            mask: mask.map(|(m, _)| m),
            zeroing: mask.is_some_and(|(_, z)| z),
            fold,
            commutes: form.commutes,
            element: form.element,
        }));
        Ok(())
    }

    /// An instruction with arguments of several widths; the first is written, none can be in memory unless it is.
    pub(super) fn raw(&mut self, code: iced_x86::Code, args: SmallVec<[Arg; 4]>) {
        self.push(Inst::Machine(Machine::new(code, args)));
    }

    pub(super) fn buffer_dtype(&self, buf: BufRef) -> Result<DType, EmitError> {
        let found = match buf {
            BufRef::Param(p) => self.kernel.params.get(p as usize).map(|p| p.dtype),
            BufRef::Local(l) => self.kernel.locals.get(l as usize).map(|l| l.dtype),
        };
        found.map_or_else(|| malformed(format!("there is no buffer {buf:?}")), Ok)
    }

    /// Lanes of a full register.
    pub(super) fn per_part(&self, size: usize) -> u16 {
        (self.encoding.bytes() / size) as u16
    }

    /// The lanes of each part of a vector.
    pub(super) fn part_lanes(&self, lanes: u16, size: usize) -> impl Iterator<Item = u16> + use<> {
        let per = self.per_part(size);
        (0..lanes.div_ceil(per)).map(move |p| per.min(lanes - p * per))
    }
}

/// Bytes of a lane in a register.
pub(super) fn lane_size(dtype: DType) -> usize {
    if dtype.size_bytes() == 8 { 8 } else { 4 }
}

/// The part of a register that so many lanes take.
pub(super) fn width_of(lanes: u16, size: usize) -> Width {
    Width::holding(usize::from(lanes) * size)
}
