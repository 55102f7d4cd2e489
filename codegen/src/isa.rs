//! A target as Cranelift describes one: its code generator, by the target's triple and instruction set alone.

use crate::CodegenError;
use cranelift::codegen::isa::{self, OwnedTargetIsa};
use cranelift::codegen::settings::{self, Configurable};
use kernel::{InstructionSet, Target};

/// What Cranelift may do to a function before it selects instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rewriting {
    /// Rewrites, common subexpressions, loop-invariant code motion. Pure instructions then move to where they are first needed.
    Full,
    /// None: instructions stay in the order in which they were emitted.
    KeepOrder,
    /// None either, and values get registers in one walk over the code: for long functions that do little but call.
    Single,
}

/// Cranelift's flags for an instruction set, beside those of the set before it.
const FEATURES: [(InstructionSet, &[&str]); 4] = [
    (InstructionSet::X86_64, &["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"]),
    (InstructionSet::Fma, &["has_avx", "has_fma"]),
    (InstructionSet::Avx2, &["has_avx2", "has_bmi1", "has_bmi2", "has_lzcnt"]),
    (InstructionSet::Avx512, &["has_avx512f", "has_avx512vl", "has_avx512dq"]),
];

/// Cranelift's code generator for a target, as whoever links code for it needs it.
///
/// # Errors
/// If Cranelift was built without this architecture: the feature `cross` has all.
pub fn isa(target: &Target) -> Result<OwnedTargetIsa, CodegenError> {
    isa_for(target, (false, false), Rewriting::Full)
}

/// The same for code that stands in an object file, and may be loaded anywhere: as [`crate::EmitOptions::position_independent`].
///
/// # Errors
/// As [`isa()`].
pub fn position_independent_isa(target: &Target) -> Result<OwnedTargetIsa, CodegenError> {
    isa_for(target, (false, true), Rewriting::Full)
}

/// The same with choices: whether Cranelift verifies its intermediate code, and whether functions outside are called by a table of addresses.
pub(crate) fn isa_for(
    target: &Target,
    (verify, position_independent): (bool, bool),
    rewriting: Rewriting,
) -> Result<OwnedTargetIsa, CodegenError> {
    let refused =
        |e: &dyn std::fmt::Display| CodegenError::Target { target: Box::new(target.clone()), message: e.to_string() };
    let mut flags = settings::builder();
    let wanted = [
        ("opt_level", if rewriting == Rewriting::Full { "speed" } else { "none" }),
        ("regalloc_algorithm", if rewriting == Rewriting::Single { "single_pass" } else { "backtracking" }),
        ("is_pic", if position_independent { "true" } else { "false" }),
        // Calls of functions outside reach any distance.
        ("use_colocated_libcalls", "false"),
        // Frames are small and code never unwinds.
        ("enable_probestack", "false"),
        ("unwind_info", "false"),
        ("enable_verifier", if verify { "true" } else { "false" }),
    ];
    for (name, value) in wanted {
        flags.set(name, value).map_err(|e| refused(&e))?;
    }
    let mut builder = isa::lookup(target.triple().clone()).map_err(|e| refused(&e))?;
    for (set, names) in FEATURES {
        if target.instruction_set().includes(set) {
            names.iter().try_for_each(|name| builder.enable(name)).map_err(|e| refused(&e))?;
        }
    }
    builder.finish(settings::Flags::new(flags)).map_err(|e| refused(&e))
}

#[cfg(all(test, any(target_arch = "x86_64", feature = "cross")))]
mod tests {
    use super::*;

    #[test]
    fn cranelift_knows_what_a_target_has() {
        let targets = InstructionSet::ALL.into_iter().filter(|set| set.is_x86());
        for target in targets.map(|set| Target::baseline().with_instruction_set(set).unwrap()) {
            let isa = isa(&target).unwrap();
            let flags = isa.isa_flags();
            let has = |name: &str| flags.iter().any(|f| f.name == name && f.as_bool() == Some(true));
            assert_eq!(has("has_fma"), target.fma(), "{target}");
            assert_eq!(has("has_avx2"), target.is_wide(), "{target}");
            assert_eq!(has("has_avx512vl"), target.vector_bytes() == 64, "{target}");
        }
    }
}
