//! The machine this process runs on: as a target for scheduling, and as a code generator for it.

use crate::CodegenError;
use crate::x86::Wide;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use kernel::{Target, TileTarget};
use std::path::Path;
use std::sync::OnceLock;

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

/// A code generator for this machine.
pub(crate) fn host_isa(verify: bool, rewriting: Rewriting) -> Result<OwnedTargetIsa, CodegenError> {
    let host = |e: &dyn std::fmt::Display| CodegenError::Host(e.to_string());
    let mut flags = settings::builder();
    let wanted = [
        ("opt_level", if rewriting == Rewriting::Full { "speed" } else { "none" }),
        ("regalloc_algorithm", if rewriting == Rewriting::Single { "single_pass" } else { "backtracking" }),
        ("is_pic", "false"),
        // Frames are small and code never unwinds.
        ("enable_probestack", "false"),
        ("unwind_info", "false"),
        ("enable_verifier", if verify { "true" } else { "false" }),
    ];
    for (name, value) in wanted {
        flags.set(name, value).map_err(|e| host(&e))?;
    }
    let builder = cranelift_native::builder().map_err(|e| host(&e))?;
    builder.finish(settings::Flags::new(flags)).map_err(|e| host(&e))
}

/// Whether fused multiply-add is an instruction of the machine.
pub(crate) fn has_fma(isa: &dyn cranelift_codegen::isa::TargetIsa) -> bool {
    let aarch64 = isa.name() == "aarch64";
    aarch64 || isa.isa_flags().iter().any(|f| f.name == "has_fma" && f.as_bool() == Some(true))
}

/// The machine this process runs on as code generation sees it, instruction sets and all, as a line of text: code is good for machines with
/// the same description.
pub fn host_description() -> &'static str {
    static DESCRIPTION: OnceLock<String> = OnceLock::new();
    DESCRIPTION.get_or_init(|| match host_isa(false, Rewriting::Full) {
        Ok(isa) => {
            let features: Vec<String> = isa.isa_flags().iter().map(ToString::to_string).collect();
            // The tiles' own instructions, which the flags don't name.
            let pairs = if Wide::of_host().is_some_and(Wide::has_bf16_pairs) { " bf16_pairs" } else { "" };
            format!("{} {}{pairs}", isa.triple(), features.join(" "))
        }
        Err(e) => format!("none: {e}"),
    })
}

/// The machine this process runs on, as far as it can be told: the vectors that an emitter has for it (no wider ones than the environment
/// variable `GRADC_TARGET` allows), whether it has fused multiply-add and products of pairs of
/// `bf16`, and the sizes of its caches: those that the environment variable
/// `GRADC_CACHES` gives, as `32K,512K,32M` from the first level on, else what the system tells, else [`Target::baseline`]'s.
pub fn host_target() -> Target {
    let baseline = Target::baseline();
    let Ok(isa) = host_isa(false, Rewriting::Full) else { return baseline };
    let machine = match (Wide::of_host(), isa.name()) {
        (Some(Wide::Avx512), _) => Target::avx512(),
        (Some(Wide::Avx2), _) => Target::avx2(),
        (None, "aarch64") => portable("aarch64-neon", 32),
        (None, _) => portable("x86_64-sse", 16),
    };
    let given = std::env::var("GRADC_CACHES").ok().and_then(|text| parse_sizes(&text));
    let size = |level: u32| given.map_or_else(|| cache_bytes(level), |sizes| Some(sizes[level as usize - 1]));
    Target {
        fma: has_fma(&*isa),
        bf16_pairs: Wide::of_host().is_some_and(Wide::has_bf16_pairs),
        l1_bytes: size(1).unwrap_or(baseline.l1_bytes),
        l2_bytes: size(2).unwrap_or(baseline.l2_bytes),
        l3_bytes: size(3).unwrap_or(baseline.l3_bytes),
        ..machine
    }
}

/// A machine with the portable emitter's 128-bit vectors.
fn portable(name: &str, registers: usize) -> Target {
    let tile = TileTarget { registers, ..TileTarget::PORTABLE };
    Target { name: name.into(), vector_registers: registers, tile, ..Target::baseline() }
}

/// The size of the data cache of a level, from Linux's description of the first processor.
fn cache_bytes(level: u32) -> Option<usize> {
    let root = Path::new("/sys/devices/system/cpu/cpu0/cache");
    let read = |index: usize, file: &str| {
        std::fs::read_to_string(root.join(format!("index{index}")).join(file)).ok().map(|s| s.trim().to_owned())
    };
    (0..8)
        .find(|&i| read(i, "level") == Some(level.to_string()) && read(i, "type").is_some_and(|t| t != "Instruction"))
        .and_then(|i| parse_size(&read(i, "size")?))
}

/// Reads `32K`, `8M`.
fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        _ => return None,
    };
    digits.parse::<usize>().ok().map(|n| n * unit)
}

/// Reads the sizes of three levels, none smaller than that before: `32K,512K,32M`.
fn parse_sizes(text: &str) -> Option<[usize; 3]> {
    let sizes: Option<Vec<usize>> = text.split(',').map(parse_size).collect();
    sizes?.try_into().ok().filter(|sizes: &[usize; 3]| sizes[0] > 0 && sizes.is_sorted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_sizes_can_be_given() {
        assert_eq!(parse_sizes("32K,512K,32M"), Some([32 << 10, 512 << 10, 32 << 20]));
        assert_eq!(parse_sizes("32K,512K"), None);
        assert_eq!(parse_sizes("512K,32K,32M"), None);
        assert_eq!(parse_sizes("0K,32K,32M"), None);
    }

    #[test]
    fn cache_sizes_are_read_in_their_units() {
        assert_eq!(parse_size("32K"), Some(32 << 10));
        assert_eq!(parse_size("8M"), Some(8 << 20));
        assert_eq!(parse_size("64"), Some(64));
        assert_eq!(parse_size("1G"), None);
        assert_eq!(parse_size("K"), None);
    }

    #[test]
    fn the_host_has_the_vectors_of_its_emitter_and_growing_caches() {
        let target = host_target();
        assert_eq!(target.vector_bytes, Wide::of_host().map_or(16, Wide::vector_bytes));
        assert_eq!(
            host_description().ends_with(" bf16_pairs"),
            target.bf16_pairs,
            "code with pairs is for machines that have them"
        );
        assert!(target.l1_bytes <= target.l2_bytes && target.l2_bytes <= target.l3_bytes, "{target:?}");
    }
}
