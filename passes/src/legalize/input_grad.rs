//! The gradient of a convolution by its input.

use super::pad::{pad, shape_of};
use crate::PassError;
use crate::window::{depthwise_in_regions, in_regions, margins, remainders};
use ir::op::contraction::{Conv, ConvInputGrad};
use ir::op::movement::{Pad, Reverse, Slice};
use ir::op::window::Window;
use ir::{Builder, DType, NodeId, Op, Scalar, TensorType};
use kernel::TileTarget;

/// The remainders by the strides become channels where that takes less than so much of the multiply-adds.
const FEWER: f64 = 0.8;

/// A kernel with so many times the elements of the image isn't turned before it is packed.
const LARGE_KERNEL: usize = 2;

/// The gradient in a form that can be lowered; `None` if that is what it has.
pub(super) fn legal(
    build: &mut Builder<'_>,
    node: NodeId,
    op: &ConvInputGrad,
    operands: &[NodeId],
    tile: &TileTarget,
) -> Result<Option<NodeId>, PassError> {
    if op.window.stride.iter().all(|&stride| stride == 1) {
        // A kernel that is turned for a convolution is read and written once more than one that is packed as it stands.
        let [kernel, image] = [operands[1], node].map(|n| build.ty(n).shape.numel());
        let large = kernel >= LARGE_KERNEL * image && is_packed(build.ty(node).dtype);
        return if large { padded(build, node, op, operands) } else { spread(build, node, op, operands).map(Some) };
    }
    let apart = remainders(&op.window).is_some();
    if let Some(blocks) = SpaceToDepth::of(build, node, op, operands) {
        let lanes = tile.vector_bytes / build.ty(node).dtype.size_bytes();
        let (blocks_take, apart_take) = blocks.work(lanes);
        if blocks_take < FEWER * apart_take || (!apart && blocks_take <= apart_take) {
            return blocks.convolve(build, operands).map(Some);
        }
    }
    if apart { padded(build, node, op, operands) } else { spread(build, node, op, operands).map(Some) }
}

/// Whether contractions of a type pack their factors.
fn is_packed(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

/// The same gradient of a padded gradient of the output, so that each place of the input has all its taps inside.
fn padded(
    build: &mut Builder<'_>,
    node: NodeId,
    op: &ConvInputGrad,
    operands: &[NodeId],
) -> Result<Option<NodeId>, PassError> {
    let (input, outputs) = (build.ty(node).shape.clone(), build.ty(operands[0]).shape.clone());
    let mut op = op.clone();
    let mut all = vec![];
    for d in 0..op.window.rank() {
        let (low, high) = margins(&op.window, d, (input[d + 1], outputs[d + 1]));
        let reach = (op.window.size[d] - 1) * op.window.dilation[d] + 1;
        let before = op.window.pad[d].0 + low * op.window.stride[d];
        let covered = (outputs[d + 1] + low + high - 1) * op.window.stride[d] + reach;
        op.window.pad[d] = (before, covered.saturating_sub(input[d + 1] + before));
        all.push((low, high));
    }
    if all.iter().all(|&margin| margin == (0, 0)) {
        return Ok(None);
    }
    let dy = pad(build, operands[0], &all, |_| 0)?;
    Ok(Some(build.add(Op::ConvInputGrad(op), &[dy, operands[1]])?))
}

/// The gradient as a convolution of the output's gradient, with zeros in it where the stride has left places out.
fn spread(build: &mut Builder<'_>, node: NodeId, op: &ConvInputGrad, operands: &[NodeId]) -> Result<NodeId, PassError> {
    let (dy, w) = (operands[0], operands[1]);
    let window = &op.window;
    let spatial = window.size.len();
    let input = build.ty(node).shape.clone();
    let outputs = build.ty(dy).shape.clone();
    let margins: Vec<(usize, usize)> = (0..spatial)
        .map(|d| {
            let reach = (window.size[d] - 1) * window.dilation[d];
            let spread = (outputs[d + 1] - 1) * window.stride[d] + 1;
            (reach - window.pad[d].0, input[d + 1] + window.pad[d].0 - spread)
        })
        .collect();
    let mut spread_shape = outputs.dims().to_vec();
    (0..spatial).for_each(|d| spread_shape[d + 1] = (outputs[d + 1] - 1) * window.stride[d] + 1);
    let spread = TensorType { dtype: build.ty(dy).dtype, shape: shape_of(spread_shape)? };
    let flipped = flip_kernel(build, w, spatial, op.groups)?;
    let mut forward =
        Window { size: window.size.clone(), stride: vec![1; spatial], pad: margins, dilation: window.dilation.clone() };
    let mut margins = vec![(0, 0); spatial];
    let result = build.ty(node);
    if !in_regions(&forward, &spread, result, op.groups) && !depthwise_in_regions(&forward, &spread, result, op.groups)
    {
        std::mem::swap(&mut forward.pad, &mut margins);
    }
    let spread = pad(build, dy, &margins, |d| window.stride[d] - 1)?;
    Ok(build.add(Op::Conv(Conv { window: forward, groups: op.groups }), &[spread, flipped])?)
}

/// The gradient as one convolution: each of its places has a block of places of the input, as far along each axis as the stride, as its channels. Few
/// channels of an image fill a small part of a vector; those of a block fill more of it.
struct SpaceToDepth<'o> {
    op: &'o ConvInputGrad,
    /// Per spatial axis: how many blocks, the taps of a block's window, where its first one is with respect to the block's own place, and padding behind.
    count: Vec<usize>,
    taps: Vec<usize>,
    before: Vec<usize>,
    after: Vec<usize>,
    /// The extents of the gradient.
    input: Vec<usize>,
}

impl<'o> SpaceToDepth<'o> {
    /// Of a gradient without dilation and groups, whose blocks need all of the output.
    fn of(build: &Builder<'_>, node: NodeId, op: &'o ConvInputGrad, operands: &[NodeId]) -> Option<Self> {
        let (input, outputs) = (build.ty(node).shape.clone(), build.ty(operands[0]).shape.clone());
        let window = &op.window;
        let mut blocks = Self { op, count: vec![], taps: vec![], before: vec![], after: vec![], input: input.to_vec() };
        if op.groups != 1 || window.dilation.iter().any(|&d| d != 1) {
            return None;
        }
        for d in 0..window.rank() {
            let (size, stride, low) = (window.size[d], window.stride[d], window.pad[d].0);
            // Place `p` of block `t` has tap `k` of window `t + (p + low - k) / stride`, where that divides.
            let last = low.div_ceil(stride);
            let before = (size - 1).checked_sub(low)? / stride;
            let count = input[d + 1].div_ceil(stride);
            blocks.taps.push(last + before + 1);
            blocks.before.push(before);
            blocks.after.push((count + last).checked_sub(outputs[d + 1])?);
            blocks.count.push(count);
        }
        Some(blocks)
    }

    /// Multiply-adds of vectors for each block: by this convolution, and by one for each of its places.
    fn work(&self, lanes: usize) -> (f64, f64) {
        let product = |list: &[usize]| list.iter().map(|&n| n as f64).product::<f64>();
        let channels = self.input[self.input.len() - 1] as f64;
        let vectors = |columns: f64| (columns / lanes as f64).ceil();
        let window = &self.op.window;
        let blocks = product(&self.taps) * vectors(product(&window.stride) * channels);
        (blocks, product(&window.size) * vectors(channels))
    }

    fn convolve(&self, build: &mut Builder<'_>, operands: &[NodeId]) -> Result<NodeId, PassError> {
        let window = &self.op.window;
        let spatial = window.rank();
        let dtype = build.ty(operands[0]).dtype;
        let (images, channels) = (self.input[0], self.input[spatial + 1]);
        let kernel = self.kernel(build, operands[1])?;
        let margins: Vec<(usize, usize)> = self.before.iter().copied().zip(self.after.iter().copied()).collect();
        let columns = window.stride.iter().product::<usize>() * channels;
        let dims: Vec<usize> = [&[images], &self.count[..], &[columns]].concat();
        let result = TensorType { dtype, shape: shape_of(dims)? };
        let mut forward = Window { pad: margins.clone(), ..Window::new(self.taps.clone()) };
        let mut dy = operands[0];
        if !in_regions(&forward, build.ty(dy), &result, 1) {
            forward.pad = vec![(0, 0); spatial];
            dy = pad(build, dy, &margins, |_| 0)?;
        }
        let blocks = build.add(Op::Conv(Conv { window: forward, groups: 1 }), &[dy, kernel])?;
        // `[n, t..., p..., c]` to `[n, t, p, ..., c]`.
        let apart: Vec<usize> = [&[images], &self.count[..], &window.stride[..], &[channels]].concat();
        let apart = build.reshape(blocks, shape_of(apart)?)?;
        let pairs = (1..=spatial).flat_map(|d| [d, d + spatial]);
        let perm: Vec<usize> = [0].into_iter().chain(pairs).chain([2 * spatial + 1]).collect();
        let turned = build.permute(apart, &perm)?;
        let covered = self.count.iter().zip(&window.stride).map(|(count, stride)| count * stride);
        let covered: Vec<usize> = [images].into_iter().chain(covered).chain([channels]).collect();
        let whole = build.reshape(turned, shape_of(covered.clone())?)?;
        if covered == self.input {
            return Ok(whole);
        }
        let slice = Slice { start: vec![0; spatial + 2], limit: self.input.clone(), stride: vec![1; spatial + 2] };
        Ok(build.add(Op::Slice(slice), &[whole])?)
    }

    /// `[k..., ci, co]` to `[taps..., co, p... ci]`: tap number `j` from the last one of a block has for place `p` the kernel's tap `stride j + p`, counted
    /// from so many before the first that blocks begin where windows do.
    fn kernel(&self, build: &mut Builder<'_>, w: NodeId) -> Result<NodeId, PassError> {
        let window = &self.op.window;
        let spatial = window.rank();
        let shape = build.ty(w).shape.clone();
        let (mut low, mut high, mut split) = (vec![0; spatial + 2], vec![0; spatial + 2], vec![]);
        for d in 0..spatial {
            let (stride, first) = (window.stride[d], window.pad[d].0);
            low[d] = first.div_ceil(stride) * stride - first;
            high[d] = self.taps[d] * stride - low[d] - window.size[d];
            split.extend([self.taps[d], stride]);
        }
        let value = Scalar::zero(build.ty(w).dtype);
        let whole = build.add(Op::Pad(Pad { value, low, high, interior: vec![0; spatial + 2] }), &[w])?;
        let (ci, co) = (shape[spatial], shape[spatial + 1]);
        split.extend([ci, co]);
        let split = build.reshape(whole, shape_of(split)?)?;
        let axes: Vec<usize> = (0..spatial).filter(|&d| self.taps[d] > 1).map(|d| 2 * d).collect();
        let reversed = if axes.is_empty() { split } else { build.add(Op::Reverse(Reverse { axes }), &[split])? };
        let perm = (0..spatial).map(|d| 2 * d).chain([2 * spatial + 1]).chain((0..spatial).map(|d| 2 * d + 1));
        let perm: Vec<usize> = perm.chain([2 * spatial]).collect();
        let turned = build.permute(reversed, &perm)?;
        let columns = window.stride.iter().product::<usize>() * ci;
        Ok(build.reshape(turned, shape_of([&self.taps[..], &[co, columns]].concat())?)?)
    }
}

/// `[k..., ci/g, co]` to `[k..., co/g, ci]`, spatial axes reversed, channels exchanged within each group.
fn flip_kernel(build: &mut Builder<'_>, w: NodeId, spatial: usize, groups: usize) -> Result<NodeId, PassError> {
    let shape = build.ty(w).shape.clone();
    let (ci, co) = (shape[spatial], shape[spatial + 1] / groups);
    let axes: Vec<usize> = (0..spatial).filter(|&d| shape[d] > 1).collect();
    let reversed = if axes.is_empty() { w } else { build.add(Op::Reverse(Reverse { axes }), &[w])? };
    let kernel = &shape[..spatial];
    let reshape = |build: &mut Builder<'_>, x, tail: &[usize]| -> Result<NodeId, PassError> {
        let dims = [kernel, tail].concat();
        Ok(build.reshape(x, shape_of(dims)?)?)
    };
    let split = reshape(build, reversed, &[ci, groups, co])?;
    let perm: Vec<usize> = (0..spatial).chain([spatial + 2, spatial + 1, spatial]).collect();
    let exchanged = build.permute(split, &perm)?;
    reshape(build, exchanged, &[co, groups * ci])
}
