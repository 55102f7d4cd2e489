//! What a rewrite rule is.

use ir::{BuildError, Builder, Family, NodeId};

/// What a rule gives: the node to use instead, if the rule applies.
pub type Rewrite = Result<Option<NodeId>, BuildError>;

/// What a rule may change in a result, as far as the float rules allow it. Infinities and NaN never come or go, and no finite number overflows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changes {
    /// Nothing, but for the payload of a NaN.
    Nothing,
    /// The sign of a sum that is zero.
    SignOfZero,
    /// The order in which the same terms are added, with their products rounded or not, and the sign of a sum that is zero. Terms of both signs may overflow in one order only.
    Association,
    /// The bits of a function of numbers, not its bound of error.
    Error,
}

/// A rewrite rule.
#[derive(Clone, Copy, Debug)]
pub struct RewriteRule {
    /// Its name, in snake case.
    pub name: &'static str,
    /// `before → after`, and why it holds where that isn't plain.
    pub doc: &'static str,
    /// The family of the op that it replaces.
    pub root: Family,
    /// What may differ from what was there.
    pub changes: Changes,
    /// Says what to use instead of a node; adds nodes only if there is something. It may look at the node and down its operands, no deeper
    /// than [`DEPTH`] levels, and ask of an operand whether it has one user; at users otherwise not.
    pub apply: fn(&mut Builder<'_>, NodeId) -> Rewrite,
}

/// How many levels of operands rules look at: after a rewrite, as many levels of users are tried again.
pub const DEPTH: usize = 2;
