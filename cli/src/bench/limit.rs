//! A limit of memory, as the command line has it.

use gradc::compile::{CompileError, CompileOptions, lower};
use ir::Graph;
use std::fmt;
use std::str::FromStr;

/// How large a step's arena may be. Reads and prints as `1000000`, `64M` (K, M and G are 2^10, 2^20 and 2^30 bytes) or `60%`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ArenaLimit {
    /// That many bytes.
    Bytes(usize),
    /// That part, in percent, of what the step takes without a limit.
    Percent(f64),
}

impl ArenaLimit {
    /// Options with the limit, for the step of that graph.
    ///
    /// # Errors
    /// A part of what the step takes asks for its loops: what no pass can do.
    pub fn apply(self, graph: &Graph, options: CompileOptions) -> Result<CompileOptions, CompileError> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(part) => {
                let arena = lower(graph, &options)?.arena_bytes.unwrap_or(0);
                (arena as f64 * part / 100.0) as usize
            }
        };
        Ok(options.memory_limit(bytes))
    }
}

impl FromStr for ArenaLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(part) = text.strip_suffix('%') {
            let part = part.parse().ok().filter(|part: &f64| *part >= 0.0 && part.is_finite());
            return part.map(Self::Percent).ok_or_else(|| format!("`{text}` is no part of the arena (60%)"));
        }
        bytes(text).map(Self::Bytes)
    }
}

/// Reads a number of bytes: `1000000`, `64M`.
///
/// # Errors
/// A text that is none.
pub fn bytes(text: &str) -> Result<usize, String> {
    kernel::parse_size(text).ok_or_else(|| format!("`{text}` is no number of bytes (1000000, 64M)"))
}

impl fmt::Display for ArenaLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(part) => write!(f, "{part}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bytes_or_parts() {
        let read = |text: &str| text.parse::<ArenaLimit>();
        assert_eq!(read("1000"), Ok(ArenaLimit::Bytes(1000)));
        assert_eq!(read("3M"), Ok(ArenaLimit::Bytes(3 << 20)));
        assert_eq!(read("62.5%"), Ok(ArenaLimit::Percent(62.5)));
        for limit in ["1000", "60%"] {
            assert_eq!(read(limit).unwrap().to_string(), limit);
        }
        for wrong in ["", "M", "-1", "-5%", "inf%", "12T", "99999999999999999999", "18446744073709551615G"] {
            assert!(read(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
