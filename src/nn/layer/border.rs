//! Borders: what is added around samples, zeros or elements of their own, and elements cut off their ends.

use super::stateless::stateless_layer;
use crate::dsl::Tensor;

/// The extents of `x`, which must be `[batch, spatial..., channels]` with that many spatial axes.
#[track_caller]
fn extents(op: &str, x: &Tensor, spatial: usize) -> Result<Vec<usize>, Tensor> {
    match x.shape() {
        Some(shape) if shape.rank() == spatial + 2 => Ok(shape.dims().to_vec()),
        Some(shape) => {
            let rule =
                format!("the input must be [batch, {spatial} spatial axes, channels], it has {} axes", shape.rank());
            Err(x.fail(op, rule))
        }
        None => Err(x.clone()),
    }
}

/// Zeros (before, after) along each spatial axis.
#[track_caller]
fn zeros(op: &str, x: &Tensor, pads: &[(usize, usize)]) -> Tensor {
    match extents(op, x, pads.len()) {
        Ok(_) => x.pad(0.0, [&[(0, 0)], pads, &[(0, 0)]].concat()),
        Err(poisoned) => poisoned,
    }
}

/// What stands beyond the ends of an axis.
#[derive(Clone, Copy)]
enum Beyond {
    /// The elements from the one beside the end on, mirrored.
    Reflection,
    /// The end's element.
    Replication,
    /// The elements of the other end.
    Circle,
}

impl Beyond {
    /// How many elements there are of an axis of that extent.
    fn most(self, extent: usize) -> usize {
        match self {
            Self::Reflection => extent - 1,
            Self::Replication => usize::MAX,
            Self::Circle => extent,
        }
    }

    /// What comes before the first of `n` elements along an axis, and after the last.
    #[track_caller]
    fn parts(self, x: &Tensor, axis: isize, n: usize, (before, after): (usize, usize)) -> [Tensor; 2] {
        let part = |range| x.slice_axis(axis, range);
        match self {
            Self::Reflection => [part(1..before + 1), part(n - 1 - after..n - 1)].map(|part| part.reverse([axis])),
            Self::Replication => [(0, before), (n - 1, after)].map(|(end, count)| {
                let end = part(end..end + 1);
                let mut dims = end.shape().map_or_else(Vec::new, |shape| shape.dims().to_vec());
                dims.iter_mut().skip(axis as usize).take(1).for_each(|extent| *extent = count);
                end.broadcast_to(dims)
            }),
            Self::Circle => [part(n - before..n), part(0..after)],
        }
    }

    /// With so many elements (before, after) along an axis of extent `n`.
    #[track_caller]
    fn around(self, x: &Tensor, axis: isize, n: usize, ends: (usize, usize)) -> Tensor {
        // No tensor is empty: a part of which nothing is wanted is made of one element, and left out.
        let [before, after] = self.parts(x, axis, n, (ends.0.max(1), ends.1.max(1)));
        let parts = [(ends.0 > 0).then_some(&before), Some(x), (ends.1 > 0).then_some(&after)];
        let parts: Vec<&Tensor> = parts.into_iter().flatten().collect();
        parts[0].concat(&parts[1..], axis)
    }

    /// With so many (before, after) along each spatial axis.
    #[track_caller]
    fn pad(self, op: &str, x: &Tensor, pads: &[(usize, usize)]) -> Tensor {
        let extents = match extents(op, x, pads.len()) {
            Ok(extents) => extents,
            Err(poisoned) => return poisoned,
        };
        let mut y = x.clone();
        for (i, &ends) in pads.iter().enumerate().filter(|(_, ends)| **ends != (0, 0)) {
            let (n, most) = (extents[i + 1], self.most(extents[i + 1]));
            if ends.0.max(ends.1) > most {
                let rule =
                    format!("{ends:?} elements around {n} along spatial axis {i} must be at most {most} at each end");
                return x.fail(op, rule);
            }
            y = self.around(&y, i as isize + 1, n, ends);
        }
        y
    }
}

/// Without so many (first, last) elements along each spatial axis.
#[track_caller]
fn crop(op: &str, x: &Tensor, crops: &[(usize, usize)]) -> Tensor {
    let mut limit = match extents(op, x, crops.len()) {
        Ok(extents) => extents,
        Err(poisoned) => return poisoned,
    };
    let mut start = vec![0; limit.len()];
    for (i, &(before, after)) in crops.iter().enumerate() {
        let extent = limit[i + 1];
        if before.saturating_add(after) >= extent {
            let rule =
                format!("cutting {before} and {after} elements leaves none of the {extent} along spatial axis {i}");
            return x.fail(op, rule);
        }
        (start[i + 1], limit[i + 1]) = (before, extent - after);
    }
    x.slice(start, limit)
}

macro_rules! borders {
    ($($ty:ident, $function:expr, $axes:literal, $base:literal, $kind:literal, $doc:literal;)*) => { $(
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $ty {
            ends: [(usize, usize); $axes],
        }

        impl $ty {
            /// So many elements (before, after) along each spatial axis.
            pub fn new(ends: [(usize, usize); $axes]) -> Self {
                Self { ends }
            }
        }

        stateless_layer!($ty, $base, $kind, |layer: &Self, x| $function($base, x, &layer.ends[..]));
    )* };
}

borders! {
    ZeroPadding1d, zeros, 1, "zero_padding1d", "ZeroPadding1D", "Zeros before and after sequences `[batch, length, features]`.";
    ZeroPadding2d, zeros, 2, "zero_padding2d", "ZeroPadding2D", "Zeros around images `[batch, height, width, channels]`: rows above and below, columns left and right.";
    ZeroPadding3d, zeros, 3, "zero_padding3d", "ZeroPadding3D", "Zeros around volumes `[batch, depth, height, width, channels]`.";
    Cropping1d, crop, 1, "cropping1d", "Cropping1D", "Sequences `[batch, length, features]` without their first and last positions.";
    Cropping2d, crop, 2, "cropping2d", "Cropping2D", "Images `[batch, height, width, channels]` without rows above and below, and columns left and right.";
    Cropping3d, crop, 3, "cropping3d", "Cropping3D", "Volumes `[batch, depth, height, width, channels]` without planes at their ends.";
    ReflectionPad1d, |op, x, ends| Beyond::Reflection.pad(op, x, ends), 1, "reflection_pad1d", "ReflectionPad1d", "Sequences `[batch, length, features]` mirrored at their ends, without the end itself: `c b | a b c | b a`. At each end fewer than the extent.";
    ReflectionPad2d, |op, x, ends| Beyond::Reflection.pad(op, x, ends), 2, "reflection_pad2d", "ReflectionPad2d", "Images `[batch, height, width, channels]` mirrored at their ends, without the end itself: `c b | a b c | b a`. At each end fewer than the extent.";
    ReflectionPad3d, |op, x, ends| Beyond::Reflection.pad(op, x, ends), 3, "reflection_pad3d", "ReflectionPad3d", "Volumes `[batch, depth, height, width, channels]` mirrored at their ends, without the end itself: `c b | a b c | b a`. At each end fewer than the extent.";
    ReplicationPad1d, |op, x, ends| Beyond::Replication.pad(op, x, ends), 1, "replication_pad1d", "ReplicationPad1d", "Sequences `[batch, length, features]` with their ends repeated: `a a | a b c | c c`.";
    ReplicationPad2d, |op, x, ends| Beyond::Replication.pad(op, x, ends), 2, "replication_pad2d", "ReplicationPad2d", "Images `[batch, height, width, channels]` with their ends repeated: `a a | a b c | c c`.";
    ReplicationPad3d, |op, x, ends| Beyond::Replication.pad(op, x, ends), 3, "replication_pad3d", "ReplicationPad3d", "Volumes `[batch, depth, height, width, channels]` with their ends repeated: `a a | a b c | c c`.";
    CircularPad1d, |op, x, ends| Beyond::Circle.pad(op, x, ends), 1, "circular_pad1d", "CircularPad1d", "Sequences `[batch, length, features]` that go on from the other end: `b c | a b c | a b`. At each end at most the extent.";
    CircularPad2d, |op, x, ends| Beyond::Circle.pad(op, x, ends), 2, "circular_pad2d", "CircularPad2d", "Images `[batch, height, width, channels]` that go on from the other end: `b c | a b c | a b`. At each end at most the extent.";
    CircularPad3d, |op, x, ends| Beyond::Circle.pad(op, x, ends), 3, "circular_pad3d", "CircularPad3d", "Volumes `[batch, depth, height, width, channels]` that go on from the other end: `b c | a b c | a b`. At each end at most the extent.";
}
