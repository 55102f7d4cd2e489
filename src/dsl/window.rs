//! Pooling over the spatial axes of `[n, spatial..., c]`.

use super::Tensor;
use ir::op::window::{Pool, PoolKind, Window};
use ir::{Data, Op, Shape, TensorType, Value};

/// For each place of the output along one axis, how many taps of the window lie inside the input.
fn taps_inside(input: usize, output: usize, window: &Window, axis: usize) -> Vec<usize> {
    let inside = |o: usize, k: usize| {
        let at = o * window.stride[axis] + k * window.dilation[axis];
        at >= window.pad[axis].0 && at - window.pad[axis].0 < input
    };
    (0..output).map(|o| (0..window.size[axis]).filter(|&k| inside(o, k)).count()).collect()
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
        if window.pad.iter().all(|&pad| pad == (0, 0)) {
            return sum / (window.size.iter().product::<usize>() as f64);
        }
        let mut counts = vec![1.0f64];
        let spatial = window.size.len();
        for axis in 0..spatial {
            let taps = taps_inside(from.shape[axis + 1], to.shape[axis + 1], &window, axis);
            counts = counts.iter().flat_map(|&c| taps.iter().map(move |&t| c * t as f64)).collect();
        }
        let mut dims = to.shape[1..=spatial].to_vec();
        dims.push(1);
        let Ok(shape) = Shape::new(dims) else { return sum };
        match Value::new(TensorType::new(ir::DType::F64, shape), Data::F64(counts)) {
            Ok(value) => {
                let value = Value::from_fn(value.ty().with_dtype(to.dtype), |i| value.get(i).cast(to.dtype));
                sum / self.builder().constant(value)
            }
            Err(e) => self.fail("avg_pool", e.to_string()),
        }
    }
}
