//! Convolutions and pooling.

use super::check;
use super::shape::settings;
use crate::nn::*;
use crate::testing::reference::Case;

/// The window of a case for a layer of that many spatial axes, whose extents are `$extents` of its settings.
macro_rules! windowed {
    ($c:ident, $layer:expr, $padding:ident, $extents:expr) => {{
        let extents = $extents;
        let layer = $layer.stride(extents($c, "stride")).dilation(extents($c, "dilation"));
        layer.padding($padding::Both(extents($c, "pad").into()))
    }};
}

fn one(c: &Case<'_>, name: &str) -> usize {
    settings::<1>(c, name)[0]
}

#[test]
fn volumes() {
    check("conv3d", |c| {
        let layer = Conv3d::new(c.count("filters"), settings::<3>(c, "size")).groups(c.count("groups"));
        windowed!(c, layer, Padding3d, settings::<3>).apply(c.tensor("x"))
    });
    let both = |c: &Case<'_>| Padding3d::Both(settings::<3>(c, "pad").into());
    check("max_pooling3d", |c| {
        MaxPool3d::new(settings(c, "size")).stride(settings(c, "stride")).padding(both(c)).apply(c.tensor("x"))
    });
    check("average_pooling3d", |c| {
        AvgPool3d::new(settings(c, "size")).stride(settings(c, "stride")).padding(both(c)).apply(c.tensor("x"))
    });
}

#[test]
fn channels_of_their_own() {
    check("depthwise_conv1d", |c| {
        let layer = DepthwiseConv1d::new(one(c, "size")).depth_multiplier(c.count("multiplier"));
        windowed!(c, layer, Padding1d, one).apply(c.tensor("x"))
    });
    check("depthwise_conv2d", |c| {
        let layer = DepthwiseConv2d::new(settings::<2>(c, "size")).depth_multiplier(c.count("multiplier"));
        windowed!(c, layer, Padding, settings::<2>).apply(c.tensor("x"))
    });
    check("separable_conv1d", |c| {
        let layer = SeparableConv1d::new(c.count("filters"), one(c, "size")).depth_multiplier(c.count("multiplier"));
        windowed!(c, layer, Padding1d, one).apply(c.tensor("x"))
    });
    check("separable_conv2d", |c| {
        let layer = SeparableConv2d::new(c.count("filters"), settings::<2>(c, "size"));
        windowed!(c, layer.depth_multiplier(c.count("multiplier")), Padding, settings::<2>).apply(c.tensor("x"))
    });
}

#[test]
fn transposed_convolutions() {
    check("conv1d_transpose", |c| {
        let layer = Conv1dTranspose::new(c.count("filters"), one(c, "size")).groups(c.count("groups"));
        windowed!(c, layer, Padding1d, one).output_padding(one(c, "more")).apply(c.tensor("x"))
    });
    check("conv2d_transpose", |c| {
        let layer = Conv2dTranspose::new(c.count("filters"), settings::<2>(c, "size")).groups(c.count("groups"));
        let layer = windowed!(c, layer, Padding, settings::<2>);
        layer.output_padding(settings::<2>(c, "more")).apply(c.tensor("x"))
    });
    check("conv3d_transpose", |c| {
        let layer = Conv3dTranspose::new(c.count("filters"), settings::<3>(c, "size")).groups(c.count("groups"));
        let layer = windowed!(c, layer, Padding3d, settings::<3>);
        layer.output_padding(settings::<3>(c, "more")).apply(c.tensor("x"))
    });
    check("conv2d_transpose_same", |c| {
        let layer =
            Conv2dTranspose::new(c.count("filters"), settings::<2>(c, "size")).stride(settings::<2>(c, "stride"));
        layer.padding(Padding::Same).apply(c.tensor("x"))
    });
}
