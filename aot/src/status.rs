//! What a step returns: 0, the number of a check that failed, or what is wrong with a call.

use crate::layout::Layout;
use kernel::Check;

/// The call's faults, below 0. Ports' come after them: [`first_of_ports`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub(crate) enum Fault {
    Context = -1,
    Version = -2,
    Processor = -3,
    States = -4,
    Arena = -5,
    Threads = -6,
    Range = -7,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] =
        [Self::Context, Self::Version, Self::Processor, Self::States, Self::Arena, Self::Threads, Self::Range];

    /// What is wrong, and what to do.
    fn message(self, layout: &Layout<'_>) -> String {
        let prefix = layout.prefix();
        match self {
            Self::Context => "the context is a null pointer".into(),
            Self::Version => format!(
                "context.abi_version isn't {}: the code was built for another version than the header that was included",
                crate::ABI_VERSION
            ),
            Self::Processor => {
                let least = layout.sets.first().map_or("", |set| set.name());
                format!("this processor lacks instructions that the code uses: it needs {least} at least")
            }
            Self::States => format!(
                "context.states is null, not aligned to {} bytes, or context.state_bytes is less than {prefix}_STATE_BYTES",
                runtime::ALIGN
            ),
            Self::Arena => format!(
                "context.arena is null, not aligned to {} bytes, or context.arena_bytes is less than {prefix}_ARENA_BYTES(context.threads)",
                runtime::ALIGN
            ),
            Self::Threads => format!("context.threads is more than {}", crate::layout::MOST_THREADS),
            Self::Range => "context.parallel_for called the task for a thread or a range that it wasn't given".into(),
        }
    }
}

/// What is said of a number that no step returns.
pub(crate) const UNKNOWN: &str = "a status that the step doesn't have";

/// The status of a fault in the first port: below it come the others'.
pub(crate) const FIRST_PORT: i32 = -16;

/// The messages of what is wrong with a call, from -1 down.
pub(crate) fn fault_messages(layout: &Layout<'_>) -> Vec<String> {
    let mut faults = vec![UNKNOWN.to_owned(); (-FIRST_PORT - 1) as usize];
    for fault in Fault::ALL {
        faults[(-(fault as i32) - 1) as usize] = fault.message(layout);
    }
    faults.extend(layout.ports.iter().map(|port| {
        let (side, name, align) = (port.side.name(), &port.c_name, port.align);
        format!("context.{side}.{name} (\"{}\") is null, or not aligned to {align} bytes", port.name)
    }));
    faults
}

/// The messages of checks that failed, from 1 up.
pub(crate) fn check_messages(checks: &[Check]) -> Vec<String> {
    let message = |check: &Check| match &check.loc {
        Some(loc) => format!("{loc}: {}", check.message),
        None => check.message.clone(),
    };
    checks.iter().map(message).collect()
}
