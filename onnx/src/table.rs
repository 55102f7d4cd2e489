//! The table of operators: each with its domain, the versions in which its meaning changed, and the function that imports it.

use crate::call::{Call, Results};
use crate::ops;

/// The function that imports nodes of an operator.
pub(crate) type ImportFn = fn(&mut Call<'_, '_>) -> Results;

/// An operator.
pub(crate) struct OpEntry {
    /// Its name.
    pub(crate) name: &'static str,
    /// The domain; empty for the standard's own.
    pub(crate) domain: &'static str,
    /// The versions of the domain's operators in which it changed; from the first one on it is provided.
    pub(crate) versions: &'static [i64],
    /// Whether it may be computed at import where all operands are known.
    pub(crate) folds: bool,
    /// The function.
    pub(crate) import: ImportFn,
}

/// An operator of the default domain.
pub(crate) const fn op(name: &'static str, versions: &'static [i64], import: ImportFn) -> OpEntry {
    OpEntry { name, domain: "", versions, folds: true, import }
}

/// One with graphs of its own, whose nodes are computed at import one by one.
pub(crate) const fn control(name: &'static str, versions: &'static [i64], import: ImportFn) -> OpEntry {
    OpEntry { name, domain: "", versions, folds: false, import }
}

/// All operators, by family.
pub(crate) const FAMILIES: &[(&str, &[OpEntry])] = ops::FAMILIES;

/// The operator of that name.
pub(crate) fn find(domain: &str, name: &str) -> Option<&'static OpEntry> {
    FAMILIES.iter().flat_map(|(_, ops)| *ops).find(|op| op.name == name && op.domain == domain)
}
