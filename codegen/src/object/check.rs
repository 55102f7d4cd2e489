//! What linkers take for granted: `cranelift-jit` panics, or writes out of bounds, where an object contradicts itself.

use super::{Function, LIB_CALLS, Object, ObjectError};
use cranelift::codegen::binemit::Reloc;
use cranelift::module::{ModuleReloc, ModuleRelocTarget};

/// The most that a function may be aligned to: a cache line, and the widest vector, since constants stand beside the code.
const MOST_ALIGN: u64 = 64;
/// The most code of a program, which keeps distances between functions within 31 bits.
const MOST_CODE: usize = 1 << 30;
/// The farthest that a reference may lie beside what it refers to.
const MOST_ADDEND: i64 = 1 << 16;

/// The references that code may have, with the bytes that each fills in.
const X86: [(Reloc, usize); 3] = [(Reloc::Abs8, 8), (Reloc::X86PCRel4, 4), (Reloc::X86CallPCRel4, 4)];
const AARCH64: [(Reloc, usize); 4] =
    [(Reloc::Abs8, 8), (Reloc::Arm64Call, 4), (Reloc::Aarch64AdrPrelPgHi21, 4), (Reloc::Aarch64AddAbsLo12Nc, 4)];

/// References to functions outside by a linker's table of addresses.
const OF_TABLES: [(Reloc, usize); 3] =
    [(Reloc::X86GOTPCRel4, 4), (Reloc::Aarch64AdrGotPage21, 4), (Reloc::Aarch64Ld64GotLo12Nc, 4)];

impl Object {
    /// The references that code for its target may have.
    pub(super) fn reloc_kinds(&self) -> &'static [(Reloc, usize)] {
        if self.target.instruction_set().is_x86() { &X86 } else { &AARCH64 }
    }

    /// Checks that everything an object refers to is there, and every reference one that can be filled in: in a running process, or, if code is
    /// position-independent, by a linker.
    ///
    /// # Errors
    /// The first fault.
    pub(crate) fn check(&self, position_independent: bool) -> Result<(), ObjectError> {
        let count = self.functions.len();
        let mut called = self.kernels.iter().map(|k| k.function).chain([self.step]);
        if called.any(|f| f.as_u32() as usize >= count) {
            return Err(ObjectError("a kernel without a function"));
        }
        if self.kernels.iter().any(|k| k.scratch_bytes > self.scratch_bytes) {
            return Err(ObjectError("a kernel with more scratch memory than there is"));
        }
        let mut total = 0;
        for function in &self.functions {
            total += function.bytes.len();
            if !function.align.is_power_of_two() || function.align > MOST_ALIGN || function.bytes.is_empty() {
                return Err(ObjectError("a function that can't be placed"));
            }
            function.relocs.iter().try_for_each(|reloc| self.check_reloc(function, reloc, position_independent))?;
        }
        if total > MOST_CODE { Err(ObjectError("more code than calls can span")) } else { Ok(()) }
    }

    fn check_reloc(&self, function: &Function, reloc: &ModuleReloc, linked: bool) -> Result<(), ObjectError> {
        let len = function.bytes.len();
        let of_tables = OF_TABLES.iter().filter(|_| linked);
        let kind = self.reloc_kinds().iter().chain(of_tables).find(|(kind, _)| *kind == reloc.kind);
        let (kind, bytes) = *kind.ok_or(ObjectError("a reference of an unknown kind"))?;
        if (reloc.offset as usize).checked_add(bytes).is_none_or(|end| end > len) {
            return Err(ObjectError("a reference beyond the end of a function"));
        }
        if !(-MOST_ADDEND..=MOST_ADDEND).contains(&reloc.addend) {
            return Err(ObjectError("a reference far beside its target"));
        }
        // What is outside lies at any distance, what is inside has no address of its own.
        let is_lib = match reloc.name {
            ModuleRelocTarget::User { namespace: 0, index } if (index as usize) < self.functions.len() => false,
            ModuleRelocTarget::FunctionOffset(id, offset) => {
                let target = self.functions.get(id.as_u32() as usize);
                if target.is_none_or(|target| offset as usize >= target.bytes.len()) {
                    return Err(ObjectError("a reference to a place outside of a function"));
                }
                false
            }
            ModuleRelocTarget::LibCall(call) if LIB_CALLS.contains(&call) => true,
            _ => return Err(ObjectError("a reference to something unknown")),
        };
        // A linker's table leads anywhere.
        let by_table = OF_TABLES.iter().any(|(of_table, _)| *of_table == kind);
        if by_table || is_lib == (kind == Reloc::Abs8) {
            Ok(())
        } else {
            Err(ObjectError("a reference that can't reach its target"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cranelift::codegen::ir::LibCall;
    use cranelift::module::FuncId;
    use kernel::Target;

    fn object(reloc: ModuleReloc) -> Object {
        let mut first = Function::new(64, vec![0x90; 16]);
        first.relocs.push(reloc);
        Object {
            target: Target::baseline(),
            functions: vec![first, Function::new(16, vec![0xc3; 4])],
            step: FuncId::from_u32(1),
            kernels: vec![],
            launches: vec![],
            launch_args: vec![],
            buffers: vec![],
            arena_bytes: Some(0),
            scratch_bytes: 0,
            checks: vec![],
        }
    }

    fn function(index: u32) -> ModuleRelocTarget {
        ModuleRelocTarget::user(0, index)
    }

    #[test]
    fn references_must_be_ones_that_can_be_filled_in() {
        let call = |offset, name, addend| ModuleReloc { offset, kind: Reloc::X86CallPCRel4, name, addend };
        let lib = ModuleRelocTarget::LibCall(LibCall::FmaF32);
        let inside = |offset| ModuleRelocTarget::FunctionOffset(FuncId::from_u32(1), offset);
        let absolute = |name| ModuleReloc { offset: 8, kind: Reloc::Abs8, name, addend: 0 };
        for good in [call(0, function(1), -4), call(12, inside(3), 0), absolute(lib.clone())] {
            assert_eq!(object(good).check(false), Ok(()));
        }
        let bad = [
            call(13, function(1), -4),
            call(u32::MAX, function(1), -4),
            call(0, function(2), -4),
            call(0, inside(4), -4),
            call(0, function(1), i64::MIN),
            call(0, lib, -4),
            call(0, ModuleRelocTarget::user(1, 0), 0),
            call(0, ModuleRelocTarget::LibCall(LibCall::Memcpy), 0),
            absolute(function(1)),
            ModuleReloc { offset: 0, kind: Reloc::Arm64Call, name: function(1), addend: 0 },
        ];
        for reloc in bad {
            let shown = format!("{:?} at {} {}", reloc.kind, reloc.offset, reloc.addend);
            assert!(object(reloc).check(false).is_err(), "{shown}");
        }
    }

    #[test]
    fn functions_must_be_ones_that_can_be_placed() {
        let good = || object(ModuleReloc { offset: 0, kind: Reloc::X86PCRel4, name: function(1), addend: -4 });
        let check = |change: fn(&mut Object)| {
            let mut object = good();
            change(&mut object);
            object.check(false)
        };
        assert_eq!(check(|_| ()), Ok(()));
        assert!(check(|o| o.functions[0].align = 48).is_err());
        assert!(check(|o| o.functions[0].align = 8192).is_err());
        assert!(check(|o| o.functions[1].bytes.clear()).is_err());
        assert!(check(|o| o.step = FuncId::from_u32(2)).is_err());
        assert!(check(|o| o.target = Target::aarch64()).is_err(), "a reference of another architecture");
    }
}
