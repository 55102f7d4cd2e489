//! Rules on movement ops.

mod merge;
mod remove;
mod through;

use super::RewriteRule;

pub(super) const RULES: &[&[RewriteRule]] = &[remove::RULES, merge::RULES, through::RULES];
