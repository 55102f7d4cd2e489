//! Rules on elementwise ops.

mod arithmetic;
mod cast;
mod hoist;
mod laws;
mod parts;
mod select;

use super::Rule;

pub(super) const RULES: &[&[Rule]] =
    &[laws::RULES, arithmetic::RULES, select::RULES, cast::RULES, hoist::RULES, parts::RULES];
