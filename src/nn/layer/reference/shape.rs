//! Layers that move elements.

use super::check;
use crate::dsl::Tensor;
use crate::nn::*;
use crate::testing::reference::Case;

/// A setting for each spatial axis.
pub(super) fn settings<const N: usize>(c: &Case<'_>, name: &str) -> [usize; N] {
    std::array::from_fn(|axis| c.count(&format!("{name}{axis}")))
}

/// In the order of the generator's list.
const FILL_MODES: [FillMode; 3] = [FillMode::Constant, FillMode::Nearest, FillMode::Reflect];

#[test]
fn images_at_places_of_a_grid() {
    check("grid_sample", |c| {
        let interpolation = [Interpolation::Bilinear, Interpolation::Nearest][c.count("nearest")];
        let how = GridSample { interpolation, fill: FILL_MODES[c.count("fill")], align_corners: c.count("align") == 1 };
        grid_sample(c.tensor("x"), c.tensor("grid"), how)
    });
}

#[test]
fn upsampling() {
    for (suffix, interpolation) in [("", Interpolation::Nearest), ("_bilinear", Interpolation::Bilinear)] {
        check(&format!("up_sampling1d{suffix}"), |c| {
            UpSampling1d::new(c.count("factor0")).interpolation(interpolation).apply(c.tensor("x"))
        });
        check(&format!("up_sampling2d{suffix}"), |c| {
            UpSampling2d::new(settings(c, "factor")).interpolation(interpolation).apply(c.tensor("x"))
        });
        check(&format!("up_sampling3d{suffix}"), |c| {
            UpSampling3d::new(settings(c, "factor")).interpolation(interpolation).apply(c.tensor("x"))
        });
    }
}

/// Pairs of settings for each spatial axis.
fn ends<const N: usize>(c: &Case<'_>, before: &str, after: &str) -> [(usize, usize); N] {
    let (before, after) = (settings::<N>(c, before), settings::<N>(c, after));
    std::array::from_fn(|axis| (before[axis], after[axis]))
}

#[test]
fn borders() {
    check("borders1d", |c| {
        let padded = ZeroPadding1d::new(ends(c, "before", "after")).apply(c.tensor("x"));
        Cropping1d::new(ends(c, "first", "last")).apply(&padded)
    });
    check("borders2d", |c| {
        let padded = ZeroPadding2d::new(ends(c, "before", "after")).apply(c.tensor("x"));
        Cropping2d::new(ends(c, "first", "last")).apply(&padded)
    });
    check("borders3d", |c| {
        let padded = ZeroPadding3d::new(ends(c, "before", "after")).apply(c.tensor("x"));
        Cropping3d::new(ends(c, "first", "last")).apply(&padded)
    });
}

#[test]
fn borders_of_the_input_itself() {
    macro_rules! each {
        ($($file:literal: $layer:ident;)*) => { $(
            check($file, |c| $layer::new(ends(c, "before", "after")).apply(c.tensor("x")));
        )* };
    }
    each! {
        "reflection_pad1d": ReflectionPad1d;
        "reflection_pad2d": ReflectionPad2d;
        "reflection_pad3d": ReflectionPad3d;
        "replication_pad1d": ReplicationPad1d;
        "replication_pad2d": ReplicationPad2d;
        "replication_pad3d": ReplicationPad3d;
        "circular_pad1d": CircularPad1d;
        "circular_pad2d": CircularPad2d;
        "circular_pad3d": CircularPad3d;
    }
}

#[test]
fn windows_as_rows() {
    let both = |c: &Case<'_>| Padding::Both(settings::<2>(c, "pad").into());
    check("unfold", |c| {
        let layer = Unfold::new(settings::<2>(c, "size")).stride(settings::<2>(c, "stride"));
        layer.dilation(settings::<2>(c, "dilation")).padding(both(c)).apply(c.tensor("x"))
    });
    check("fold", |c| {
        let layer = Fold::new(settings::<2>(c, "extents"), settings::<2>(c, "size"));
        let layer = layer.stride(settings::<2>(c, "stride")).dilation(settings::<2>(c, "dilation"));
        layer.padding(both(c)).apply(c.tensor("x"))
    });
}

#[test]
fn channels_and_positions() {
    check("pixel_shuffle", |c| PixelShuffle::new(c.count("factor")).apply(c.tensor("x")));
    check("pixel_unshuffle", |c| PixelUnshuffle::new(c.count("factor")).apply(c.tensor("x")));
    check("shapes", |c| PermuteAxes::new([2, 1]).apply(&RepeatVector::new(c.count("count")).apply(c.tensor("x"))));
}

#[test]
fn merges() {
    let ways = [Merge::Concat, Merge::Sum, Merge::Sub, Merge::Mul, Merge::Average, Merge::Max, Merge::Min];
    check("merges", |c| {
        let inputs = ["a", "b", "c"].map(|name| c.tensor(name));
        let results = ways.map(|way| way.apply(inputs));
        let others: Vec<&Tensor> = results[1..].iter().collect();
        results[0].concat(&others, -1)
    });
}
