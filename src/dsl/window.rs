//! Pooling over the spatial axes of `[n, spatial..., c]`.

use super::{Tensor, TypeSpec};
use ir::op::window::{Pool, PoolKind, Window};
use ir::{DType, Op, Scalar, TensorType, Value};

/// A longer axis has its counts computed by each step: a program doesn't grow with its images.
const MAX_COUNTED: usize = 4096;

/// How many taps of window number `o` along an axis lie inside of an input with that extent. Padding is below a window's extent, so that a window
/// doesn't start behind the input.
fn taps_inside(o: usize, window: &Window, axis: usize, input: usize) -> usize {
    let (start, dilation, before) = (o * window.stride[axis], window.dilation[axis], window.pad[axis].0);
    let first = before.saturating_sub(start).div_ceil(dilation);
    let end = ((input + before - start).div_ceil(dilation)).min(window.size[axis]);
    end.saturating_sub(first)
}

impl Tensor {
    /// The largest element of each window; padding takes no part.
    #[track_caller]
    pub fn max_pool(&self, window: Window) -> Tensor {
        self.emit(Op::Pool(Pool { kind: PoolKind::Max, window }))
    }

    /// The sum of each window; padding counts as 0.
    #[track_caller]
    pub fn sum_pool(&self, window: Window) -> Tensor {
        self.emit(Op::Pool(Pool { kind: PoolKind::Sum, window }))
    }

    /// The mean of each window over the elements inside the input (padding does not count); floats.
    #[track_caller]
    pub fn avg_pool(&self, window: Window) -> Tensor {
        let sum = self.sum_pool(window.clone());
        let (Some(from), Some(to)) = (self.ty(), sum.ty()) else { return sum };
        if !to.dtype.is_float() {
            return self.fail("avg_pool", format!("operands must have a float type, not {}: cast first", to.dtype));
        }
        // The elements inside are a product of counts along the axes: where all windows have all taps, a number.
        let (mut whole, mut counts) = (1, None::<Tensor>);
        for axis in 0..window.rank() {
            if window.pad[axis] == (0, 0) {
                whole *= window.size[axis];
                continue;
            }
            let along = self.counts_inside(&window, axis, from.shape[axis + 1], &to).broadcast_to(to.shape.dims());
            counts = Some(counts.map_or(along.clone(), |counts| counts * along));
        }
        match counts {
            None => sum / (whole as f64),
            Some(counts) if whole == 1 => sum / counts,
            Some(counts) => sum / (counts * (whole as f64)),
        }
    }

    /// For each window along a spatial axis how many taps lie inside the input: `[outputs, 1, ..., 1]`, as elements of the result's type `to`.
    #[track_caller]
    fn counts_inside(&self, window: &Window, axis: usize, input: usize, to: &TensorType) -> Tensor {
        let outputs = to.shape[axis + 1];
        let mut dims = vec![1; to.shape.rank() - axis - 1];
        dims[0] = outputs;
        let ty = |dtype| TypeSpec::new(dtype, dims.clone());
        if outputs <= MAX_COUNTED {
            let Ok(shape) = ir::Shape::new(&dims) else { return self.clone() };
            let count = |o| Scalar::from_i64(taps_inside(o, window, axis, input) as i64, DType::I64).cast(to.dtype);
            return self.builder().constant(Value::from_fn(TensorType::new(to.dtype, shape), count));
        }
        let (before, dilation) = (window.pad[axis].0 as f64, window.dilation[axis] as f64);
        let start = self.builder().iota(ty(DType::I64), 0) * (window.stride[axis] as f64);
        let first = ((before - &start).maximum(0.0) + (dilation - 1.0)) / dilation;
        let end = ((input as f64 + before + dilation - 1.0 - start) / dilation).minimum(window.size[axis] as f64);
        (end - first).maximum(0.0).cast(to.dtype)
    }
}
