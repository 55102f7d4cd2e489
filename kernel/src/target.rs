//! The machine a program is compiled for: the only description of one. Passes shape loops for it, the code generator chooses instructions by it.

use crate::DType;
use std::fmt;
use std::str::FromStr;
use target_lexicon::{Architecture, CallingConvention, OperatingSystem, Triple};

/// What a register tile of a contraction may use, and how fast that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TileTarget {
    /// Bytes of its vectors.
    pub vector_bytes: usize,
    /// Registers for sums and factors.
    pub registers: usize,
    /// Registers that must be left besides sums and a row of the right factor.
    pub spare: usize,
    /// Registers for the mask of a vector that isn't full.
    pub mask: usize,
    /// Registers for each vector of a row of the right factor.
    pub parts: usize,
    /// As many sums cost nothing extra; a tile with more is a little slower.
    pub roomy: usize,
    /// Most rows.
    pub rows: usize,
    /// Fused multiply-adds of such vectors per cycle.
    pub fmas: usize,
    /// Whether columns that don't fill a vector take one masked vector, rather than a scalar each.
    pub masked: bool,
}

impl TileTarget {
    /// 128-bit vectors in 16 registers, by Cranelift.
    pub const PORTABLE: Self = Self {
        vector_bytes: 16,
        registers: 16,
        spare: 2,
        mask: 0,
        parts: 1,
        roomy: 8,
        rows: 8,
        fmas: 2,
        masked: false,
    };

    /// 256-bit vectors in 16 registers, assembled.
    pub const AVX2: Self = Self {
        vector_bytes: 32,
        registers: 16,
        spare: 1,
        mask: 1,
        parts: 1,
        roomy: 16,
        rows: 14,
        fmas: 2,
        masked: true,
    };

    /// 512-bit vectors in 32 registers, assembled. Processors with two 512-bit units multiply twice a cycle; tiles that are good for
    /// one unit are good for two.
    pub const AVX512: Self = Self {
        vector_bytes: 64,
        registers: 32,
        spare: 1,
        mask: 0,
        parts: 1,
        roomy: 32,
        rows: 14,
        fmas: 1,
        masked: true,
    };
}

/// The instructions that code may use. Of one architecture, a later one in this list has all that those before it have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum InstructionSet {
    /// x86-64 with SSE up to 4.2, as every processor has since 2011 (level 2 of the System V ABI): 128-bit vectors, no fused multiply-add.
    X86_64,
    /// x86-64 with AVX and fused multiply-add, used in 128-bit vectors.
    Fma,
    /// x86-64 with AVX2, fused multiply-add, F16C and BMI (level 3 of the System V ABI): 256-bit vectors in 16 registers.
    Avx2,
    /// Also AVX-512 F, VL, DQ and BW (level 4): 512-bit vectors in 32 registers, and masks.
    Avx512,
    /// Also products of four bytes at a time (AVX512-VNNI).
    Avx512Vnni,
    /// Also products of pairs of `bf16` (AVX512-BF16).
    Avx512Bf16,
    /// AArch64 with Advanced SIMD: 128-bit vectors in 32 registers, fused multiply-add.
    Aarch64,
}

impl InstructionSet {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::X86_64, Self::Fma, Self::Avx2, Self::Avx512, Self::Avx512Vnni, Self::Avx512Bf16, Self::Aarch64];

    /// Its name in text and in options: `x86-64`, `fma`, `avx2`, `avx512`, `avx512-vnni`, `avx512-bf16`, `aarch64`.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86-64",
            Self::Fma => "fma",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Whether it is one of x86-64's.
    pub fn is_x86(self) -> bool {
        self != Self::Aarch64
    }

    /// Whether a machine with this set runs what is compiled for the other.
    pub fn includes(self, other: Self) -> bool {
        self.is_x86() == other.is_x86() && other <= self
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for InstructionSet {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let found = Self::ALL.into_iter().find(|set| set.name() == text);
        found.ok_or_else(|| TargetError::UnknownInstructionSet { name: text.into() })
    }
}

/// Sizes of the caches, in bytes, none smaller than that of the level before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caches {
    /// The first level's, for data.
    pub l1_bytes: usize,
    /// The second level's, per core.
    pub l2_bytes: usize,
    /// The last level's.
    pub l3_bytes: usize,
}

impl Default for Caches {
    /// What every processor of the last ten years has: 32 KiB, 256 KiB, 4 MiB.
    fn default() -> Self {
        Self { l1_bytes: 32 << 10, l2_bytes: 256 << 10, l3_bytes: 4 << 20 }
    }
}

impl fmt::Display for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [l1, l2, l3] = [self.l1_bytes, self.l2_bytes, self.l3_bytes].map(size_text);
        write!(f, "{l1},{l2},{l3}")
    }
}

impl FromStr for Caches {
    type Err = TargetError;

    /// Reads the sizes of three levels: `32K,512K,32M`.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let sizes: Option<Vec<usize>> = text.split(',').map(parse_size).collect();
        match sizes.as_deref() {
            Some(&[l1_bytes, l2_bytes, l3_bytes]) if 0 < l1_bytes && l1_bytes <= l2_bytes && l2_bytes <= l3_bytes => {
                Ok(Self { l1_bytes, l2_bytes, l3_bytes })
            }
            _ => Err(TargetError::Caches { text: text.into() }),
        }
    }
}

/// Reads a number of bytes: `64`, `32K`, `8M`, `2G`.
pub fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

/// The shortest text that [`parse_size`] reads.
fn size_text(bytes: usize) -> String {
    match bytes {
        b if b > 0 && b.is_multiple_of(1 << 30) => format!("{}G", b >> 30),
        b if b > 0 && b.is_multiple_of(1 << 20) => format!("{}M", b >> 20),
        b if b > 0 && b.is_multiple_of(1 << 10) => format!("{}K", b >> 10),
        b => b.to_string(),
    }
}

/// Why there is no such target.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    /// A name that isn't an instruction set's.
    #[error("there is no instruction set {name:?}; there are {}", InstructionSet::ALL.map(InstructionSet::name).join(", "))]
    UnknownInstructionSet {
        /// What stands there.
        name: String,
    },
    /// An instruction set of another architecture than the triple's, or an architecture that there is no code generator for.
    #[error("{triple} has no instruction set {set}")]
    Mismatch {
        /// The triple.
        triple: Triple,
        /// The instruction set.
        set: InstructionSet,
    },
    /// An architecture that there is no code generator for.
    #[error("there is no code generator for {triple}: its architecture must be x86_64 or aarch64")]
    Architecture {
        /// The triple.
        triple: Triple,
    },
    /// Wide vectors where they can't be called.
    #[error(
        "{set} is not provided for {triple}: wide vectors follow the System V convention; fma is the most there is"
    )]
    Convention {
        /// The triple.
        triple: Triple,
        /// The instruction set.
        set: InstructionSet,
    },
    /// A processor that lacks what all code uses.
    #[error("this processor lacks what code for {needs} uses")]
    Processor {
        /// The least that code is generated for.
        needs: InstructionSet,
    },
    /// Sizes that can't be read.
    #[error("{text:?} isn't sizes of three caches, none smaller than the one before, as 32K,512K,32M")]
    Caches {
        /// What stands there.
        text: String,
    },
}

/// The machine a program is compiled for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    triple: Triple,
    set: InstructionSet,
    caches: Caches,
}

impl Target {
    /// A machine with these instructions, and caches as [`Caches::default`].
    ///
    /// # Errors
    /// If the triple's architecture isn't the instruction set's, or a system whose calling convention the wide vectors don't follow.
    pub fn new(triple: Triple, set: InstructionSet) -> Result<Self, TargetError> {
        let fits = match triple.architecture {
            Architecture::X86_64 => set.is_x86(),
            Architecture::Aarch64(_) => !set.is_x86(),
            _ => return Err(TargetError::Architecture { triple }),
        };
        if !fits {
            return Err(TargetError::Mismatch { triple, set });
        }
        if set > widest(&triple) {
            return Err(TargetError::Convention { triple, set });
        }
        Ok(Self { triple, set, caches: Caches::default() })
    }

    /// What any machine of the triple's architecture has.
    ///
    /// # Errors
    /// If there is no code generator for the architecture.
    pub fn generic(triple: Triple) -> Result<Self, TargetError> {
        let set =
            if triple.architecture == Architecture::X86_64 { InstructionSet::X86_64 } else { InstructionSet::Aarch64 };
        Self::new(triple, set)
    }

    /// x86-64 Linux with fused multiply-add and 128-bit vectors: what the portable emitter's code, that of wide vectors and AArch64's agree
    /// with to the bit.
    pub fn baseline() -> Self {
        Self::linux(InstructionSet::Fma)
    }

    /// x86-64 Linux with AVX2 and fused multiply-add.
    pub fn avx2() -> Self {
        Self::linux(InstructionSet::Avx2)
    }

    /// x86-64 Linux with AVX-512.
    pub fn avx512() -> Self {
        Self::linux(InstructionSet::Avx512)
    }

    /// AArch64 Linux.
    pub fn aarch64() -> Self {
        Self::linux(InstructionSet::Aarch64)
    }

    fn linux(set: InstructionSet) -> Self {
        let architecture = match set {
            InstructionSet::Aarch64 => Architecture::Aarch64(target_lexicon::Aarch64Architecture::Aarch64),
            _ => Architecture::X86_64,
        };
        let triple = Triple {
            architecture,
            vendor: target_lexicon::Vendor::Unknown,
            operating_system: OperatingSystem::Linux,
            environment: target_lexicon::Environment::Gnu,
            binary_format: target_lexicon::BinaryFormat::Elf,
        };
        Self { triple, set, caches: Caches::default() }
    }

    /// The same machine with other caches.
    #[must_use]
    pub fn with_caches(self, caches: Caches) -> Self {
        Self { caches, ..self }
    }

    /// The same machine with these instructions instead.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_instruction_set(self, set: InstructionSet) -> Result<Self, TargetError> {
        Ok(Self { caches: self.caches, ..Self::new(self.triple, set)? })
    }

    /// The instruction set of that name on its system: as [`InstructionSet`] reads them, and `baseline`, which is fused multiply-add on x86-64, and the one that there is on AArch64.
    ///
    /// # Errors
    /// A name that is none.
    pub fn set_named(&self, name: &str) -> Result<InstructionSet, TargetError> {
        match name {
            "baseline" if self.set.is_x86() => Ok(InstructionSet::Fma),
            "baseline" => Ok(InstructionSet::Aarch64),
            name => name.parse(),
        }
    }

    /// The same machine for code that uses no more than these instructions; itself if it has no more, or is of another architecture.
    #[must_use]
    pub fn limited_to(self, set: InstructionSet) -> Self {
        if self.set.includes(set) { Self { set, ..self } } else { self }
    }

    /// The same machine held to each instruction set that it has in turn, the least first, itself last.
    pub fn limited_to_each(&self) -> Vec<Self> {
        let sets = InstructionSet::ALL.into_iter().filter(|set| self.set.includes(*set));
        sets.map(|set| self.clone().limited_to(set)).collect()
    }

    /// Its architecture and system.
    pub fn triple(&self) -> &Triple {
        &self.triple
    }

    /// Its instructions.
    pub fn instruction_set(&self) -> InstructionSet {
        self.set
    }

    /// Its caches.
    pub fn caches(&self) -> Caches {
        self.caches
    }

    /// Whether code for it runs on the other machine, too: same architecture and calling convention, and at least its instructions.
    pub fn runs_on(&self, host: &Self) -> bool {
        host.set.includes(self.set) && convention(&self.triple) == convention(&host.triple)
    }

    /// Bytes of a vector register that the emitter uses.
    pub fn vector_bytes(&self) -> usize {
        self.tile().vector_bytes
    }

    /// Vector registers.
    pub fn vector_registers(&self) -> usize {
        self.tile().registers
    }

    /// Whether whole kernels are emitted in wide vectors, rather than by Cranelift.
    pub fn is_wide(&self) -> bool {
        self.set.is_x86() && self.set >= InstructionSet::Avx2
    }

    /// Whether a vector of fewer lanes than a register holds is one operation, too, rather than one for each lane.
    pub fn masked(&self) -> bool {
        self.is_wide()
    }

    /// What register tiles are made of whose sums have this type: those in `i32` are of bytes.
    pub fn tile_for(&self, sums: DType) -> TileTarget {
        let tile = self.tile();
        let is_split = sums == DType::I32 && !self.byte_dot();
        // A second register for each vector of the right factor, and for the element of the left one; one for a product.
        if is_split { TileTarget { parts: 2, spare: tile.spare + 2, ..tile } } else { tile }
    }

    /// What register tiles are made of.
    pub fn tile(&self) -> TileTarget {
        match self.set {
            InstructionSet::X86_64 | InstructionSet::Fma => TileTarget::PORTABLE,
            InstructionSet::Avx2 => TileTarget::AVX2,
            InstructionSet::Avx512 | InstructionSet::Avx512Vnni | InstructionSet::Avx512Bf16 => TileTarget::AVX512,
            InstructionSet::Aarch64 => TileTarget { registers: 32, ..TileTarget::PORTABLE },
        }
    }

    /// Whether fused multiply-add is an instruction. Without, sums of products round twice.
    pub fn fma(&self) -> bool {
        self.set != InstructionSet::X86_64
    }

    /// Whether tiles may multiply pairs of `bf16` ([`crate::dot_pair`]).
    pub fn bf16_pairs(&self) -> bool {
        self.set == InstructionSet::Avx512Bf16
    }

    /// Whether tiles may multiply quads of bytes ([`crate::dot_quad`]).
    pub fn byte_quads(&self) -> bool {
        self.is_wide()
    }

    /// Whether the product of a quad is one instruction (`vpdpbusd`). Elsewhere tiles widen bytes to 16 bits, and need registers for both halves of each factor.
    pub fn byte_dot(&self) -> bool {
        self.set.includes(InstructionSet::Avx512Vnni)
    }

    /// How many elements of a type a vector holds.
    pub fn lanes(&self, dtype: DType) -> u16 {
        (self.vector_bytes() / dtype.size_bytes()) as u16
    }
}

impl fmt::Display for Target {
    /// Everything that code and its schedule depend on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} caches {}", self.triple, self.set, self.caches)
    }
}

/// The most that is provided for a system.
fn widest(triple: &Triple) -> InstructionSet {
    match (triple.architecture, convention(triple)) {
        (Architecture::X86_64, CallingConvention::WindowsFastcall) => InstructionSet::Fma,
        (Architecture::X86_64, _) => InstructionSet::Avx512Bf16,
        _ => InstructionSet::Aarch64,
    }
}

/// How functions are called on a system.
fn convention(triple: &Triple) -> CallingConvention {
    triple.default_calling_convention().unwrap_or(CallingConvention::SystemV)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_of_one_architecture() {
        let triple = |text: &str| -> Triple { text.parse().unwrap() };
        let arm = triple("aarch64-apple-darwin");
        assert!(matches!(Target::new(arm, InstructionSet::Avx2), Err(TargetError::Mismatch { .. })));
        let windows = triple("x86_64-pc-windows-msvc");
        let refused = Target::new(windows.clone(), InstructionSet::Avx2).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "avx2 is not provided for x86_64-pc-windows-msvc: wide vectors follow the System V convention; fma is the most there is"
        );
        assert!(Target::new(windows, InstructionSet::Fma).is_ok());
        assert!(matches!(
            Target::generic(triple("riscv64gc-unknown-linux-gnu")),
            Err(TargetError::Architecture { .. })
        ));
        assert_eq!(Target::generic(triple("x86_64-unknown-linux-musl")).map(|t| t.fma()), Ok(false));
    }

    #[test]
    fn code_runs_where_its_instructions_are() {
        let all = InstructionSet::ALL.map(Target::linux);
        let pairs = all.iter().flat_map(|code| all.iter().map(move |host| code.runs_on(host)));
        // Six of x86-64 in a chain, and one of its own.
        assert_eq!(pairs.filter(|runs| *runs).count(), 6 + 5 + 4 + 3 + 2 + 1 + 1);
        let apple = Target::generic("aarch64-apple-darwin".parse().unwrap()).unwrap();
        assert!(!apple.runs_on(&Target::aarch64()), "functions with many arguments are called otherwise");
        assert_eq!(Target::avx512().limited_to(InstructionSet::Avx2), Target::avx2());
        assert_eq!(Target::avx2().limited_to(InstructionSet::Avx512), Target::avx2());
        assert_eq!(Target::aarch64().limited_to(InstructionSet::Avx2), Target::aarch64());
        let sets = |target: Target| target.limited_to_each().iter().map(Target::instruction_set).collect::<Vec<_>>();
        assert_eq!(sets(Target::avx2()), [InstructionSet::X86_64, InstructionSet::Fma, InstructionSet::Avx2]);
        assert_eq!(sets(Target::aarch64()), [InstructionSet::Aarch64]);
    }

    #[test]
    fn instruction_sets_are_read_as_they_are_written() {
        assert!(InstructionSet::ALL.into_iter().all(|set| set.name().parse() == Ok(set)));
        let unknown = "avx".parse::<InstructionSet>().unwrap_err().to_string();
        assert_eq!(
            unknown,
            r#"there is no instruction set "avx"; there are x86-64, fma, avx2, avx512, avx512-vnni, avx512-bf16, aarch64"#
        );
    }

    #[test]
    fn cache_sizes_are_read_as_they_are_written() {
        let sizes: Caches = "32K,512K,32M".parse().unwrap();
        assert_eq!(sizes, Caches { l1_bytes: 32 << 10, l2_bytes: 512 << 10, l3_bytes: 32 << 20 });
        assert_eq!((sizes.to_string(), size_text(1000)), ("32K,512K,32M".into(), "1000".into()));
        for wrong in [
            "32K,512K",
            "512K,32K,32M",
            "0K,32K,32M",
            "32K,,32M",
            "1T,1T,1T",
            "K,K,K",
            "32K,512K,99999999999999999999M",
        ] {
            assert!(wrong.parse::<Caches>().is_err(), "{wrong}");
        }
    }
}
