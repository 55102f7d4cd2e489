//! The linear code of a kernel before registers are assigned: machine instructions on virtual registers.
//!
//! Code is built in lists. A list may contain another one at a fixed place, so that a loop's body can add to what runs before the loop:
//! pointers, constants. Flattening gives the instructions in the order in which they run. A virtual register may be written several times
//! (accumulators, pointers that move); what a loop reads from before it lives through the whole loop.

use crate::x86::encoding::Width;
use iced_x86::Code;
use smallvec::SmallVec;

/// A virtual register.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct VReg(pub(super) u32);

/// Which registers of the machine a virtual one may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Vector,
    Mask,
    General,
}

/// What is known of a virtual register.
#[derive(Clone, Copy, Debug)]
pub(super) struct RegInfo {
    pub(super) class: Class,
    /// For a constant: its place in the pool, from where it can be had again at any time.
    pub(super) constant: Option<ConstId>,
}

/// A constant's number in the pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ConstId(pub(super) u32);

/// A constant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum PoolConstant {
    /// These bits in each lane of that many bytes.
    Splat { bits: u64, size: u8 },
    /// The bytes of a full vector.
    Bytes(Vec<u8>),
    /// A mask register.
    Mask(u64),
}

/// An operand in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mem {
    pub(super) base: VReg,
    pub(super) disp: i32,
    /// One element, for all lanes.
    pub(super) broadcast: bool,
}

/// An operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arg {
    Vec(VReg, Width),
    Mask(VReg),
    /// 32 bits of a general register.
    General32(VReg),
    General64(VReg),
    Mem(Mem),
    Imm(u8),
}

/// An instruction on vectors or masks.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) code: Code,
    /// In Intel's order; the first one is written, except by a store.
    pub(super) args: SmallVec<[Arg; 4]>,
    /// Reads its first operand, too (a store only reads it).
    pub(super) updates: bool,
    pub(super) store: bool,
    /// The lanes that are written, or chosen.
    pub(super) mask: Option<VReg>,
    /// Whether the other lanes become 0.
    pub(super) zeroing: bool,
    /// The operand that may as well be in memory; 0 for none.
    pub(super) fold: u8,
    /// Whether that operand and the one before may change places.
    pub(super) commutes: bool,
    /// The element that the memory operand may broadcast, 0 if it may not.
    pub(super) element: u8,
}

/// A jump's target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Label(pub(super) u32);

/// Integer arithmetic for indices and addresses. Each works on registers and on stack slots alike.
#[derive(Clone, Debug)]
pub(super) enum Index {
    Copy {
        dst: VReg,
        src: VReg,
    },
    Set {
        dst: VReg,
        value: i64,
    },
    /// `dst += by`.
    Advance {
        dst: VReg,
        by: i64,
    },
    /// `dst = src * factor + base`.
    MulAdd {
        dst: VReg,
        src: VReg,
        factor: i64,
        base: Option<VReg>,
    },
    /// `dst = base + disp`.
    Offset {
        dst: VReg,
        base: VReg,
        disp: i64,
    },
    /// An element of the table of parameters.
    Param {
        dst: VReg,
        number: u32,
    },
    /// One of the function's arguments, kept in the frame.
    Argument {
        dst: VReg,
        argument: Argument,
    },
    /// Quotient or remainder of a value that isn't negative by a positive constant.
    Divide {
        dst: VReg,
        src: VReg,
        by: i64,
        remainder: bool,
    },
    Clamp {
        dst: VReg,
        src: VReg,
        low: i64,
        high: i64,
    },
    /// `dst = end - start` of the range of iterations; jumps if nothing is to be done.
    Range {
        dst: VReg,
        empty: Label,
    },
}

/// The function's arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Argument {
    Scratch,
    /// The first iteration.
    Low,
}

/// An instruction.
#[derive(Clone, Debug)]
pub(super) enum Inst {
    Machine(Machine),
    /// `dst = a * b + c`; the encoding depends on which registers are the same.
    Fma {
        dst: VReg,
        a: Arg,
        b: Arg,
        c: Arg,
        width: Width,
        double: bool,
    },
    /// Copies a vector or a mask.
    Copy {
        dst: VReg,
        src: VReg,
        width: Width,
    },
    /// Brings a constant into a register.
    Constant {
        dst: VReg,
    },
    Index(Index),
    /// A general register from the first lane, or from memory: `size` bytes, sign-extended.
    FromLane {
        dst: VReg,
        src: Arg,
        size: u8,
    },
    Label(Label),
    /// The head of a loop.
    LoopStart(Label),
    /// Counts down and jumps back while anything is left.
    LoopEnd {
        counter: VReg,
        start: Label,
    },
    Jump(Label),
    /// Jumps if the first lane of a truth value is not set.
    JumpUnless {
        condition: VReg,
        target: Label,
    },
    /// Leaves with a status unless `0 <= index < bound`.
    Check {
        index: VReg,
        bound: i64,
        status: u32,
    },
    /// Calls a function of the module with three addresses.
    Call {
        function: u32,
        args: [Mem; 3],
    },
    /// Removed.
    Nothing,
}

/// How an instruction uses a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RegAccess {
    Read,
    Write,
    Both,
}

/// A list's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ListId(pub(super) usize);

/// What stands in a list.
#[derive(Debug)]
enum ListItem {
    Inst(Inst),
    List(ListId),
}

/// The code of a kernel while it is built.
#[derive(Debug, Default)]
pub(super) struct Lists {
    lists: Vec<Vec<ListItem>>,
    pub(super) regs: Vec<RegInfo>,
    pub(super) pool: Vec<PoolConstant>,
    labels: u32,
    /// Whether anything is stored past the caches: such stores must be ordered before the function returns.
    pub(super) streams: bool,
}

impl Lists {
    pub(super) fn list(&mut self) -> ListId {
        self.lists.push(vec![]);
        ListId(self.lists.len() - 1)
    }

    pub(super) fn push(&mut self, list: ListId, inst: Inst) {
        self.lists[list.0].push(ListItem::Inst(inst));
    }

    /// Puts a list at the end of another.
    pub(super) fn nest(&mut self, list: ListId, inner: ListId) {
        self.lists[list.0].push(ListItem::List(inner));
    }

    /// The number of things in a list.
    pub(super) fn len(&self, list: ListId) -> usize {
        self.lists[list.0].len()
    }

    /// The instruction at a place, if it isn't a list.
    pub(super) fn inst_mut(&mut self, list: ListId, at: usize) -> Option<&mut Inst> {
        match &mut self.lists[list.0][at] {
            ListItem::Inst(inst) => Some(inst),
            ListItem::List(_) => None,
        }
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    pub(super) fn labels(&self) -> usize {
        self.labels as usize
    }

    pub(super) fn reg(&mut self, class: Class) -> VReg {
        self.regs.push(RegInfo { class, constant: None });
        VReg(self.regs.len() as u32 - 1)
    }

    pub(super) fn constant(&mut self, constant: &PoolConstant) -> ConstId {
        let found = self.pool.iter().position(|c| c == constant);
        ConstId(found.unwrap_or_else(|| {
            self.pool.push(constant.clone());
            self.pool.len() - 1
        }) as u32)
    }

    /// All instructions in order, from a list.
    pub(super) fn flatten(&mut self, list: ListId) -> Vec<Inst> {
        let mut flat = vec![];
        self.flatten_into(list, &mut flat);
        flat
    }

    fn flatten_into(&mut self, list: ListId, flat: &mut Vec<Inst>) {
        for item in std::mem::take(&mut self.lists[list.0]) {
            match item {
                ListItem::Inst(inst) => flat.push(inst),
                ListItem::List(inner) => self.flatten_into(inner, flat),
            }
        }
    }
}

impl Arg {
    fn reads(&self, f: &mut impl FnMut(VReg, RegAccess)) {
        match self {
            Self::Vec(reg, _) | Self::Mask(reg) | Self::General32(reg) | Self::General64(reg) => {
                f(*reg, RegAccess::Read)
            }
            Self::Mem(mem) => mem.reads(f),
            Self::Imm(_) => {}
        }
    }

    /// The register, if it is one.
    pub(super) fn reg(&self) -> Option<VReg> {
        match self {
            Self::Vec(reg, _) | Self::Mask(reg) | Self::General32(reg) | Self::General64(reg) => Some(*reg),
            Self::Mem(_) | Self::Imm(_) => None,
        }
    }
}

impl Mem {
    fn reads(&self, f: &mut impl FnMut(VReg, RegAccess)) {
        f(self.base, RegAccess::Read);
    }
}

impl Machine {
    /// An instruction that writes its first operand, without a mask, whose operands are where they are.
    pub(super) fn new(code: Code, args: SmallVec<[Arg; 4]>) -> Self {
        Self {
            code,
            args,
            updates: false,
            store: false,
            mask: None,
            zeroing: false,
            fold: 0,
            commutes: false,
            element: 0,
        }
    }

    fn visit(&self, f: &mut impl FnMut(VReg, RegAccess)) {
        for arg in &self.args[1..] {
            arg.reads(f);
        }
        if let Some(mask) = self.mask {
            f(mask, RegAccess::Read);
        }
        match (self.args[0].reg(), self.store) {
            (Some(reg), false) => f(reg, if self.updates { RegAccess::Both } else { RegAccess::Write }),
            _ => self.args[0].reads(f),
        }
    }
}

impl Index {
    fn visit(&self, f: &mut impl FnMut(VReg, RegAccess)) {
        match self {
            Self::Copy { dst, src } | Self::Divide { dst, src, .. } | Self::Clamp { dst, src, .. } => {
                f(*src, RegAccess::Read);
                f(*dst, RegAccess::Write);
            }
            Self::MulAdd { dst, src, base, .. } => {
                f(*src, RegAccess::Read);
                if let Some(base) = base {
                    f(*base, RegAccess::Read);
                }
                f(*dst, RegAccess::Write);
            }
            Self::Offset { dst, base, .. } => {
                f(*base, RegAccess::Read);
                f(*dst, RegAccess::Write);
            }
            Self::Advance { dst, .. } => f(*dst, RegAccess::Both),
            Self::Set { dst, .. } | Self::Param { dst, .. } | Self::Argument { dst, .. } | Self::Range { dst, .. } => {
                f(*dst, RegAccess::Write)
            }
        }
    }
}

impl Inst {
    /// Calls `f` for each register, those that are read before those that are written.
    pub(super) fn visit(&self, f: &mut impl FnMut(VReg, RegAccess)) {
        match self {
            Self::Machine(machine) => machine.visit(f),
            Self::Fma { dst, a, b, c, .. } => {
                [a, b, c].into_iter().for_each(|arg| arg.reads(f));
                f(*dst, RegAccess::Write);
            }
            Self::FromLane { dst, src, .. } => {
                src.reads(f);
                f(*dst, RegAccess::Write);
            }
            Self::Copy { dst, src, .. } => {
                f(*src, RegAccess::Read);
                f(*dst, RegAccess::Write);
            }
            Self::Constant { dst } => f(*dst, RegAccess::Write),
            Self::Index(index) => index.visit(f),
            Self::LoopEnd { counter, .. } => f(*counter, RegAccess::Both),
            Self::JumpUnless { condition, .. } => f(*condition, RegAccess::Read),
            Self::Check { index, .. } => f(*index, RegAccess::Read),
            Self::Call { args, .. } => args.iter().for_each(|mem| mem.reads(f)),
            Self::Label(_) | Self::LoopStart(_) | Self::Jump(_) | Self::Nothing => {}
        }
    }

    /// Whether all it does is to write registers.
    pub(super) fn is_pure(&self) -> bool {
        match self {
            Self::Machine(machine) => !machine.store,
            Self::Fma { .. } | Self::Copy { .. } | Self::Constant { .. } | Self::FromLane { .. } => true,
            Self::Index(index) => !matches!(index, Index::Range { .. }),
            _ => false,
        }
    }

    /// Makes what is written go to another register.
    pub(super) fn redirect(&mut self, from: VReg, to: VReg) -> bool {
        match self {
            Self::Machine(machine) if !machine.store && !machine.updates => match &mut machine.args[0] {
                Arg::Vec(reg, _) | Arg::Mask(reg) if *reg == from => *reg = to,
                _ => return false,
            },
            Self::Fma { dst, .. } | Self::Copy { dst, .. } if *dst == from => *dst = to,
            _ => return false,
        }
        true
    }
}
