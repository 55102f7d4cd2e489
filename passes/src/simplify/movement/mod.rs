//! Rules on movement ops.

mod merge;
mod remove;
mod through;

use super::Rule;

pub(super) const RULES: &[&[Rule]] = &[remove::RULES, merge::RULES, through::RULES];
