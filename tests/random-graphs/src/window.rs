//! Random pooling and convolution, with their gradients.

use super::generator::{Generator, Known, shape};
use ir::op::contraction::{Conv, ConvInputGrad, ConvWeightGrad};
use ir::op::window::{Pool, PoolArgMax, PoolKind, PoolMaxGrad, PoolMaxTake, PoolSumGrad, Unpool, Window};
use ir::{DType, Op, TensorType};

impl Generator<'_> {
    /// A float tensor `[n, s..., c]`.
    fn image(&mut self) -> Known {
        let dtype = self.float();
        let fits = |g: &Self, k: Known| {
            let ty = g.graph.ty(k.id);
            let small = ty.shape.numel() <= 4 * g.limits.elements;
            ty.dtype == dtype && (3..=4).contains(&ty.shape.rank()) && small
        };
        match self.find(fits) {
            Some(known) => self.settled(known),
            None => {
                let dims = [1, self.rng.between(3, 6), self.rng.between(3, 6), self.rng.between(1, 4)];
                self.input(TensorType::new(dtype, shape(&dims)))
            }
        }
    }

    /// A window that fits over these spatial extents.
    fn window(&mut self, spatial: &[usize]) -> Window {
        let mut window = Window { size: vec![], stride: vec![], pad: vec![], dilation: vec![] };
        for &extent in spatial {
            let size = self.rng.between(1, 3.min(extent));
            let dilation = if (size - 1) * 2 < extent && self.rng.one_in(3) { 2 } else { 1 };
            let most = ((size - 1) * dilation).min(2);
            window.size.push(size);
            window.stride.push(self.rng.between(1, 3));
            window.pad.push((self.rng.between(0, most), self.rng.between(0, most)));
            window.dilation.push(dilation);
        }
        window
    }

    pub(super) fn pooling(&mut self) {
        let x = self.image();
        let ty = self.ty(x);
        let spatial = &ty.shape[1..ty.shape.rank() - 1];
        let window = self.window(spatial);
        let taps: usize = window.size.iter().product();
        let sum_bound = x.bound * taps as f64;
        let kind = self.rng.pick(&[PoolKind::Sum, PoolKind::Max]);
        let pooled = Op::Pool(Pool { kind, window: window.clone() });
        let pooled = match kind {
            PoolKind::Sum => self.add(pooled, &[x], false, sum_bound),
            PoolKind::Max => self.add(pooled, &[x], true, x.bound),
        };
        match (self.rng.below(4), kind) {
            (0, PoolKind::Sum) => {
                let grad = PoolSumGrad { window, input: spatial.to_vec() };
                self.add(Op::PoolSumGrad(grad), &[pooled], false, pooled.bound * taps as f64);
            }
            (0, PoolKind::Max) => {
                let places = self.exact_like(&ty);
                self.add(Op::PoolMaxGrad(PoolMaxGrad { window }), &[places, pooled], false, pooled.bound * taps as f64);
            }
            (1, _) => {
                let places = self.exact_like(&ty);
                self.add(Op::PoolMaxTake(PoolMaxTake { window }), &[places, x], true, x.bound);
            }
            (2, _) => {
                let places = self.exact_like(&ty);
                let numbers = PoolArgMax { window: window.clone(), dtype: self.rng.pick(&[DType::I32, DType::I64]) };
                let tap = self.add(Op::PoolArgMax(numbers), &[places], true, taps as f64);
                // What is added up isn't exact.
                let (apart, most) = (window.is_apart().is_ok_and(|apart| apart), pooled.bound * taps as f64);
                let unpool = Unpool { window, input: spatial.to_vec() };
                self.add(Op::Unpool(unpool), &[tap, pooled], apart, if apart { pooled.bound } else { most });
            }
            _ => {}
        }
    }

    pub(super) fn convolution(&mut self) {
        let x = self.image();
        let ty = self.ty(x);
        let spatial = ty.shape[1..ty.shape.rank() - 1].to_vec();
        let channels = ty.shape[ty.shape.rank() - 1];
        let window = self.window(&spatial);
        let groups = if channels.is_multiple_of(2) && self.rng.one_in(3) { 2 } else { 1 };
        let out_channels = groups * self.rng.between(1, 3);
        let mut dims = window.size.clone();
        dims.extend([channels / groups, out_channels]);
        let weights = self.like(&ty.with_shape(shape(&dims)));
        let w = self.settled(weights);
        let taps = (window.size.iter().product::<usize>() * channels.max(out_channels)) as f64;
        let conv = Op::Conv(Conv { window: window.clone(), groups });
        let y = self.add(conv, &[x, w], false, taps * x.bound * w.bound);
        let y_ty = self.ty(y);
        match self.rng.below(4) {
            0 => {
                let dy = self.like(&y_ty);
                let dy = self.settled(dy);
                let grad = ConvInputGrad { window, groups, input: spatial };
                self.add(Op::ConvInputGrad(grad), &[dy, w], false, taps * dy.bound * w.bound);
            }
            1 => {
                let dy = self.like(&y_ty);
                let dy = self.settled(dy);
                let places = y_ty.shape.numel() as f64;
                let grad = ConvWeightGrad { window, groups };
                self.add(Op::ConvWeightGrad(grad), &[x, dy], false, places * x.bound * dy.bound);
            }
            _ => {}
        }
    }
}
