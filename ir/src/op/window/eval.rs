//! The reference evaluation of windows: one walk over batch, outputs and taps, that all ops of the family share.

use super::geometry::{Window, image};
use crate::op::number::Number;
use crate::{TensorType, Value};

/// The extents that the walk goes over.
struct WindowWalk<'a> {
    window: &'a Window,
    /// Type of the pooled tensor.
    x: &'a TensorType,
    /// Type of the result of pooling.
    y: &'a TensorType,
}

impl WindowWalk<'_> {
    /// Calls `f(place in y, place in x)` for each tap of each window that lies on `x`; taps of one window ascend.
    fn taps(&self, mut f: impl FnMut(usize, usize)) {
        self.numbered_taps(|out, _, at| f(out, at));
    }

    /// As [`WindowWalk::taps`], with the tap's number in the middle.
    fn numbered_taps(&self, mut f: impl FnMut(usize, usize, usize)) {
        let (n, input, channels) = image("x", self.x).expect("the type rule has accepted x");
        let (_, output, _) = image("y", self.y).expect("the type rule has given y");
        let (inputs, outputs): (usize, usize) = (input.iter().product(), output.iter().product());
        for b in 0..n {
            self.window.for_each_tap(input, output, &mut |out, tap, at| {
                for c in 0..channels {
                    f((b * outputs + out) * channels + c, tap, (b * inputs + at) * channels + c);
                }
            });
        }
    }

    /// For each element of the pooled tensor the place of its window's maximum: the first largest, or the first NaN.
    fn places_of_max<T: Number>(&self, x: &[T]) -> Vec<Option<usize>> {
        let mut best: Vec<Option<usize>> = vec![None; self.y.shape.numel()];
        self.taps(|out, at| {
            let better = best[out].is_none_or(|b| x[at] > x[b] || (x[at].is_nan() && !x[b].is_nan()));
            if better {
                best[out] = Some(at);
            }
        });
        best
    }
}

/// `pool_sum`.
pub(super) fn sum<T: Number>(window: &Window, x: &Value, y: &TensorType) -> Vec<T> {
    let elements = T::read(x);
    let mut result = vec![T::ZERO; y.shape.numel()];
    WindowWalk { window, x: x.ty(), y }.taps(|out, at| result[out] = result[out].plus(elements[at]));
    result
}

/// `pool_sum_grad`.
pub(super) fn sum_grad<T: Number>(window: &Window, dy: &Value, x: &TensorType) -> Vec<T> {
    let elements = T::read(dy);
    let mut result = vec![T::ZERO; x.shape.numel()];
    WindowWalk { window, x, y: dy.ty() }.taps(|out, at| result[at] = result[at].plus(elements[out]));
    result
}

/// `pool_max`.
pub(super) fn max<T: Number>(window: &Window, x: &Value, y: &TensorType) -> Vec<T> {
    let elements = T::read(x);
    let mut result = vec![T::LOWEST; y.shape.numel()];
    WindowWalk { window, x: x.ty(), y }.taps(|out, at| result[out] = result[out].larger(elements[at]));
    result
}

/// `pool_max_grad`.
pub(super) fn max_grad<T: Number>(window: &Window, x: &Value, dy: &Value) -> Vec<T> {
    let gradients = T::read(dy);
    let places = WindowWalk { window, x: x.ty(), y: dy.ty() }.places_of_max(&T::read(x));
    let mut result = vec![T::ZERO; x.ty().shape.numel()];
    for (out, place) in places.into_iter().enumerate() {
        if let Some(at) = place {
            result[at] = result[at].plus(gradients[out]);
        }
    }
    result
}

/// `pool_max_take`.
pub(super) fn max_take<T: Number>(window: &Window, x: &Value, t: &Value, y: &TensorType) -> Vec<T> {
    let taken = T::read(t);
    let places = WindowWalk { window, x: x.ty(), y }.places_of_max(&T::read(x));
    places.into_iter().map(|place| place.map_or(T::ZERO, |at| taken[at])).collect()
}

/// `pool_argmax`.
pub(super) fn arg_max<T: Number>(window: &Window, x: &Value, y: &TensorType) -> Vec<i64> {
    let walk = WindowWalk { window, x: x.ty(), y };
    let places = walk.places_of_max(&T::read(x));
    let mut result = vec![-1; y.shape.numel()];
    walk.numbered_taps(|out, tap, at| {
        if places[out] == Some(at) {
            result[out] = tap as i64;
        }
    });
    result
}

/// `unpool`.
pub(super) fn unpool<T: Number>(window: &Window, taps: &[i64], dy: &Value, x: &TensorType) -> Vec<T> {
    let elements = T::read(dy);
    let mut result = vec![T::ZERO; x.shape.numel()];
    WindowWalk { window, x, y: dy.ty() }.numbered_taps(|out, tap, at| {
        if taps[out] == tap as i64 {
            result[at] = result[at].plus(elements[out]);
        }
    });
    result
}
