//! Gradients to be derived, and barriers to them. The pass `autodiff` replaces both.

/// The gradient of a scalar with respect to a tensor: operands `loss` (a float scalar) and `wrt`; the result is like `wrt`, zero if the
/// loss does not depend on it. `wrt` may be any node. Text: `gradient %loss, %w`. Has no evaluation: `autodiff` derives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gradient;

/// Its operand; no gradient passes. Text: `stop_gradient %0`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StopGradient;
