//! Rules on elementwise ops.

mod arithmetic;
mod cast;
mod hoist;
mod laws;
mod parts;
mod select;

use super::RewriteRule;

pub(super) const RULES: &[&[RewriteRule]] =
    &[laws::RULES, arithmetic::RULES, select::RULES, cast::RULES, hoist::RULES, parts::RULES];
