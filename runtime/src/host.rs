//! What machine this process runs on: the one place where that is asked.

use crate::LoadError;
use kernel::{Caches, InstructionSet, Target, TargetError, parse_size};
use std::path::Path;
use std::sync::OnceLock;

/// The machine this process runs on: its architecture and system, the most of its instructions that code is generated for, and the sizes of
/// its caches where the system tells (else [`Caches::default`]).
///
/// # Errors
/// If it is none that code is generated for.
pub fn host_target() -> Result<Target, TargetError> {
    static HOST: OnceLock<Result<Target, TargetError>> = OnceLock::new();
    HOST.get_or_init(detect).clone()
}

/// Checks that this machine runs what is compiled for a target.
pub(crate) fn check_runs_here(target: &Target) -> Result<(), LoadError> {
    let host = host_target()?;
    if target.runs_on(&host) {
        return Ok(());
    }
    Err(LoadError::Foreign { target: Box::new(target.clone()), host: Box::new(host) })
}

fn detect() -> Result<Target, TargetError> {
    let generic = Target::generic(target_lexicon::HOST)?;
    // The widest that is provided for the system.
    let has = InstructionSet::ALL.into_iter().filter(|set| processor_has(*set));
    let mut targets = has.filter_map(|set| generic.clone().with_instruction_set(set).ok());
    let widest = targets.next_back().ok_or(TargetError::Processor { needs: generic.instruction_set() })?;
    Ok(widest.with_caches(caches()))
}

/// Whether the processor, and the system, have all instructions of a set.
fn processor_has(set: InstructionSet) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! has {
            ($($name:tt)*) => { $(std::arch::is_x86_feature_detected!($name))&&* };
        }
        match set {
            InstructionSet::X86_64 => has!("sse3" "ssse3" "sse4.1" "sse4.2" "popcnt"),
            InstructionSet::Fma => processor_has(InstructionSet::X86_64) && has!("avx" "fma"),
            // A virtual machine may hide conversions of half-precision floats, which came before AVX2.
            InstructionSet::Avx2 => processor_has(InstructionSet::Fma) && has!("avx2" "f16c" "bmi1" "bmi2" "lzcnt"),
            InstructionSet::Avx512 => {
                processor_has(InstructionSet::Avx2) && has!("avx512f" "avx512vl" "avx512dq" "avx512bw")
            }
            InstructionSet::Avx512Vnni => processor_has(InstructionSet::Avx512) && has!("avx512vnni"),
            InstructionSet::Avx512Bf16 => processor_has(InstructionSet::Avx512Vnni) && has!("avx512bf16"),
            InstructionSet::Aarch64 => false,
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        // Advanced SIMD is part of every AArch64 system's ABI.
        set == InstructionSet::Aarch64 && cfg!(target_arch = "aarch64")
    }
}

/// The sizes of the data caches, from Linux's description of the first processor; those that it doesn't tell are [`Caches::default`]'s.
fn caches() -> Caches {
    let known = Caches::default();
    let l1_bytes = cache_bytes(1).unwrap_or(known.l1_bytes);
    let l2_bytes = cache_bytes(2).unwrap_or(known.l2_bytes).max(l1_bytes);
    Caches { l1_bytes, l2_bytes, l3_bytes: cache_bytes(3).unwrap_or(known.l3_bytes).max(l2_bytes) }
}

/// The size of the data cache of a level.
fn cache_bytes(level: u32) -> Option<usize> {
    let root = Path::new("/sys/devices/system/cpu/cpu0/cache");
    let read = |index: usize, file: &str| {
        std::fs::read_to_string(root.join(format!("index{index}")).join(file)).ok().map(|s| s.trim().to_owned())
    };
    (0..8)
        .find(|&i| read(i, "level") == Some(level.to_string()) && read(i, "type").is_some_and(|t| t != "Instruction"))
        .and_then(|i| parse_size(&read(i, "size")?))
        .filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_growing_caches_and_runs_its_own_code() {
        let host = host_target().unwrap();
        let caches = host.caches();
        assert_eq!(caches.to_string().parse(), Ok(caches));
        assert!(check_runs_here(&host).is_ok());
        assert!(processor_has(host.instruction_set()));
    }

    #[test]
    fn code_for_other_machines_is_not_run() {
        let other = if cfg!(target_arch = "x86_64") { Target::aarch64() } else { Target::avx512() };
        assert!(matches!(check_runs_here(&other), Err(LoadError::Foreign { .. })));
    }
}
