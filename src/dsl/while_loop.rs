//! Loops until a condition fails, of a bounded number of steps.

use super::Tensor;
use super::scan::Scan;

/// Repeats `step` while `going` of what is carried holds, at most `most` times, and gives what is carried at the end. `going` gives truth values that broadcast to each of the carries: of one
/// element for all, or one for each row of a batch, of which some then go on while others stand still.
///
/// It is a [`scan`](super::scan()) of `most` steps, whose carries stay as they are once the condition has failed: all steps are computed, whenever it fails, and their number is that of the worst
/// case. So a derivative is that of the steps that counted. What `step` computes of carries that no longer go on may be no number; it is left out of results, but a derivative of it that is
/// infinite would be no number times 0: keep such steps finite.
///
/// There is no loop that ends earlier, since a program's work is known before it runs. A condition without a loop is [`Tensor::select`], of two sides that are both computed.
///
/// ```
/// use gradc::dsl::{f32, while_loop, GraphBuilder};
/// let g = GraphBuilder::new("square roots");
/// let x = g.input("x", f32([8]));
/// // Newton's method, for each element until it is near enough.
/// let roots = while_loop(&[&x], 20, |y| (y[0].square() - &x).abs().gt(&x * 1e-6), |y| vec![(&y[0] + &x / &y[0]) * 0.5]);
/// g.output("roots", &roots[0]);
/// assert!(g.finish().is_ok());
/// ```
#[track_caller]
pub fn while_loop(
    first: &[&Tensor],
    most: usize,
    going: impl FnOnce(&[Tensor]) -> Tensor,
    step: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> Vec<Tensor> {
    let body = |carried: &[Tensor], _: &[Tensor]| {
        let (going, next) = (going(carried), step(carried));
        // Of another number the scan says so itself.
        let kept = next.iter().enumerate().map(|(i, next)| match carried.get(i) {
            Some(old) => going.select(next, old),
            None => next.clone(),
        });
        (kept.collect(), vec![])
    };
    Scan::new().named("while").length(most).run(first, &[], body).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsl::{GraphBuilder, f64, i32};
    use crate::testing::{assert_close, eval, vector, with_gradient};

    #[test]
    fn rows_stop_on_their_own() {
        // Each number is doubled until it is 100, and the steps are counted.
        let counts = |most: usize| {
            eval(|g| {
                let x = g.constant(vector(&[1.0, 7.0, 99.0, 100.0, 1e3]));
                let zero = g.zeros(i32([5]));
                let step = |carried: &[Tensor]| vec![&carried[0] * 2.0, &carried[1] + 1];
                while_loop(&[&x, &zero], most, |carried| carried[0].lt(100.0), step)[1].clone()
            })
        };
        assert_eq!(counts(10), [7.0, 4.0, 1.0, 0.0, 0.0]);
        assert_eq!(counts(3), [3.0, 3.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn derivatives_are_those_of_the_steps_that_counted() {
        let (y, slope) = with_gradient(&[0.5, 3.0, 200.0], |x| {
            while_loop(&[x], 12, |y| y[0].lt(100.0), |y| vec![&y[0] * 3.0]).remove(0)
        });
        assert_close(&y, &[121.5, 243.0, 200.0], 1e-12);
        assert_close(&slope, &[243.0, 81.0, 1.0], 1e-12);
    }

    #[test]
    fn what_steps_give_must_be_what_they_carry() {
        let g = GraphBuilder::new("test");
        let x = g.input("x", f64([3]));
        let found = while_loop(&[&x], 4, |y| y[0].lt(1.0), |_| vec![]);
        g.output("y", &found[0]);
        let error = g.finish().unwrap_err().to_string();
        assert!(error.contains("the body gets 1 carries and gives 0"), "{error}");
    }
}
