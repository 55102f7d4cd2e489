//! The linker: puts functions one after the other and fills in the distances of what they refer to.

use super::{CODE_ALIGN, LibCall, LibFunction};
use crate::CodegenError;
use cranelift_codegen::Context;
use cranelift_codegen::FinalizedRelocTarget;
use cranelift_codegen::binemit::Reloc as Kind;
use cranelift_codegen::ir::{ExternalName, LibCall as CraneliftCall};

/// A function, by the order in which it was added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct FunctionId(pub(crate) u32);

/// What code refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// The start of a function.
    Function(FunctionId),
    /// A place in the function that refers to it.
    Own(u32),
    /// A function outside.
    Lib(LibFunction),
}

/// A place in a function to be filled in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reloc {
    /// Where, in the function.
    pub(crate) at: usize,
    /// What is written there, and how.
    pub(crate) kind: Kind,
    pub(crate) target: Target,
    /// Added to the target's address.
    pub(crate) addend: i64,
}

/// A function's machine code before it has a place.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) bytes: Vec<u8>,
    pub(crate) relocs: Vec<Reloc>,
}

impl Function {
    /// What Cranelift compiled. Functions that it refers to by name are numbers of the linker.
    pub(crate) fn of_cranelift(context: &Context) -> Result<Self, String> {
        let code = context.compiled_code().ok_or("there is no compiled code")?;
        if code.buffer.alignment as usize > CODE_ALIGN {
            return Err(format!("code that is to be aligned to {} bytes", code.buffer.alignment));
        }
        let names = context.func.params.user_named_funcs();
        let relocs = code.buffer.relocs().iter().map(|reloc| {
            let target = match &reloc.target {
                FinalizedRelocTarget::ExternalName(ExternalName::User(name)) => {
                    Target::Function(FunctionId(names[*name].index))
                }
                FinalizedRelocTarget::ExternalName(ExternalName::LibCall(call)) => Target::Lib(lib_function(*call)?),
                FinalizedRelocTarget::Func(offset) => Target::Own(*offset),
                other => return Err(format!("a reference to {other:?}")),
            };
            Ok(Reloc { at: reloc.offset as usize, kind: reloc.kind, target, addend: reloc.addend })
        });
        Ok(Self { relocs: relocs.collect::<Result<_, String>>()?, bytes: code.code_buffer().to_vec() })
    }
}

fn lib_function(call: CraneliftCall) -> Result<LibFunction, String> {
    Ok(match call {
        CraneliftCall::CeilF32 => LibFunction::CeilF32,
        CraneliftCall::CeilF64 => LibFunction::CeilF64,
        CraneliftCall::FloorF32 => LibFunction::FloorF32,
        CraneliftCall::FloorF64 => LibFunction::FloorF64,
        CraneliftCall::TruncF32 => LibFunction::TruncF32,
        CraneliftCall::TruncF64 => LibFunction::TruncF64,
        CraneliftCall::NearestF32 => LibFunction::NearestF32,
        CraneliftCall::NearestF64 => LibFunction::NearestF64,
        CraneliftCall::FmaF32 => LibFunction::FmaF32,
        CraneliftCall::FmaF64 => LibFunction::FmaF64,
        other => return Err(format!("a call of the library function {other}")),
    })
}

/// Code with all distances filled in.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) code: Vec<u8>,
    pub(crate) lib_calls: Vec<LibCall>,
    /// Where each function starts.
    pub(crate) starts: Vec<usize>,
}

/// Collects functions.
#[derive(Default)]
pub(crate) struct Linker {
    code: Vec<u8>,
    starts: Vec<usize>,
    /// With the start of the function that they stand in.
    relocs: Vec<(usize, Reloc)>,
}

impl Linker {
    /// The next function to be added has this number.
    pub(crate) fn next(&self) -> FunctionId {
        FunctionId(self.starts.len() as u32)
    }

    /// Appends a function.
    pub(crate) fn add(&mut self, function: &Function) -> FunctionId {
        let id = self.next();
        self.code.resize(self.code.len().next_multiple_of(CODE_ALIGN), 0);
        let start = self.code.len();
        self.starts.push(start);
        self.code.extend_from_slice(&function.bytes);
        self.relocs.extend(function.relocs.iter().map(|reloc| (start, *reloc)));
        id
    }

    /// Fills in the distances.
    ///
    /// # Errors
    /// A reference that isn't of the known kinds, or to a function that was never added.
    pub(crate) fn link(mut self) -> Result<Linked, CodegenError> {
        let refused = |message: String| CodegenError::Backend { function: "link".into(), message };
        let mut lib_calls = vec![];
        for (start, reloc) in std::mem::take(&mut self.relocs) {
            let at = start + reloc.at;
            let target = match reloc.target {
                Target::Function(id) => self.starts.get(id.0 as usize).copied(),
                Target::Own(offset) => Some(start + offset as usize),
                Target::Lib(function) if reloc.kind == Kind::Abs8 && reloc.addend == 0 => {
                    lib_calls.push(LibCall { at, function });
                    continue;
                }
                Target::Lib(_) => None,
            };
            let unknown = || refused(format!("a reference to {:?}, which is nowhere", reloc.target));
            let target = target.and_then(|t| (t as i64).checked_add(reloc.addend)).ok_or_else(unknown)?;
            fill_in(&mut self.code, at, reloc.kind, target).map_err(refused)?;
        }
        lib_calls.sort_by_key(|call| call.at);
        Ok(Linked { code: self.code, lib_calls, starts: self.starts })
    }
}

/// Writes the distance to a target, which is a place in the same code. The code will start at a multiple of a page.
fn fill_in(code: &mut [u8], at: usize, kind: Kind, target: i64) -> Result<(), String> {
    let Some(place) = code.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) else {
        return Err("a reference beyond the end of the code".into());
    };
    let distance = target - at as i64;
    let set_bits = |place: &mut [u8; 4], bits: u32| *place = (u32::from_le_bytes(*place) | bits).to_le_bytes();
    let far = |_| format!("a distance of {distance} bytes");
    match kind {
        Kind::X86PCRel4 | Kind::X86CallPCRel4 => *place = i32::try_from(distance).map_err(far)?.to_le_bytes(),
        // The immediates of `bl` (26 bits, in instructions), `adrp` (21 bits, in pages, the low two of them apart) and `add` (12 bits).
        Kind::Arm64Call if (-(1 << 27)..1 << 27).contains(&distance) => {
            set_bits(place, (distance >> 2) as u32 & 0x03ff_ffff);
        }
        Kind::Aarch64AdrPrelPgHi21 => {
            let pages = i32::try_from((target >> 12) - (at as i64 >> 12)).map_err(far)? as u32;
            set_bits(place, (pages & 3) << 29 | (pages & 0x1f_fffc) << 3);
        }
        Kind::Aarch64AddAbsLo12Nc => set_bits(place, (target as u32 & 0xfff) << 10),
        other => return Err(format!("a reference of the kind {other:?}, {distance} bytes away")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(len: usize, relocs: &[Reloc]) -> Function {
        Function { bytes: vec![0x90; len], relocs: relocs.to_vec() }
    }

    #[test]
    fn calls_hold_the_distance_from_the_next_instruction() {
        let mut linker = Linker::default();
        let call = |at, target| Reloc { at, kind: Kind::X86CallPCRel4, target, addend: -4 };
        let later = Target::Function(FunctionId(1));
        let first = linker.add(&function(100, &[call(8, later), call(20, Target::Own(4))]));
        let second = linker.add(&function(10, &[call(0, Target::Function(first))]));
        assert_eq!((second, linker.next()), (FunctionId(1), FunctionId(2)));
        let linked = linker.link().unwrap();
        assert_eq!(linked.starts, [0, 128]);
        let distance = |at: usize| i32::from_le_bytes(*linked.code[at..].first_chunk().unwrap());
        assert_eq!((distance(8), distance(20), distance(128)), (128 - 12, 4 - 24, -132));
    }

    #[test]
    fn functions_outside_are_listed() {
        let mut linker = Linker::default();
        let reloc = Reloc { at: 2, kind: Kind::Abs8, target: Target::Lib(LibFunction::FmaF32), addend: 0 };
        linker.add(&function(3, &[]));
        linker.add(&function(16, &[reloc]));
        let linked = linker.link().unwrap();
        assert_eq!(linked.lib_calls, [LibCall { at: 66, function: LibFunction::FmaF32 }]);
    }

    #[test]
    fn arm_instructions_get_their_immediates() {
        let mut code = vec![0u8; 0x3000];
        code[..4].copy_from_slice(&0x9400_0000u32.to_le_bytes());
        fill_in(&mut code, 0, Kind::Arm64Call, 0x2008).unwrap();
        fill_in(&mut code, 0x1004, Kind::Aarch64AdrPrelPgHi21, 0x2abc).unwrap();
        fill_in(&mut code, 0x1008, Kind::Aarch64AddAbsLo12Nc, 0x2abc).unwrap();
        let word = |at: usize| u32::from_le_bytes(*code[at..].first_chunk().unwrap());
        assert_eq!((word(0), word(0x1004), word(0x1008)), (0x9400_0802, 1 << 29, 0xabc << 10));
        assert!(fill_in(&mut code, 0, Kind::Arm64Call, 1 << 27).is_err());
    }

    #[test]
    fn what_cannot_be_reached_is_refused() {
        let with = |reloc: Reloc| {
            let mut linker = Linker::default();
            linker.add(&function(16, &[reloc]));
            linker.link().is_err()
        };
        let own = Target::Own(0);
        assert!(with(Reloc { at: 0, kind: Kind::X86PCRel4, target: Target::Function(FunctionId(7)), addend: 0 }));
        assert!(with(Reloc { at: 14, kind: Kind::X86PCRel4, target: own, addend: 0 }));
        assert!(with(Reloc { at: 0, kind: Kind::X86PCRel4, target: own, addend: 1 << 40 }));
        assert!(with(Reloc { at: 0, kind: Kind::Abs8, target: own, addend: 0 }));
        assert!(with(Reloc { at: 0, kind: Kind::Abs8, target: Target::Lib(LibFunction::FmaF64), addend: 1 }));
    }
}
